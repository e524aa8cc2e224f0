/**
 * Text deltas without parsing their lines.
 *
 * In a flood nearly every line is the next delta of an item that is known: the same characters up to the text. Such a
 * line is recognised by its head, and only the text is cut out of it.
 * @module
 */
import type { JsonObject } from "../json.ts";

// Deltas that came one after the other.

/**
 * Deltas that stand one below the other in a block of lines, of one item or of several. Kept as that block and as places
 * in it: most lines are never looked at, and the texts of an item only together.
 */
export class Deltas {
  readonly #block: string;
  /** Where the first line of all begins, which need not be one of these. */
  readonly #start: number;
  /** Whose texts they are; one for all of them where they are one item's. */
  #heads: DeltaHead | DeltaHead[];
  /** For each delta: where its text ends, and where its line does. */
  readonly #ends: number[];
  /** Whether a character of the block stands for a byte of it. */
  readonly #undecoded: boolean;
  readonly #from: number;
  #to: number;
  /** All their text, once somebody has asked for it. */
  #joined: string | null = null;

  /** Begins with places in `block`: of the first line, and of its end and the others' in pairs. */
  constructor(
    block: string,
    start: number,
    heads: DeltaHead | DeltaHead[],
    ends: number[],
    undecoded = false,
    from = 0,
    to: number = ends.length >> 1,
  ) {
    this.#block = block;
    this.#start = start;
    this.#heads = heads;
    this.#ends = ends;
    this.#undecoded = undecoded;
    this.#from = from;
    this.#to = to;
  }

  /** How many deltas there are. */
  get length(): number {
    return this.#to - this.#from;
  }

  /** Characters of their lines, or bytes. */
  get size(): number {
    return this.#lineEnd(this.#to - 1) - this.#lineStart(this.#from);
  }

  /** Whose text one of them is. */
  head(index: number): DeltaHead {
    return this.#headAt(this.#from + index);
  }

