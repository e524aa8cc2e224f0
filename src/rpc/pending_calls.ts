/**
 * Calls that wait for their answers, and the one timer of their deadlines.
 * @module
 */
import { RequestTimeoutError, RpcError } from "../errors/mod.ts";
import { adviceFor } from "../protocol/mod.ts";
import type { JsonValue } from "../json.ts";
import type { TraceContext } from "../telemetry.ts";
import type { RpcResponse } from "./codec.ts";

/** Options of one call. */
export interface CallOptions {
  /** Milliseconds until the call rejects; `Infinity` for never. Default: the connection's. */
  timeoutMs?: number;
  /** The trace that the call belongs to. Default: the caller's. */
  trace?: TraceContext | undefined;
  /** Stops waiting; the call rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Called with the result before anything that the server said after it is delivered, so that a caller can register
   * for notifications of what it has just created. Also when the result comes after the call's time: what it tells of is
   * there all the same. Must not throw.
   */
  onResult?: (result: JsonValue) => void;
}

/** Sends a call, now on the clock of `performance.now()`; the id is new for each try. */
export type SendCall = (
  id: number,
  method: string,
  params: JsonValue | undefined,
  trace: TraceContext | undefined,
  now: number,
) => void;

/** Code of a server that has too much to do; the call was not taken and may be sent again. */
const OVERLOADED = -32001;
const MAX_TRIES = 8;
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 2_000;

/** They do not wait for the calls in flight, which may be what they end, or take longer than a server may be silent. */
const AHEAD: ReadonlySet<string> = new Set([
  "turn/interrupt",
  "thread/backgroundTerminals/clean",
  "thread/loaded/list",
]);
/** How many of them go out beyond the window at once: with the widest one fewer than the server loses. */
const MAX_AHEAD = 16;

/** Milliseconds to wait before try number `tries + 1`; `random` is in [0, 1). */
export function overloadBackoffMs(tries: number, random: number): number {
  const ceiling = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (tries - 1));
  return ceiling / 2 + (ceiling / 2) * random;
}

/** Where a call is. */
type CallPlace = "new" | "inLine" | "inFlight" | "backingOff" | "settled";

/** Thousands may wait: what few calls have is in an object of its own. */
class Call {
  readonly method: string;
  readonly params: JsonValue | undefined;
  readonly timeoutMs: number;
  readonly expiresAt: number;
  readonly promise: Promise<JsonValue>;
  readonly resolve: (result: JsonValue) => void;
  readonly reject: (error: unknown) => void;
  readonly more: MoreOfCall | null;
  /** Whether it is counted among those that are awaited. */
  readonly awaited: boolean;
  place: CallPlace = "new";
  id = -1;
  tries = 0;
  sentAt = 0;

  constructor(
    method: string,
    params: JsonValue | undefined,
    timeoutMs: number,
    more: MoreOfCall | null,
    awaited: boolean,
    now: number,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<JsonValue>();
    this.method = method;
    this.params = params;
    this.timeoutMs = timeoutMs;
    this.promise = promise;
    this.resolve = resolve;
    this.reject = reject;
    this.more = more;
    this.awaited = awaited;
    this.expiresAt = now + timeoutMs;
  }
}

function refuse(call: Call, error: unknown): void {
  // Here, so that the many that succeed need no second promise.
  if (call.awaited) call.promise.catch(() => {});
  call.reject(error);
}

function rejected(error: unknown, awaited: boolean): Promise<never> {
  const promise = Promise.reject(error);
  if (awaited) promise.catch(() => {});
  return promise;
}

/** Taken out of the options, which are the caller's own and may change. */
interface MoreOfCall {
  readonly signal: AbortSignal | undefined;
  readonly trace: TraceContext | undefined;
  readonly onResult: ((result: JsonValue) => void) | undefined;
  /** Listens to the signal. */
  onAbort: (() => void) | null;
}

function moreOf(
  { signal, onResult }: CallOptions,
  trace: TraceContext | undefined,
): MoreOfCall | null {
  return signal === undefined && onResult === undefined && trace === undefined
    ? null
    : { signal, trace, onResult, onAbort: null };
}

/**
 * Sends calls, a window of them at once, and settles each exactly once: with its answer, its time limit, its signal,
 * or the end of the connection.
 */
