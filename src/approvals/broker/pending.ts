/**
 * One question that waits, and that is answered exactly once.
 * @module
 */
import type { WireAnswer } from "../answers/answers.ts";
import { longTimeout, type Timers } from "../../async.ts";
import type { BrokerReply, ServerCall, ThreadGate } from "./gate.ts";
import type {
  ApprovalAudit,
  ApprovalDecider,
  ApprovalRequest,
  FailClosedReason,
  PendingApproval,
} from "../request/types.ts";

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
  /** What it waits for. */
  waitingFor: PendingApproval["waitingFor"] = "hook";
  #reply: BrokerReply;
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
  ) {
    this.call = call;
    this.request = request;
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

  describe(): PendingApproval {
    return {
      request: this.request,
      waitingFor: this.waitingFor,
      deadline: this.#deadline === null ? null : new Date(this.#deadline),
    };
  }

  /** Sends the answer (`null`: another client did) and gives the audit; `null` when it was answered before. */
  settle(answer: WireAnswer | null, ruling: Ruling, now: number): ApprovalAudit | null {
    if (this.#settled) return null;
    this.#settled = true;
    this.stopTimer();
    const sent = answer === null || this.#send(answer);
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

  /** Tells whoever is still at work that the answer is no longer wanted. */
  abort(reason: string): void {
    this.#controller.abort(new DOMException(reason, "AbortError"));
  }

  #send(answer: WireAnswer): boolean {
    try {
      if (answer.type === "result") this.#reply.respond(answer.result);
      else this.#reply.reject(answer.code, answer.message);
      return true;
    } catch {
      // The connection is gone; nobody waits for this answer any more.
      return false;
    }
  }
}
