/**
 * How long a server is there: when it counts as dead, whether and when another is started, and whether the script goes on for
 * its sake.
 * @module
 */
import { delay, hostTimers, longInterval, type Timers } from "../async.ts";
import { ConnectionClosedError, messageOf } from "../errors/mod.ts";
import { defined } from "../json.ts";
import { endOrphans, unrefTimer } from "../platform/mod.ts";
import type { Connection } from "../rpc/mod.ts";
import type { Transport } from "../transport/mod.ts";
import type { RestartPolicy, RuntimeConfig } from "./config.ts";

/** How often the server was started again lately. */
export interface RestartHistory {
  /** Restarts since the count last began. */
  count: number;
  /** How long the server that died had been healthy, in milliseconds. */
  healthyMs: number;
}

/** What to do about a dead server. */
export type RestartDecision =
  | { restart: false; reason: "policy" | "tooManyRestarts" }
  | { restart: true; delayMs: number; attempt: number };

/** The defaults of an `onCrash` policy. */
export const RESTART_DEFAULTS: {
  readonly maxRestarts: number;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  readonly resetAfterMs: number;
} = { maxRestarts: 5, baseDelayMs: 200, maxDelayMs: 10_000, resetAfterMs: 30_000 };

/**
 * Decides. The circuit opens after `maxRestarts` starts without `resetAfterMs` of health in between; delays double, with
 * up to a quarter of jitter so that many clients do not start at once. `random` is in [0, 1).
 */
export function decideRestart(
  policy: RestartPolicy | undefined,
  history: RestartHistory,
  random: number,
): RestartDecision {
  if (policy === undefined || policy.type === "never") return { restart: false, reason: "policy" };
  const { maxRestarts, baseDelayMs, maxDelayMs, resetAfterMs } = {
    ...RESTART_DEFAULTS,
    ...defined(policy),
  };
  const count = history.healthyMs >= resetAfterMs ? 0 : history.count;
  if (count >= maxRestarts) return { restart: false, reason: "tooManyRestarts" };
  const delay = Math.min(maxDelayMs, baseDelayMs * 2 ** count);
  return { restart: true, delayMs: Math.round(delay * (1 + random * 0.25)), attempt: count + 1 };
}

// Starting another server after a crash, until one stays or there have been too many.

/** A restart that was decided on. */
export type PlannedRestart = Extract<RestartDecision, { restart: true }>;

/** What the loop needs of the machine around it. */
export interface RestartSteps {
  /** When it is over, nothing is started any more. */
  signal: AbortSignal;
  /** Starts a server and says hello. */
  connect(): Promise<void>;
  /** Takes up what was open; rejects when the server ends meanwhile. */
  restore(): Promise<void>;
  /** A server ended before everything was resumed; another one follows. */
  failed(error: unknown, next: PlannedRestart): void;
  /** Too many servers ended. */
  gaveUp(error: unknown): void;
}

/** Counts restarts, and does them. */
export class RestartLoop {
  readonly #policy: RestartPolicy | undefined;
  #count = 0;

  constructor(policy: RestartPolicy | undefined) {
    this.#policy = policy;
  }

