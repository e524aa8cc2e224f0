/**
 * When an automation runs, pure, over times in milliseconds since the epoch; and the clock that tells them.
 * @module
 */
import { abortable } from "../async.ts";
import { InvalidArgumentError, SessionClosedError } from "../errors/mod.ts";
import type { AutomationSpec } from "./types.ts";

/** The last moment that a `Date` can hold. */
const LAST_MOMENT = 8.64e15;

/** What an automation does next. */
export type AutomationStep =
  | { type: "wait"; dueAt: number }
  | { type: "stop" }
  | { type: "fail"; error: unknown };

/** The first step of an automation. */
export function firstStep(spec: AutomationSpec, now: number, closed: boolean): AutomationStep {
  if (closed) return { type: "fail", error: closedError() };
  if (spec.maxRuns === 0) return { type: "stop" };
  const dueAt = Math.max(spec.startAt?.getTime() ?? now, now);
  const stopAt = spec.stopAt?.getTime() ?? Infinity;
  return dueAt >= stopAt ? { type: "stop" } : { type: "wait", dueAt };
}

/** Whether a run that is due may start now: `null`, or what happens instead. */
export function stepAtDue(
  spec: AutomationSpec,
  now: number,
  closed: boolean,
): AutomationStep | null {
  if (closed) return { type: "fail", error: closedError() };
  return now >= (spec.stopAt?.getTime() ?? Infinity) ? { type: "stop" } : null;
}

/** The step after a successful run that was due at `lastDue`. */
export function nextStep(
  spec: AutomationSpec,
  lastDue: number,
  now: number,
  runsCompleted: number,
): AutomationStep {
  if (runsCompleted >= (spec.maxRuns ?? Infinity)) return { type: "stop" };
  const dueAt = nextDue(lastDue, spec.every, now);
  if (dueAt >= (spec.stopAt?.getTime() ?? Infinity)) return { type: "stop" };
  if (dueAt <= LAST_MOMENT) return { type: "wait", dueAt };
  return {
    type: "fail",
    error: new InvalidArgumentError("automation", {
      argument: "every",
      received: "a pace whose next run is later than a Date can tell",
      accepts: "a number of milliseconds that a Date can hold",
    }),
  };
}

function closedError(): SessionClosedError {
  return new SessionClosedError("The session was closed before the automation ended.");
}

/**
 * The first tick after `now` on the grid that `lastDue` is on: ticks that passed meanwhile collapse into the one run
 * that just ended, and the grid never shifts.
 */
export function nextDue(lastDue: number, every: number, now: number): number {
  const next = lastDue + every;
  if (next > now) return next;
  const passed = Math.floor((now - lastDue) / every);
  const later = lastDue + every * (passed + 1);
  // Fractions of milliseconds round; the promise is a tick after now.
  return later > now ? later : lastDue + every * (passed + 2);
}

// Time, as an automation sees it. Tests bring their own.

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
