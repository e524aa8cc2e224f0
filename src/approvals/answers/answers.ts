/**
 * From a decision to the result that the server wants, for each of its requests.
 * @module
 */
import { validateAgainstSchema } from "../../schema/mod.ts";
import {
  defined,
  fitsJson,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  MAX_JSON_DEPTH,
  memberOf,
  present,
} from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import { validateServerRequestResult } from "../../protocol/validator.ts";
import type { RealPath } from "../request/facts.ts";
import type {
  ApprovalAudit,
  ApprovalDecision,
  ApprovalRequest,
  CommandApprovalRequest,
  ElicitationAnswer,
  ElicitationRequest,
  FileChangeApprovalRequest,
  ReviewAnswer,
} from "../request/types.ts";
import { narrowGrant } from "./narrow_permissions.ts";

/** What goes back to the server. */
export type WireAnswer =
  | {
    /** Discriminator. */
    type: "result";
    /** The JSON-RPC result. */
    result: JsonValue;
    /** The word for the audit. */
    word: ApprovalAudit["decision"];
  }
  | {
    /** Discriminator. */
    type: "error";
    /** The JSON-RPC error code. */
    code: number;
    /** The JSON-RPC error message. */
    message: string;
  };

/** A decision that can't be sent. */
export interface InvalidAnswer {
  /** Discriminator. */
  type: "invalid";
  /** What is wrong, without values. */
  problem: string;
}

/** What the answer's shape depends on besides the request. */
export interface AnswerContext {
  /** The server's version, such as `0.104.0`; decides how old requests are declined. Default: the oldest. */
  serverVersion?: string | null;
  /** Follows the links of a path; `null` when it can't be told. Default: paths are taken as spelled. */
  realPath?: RealPath | undefined;
  /** The time, for `currentTime/read`. Default: now. */
  now?: Date;
}

/** The answer that grants nothing, in the shape that the request wants. */
export function failClosedAnswer(
  request: ApprovalRequest,
  why = "No decision was made in time.",
  context: AnswerContext = {},
): WireAnswer {
  switch (request.type) {
    case "command":
    case "fileChange":
      return review(request, { decision: "decline", reason: why }, context);
    case "permissions":
      return result({ permissions: {}, scope: "turn" }, "decline");
    case "userInput":
      return result({ answers: {} }, "decline");
    case "elicitation":
      return unaccepted("decline");
    case "toolCall":
      return result(
        { success: false, contentItems: [{ type: "inputText", text: why }] },
        "decline",
      );
    case "currentTime":
      return result(
        { currentTimeAt: Math.floor((context.now?.getTime() ?? Date.now()) / 1000) },
        "answered",
      );
    case "authTokenRefresh":
    case "attestation":
      return { type: "error", code: -32000, message: `${request.method} was not answered: ${why}` };
    case "unknown":
      return { type: "error", code: -32601, message: `${request.method} is not supported.` };
  }
}

/** The decision in the shape that the request wants, checked; or why it can't be sent. */
export function wireAnswer(
  request: ApprovalRequest,
  decision: ApprovalDecision,
  context: AnswerContext = {},
): WireAnswer | InvalidAnswer {
  if (!isJsonObject(decision)) return invalid("expected an object");
  let answer: WireAnswer | InvalidAnswer;
  try {
    answer = build(request, decision as JsonObject & ApprovalDecision, context);
  } catch {
    return invalid(`does not fit a ${request.type} request`);
  }
  if (answer.type !== "result") return answer;
  // What can't be sent would be taken for an answer, and be none.
  if (!fitsJson(answer.result, MAX_JSON_DEPTH - 1)) {
    return invalid("can't be sent");
  }
  const problem = checkServerRequestResult(request.method, answer.result);
  return problem === null ? answer : invalid(problem);
}

function result(value: JsonValue, word: ApprovalAudit["decision"]): WireAnswer {
  return { type: "result", result: value, word };
}

function invalid(problem: string): InvalidAnswer {
  return { type: "invalid", problem };
}

const WORDS: ReadonlySet<unknown> = new Set(["accept", "acceptForSession", "decline", "cancel"]);

