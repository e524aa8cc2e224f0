/**
 * Answers every request of one connection's server exactly once. A question goes the same way always: it is received (here),
 * hooked, ruled, asked ({@linkcode Judging}), guarded, sent and reported ({@linkcode Answering}).
 * @module
 */
import { isJsonObject, type JsonObject } from "../../json.ts";
import { Answering } from "./answering.ts";
import { AskedIds } from "./asked_ids.ts";
import { isCalled, isUncertain } from "./doubt.ts";
import { Judging } from "./judging.ts";
import { KeptCalls } from "./kept_calls.ts";
import {
  belongsToThread,
  isAccept,
  isDeferred,
  isToolUse,
  PendingCall,
  reasonOf,
  WHY,
} from "./pending.ts";
import { wireAnswer } from "../answers/answers.ts";
import { checkApprovals } from "../rules/check_rules.ts";
import type { BrokerOptions, BrokerReply, BrokerState, ServerCall, ThreadGate } from "./gate.ts";
import { parseRequest, threadOf } from "../request/parse_request.ts";
import type {
  ApprovalDecision,
  ApprovalRequest,
  FailClosedReason,
  PendingApproval,
} from "../request/types.ts";

/**
 * Answers the server's requests: hooks may refuse first, then rules decide, then a handler is asked; whatever goes wrong
 * on the way gets the answer that grants nothing. Does no input or output itself.
 */
export class ApprovalBroker {
  #options: BrokerOptions;
  readonly #state: BrokerState;
  #pending: Map<string, PendingCall> = new Map();
  readonly #answering: Answering;
  readonly #judging: Judging;
  readonly #calls: KeptCalls = new KeptCalls();
  readonly #ids: AskedIds = new AskedIds();
  /** Threads whose turn is being stopped. */
  readonly #stopping: Set<string> = new Set();
  #closed = false;

  /** Creates a broker for rules that are well-formed, and whoever takes part. */
  constructor(options: BrokerOptions, state: BrokerState) {
    checkApprovals(options.approvals);
    this.#options = options;
    this.#state = state;
    this.#answering = new Answering(options, state.changes, this.#pending);
    this.#judging = new Judging(options, this.#answering, () => state.reader);
    state.left = (threadId) => this.#left(threadId);
  }

