/**
 * Whether the script goes on: for as long as something is awaited of the server, and no longer.
 * @module
 */
import { hostTimers, type Timers } from "../async.ts";
import type { Transport } from "../transport/mod.ts";

/** For how long a server without work keeps the script at least; between two calls nothing is awaited for a moment. */
const LINGER_MS = 200;
/** Calls that begin a turn. */
const BEGIN_TURNS: ReadonlySet<string> = new Set([
  "turn/start",
  "review/start",
  "thread/compact/start",
  "thread/goal/set",
]);
/** For how many times {@linkcode LINGER_MS} the turn of such a call is waited for, at most. */
const BEGIN_ROUNDS = 25;

/**
 * Counts what is awaited. While there is something, the process of the server keeps the script running; without, the script
 * may end, and its exit ends the process. Whoever forgets `shutdown()` neither hangs nor leaves anything behind.
 */
export class KeepAlive {
  #transport: Pick<Transport, "ref" | "unref"> | null = null;
  #held = 0;
  #keeps = true;
  #busy = false;
  #timer: unknown;
  #closed = false;
  /** The turn at work on each thread, whoever began it, and what lets go of the script at its end. */
  readonly #turns: Map<string, { turnId: string; release: () => void }> = new Map();
  /** For how much longer a turn may begin that was asked for. */
  #begins = 0;
  readonly #timers: Timers;

  constructor(timers: Timers = hostTimers) {
    this.#timers = timers;
  }

  /** Another server; `null` when there is none. No turn of the last one goes on. */
  attach(transport: Pick<Transport, "ref" | "unref"> | null): void {
    this.#transport = transport;
    for (const threadId of [...this.#turns.keys()]) this.#release(threadId);
    if (!this.#keeps) transport?.unref?.();
  }

  /** Something is awaited, until the result is called. */
  hold(): () => void {
    this.#held++;
    this.#busy = true;
    if (!this.#keeps) {
      this.#keeps = true;
      this.#transport?.ref?.();
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#held === 0) this.#arm();
    };
  }

  /** Something is awaited until the promise settles. Gives the promise back. */
  while<T>(promise: Promise<T>): Promise<T> {
    const release = this.hold();
    promise.then(release, release);
    return promise;
  }

  /** An iterator whose reader is waited for only while it waits itself. */
  reading<T, R, I extends AsyncIterableIterator<T, R>>(iterator: I): AsyncIterableIterator<T, R> {
    const reader: AsyncIterableIterator<T, R> = {
      next: () => this.while(iterator.next()),
      return: () => iterator.return!(),
      [Symbol.asyncIterator]: () => reader,
    };
    return reader;
  }

  /** What a notification says of turns: one that is at work, whoever began it, is awaited. */
  noticed(method: string, threadId: string, turnId: string | undefined): void {
    if (method === "turn/started" && turnId !== undefined) {
      this.#begins = 0;
      this.#release(threadId);
      this.#turns.set(threadId, { turnId, release: this.hold() });
    } else if (method === "turn/completed") {
      if (this.#turns.get(threadId)?.turnId === turnId) this.#release(threadId);
    } else if (method === "thread/closed" || method === "thread/archived") {
      this.#release(threadId);
    }
  }

  /** A call was answered: after some of them a turn begins, of which the server tells a moment later. */
  answered(method: string | undefined): void {
    if (method !== undefined && BEGIN_TURNS.has(method)) {
      this.#begins = BEGIN_ROUNDS;
    }
  }

  /** Nothing is awaited any more, and no timer is left. */
  close(): void {
    this.#closed = true;
    this.#timers.clear(this.#timer);
    this.#timer = undefined;
  }

  #release(threadId: string): void {
    this.#turns.get(threadId)?.release();
    this.#turns.delete(threadId);
  }

  #arm(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#busy = false;
    this.#timer = this.#timers.set(() => {
      this.#timer = undefined;
      if (this.#held > 0) return;
      // Something was awaited meanwhile: its end counts anew.
      if (this.#busy || this.#begins-- > 0) return this.#arm();
      this.#keeps = false;
      this.#transport?.unref?.();
    }, LINGER_MS);
  }
}
