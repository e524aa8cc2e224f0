/**
 * A running prompt, read as something else.
 * @module
 */
import { callback, having, type Kind, required, text } from "../check/mod.ts";
import { messageOf } from "../errors/mod.ts";
import type { TokenUsage, TurnEvent } from "../session/mod.ts";
import type { TurnPart, TurnParts } from "./turn_parts.ts";
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

/** What tells a turn; it is loaded when the first word of the turn is read. */
export interface Telling<T> {
  /** The turn in parts. */
  parts: TurnParts;
  /** What is said of each. */
  teller: Teller<T>;
}

/** What is told of a running prompt, at the reader's pace. Returning early stops the turn, also while `next()` waits. */
export class ToldTurn<T> implements AsyncIterableIterator<T> {
  readonly #turn: TurnStream;
  readonly #events: AsyncIterator<TurnEvent>;
  readonly #load: () => Promise<Telling<T>>;
  #telling: Promise<Telling<T>> | undefined;
  #ready: T[] = [];
  #next = 0;
  #done = false;
  /** What was asked for last. */
  #last: Promise<unknown> = Promise.resolve();
  /** Whether the reader has left: what still comes is nobody's. */
  #left = false;

  /** Nothing is read yet. */
  constructor(turn: TurnStream, load: () => Promise<Telling<T>>) {
    this.#turn = turn;
    this.#events = turn[Symbol.asyncIterator]();
    this.#load = load;
  }

  /** The next one; several that are asked for at once come in order. */
  next(): Promise<IteratorResult<T>> {
    const next = this.#last.then(() => this.#read());
    this.#last = next.catch(() => {});
    return next;
  }

  async #read(): Promise<IteratorResult<T>> {
    const { parts, teller } = await (this.#telling ??= this.#begin());
    for (;;) {
      if (this.#next < this.#ready.length) {
        return { done: false, value: this.#ready[this.#next++]! };
      }
      if (this.#done) return { done: true, value: undefined };
      const { done, value } = await this.#events.next();
      const more = done ? await this.#end(parts) : parts.take(value);
      if (this.#left) return { done: true, value: undefined };
      this.#next = 0;
      this.#ready = more.flatMap((part) => teller.take(part));
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

  async #begin(): Promise<Telling<T>> {
    const telling = await this.#load();
    if (!this.#left) this.#ready = telling.teller.start();
    return telling;
  }

  /** The error says more than the last event. */
  async #end(turn: TurnParts): Promise<TurnPart[]> {
    this.#done = true;
    // Whoever gives it up may do so for `null`.
    const ended = await this.#turn.finish().then(
      (result) => ({ usage: (result as { usage?: TokenUsage | null } | undefined)?.usage }),
      (error: unknown) => ({ error }),
    );
    const parts = turn.end();
    const last = parts.at(-1);
    if (last?.type !== "end") return parts;
    if ("error" in ended) {
      if (last.status === "completed") last.status = "failed";
      last.error = { kind: last.error?.kind ?? "other", message: messageOf(ended.error) };
    } else {
      last.status = "completed";
      // Each turn of a prompt that was tried again has told its own.
      if (ended.usage) parts.splice(-1, 0, { type: "usage", usage: ended.usage });
    }
    return parts;
  }
}
