/**
 * A session's events on their way to where its next owner finds them.
 * @module
 */
import { delay } from "../../async.ts";
import { isJsonObject } from "../../json.ts";
import type { EventTail, TailEntry } from "../cluster/event_tail.ts";
import type { WebSessionEvent } from "../types.ts";
import type { SessionLog } from "./session_log.ts";

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
  #running: Promise<void> | null = null;
  #stopped = false;

  /** Nothing is appended yet. */
  constructor(log: SessionLog, parts: TailParts) {
    this.#log = log;
    this.#parts = parts;
  }

  /** There is something to append. */
  kick(): void {
    this.#running ??= this.#run().finally(() => this.#running = null);
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
    while (!this.#stopped) {
      const events = this.#log.unpublished(BATCH);
      const last = events.at(-1);
      if (last === undefined) return;
      const entries = events.map(({ seq, event }): TailEntry => ({
        seq,
        text: JSON.stringify({ base: this.#log.base, event }),
      }));
      try {
        if (!await tail.append(sessionId, fence, entries)) {
          this.#stopped = true;
          return onFenced();
        }
      } catch (error) {
        // Nobody is told what the next owner would not know. When this lasts, the lease ends too.
        onError(error);
        await delay(RETRY_MS);
        continue;
      }
      if (!this.#stopped) this.#log.publish(last.seq);
    }
  }
}

/** Events of an earlier owner, and the first fence of their numbering. */
export interface Restored {
  /** The events, oldest first. */
  events: { seq: number; event: WebSessionEvent }[];
  /** The first fence of the numbering. */
  base: number;
}

/** What a tail's entries say. What can't be read is where the numbering begins anew. */
export function restoredFrom(entries: readonly TailEntry[]): Restored {
  let found: Restored = { events: [], base: 0 };
  for (const { seq, text } of entries) {
    const told = parse(text);
    if (told === null) found = { events: [], base: 0 };
    else {
      if (told.base !== found.base) found = { events: [], base: told.base };
      found.events.push({ seq, event: told.event });
    }
  }
  return found;
}

function parse(text: string): { base: number; event: WebSessionEvent } | null {
  try {
    const told: unknown = JSON.parse(text);
    if (!isJsonObject(told)) return null;
    const { base, event } = told;
    if (typeof base !== "number" || !isJsonObject(event) || typeof event["type"] !== "string") {
      return null;
    }
    return { base, event: event as unknown as WebSessionEvent };
  } catch {
    return null;
  }
}