export class PendingCalls {
  readonly #send: SendCall;
  readonly #window: number;
  readonly #deadlines = new Deadlines((now) => this.#expire(now));
  readonly #inFlight: Map<number, Call> = new Map();
  /** Who wants to hear of the result of a call whose time is over. */
  readonly #late: Map<number, (result: JsonValue) => void> = new Map();
  /** Calls beyond the window, in order; the server loses requests when too many are unanswered. */
  #queue: Call[] = [];
  #queueHead = 0;
  /** Calls in the queue that are still wanted. */
  #queued = 0;
  readonly #backingOff: Map<Call, ReturnType<typeof setTimeout>> = new Map();
  #nextId = 1;
  #closed: unknown = null;
  #awaited = 0;
  /** Told when calls begin to be awaited, and when the last of them has settled. */
  onAwaited: ((some: boolean) => void) | null = null;
  /** Told how long each answered call took. */
  onLatency: ((ms: number) => void) | null = null;

  /** Creates a table that keeps at most `window` calls in flight, beside the few that do not wait. */
  constructor(send: SendCall, window: number) {
    this.#send = send;
    this.#window = window;
  }

  /** Calls that wait for an answer, the queued ones included. */
  get size(): number {
    return this.#inFlight.size + this.#queued + this.#backingOff.size;
  }

  /** The method of a call in flight. */
  methodOf(id: number | string): string | undefined {
    return typeof id === "number" ? this.#inFlight.get(id)?.method : undefined;
  }

  /**
   * Sends a call and waits for its answer. `awaited`: {@linkcode onAwaited} is told of it, and a rejection that nobody takes
   * is none of the program's.
   */
  call(
    method: string,
    params: JsonValue | undefined,
    timeoutMs: number,
    options: CallOptions = {},
    trace: TraceContext | undefined = options.trace,
    awaited = false,
  ): Promise<JsonValue> {
    if (this.#closed !== null) return rejected(this.#closed, awaited);
    if (options.signal?.aborted) return rejected(options.signal.reason, awaited);
    const now = performance.now();
    const more = moreOf(options, trace);
    const call = new Call(method, params, timeoutMs, more, awaited, now);
    if (awaited && this.#awaited++ === 0) this.onAwaited?.(true);
    if (more?.signal !== undefined) {
      const { signal } = more;
      more.onAbort = () => this.#fail(call, signal.reason);
      signal.addEventListener("abort", more.onAbort, { once: true });
    }
    this.#deadlines.add(call.expiresAt);
    this.#enqueue(call, now);
    return call.promise;
  }

  /** Takes an answer that came now, or at a known time; `false` when nothing waits for it. */
  settle(response: RpcResponse, now: number = performance.now()): boolean {
    const call = typeof response.id === "number" ? this.#inFlight.get(response.id) : undefined;
    if (call === undefined) {
      const onResult = this.#late.get(response.id as number);
      this.#late.delete(response.id as number);
      if (response.error === null) onResult?.(response.result);
      return onResult !== undefined;
    }
    this.#inFlight.delete(call.id);
    const error = response.error;
    if (error === null) {
      this.#finish(call);
      this.onLatency?.(now - call.sentAt);
      call.more?.onResult?.(response.result);
      call.resolve(response.result);
    } else if (error.code === OVERLOADED && call.tries < MAX_TRIES) {
      this.#retryLater(call);
    } else {
      this.#finish(call);
      refuse(
        call,
        new RpcError(call.method, error.code, error.message, error.data, {
          refusal: adviceFor(error.message),
        }),
      );
    }
    this.#pump(now);
    return true;
  }

  /** Rejects the call with this id, if it is in flight. */
  rejectId(id: number | string, error: unknown): boolean {
    const call = typeof id === "number" ? this.#inFlight.get(id) : undefined;
    if (call === undefined) return false;
    this.#fail(call, error);
    return true;
  }

  #fail(call: Call, error: unknown): void {
    if (call.place === "settled") return;
    this.#inFlight.delete(call.id);
    this.#finish(call);
    refuse(call, error);
    this.#pump();
  }

  /** Rejects every call, now and from now on. */
  close(error: unknown): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    const calls = this.#waiting();
    this.#inFlight.clear();
    this.#late.clear();
    this.#queue = [];
    this.#queueHead = 0;
    for (const call of calls) {
      if (call.place === "settled") continue;
      this.#finish(call);
      refuse(call, error);
    }
  }

