/**
 * The middle steps of a question: hooked, ruled, asked. Hooks may refuse, then rules decide, then a tool, a reader or a handler
 * answers.
 * @module
 */
import { defined } from "../../json.ts";
import { messageOf, RpcValidationError } from "../../errors/mod.ts";
import { checkServerRequestResult, type WireAnswer } from "../answers/answers.ts";
import { decide, type RuleDecision } from "../rules/decide.ts";
import type { ApprovalRules } from "../rules/rule_types.ts";
import type { ApprovalDecision, ApprovalHandler } from "../request/types.ts";
import type { Answering } from "./answering.ts";
import { type BrokerOptions, handlerLimits, type ReaderRequest, type ThreadGate } from "./gate.ts";
import {
  isAccept,
  isDeferred,
  isToolUse,
  type PendingCall,
  reasonOf,
  type Ruling,
  wordOf,
} from "./pending.ts";

/** Finds out what the answer is, and hands it on. */
export class Judging {
  readonly #options: BrokerOptions;
  readonly #answering: Answering;
  readonly #reader: () => ((request: ReaderRequest) => void) | null;

  /** `reader`: who answers by hand now, or `null`. */
  constructor(
    options: BrokerOptions,
    answering: Answering,
    reader: () => ((request: ReaderRequest) => void) | null,
  ) {
    this.#options = options;
    this.#answering = answering;
    this.#reader = reader;
  }