  /** Where those end that begin at `from` and are of one item. */
  runEnd(from: number): number {
    const { length } = this;
    if (!Array.isArray(this.#heads)) return length;
    const head = this.head(from);
    let to = from + 1;
    while (to < length && this.head(to) === head) to++;
    return to;
  }

  /** Takes one more delta, if it stands directly below the last one. */
  extend(
    head: DeltaHead,
    block: string,
    start: number,
    textEnd: number,
    lineEnd: number,
  ): boolean {
    if (start !== this.#lineEnd(this.#to - 1) + 1 || block !== this.#block) return false;
    if (Array.isArray(this.#heads)) this.#heads.push(head);
    else if (this.#heads !== head) {
      this.#heads = [...new Array<DeltaHead>(this.#to).fill(this.#heads), head];
    }
    this.#ends.push(textEnd, lineEnd);
    this.#to++;
    return true;
  }

  /** Some of them, up to but not including `to`. */
  part(from: number, to: number): Deltas {
    const last = Math.min(this.#to, this.#from + to);
    return new Deltas(
      this.#block,
      this.#start,
      this.#heads,
      this.#ends,
      this.#undecoded,
      this.#from + from,
      last,
    );
  }

  /** The text of one of them. */
  text(index: number): string {
    return plain(this.#literal(this.#from + index));
  }

  /** The texts of some of them. */
  texts(from: number, to: number): string[] {
    const texts: string[] = [];
    for (let index = from; index < to; index++) texts.push(this.text(index));
    if (to - from === this.length) this.#joined ??= texts.join("");
    return texts;
  }

  /** The text of some of them, together. */
  joined(from = 0, to: number = this.length): string {
    if (to - from === 1) return this.text(from);
    if (to - from < this.length) return this.texts(from, to).join("");
    if (this.#joined === null) this.texts(from, to);
    return this.#joined ?? "";
  }

  /** The line of one of them. */
  line(index: number): string {
    const at = this.#from + index;
    const line = this.#block.slice(this.#lineStart(at), this.#lineEnd(at));
    return this.#undecoded ? decoded(line) : line;
  }

  /** A text as it stands in its line. */
  #literal(at: number): string {
    const from = this.#lineStart(at) + this.#headAt(at).text.length;
    const literal = this.#block.slice(from, this.#ends[at * 2]!);
    return this.#undecoded ? decoded(literal) : literal;
  }

  #headAt(at: number): DeltaHead {
    const heads = this.#heads;
    return Array.isArray(heads) ? heads[at]! : heads;
  }

  #lineStart(at: number): number {
    return at === 0 ? this.#start : this.#lineEnd(at - 1) + 1;
  }

  #lineEnd(at: number): number {
    return this.#ends[at * 2 + 1]!;
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Most texts are a few characters, for which a pattern takes longer. */
function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

/** What UTF-8 means of which `text` has a character for each byte. */
function decoded(text: string): string {
  if (isAscii(text)) return text;
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = text.charCodeAt(at);
  return decoder.decode(bytes);
}

/** A text without its escapes; with them where they are damaged. */
function plain(literal: string): string {
  return unescaped(literal) ?? literal;
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
  /** Who takes its texts: kept here by the routes, so that the next one needs no look-up. */
  taker?: DeltaTaker | null;
}

/** Takes the texts of an item. */
export interface DeltaTaker {
  /** Takes the texts of some of the deltas, all of the item; `false` when they are not its own any more. */
  takes(deltas: Deltas, from: number, to: number): boolean;
}

const BRACE = 125;
const BACKSLASH = 92;
const COMMA = 44;
const QUOTE = 34;
const LETTER_E = 101;
const COLON = 58;
/** What may follow a backslash, but for a character by its number. */
const SIMPLE_ESCAPES = '"\\/bfnrt';
const UNICODE_ESCAPE = /^u[0-9a-fA-F]{4}$/;
const EMITTED = ',"emittedAtMs":';
const COLON_AT = EMITTED.length - 1;
/** With the digits of a time in milliseconds and the end of the message. */
const LONGEST_EMITTED = EMITTED.length + 24;
/** Items whose heads are kept; a thousand sessions stream at once at most. */
const MAX_HEADS = 4096;
/** Different lengths of heads that are tried. */
const MAX_LENGTHS = 8;

/** Learns the heads of delta lines, and recognises the lines that begin with one. */
export class DeltaReader {
  /** Whose text it is; set by {@linkcode read}. */
  head: DeltaHead = { method: "", threadId: "", turnId: "", itemId: "", text: "" };
  /** By the line up to the text: one look-up, however many threads are open. */
  readonly #heads: Map<string, DeltaHead> = new Map();
  #lengths: number[] = [];
  #block = "";
  /** Where the next backslash of the block is. */
  #backslash = -1;

  /**
   * Recognises the line that stands in `block` from `start` to `end`: sets `head`, and returns where the text ends that
   * begins after it. Returns -1 when the line is anything but the next delta of a known item.
   */
  read(block: string, start: number, end: number): number {
    const head = this.#find(block, start);
    if (head === null) return -1;
    this.head = head;
    const from = start + head.text.length;
    const quote = block.indexOf('"', from);
    const escapes = this.#escapes(block, from, quote);
    const textEnd = escapes ? endOfEscaped(block, this.#backslash, end) : quote;
    return endsLikeDelta(block, textEnd, end) ? textEnd : -1;
  }

  /** Remembers the head of a delta that was parsed, if its line is written the way the server writes them. */
  learn(line: string, method: string, params: JsonObject): void {
    const { threadId, turnId, itemId, delta } = params as Record<string, unknown>;
    if (
      typeof delta !== "string" || typeof threadId !== "string" || typeof turnId !== "string" ||
      typeof itemId !== "string"
    ) return;
    // Joined, not added up: comparing with a rope would flatten it again and again.
    const text = [
      `{"method":${JSON.stringify(method)},"params":{"threadId":${JSON.stringify(threadId)}`,
      `,"turnId":${JSON.stringify(turnId)},"itemId":${JSON.stringify(itemId)},"delta":"`,
    ].join("");
    // Lines are recognised before they are decoded, so the head must look the same as its bytes.
    if (!line.startsWith(text) || !isAscii(text)) return;
    const known = this.#lengths.includes(text.length);
    if (this.#heads.size >= MAX_HEADS || (!known && this.#lengths.length >= MAX_LENGTHS)) {
      this.#heads.clear();
      this.#lengths = [];
    }
    if (!this.#lengths.includes(text.length)) this.#lengths.push(text.length);
    this.head = { method, threadId, turnId, itemId, text, taker: null };
    this.#heads.set(text, this.head);
  }

  #find(block: string, start: number): DeltaHead | null {
    const { text } = this.head;
    if (text !== "" && block.slice(start, start + text.length) === text) return this.head;
    for (const length of this.#lengths) {
      const head = this.#heads.get(block.slice(start, start + length));
      if (head !== undefined) return head;
    }
    return null;
  }

  /** Whether there is a backslash between these places, which are looked at from the first of a block to the last. */
  #escapes(block: string, from: number, to: number): boolean {
    if (block !== this.#block) {
      this.#block = block;
      this.#backslash = -1;
    }
    if (this.#backslash < from) {
      const next = block.indexOf("\\", from);
      // Not Infinity, which is no integer: the places that are compared with it would be kept as floating-point numbers.
      this.#backslash = next < 0 ? block.length : next;
    }
    return this.#backslash < to;
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

/** Where a text ends whose first escape is at `from`; -1 when there is an escape that JSON does not know. */
function endOfEscaped(block: string, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    const code = block.charCodeAt(at);
    if (code === QUOTE) return at;
    if (code !== BACKSLASH) continue;
    at++;
    if (SIMPLE_ESCAPES.includes(block.charAt(at))) continue;
    if (!UNICODE_ESCAPE.test(block.slice(at, at + 5))) return -1;
    at += 4;
  }
  return -1;
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
