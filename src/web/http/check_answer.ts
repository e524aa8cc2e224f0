/**
 * Which answers a tenant may give: for its own session, now, and nothing that outlives the session.
 * @module
 */
import type { ApprovalDecision, ApprovalRequest } from "../../approvals/mod.ts";
import { isJsonObject, type JsonObject } from "../../json.ts";
import { badRequest } from "./refusals.ts";

/** The questions that are put to people. The others are this process's own business. */
const FOR_PEOPLE: ReadonlySet<ApprovalRequest["type"]> = new Set([
  "command",
  "fileChange",
  "permissions",
  "userInput",
  "elicitation",
]);

const WORDS: ReadonlySet<unknown> = new Set(["accept", "acceptForSession", "decline", "cancel"]);

/** Whether a person is asked. */
export function isForPeople(request: ApprovalRequest): boolean {
  return FOR_PEOPLE.has(request.type);
}

/**
 * Checks the body of an answer. Throws `WebError` 400. Whether it fits its question is for the broker to say; here the
 * answers fall that would reach beyond the session, such as rules that codex writes down for everybody.
 */
export function checkAnswer(body: unknown): ApprovalDecision {
  if (!isJsonObject(body)) throw badRequest("The body must be a JSON object.");
  if ("decision" in body) {
    only(body, ["decision", "reason"]);
    if (!WORDS.has(body["decision"])) {
      throw badRequest(`decision must be one of: ${[...WORDS].join(", ")}.`, "invalidAnswer");
    }
    if (body["reason"] !== undefined && typeof body["reason"] !== "string") {
      throw badRequest("reason must be a string.", "invalidAnswer");
    }
  } else if ("permissions" in body) {
    only(body, ["permissions", "scope", "strictAutoReview"]);
  } else if ("answers" in body) {
    only(body, ["answers"]);
  } else if ("action" in body) {
    only(body, ["action", "content", "persist"]);
    if (body["persist"] !== undefined && body["persist"] !== "session") {
      throw badRequest("persist can only be session here.", "invalidAnswer");
    }
  } else {
    throw badRequest(
      "An answer has decision, permissions, answers or action.",
      "invalidAnswer",
    );
  }
  return body as unknown as ApprovalDecision;
}

function only(body: JsonObject, names: readonly string[]): void {
  const other = Object.keys(body).find((name) => !names.includes(name));
  if (other === undefined) return;
  throw badRequest(
    `The field ${JSON.stringify(other.slice(0, 60))} is not one of: ${names.join(", ")}.`,
    "unknownField",
  );
}