function build(
  request: ApprovalRequest,
  decision: JsonObject & ApprovalDecision,
  context: AnswerContext,
): WireAnswer | InvalidAnswer {
  if ("decision" in decision) {
    if (!WORDS.has(decision.decision)) {
      return invalid("decision: expected one of accept, acceptForSession, decline, cancel");
    }
    return inWords(request, decision as ReviewAnswer, context);
  }
  const wrong = invalid(`does not fit a ${request.type} request`);
  switch (request.type) {
    case "permissions": {
      if (!("permissions" in decision) || !isJsonObject(decision.permissions)) return wrong;
      const permissions = narrowGrant(decision.permissions, request.permissions, context.realPath);
      if (permissions === null) return invalid("permissions: more than was asked");
      const scope = decision.scope ?? "turn";
      const word = Object.keys(permissions).length === 0
        ? "decline"
        : scope === "session"
        ? "acceptForSession"
        : "accept";
      return result({
        permissions,
        scope,
        ...defined({ strictAutoReview: decision["strictAutoReview"] }),
      }, word);
    }
    case "userInput": {
      if (!("answers" in decision) || !isJsonObject(decision.answers)) return wrong;
      const known = new Set(request.questions.map((question) => question.id));
      const entries = Object.entries(decision.answers as Record<string, string | string[]>);
      if (entries.some(([id]) => !known.has(id))) return invalid("answers: no such question");
      const answers = entries.map(([id, given]) =>
        [id, { answers: typeof given === "string" ? [given] : given }] as const
      );
      return result({ answers: Object.fromEntries(answers) }, "answered");
    }
    case "elicitation":
      if (!("action" in decision)) return wrong;
      return answerElicitation(request, decision as JsonObject & ElicitationAnswer);
    case "toolCall":
      if (!("success" in decision)) return wrong;
      return result(
        { success: decision.success, contentItems: decision.contentItems as JsonValue },
        "answered",
      );
    case "authTokenRefresh":
      if (!("accessToken" in decision)) return wrong;
      return result({
        accessToken: decision.accessToken,
        chatgptAccountId: decision.chatgptAccountId,
        chatgptPlanType: decision.chatgptPlanType ?? null,
      }, "answered");
    case "attestation":
      return "token" in decision ? result({ token: decision.token }, "answered") : wrong;
    default:
      return wrong;
  }
}

function inWords(
  request: ApprovalRequest,
  answer: ReviewAnswer,
  context: AnswerContext,
): WireAnswer | InvalidAnswer {
  const { decision } = answer;
  const refused = decision === "decline" || decision === "cancel";
  if (request.type !== "command" && (answer.execPolicyAmendment ?? answer.networkPolicyAmendment)) {
    return invalid("only commands take policy amendments");
  }
  if (request.type === "command" || request.type === "fileChange") {
    return review(request, answer, context);
  }
  if (request.type === "permissions" && !refused) {
    const { network, fileSystem } = request.permissions;
    return result({
      permissions: present({ network, fileSystem }),
      scope: decision === "acceptForSession" ? "session" : "turn",
    }, decision);
  }
  if (request.type === "elicitation") {
    if (refused) return unaccepted(decision);
    return acceptElicitation(
      request,
      undefined,
      // Where the server does not offer to remember, once is all there is.
      decision === "acceptForSession" && request.persist.includes("session")
        ? "session"
        : undefined,
    );
  }
  if (refused) {
    const why = answer.reason ?? "The user declined this.";
    const closed = failClosedAnswer(request, why, context);
    return closed.type === "result" && request.type !== "currentTime"
      ? { ...closed, word: request.type === "permissions" ? decision : "decline" }
      : closed;
  }
  return invalid(`a ${request.type} request can't be answered by ${decision} alone`);
}

function answerElicitation(
  request: ElicitationRequest,
  answer: ElicitationAnswer,
): WireAnswer | InvalidAnswer {
  const { action, content, persist } = answer;
  return action === "accept" ? acceptElicitation(request, content, persist) : unaccepted(action);
}

/** What an MCP server asks for is not given. */
function unaccepted(action: "decline" | "cancel"): WireAnswer {
  return result({ action, content: null, _meta: null }, action);
}

function acceptElicitation(
  request: ElicitationRequest,
  given: JsonValue | undefined,
  persist: string | undefined,
): WireAnswer | InvalidAnswer {
  const content = given ??
    (request.toolApproval || asksForNothing(request.requestedSchema) ? {} : null);
  if (request.mode !== "url" && !request.toolApproval) {
    const problem = formProblem(request.requestedSchema, content);
    if (problem !== null) return invalid(problem);
    if (request.mode !== "form" && given === undefined) {
      return invalid(`content: missing for mode ${request.mode}`);
    }
  }
  if (persist !== undefined && !request.persist.includes(persist)) {
    return invalid("persist: not offered by the server");
  }
  return result(
    { action: "accept", content, _meta: persist === undefined ? null : { persist } },
    persist === undefined ? "accept" : "acceptForSession",
  );
}

