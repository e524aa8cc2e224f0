/**
 * A session's events as an iterator.
 * @module
 */
import type { WebEvent } from "../types.ts";
import type { EventSubscription } from "./subscription.ts";

/** What a {@linkcode Feed} is made of. */
export interface FeedParts<T> {
  /** Begins; rejects when the reader may not. `first` comes before the events. */
  open(): Promise<{ subscription: EventSubscription; first: T[] }>;
  /** What an event is to the reader; `null` for nothing. */
  pick(event: WebEvent): T | null;
  /** Ends the reading; it rejects with the signal's reason. */
  signal: AbortSignal | undefined;
}

/** A subscription as an iterator. It begins with the first call of `next()`. */
export class Feed<T> implements AsyncIterableIterator<T> {
  readonly #parts: FeedParts<T>;
  #opened: Promise<{ subscription: EventSubscription; first: T[] }> | null = null;
  #done = false;
  #unlisten: () => void = () => {};

  /** Takes the parts; nothing is opened yet. */
  constructor(parts: FeedParts<T>) {
    this.#parts = parts;
  }

  /** Itself. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this;
  }

  /** The next value. */
  async next(): Promise<IteratorResult<T>> {
    const { signal, pick } = this.#parts;
    signal?.throwIfAborted();
    if (this.#done) return { done: true, value: undefined };
    const { subscription, first } = await this.#open();
    for (;;) {
      if (signal?.aborted) throw signal.reason;
      const early = this.#done ? undefined : first.shift();
      if (early !== undefined) return { done: false, value: early };
      const event = subscription.take();
      if (event === null) {
        if (subscription.ended) break;
        await subscription.wait();
        continue;
      }
      const value = pick(event);
      if (value !== null) return { done: false, value };
    }
    await this.return();
    return { done: true, value: undefined };
  }

  /** Ends the subscription, also while `next()` waits. */
  async return(): Promise<IteratorResult<T>> {
    this.#done = true;
    this.#unlisten();
    const opened = this.#opened;
    if (opened !== null) (await opened.catch(() => null))?.subscription.close();
    return { done: true, value: undefined };
  }

  #open(): Promise<{ subscription: EventSubscription; first: T[] }> {
    this.#opened ??= this.#parts.open().then((parts) => {
      const { signal } = this.#parts;
      const close = () => parts.subscription.close();
      signal?.addEventListener("abort", close, { once: true });
      this.#unlisten = () => signal?.removeEventListener("abort", close);
      if (this.#done || signal?.aborted) close();
      return parts;
    });
    return this.#opened;
  }
}
