/**
 * From a turn to its reader, without loss and without growing beyond the text itself.
 * @module
 */
import type { TurnEvent } from "./turn_event.ts";

/** Events behind which a reader gets adjacent deltas merged. */
const BEHIND = 256;
/** Pieces of a merged delta before they are joined. */
const JOIN_AT = 256;

type DeltaEvent = Extract<TurnEvent, { delta: string }>;

/** A queue with one reader. A reader that falls behind gets adjacent deltas of an item as one; nothing else changes. */
export class EventQueue {
  #events: TurnEvent[] = [];
  #head = 0;
  /** More text for the last queued event, which is a delta that nobody has seen yet. */
  #pieces: string[] = [];
  #ended = false;
  #waiting: (() => void)[] = [];

  /** Adds an event. */
  push(event: TurnEvent): void {
    if (this.#ended) return;
    if ("delta" in event && this.#events.length - this.#head > BEHIND && this.#merge(event)) return;
    this.#settleTail();
    this.#events.push(event);
    this.#wake();
  }

  /** No more events will come. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Forgets what is queued, and ends. */
  discard(): void {
    this.#events = [];
    this.#head = 0;
    this.#pieces = [];
    this.end();
  }

  /** The next event; `null` after the last. */
  async next(): Promise<TurnEvent | null> {
    while (this.#head === this.#events.length) {
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#head === this.#events.length - 1) this.#settleTail();
    const event = this.#events[this.#head]!;
    this.#head++;
    if (this.#head === this.#events.length) {
      this.#events = [];
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
    return event;
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #merge(event: DeltaEvent): boolean {
    const last = this.#events[this.#events.length - 1]!;
    if (last.type !== event.type || !("delta" in last) || last.itemId !== event.itemId) {
      return false;
    }
    if (
      last.type === "reasoningDelta" && event.type === "reasoningDelta" && last.part !== event.part
    ) return false;
    if (this.#pieces.push(event.delta) >= JOIN_AT) this.#settleTail();
    return true;
  }

  #settleTail(): void {
    if (this.#pieces.length === 0) return;
    const index = this.#events.length - 1;
    const last = this.#events[index] as DeltaEvent;
    // Joining makes one flat string; adding up would keep a node for every piece.
    this.#events[index] = { ...last, delta: [last.delta, ...this.#pieces].join("") };
    this.#pieces = [];
  }
}
