/**
 * A running prompt in the shapes of the web: text, a stream, a response.
 * @module
 */
import type { TurnEvent } from "../turn/turn_event.ts";

/** What is read of a running prompt. */
export interface ReadPrompt {
  /** The thread; what the agent's own agents say is not the answer. */
  readonly threadId: string;
  /** Its events; leaving them early stops the turn. */
  [Symbol.asyncIterator](): AsyncIterator<TurnEvent>;
  /** Rejects with the turn's error. */
  finish(): Promise<{ assistantText: string }>;
}

/** What stands between two messages. */
const BREAK = "\n\n";

/**
 * The text of the answer as it comes. Returning early stops the turn, also before the first text was asked for; a turn
 * without a result throws its error at the end, so that a part never passes for the whole.
 */
export class AnswerText implements AsyncIterableIterator<string> {
  readonly #prompt: ReadPrompt;
  readonly #events: AsyncIterator<TurnEvent>;
  /** Messages that the model calls commentary. */
  readonly #commentary: Set<string> = new Set();
  /** What was told of the messages that are open. */
  readonly #open: Map<string, string> = new Map();
  /** The message that was told of last. */
  #last: string | null = null;
  #done = false;

  /** Nothing is read yet. */
  constructor(prompt: ReadPrompt) {
    this.#prompt = prompt;
    this.#events = prompt[Symbol.asyncIterator]();
  }

  /** The next text, never an empty one. */
  async next(): Promise<IteratorResult<string>> {
    while (!this.#done) {
      const { done, value: event } = await this.#events.next();
      if (done) return await this.#end();
      const text = event.threadId === this.#prompt.threadId ? this.#textOf(event) : "";
      if (text !== "") return { done: false, value: text };
    }
    return { done: true, value: undefined };
  }

  /** Stops the turn if it still runs. */
  async return(): Promise<IteratorResult<string>> {
    this.#done = true;
    await this.#events.return?.();
    return { done: true, value: undefined };
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  async #end(): Promise<IteratorResult<string>> {
    this.#done = true;
    const { assistantText } = await this.#prompt.finish();
    // A model that calls all that it says commentary has said something all the same.
    if (this.#last !== null || assistantText === "") return { done: true, value: undefined };
    return { done: false, value: assistantText };
  }

  #textOf(event: TurnEvent): string {
    switch (event.type) {
      case "itemStarted":
        // Ids recur: a message under that of one before is none of it.
        if (event.item.type === "agentMessage") {
          this.#commentary[event.item["phase"] === "commentary" ? "add" : "delete"](event.item.id);
        }
        return "";
      case "assistantMessageDelta":
        return this.#commentary.has(event.itemId) ? "" : this.#more(event.itemId, event.delta);
      case "itemCompleted": {
        const { item } = event;
        if (item.type !== "agentMessage" || typeof item["text"] !== "string") return "";
        if (item["phase"] === "commentary") return "";
        return this.#complete(item.id, item["text"]);
      }
      default:
        return "";
    }
  }

  /** What the deltas left out. Old servers complete a message under another id than they began it with. */
  #complete(itemId: string, text: string): string {
    const begun = this.#open.has(itemId)
      ? itemId
      : [...this.#open].find(([, told]) => text.startsWith(told))?.[0] ?? itemId;
    const told = this.#open.get(begun) ?? "";
    const fits = text.startsWith(told);
    // Deltas were lost in the middle. What was told can't be taken back: the whole is another message.
    if (!fits) this.#open.delete(begun);
    const more = told.includes(text) ? "" : this.#more(begun, text.slice(fits ? told.length : 0));
    this.#open.delete(begun);
    return more;
  }

  #more(itemId: string, text: string): string {
    if (text === "") return "";
    const parted = this.#last !== null && (this.#last !== itemId || !this.#open.has(itemId));
    this.#last = itemId;
    this.#open.set(itemId, (this.#open.get(itemId) ?? "") + text);
    return parted ? BREAK + text : text;
  }
}

/** An iterator as a stream that reads no more than it is asked for; cancelling it leaves the iterator. */
export function readableOf<T>(values: AsyncIterator<T>): ReadableStream<T> {
  return new ReadableStream<T>({
    async pull(controller): Promise<void> {
      const { done, value } = await values.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel(): Promise<void> {
      await values.return?.();
    },
  }, { highWaterMark: 0 });
}

/** A text as the body of an answer. */
export function textResponse(text: AsyncIterator<string>): Response {
  const encoder = new TextEncoder();
  const bytes: AsyncIterator<Uint8Array<ArrayBuffer>> = {
    next: async () => {
      const { done, value } = await text.next();
      return done ? { done, value: undefined } : { done: false, value: encoder.encode(value) };
    },
    return: async () => {
      await text.return?.();
      return { done: true, value: undefined };
    },
  };
  return new Response(readableOf(bytes), {
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      // Proxies that collect answers would hold the text back.
      "x-accel-buffering": "no",
    },
  });
}
