/**
 * What requests and decisions are, in words.
 * @module
 */
import { isJsonObject, type JsonValue } from "../../json.ts";
import type { ApprovalAudit, ApprovalRequest, FailClosedReason } from "../request/types.ts";

/** Why nothing was granted, in words for the server and the model. */
export const WHY: Record<FailClosedReason, string> = {
  timeout: "no decision was made in time",
  noHandler: "nobody is there to decide",
  handlerThrew: "the approval handler failed",
  hookThrew: "a hook failed",
  toolThrew: "the tool failed",
  aborted: "the decision was aborted",
  turnEnded: "the turn ended first",
  queueFull: "too many decisions are waiting",
  invalidAnswer: "the decision did not fit the request",
  invalidRequest: "the request names no thread",
  uncertainSubject:
    "the change it is about has ended already, or is not the only one of its id, so that another one might be applied",
  unknownMethod: "this client does not know the request",
  noTool: "this client has no such tool",
  closed: "the connection is closing",
};

/** Whether hooks are asked about it: something would be done with a tool. */
export function isToolUse(request: ApprovalRequest): boolean {
  return request.type === "command" || request.type === "fileChange" ||
    request.type === "permissions" || request.type === "toolCall" ||
    (request.type === "elicitation" && request.toolApproval);
}

/** Whether it must name a thread to be answered at all. */
export function belongsToThread(request: ApprovalRequest): boolean {
  return isToolUse(request) || request.type === "userInput" || request.type === "elicitation";
}

/** Whether the decision is to wait for `answer()`. */
export function isDeferred(decision: unknown): boolean {
  return isJsonObject(decision) && decision["decision"] === "defer";
}

/** Whether the decision accepts, in words. */
export function isAccept(decision: unknown): boolean {
  return isJsonObject(decision) &&
    (decision["decision"] === "accept" || decision["decision"] === "acceptForSession");
}

/** The reason a decision gives. */
export function reasonOf(decision: unknown): string | null {
  return isJsonObject(decision) && typeof decision["reason"] === "string"
    ? decision["reason"]
    : null;
}

/** The word of a raw result, for the audit. */
export function wordOf(result: JsonValue): ApprovalAudit["decision"] {
  const word = isJsonObject(result) ? result["decision"] ?? result["action"] : undefined;
  return word === "accept" || word === "acceptForSession" || word === "decline" ||
      word === "cancel"
    ? word
    : "answered";
}
