/**
 * Turns that were asked for and may begin yet: by raw requests on this connection, and by prompts that got no answer. Between
 * the server's answer and the turn's beginning the server calls the thread idle (0.145, 0.169: some milliseconds): whoever brings the thread to rest waits
 * for them.
 * @module
 */
import { longTimeout } from "../../async.ts";
import { CodexError, RequestTimeoutError } from "../../errors/mod.ts";
import { type JsonObject, type JsonValue, stringOf } from "../../json.ts";
import type { ThreadItem } from "../../thread_item.ts";
import type { Turn } from "./turn.ts";
import { showsPrompt, textsOf, type TurnRun } from "./turn_run.ts";

/** How long after its answer a turn may begin. It may never: its prompt became part of another turn, or that one ended. */
const BEGIN_MS = 5_000;

/** Requests that make the server begin a turn; the answer of some names it. */
const BEGINNING: ReadonlySet<string> = new Set([
  "turn/start",
  "review/start",
  "thread/compact/start",
  "thread/queue/add",
  "thread/queue/start",
  "thread/shellCommand",
]);

interface Promised {
  /** Its id, once the server has told it. */
  turnId: string | null;
  /** Whether the answer tells no id: any turn that begins may be it. */
  unnamed: boolean;
  /** Whether a turn has begun since it was asked for. */
  heard: boolean;
  /** What was asked, to be found in the turn that it became part of. */
  texts: string | null;
  begun: () => void;
}

/** The turns of one thread that were asked for and have not begun. */
export class PromisedTurns {
  readonly #open: Set<Promised> = new Set();
  readonly #expect: (begins: Promise<void>) => void;
  readonly #isKnown: (turnId: string) => boolean;
  readonly #isBusy: () => boolean;

  /** `expect` is told of each; `isKnown` says whether a turn was heard of, `isBusy` whether one is active. */
  constructor(
    expect: (begins: Promise<void>) => void,
    isKnown: (turnId: string) => boolean,
    isBusy: () => boolean,
  ) {
    this.#expect = expect;
    this.#isKnown = isKnown;
    this.#isBusy = isBusy;
  }

  /** How many there are. */
  get size(): number {
    return this.#open.size;
  }

  /** A raw request was sent. Never rejects. */
  async asked(method: string, params: JsonObject, answer: Promise<JsonValue>): Promise<void> {
    if (!BEGINNING.has(method)) return;
    // What waits behind a turn that is stopped does not begin by itself (0.169).
    if (method === "thread/queue/add" && this.#isBusy()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const input = params["input"];
    const texts = input === undefined ? null : textsOf(input);
    const promised: Promised = {
      turnId: null,
      unnamed: false,
      heard: false,
      texts,
      begun: () => {
        this.#open.delete(promised);
        resolve();
      },
    };
    this.#open.add(promised);
    this.#expect(promise);
    try {
      const id = stringOf(await answer, "turn", "id");
      if (id !== null) promised.turnId = id;
      else promised.unnamed = true;
      if (promised.turnId !== null && this.#isKnown(promised.turnId)) promised.begun();
    } catch (error) {
      // Without an answer the server may do it all the same.
      if (error instanceof CodexError && !(error instanceof RequestTimeoutError)) promised.begun();
      promised.unnamed = true;
    }
    if (promised.unnamed && promised.heard) promised.begun();
    const cancel = longTimeout(promised.begun, BEGIN_MS);
    await promise;
    cancel();
  }

  /** A turn was heard of for the first time. */
  began(turnId: string): void {
    for (const promised of this.#open) {
      promised.heard = true;
      if (promised.unnamed || promised.turnId === turnId) promised.begun();
    }
  }

  /** An item of a turn begins: it may be a prompt that became part of it. */
  item(item: JsonObject): void {
    if (this.#open.size === 0 || item["type"] !== "userMessage") return;
    const texts = textsOf(item["content"]);
    for (const promised of this.#open) if (promised.texts === texts) promised.begun();
  }

  /** Nobody listens any more, or the server is gone. */
  clear(): void {
    for (const { begun } of this.#open) begun();
  }
}

/** How many prompts without an answer are remembered. */
const UNANSWERED = 16;

/** Prompts whose `turn/start` was never answered: a turn of theirs may begin late, and nobody waits for it. */
export class UnansweredPrompts {
  readonly #prompts: TurnRun[] = [];

  /** Another one, whose caller was told that it has failed. */
  add(run: TurnRun): void {
    this.#prompts.push(run);
    if (this.#prompts.length > UNANSWERED) this.#prompts.shift();
  }

  /** Stops the turn if the item shows that it is one of theirs. */
  stop(turn: Turn, item: JsonObject | ThreadItem): void {
    if (this.#prompts.length === 0 || turn.owner !== null) return;
    const at = this.#prompts.findIndex((run) => showsPrompt(item as JsonObject, run));
    if (at < 0) return;
    this.#prompts.splice(at, 1);
    void turn.stop();
  }

  /** The server is gone. */
  clear(): void {
    this.#prompts.length = 0;
  }
}
