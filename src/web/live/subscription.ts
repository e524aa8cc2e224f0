/**
 * Following a session's events, at the reader's own pace.
 * @module
 */
import { longTimeout, roundNow } from "../../async.ts";
import type { WebEvent } from "../types.ts";

/** One reader's way through a session's events. */
interface SubscribedReader {
  /** Whether everything was read and no more will come. */
  readonly ended: boolean;
  /** The next event, or `null` when there is none yet. */
  take(): WebEvent | null;
  /** What comes next, made by `make` of the events that it takes; made once for all readers who stand at one place. */
  batch(make: (take: () => WebEvent | null) => Uint8Array | null): Uint8Array | null;
}

/** What an {@linkcode EventSubscription} reads. */
interface SubscribedLog {
  /** A reader that begins behind a cursor, or with the oldest event kept. */
  reader(after: string | null): SubscribedReader;
  /** Calls back soon after the next change, until the returned function is called. */
  changed(wake: () => void): () => void;
}

/**
 * One reader of a session's events.
 *
 * ```ts ignore
 * const subscription = await adapter.openEvents("ann", sessionId, null);
 * for (let told = subscription.take(); told !== null; told = subscription.take()) console.log(told.event);
 * await subscription.wait(60_000); // for what comes next
 * subscription.close();
 * ```
 */
export class EventSubscription {
  readonly #log: SubscribedLog;
  readonly #reader: SubscribedReader;
  readonly #onClose: () => void;
  #closed = false;
  /** Ends the listening to the log, which begins with the first wait. */
  #unlisten: (() => void) | null = null;
  #settle: ((arrived: boolean) => void) | null = null;
  #deadline = Infinity;
  #cancelTimer: (() => void) | undefined;

  /** Begins behind a cursor, or with the oldest event kept. `onClose` is called once. */
  constructor(log: SubscribedLog, after: string | null, onClose: () => void) {
    this.#log = log;
    this.#reader = log.reader(after);
    this.#onClose = onClose;
  }

  /** The next event, or `null` when there is none (yet). */
  take(): WebEvent | null {
    return this.#closed ? null : this.#reader.take();
  }

  /** What comes next as it is sent, made by `make` of the events that it takes; shared with whoever is told the same. */
  batch(make: (take: () => WebEvent | null) => Uint8Array | null): Uint8Array | null {
    return this.#closed ? null : this.#reader.batch(make);
  }

  /** Whether nothing more will come. */
  get ended(): boolean {
    return this.#closed || this.#reader.ended;
  }

  /** Waits for the next event: `false` when `ms` milliseconds passed without. One caller at a time. */
  wait(ms: number = Infinity): Promise<boolean> {
    if (this.ended) return Promise.resolve(true);
    this.#unlisten ??= this.#log.changed(() => this.#settled(true));
    this.#deadline = roundNow() + ms;
    this.#cancelTimer ??= longTimeout(() => this.#late(), ms);
    return new Promise((resolve) => this.#settle = resolve);
  }

  #settled(arrived: boolean): void {
    const settle = this.#settle;
    this.#settle = null;
    settle?.(arrived);
  }

  /** The timer goes on while events come, so that not each of them sets another. */
  #late(): void {
    this.#cancelTimer = undefined;
    if (this.#settle === null) return;
    const left = this.#deadline - roundNow();
    if (left <= 1) this.#settled(false);
    else this.#cancelTimer = longTimeout(() => this.#late(), left);
  }

  /** Ends it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer?.();
    this.#unlisten?.();
    this.#settled(true);
    this.#onClose();
  }
}

/** What a {@linkcode Feed} is made of. */
export interface FeedParts<T> {
  /** Begins; rejects when the reader may not. `first` comes before the events. */
  open(): Promise<{ subscription: EventSubscription; first: T[] }>;
  /** What an event is to the reader; `null` for nothing. */
  pick(event: WebEvent): T | null;
  /** Ends the reading; it rejects with the signal's reason. */
  signal: AbortSignal | undefined;
}

/**
 * A subscription as an iterator. It begins with the first call of `next()`.
 *
 * ```ts ignore
 * for await (const { event } of adapter.subscribeEvents("ann", sessionId)) {
 *   if (event.type === "turnCompleted") break; // leaves it
 * }
 * ```
 */
export class Feed<T> implements AsyncIterableIterator<T> {
  readonly #parts: FeedParts<T>;
  #opened: Promise<{ subscription: EventSubscription; first: T[] }> | null = null;
  #done = false;
  /** What was asked for last. */
  #last: Promise<unknown> = Promise.resolve();
  #unlisten: () => void = () => {};

  /** Itself. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncIterator]: () => AsyncIterableIterator<T>;

  /** Takes the parts; nothing is opened yet. */
  constructor(parts: FeedParts<T>) {
    this.#parts = parts;
    this[Symbol.asyncIterator] = () => this;
  }

  /** The next value; several that are asked for at once come in order. */
  next(): Promise<IteratorResult<T>> {
    const next = this.#last.then(() => this.#read());
    this.#last = next.catch(() => {});
    return next;
  }

  async #read(): Promise<IteratorResult<T>> {
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
