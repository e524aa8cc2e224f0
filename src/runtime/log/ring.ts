/**
 * A queue that reuses its places.
 * @module
 */

/** What comes and goes in order, in one array: a log that is full makes no new ones. */
export class Ring<T> {
  /** As long as a power of two. */
  #slots: (T | undefined)[] = new Array(16).fill(undefined);
  #first = 0;
  /** How many there are. */
  length = 0;

  /** One that is there, counted from the oldest. */
  at(index: number): T {
    return this.#slots[this.#first + index & this.#slots.length - 1]!;
  }

  /** Adds the newest. */
  push(value: T): void {
    if (this.length === this.#slots.length) this.#grow();
    this.#slots[this.#first + this.length++ & this.#slots.length - 1] = value;
  }

  /** Takes the oldest, which must be there. */
  shift(): T {
    const value = this.at(0);
    this.#slots[this.#first] = undefined;
    this.#first = this.#first + 1 & this.#slots.length - 1;
    this.length--;
    return value;
  }

  #grow(): void {
    const inOrder = [...this.#slots.slice(this.#first), ...this.#slots.slice(0, this.#first)];
    this.#slots = [...inOrder, ...new Array(inOrder.length).fill(undefined)];
    this.#first = 0;
  }
}
