/**
 * The newest events of sessions, outside of the process that has them.
 * @module
 */

/** One event. */
export interface TailEntry {
  /** Its number: one more than that of the event before it, across owners. */
  seq: number;
  /** What it is; opaque. */
  text: string;
}

/**
 * Keeps the newest events of each session for its next owner. A browser is told an event only when it is in here, so that
 * the next owner goes on behind what the browser knows. See `examples/web_cluster` for Redis.
 */
export interface EventTail {
  /** Adds events; `false`, and nothing is added, when an owner with a greater fence has appended or read. */
  append(sessionId: string, fence: number, entries: readonly TailEntry[]): Promise<boolean>;
  /** The events kept, oldest first; from now on smaller fences are refused. `null` when this one is refused itself. */
  read(sessionId: string, fence: number): Promise<TailEntry[] | null>;
}

/** A tail in this process: for tests. */
export class MemoryEventTail implements EventTail {
  readonly #tails: Map<string, { fence: number; entries: TailEntry[] }> = new Map();
  readonly #max: number;

  /** Keeps so many events of each session. */
  constructor(maxEvents = 4096) {
    this.#max = maxEvents;
  }

  /** Adds events. */
  append(sessionId: string, fence: number, entries: readonly TailEntry[]): Promise<boolean> {
    const tail = this.#of(sessionId);
    if (tail.fence > fence) return Promise.resolve(false);
    tail.fence = fence;
    tail.entries.push(...entries);
    tail.entries.splice(0, tail.entries.length - this.#max);
    return Promise.resolve(true);
  }

  /** The events kept. */
  read(sessionId: string, fence: number): Promise<TailEntry[] | null> {
    const tail = this.#of(sessionId);
    if (tail.fence > fence) return Promise.resolve(null);
    tail.fence = fence;
    return Promise.resolve([...tail.entries]);
  }

  #of(sessionId: string): { fence: number; entries: TailEntry[] } {
    let tail = this.#tails.get(sessionId);
    if (tail === undefined) this.#tails.set(sessionId, tail = { fence: 0, entries: [] });
    return tail;
  }
}
