/**
 * Deltas of one item that came one after the other.
 * @module
 */
import { type DeltaHead, unescaped } from "./delta_reader.ts";

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
