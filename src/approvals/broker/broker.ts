/**
 * Answers every request of one connection's server exactly once.
 * @module
 */
import { CodexError, messageOf, RpcValidationError } from "../../errors/mod.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import { grantOf } from "./grant.ts";
import { OpenChanges } from "./open_changes.ts";
import { PendingCall, type Ruling } from "./pending.ts";
import {
  belongsToThread,
  isAccept,
  isDeferred,
  isToolUse,
  reasonOf,
  WHY,
  wordOf,
} from "./ruling_words.ts";
import { checkServerRequestResult } from "../answers/answer_shapes.ts";
import {
  type AnswerContext,
  failClosedAnswer,
  type WireAnswer,
  wireAnswer,
} from "../answers/answers.ts";
import { checkApprovals } from "../rules/check_rules.ts";
import { decide, type RuleDecision } from "../rules/decide.ts";
import type { BrokerOptions, BrokerReply, ReaderRequest, ServerCall, ThreadGate } from "./gate.ts";
import { parseRequest, threadOf } from "../request/parse_request.ts";
import type {
  ApprovalAudit,
  ApprovalDecision,
  ApprovalHandler,
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
  #gates: Map<string, ThreadGate> = new Map();
  #pending: Map<string, PendingCall> = new Map();
  readonly #changes: OpenChanges = new OpenChanges();
  #reader: ((request: ReaderRequest) => void) | null = null;
  #closed = false;

  /** Creates a broker. Throws `InvalidArgumentError` when the rules are not well-formed. */
  constructor(options: BrokerOptions) {
    checkApprovals(options.approvals);
    this.#options = options;
  }

  /**
   * Lets an open session take part for its thread, until the returned function is called. The last one registered for a
   * thread counts. Throws `InvalidArgumentError` when its rules are not well-formed.
   */
  registerThread(threadId: string, gate: ThreadGate): () => void {
    checkApprovals(gate.approvals);
    this.#gates.set(threadId, gate);
    return () => {
      if (this.#gates.get(threadId) === gate) this.#gates.delete(threadId);
    };
  }

  /** Takes a request of the server. Returns at once, never throws, and sees to it that one answer is given. */
  handle(call: ServerCall, reply: BrokerReply): void {
    const threadId = call.threadId ?? threadOf(call.params);
    let gate: ThreadGate | undefined;
    let lost = false;
    try {
      gate = this.#gateOf(threadId);
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
    );
    if (request.type === "currentTime" && this.#reader === null) {
      return this.#settle(pending, this.#closedAnswer(request, ""), { by: "library" });
    }
    const refusal = lost ? "hookThrew" : this.#refusal(request);
    quietly(() => gate?.onRequested?.(request));
    if (refusal !== null) return this.#failClosed(pending, refusal);
    this.#dropSuperseded(call);
    this.#pending.set(request.id, pending);
    pending.startTimer(this.#now(), this.#options.timeoutMs, () => {
      this.#failClosed(pending, "timeout");
    });
    this.#run(pending).catch(() => this.#failClosed(pending, "handlerThrew"));
  }

  /** Another client of the same server answered, or the server withdrew the request. Nothing more is sent for it. */
  resolvedElsewhere(rpcId: number | string, threadId: string | null): void {
    for (const pending of [...this.#pending.values()]) {
      const own = pending.request.threadId;
      if (pending.call.rpcId !== rpcId || (own !== null && threadId !== null && own !== threadId)) {
        continue;
      }
      this.#settle(pending, null, { by: "otherClient" }, "resolved elsewhere");
    }
  }

  /**
   * The server said something of a thread: what later questions about its items mean. True when it was said for that
   * alone.
   */
  noticed(threadId: string, method: string, params: JsonObject): boolean {
    return this.#changes.noticed(threadId, method, params);
  }

  /** The turn ended: what it still asks gets the fail-closed answer, and whoever works on it is told by the signal. */
  turnEnded(threadId: string, turnId: string): void {
    this.#changes.turnEnded(threadId);
    for (const pending of [...this.#pending.values()]) {
      const { request } = pending;
      if (request.threadId === threadId && request.turnId === turnId) {
        this.#failClosed(pending, "turnEnded");
      }
    }
  }

  /**
   * Gives every request to one reader, which answers by hand. Hooks, `deny` rules and tools of this process still come
   * first; what it does not answer in time gets the fail-closed answer. Throws while another reader is attached.
   */
  attachReader(reader: (request: ReaderRequest) => void): () => void {
    if (this.#reader !== null) {
      throw new CodexError(
        "serverRequestsTaken",
        "The server's requests are already read by another reader. End that one first.",
      );
    }
    this.#reader = reader;
    return () => {
      if (this.#reader === reader) this.#reader = null;
    };
  }

  /** The questions that wait, oldest first. */
  pending(): PendingApproval[] {
    return [...this.#pending.values()].map((pending) => pending.describe());
  }

  /**
   * Answers a question that waits for a handler, by hand. `false` when there is none with this id (any more), when a hook
   * or a tool is still at work on it, or when the decision does not fit; then the question stays open. An answer that
   * grants more than this script may do itself declines; the audit says so.
   */
  answer(id: string, decision: ApprovalDecision): boolean {
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.waitingFor !== "handler" || isDeferred(decision)) {
      return false;
    }
    const answer = wireAnswer(pending.request, decision, this.#context());
    if (answer.type === "invalid") return false;
    this.#settle(
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
    this.#gates.clear();
    this.#reader = null;
  }

  /** The server is gone and another one will follow: what waits is settled, the gates stay. */
  reset(reason: string): void {
    for (const pending of [...this.#pending.values()]) {
      this.#failClosed(pending, "closed", reason);
    }
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #context(): AnswerContext {
    let serverVersion: string | null = null;
    quietly(() => serverVersion = this.#options.serverVersion?.() ?? null);
    return { serverVersion, realPath: this.#options.realPath, now: new Date(this.#now()) };
  }

  #gateOf(threadId: string | null): ThreadGate | undefined {
    const own = threadId === null ? undefined : this.#gates.get(threadId);
    if (own !== undefined) return own;
    const other = this.#options.gateFor?.(threadId);
    checkApprovals(other?.approvals);
    return other;
  }

  #parse(call: ServerCall, threadId: string | null, gate: ThreadGate | undefined): ApprovalRequest {
    const now = new Date(this.#now());
    try {
      const request = parseRequest(call.method, call.params, {
        now,
        item: (itemId) => this.#changes.find(threadId, itemId) ?? gate?.item?.(itemId),
      });
      return request.threadId === null ? { ...request, threadId } : request;
    } catch {
      return parseRequest(call.method, null, { now });
    }
  }

  /** Why a request is not even considered, or `null`. */
  #refusal(request: ApprovalRequest): FailClosedReason | null {
    if (this.#closed) return "closed";
    if (request.type === "unknown" && this.#reader === null) return "unknownMethod";
    if (this.#pending.size >= this.#options.maxPending) return "queueFull";
    if (request.threadId === null && belongsToThread(request)) return "invalidRequest";
    if (this.#changes.isUncertain(request)) return "uncertainSubject";
    return null;
  }

  /** A server that uses an id again has forgotten the first request; answering both would answer the second twice. */
  #dropSuperseded(call: ServerCall): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.call.rpcId === call.rpcId) {
        this.#settle(pending, null, { by: "otherClient" }, "superseded");
      }
    }
  }

  async #run(pending: PendingCall): Promise<void> {
    const { request, gate } = pending;
    if (gate?.preToolUse !== undefined && isToolUse(request)) {
      if (await this.#isBlocked(pending, gate)) return;
    }
    const reader = this.#reader;
    const approvals = gate?.approvals ?? this.#options.approvals;
    const rules = typeof approvals === "object" ? approvals : null;
    const ruled: RuleDecision = rules === null
      ? { effect: "ask", rule: null }
      : decide(rules, request, {
        ...(this.#options.realPath === undefined ? {} : { realPath: this.#options.realPath }),
        sandboxed: gate?.sandboxed?.() ?? true,
      });
    const named = ruled.effect !== "allow" && ruled.rule !== null;
    if (ruled.effect === "deny" && named) return this.#denyByRule(pending, ruled.rule);
    const unacceptable = this.#unacceptable(pending);
    if (unacceptable !== null) return this.#decline(pending, unacceptable, ruled.rule);
    // Giving a session a tool is consent to its calls, unless a rule says otherwise.
    if (request.type === "toolCall" && !named && await this.#ranTool(pending)) return;
    if (reader !== null) return this.#giveToReader(pending, reader);
    if (ruled.effect === "deny") return this.#denyByRule(pending, null);
    if (ruled.effect === "allow" && request.type !== "toolCall") {
      const decision = ruled.scope === "session" ? "acceptForSession" : "accept";
      return this.#send(pending, { decision }, { by: "rule", rule: ruled.rule });
    }
    const handler = typeof approvals === "function" ? approvals : rules?.ask;
    await this.#ask(pending, handler, ruled.rule);
  }

  #denyByRule(pending: PendingCall, rule: string | null): void {
    const reason = rule === null ? "no rule matched" : null;
    this.#send(pending, {
      decision: "decline",
      reason: rule === null ? "No rule allows this." : `The rule "${rule}" forbids this.`,
    }, { by: "rule", rule, reason });
  }

  async #isBlocked(pending: PendingCall, gate: ThreadGate): Promise<boolean> {
    const { request, signal } = pending;
    try {
      const verdict = await gate.preToolUse?.(request, { signal });
      if (pending.settled) return true;
      if (verdict?.type === "continue") return false;
      const { reason, hookName } = verdict?.type === "block"
        ? verdict
        : { reason: "hookThrew", hookName: null };
      const ruling: Ruling = { by: "hook", rule: hookName, reason };
      this.#send(pending, { decision: "decline", reason }, ruling);
    } catch {
      this.#failClosed(pending, "hookThrew");
    }
    return true;
  }

  /** Runs the session's own tool; `false` when it has none of that name. */
  async #ranTool(pending: PendingCall): Promise<boolean> {
    const { request, gate, signal } = pending;
    const { threadId, turnId } = request;
    if (request.type !== "toolCall" || gate?.runTool === undefined || threadId === null) {
      return false;
    }
    const { tool, namespace, arguments: args, callId } = request;
    pending.waitingFor = "tool";
    // The turn's own limit bounds a tool; the approval limit is about people.
    pending.stopTimer();
    try {
      const result = await gate.runTool(
        { tool, namespace, arguments: args, callId, threadId, turnId: turnId ?? "" },
        { signal },
      );
      if (result === undefined && !pending.settled) {
        pending.startTimer(this.#now(), this.#options.timeoutMs, () => {
          this.#failClosed(pending, "timeout");
        });
        return false;
      }
      this.#send(pending, result as unknown as ApprovalDecision, { by: "tool" });
    } catch {
      this.#failClosed(pending, "toolThrew");
    }
    return true;
  }

  async #ask(
    pending: PendingCall,
    handler: ApprovalHandler | undefined,
    rule: string | null,
  ): Promise<void> {
    const { request } = pending;
    if (pending.settled) return;
    if (handler === undefined) {
      return this.#failClosed(pending, request.type === "toolCall" ? "noTool" : "noHandler");
    }
    pending.waitingFor = "handler";
    let decision: ApprovalDecision;
    try {
      decision = await handler(request, { signal: pending.signal });
    } catch (error) {
      if (pending.signal.aborted) return this.#failClosed(pending, "aborted");
      this.#tell(pending, `The approval handler threw: ${messageOf(error)}`);
      return this.#failClosed(pending, "handlerThrew");
    }
    if (pending.settled || isDeferred(decision)) return;
    if (request.type === "toolCall" && isAccept(decision)) {
      if (!await this.#ranTool(pending)) this.#failClosed(pending, "noTool");
      return;
    }
    this.#send(pending, decision, { by: "handler", rule, reason: reasonOf(decision) });
  }

  #giveToReader(pending: PendingCall, reader: (request: ReaderRequest) => void): void {
    const { request, call, signal } = pending;
    if (pending.settled) return;
    pending.waitingFor = "reader";
    const settle = (answer: WireAnswer): boolean => {
      if (pending.settled) return false;
      this.#settle(pending, answer, { by: "reader" });
      return true;
    };
    try {
      reader({
        id: request.id,
        method: call.method,
        params: call.params,
        request,
        signal,
        respond: (result) => {
          const problem = checkServerRequestResult(call.method, result);
          if (problem !== null) {
            const path = problem.slice(0, problem.indexOf(":"));
            const expected = problem.slice(path.length + 2);
            throw new RpcValidationError(call.method, "result", path, expected);
          }
          return settle({ type: "result", result, word: wordOf(result) });
        },
        reject: (error) =>
          settle({ type: "error", code: error.code ?? -32000, message: error.message }),
      });
    } catch {
      this.#failClosed(pending, "handlerThrew");
    }
  }

  /** Sends a decision; one that does not fit becomes the fail-closed answer. */
  #send(pending: PendingCall, decision: ApprovalDecision, ruling: Ruling): void {
    if (pending.settled) return;
    const answer = wireAnswer(pending.request, decision, this.#context());
    if (answer.type === "invalid") {
      if (ruling.by === "handler") {
        this.#tell(pending, `The approval handler's answer does not fit: ${answer.problem}`);
      }
      this.#failClosed(pending, "invalidAnswer");
    } else this.#settle(pending, answer, ruling);
  }

  #tell({ gate, request, settled }: PendingCall, sentence: string): void {
    if (!settled) quietly(() => gate?.onProblem?.(request, sentence));
  }

  #failClosed(
    pending: PendingCall,
    reason: FailClosedReason,
    abortReason: string = WHY[reason],
  ): void {
    if (pending.settled) return;
    const why = `Not approved: ${WHY[reason]}.`;
    this.#settle(
      pending,
      this.#closedAnswer(pending.request, why),
      { by: "failClosed", reason },
      abortReason,
    );
  }

  #closedAnswer(request: ApprovalRequest, why: string): WireAnswer {
    return failClosedAnswer(request, why, this.#context());
  }

  #settle(
    pending: PendingCall,
    answer: WireAnswer | null,
    ruling: Ruling,
    abortReason?: string,
  ): void {
    const refused = answer?.type === "result" ? this.#heldBack(pending, answer.result) : null;
    if (refused !== null) return this.#decline(pending, refused, ruling.rule ?? null, abortReason);
    const audit = pending.settle(answer, ruling, this.#now());
    this.#settled(pending, audit, abortReason);
  }

  /** What this script may do does not allow it, whoever would. */
  #decline(
    pending: PendingCall,
    reason: string,
    rule: string | null,
    abortReason?: string,
  ): void {
    const answer = this.#closedAnswer(pending.request, reason);
    const audit = pending.settle(answer, { by: "library", rule, reason }, this.#now());
    this.#settled(pending, audit, abortReason);
  }

  #settled(pending: PendingCall, audit: ApprovalAudit | null, abortReason?: string): void {
    if (audit === null) return;
    this.#pending.delete(pending.request.id);
    if (abortReason !== undefined) pending.abort(abortReason);
    this.#report(pending, audit);
  }

  /** Why a command or a file change could not be accepted by anybody, or `null`. */
  #unacceptable(pending: PendingCall): string | null {
    const { type } = pending.request;
    if (type !== "command" && type !== "fileChange") return null;
    const answer = wireAnswer(pending.request, { decision: "accept" }, this.#context());
    return answer.type === "result" ? this.#heldBack(pending, answer.result) : null;
  }

  /** Why an answer may not be sent although it was given, or `null`. */
  #heldBack(pending: PendingCall, result: JsonValue): string | null {
    const { guard } = this.#options;
    if (pending.settled) return null;
    const grant = grantOf(pending.request, result);
    if (grant === null) return null;
    // It may have become another change since it was judged.
    if (this.#changes.isUncertain(pending.request)) return `${WHY.uncertainSubject}.`;
    if (guard === undefined) return null;
    try {
      return guard(grant, pending.request, pending.gate?.contained?.() ?? false);
    } catch {
      return "What this script may do itself could not be checked.";
    }
  }

  #report(pending: PendingCall, audit: ApprovalAudit): void {
    const { gate, request } = pending;
    quietly(() => this.#options.onAudit(audit));
    // The time is told without announcing the question to the session.
    if (audit.decidedBy === "library" && request.type === "currentTime") return;
    quietly(() => gate?.onResolved?.(audit));
    if (isToolUse(request)) quietly(() => gate?.postToolUse?.(request, audit));
  }
}

/** Listeners are guests: what they throw must not cost anyone an answer. */
function quietly(fn: () => void): void {
  try {
    fn();
  } catch {
    // Nothing can be done for a listener that throws.
  }
}
