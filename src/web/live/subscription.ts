/**
 * Following a session's events, at the reader's own pace.
 * @module
 */
import { LogReader, type SessionLog } from "./session_log.ts";
import type { WebEvent } from "../types.ts";

/** One reader of a session's events. */
export class EventSubscription {
  readonly #log: SessionLog;
  readonly #reader: LogReader;
  readonly #onClose: () => void;
  #closed = false;
  #wake: (() => void) | null = null;

  /** Begins behind a cursor, or with the oldest event kept. `onClose` is called once. */
  constructor(log: SessionLog, after: string | null, onClose: () => void) {
    this.#log = log;
    this.#reader = new LogReader(log, after);
    this.#onClose = onClose;
  }

  /** The next event, or `null` when there is none (yet). */
  take(): WebEvent | null {
    return this.#closed ? null : this.#reader.take();
  }

  /** Whether nothing more will come. */
  get ended(): boolean {
    return this.#closed || this.#reader.ended;
  }

  /** Waits for news: `false` when `ms` milliseconds passed without. One caller at a time. */
  wait(ms: number = Infinity): Promise<boolean> {
    if (this.ended) return Promise.resolve(true);
    return new Promise((resolve) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const settle = (news: boolean) => {
        clearTimeout(timer);
        leave();
        this.#wake = null;
        resolve(news);
      };
      const leave = this.#log.changed(() => settle(true));
      this.#wake = () => settle(true);
      if (ms !== Infinity) timer = setTimeout(() => settle(false), ms);
    });
  }

  /** Ends it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake?.();
    this.#onClose();
  }
}
