/**
 * From a turn to its reader, without loss and without growing beyond the text itself.
 * @module
 */
import type { TurnEvent } from "./turn_event.ts";

/** Events behind which a reader gets adjacent deltas merged; one chunk of the pipe holds fewer. */
const BEHIND = 1024;
/** Pieces of a merged delta before they are joined. */
const JOIN_AT = 256;

type DeltaEvent = Extract<TurnEvent, { delta: string }>;
type Result = IteratorResult<TurnEvent, undefined>;

/** A queue with one reader. A reader that falls behind gets adjacent deltas of an item as one; nothing else changes. */
export class EventQueue {
  #events: TurnEvent[] = [];
  #head = 0;
  /** More text for the last queued event, which is a delta that nobody has seen yet. */
  #text = "";
  #pieces: string[] = [];
  #ended = false;
  #waiting: ((result: Result) => void)[] = [];

  /** Adds an event. */
  push(event: TurnEvent): void {
    if (this.#ended) return;
    if (this.#waiting.length > 0) return this.#waiting.shift()!({ done: false, value: event });
    if (this.#events.length - this.#head > BEHIND && "delta" in event && this.#merge(event)) return;
    if (this.#pieces.length > 0 || this.#text !== "") this.#settleTail();
    this.#events.push(event);
  }

  /** No more events will come. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#waiting.splice(0)) reader({ done: true, value: undefined });
  }

  /** Forgets what is queued, and ends. */
  discard(): void {
    this.#events = [];
    this.#head = 0;
    this.#text = "";
    this.#pieces = [];
    this.end();
  }

  /** The next event; `null` after the last. */
  async next(): Promise<TurnEvent | null> {
    return (await this.read()).value ?? null;
  }

  /** The next event, for iterators. */
  read(): Promise<Result> {
    if (this.#head < this.#events.length) {
      return Promise.resolve({ done: false, value: this.#take() });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #take(): TurnEvent {
    if (this.#head === this.#events.length - 1) this.#settleTail();
    const event = this.#events[this.#head++]!;
    if (this.#head === this.#events.length) {
      this.#events = [];
      this.#head = 0;
    } else if (this.#head > BEHIND && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
    return event;
  }

  #merge(event: DeltaEvent): boolean {
    const last = this.#events[this.#events.length - 1]!;
    if (last.type !== event.type || !("delta" in last) || last.itemId !== event.itemId) {
      return false;
    }
    if (
      last.type === "reasoningDelta" && event.type === "reasoningDelta" && last.part !== event.part
    ) return false;
    if (this.#pieces.push(event.delta) >= JOIN_AT) this.#join();
    return true;
  }

  /** Joining makes flat text; adding up would keep a node for every piece. */
  #join(): void {
    this.#text += this.#pieces.join("");
    this.#pieces = [];
  }

  #settleTail(): void {
    if (this.#pieces.length > 0) this.#join();
    if (this.#text === "") return;
    const index = this.#events.length - 1;
    const last = this.#events[index] as DeltaEvent;
    this.#events[index] = { ...last, delta: last.delta + this.#text };
    this.#text = "";
  }
}
