/**
 * A question that waits for its answer, and what an answer would let happen.
 * @module
 */
import { longTimeout, type Timers } from "../../async.ts";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  objectOf,
  plain,
} from "../../json.ts";
import type { WireAnswer } from "../answers/answers.ts";
import { isAboutCall } from "../request/facts.ts";
import { normalHost } from "../rules/match_path.ts";
import type {
  ApprovalAudit,
  ApprovalDecider,
  ApprovalRequest,
  FailClosedReason,
  PendingApproval,
} from "../request/types.ts";
import type { BrokerReply, Grant, ServerCall, ThreadGate } from "./gate.ts";

/** Who decided, and why. */
export interface Ruling {
  /** Who. */
  by: ApprovalDecider;
  /** The rule or hook. */
  rule?: string | null;
  /** Why. */
  reason?: FailClosedReason | (string & Record<never, never>) | null;
}

/** One question from its arrival to its answer. */
export class PendingCall {
  readonly call: ServerCall;
  readonly request: ApprovalRequest;
  readonly gate: ThreadGate | undefined;
  /** What codex will look up to find out what the answer is for; `null` where that is certain. */
  readonly subject: string | null;
  /** What would be done, where only that is asked; else `null`. */
  readonly content: string | null;
  /** Whether something else may be asked, or begin, under the same id of the model's. */
  readonly mayHaveTwins: boolean;
  /** Settles when whatever else the server asks under the same id has been heard. */
  heard: Promise<void> | undefined = undefined;
  /** Where its places led when it came; `undefined` where no links are followed. */
  places: string | undefined = undefined;
  /** The session that it belongs to; `undefined` for a thread without one. */
  session: ThreadGate | undefined = undefined;
  /** It was granted, and waits to be sent until all was heard. */
  held = false;
  /** Its turn is being stopped: nothing is granted in it any more. */
  stopping = false;
  /** Its session was told that it is asked. */
  announced = false;
  /** What it waits for. */
  waitingFor: PendingApproval["waitingFor"] = "hook";
  /** It may be asked again after its answer. */
  kept = false;
  /** The answer that it got, of what is kept as it was then; `null` while there is none, or where nobody here gave it. */
  answered: WireAnswer | null = null;
  /** Gives the answer that was found while the connection was lost. */
  later: (() => void) | null = null;
  #reply: BrokerReply;
  #away: PromiseWithResolvers<void> | null = null;
  #controller: AbortController = new AbortController();
  #timers: Timers | undefined;
  #cancelTimer: (() => void) | null = null;
  #deadline: number | null = null;
  #settled = false;

