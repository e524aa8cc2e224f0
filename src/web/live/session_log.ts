/**
 * The events of one session, numbered and kept for those who come back.
 * @module
 */
import { delay, soon } from "../../async.ts";
import { isJsonObject } from "../../json.ts";
import type { EventTail, TailEntry } from "../cluster/session_owners.ts";
import { randomId } from "../http/refusals.ts";
import type { WebEvent, WebSessionEvent } from "../types.ts";

/** Events behind which a reader gets adjacent deltas merged. */
const BEHIND = 64;
/** Characters of a merged delta at most. */
const MAX_MERGE = 64 * 1024;
/** What an event takes besides its text; a delta no less than the name of its item, which a model may have made. */
const OVERHEAD = 200;
/** Bytes of a batch that is kept for other readers at most. */
const MAX_BATCH = 16 * 1024;

interface Entry {
  readonly event: WebSessionEvent;
  readonly size: number;
}

/** What a log goes on from. */
export interface LogParts {
  /** Events kept at most. */
  maxEvents: number;
  /** Characters of events kept at most; the newest event is always kept. */
  maxBytes: number;
  /** Whether events are kept elsewhere as well: they are told when {@linkcode SessionLog.publish} says that they are. */
  held?: boolean;
}

type Delta = Extract<WebSessionEvent, { delta: string }>;

/** Events as they are sent, and where they stand in the log. */
interface Batch {
  readonly from: number;
  readonly to: number;
  /** The newest event then: how deltas are merged depends on it. */
  readonly newest: number;
  readonly bytes: Uint8Array;
}

/**
 * A bounded log with any number of readers, none of which slows the writer. Cursors name the log that wrote the event too:
 * those of an earlier one are known to be gone, unless this one goes on from it and has the event.
 */
export class SessionLog {
  /** What was made last for a reader: a crowd that follows along is told the same. */
  batch: Batch | null = null;
  /** Names it in cursors and in the tail; no other log has this name, not even one of the same owner. */
  readonly name: string = randomId("", 6);
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #held: boolean;
  readonly #entries: Map<number, Entry> = new Map();
  readonly #waiting: Set<() => void> = new Set();
  /** The logs before this one, and the last event that is known of each; oldest first. */
  readonly #before: { name: string; last: number }[] = [];
  #oldest = 1;
  #next = 1;
  #told = 0;
  #bytes = 0;
  #closed = false;
  #waking = false;

  /** Creates an empty log. */
  constructor({ maxEvents, maxBytes, held = false }: LogParts) {
    this.#maxEvents = Math.max(1, maxEvents);
    this.#maxBytes = maxBytes;
    this.#held = held;
  }

  /** The number of the newest event that is told; 0 before the first. */
  get newest(): number {
    return this.#told;
  }