  /** Whether a server that was healthy for so long is followed by another one. */
  plan(healthyMs: number): PlannedRestart | null {
    const history = { count: this.#count, healthyMs };
    const decision = decideRestart(this.#policy, history, Math.random());
    if (!decision.restart) return null;
    this.#count = decision.attempt;
    return decision;
  }

  /** Carries a plan out, and those that follow from its failures. Settles when a server is there, or none will be. */
  async run(first: PlannedRestart, steps: RestartSteps): Promise<void> {
    let next: PlannedRestart | null = first;
    while (next !== null) {
      await delay(next.delayMs, steps.signal).catch(() => {});
      if (steps.signal.aborted) return;
      try {
        await steps.connect();
        return await steps.restore();
      } catch (error) {
        if (steps.signal.aborted) return;
        next = this.plan(0);
        if (next === null) steps.gaveUp(error);
        else steps.failed(error, next);
      }
    }
  }
}

/** The error of whoever waits for a server that could not be started. */
export function closedBecause(error: unknown): ConnectionClosedError {
  return error instanceof ConnectionClosedError
    ? error
    : new ConnectionClosedError(`codex could not be started: ${messageOf(error)}`, {
      cause: error,
    });
}

// Noticing a server that neither speaks nor closes: a half-open socket, a stopped process.

/** What is known about a silent server. Times are on one clock. */
export interface LivenessSigns {
  now: number;
  /** The last sign of life, or the moment that somebody began to wait for one. */
  lastSign: number;
  /** When the server was asked for a sign of life, if it was since the last one. */
  askedAt: number | null;
}

/** What to do about it. */
export type LivenessStep = "wait" | "ask" | "lost";

/** Half of the limit may pass in silence, the other half without an answer; pure. */
export function judgeLiveness(signs: LivenessSigns, limitMs: number): LivenessStep {
  const { now, lastSign, askedAt } = signs;
  if (now - lastSign < limitMs / 2) return "wait";
  if (askedAt === null || askedAt <= lastSign) return "ask";
  return now - askedAt < limitMs / 2 ? "wait" : "lost";
}

/** How a connection is watched. */
export interface LivenessOptions {
  /** Milliseconds without a sign of life until the connection counts as lost. */
  limitMs: number;
  /** Ask also while nobody waits for the server, as the end of a socket may never be told. */
  whenIdle: boolean;
  /** Whether a turn runs, which is waited for as an answer is. Asked in silence only. Default: none does. */
  busy?: () => boolean;
  /** Default `performance.now`. */
  now?: () => number;
}

const SOCKET_LIMIT_MS = 30_000;
const PROCESS_LIMIT_MS = 60_000;

/** How the configured connection is watched; one that the caller made, only when the caller says how long. */
export function livenessOf(config: RuntimeConfig): LivenessOptions {
  const type = config.transport?.type ?? "stdio";
  const usual = type === "custom"
    ? Infinity
    : type === "stdio"
    ? PROCESS_LIMIT_MS
    : SOCKET_LIMIT_MS;
  return { limitMs: config.unresponsiveAfterMs ?? usual, whenIdle: type !== "stdio" };
}

/** Costs the server nothing, and every version has it. */
export const PROBE = "thread/loaded/list";

/**
 * Watches a connection and drops it when it counts as lost. Returns the end of the watch. A clock that jumps (the script
 * was blocked, the machine slept) is no silence of the server's: what it said then is still to be read.
 */
export function watchLiveness(connection: Connection, options: LivenessOptions): () => void {
  const { limitMs, whenIdle, busy = () => false, now = () => performance.now() } = options;
  if (!Number.isFinite(limitMs)) return () => {};
  const stepMs = Math.max(5, limitMs / 8);
  let lastTick = now();
  let lastSign = lastTick;
  let askedAt: number | null = null;
  let asking = 0;
  const timer = longInterval(() => {
    const at = now();
    const waits = whenIdle || connection.pendingCalls > asking ||
      (at - connection.heardAt >= limitMs / 2 && busy());
    if (at - lastTick > 3 * stepMs || !waits) {
      lastSign = at;
      askedAt = null;
    }
    lastTick = at;
    lastSign = Math.max(lastSign, connection.heardAt);
    const step = judgeLiveness({ now: at, lastSign, askedAt }, limitMs);
    if (step === "lost") {
      stop();
      connection.drop(
        `codex gave no sign of life for ${
          Math.round(at - lastSign)
        } ms, although it was asked for one; ` +
          "the connection counts as lost.",
      );
    } else if (step === "ask") {
      askedAt = at;
      asking++;
      connection.call(PROBE, {}, { timeoutMs: limitMs }).catch(() => {}).finally(() => asking--);
    }
  }, stepMs);
  unrefTimer(timer);
  const stop = () => clearInterval(timer);
  connection.ended.then(stop);
  return stop;
}

// Whether the script goes on: for as long as something is awaited of the server, and no longer.

/** For how long a server without work keeps the script at least; between two calls nothing is awaited for a moment. */
const LINGER_MS = 200;
/** Calls that begin a turn. */
const BEGIN_TURNS: ReadonlySet<string> = new Set([
  "turn/start",
  "review/start",
  "thread/compact/start",
  "thread/goal/set",
]);
/** For how many times {@linkcode LINGER_MS} the turn of such a call is waited for, at most. */
const BEGIN_ROUNDS = 25;

interface HeldTurn {
  readonly turnId: string;
  /** The turn before it, whose end may be told late. */
  readonly before: string | undefined;
  readonly release: () => void;
}

/**
 * Counts what is awaited. While there is something, the process of the server keeps the script running; without, the script
 * may end, and its exit ends the process. Whoever forgets `shutdown()` neither hangs nor leaves anything behind.
 */
export class KeepAlive {
  #transport: Pick<Transport, "ref" | "unref"> | null = null;
  #held = 0;
  #keeps = true;
  #busy = false;
  #timer: unknown;
  #closed = false;
  /** The active turn of each thread, whoever began it, and what releases the script at its end. */
  readonly #turns: Map<string, HeldTurn> = new Map();
  /** For how much longer a turn may begin that was asked for. */
  #begins = 0;
  readonly #timers: Timers;

  constructor(timers: Timers = hostTimers) {
    this.#timers = timers;
  }

  /** Another server; `null` when there is none. No turn of the last one goes on. */
  attach(transport: Pick<Transport, "ref" | "unref"> | null): void {
    this.#transport = transport;
    for (const threadId of [...this.#turns.keys()]) this.#release(threadId);
    if (!this.#keeps) transport?.unref?.();
  }

  /** Something is awaited, until the result is called. */
  hold(): () => void {
    this.#begin();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#end();
    };
  }

  /** Something begins to be awaited, or is not any more; told in turn. */
  awaited(some: boolean): void {
    if (some) this.#begin();
    else this.#end();
  }

  /** Something is awaited until the promise settles. Gives the promise back. */
  while<T>(promise: Promise<T>): Promise<T> {
    this.#begin();
    promise.then(this.#end, this.#end);
    return promise;
  }

  /** An iterator whose reader is waited for only while it waits itself. */
  reading<T>(iterator: AsyncIterableIterator<T>): AsyncIterableIterator<T> {
    const reader: AsyncIterableIterator<T> = {
      next: () => this.while(iterator.next()),
      return: () => iterator.return!(),
      [Symbol.asyncIterator]: () => reader,
    };
    return reader;
  }

  /** What a notification says of turns: one that is active, whoever began it, is awaited. */
  noticed(method: string, threadId: string, turnId: string | undefined): void {
    if (method === "turn/started" && turnId !== undefined) {
      this.#begins = 0;
      const before = this.#turns.get(threadId)?.turnId;
      this.#release(threadId);
      this.#turns.set(threadId, { turnId, before, release: this.hold() });
    } else if (method === "turn/completed") {
      // A review ends under another id than it began under (0.125 to 0.169).
      if (this.#turns.get(threadId)?.before !== turnId) this.#release(threadId);
    } else if (method === "thread/closed" || method === "thread/archived") {
      this.#release(threadId);
    }
  }

  /** A turn is over whose end the server may never tell. */
  over(threadId: string, { turnId, activeId }: { turnId: string; activeId: string }): void {
    const held = this.#turns.get(threadId)?.turnId;
    if (held === turnId || held === activeId) this.#release(threadId);
  }

  /** Whether a turn is active, whoever began it. */
  get turnRuns(): boolean {
    return this.#turns.size > 0;
  }

  /** A call was answered: after some of them a turn begins, of which the server tells a moment later. */
  answered(method: string | undefined): void {
    if (BEGIN_TURNS.has(method ?? "")) this.#begins = BEGIN_ROUNDS;
  }

  /** Nothing is awaited any more, and no timer is left. */
  close(): void {
    this.#closed = true;
    this.#timers.clear(this.#timer);
    this.#timer = undefined;
  }

  #begin(): void {
    this.#held++;
    this.#busy = true;
    if (this.#keeps) return;
    this.#keeps = true;
    this.#transport?.ref?.();
  }

  readonly #end = (): void => {
    if (--this.#held === 0) this.#arm();
  };

  #release(threadId: string): void {
    this.#turns.get(threadId)?.release();
    this.#turns.delete(threadId);
  }

  #arm(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#busy = false;
    this.#timer = this.#timers.set(() => {
      this.#timer = undefined;
      if (this.#held > 0) return;
      // Something was awaited meanwhile: its end counts anew.
      if (this.#busy || this.#begins-- > 0) return this.#arm();
      this.#keeps = false;
      this.#transport?.unref?.();
    }, LINGER_MS);
  }
}

// What a server leaves behind.

/** How many threads' leftovers are looked for, the newest. */
const MAX_CUT_OFF = 256;

/** Threads some of whose commands were cut off. */
export class CutOffThreads {
  readonly #ids: Set<string> = new Set();

  /** Adds threads, and ends what is left of the commands of all, in the server's tree or without a parent. */
  end(pid: number | null, threadIds: readonly string[]): void {
    for (const threadId of threadIds) {
      this.#ids.add(threadId);
      if (this.#ids.size > MAX_CUT_OFF) this.#ids.delete([...this.#ids][0]!);
    }
    // Codex names the thread to each command.
    endOrphans(pid, [...this.#ids].map((id) => `CODEX_THREAD_ID=${id}`));
  }
}
