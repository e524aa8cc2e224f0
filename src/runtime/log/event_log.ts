/**
 * Every message of a connection, numbered: for readers that come late or fall behind.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import type { DeltaHead, Deltas } from "../../rpc/mod.ts";
import type { EventFilter } from "../runtime_types.ts";
import {
  envelopeToJson,
  type EventDirection,
  type EventEnvelope,
  type EventKind,
} from "./event_envelope.ts";
import { Ring } from "./ring.ts";

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

/** Records behind which a reader gets deltas merged. */
const BEHIND = 1024;
/** Deltas merged into one envelope at most. */
const MAX_MERGE = 4096;

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

  /** Reads the log. Ends when the log is closed and everything in it has been read. */
  read(filter: EventFilter = {}): AsyncIterableIterator<EventEnvelope> {
    return new LogReader(this, filter);
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

class LogReader implements AsyncIterableIterator<EventEnvelope> {
  readonly #log: EventLog;
  readonly #filter: EventFilter;
  readonly #methods: ReadonlySet<string> | null;
  #cursor: number;
  #done = false;
  #wake: (() => void) | null = null;

  constructor(log: EventLog, filter: EventFilter) {
    this.#log = log;
    this.#filter = filter;
    this.#methods = filter.methods === undefined ? null : new Set(filter.methods);
    this.#cursor = filter.after === undefined ? log.newest + 1 : filter.after + 1;
    // "From the beginning" is no gap: only what was lost after a known cursor is one.
    if (filter.after === 0) this.#cursor = log.oldest;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<EventEnvelope> {
    return this;
  }

  async next(): Promise<IteratorResult<EventEnvelope>> {
    while (!this.#done) {
      const envelope = this.#take();
      if (envelope !== null) return { done: false, value: envelope };
      if (this.#log.closed) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#log.changed(resolve);
      });
      this.#wake = null;
    }
    this.#done = true;
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<EventEnvelope>> {
    this.#done = true;
    this.#wake?.();
    return Promise.resolve({ done: true, value: undefined });
  }

  #take(): EventEnvelope | null {
    const log = this.#log;
    if (this.#cursor < log.oldest) {
      const gap = { from: this.#cursor, to: log.oldest - 1 };
      this.#cursor = log.oldest;
      log.onMissed?.(gap.to - gap.from + 1);
      return lagged(gap.from, gap.to);
    }
    while (this.#cursor <= log.newest) {
      const record = log.at(this.#cursor)!;
      const { deltas } = record;
      if (this.#wants(headAt(record, this.#cursor))) {
        const isDelta = deltas !== null || record.delta !== null;
        if (isDelta && log.newest - this.#cursor > BEHIND) return this.#merged(record);
        return new Envelope(record, this.#cursor++);
      }
      this.#cursor = runEnd(record, this.#cursor);
    }
    return null;
  }

  /** Joins the deltas that follow directly in this reader's view. */
  #merged(first: LogRecord): EventEnvelope {
    const log = this.#log;
    const from = this.#cursor;
    const head = deltaAt(first, from)!;
    const texts: string[] = [];
    let last = from;
    let merged = 0;
    while (this.#cursor <= log.newest && merged < MAX_MERGE) {
      const record = log.at(this.#cursor)!;
      const next = runEnd(record, this.#cursor);
      if (this.#wants(headAt(record, this.#cursor))) {
        const delta = deltaAt(record, this.#cursor);
        if (delta === null || !sameItem(delta, head)) break;
        const { seq, deltas } = record;
        texts.push(deltas?.joined(this.#cursor - seq, next - seq) ?? decodedText(record));
        merged += next - this.#cursor;
        last = next - 1;
      }
      this.#cursor = next;
    }
    return last === from
      ? new Envelope(first, from)
      : new MergedEnvelope(first, from, last, texts.join(""));
  }

  #wants(head: RecordHead): boolean {
    const { threadId, turnId } = this.#filter;
    return (threadId === undefined || head.threadId === threadId) &&
      (turnId === undefined || head.turnId === turnId) &&
      (this.#methods === null || (head.method !== undefined && this.#methods.has(head.method)));
  }
}

/** Where the message with this number belongs. */
function headAt({ seq, head, deltas }: LogRecord, at: number): RecordHead {
  return deltas?.head(at - seq) ?? head;
}

/** The number after the last of the deltas of one item that begin with this one; the next number where it is none. */
function runEnd({ seq, deltas }: LogRecord, at: number): number {
  return deltas === null ? at + 1 : seq + deltas.runEnd(at - seq);
}

/** Whose text the message with this number is; `null` when it is no text. */
function deltaAt({ seq, delta, deltas }: LogRecord, at: number): DeltaHead | null {
  return deltas?.head(at - seq) ?? delta;
}

function sameItem(a: DeltaHead, b: DeltaHead): boolean {
  return a === b ||
    (a.itemId === b.itemId && a.turnId === b.turnId && a.threadId === b.threadId &&
      a.method === b.method);
}

function lagged(from: number, to: number): EventEnvelope {
  return {
    seq: from,
    mergedTo: to,
    at: new Date(),
    direction: "local",
    kind: "lagged",
    message: { from, to },
  };
}

/** Decodes its message when it is first looked at. */
class Envelope implements EventEnvelope {
  readonly seq: number;
  readonly at: Date;
  readonly direction: EventDirection;
  readonly kind: EventKind;
  declare readonly method?: string;
  declare readonly rpcId?: number | string;
  declare readonly threadId?: string;
  declare readonly turnId?: string;
  declare readonly itemId?: string;
  readonly #record: LogRecord;
  #decoded: JsonValue | undefined;

  constructor(record: LogRecord, seq: number) {
    this.#record = record;
    this.seq = seq;
    this.at = new Date(record.at);
    this.direction = record.direction;
    this.kind = record.kind;
    const { method, rpcId, threadId, turnId, itemId } = headAt(record, seq);
    if (method !== undefined) this.method = method;
    if (rpcId !== undefined) this.rpcId = rpcId;
    if (threadId !== undefined) this.threadId = threadId;
    if (turnId !== undefined) this.turnId = turnId;
    if (itemId !== undefined) this.itemId = itemId;
  }

  get message(): JsonValue {
    return this.#decoded ??= decode(this.#record, this.seq - this.#record.seq);
  }

  toJSON(): JsonObject {
    return envelopeToJson(this);
  }
}

class MergedEnvelope extends Envelope {
  readonly mergedTo: number;
  readonly #delta: DeltaHead;
  readonly #text: string;

  constructor(first: LogRecord, from: number, to: number, text: string) {
    super(first, from);
    this.mergedTo = to;
    this.#delta = deltaAt(first, from)!;
    this.#text = text;
  }

  override get message(): JsonValue {
    return deltaMessage(this.#delta, this.#text);
  }
}

/** The text of a delta that was decoded. */
export function decodedText({ body }: LogRecord): string {
  return (body as { params: { delta: string } }).params.delta;
}

/** The message of a record; the parts of a delta's line that nobody looked at may be damaged. */
function decode({ body, deltas }: LogRecord, index: number): JsonValue {
  if (deltas === null) return body ?? null;
  try {
    return JSON.parse(deltas.line(index));
  } catch {
    return deltaMessage(deltas.head(index), deltas.text(index));
  }
}

function deltaMessage(head: DeltaHead, delta: string): JsonValue {
  const { method, threadId, turnId, itemId } = head;
  return { method, params: { threadId, turnId, itemId, delta } };
}
