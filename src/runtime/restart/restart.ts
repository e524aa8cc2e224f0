/**
 * Whether and when a dead server is started again.
 * @module
 */
import type { RestartPolicy } from "../config.ts";

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
  const { maxRestarts, baseDelayMs, maxDelayMs, resetAfterMs } = { ...RESTART_DEFAULTS, ...policy };
  const count = history.healthyMs >= resetAfterMs ? 0 : history.count;
  if (count >= maxRestarts) return { restart: false, reason: "tooManyRestarts" };
  const delay = Math.min(maxDelayMs, baseDelayMs * 2 ** count);
  return { restart: true, delayMs: Math.round(delay * (1 + random * 0.25)), attempt: count + 1 };
}
