/**
 * When a failed turn is tried again.
 * @module
 */
import { ConnectionClosedError, TurnFailedError } from "../../errors/mod.ts";
import type { RetryOptions } from "../profile.ts";

const DEFAULTS = { attempts: 2, baseDelayMs: 1_000, maxDelayMs: 60_000 } as const;

/**
 * Milliseconds to wait before the next try, or `null` for none. Only failures of the model's provider that may pass are
 * tried again; a reset time that is further away than `maxDelayMs` ends it. `random` is in [0, 1).
 */
export function retryDelayMs(
  error: unknown,
  tries: number,
  options: RetryOptions | undefined,
  now: Date,
  random: number,
): number | null {
  if (options === undefined) return null;
  const { attempts, baseDelayMs, maxDelayMs } = { ...DEFAULTS, ...options };
  if (tries > attempts || !(error instanceof TurnFailedError) || !error.retryable) return null;
  if (error.resetsAt !== null) {
    const wait = error.resetsAt.getTime() - now.getTime();
    if (wait > maxDelayMs) return null;
    if (wait > 0) return wait;
  }
  return Math.min(maxDelayMs, baseDelayMs * 2 ** (tries - 1)) * (0.75 + random * 0.5);
}

/** True when another process may do better; for sessions whose server was started again. */
export function isConnectionLoss(error: unknown): error is ConnectionClosedError {
  return error instanceof ConnectionClosedError && error.retryable;
}
