/**
 * Resuming a thread that its server is still releasing.
 * @module
 */
import { delay } from "../../async.ts";
import { isRefusal } from "../../protocol/mod.ts";

/** How long a server may take to release a thread. */
const LIMIT_MS = 10_000;

/**
 * Calls, and calls again for as long as the server says that the thread is closing. Codex 0.106 to 0.120 answer
 * `thread/unsubscribe` before they have closed the thread, and refuse to resume it until they have.
 */
export async function whenClosed<T>(
  call: () => Promise<T>,
  signal: AbortSignal | undefined,
  limitMs: number = LIMIT_MS,
): Promise<T> {
  const end = performance.now() + limitMs;
  for (let wait = 20;; wait = Math.min(wait * 2, 500)) {
    try {
      return await call();
    } catch (error) {
      if (!isRefusal(error, "threadClosing") || performance.now() + wait > end) throw error;
    }
    await delay(wait, signal);
  }
}