  /** The number of the newest event, told or not. */
  get written(): number {
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

  /** A reader that begins behind a cursor, or with the oldest event kept. */
  reader(after: string | null): LogReader {
    return new LogReader(this, after);
  }

  /** The cursor behind the newest event. */
  get cursor(): string {
    return this.idOf(this.written);
  }

  /** The cursor of an event. */
  idOf(seq: number): string {
    const writer = this.#before.find(({ last }) => seq <= last)?.name ?? this.name;
    return `${writer}-${seq}`;
  }

  /** The number of a cursor's event, or `null` when it is not one of this log. */
  seqOf(id: string): number | null {
    const [, writer, digits] = /^([\w-]*)-(\d{1,15})$/.exec(id) ?? [];
    const seq = Number(digits);
    // What an earlier owner told behind that is not what stands there now.
    const last = writer === this.name
      ? this.written
      : this.#before.find(({ name }) => name === writer)?.last ?? -1;
    return seq <= last ? seq : null;
  }

  /** The event with this number, while it is kept. */
  at(seq: number): WebSessionEvent | undefined {
    return seq > this.#told ? undefined : this.#entries.get(seq)?.event;
  }

  /** Events that are written and not told, oldest first. */
  unpublished(max: number): { seq: number; event: WebSessionEvent }[] {
    const found: { seq: number; event: WebSessionEvent }[] = [];
    for (let seq = this.#told + 1; seq < this.#next && found.length < max; seq++) {
      found.push({ seq, event: this.#entries.get(seq)!.event });
    }
    return found;
  }

  /** The events up to this one are kept elsewhere: readers may have them. */
  publish(seq: number): void {
    if (seq <= this.#told) return;
    this.#told = seq;
    this.#trim();
    this.#wake();
  }

  /** Goes on from earlier owners' events, which have no hole. Before the first event. */
  restore(events: readonly RestoredEvent[]): void {
    const [first] = events;
    if (first === undefined) return;
    this.#oldest = this.#next = first.seq;
    for (const { seq, by, event } of events) {
      const writer = this.#before.at(-1);
      if (writer?.name === by) writer.last = seq;
      else this.#before.push({ name: by, last: seq });
      this.#add(event);
    }
    this.#told = this.#next - 1;
    this.#trim();
  }

  /** Adds an event and wakes the readers. */
  append(event: WebSessionEvent): void {
    if (this.#closed) return;
    this.#add(event);
    if (this.#held) return;
    this.#told = this.#next - 1;
    this.#trim();
    this.#wake();
  }

  /** Takes no more events; readers end after the last one. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Calls back soon after the next change, until the returned function is called. */
  changed(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  #add(event: WebSessionEvent): void {
    const size = "delta" in event
      ? event.delta.length + Math.max(OVERHEAD, event.itemId.length)
      : JSON.stringify(event).length + OVERHEAD;
    this.#entries.set(this.#next++, { event, size });
    this.#bytes += size;
  }

  /** Only what has been told can be released. */
  #trim(): void {
    while (
      this.#oldest < this.#told &&
      (this.#entries.size > this.#maxEvents || this.#bytes > this.#maxBytes)
    ) {
      this.#bytes -= this.#entries.get(this.#oldest)!.size;
      this.#entries.delete(this.#oldest++);
    }
  }

  /** Once for all that changes in one go. */
  #wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    soon(() => {
      this.#waking = false;
      for (const wake of [...this.#waiting]) wake();
    });
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

  /**
   * What comes next, made by `make` of the events that it takes; `null` when there is none yet. Made once for all readers
   * who stand at one place: nobody may change it.
   */
  batch(make: (take: () => WebEvent | null) => Uint8Array | null): Uint8Array | null {
    const log = this.#log;
    const { newest, batch } = log;
    const from = this.#cursor;
    if (this.#gap !== undefined || from < log.oldest) return make(() => this.take());
    if (from > newest) return null;
    if (batch?.from === from && batch.newest === newest) {
      this.#cursor = batch.to;
      return batch.bytes;
    }
    const bytes = make(() => this.take());
    const kept = bytes !== null && bytes.length <= MAX_BATCH;
    log.batch = kept ? { from, to: this.#cursor, newest, bytes } : null;
    return bytes;
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

// A session's events on their way to where its next owner finds them.

/** Events of one append at most. */
const BATCH = 256;
const RETRY_MS = 200;

/** Where a session's events are kept. */
export interface TailParts {
  /** The tail. */
  tail: EventTail;
  /** The session. */
  sessionId: string;
  /** This owner. */
  fence: number;
  /** A later owner has the session. */
  onFenced: () => void;
  /** Told about failures of the engine. */
  onError: (error: unknown) => void;
}

/** Appends what the log has and tells the readers then; one append at a time, each with all that came meanwhile. */
export class TailPump {
  readonly #parts: TailParts;
  readonly #log: SessionLog;
  #busy = false;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  /** Nothing is appended yet. */
  constructor(log: SessionLog, parts: TailParts) {
    this.#log = log;
    this.#parts = parts;
  }

  /** There is something to append. */
  kick(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#running = this.#run();
  }

  /** Settles when all is appended, or nothing can be. */
  async flushed(): Promise<void> {
    await this.#running;
  }

  /** Appends no more. */
  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    const { tail, sessionId, fence, onFenced, onError } = this.#parts;
    let most = BATCH;
    while (!this.#stopped) {
      const events = this.#log.unpublished(most);
      const last = events.at(-1);
      if (last === undefined) {
        // At once: who has something in the next moment must not wait for who has just looked.
        this.#busy = false;
        return;
      }
      const entries = events.map(({ seq, event }): TailEntry => ({
        seq,
        text: JSON.stringify({ by: this.#log.name, event }),
      }));
      try {
        if (!await tail.append(sessionId, fence, entries)) {
          this.#stopped = true;
          return onFenced();
        }
      } catch (error) {
        // Nobody is told what the next owner would not know. When this lasts, the lease ends too.
        onError(error);
        // What came while the engine was away may be more than it takes at once.
        most = Math.ceil(events.length / 2);
        await delay(RETRY_MS);
        continue;
      }
      most = BATCH;
      if (!this.#stopped) this.#log.publish(last.seq);
    }
  }
}

/** An event of an earlier owner. */
export interface RestoredEvent {
  /** Its number. */
  seq: number;
  /** The name of the log that wrote it. */
  by: string;
  /** The event. */
  event: WebSessionEvent;
}

/**
 * What a tail's entries say, oldest first. Behind what can't be read and behind a hole it begins anew, since nobody can tell
 * what is missing, and behind the end of a session. What an owner appended twice, because it was not told of the first time,
 * is there once.
 */
export function restoredFrom(entries: readonly TailEntry[]): RestoredEvent[] {
  let found: RestoredEvent[] = [];
  for (const { seq, text } of entries) {
    const told = Number.isSafeInteger(seq) ? parse(text) : null;
    const last = found.at(-1);
    // A chat that was closed may have begun anew under its name.
    if (told === null || told.event.type === "sessionClosed") found = [];
    else if (last === undefined || seq === last.seq + 1) found.push({ seq, ...told });
    else if (told.by !== last.by || seq > last.seq) found = [{ seq, ...told }];
  }
  return found;
}

function parse(text: string): Pick<RestoredEvent, "by" | "event"> | null {
  try {
    const told: unknown = JSON.parse(text);
    if (!isJsonObject(told)) return null;
    const { by, event } = told;
    if (typeof by !== "string" || !isJsonObject(event) || typeof event["type"] !== "string") {
      return null;
    }
    return { by, event: event as unknown as WebSessionEvent };
  } catch {
    return null;
  }
}
