/**
 * The events of one session, numbered and kept for those who come back.
 * @module
 */
import { randomId } from "../ids.ts";
import type { WebEvent, WebSessionEvent } from "../types.ts";

/** Events behind which a reader gets adjacent deltas merged. */
const BEHIND = 64;
/** Characters of a merged delta at most. */
const MAX_MERGE = 64 * 1024;
/** What an event takes besides its text. */
const OVERHEAD = 200;

interface Entry {
  readonly event: WebSessionEvent;
  readonly size: number;
}

type Delta = Extract<WebSessionEvent, { delta: string }>;

/**
 * A bounded log with any number of readers, none of which slows the writer. Cursors name the log too: those of an earlier
 * one, before a restart, are known to be gone.
 */
export class SessionLog {
  readonly #epoch: string = randomId("", 6);
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #entries: Map<number, Entry> = new Map();
  readonly #waiting: Set<() => void> = new Set();
  #oldest = 1;
  #next = 1;
  #bytes = 0;
  #closed = false;

  /** Creates a log of limited size; the newest event is always kept. */
  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = Math.max(1, maxEvents);
    this.#maxBytes = maxBytes;
  }

  /** The number of the newest event; 0 before the first. */
  get newest(): number {
    return this.#next - 1;
  }

  /** The number of the oldest event kept. */
  get oldest(): number {
    return this.#oldest;
  }

  /** Whether no more events will come. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The cursor behind the newest event. */
  get cursor(): string {
    return this.idOf(this.newest);
  }

  /** The cursor of an event. */
  idOf(seq: number): string {
    return `${this.#epoch}-${seq}`;
  }

  /** The number of a cursor's event, or `null` when it is not one of this log. */
  seqOf(id: string): number | null {
    const [, epoch, digits] = /^([\w-]*)-(\d{1,15})$/.exec(id) ?? [];
    const seq = Number(digits);
    return epoch === this.#epoch && seq < this.#next ? seq : null;
  }

  /** The event with this number, while it is kept. */
  at(seq: number): WebSessionEvent | undefined {
    return this.#entries.get(seq)?.event;
  }

  /** Adds an event and wakes the readers. */
  append(event: WebSessionEvent): void {
    if (this.#closed) return;
    const size = "delta" in event
      ? event.delta.length + OVERHEAD
      : JSON.stringify(event).length + OVERHEAD;
    this.#entries.set(this.#next++, { event, size });
    this.#bytes += size;
    while (
      this.#entries.size > this.#maxEvents ||
      (this.#bytes > this.#maxBytes && this.#entries.size > 1)
    ) {
      this.#bytes -= this.#entries.get(this.#oldest)!.size;
      this.#entries.delete(this.#oldest++);
    }
    this.#wake();
  }

  /** Takes no more events; readers end after the last one. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Calls back at the next change, until the returned function is called. */
  changed(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

/** One reader's way through a log. */
export class LogReader {
  readonly #log: SessionLog;
  #cursor: number;
  /** Told instead of the next event, once. */
  #gap: string | null | undefined;

  /** Begins behind a cursor, or with the oldest event kept; what is missing in front of it is told by `lagged`. */
  constructor(log: SessionLog, after: string | null) {
    this.#log = log;
    const seq = after === null ? 0 : log.seqOf(after);
    if (seq === null || seq + 1 < log.oldest) this.#gap = after;
    this.#cursor = Math.max((seq ?? 0) + 1, log.oldest);
  }

  /** Whether everything was read and no more will come. */
  get ended(): boolean {
    return this.#log.closed && this.#gap === undefined && this.#cursor > this.#log.newest;
  }

  /** The next event, or `null` when there is none yet. */
  take(): WebEvent | null {
    const log = this.#log;
    if (this.#gap === undefined && this.#cursor < log.oldest) {
      this.#gap = log.idOf(this.#cursor - 1);
      this.#cursor = log.oldest;
    }
    if (this.#gap !== undefined) {
      const after = this.#gap;
      this.#gap = undefined;
      return { id: log.idOf(this.#cursor - 1), event: { type: "lagged", after } };
    }
    const first = log.at(this.#cursor);
    if (first === undefined) return null;
    this.#cursor++;
    const event = "delta" in first && log.newest - this.#cursor > BEHIND
      ? this.#merged(first)
      : first;
    return { id: log.idOf(this.#cursor - 1), event };
  }

  /** Joins the deltas of the same item that follow directly. */
  #merged(first: Delta): WebSessionEvent {
    const texts = [first.delta];
    let length = first.delta.length;
    for (;;) {
      const next = this.#log.at(this.#cursor);
      if (next === undefined || !("delta" in next) || !isSame(first, next)) break;
      length += next.delta.length;
      if (length > MAX_MERGE) break;
      texts.push(next.delta);
      this.#cursor++;
    }
    return texts.length === 1 ? first : { ...first, delta: texts.join("") };
  }
}

function isSame(a: Delta, b: Delta): boolean {
  return a.type === b.type && a.itemId === b.itemId && a.turnId === b.turnId &&
    (a.type !== "reasoningDelta" || b.type !== "reasoningDelta" || a.part === b.part);
}
