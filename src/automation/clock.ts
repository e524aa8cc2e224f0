/** Time, as an automation sees it. Tests bring their own. @module */
import { abortable } from "../async.ts";

/** Tells the time and calls back. */
export interface AutomationClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back after some milliseconds; the result cancels that. */
  after(ms: number, callback: () => void): () => void;
}

/** The real time. Its timers keep the script alive, as an automation should. */
export const systemClock: AutomationClock = {
  now: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * The longest single timer. Timers overflow at 2^31 ms and stand still while a machine sleeps; looking at the clock
 * each minute makes both harmless.
 */
const LONGEST_TIMER_MS = 60_000;

/** Waits until the time has come, `true`, or the signal aborts, `false`. */
export async function sleepUntil(
  time: number,
  clock: AutomationClock,
  signal: AbortSignal,
): Promise<boolean> {
  for (;;) {
    if (signal.aborted) return false;
    const left = time - clock.now();
    if (left <= 0) return true;
    const woken = Promise.withResolvers<void>();
    const cancel = clock.after(Math.min(Math.ceil(left), LONGEST_TIMER_MS), woken.resolve);
    await abortable(woken.promise, signal).catch(() => {});
    cancel();
  }
}
