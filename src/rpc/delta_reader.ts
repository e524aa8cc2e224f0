/**
 * Text deltas without parsing their lines.
 *
 * In a flood nearly every line is the next delta of an item that is known: the same characters up to the text. Such a
 * line is recognised by its head, and only the text is cut out of it.
 * @module
 */
import type { JsonObject } from "../json.ts";

// Deltas of one item that came one after the other.

/**
 * Deltas of one item that stand one below the other in a block of lines. Kept as that block and as places in it: most
 * lines are never looked at, and their texts only together.
 */
export class DeltaRun {
  /** Whose texts they are. */
  readonly head: DeltaHead;
  readonly #block: string;
  readonly #start: number;
  /** For each delta: where its text ends, and where its line does. */
  readonly #ends: number[];
  #joined: string | null = null;

  /** Begins with places in `block`: of the first line, and of its end and the others' in pairs. */
  constructor(head: DeltaHead, block: string, start: number, ends: number[]) {
    this.head = head;
    this.#block = block;
    this.#start = start;
    this.#ends = ends;
  }

  /** How many deltas there are. */
  get length(): number {
    return this.#ends.length >> 1;
  }

  /** Characters of their lines. */
  get size(): number {
    return this.#lineEnd(this.length - 1) - this.#start;
  }

  /** Takes one more delta, if it is this item's and stands directly below the last one. */
  extend(
    head: DeltaHead,
    block: string,
    start: number,
    textEnd: number,
    lineEnd: number,
  ): boolean {
    const ends = this.#ends;
    if (head !== this.head || block !== this.#block || start !== ends[ends.length - 1]! + 1) {
      return false;
    }
    ends.push(textEnd, lineEnd);
    return true;
  }

  /** The text of one of them. */
  text(index: number): string {
    const text = this.#literal(index);
    return unescaped(text) ?? text;
  }

  /** The texts of all of them. */
  texts(): string[] {
    const texts: string[] = [];
    for (let index = 0; index < this.length; index++) texts.push(this.text(index));
    return texts;
  }

  /** All their text. */
  joined(): string {
    return this.#joined ??= this.#join() ?? this.texts().join("");
  }

  /** Whether their texts are what JSON allows. */
  get whole(): boolean {
    this.#joined ??= this.#join();
    return this.#joined !== null;
  }

  /** The line of one of them. */
  line(index: number): string {
    return this.#block.slice(this.#lineStart(index), this.#lineEnd(index));
  }

  /** Some of them, up to but not including `to`. */
  part(from: number, to: number): DeltaRun {
    const ends = this.#ends.slice(from * 2, to * 2);
    return new DeltaRun(this.head, this.#block, this.#lineStart(from), ends);
  }

  #join(): string | null {
    if (this.length === 1) return unescaped(this.#literal(0));
    const literals: string[] = [];
    for (let index = 0; index < this.length; index++) literals.push(this.#literal(index));
    return unescaped(literals.join(""));
  }

  /** A text as it stands in its line. */
  #literal(index: number): string {
    return this.#block.slice(
      this.#lineStart(index) + this.head.text.length,
      this.#ends[index * 2]!,
    );
  }

  #lineStart(index: number): number {
    return index === 0 ? this.#start : this.#lineEnd(index - 1) + 1;
  }

  #lineEnd(index: number): number {
    return this.#ends[index * 2 + 1]!;
  }
}

/** What all deltas of one item have in common. */
export interface DeltaHead {
  /** The notification's method, such as `item/agentMessage/delta`. */
  readonly method: string;
  /** The thread. */
  readonly threadId: string;
  /** The turn. */
  readonly turnId: string;
  /** The item. */
  readonly itemId: string;
  /** The line up to the text; empty for deltas that can only be parsed. */
  readonly text: string;
}

const BRACE = 125;
const BACKSLASH = 92;
const COMMA = 44;
const QUOTE = 34;
const LETTER_E = 101;
const COLON = 58;
const EMITTED = ',"emittedAtMs":';
const COLON_AT = EMITTED.length - 1;
/** With the digits of a time in milliseconds and the end of the message. */
const LONGEST_EMITTED = EMITTED.length + 24;
/** Threads whose heads are kept; a thousand sessions stream at once at most. */
const MAX_THREADS = 2048;
/** Items of one thread that stream at once, such as the outputs of several commands. */
const MAX_ITEMS = 4;