  /** Takes a request of the server. Returns at once, never throws, and sees to it that one answer is given. */
  handle(call: ServerCall, reply: BrokerReply): void {
    const threadId = call.threadId ?? threadOf(call.params);
    let gate: ThreadGate | undefined;
    let lost = false;
    try {
      gate = this.#gateOf(threadId, call);
    } catch {
      lost = true;
    }
    const request = this.#parse(call, threadId, gate);
    const pending = new PendingCall(
      call,
      request,
      gate,
      reply,
      this.#options.timers,
      this.#answering.mixesForms(),
    );
    pending.session = this.#state.gates.get(threadId ?? "");
    pending.stopping = this.#stopping.has(threadId ?? "");
    if (request.type === "currentTime" && this.#state.reader === null) {
      return this.#answering.settle(pending, this.#answering.closedAnswer(request, ""), {
        by: "library",
      });
    }
    const known = this.#options.repeats === true ? this.#calls.known(pending) : null;
    if (known !== null) return this.#answering.again(known, reply);
    this.#dropSuperseded(call);
    const twins = this.#twinsOf(pending);
    const refusal = lost ? "hookThrew" : this.#refusal(request, twins.length > 0);
    for (const twin of twins) this.#answering.failClosed(twin, "uncertainSubject");
    const repeats = this.#ids.repeats(pending);
    const isLate = this.#answering.overlapsGranted(pending);
    if (isLate || twins.length > 0 || refusal === "uncertainSubject") this.#ids.foundTwins(pending);
    // Codex may have taken the other's acceptance for this one's: the turn is stopped before it has done much.
    if (isLate) return this.#answering.stopTurn(pending);
    if (refusal !== null) return this.#answering.failClosed(pending, refusal);
    this.#pending.set(request.id, pending);
    if (isToolUse(request)) pending.places = this.#answering.places(pending);
    if (pending.mayHaveTwins) pending.heard = this.#options.heardAll?.(repeats);
    pending.heard?.catch(() => {});
    pending.startTimer(this.#answering.now(), this.#options.timeoutMs, () => {
      this.#answering.failClosed(pending, "timeout");
    });
    this.#judging.judge(pending).catch(() => this.#answering.failClosed(pending, "handlerThrew"));
  }

  /** Another client of the same server answered, or the server withdrew the request. Nothing more is sent for it. */
  resolvedElsewhere(rpcId: number | string, threadId: string | null): void {
    for (const pending of [...this.#pending.values()]) {
      const own = pending.request.threadId;
      if (pending.call.rpcId !== rpcId || (own !== null && threadId !== null && own !== threadId)) {
        continue;
      }
      this.#answering.settle(pending, null, { by: "otherClient" }, "resolved elsewhere");
    }
  }

  /**
   * The server said something of a thread: what later questions about its items mean. True when it was said for that
   * alone.
   */
  noticed(threadId: string, method: string, params: JsonObject): boolean {
    const { item } = params;
    if (method === "item/completed" && isJsonObject(item) && typeof item["id"] === "string") {
      this.#answering.ended(threadId, { itemId: item["id"] });
      this.#calls.answered(threadId, item);
    }
    return this.#state.changes.noticed(threadId, method, params);
  }

  /** The turn ended: what it still asks gets the fail-closed answer, and whoever works on it is told by the signal. */
  turnEnded(threadId: string, turnId: string): void {
    this.#state.changes.turnEnded(threadId);
    this.#answering.ended(threadId);
    this.toolsEnd(threadId, turnId, "over");
  }

  /**
   * What becomes of calls of tools, whose turn may end while its server is not heard: it is being stopped (`turnId`: `null`), which
   * ends those that wait for the next connection, and nothing more is granted; it is lost, and interrupted next; or it is over,
   * and all that it asks is.
   */
  toolsEnd(threadId: string, turnId: string | null, how: "stopped" | "lost" | "over"): void {
    for (const pending of this.#calls.of(threadId, turnId, how === "over")) {
      if (how === "over") this.#answering.giveUp(pending, "turnEnded");
      else if (how === "lost" || pending.away !== null) this.#answering.drop(pending);
    }
    if (how === "stopped") this.#stopping.add(threadId);
    else this.#stopping.delete(threadId);
    if (how === "over" && turnId !== null) this.#answering.ended(threadId, { turnId });
    for (const pending of [...this.#pending.values()]) {
      const { request } = pending;
      if (request.threadId !== threadId) continue;
      if (how === "stopped") this.#answering.stopping(pending);
      if (how !== "over" || request.turnId !== turnId) continue;
      this.#answering.failClosed(pending, "turnEnded");
    }
  }

  /** The questions that wait, oldest first. */
  pending(): PendingApproval[] {
    return [...this.#pending.values()].map((pending) => pending.describe());
  }

  /**
   * Answers a question that waits for a handler, by hand. `false` when there is none with this id (any more), when a hook
   * or a tool is still active on it, or when the decision does not fit; then the question stays open. An answer that
   * grants more than this script may do itself declines; the audit says so.
   */
  answer(id: string, decision: ApprovalDecision): boolean {
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.held || pending.waitingFor !== "handler") return false;
    if (isDeferred(decision)) return false;
    if (pending.request.type === "toolCall" && isAccept(decision)) {
      if (pending.gate?.runTool === undefined) return false;
      void this.#judging.callTool(pending);
      return true;
    }
    const answer = wireAnswer(pending.request, decision, this.#answering.context());
    if (answer.type === "invalid") return false;
    this.#answering.settle(
      pending,
      answer,
      { by: "handler", reason: reasonOf(decision) },
      "answered by hand",
    );
    return true;
  }

  /** Answers everything that waits with the fail-closed answer, and every later request at once. */
  close(reason: string = WHY.closed): void {
    this.#closed = true;
    this.reset(reason);
    this.#state.gates.clear();
    this.#state.reader = null;
  }

  /**
   * The server is gone and another one will follow: what waits is settled, the gates stay. `ended`: what it did ended with it,
   * so that ids which come again mean something else. Else calls of tools go on, which it will make again.
   */
  reset(reason: string, ended = false): void {
    if (ended) {
      this.#answering.allEnded();
      this.#stopping.clear();
    }
    if (ended || this.#closed) this.#calls.clear();
    for (const pending of [...this.#pending.values()]) {
      if (this.#calls.has(pending) && pending.waitingFor !== "reader") pending.leave();
      else this.#answering.giveUp(pending, "closed", reason);
    }
  }

  /** Its session has ended: nobody is there for what is asked of it, also where no turn asks. */
  #left(threadId: string): void {
    this.#stopping.delete(threadId);
    for (const pending of [...this.#pending.values()]) {
      if (pending.request.threadId !== threadId) continue;
      this.#answering.giveUp(pending, "closed", "the session ended");
    }
  }

  #gateOf(threadId: string | null, call: ServerCall): ThreadGate | undefined {
    const own = threadId === null ? undefined : this.#state.gates.get(threadId);
    const gate = own ?? this.#openingOf(call) ?? this.#options.gateFor?.(threadId);
    checkApprovals(gate?.approvals);
    return gate;
  }

  /**
   * MCP servers that must be there ask before codex tells of their thread: for no turn. Of several that are opened it may be any,
   * and where these would be answered differently nobody is asked.
   */
  #openingOf({ method, params }: ServerCall): ThreadGate | undefined {
    const { openings } = this.#state;
    if (openings.size === 0 || method !== "mcpServer/elicitation/request") return undefined;
    if (isJsonObject(params) && typeof params["turnId"] === "string") return undefined;
    const [first, ...others] = openings;
    return others.every(({ approvals }) => isAlike(approvals, first!.approvals))
      ? first
      : { approvals: () => ({ decision: "decline" }) };
  }

  #parse(call: ServerCall, threadId: string | null, gate: ThreadGate | undefined): ApprovalRequest {
    const now = new Date(this.#answering.now());
    try {
      const request = parseRequest(call.method, call.params, {
        now,
        item: (itemId) => this.#state.changes.find(threadId, itemId) ?? gate?.item?.(itemId),
      });
      const own = request.threadId === null ? { ...request, threadId } : request;
      if (own.type !== "elicitation" || !own.toolApproval) return own;
      return isCalled(this.#state.changes, own)
        ? own
        : { ...own, toolApproval: false, mcpTool: null, toolArguments: null };
    } catch {
      return parseRequest(call.method, null, { now });
    }
  }

  /** Why a request is not even considered, or `null`. */
  #refusal(request: ApprovalRequest, hasTwins: boolean): FailClosedReason | null {
    if (this.#closed) return "closed";
    if (request.type === "unknown" && this.#state.reader === null) return "unknownMethod";
    if (this.#pending.size >= this.#options.maxPending) return "queueFull";
    if (request.threadId === null && belongsToThread(request)) return "invalidRequest";
    if (hasTwins || isUncertain(this.#state.changes, request)) return "uncertainSubject";
    return null;
  }

  /**
   * What waits under the same id. Codex looks up what an answer is for by the id that the model made, in the newest of two: the
   * first's acceptance would run the second (0.104 to 0.169).
   */
  #twinsOf({ subject }: PendingCall): PendingCall[] {
    if (subject === null) return [];
    return [...this.#pending.values()].filter((other) => other.subject === subject);
  }

  /** A server that uses an id again has forgotten the first request; answering both would answer the second twice. */
  #dropSuperseded(call: ServerCall): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.call.rpcId === call.rpcId) {
        this.#answering.settle(pending, null, { by: "otherClient" }, "superseded");
      }
    }
  }
}

/** Whether both answer alike: each session has copies of its own of rules that were given to several. */
function isAlike(one: unknown, other: unknown): boolean {
  // What a class made, such as a RegExp, is the caller's own, and not copied.
  if (!isPlain(one) || !isPlain(other)) return one === other;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length &&
    names.every((name) => name in other && isAlike(one[name], other[name]));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null &&
    [Object.prototype, Array.prototype, null].includes(Object.getPrototypeOf(value));
}
