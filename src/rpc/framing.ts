/**
 * Lines out of chunks: one JSON message a line, whatever the chunk boundaries.
 * @module
 */
import { joinBytes } from "../json.ts";
import { byteString } from "../platform/mod.ts";

/** Receives whole lines. */
export interface LineSink {
  /** A line without its newline, never blank: what stands in `text` from `start` to `end`. */
  line(text: string, start: number, end: number): void;
  /**
   * Looks at a line of a large chunk before it is decoded: in `bytes` a character stands for each byte. Returns whether that
   * was enough; otherwise the line is told. Default: every line is told.
   */
  undecoded?(bytes: string, start: number, end: number): boolean;
  /** A line longer than the limit was skipped; `head` and `tail` are its first and last bytes as text. */
  tooLong(bytes: number, head: string, tail: string): void;
}

const NEWLINE = 10;
/** Bytes of a chunk that holds so many lines that most of them should not be decoded. */
const LARGE_CHUNK = 16_384;
/** Set in a byte that is not ASCII, for four bytes at once. */
const HIGH_BITS = 0x80808080 | 0;
const HEAD_BYTES = 4096;
const TAIL_BYTES = 2048;

/**
 * Splits a byte stream at newlines and decodes it, in time linear to its length.
 *
 * In a flood most lines are known by their beginnings, and of little else is anything needed soon. Decoding is a fifth of what
 * such a line costs: so the lines of a large chunk are looked at as they are, and decoded one by one where that is not enough.
 */
export class LineFramer {
  readonly #maxBytes: number;
  readonly #sink: LineSink;
  // A leading U+FEFF belongs to the text: a decoder that strips it would change messages.
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Bytes of the unfinished line. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  /** Set while a line beyond the limit passes by. */
  #skipping: { head: string; bytes: number; tail: Uint8Array } | null = null;

  /** Creates a framer for lines of at most `maxBytes` bytes. */
  constructor(maxBytes: number, sink: LineSink) {
    this.#maxBytes = maxBytes;
    this.#sink = sink;
  }

  /** Bytes of the line that has not ended yet. */
  get pendingBytes(): number {
    return this.#skipping?.bytes ?? this.#partBytes;
  }

  /** The beginning of the line that has not ended yet, as text. */
  pendingText(maxBytes: number): string {
    if (this.#skipping !== null) return this.#skipping.head.slice(0, maxBytes);
    return this.#decoder.decode(joinBytes(this.#parts).subarray(0, maxBytes));
  }

  /** Takes the next chunk; it must not be changed afterwards. */
  push(chunk: Uint8Array): void {
    let start = 0;
    if (this.#skipping !== null || this.#partBytes > 0) {
      const newline = chunk.indexOf(NEWLINE);
      if (newline < 0) return this.#hold(chunk);
      this.#hold(chunk.subarray(0, newline));
      this.#endLine();
      start = newline + 1;
    }
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > start) this.#lines(chunk.subarray(start, end));
    const rest = Math.max(start, end);
    if (rest < chunk.length) this.#hold(chunk.subarray(rest));
  }

  /** Ends the stream; returns the size of an unfinished last line, which is dropped. */
  end(): number {
    const bytes = this.pendingBytes;
    this.#takeParts();
    this.#skipping = null;
    return bytes;
  }

