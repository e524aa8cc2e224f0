/**
 * One `turn/start` and its caller: the caller is told once how the turn ended, whatever the server does.
 *
 * | what happens                       | the caller is told (`settled`)       | on the server                   |
 * | ---------------------------------- | ------------------------------------ | ------------------------------- |
 * | `turn/completed`                   | `{ by: "server" }`                   | nothing                         |
 * | `turn/start` refused or unanswered | `{ by: "error" }`                    | see `ThreadTurns`               |
 * | the connection ends                | `{ by: "error" }`                    | the turn is gone                |
 * | the signal aborts                  | `{ by: "abort" }`, at once           | the turn is stopped             |
 * | `timeoutMs` pass                   | `{ by: "timeout" }`, once it stopped | the turn is stopped             |
 * | `limits` are used up               | `{ by: "limit" }`, once it stopped   | the turn is stopped             |
 * @module
 */
import { delay, longTimeout, within } from "../../async.ts";
import {
  BudgetExceededError,
  ConnectionClosedError,
  EmptyAnswerError,
  type ExceededLimit,
  type PartialTurn,
  TurnFailedError,
  TurnInterruptedError,
  TurnTimeoutError,
  unnamedTurn,
} from "../../errors/mod.ts";
import {
  asList,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  present,
  stringOf,
} from "../../json.ts";
import { isRefusal } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import type { OtelContext } from "../../telemetry.ts";
import type { RunMeter } from "./turn_usage.ts";
import type { Turn, TurnOwner } from "./turn.ts";
import type { AgentSpan } from "../telemetry/agent_span.ts";
import { resetTime } from "./turn_failure.ts";
import type { EmitTurnEvent, TurnOutcome } from "./turn_outcome.ts";
import type { TurnStatus } from "./turn_result.ts";

/** How a turn ended for its caller. Exactly one of these, once. */
export type SettledTurn =
  /** The server told the end. */
  | { by: "server" }
  /** The turn took too long. */
  | { by: "timeout"; timeoutMs: number; stopped: boolean }
  /** The run needed more than it may use. */
  | { by: "limit"; exceeded: ExceededLimit; stopped: boolean }
  /** The caller gave up; the turn is being stopped. */
  | { by: "abort"; reason: unknown }
  /** The turn could not be started, or its end can't be known. */
  | { by: "error"; error: unknown };

/** What a turn needs to run. */
export interface TurnRunOptions {
  /** What starts it. Default: `turn/start`. */
  method?: "turn/start" | "review/start";
  /** Parameters of the method. */
  params: JsonObject;
  /** Milliseconds for the whole turn. */
  timeoutMs: number;
  /** Who listens, if anybody does. */
  emit: EmitTurnEvent;
  /** The caller's signal. */
  signal: AbortSignal | undefined;
  /** Counts what the run uses. */
  meter: RunMeter;
  /** The caller's trace; `null` or left out: that of who has the thread. */
  parent?: OtelContext | null;
}

/** How long a timed-out turn may take to stop before its caller is told. */
const STOP_WAIT_MS = 700;

/** One turn that was asked for. */
export class TurnRun implements TurnOwner {
  /** The turn, once the server has answered. */
  turn: Turn | null = null;
  /** Settles when the turn has an id; rejects when it never gets one. */
  readonly identified: Promise<Turn>;
  /** Settles once, with how it ended. Never rejects. */
  readonly settled: Promise<SettledTurn>;
  /** Settles when it is told to stop. Never rejects. */
  readonly ending: Promise<void>;
  /** The mark that this client put on the prompt; newer servers repeat it in the message's item. */
  readonly clientId: string;
  readonly #core: RuntimeCore;
  readonly #threadId: string;
  readonly #options: TurnRunOptions;
  readonly #span: AgentSpan | null;
  readonly #emit: EmitTurnEvent;
  readonly #identified = Promise.withResolvers<Turn>();
  readonly #settled = Promise.withResolvers<SettledTurn>();
  readonly #ending = Promise.withResolvers<void>();
  #isSettled = false;
  #isStopped = false;
  /** How it will have ended, whatever the server says while it is being stopped. */
  #pendingOutcome: Extract<SettledTurn, { by: "timeout" | "limit" }> | null = null;
  readonly #cancelLimit: () => void;