  async judge(pending: PendingCall): Promise<void> {
    const { request, gate, signal } = pending;
    if (request.type === "fileChange") {
      const concealed = await this.#options.conceals?.(request, signal) ?? null;
      if (concealed !== null) return this.#answering.decline(pending, concealed, null);
      if (pending.settled) return;
    }
    if (gate?.preToolUse !== undefined && isToolUse(request)) {
      if (await this.#hooked(pending, gate)) return;
    }
    const reader = this.#reader();
    const approvals = gate?.approvals ?? this.#options.approvals;
    const rules = typeof approvals === "object" ? approvals : null;
    const ruled = this.#ruled(pending, rules);
    const named = ruled.effect !== "allow" && ruled.rule !== null;
    if (ruled.effect === "deny" && named) return this.#denyByRule(pending, ruled.rule);
    const handler = typeof approvals === "function" ? approvals : rules?.ask;
    const reason = handler && handlerLimits.get(handler)?.(request);
    if (reason) {
      const ruling: Ruling = { by: "handler", reason };
      return this.#answering.send(pending, { decision: "decline", reason }, ruling);
    }
    const unacceptable = this.#answering.unacceptable(pending);
    if (unacceptable !== null) return this.#answering.decline(pending, unacceptable, ruled.rule);
    if (ruled.effect !== "allow" && this.#answering.isKept(pending)) {
      const ruling: Ruling = {
        by: "handler",
        rule: ruled.rule,
        reason: "accepted for the session",
      };
      return this.#answering.send(pending, { decision: "accept" }, ruling);
    }
    // Giving a session a tool is consent to its calls, unless a rule says otherwise.
    if (request.type === "toolCall" && !named && await this.#ranTool(pending)) return;
    if (reader !== null) return this.#giveToReader(pending, reader);
    if (ruled.effect === "deny") {
      // Nobody has it: that no rule allows it would say that somebody could.
      if (request.type === "toolCall") return this.#answering.failClosed(pending, "noTool");
      return this.#denyByRule(pending, null);
    }
    if (ruled.effect === "allow" && request.type !== "toolCall") {
      const decision = ruled.scope === "session" ? "acceptForSession" : "accept";
      return this.#answering.send(pending, { decision }, { by: "rule", rule: ruled.rule });
    }
    await this.#asked(pending, handler, ruled.rule);
  }

  #ruled({ request, gate }: PendingCall, rules: ApprovalRules | null): RuleDecision {
    if (rules === null) return { effect: "ask", rule: null };
    const { realPath } = this.#options;
    return decide(rules, request, {
      ...defined({ realPath }),
      sandboxed: gate?.sandboxed?.() ?? true,
      ...(gate?.workspace === undefined ? {} : { workspace: gate.workspace() }),
    });
  }

  #denyByRule(pending: PendingCall, rule: string | null): void {
    const reason = rule === null ? "no rule matched" : null;
    this.#answering.send(pending, {
      decision: "decline",
      reason: rule === null ? "No rule allows this." : `The rule "${rule}" forbids this.`,
    }, { by: "rule", rule, reason });
  }

  /** Asks the hooks; whether they refused. */
  async #hooked(pending: PendingCall, gate: ThreadGate): Promise<boolean> {
    const { request, signal } = pending;
    try {
      const verdict = await gate.preToolUse?.(request, { signal });
      if (pending.settled) return true;
      if (verdict?.type === "continue") return false;
      const { reason, hookName } = verdict?.type === "block"
        ? verdict
        : { reason: "hookThrew", hookName: null };
      const ruling: Ruling = { by: "hook", rule: hookName, reason };
      this.#answering.send(pending, { decision: "decline", reason }, ruling);
    } catch {
      this.#answering.failClosed(pending, "hookThrew");
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
    // Whether its turn still runs is not known while the connection is lost: nothing begins then.
    while (pending.away !== null) await pending.away;
    if (pending.stopping) this.#answering.failClosed(pending, "turnEnded");
    if (pending.settled) return true;
    this.#answering.announce(pending);
    // The turn's own limit bounds a tool; the approval limit is about people.
    pending.stopTimer();
    try {
      const result = await gate.runTool(
        { tool, namespace, arguments: args, callId, threadId, turnId: turnId ?? "" },
        { signal },
      );
      if (result === undefined && !pending.settled) {
        pending.startTimer(this.#answering.now(), this.#options.timeoutMs, () => {
          this.#answering.failClosed(pending, "timeout");
        });
        return false;
      }
      this.#answering.send(pending, result as unknown as ApprovalDecision, { by: "tool" });
    } catch {
      this.#answering.failClosed(pending, "toolThrew");
    }
    return true;
  }

  async #asked(
    pending: PendingCall,
    handler: ApprovalHandler | undefined,
    rule: string | null,
  ): Promise<void> {
    const { request } = pending;
    if (pending.settled) return;
    if (handler === undefined) {
      return this.#answering.failClosed(
        pending,
        request.type === "toolCall" ? "noTool" : "noHandler",
      );
    }
    pending.waitingFor = "handler";
    this.#answering.announce(pending);
    let decision: ApprovalDecision;
    try {
      const ask = () => handler(pending.copy, { signal: pending.signal });
      decision = await (pending.gate?.within?.(ask) ?? ask());
    } catch (error) {
      if (pending.held || pending.waitingFor !== "handler") return;
      if (pending.signal.aborted) return this.#answering.failClosed(pending, "aborted");
      this.#answering.tell(pending, `The approval handler threw: ${messageOf(error)}`);
      return this.#answering.failClosed(pending, "handlerThrew");
    }
    // By hand it may have been accepted meanwhile: then its tool runs.
    if (pending.settled || pending.waitingFor !== "handler" || isDeferred(decision)) return;
    if (request.type === "toolCall" && isAccept(decision)) return this.callTool(pending);
    this.#answering.send(pending, decision, { by: "handler", rule, reason: reasonOf(decision) });
  }

  /** Runs the tool of a call that was accepted. */
  async callTool(pending: PendingCall): Promise<void> {
    if (!await this.#ranTool(pending)) this.#answering.failClosed(pending, "noTool");
  }

  #giveToReader(pending: PendingCall, reader: (request: ReaderRequest) => void): void {
    const { request: { id }, call, signal } = pending;
    if (pending.settled) return;
    pending.waitingFor = "reader";
    this.#answering.announce(pending);
    const settle = (answer: WireAnswer): boolean => {
      if (pending.settled || pending.held) return false;
      this.#answering.settle(pending, answer, { by: "reader" });
      return true;
    };
    try {
      reader({
        id,
        method: call.method,
        params: call.params,
        request: pending.copy,
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
      this.#answering.failClosed(pending, "handlerThrew");
    }
  }
}