  constructor(
    call: ServerCall,
    request: ApprovalRequest,
    gate: ThreadGate | undefined,
    reply: BrokerReply,
    timers: Timers | undefined,
    /** Whether codex may take the answer to an MCP server's form for consent to a call of it. */
    mixesForms = false,
  ) {
    this.call = call;
    this.request = request;
    this.subject = subjectOf(call, request);
    this.content = contentOf(request);
    // The answer to the others grants nothing; the id of an MCP call is not in its question, nor that of a form.
    this.mayHaveTwins = request.type === "elicitation"
      ? isAboutCall(request) || mixesForms
      : this.subject !== null && request.type !== "toolCall" && request.type !== "userInput";
    this.gate = gate;
    this.#reply = reply;
    this.#timers = timers;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** While the connection is lost on which it was asked, and it will be asked again: settles when that is over. */
  get away(): Promise<void> | null {
    return this.#away?.promise ?? null;
  }

  /** The connection is lost, and the server asks again on the next one. */
  leave(): void {
    this.#away ??= Promise.withResolvers();
  }

  /** It is asked again, and the answer goes this way; without one, it will not be. */
  comeBack(reply: BrokerReply = this.#reply): void {
    this.#reply = reply;
    this.#away?.resolve();
    this.#away = null;
  }

  startTimer(now: number, ms: number, fire: () => void): void {
    if (this.#settled || !Number.isFinite(ms)) return;
    this.#deadline = now + ms;
    this.#cancelTimer = longTimeout(fire, ms, this.#timers);
  }

  stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#deadline = null;
  }

  /** For whoever is asked: what is done to a list of it, to show it, must not reach what is granted. */
  get copy(): ApprovalRequest {
    return structuredClone(this.request);
  }

  describe(): PendingApproval {
    return {
      request: this.copy,
      waitingFor: this.waitingFor,
      deadline: this.#deadline === null ? null : new Date(this.#deadline),
    };
  }

  /** Sends the answer (`null`: another client did) and gives the audit; `null` when it was answered before. */
  settle(answer: WireAnswer | null, ruling: Ruling, now: number): ApprovalAudit | null {
    if (this.#settled) return null;
    this.#settled = true;
    this.stopTimer();
    this.answered = this.kept ? plain(answer) : answer;
    this.comeBack();
    const sent = answer === null || send(this.#reply, answer);
    const { request } = this;
    return {
      id: request.id,
      method: request.method,
      type: request.type,
      threadId: request.threadId,
      turnId: request.turnId,
      itemId: request.itemId,
      decision: answer === null || !sent ? "none" : answer.type === "error" ? "error" : answer.word,
      decidedBy: ruling.by,
      rule: ruling.rule ?? null,
      reason: sent ? ruling.reason ?? null : "closed",
      requestedAt: request.requestedAt,
      durationMs: Math.max(0, now - request.requestedAt.getTime()),
    };
  }

  /** Tells whoever is still active that the answer is no longer wanted. */
  abort(reason: string): void {
    this.#controller.abort(new DOMException(reason, "AbortError"));
  }
}

/** Gives an answer; `false` when the connection is gone, and nobody waits for it any more. */
export function send(reply: BrokerReply, answer: WireAnswer): boolean {
  try {
    if (answer.type === "result") reply.respond(answer.result);
    else reply.reject(answer.code, answer.message);
    return true;
  } catch {
    return false;
  }
}

// What an answer would let the agent do beyond its sandbox, read from the answer itself.

const ACCEPTED: ReadonlySet<unknown> = new Set([
  "accept",
  "acceptForSession",
  "approved",
  "approved_for_session",
]);

/** What the result grants; `null` when it grants nothing on the server's machine. */
export function grantOf(request: ApprovalRequest, result: JsonValue): Grant | null {
  const fields: JsonObject = isJsonObject(result) ? result : {};
  switch (request.type) {
    case "command": {
      const { decision } = fields;
      const host = allowedHost(decision);
      if (host !== null) {
        const network = { host: normalHost(host) ?? "" };
        return host === "" ? null : { type: "command", network, plain: false };
      }
      if (!isAccepted(decision)) return null;
      const { network, additionalPermissions, command } = request;
      // A rule for later commands lets them run, whatever this question was about; one about a host that names a command may
      // start that once more.
      const only = typeof decision === "string" && additionalPermissions === null &&
        (network === null || command === null);
      return {
        type: "command",
        network: only && network !== null ? { host: normalHost(network.host) ?? "" } : null,
        plain: only,
      };
    }
    case "fileChange": {
      if (!isAccepted(fields["decision"])) return null;
      const { changes, grantRoot } = request;
      return { type: "fileChange", changes, grantRoot };
    }
    case "permissions": {
      const granted = fields["permissions"];
      if (!isJsonObject(granted) || Object.keys(granted).length === 0) return null;
      return {
        type: "permissions",
        permissions: {
          network: objectOf(granted, "network"),
          fileSystem: objectOf(granted, "fileSystem"),
        },
      };
    }
    default:
      return null;
  }
}

/** Whether the result lets something be done, here or by an MCP server. */
export function permits(request: ApprovalRequest, result: JsonValue): boolean {
  if (request.type !== "elicitation") return grantOf(request, result) !== null;
  return isJsonObject(result) && result["action"] === "accept";
}

/** Whether the first is an MCP server's own form, and the other is codex's question about a call of that server. */
export function sharesServer(
  { request: form }: PendingCall,
  { request: call }: PendingCall,
): boolean {
  return form.type === "elicitation" && !form.toolApproval && call.type === "elicitation" &&
    call.toolApproval && form.threadId === call.threadId && form.server === call.server;
}

function isAccepted(decision: JsonValue | undefined): boolean {
  if (!isJsonObject(decision)) return ACCEPTED.has(decision);
  return !("denied" in decision);
}

/** The host of a network rule; `""` when the rule forbids it, `null` when the decision is no such rule. */
function allowedHost(decision: JsonValue | undefined): string | null {
  if (!isJsonObject(decision)) return null;
  const outer = decision["applyNetworkPolicyAmendment"] ?? decision["network_policy_amendment"];
  const rule = memberOf(outer, "network_policy_amendment");
  if (!isJsonObject(rule) || typeof rule["host"] !== "string") return null;
  return rule["action"] === "allow" ? rule["host"] : "";
}

// What requests and decisions are, in words.

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
    "what it is about has ended already, or is not the only one of its id, so that another one might be done",
  unknownMethod: "this client does not know the request",
  noTool: "this client has no such tool",
  closed: "the connection is closing",
};

/**
 * Codex answers by the id of the question where it has one of its own, else by that of the call, which the model made. It keeps
 * calls of tools and questions to the user apart from what wants consent.
 */
function subjectOf(call: ServerCall, request: ApprovalRequest): string | null {
  const { type, threadId, itemId } = request;
  if (!isToolUse(request) && type !== "userInput") return null;
  const params: JsonObject = isJsonObject(call.params) ? call.params : {};
  const id = params["approvalId"] ?? itemId;
  if (id === null) return null;
  const kind = type === "toolCall" || type === "userInput" ? type : "consent";
  return JSON.stringify([threadId, kind, id]);
}

function contentOf(request: ApprovalRequest): string | null {
  if (request.type === "fileChange") return JSON.stringify(request.changes);
  if (request.type !== "command") return null;
  const { command, cwd, action, network } = request;
  // Typing into a running command, or its reaching a host, is asked about while it goes on.
  return action === "command" && network === null ? JSON.stringify([command, cwd]) : null;
}

/** Whether hooks are asked about it: something would be done with a tool. */
export function isToolUse(request: ApprovalRequest): boolean {
  return request.type === "command" || request.type === "fileChange" ||
    request.type === "permissions" || request.type === "toolCall" ||
    (request.type === "elicitation" && isAboutCall(request));
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
  const word = memberOf(result, "decision") ?? memberOf(result, "action");
  return word === "accept" || word === "acceptForSession" || word === "decline" ||
      word === "cancel"
    ? word
    : "answered";
}
