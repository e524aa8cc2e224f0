/**
 * Work that has the thread to itself.
 * @module
 */
import { assertStopped } from "../turn/stop_turn.ts";
import type { ThreadHost } from "./thread_host.ts";

/**
 * Has the thread for itself while `act` works, and what it holds. `signal` is aborted by the caller, and by the session's
 * end.
 */
export async function alone<T>(
  host: ThreadHost,
  signal: AbortSignal | undefined,
  act: (signal: AbortSignal, hold: (until: Promise<unknown>) => void) => Promise<T>,
): Promise<T> {
  const given = new AbortController();
  const forward = () => given.abort(signal!.reason);
  if (signal?.aborted) forward();
  else signal?.addEventListener("abort", forward, { once: true });
  const holder = {
    interrupt: async () => assertStopped(await host.turns.rest.stopAll()),
    cancel: (reason: unknown) => given.abort(reason),
  };
  try {
    given.signal.throwIfAborted();
    const release = await host.take(holder, given.signal);
    const held: Promise<unknown>[] = [];
    try {
      const result = await act(given.signal, (until) => held.push(until));
      // A machine that is lost now costs nothing of it.
      await host.stored();
      return result;
    } finally {
      Promise.allSettled(held).then(release);
    }
  } finally {
    signal?.removeEventListener("abort", forward);
  }
}