function review(
  request: CommandApprovalRequest | FileChangeApprovalRequest,
  answer: ReviewAnswer,
  context: AnswerContext,
): WireAnswer {
  const { decision } = answer;
  const refused = decision === "decline" || decision === "cancel";
  const { execPolicyAmendment: words, networkPolicyAmendment: network } = answer;
  if (words !== undefined) {
    if (decision !== "accept" || words.length === 0) throw new TypeError("execPolicyAmendment");
    return result({
      decision: request.legacy
        ? { approved_execpolicy_amendment: { proposed_execpolicy_amendment: words } }
        : { acceptWithExecpolicyAmendment: { execpolicy_amendment: words } },
    }, decision);
  }
  if (network !== undefined) {
    // The word and the rule must say the same, and the rule must be about the host in question.
    const hosts = request.type !== "command" ? [] : [
      request.network?.host,
      ...(request.proposedNetworkPolicyAmendments ?? []).map((one) => one.host),
    ];
    if ((network.action === "deny") !== refused || !hosts.includes(network.host)) {
      throw new TypeError("networkPolicyAmendment");
    }
    const amendment = {
      network_policy_amendment: { host: network.host, action: network.action },
    };
    return result({
      decision: request.legacy
        ? { network_policy_amendment: amendment }
        : { applyNetworkPolicyAmendment: amendment },
    }, decision);
  }
  if (!request.legacy) return result({ decision }, decision);
  return result({ decision: legacyWord(answer, context) }, decision);
}

function legacyWord(answer: ReviewAnswer, context: AnswerContext): JsonValue {
  switch (answer.decision) {
    case "accept":
      return "approved";
    case "acceptForSession":
      return "approved_for_session";
    case "cancel":
      return "abort";
    case "decline":
      return supports(context.serverVersion, "denialWithReason")
        ? { denied: { rejection: answer.reason ?? "The user declined this." } }
        : "denied";
  }
}

/** Whether a form can be accepted without an entry. */
function asksForNothing(schema: JsonObject | null): boolean {
  if (schema === null) return false;
  const required = schema["required"];
  return !Array.isArray(required) || required.length === 0;
}

/**
 * What a form's fields are held against. An MCP server wrote the schema: its patterns and references could keep this script
 * busy without end, so those are left to that server.
 */
const FIELD_KEYWORDS = ["type", "enum", "minLength", "maxLength", "minimum", "maximum"];

/** What is wrong with a form's content, without its values; `null` when it fits. */
function formProblem(schema: JsonObject | null, content: JsonValue): string | null {
  if (schema === null) return null;
  if (!isJsonObject(content)) return "content: expected object";
  const { required, properties } = schema;
  const fields = Object.entries(isJsonObject(properties) ? properties : {}).map(([name, field]) => {
    const given = Object.entries(isJsonObject(field) ? field : {});
    return [name, Object.fromEntries(given.filter(([key]) => FIELD_KEYWORDS.includes(key)))];
  });
  const flat: JsonObject = { properties: Object.fromEntries(fields) };
  if (Array.isArray(required)) flat["required"] = required;
  const issue = validateAgainstSchema(content, flat)[0];
  return issue === undefined ? null : `content${issue.path.slice(1)}: ${issue.message}`;
}

// Whether a result fits the server's request that it answers.

/** Fields that the protocol lets a result leave out, though not every server takes it without them. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  "item/permissions/requestApproval": ["scope"],
  "mcpServer/elicitation/request": ["content", "_meta"],
  "account/chatgptAuthTokens/refresh": ["chatgptPlanType"],
};

/** Requests of the first protocol, which older servers want to hear a plain `"denied"` for. */
const FIRST_PROTOCOL = new Set(["execCommandApproval", "applyPatchApproval"]);

/**
 * Says what is wrong with a result for one of the server's requests, without its values; `null` when it fits, or when
 * the method is not known.
 */
export function checkServerRequestResult(method: string, result: unknown): string | null {
  if (FIRST_PROTOCOL.has(method) && isJsonObject(result) && result["decision"] === "denied") {
    return Object.keys(result).length === 1
      ? null
      : "$: has a field that this answer does not know";
  }
  const issue = validateServerRequestResult(method, result);
  if (issue !== null) return `${issue.path}: ${issue.expectation}`;
  // The rest of the turn would be judged by codex's own reviewer, and by nobody here (0.169).
  if (memberOf(result as JsonValue, "strictAutoReview")) {
    return "$.strictAutoReview: expected false, since codex would ask nobody here";
  }
  const needed = Object.hasOwn(NEEDED, method) ? NEEDED[method]! : [];
  const missing = needed.find((name) => isJsonObject(result) && result[name] === undefined);
  return missing === undefined ? null : `$.${missing}: missing`;
}
