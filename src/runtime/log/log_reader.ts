/**
 * Readers of the event log, each at its own pace. Loaded where something reads it.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import type { DeltaHead } from "../../rpc/mod.ts";
import type { EventFilter } from "../runtime_types.ts";
import {
  envelopeToJson,
  type EventDirection,
  type EventEnvelope,
  type EventKind,
} from "./event_envelope.ts";
import { decodedText, type EventLog, type LogRecord, type RecordHead } from "./event_log.ts";

/** Records behind which a reader gets deltas merged. */
const BEHIND = 1024;
/** Deltas merged into one envelope at most. */
const MAX_MERGE = 4096;

/** Reads a log from now on. Ends when it is closed and everything in it has been read. */
export function readLog(
  log: EventLog,
  filter: EventFilter = {},
): AsyncIterableIterator<EventEnvelope> {
  return new LogReader(log, filter);
}

class LogReader implements AsyncIterableIterator<EventEnvelope> {
  readonly #log: EventLog;
  readonly #filter: EventFilter;
  readonly #methods: ReadonlySet<string> | null;
  #cursor: number;
  #done = false;
  readonly #wakes: Set<() => void> = new Set();

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
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakes.add(resolve);
      this.#log.changed(resolve);
      await promise;
      this.#wakes.delete(resolve);
    }
    this.#done = true;
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<EventEnvelope>> {
    this.#done = true;
    for (const wake of this.#wakes) wake();
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