  /** Begins to wait for a turn that is being asked for. */
  constructor(
    core: RuntimeCore,
    threadId: string,
    clientId: string,
    options: TurnRunOptions,
    span: AgentSpan | null,
  ) {
    this.#core = core;
    this.#threadId = threadId;
    this.clientId = clientId;
    this.#options = options;
    this.#span = span;
    this.#emit = span === null ? options.emit : (event) => {
      span.take(event);
      options.emit?.(event);
    };
    this.identified = this.#identified.promise;
    this.identified.catch(() => {});
    this.settled = this.#settled.promise;
    this.ending = this.#ending.promise;
    const { signal, timeoutMs } = options;
    this.#cancelLimit = longTimeout(() => this.#timedOut(), timeoutMs);
    signal?.addEventListener("abort", this);
  }

  /** The same error, with what the server says of the login where the credentials failed. */
  async explain(error: unknown, message: string): Promise<unknown> {
    if (!(error instanceof TurnFailedError) || error.kind !== "auth") return error;
    return await (await import("./login_failure.ts")).withLogin(this.#core, error, message);
  }

  /** The turn's id, or `null` before it has one. */
  get turnId(): string | null {
    return this.turn?.turnId ?? null;
  }

  /** What was asked. */
  get input(): JsonObject[] {
    return (this.#options.params["input"] ?? []) as JsonObject[];
  }

  /** Whether the server may take it into a turn that is active already; a review is one of its own. */
  get mayJoin(): boolean {
    return this.#options.method !== "review/start";
  }

  /** Whether the caller still waits. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Whether nobody wants it any more: its caller was told the end, or somebody stops it. */
  get isEnding(): boolean {
    return this.#isSettled || this.#isStopped;
  }

  /** Who listens; nobody once the caller was told the end. */
  get emit(): EmitTurnEvent {
    return this.#isSettled ? null : this.#emit;
  }

  /** Counts what the run uses. */
  get meter(): RunMeter {
    return this.#options.meter;
  }

  /** Settles when the server works on it no longer, or would not stop it. */
  async over(): Promise<void> {
    const turn = await this.identified.catch(() => null);
    if (turn === null) return;
    // Where the server adds the prompt to another turn, that one counts.
    for (let last: Turn | null = null; last !== this.turn;) {
      last = this.turn!;
      await last.over();
    }
  }

  /** What the turn has produced so far. */
  partial(): PartialTurn {
    return this.turn?.partial() ?? unnamedTurn(this.#threadId);
  }

  /** Adds to what the running turn has been asked. Waits until the server has started it. */
  async steer(input: JsonObject[]): Promise<void> {
    const turn = await this.identified;
    await turn.reached("started");
    for (let tries = 1;; tries++) {
      const params = { threadId: this.#threadId, expectedTurnId: this.turn!.activeId, input };
      try {
        await this.#core.call("turn/steer", params);
        return;
      } catch (error) {
        // Codex 0.104 may tell of a turn a moment before it takes anything for it.
        const early = turn.phase === "started" && isRefusal(error, "worksOnNothing");
        if (!early || tries === 5) throw error;
        await delay(20 * tries);
      }
    }
  }

  /** Stops the turn on the server; `false` when the server would not, or never named it. Never rejects. */
  async stop(): Promise<boolean> {
    this.#isStopped = true;
    this.#ending.resolve();
    if (await this.identified.catch(() => null) === null) return false;
    return await this.turn!.stop();
  }

  /** The caller's signal fired: the caller is told at once, and does not wait until the turn is stopped. */
  handleEvent(): void {
    this.#finish({ by: "abort", reason: this.#options.signal!.reason });
    this.stop();
  }

  /** The server has named the turn, or taken the prompt into another one. */
  identify(turn: Turn): void {
    this.turn = turn;
    turn.span = this.#span;
    const pending = this.#pendingOutcome;
    if (pending?.by === "timeout") turn.endsAs = "timedOut";
    if (pending?.by === "limit") turn.outcome.exceeds(pending.exceeded);
    this.#identified.resolve(turn);
    turn.give(this);
    // Given up before it was known which turn the server has made it part of.
    if (this.isEnding) turn.stop();
  }

  /** There is no turn, as far as this client can tell. */
  refused(error: unknown): void {
    // It was stopped while it waited for another turn, which goes on.
    if (this.#isStopped && isRefusal(error, "turnTakesNone")) {
      const ended = this.#pendingOutcome;
      const reason = new TurnInterruptedError(this.partial());
      this.#finish(ended === null ? { by: "abort", reason } : { ...ended, stopped: true });
    }
    this.failed(error);
    this.#identified.reject(error);
  }

  /** The server told the end. */
  completed(): void {
    this.#finish({ by: "server" });
  }

  /** The end can't be known. */
  failed(error: unknown): void {
    this.#finish({ by: "error", error });
  }

  /** The run needs more than it may use. */
  async exceed(exceeded: ExceededLimit): Promise<void> {
    const { limit, allowed } = exceeded;
    const message =
      `The run needs more than its limits.${limit} of ${allowed} and is being interrupted.`;
    // What stops it already is the reason.
    if (!this.isEnding) this.turn?.outcome.exceeds(exceeded);
    await this.#stopAs({ by: "limit", exceeded, stopped: false }, message);
  }

  async #timedOut(): Promise<void> {
    const { timeoutMs } = this.#options;
    if (this.turn !== null) this.turn.endsAs = "timedOut";
    const message = `The turn took longer than ${timeoutMs} ms and is being interrupted.`;
    await this.#stopAs({ by: "timeout", timeoutMs, stopped: false }, message);
  }

  async #stopAs(
    outcome: Extract<SettledTurn, { by: "timeout" | "limit" }>,
    message: string,
  ): Promise<void> {
    const turnId = this.turnId ?? "";
    this.emit?.({ type: "warning", threadId: this.#threadId, turnId, message });
    // The end that the server tells while it stops is this one, not an interruption by somebody else.
    this.#pendingOutcome ??= outcome;
    const stopped = await within(this.stop(), STOP_WAIT_MS, false);
    this.#finish({ ...outcome, stopped });
  }

  #finish(settled: SettledTurn): void {
    if (this.#isSettled) return;
    const pending = this.#kept(settled) ? null : this.#pendingOutcome;
    const final = pending === null ? settled : {
      ...pending,
      // Only the server's own word, or an interrupt that it confirmed, says that nothing runs any more.
      stopped: settled.by === "server" || ("stopped" in settled && settled.stopped),
    };
    const status = this.turn?.outcome.status ?? this.#emitEnd(final);
    this.#isSettled = true;
    this.#cancelLimit();
    this.#options.signal?.removeEventListener("abort", this);
    this.#settled.resolve(final);
    if (this.#span === null) return;
    const outcome = this.turn?.outcome ?? null;
    this.#span.end(status, turnError(final, outcome, this.partial(), undefined));
  }

  /** An answer that was complete before the run could be stopped is one. */
  #kept({ by }: SettledTurn): boolean {
    return by === "server" && this.#pendingOutcome?.by === "limit" &&
      this.turn!.outcome.status === "completed";
  }

  /** Tells the end of a turn whose end the server did not tell, as its last event; returns how it ended. */
  #emitEnd(settled: SettledTurn): TurnStatus {
    const status: TurnStatus = settled.by === "timeout"
      ? "timedOut"
      : settled.by !== "error"
      ? "interrupted"
      : settled.error instanceof ConnectionClosedError
      ? "connectionClosed"
      : "failed";
    const error = settled.by === "error" && settled.error instanceof Error
      ? { kind: "other", message: settled.error.message }
      : this.turn?.outcome.stoppedBy ?? null;
    const turnId = this.turnId ?? "";
    this.emit?.({ type: "turnCompleted", threadId: this.#threadId, turnId, status, error });
    return status;
  }
}

// From how a turn ended to the error its caller gets.

/** The error of a turn that gave no answer, or `null` for one that did. */
export function turnError(
  settled: SettledTurn,
  outcome: TurnOutcome | null,
  partial: PartialTurn,
  rateLimits: JsonValue | undefined,
): unknown {
  switch (settled.by) {
    case "abort":
      return settled.reason;
    case "error":
      // A turn that the server never named was never told of the loss.
      return settled.error instanceof ConnectionClosedError && settled.error.partial === undefined
        ? settled.error.withPartial(partial)
        : settled.error;
    case "timeout":
      return new TurnTimeoutError(settled.timeoutMs, partial, {
        stopped: settled.stopped,
        unreached: outcome?.unreached ?? null,
      });
    case "limit":
      return new BudgetExceededError(settled.exceeded, partial, { stopped: settled.stopped });
    case "server":
      return serverError(outcome!, partial, rateLimits);
  }
}

function serverError(
  outcome: TurnOutcome,
  partial: PartialTurn,
  rateLimits: JsonValue | undefined,
): unknown {
  if (outcome.status === "interrupted") return new TurnInterruptedError(partial);
  if (outcome.status === "failed") {
    const failure = outcome.failure!;
    const limited = failure.kind === "rateLimit" || failure.kind === "quotaExceeded";
    const resetsAt = limited ? resetTime(rateLimits) : null;
    const details = present({ httpStatus: failure.httpStatus, resetsAt });
    return new TurnFailedError(failure.kind, failure.message, partial, details);
  }
  return outcome.answer === "" ? new EmptyAnswerError(partial) : null;
}

// Which message of the thread a prompt became.

/** Whether an item is the message that this prompt became. Servers before 0.145 repeat its text only. */
export function showsPrompt(item: JsonObject, run: TurnRun): boolean {
  if (item["type"] !== "userMessage") return false;
  if (item["clientId"] !== undefined) return item["clientId"] === run.clientId;
  return textsOf(item["content"]) === textsOf(run.input);
}

/** The texts of a prompt. */
export function textsOf(input: JsonValue | undefined): string {
  return JSON.stringify(asList(input).map((part) => memberOf(part, "text") ?? null));
}

/** The error of a `turn/start` whose answer names no turn. */
export function noTurnId(result: JsonValue): ConnectionClosedError {
  const shape = isJsonObject(result) ? Object.keys(result).slice(0, 6).join(", ") : typeof result;
  return new ConnectionClosedError(
    `turn/start was answered without a turn id (received: ${shape}).`,
    { retryable: false },
  );
}

/** The turn that a message is about, or `null`. */
export function turnIdOf(params: JsonObject): string | null {
  return stringOf(params, "turnId") ?? stringOf(params, "turn", "id");
}
