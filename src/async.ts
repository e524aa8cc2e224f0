/**
 * Waiting: with an end, with a signal, for longer than a timer can count.
 * @module
 */

/** Settles as the promise does, or rejects at once with the signal's reason; what the promise does later is dropped. */
export async function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return await promise;
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/**
 * Does something as soon as what runs now is over. `queueMicrotask` would never do it beside the fake timers of a test: Jest's
 * replace it unless told otherwise.
 */
export function soon(act: () => void): void {
  void Promise.resolve().then(act);
}

/** Waits so many milliseconds; rejects with the signal's reason. */
export async function delay(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const over = Promise.withResolvers<void>();
  const cancel = longTimeout(over.resolve, ms);
  try {
    await abortable(over.promise, signal);
  } finally {
    cancel();
  }
}

/** The promise's outcome, or `otherwise` when it has none after so many milliseconds. */
export async function within<T, U>(promise: Promise<T>, ms: number, otherwise: U): Promise<T | U> {
  const late = Promise.withResolvers<U>();
  const cancel = longTimeout(() => late.resolve(otherwise), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    cancel();
  }
}

/** Whether the promise settles, one way or the other, within so many milliseconds. */
export function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  return within(promise.then(() => true, () => true), ms, false);
}

/** All outcomes, or the first error in their order; settles only when every promise has, so that none still runs. */
export async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(promises);
  return outcomes.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  });
}

/** The timers of the runtime, or those of a test. */
export interface Timers {
  /** Calls back after `ms` milliseconds, at most 2,147,483,647. */
  set(callback: () => void, ms: number): unknown;
  /** Forgets what `set` gave back. */
  clear(handle: unknown): void;
}

/** The runtime's own. */
export const hostTimers: Timers = {
  set: (callback, ms) => setTimeout(callback, ms),
  clear: (handle) => clearTimeout(handle as number),
};

/** A longer delay, about 24.8 days, does not fit a timer, which then fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Calls back after any number of milliseconds; `Infinity` never comes. The result cancels it. */
export function longTimeout(
  callback: () => void,
  ms: number,
  timers: Timers = hostTimers,
): () => void {
  let handle: unknown;
  const arm = (left: number): void => {
    if (left === Infinity) return;
    const step = Math.min(Math.max(left, 0), LONGEST_TIMER_MS);
    handle = timers.set(left > step ? () => arm(left - step) : callback, step);
  };
  arm(ms);
  return () => timers.clear(handle);
}

/** Calls back again and again, each so many milliseconds, or each 24.8 days where they are more. `clearInterval` ends it. */
export function longInterval(callback: () => void, ms: number): ReturnType<typeof setInterval> {
  return setInterval(callback, Math.min(ms, LONGEST_TIMER_MS));
}

/** Something that is there, may be gone for a while, and may be gone for good: open, closed or failed. */
export class Latch {
  #open: Promise<void> = Promise.resolve();
  #closed: PromiseWithResolvers<void> | null = null;

  /** Waits until it is open. Rejects when it has failed, or with the signal's reason. */
  wait(signal?: AbortSignal): Promise<void> {
    return abortable(this.#open, signal);
  }

  /** Whoever comes now waits. */
  close(): void {
    if (this.#closed !== null) return;
    this.#closed = Promise.withResolvers();
    this.#open = this.#closed.promise;
    this.#open.catch(() => {});
  }

  /** Lets all through. */
  open(): void {
    this.#closed?.resolve();
    this.#closed = null;
  }

  /** Never opens again: all who wait, and all who come, get the error. */
  fail(error: unknown): void {
    this.close();
    this.#closed!.reject(error);
  }
}

/** Milliseconds by which two clocks may differ before one of them was set, or stood still. */
const SLACK_MS = 50;

/**
 * Tells how many milliseconds have passed. It goes on while the machine sleeps, as the wall's clock does, and neither goes
 * back nor stands still when that one is set: what was set forward and back again does not count for longer than it took.
 */
export function stopwatch(): () => number {
  let [wall, steady] = [Date.now(), performance.now()];
  let before = 0;
  let latest = 0;
  return () => {
    const [now, passed] = [Date.now(), performance.now()];
    latest = Math.max(latest, before + Math.max(now - wall, passed - steady));
    if (Math.abs(now - wall - passed + steady) > SLACK_MS) {
      [wall, steady, before] = [now, passed, latest];
    }
    return latest;
  };
}

let round: number | null = null;
let passed: (() => number) | null = null;

/** Milliseconds that have passed in this process, read once for all of a crowd's readers that are told something in one go. */
export function roundNow(): number {
  if (round === null) {
    round = (passed ??= stopwatch())();
    soon(() => round = null);
  }
  return round;
}
