/**
 * A running prompt: its events, its controls, its result. The next turn that something else begins is given as one too.
 * @module
 */
import { SessionClosedError } from "../../errors/mod.ts";
import type { Prompt } from "../../prompt.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";
import { AnswerText, readableOf, textResponse } from "./web_streams.ts";

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
   * {@linkcode text} as the answer of a fetch handler: `text/plain`, streamed. A client that goes away interrupts the turn; a
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