/** Learns the heads of delta lines, and recognises the lines that begin with one. */
export class DeltaReader {
  /** Whose text it is; set by {@linkcode read}. */
  head: DeltaHead = { method: "", threadId: "", turnId: "", itemId: "", text: "" };
  readonly #heads: Map<string, DeltaHead[]> = new Map();
  /** Where the thread's id stands in lines of the newest head. */
  #idStart = 0;
  #idEnd = 0;

  /**
   * Recognises the line that stands in `block` from `start` to `end`: sets `head`, and returns where the text ends that
   * begins after it. Returns -1 when the line is anything but the next delta of a known item.
   */
  read(block: string, start: number, end: number): number {
    const head = this.#find(block, start);
    if (head === null) return -1;
    this.head = head;
    return endOfText(block, start + head.text.length, end);
  }

  /** Remembers the head of a delta that was parsed, if its line is written the way the server writes them. */
  learn(line: string, method: string, params: JsonObject): void {
    const { threadId, turnId, itemId, delta } = params as Record<string, unknown>;
    if (
      typeof delta !== "string" || typeof threadId !== "string" || typeof turnId !== "string" ||
      typeof itemId !== "string"
    ) return;
    const before = `{"method":${JSON.stringify(method)},"params":{"threadId":"`;
    // Joined, not added up: comparing with a rope would flatten it again and again.
    const text = [
      before,
      JSON.stringify(threadId).slice(1),
      `,"turnId":${JSON.stringify(turnId)},"itemId":${JSON.stringify(itemId)},"delta":"`,
    ].join("");
    if (!line.startsWith(text)) return;
    const head = { method, threadId, turnId, itemId, text };
    const others = this.#heads.get(threadId)?.filter((other) => other.text !== text) ?? [];
    if (this.#heads.size >= MAX_THREADS) this.#heads.clear();
    this.#heads.set(threadId, [head, ...others].slice(0, MAX_ITEMS));
    this.head = head;
    this.#idStart = before.length;
    this.#idEnd = before.length + threadId.length;
  }

  #find(block: string, start: number): DeltaHead | null {
    if (standsAt(block, start, this.head.text)) return this.#idEnd === 0 ? null : this.head;
    // Most likely another thread's, with its id in the same place.
    const known = this.#heads.get(block.slice(start + this.#idStart, start + this.#idEnd));
    if (known === undefined) return null;
    for (const head of known) if (standsAt(block, start, head.text)) return head;
    return null;
  }
}

/** The text that stands in a line as `literal`, or in several lines as its parts; `null` when it is damaged. */
export function unescaped(literal: string): string | null {
  if (!literal.includes("\\")) return literal;
  try {
    return JSON.parse(`"${literal}"`);
  } catch {
    return null;
  }
}

/** Where the text ends that begins at `from` in a line that ends at `end`; -1 when it goes on as no delta does. */
function endOfText(block: string, from: number, end: number): number {
  let quote = block.indexOf('"', from);
  if (block.charCodeAt(quote - 1) === BACKSLASH) {
    quote = block.lastIndexOf('"}', end);
    if (quote < from || unescaped(block.slice(from, quote)) === null) return -1;
  }
  return endsLikeDelta(block, quote, end) ? quote : -1;
}

/** After the text: the end of `params`, and nothing else but the time of emission. */
function endsLikeDelta(block: string, quote: number, end: number): boolean {
  const rest = quote + 2;
  if (quote < 0 || rest >= end || block.charCodeAt(quote + 1) !== BRACE) return false;
  if (block.charCodeAt(rest) === BRACE) return rest + 1 === end;
  // Known by some of its characters: comparing all of them takes a tenth of the time of the whole line.
  return block.charCodeAt(rest) === COMMA && block.charCodeAt(rest + 1) === QUOTE &&
    block.charCodeAt(rest + 2) === LETTER_E && block.charCodeAt(rest + COLON_AT) === COLON &&
    block.charCodeAt(end - 1) === BRACE && end - rest < LONGEST_EMITTED;
}

/** Like `startsWith`, which compares long texts character by character on V8. */
function standsAt(block: string, start: number, text: string): boolean {
  return block.slice(start, start + text.length) === text;
}
