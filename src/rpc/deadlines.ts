/**
 * Many deadlines, one timer.
 * @module
 */

/** Longest delay that a timer can hold. */
const MAX_DELAY_MS = 0x7fffffff;

/**
 * Wakes whoever keeps the deadlines when the earliest of them has come, with a single timer. Times are on the clock of
 * `performance.now()`; those at `Infinity` never come.
 */
export class Deadlines {
  readonly #expire: (now: number) => number;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #wakesAt = Infinity;

  /** `expire` ends what is due, and returns the earliest deadline that is left. */
  constructor(expire: (now: number) => number) {
    this.#expire = expire;
  }

  /** There is one more deadline. */
  add(at: number): void {
    if (at >= this.#wakesAt) return;
    this.clear();
    this.#wakesAt = at;
    const delay = Math.min(MAX_DELAY_MS, Math.max(0, Math.ceil(at - performance.now())));
    this.#timer = setTimeout(() => this.#wake(), delay);
  }

  /** No deadline is left. */
  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#wakesAt = Infinity;
  }

  #wake(): void {
    this.#timer = null;
    this.#wakesAt = Infinity;
    this.add(this.#expire(performance.now()));
  }
}