  #enqueue(call: Call, now: number): void {
    const room = this.#window + (AHEAD.has(call.method) ? MAX_AHEAD : 0);
    if (this.#inFlight.size < room) return this.#start(call, now);
    call.place = "inLine";
    this.#queued++;
    this.#queue.push(call);
  }

  #start(call: Call, now: number): void {
    call.id = this.#nextId++;
    call.tries++;
    call.sentAt = now;
    call.place = "inFlight";
    this.#inFlight.set(call.id, call);
    try {
      this.#send(call.id, call.method, call.params, call.more?.trace, now);
    } catch (error) {
      this.#fail(call, error);
    }
  }

  #pump(now: number = performance.now()): void {
    while (this.#queueHead < this.#queue.length && this.#inFlight.size < this.#window) {
      const call = this.#queue[this.#queueHead++]!;
      if (call.place !== "inLine") continue;
      this.#queued--;
      this.#start(call, now);
    }
    // A queue that never runs empty must not keep what it has released.
    if (this.#queueHead > 64 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueHead);
      this.#queueHead = 0;
    }
  }

  #retryLater(call: Call): void {
    call.place = "backingOff";
    const again = () => {
      this.#backingOff.delete(call);
      this.#enqueue(call, performance.now());
    };
    const waitMs = overloadBackoffMs(call.tries, Math.random());
    this.#backingOff.set(call, setTimeout(again, waitMs));
  }

  #finish(call: Call): void {
    if (call.place === "inLine") this.#queued--;
    else if (call.place === "backingOff") {
      clearTimeout(this.#backingOff.get(call));
      this.#backingOff.delete(call);
    }
    call.place = "settled";
    const { more } = call;
    if (more !== null && more.onAbort !== null) {
      more.signal!.removeEventListener("abort", more.onAbort);
    }
    if (this.size === 0) this.#deadlines.clear();
    if (call.awaited && --this.#awaited === 0) this.onAwaited?.(false);
  }

  /** Rejects the calls whose time is over; returns when the next one's will be. */
  #expire(now: number): number {
    const due = this.#waiting().filter(({ expiresAt }) => expiresAt <= now);
    due.sort((a, b) => a.expiresAt - b.expiresAt);
    for (const call of due) {
      const onResult = call.more?.onResult;
      if (call.place === "inFlight" && onResult !== undefined) this.#late.set(call.id, onResult);
      this.#fail(call, new RequestTimeoutError(call.method, call.timeoutMs));
    }
    return this.#waiting().reduce((next, { expiresAt }) => Math.min(next, expiresAt), Infinity);
  }

  /** Every call that is not settled. */
  #waiting(): Call[] {
    const queued = this.#queue.slice(this.#queueHead).filter(({ place }) => place === "inLine");
    return [...this.#inFlight.values(), ...queued, ...this.#backingOff.keys()];
  }
}

// Many deadlines, one timer.

/** Longest delay that a timer can hold. */
const MAX_DELAY_MS = 0x7fffffff;

/**
 * Wakes whoever keeps the deadlines when the earliest of them has come, with a single timer. Times are on the clock of
 * `performance.now()`; those at `Infinity` never come.
 */
export class Deadlines {
  readonly #expire: (now: number) => number;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #wakesAt = Infinity;

  /** `expire` ends what is due, and returns the earliest deadline that is left. */
  constructor(expire: (now: number) => number) {
    this.#expire = expire;
  }

  /** There is one more deadline. */
  add(at: number): void {
    if (at >= this.#wakesAt) return;
    this.clear();
    this.#wakesAt = at;
    const delay = Math.min(MAX_DELAY_MS, Math.max(0, Math.ceil(at - performance.now())));
    this.#timer = setTimeout(() => this.#wake(), delay);
  }

  /** No deadline is left. */
  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#wakesAt = Infinity;
  }

  #wake(): void {
    this.#timer = null;
    this.#wakesAt = Infinity;
    this.add(this.#expire(performance.now()));
  }
}
