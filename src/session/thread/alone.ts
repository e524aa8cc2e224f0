/**
 * Work that has the thread to itself.
 * @module
 */
import { abortable } from "../../async.ts";
import { assertStopped } from "../turn/stop_turn.ts";
import type { ThreadHost } from "./thread_host.ts";

/**
 * Has the thread for itself while `act` works, and what it holds. `signal` is aborted by the caller, and by the session's
 * end. An interrupt stops what is active on the thread; `onInterrupt` has it do something else, such as giving the whole up, also
 * while it waits for what somebody else has begun. `undo` ends what was made and nobody gets, where it could not be stored; it never rejects.
 */
export async function alone<T>(
  host: ThreadHost,
  signal: AbortSignal | undefined,
  act: (signal: AbortSignal, hold: (until: Promise<unknown>) => void) => Promise<T>,
  onInterrupt: (giveUp: (reason: unknown) => void) => Promise<boolean> = () =>
    host.turns.rest.stopAll(),
  undo?: (result: T) => Promise<void>,
): Promise<T> {
  const given = new AbortController();
  const until = AbortSignal.any(signal === undefined ? [given.signal] : [given.signal, signal]);
  const cancel = (reason: unknown) => given.abort(reason);
  const holder = { interrupt: async () => assertStopped(await onInterrupt(cancel)), cancel };
  until.throwIfAborted();
  const release = await host.take(holder, until);
  const held: Promise<unknown>[] = [];
  try {
    const result = await act(until, (other) => held.push(other));
    // A machine that is lost now costs nothing of it.
    await abortable(host.stored(), until).catch(async (error) => {
      const undone = undo?.(result);
      if (signal?.aborted !== true) await undone;
      throw error;
    });
    return result;
  } finally {
    Promise.allSettled(held).then(release);
  }
}
