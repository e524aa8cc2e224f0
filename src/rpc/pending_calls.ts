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
   * for notifications of what it has just created. Must not throw.
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

/** Milliseconds to wait before try number `tries + 1`; `random` is in [0, 1). */
export function overloadBackoffMs(tries: number, random: number): number {
  const ceiling = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (tries - 1));
  return ceiling / 2 + (ceiling / 2) * random;
}

class Call {
  readonly expiresAt: number;
  id = -1;
  tries = 0;
  sentAt = 0;
  settled = false;
  queued = false;
  backoff: ReturnType<typeof setTimeout> | null = null;
  readonly #owner: PendingCalls;
  readonly method: string;
  readonly params: JsonValue | undefined;
  readonly timeoutMs: number;
  // Taken out of the options, which are the caller's own and may change.
  readonly signal: AbortSignal | undefined;
  readonly trace: TraceContext | undefined;
  readonly onResult: ((result: JsonValue) => void) | undefined;
  readonly resolve: (result: JsonValue) => void;
  readonly reject: (error: unknown) => void;

  constructor(
    owner: PendingCalls,
    method: string,
    params: JsonValue | undefined,
    timeoutMs: number,
    options: CallOptions,
    trace: TraceContext | undefined,
    resolve: (result: JsonValue) => void,
    reject: (error: unknown) => void,
    now: number,
  ) {
    this.#owner = owner;
    this.method = method;
    this.params = params;
    this.timeoutMs = timeoutMs;
    this.signal = options.signal;
    this.trace = trace;
    this.onResult = options.onResult;
    this.resolve = resolve;
    this.reject = reject;
    this.expiresAt = now + timeoutMs;
  }

  /** Listener of the caller's signal. */
  handleEvent(): void {
    this.#owner.fail(this, this.signal!.reason);
  }

  expire(): void {
    this.#owner.fail(this, new RequestTimeoutError(this.method, this.timeoutMs));
  }
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
  /** Calls beyond the window, in order; the server loses requests when too many are unanswered. */
  #queue: Call[] = [];
  #queueHead = 0;
  /** Calls in the queue that are still wanted. */
  #queued = 0;
  readonly #backingOff: Set<Call> = new Set();
  #nextId = 1;
  #closed: unknown = null;
  /** Told how long each answered call took. */
  onLatency: ((ms: number) => void) | null = null;

  /** Creates a table that keeps at most `window` calls in flight. */
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

  /** Sends a call and waits for its answer. */
  call(
    method: string,
    params: JsonValue | undefined,
    timeoutMs: number,
    options: CallOptions = {},
    trace: TraceContext | undefined = options.trace,
  ): Promise<JsonValue> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (options.signal?.aborted) return Promise.reject(options.signal.reason);
    return new Promise((resolve, reject) => {
      const now = performance.now();
      const call = new Call(this, method, params, timeoutMs, options, trace, resolve, reject, now);
      call.signal?.addEventListener("abort", call, { once: true });
      this.#deadlines.add(call.expiresAt);
      this.#enqueue(call, now);
    });
  }

  /** Takes an answer that came now, or at a known time; `false` when nothing waits for it. */
  settle(response: RpcResponse, now: number = performance.now()): boolean {
    const call = typeof response.id === "number" ? this.#inFlight.get(response.id) : undefined;
    if (call === undefined) return false;
    this.#inFlight.delete(call.id);
    const error = response.error;
    if (error === null) {
      this.#finish(call);
      this.onLatency?.(now - call.sentAt);
      call.onResult?.(response.result);
      call.resolve(response.result);
    } else if (error.code === OVERLOADED && call.tries < MAX_TRIES) {
      this.#retryLater(call);
    } else {
      this.#finish(call);
      call.reject(
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
    this.fail(call, error);
    return true;
  }

  /** Rejects one call; for its own timer and signal. */
  fail(call: Call, error: unknown): void {
    if (call.settled) return;
    this.#inFlight.delete(call.id);
    this.#finish(call);
    call.reject(error);
    this.#pump();
  }

  /** Rejects every call, now and from now on. */
  close(error: unknown): void {
    if (this.#closed !== null) return;
    this.#closed = error;
    const calls = this.#waiting();
    this.#inFlight.clear();
    this.#queue = [];
    this.#queueHead = 0;
    for (const call of calls) {
      if (call.settled) continue;
      this.#finish(call);
      call.reject(error);
    }
  }

  #enqueue(call: Call, now: number): void {
    if (this.#inFlight.size < this.#window) return this.#start(call, now);
    call.queued = true;
    this.#queued++;
    this.#queue.push(call);
  }

  #start(call: Call, now: number): void {
    call.id = this.#nextId++;
    call.tries++;
    call.sentAt = now;
    this.#inFlight.set(call.id, call);
    try {
      this.#send(call.id, call.method, call.params, call.trace, now);
    } catch (error) {
      this.fail(call, error);
    }
  }

  #pump(now: number = performance.now()): void {
    while (this.#queueHead < this.#queue.length && this.#inFlight.size < this.#window) {
      const call = this.#queue[this.#queueHead++]!;
      if (call.settled) continue;
      this.#leaveQueue(call);
      this.#start(call, now);
    }
    // A queue that never runs empty must not keep what it has released.
    if (this.#queueHead > 64 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueHead);
      this.#queueHead = 0;
    }
  }

  #leaveQueue(call: Call): void {
    if (!call.queued) return;
    call.queued = false;
    this.#queued--;
  }

  #retryLater(call: Call): void {
    this.#backingOff.add(call);
    call.backoff = setTimeout(() => {
      call.backoff = null;
      this.#backingOff.delete(call);
      this.#enqueue(call, performance.now());
    }, overloadBackoffMs(call.tries, Math.random()));
  }

  #finish(call: Call): void {
    call.settled = true;
    call.signal?.removeEventListener("abort", call);
    if (call.backoff !== null) {
      clearTimeout(call.backoff);
      call.backoff = null;
      this.#backingOff.delete(call);
    }
    this.#leaveQueue(call);
    if (this.size === 0) this.#deadlines.clear();
  }

  /** Rejects the calls whose time is over; returns when the next one's will be. */
  #expire(now: number): number {
    const due = this.#waiting().filter(({ expiresAt }) => expiresAt <= now);
    due.sort((a, b) => a.expiresAt - b.expiresAt);
    for (const call of due) call.expire();
    return this.#waiting().reduce((next, { expiresAt }) => Math.min(next, expiresAt), Infinity);
  }

  /** Every call that is not settled. */
  #waiting(): Call[] {
    const queued = this.#queue.slice(this.#queueHead).filter(({ queued }) => queued);
    return [...this.#inFlight.values(), ...queued, ...this.#backingOff];
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