  #hold(part: Uint8Array): void {
    if (this.#skipping !== null) {
      this.#skipping.bytes += part.length;
      this.#skipping.tail = lastBytes(this.#skipping.tail, part);
      return;
    }
    this.#parts.push(part);
    this.#partBytes += part.length;
    if (this.#partBytes > this.#maxBytes) {
      const all = joinBytes(this.#takeParts());
      this.#skipping = {
        head: this.#decoder.decode(all.subarray(0, HEAD_BYTES)),
        bytes: all.length,
        tail: all.slice(-TAIL_BYTES),
      };
    }
  }

  /** What is there of the unfinished line, which is not kept any more. */
  #takeParts(): Uint8Array[] {
    const parts = this.#parts;
    this.#parts = [];
    this.#partBytes = 0;
    return parts;
  }

  #endLine(): void {
    const skipped = this.#skipping;
    if (skipped !== null) {
      this.#skipping = null;
      this.#sink.tooLong(skipped.bytes, skipped.head, this.#decoder.decode(skipped.tail));
      return;
    }
    const line = this.#decoder.decode(joinBytes(this.#takeParts()));
    this.#emit(line, 0, line.length);
  }

  /** Whole lines: `block` ends with a newline. */
  #lines(block: Uint8Array): void {
    const look = this.#sink.undecoded !== undefined && block.length >= LARGE_CHUNK;
    const bytes = look ? byteString(block) : null;
    if (bytes === null) this.#split(this.#decoder.decode(block), block.length);
    else this.#splitUndecoded(bytes, block);
  }

  /** The lines of `block`, which is `bytes` as a string. */
  #splitUndecoded(bytes: string, block: Uint8Array): void {
    const sink = this.#sink;
    // Where the next byte is that is not ASCII; up to there the string is what decoding would give.
    let odd = 0;
    let newline = 0;
    for (let start = 0; start < bytes.length; start = newline + 1) {
      newline = bytes.indexOf("\n", start);
      if (newline === start) continue;
      if (newline - start > this.#maxBytes) this.#skip(block.subarray(start, newline));
      else if (!sink.undecoded!(bytes, start, newline)) {
        if (odd <= start) odd = firstNonAscii(block, start);
        if (odd >= newline) this.#emit(bytes, start, newline);
        else {
          const line = this.#decoder.decode(block.subarray(start, newline));
          this.#emit(line, 0, line.length);
        }
      }
    }
  }

  #skip(line: Uint8Array): void {
    const decode = (part: Uint8Array) => this.#decoder.decode(part);
    const { length } = line;
    this.#sink.tooLong(
      length,
      decode(line.subarray(0, HEAD_BYTES)),
      decode(line.subarray(-TAIL_BYTES)),
    );
  }

  #split(text: string, bytes: number): void {
    let start = 0;
    while (start < text.length) {
      const newline = text.indexOf("\n", start);
      // The size in characters is a lower bound of the size in bytes: exact sizes matter only near the limit.
      if (
        newline - start > this.#maxBytes ||
        (bytes > this.#maxBytes && this.#oversized(text, start, newline))
      ) {
        const line = text.slice(start, newline);
        this.#sink.tooLong(utf8Length(line), line.slice(0, HEAD_BYTES), line.slice(-TAIL_BYTES));
      } else if (newline > start) {
        this.#emit(text, start, newline);
      }
      start = newline + 1;
    }
  }

  #oversized(text: string, start: number, end: number): boolean {
    return (end - start) * 3 > this.#maxBytes &&
      utf8Length(text.slice(start, end)) > this.#maxBytes;
  }

  #emit(text: string, start: number, end: number): void {
    if (end - start > 2 || text.slice(start, end).trim() !== "") this.#sink.line(text, start, end);
  }
}

/** How many bytes a string takes in UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    bytes += unit < 0x800 ? 1 : 2;
    if (unit >= 0xd800 && unit <= 0xdbff) {
      const next = text.charCodeAt(i + 1);
      if (next >= 0xdc00 && next <= 0xdfff) i++;
    }
  }
  return bytes;
}

function firstNonAscii(bytes: Uint8Array, from: number): number {
  let i = from;
  const end = bytes.length;
  while (i < end && ((bytes.byteOffset + i) & 3) !== 0) {
    if (bytes[i]! > 0x7f) return i;
    i++;
  }
  const words = ((end - i) >> 5) << 3;
  if (words > 0) {
    const view = new Int32Array(bytes.buffer, bytes.byteOffset + i, words);
    let w = 0;
    while (w < words && (eightWords(view, w) & HIGH_BITS) === 0) w += 8;
    i += w << 2;
  }
  while (i < end && bytes[i]! <= 0x7f) i++;
  return i;
}

function eightWords(view: Int32Array, w: number): number {
  return view[w]! | view[w + 1]! | view[w + 2]! | view[w + 3]! |
    view[w + 4]! | view[w + 5]! | view[w + 6]! | view[w + 7]!;
}

function lastBytes(tail: Uint8Array, part: Uint8Array): Uint8Array {
  if (part.length >= TAIL_BYTES) return part.slice(-TAIL_BYTES);
  return joinBytes([tail, part]).slice(-TAIL_BYTES);
}
