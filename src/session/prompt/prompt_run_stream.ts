/**
 * A running prompt: its events, its controls, its result. The next turn that something else begins is given as one too. It
 * also comes in the shapes of the web: text, a stream, a response.
 * @module
 */
import { SessionClosedError } from "../../errors/mod.ts";
import type { Prompt } from "../../prompt.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";

/** The events of a run, for one reader at a time. */
export interface StreamedEvents {
  /** The next event; `null` after the last. */
  next(): Promise<TurnEvent | null>;
  /** The next event, for iterators. */
  read(): Promise<IteratorResult<TurnEvent>>;
  /** No more events will come. */
  end(): void;
  /** Forgets what nobody has read, and ends. */
  discard(): void;
}

/** What a stream shows and controls. */
export interface StreamedRun {
  /** Settles with the result, or rejects with the reason that there is none. */
  readonly result: Promise<PromptRunResult>;
  /** Adds to what the running turn has been asked. */
  steer(input: Prompt): Promise<void>;
  /** Stops it; settles when it has stopped. */
  interrupt(): Promise<void>;
}

/**
 * A running prompt. Iterate it for the events, call {@linkcode finish} for the result; the result settles whether or not
 * anyone reads the events. Leaving the loop early, or disposing the stream before the end, interrupts the turn.
 *
 * ```ts ignore
 * const stream = await session.askStream("Explain the module boundaries");
 * for await (const event of stream) {
 *   if (event.type === "assistantMessageDelta") print(event.delta);
 * }
 * const { usage } = await stream.finish();
 * ```
 */
export class PromptRunStream<Output = unknown>
  implements AsyncIterable<TurnEvent>, AsyncDisposable {
  /** The thread. */
  readonly threadId: string;
  /** The first turn; a retried prompt goes on in another one. */
  readonly turnId: string;
  readonly #run: StreamedRun;
  readonly #queue: StreamedEvents;
  #over = false;

  /** Made by {@linkcode Session.askStream}. */
  constructor(threadId: string, turnId: string, run: StreamedRun, queue: StreamedEvents) {
    this.threadId = threadId;
    this.turnId = turnId;
    this.#run = run;
    this.#queue = queue;
    const over = () => {
      this.#over = true;
      queue.end();
    };
    run.result.then(over, over);
  }

  /** The next event; `null` after the last. A slow reader gets adjacent text deltas merged, and loses nothing. */
  recv(): Promise<TurnEvent | null> {
    return this.#queue.next();
  }

  /** The result; rejects with the turn's error. May be called at any time, and more than once. */
  finish(): Promise<PromptRunResult<Output>> {
    return this.#run.result as Promise<PromptRunResult<Output>>;
  }

  /** Adds to what the running turn has been asked. Rejects when the turn has ended. */
  steer(input: Prompt): Promise<void> {
    if (this.#over) {
      return Promise.reject(
        new SessionClosedError("The turn has ended; ask anew instead of steering."),
      );
    }
    return this.#run.steer(input);
  }

  /**
   * Stops the turn; settles when it has stopped. {@linkcode finish} then rejects with `TurnInterruptedError`. Rejects with
   * `RequestTimeoutError` when the server did not confirm it: then it may still be active.
   */
  async interrupt(): Promise<void> {
    await this.#run.interrupt();
  }

  /**
   * The text of the answer as it comes: what the model calls commentary is left out, several messages are parted by an empty
   * line, a message that came with gaps is told once more as a whole, and what a try said that failed stays. Throws the
   * turn's error at its end. Leaving the loop early interrupts the turn. Like every way to read the events, it takes them:
   * read a stream in one way.
   *
   * ```ts ignore
   * for await (const text of stream.text()) print(text);
   * ```
   */
  text(): AsyncIterableIterator<string> {
    return new AnswerText(this);
  }

  /**
   * The events as a web stream, which reads them only when it is asked to and ends after the last; cancelling it interrupts
   * the turn. How the turn ended is in its last event, and in {@linkcode finish}.
   *
   * ```ts ignore
   * await stream.toReadable().pipeThrough(toLines).pipeTo(file.writable);
   * ```
   */
  toReadable(): ReadableStream<TurnEvent> {
    return readableOf(this[Symbol.asyncIterator]());
  }

  /**
   * {@linkcode text} as the answer of a fetch handler: `text/plain`, streamed. A client that goes away interrupts the turn; for
   * one that goes before the turn has begun, whose answer Next does not even cancel, give `askStream` the request's `signal`. A
   * turn that fails breaks the answer off, so that a part never passes for the whole.
   *
   * ```ts ignore
   * Deno.serve(async (request) => (await session.askStream(await request.text())).toResponse());
   * ```
   */
  toResponse(): Response {
    return textResponse(this.text());
  }

  /** Iterates the events. Leaving the loop early interrupts the turn. */
  [Symbol.asyncIterator](): AsyncIterator<TurnEvent> {
    return {
      next: () => this.#queue.read(),
      return: async () => {
        await this.#leave();
        return { done: true, value: undefined };
      },
    };
  }

  /** Interrupts the turn if it still runs, and releases the events. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave();
  }

  async #leave(): Promise<void> {
    this.#queue.discard();
    if (this.#over) return;
    // One that would not stop is told by `finish()`; whoever leaves with an error of their own keeps it.
    await this.#run.interrupt().catch(() => {});
  }
}

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
      // Proxies that collect or compress answers would hold the text back.
      "cache-control": "no-store, no-transform",
      "x-content-type-options": "nosniff",
      "x-accel-buffering": "no",
    },
  });
}
