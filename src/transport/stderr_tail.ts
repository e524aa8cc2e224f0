/** The end of a byte stream as text. @module */

/** How much of stderr is kept for error messages, in characters. */
const STDERR_TAIL_CHARS: number = 16 * 1024;

/** Keeps the last 16 KiB of what is pushed, decoded as UTF-8 across chunk borders. */
export class StderrTail {
  readonly #decoder = new TextDecoder();
  readonly #listener: ((text: string) => void) | undefined;
  #text = "";

  /** Creates an empty tail; the listener gets each piece of text as it comes. */
  constructor(listener?: (text: string) => void) {
    this.#listener = listener;
  }

  /** Adds a chunk. */
  push(chunk: Uint8Array): void {
    const text = this.#decoder.decode(chunk, { stream: true });
    this.#text = cutHead(this.#text + text);
    if (text === "") return;
    try {
      this.#listener?.(text);
    } catch {
      // A fault of the listener is no end of the pipe.
    }
  }

  /** The last 16 KiB so far. */
  toString(): string {
    return this.#text;
  }
}

function cutHead(text: string): string {
  if (text.length <= STDERR_TAIL_CHARS) return text;
  const tail = text.slice(-STDERR_TAIL_CHARS);
  const first = tail.charCodeAt(0);
  // Not in the middle of a surrogate pair.
  return first >= 0xdc00 && first <= 0xdfff ? tail.slice(1) : tail;
}
