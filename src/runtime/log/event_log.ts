/**
 * Every message of a connection, numbered: for readers that come late or fall behind. It is kept in a queue that
 * reuses its places.
 * @module
 */
import type { JsonValue } from "../../json.ts";
import type { DeltaHead, Deltas } from "../../rpc/mod.ts";
import type { EventDirection, EventKind } from "./event_envelope.ts";

/** Names a message's place: what filters and routes look at. */
export interface RecordHead {
  /** The method. */
  readonly method?: string | undefined;
  /** The call's or question's id. */
  readonly rpcId?: number | string | undefined;
  /** The thread. */
  readonly threadId?: string | undefined;
  /** The turn. */
  readonly turnId?: string | undefined;
  /** The item. */
  readonly itemId?: string | undefined;
}

/** A kept message, or deltas that came one after the other. */
export interface LogRecord {
  /** Its number; that of the first one of several deltas. */
  readonly seq: number;
  /** Messages in it. */
  readonly count: number;
  readonly at: number;
  readonly direction: EventDirection;
  readonly kind: EventKind;
  /** That of the first one of several deltas. */
  readonly head: RecordHead;
  /** The message; undefined for deltas that were not decoded. */
  readonly body: JsonValue | undefined;
  readonly size: number;
  /** Set for a text delta that was decoded: whose it is. */
  readonly delta: DeltaHead | null;
  /** Deltas that were not decoded. */
  readonly deltas: Deltas | null;
}

/** Most deltas that are kept as one record: a part of the log, so that it forgets by parts. */
const MAX_DELTAS = 1024;

/** A bounded, numbered log with any number of readers; none of them slows the writer or another one. */
export class EventLog {
  readonly #capacity: number;
  readonly #maxBytes: number;
  readonly #maxDeltas: number;
  readonly #onEvict: (record: LogRecord) => void;
  #records: Ring<LogRecord> = new Ring();
  #oldest = 1;
  #next = 1;
  #bytes = 0;
  #waiting: (() => void)[] = [];
  #closed = false;
  /** Whether messages are kept: until {@linkcode keepNothing}. */
  keeps = true;
  /** Told how many messages a reader missed that fell out of the log. */
  onMissed: ((count: number) => void) | null = null;

  /** Creates a log; `onEvict` sees each record before it is forgotten. */
  constructor(maxMessages: number, maxBytes: number, onEvict: (record: LogRecord) => void) {
    this.#capacity = Math.max(1, Math.floor(maxMessages));
    this.#maxBytes = maxBytes;
    this.#maxDeltas = Math.min(MAX_DELTAS, Math.max(1, this.#capacity >> 2));
    this.#onEvict = onEvict;
  }

  /** The sequence number of the newest message; 0 before the first. */
  get newest(): number {
    return this.#next - 1;
  }

  /** The sequence number of the oldest message kept. */
  get oldest(): number {
    return this.#oldest;
  }

  /** Nobody is going to read: messages are numbered, and not kept. */
  keepNothing(): void {
    this.keeps = false;
    this.#records = new Ring();
    this.#oldest = this.#next;
    this.#bytes = 0;
  }

  /** Bytes kept, as far as they are known. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a message and wakes the readers; returns its number. */
  append(
    direction: EventDirection,
    kind: EventKind,
    head: RecordHead,
    body: JsonValue | undefined,
    size: number,
    at: number = Date.now(),
    delta: DeltaHead | null = null,
  ): number {
    const seq = this.#next;
    this.#add({ seq, count: 1, at, direction, kind, head, body, size, delta, deltas: null });
    return seq;
  }

  /** Adds deltas that came one after the other. */
  appendDeltas(batch: Deltas, at: number): void {
    const most = this.#maxDeltas;
    if (batch.length <= most) return this.#addDeltas(batch, at);
    for (let from = 0; from < batch.length; from += most) {
      this.#addDeltas(batch.part(from, from + most), at);
    }
  }

  /** The record that holds the message with this number, while it is kept. */
  at(seq: number): LogRecord | undefined {
    if (seq < this.#oldest || seq >= this.#next) return undefined;
    let low = 0;
    let high = this.#records.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#records.at(middle).seq <= seq) low = middle;
      else high = middle - 1;
    }
    return this.#records.at(low);
  }

  /** Takes no more messages; readers end after the last one. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** True when no more messages will come. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Settles when something has been added, or the log was closed. */
  changed(wake: () => void): void {
    this.#waiting.push(wake);
  }

  #addDeltas(deltas: Deltas, at: number): void {
    const { length, size } = deltas;
    this.#add({
      seq: this.#next,
      count: length,
      at,
      direction: "inbound",
      kind: "notification",
      head: deltas.head(0),
      body: undefined,
      size,
      delta: null,
      deltas,
    });
  }

  #add(record: LogRecord): void {
    this.#next += record.count;
    if (!this.keeps) return void (this.#oldest = this.#next);
    this.#records.push(record);
    this.#bytes += record.size;
    while (
      (this.#next - this.#oldest > this.#capacity || this.#bytes > this.#maxBytes) &&
      this.#oldest < record.seq
    ) this.#evict();
    if (this.#waiting.length > 0) this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #evict(): void {
    const record = this.#records.shift();
    this.#oldest += record.count;
    this.#bytes -= record.size;
    this.#onEvict(record);
  }
}

/** The text of a delta that was decoded. */
export function decodedText({ body }: LogRecord): string {
  return (body as { params: { delta: string } }).params.delta;
}

/** What comes and goes in order, in one array: a log that is full makes no new ones. */
export class Ring<T> {
  /** As long as a power of two. */
  #slots: (T | undefined)[] = new Array(16).fill(undefined);
  #first = 0;
  /** How many there are. */
  length = 0;

  /** One that is there, counted from the oldest. */
  at(index: number): T {
    return this.#slots[this.#first + index & this.#slots.length - 1]!;
  }

  /** Adds the newest. */
  push(value: T): void {
    if (this.length === this.#slots.length) this.#grow();
    this.#slots[this.#first + this.length++ & this.#slots.length - 1] = value;
  }

  /** Takes the oldest, which must be there. */
  shift(): T {
    const value = this.at(0);
    this.#slots[this.#first] = undefined;
    this.#first = this.#first + 1 & this.#slots.length - 1;
    this.length--;
    return value;
  }

  #grow(): void {
    const inOrder = [...this.#slots.slice(this.#first), ...this.#slots.slice(0, this.#first)];
    this.#slots = [...inOrder, ...new Array(inOrder.length).fill(undefined)];
    this.#first = 0;
  }
}
