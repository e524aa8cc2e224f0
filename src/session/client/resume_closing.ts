/**
 * Taking up a thread that its server is still letting go of.
 * @module
 */
import { sleep } from "../../async/mod.ts";
import { RpcError } from "../../errors/mod.ts";

/** How long a server may take to let go of a thread. */
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
      if (!isClosing(error) || performance.now() + wait > end) throw error;
    }
    await sleep(wait, signal ?? NEVER);
  }
}

const NEVER: AbortSignal = new AbortController().signal;

function isClosing(error: unknown): boolean {
  return error instanceof RpcError &&
    /\bis closing; retry thread\/resume\b/.test(error.rpcMessage);
}
