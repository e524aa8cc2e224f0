/**
 * One turn on the server, from its start to its end: started, watched, stopped, settled once.
 * @module
 */
import {
  ConnectionClosedError,
  MessageTooLargeError,
  type PartialTurn,
  RequestTimeoutError,
} from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { DeltaRun, OversizeMessage, RpcNotification } from "../../rpc/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { stopTurn } from "./stop_turn.ts";
import type { TurnEvent } from "./turn_event.ts";
import { type EmitTurnEvent, TurnOutcome } from "./turn_outcome.ts";
import type { TokenCount, TurnStatus } from "./turn_result.ts";
import { IDLE_CHECK_MS, lostTurn } from "./turn_watch.ts";

/** How a turn ended. Exactly one of these, once. */
export type SettledTurn =
  /** The server told the end. */
  | { by: "server" }
  /** The turn took too long. */
  | { by: "timeout"; timeoutMs: number; stopped: boolean }
  /** The caller gave up; the turn is being stopped. */
  | { by: "abort"; reason: unknown }
  /** The turn could not be started, or its end can't be known. */
  | { by: "error"; error: unknown };

/** What a turn needs to run. */
export interface TurnRunOptions {
  /** The connection. */
  core: RuntimeCore;
  /** The thread. */
  threadId: string;
  /** Parameters of `turn/start`. */
  params: JsonObject;
  /** Milliseconds for the whole turn. */
  timeoutMs: number;
  /** Who listens, if anybody does. */
  emit: EmitTurnEvent;
  /** The caller's signal. */
  signal: AbortSignal | undefined;
  /** The thread's tokens before this turn, if known. */
  threadTotal: TokenCount | null;
}

/** Longest delay that a timer can hold. */
const MAX_DELAY_MS = 0x7fffffff;
/** How long a timed-out turn may take to stop before its caller is told. */
const STOP_WAIT_MS = 700;

/** One turn on the server. */
export class TurnRun {
  /** What its messages mean; `null` until the turn has an id. */
  outcome: TurnOutcome | null = null;
  /** Settles when the turn has an id; rejects when it never gets one. */
  readonly started: Promise<string>;
  /** Settles once, with how it ended. Never rejects. */
  readonly settled: Promise<SettledTurn>;
  /** Settles when the server no longer works on it: `true`, or `false` when it could not be stopped. */
  readonly over: Promise<boolean>;
  /** Settles when the server has certainly let go of it, however late that is. */
  readonly gone: Promise<void>;
  readonly #options: TurnRunOptions;
  #markStarted!: (turnId: string) => void;
  #failStarted!: (error: unknown) => void;
  #settle!: (settled: SettledTurn) => void;
  #markOver!: (stopped: boolean) => void;
  #markGone!: () => void;
  #isSettled = false;
  #isOver = false;
  /** Messages that came before the turn had an id. */
  #early: RpcNotification[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #watch: ReturnType<typeof setInterval> | null = null;
  #touched = true;
  readonly #begun: Promise<void>;
  #markBegun!: () => void;
  /** The server has told the end; stopping may still have something to clean up. */
  readonly #ended: Promise<void>;
  #markEnded!: () => void;
  /** How the turn will have ended, whatever the server says while it is being stopped. */
  #reserved: Extract<SettledTurn, { by: "timeout" }> | null = null;
  #stopping: Promise<boolean> | null = null;

