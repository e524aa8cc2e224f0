/**
 * A running prompt, read as something else.
 * @module
 */
import { callback, having, type Kind, required, text } from "../check/mod.ts";
import { messageOf } from "../errors/mod.ts";
import type { TurnEvent } from "../session/mod.ts";
import { type TurnPart, TurnParts } from "./turn_parts.ts";
import type { TurnStream } from "./turn_stream.ts";

/** What {@linkcode ToldTurn} takes. */
export const turnStreamKind: Kind = required(
  having("a running prompt, as `session.askStream()` gives it", {
    threadId: required(text),
    turnId: required(text),
    finish: required(callback),
  }),
);

/** How a turn's parts are told. */
export interface Teller<T> {
  /** Before the first part. */
  start(): T[];
  /** A part. */
  take(part: TurnPart): T[];
}

/** What is told of a running prompt, at the reader's pace. Returning early stops the turn, also while `next()` waits. */
export class ToldTurn<T> implements AsyncIterableIterator<T> {
  readonly #turn: TurnStream;
  readonly #events: AsyncIterator<TurnEvent>;
  readonly #parts: TurnParts;
  readonly #teller: Teller<T>;
  #ready: T[];
  #next = 0;
  #done = false;
  /** Whether the reader has left: what still comes is nobody's. */
  #left = false;

  /** Nothing is read yet. */
  constructor(turn: TurnStream, teller: Teller<T>) {
    this.#turn = turn;
    this.#events = turn[Symbol.asyncIterator]();
    this.#parts = new TurnParts(turn.threadId, turn.turnId);
    this.#teller = teller;
    this.#ready = teller.start();
  }

  /** The next one. */
  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      if (this.#next < this.#ready.length) {
        return { done: false, value: this.#ready[this.#next++]! };
      }
      if (this.#done) return { done: true, value: undefined };
      const { done, value } = await this.#events.next();
      const parts = done ? await this.#end() : this.#parts.take(value);
      if (this.#left) return { done: true, value: undefined };
      this.#next = 0;
      this.#ready = parts.flatMap((part) => this.#teller.take(part));
    }
  }

  /** Stops the turn if it still runs. */
  async return(): Promise<IteratorResult<T>> {
    this.#done = this.#left = true;
    this.#ready = [];
    await this.#turn[Symbol.asyncDispose]();
    return { done: true, value: undefined };
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The error says more than the last event. */
  async #end(): Promise<TurnPart[]> {
    this.#done = true;
    const error = await this.#turn.finish().then(() => null, (reason: unknown) => reason);
    const parts = this.#parts.end();
    const last = parts.at(-1);
    if (last?.type !== "end") return parts;
    if (error === null) last.status = "completed";
    else {
      if (last.status === "completed") last.status = "failed";
      last.error = { kind: last.error?.kind ?? "other", message: messageOf(error) };
    }
    return parts;
  }
}
