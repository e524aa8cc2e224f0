/**
 * Waiting for a server to have released a thread.
 * @module
 */
import { delay } from "../../async.ts";
import { ThreadInUseError } from "../../errors/mod.ts";
import { isRefusal, type Refusal } from "../../protocol/mod.ts";

/** How long a server may take to release a thread. */
const LIMIT_MS = 10_000;

/**
 * How long a thread that this client has released may be told as missing, or as written to: 0.169 closes the file of one
 * that it archives beside the call.
 */
export const LEAVING_MS = 2_000;

/**
 * Calls, and calls again for as long as the server says that the thread is closing. Codex 0.106 to 0.120 answer
 * `thread/unsubscribe` before they have closed the thread, and refuse to resume it until they have. `refusals` are what
 * else the server may say meanwhile.
 */
export async function whenClosed<T>(
  call: () => Promise<T>,
  signal: AbortSignal | undefined,
  limitMs: number = LIMIT_MS,
  ...refusals: Refusal[]
): Promise<T> {
  const passing = refusals.length === 0 ? ["threadClosing" as const] : refusals;
  const end = performance.now() + limitMs;
  for (let wait = 20;; wait = Math.min(wait * 2, 500)) {
    try {
      return await call();
    } catch (error) {
      const passes = passing.some((refusal) => isRefusal(error, refusal));
      if (!passes || performance.now() + wait > end) throw error;
    }
    await delay(wait, signal);
  }
}

/** The typed error for a thread that another process writes to; any other error as it is. */
export function threadInUse(error: unknown, threadId: string): unknown {
  return isRefusal(error, "threadInUse") ? new ThreadInUseError(threadId, { cause: error }) : error;
}