  /** Starts the turn. */
  constructor(options: TurnRunOptions) {
    this.#options = options;
    this.started = new Promise((resolve, reject) => {
      this.#markStarted = resolve;
      this.#failStarted = reject;
    });
    this.started.catch(() => {});
    this.settled = new Promise((resolve) => this.#settle = resolve);
    this.over = new Promise((resolve) => this.#markOver = resolve);
    this.gone = new Promise((resolve) => this.#markGone = resolve);
    this.#begun = new Promise((resolve) => this.#markBegun = resolve);
    this.#ended = new Promise((resolve) => this.#markEnded = resolve);
    const { signal, timeoutMs } = options;
    if (timeoutMs !== Infinity) {
      this.#timer = setTimeout(() => this.#timedOut(), Math.min(timeoutMs, MAX_DELAY_MS));
    }
    signal?.addEventListener("abort", this);
    this.#watch = setInterval(() => this.#checkIdle(), IDLE_CHECK_MS);
    this.#start();
  }

  /** The turn's id, or `null` before it has one. */
  get turnId(): string | null {
    return this.outcome?.turnId ?? null;
  }

  /** Whether `over` has settled. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What the turn has produced so far. */
  partial(): PartialTurn {
    return {
      threadId: this.#options.threadId,
      turnId: this.turnId,
      assistantText: this.outcome?.items.partialAnswer() ?? "",
      items: this.outcome?.items.all() ?? [],
    };
  }

  /** Tells the listener something that does not come from the turn's own messages; nothing after its end. */
  tell(event: TurnEvent): void {
    this.#emit?.(event);
  }

  /** Adds to what the running turn has been asked. Waits until the server has begun it. */
  async steer(input: JsonObject[]): Promise<void> {
    const turnId = await this.started;
    await Promise.race([this.#begun, this.over]);
    const { core, threadId } = this.#options;
    await core.call("turn/steer", { threadId, expectedTurnId: turnId, input });
  }

  /** Stops the turn on the server; settles when it has stopped, or could not be. Never rejects. */
  stop(): Promise<boolean> {
    if (this.#isOver) return this.over;
    this.#stopping ??= this.#stop().then((stopped) => {
      this.#end(stopped);
      return this.over;
    });
    return this.#stopping;
  }

  /** The caller's signal fired: the caller is told at once, the turn is stopped behind its back. */
  handleEvent(): void {
    this.#finish({ by: "abort", reason: this.#options.signal!.reason });
    this.stop();
  }

  /** Takes the next texts of an item. */
  deltas(run: DeltaRun): void {
    this.#touched = true;
    const { outcome } = this;
    if (outcome === null || outcome.turnId !== run.head.turnId) return;
    outcome.deltas(run, this.#emit === null ? null : this.#tell);
  }

  /** Takes any other news of the thread. */
  notification(message: RpcNotification): void {
    this.#touched = true;
    if (this.outcome === null) {
      const turn = message.params["turn"];
      if (
        message.method === "turn/started" && isJsonObject(turn) && typeof turn["id"] === "string"
      ) {
        this.#identify(turn["id"]);
        // Nobody waits any more for a turn whose start was answered too late.
        if (this.#isOver) this.#stop();
      } else {
        this.#early.push(message);
        return;
      }
    }
    this.#apply(message);
  }

  /** Part of the turn was too large to be read: its end, or its content, can't be known. */
  oversize(message: OversizeMessage): void {
    const limit = this.#options.core.config.maxMessageBytes ?? 64 * 1024 * 1024;
    this.#finish({
      by: "error",
      error: new MessageTooLargeError(
        `${message.method ?? "A message"} of the turn`,
        message.bytes,
        limit,
      ),
    });
    if (message.method === "turn/completed") this.#end(true);
    else this.stop();
  }

  /** The server is gone. */
  connectionLost(error: ConnectionClosedError): void {
    this.#finish({ by: "error", error: error.withPartial(this.partial()) });
    this.#end(true);
    this.#markGone();
  }

  /** The server worked on without us; this is its record of the turn. What was told before is not told again. */
  takenUp(turn: JsonObject): void {
    this.#touched = true;
    const { threadId } = this.#options;
    const tell = (method: string, params: JsonObject) =>
      this.#apply({ kind: "notification", method, params: { threadId, ...params }, raw: {} });
    for (const item of Array.isArray(turn["items"]) ? turn["items"] : []) {
      if (!isJsonObject(item)) continue;
      const running = turn["status"] === "inProgress" && item["completedAtMs"] === null;
      tell(running ? "item/started" : "item/completed", { turnId: turn["id"], item });
    }
    if (turn["status"] !== "inProgress") tell("turn/completed", { turn });
  }

  /** Tells one of many events: a listener may end the turn in the middle of them. */
  readonly #tell = (event: TurnEvent): void => this.#emit?.(event);

  get #emit(): EmitTurnEvent {
    const { emit } = this.#options;
    if (this.#isSettled || emit === null) return null;
    if (this.#reserved === null) return emit;
    return (event) =>
      emit(event.type === "turnCompleted" ? { ...event, status: "timedOut" } : event);
  }

  async #start(): Promise<void> {
    const { core, params } = this.#options;
    try {
      const result = await core.call("turn/start", params, {
        onResult: (value) => {
          const turn = isJsonObject(value) ? value["turn"] : undefined;
          if (isJsonObject(turn) && typeof turn["id"] === "string") this.#identify(turn["id"]);
        },
      });
      if (this.outcome === null) this.#failedToStart(noTurnId(result), false);
    } catch (error) {
      // Unanswered, it may run all the same.
      this.#failedToStart(error, !(error instanceof RequestTimeoutError));
    }
  }

  #failedToStart(error: unknown, stopped: boolean): void {
    this.#finish({ by: "error", error });
    this.#failStarted(error);
    if (this.outcome === null) this.#end(stopped);
    // The answer was lost, and the turn runs.
    else this.stop();
  }

  #stop(): Promise<boolean> {
    return stopTurn({
      core: this.#options.core,
      threadId: this.#options.threadId,
      turnId: this.turnId === null ? this.started : Promise.resolve(this.turnId),
      begun: this.#begun,
      ended: this.#ended,
      outcome: () => this.outcome,
    });
  }

  #identify(turnId: string): void {
    if (this.outcome !== null) return;
    this.outcome = new TurnOutcome(this.#options.threadId, turnId, this.#options.threadTotal);
    this.#markStarted(turnId);
    for (const message of this.#early.splice(0)) this.#apply(message);
  }

  #apply(message: RpcNotification): void {
    const outcome = this.outcome!;
    const { method, params } = message;
    const turn = params["turn"];
    const turnId = params["turnId"] ?? (isJsonObject(turn) ? turn["id"] : undefined);
    // Late news of an earlier turn, such as the end of a command that went on in the background.
    if (typeof turnId === "string" && turnId !== outcome.turnId) return;
    // The same of this turn: what has ended is handed out, and does not change any more.
    if (outcome.status !== null) return;
    outcome.apply(method, params, this.#emit);
    if (outcome.started) this.#markBegun();
    if (outcome.status === null) return;
    this.#finish({ by: "server" });
    this.#markEnded();
    this.#markGone();
    if (this.#stopping === null) this.#end(true);
  }

  async #timedOut(): Promise<void> {
    this.#timer = null;
    const { timeoutMs } = this.#options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<false>((resolve) =>
      timer = setTimeout(() => resolve(false), STOP_WAIT_MS)
    );
    // The end that the server tells while it stops is the timeout's, not an interruption by somebody else.
    this.#emitTimeout();
    this.#reserved ??= { by: "timeout", timeoutMs, stopped: false };
    const stopped = await Promise.race([this.stop(), limit]);
    clearTimeout(timer);
    this.#finish({ by: "timeout", timeoutMs, stopped });
  }

  #emitTimeout(): void {
    const { threadId, timeoutMs } = this.#options;
    this.#emit?.({
      type: "warning",
      threadId,
      turnId: this.turnId ?? "",
      message: `The turn took longer than ${timeoutMs} ms and is being interrupted.`,
    });
  }

  async #checkIdle(): Promise<void> {
    if (this.#touched || this.outcome === null || this.#isOver) {
      this.#touched = false;
      return;
    }
    const { core, threadId } = this.#options;
    const lost = await lostTurn(core, threadId, this.outcome);
    if (lost !== null && !this.#isOver && !this.#touched) {
      this.#apply({ kind: "notification", method: "turn/completed", params: lost, raw: {} });
    }
  }

  #finish(settled: SettledTurn): void {
    if (this.#isSettled) return;
    const final = this.#reserved === null ? settled : {
      ...this.#reserved,
      // Only the server's own word, or an interrupt that it confirmed, says that nothing runs any more.
      stopped: settled.by === "server" || (settled.by === "timeout" && settled.stopped),
    };
    this.#tellEnd(final);
    this.#isSettled = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#options.signal?.removeEventListener("abort", this);
    this.#settle(final);
  }

  /** The last event of a turn whose end the server did not tell. */
  #tellEnd(settled: SettledTurn): void {
    if ((this.outcome?.status ?? null) !== null) return;
    const status: TurnStatus = settled.by === "timeout"
      ? "timedOut"
      : settled.by === "abort"
      ? "interrupted"
      : settled.by === "error" && settled.error instanceof ConnectionClosedError
      ? "connectionClosed"
      : "failed";
    const error = settled.by === "error" && settled.error instanceof Error
      ? { kind: "other", message: settled.error.message }
      : null;
    const { threadId } = this.#options;
    this.#emit?.({ type: "turnCompleted", threadId, turnId: this.turnId ?? "", status, error });
  }

  #end(stopped: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#watch = null;
    this.#markOver(stopped);
    if (!stopped) return;
    this.#markBegun();
    this.#markEnded();
    this.#markGone();
  }
}

function noTurnId(result: JsonValue): ConnectionClosedError {
  const shape = isJsonObject(result) ? Object.keys(result).slice(0, 6).join(", ") : typeof result;
  return new ConnectionClosedError(
    `turn/start was answered without a turn id (received: ${shape}).`,
    { retryable: false },
  );
}
