/**
 * Many deadlines, one timer.
 * @module
 */

/** Something that ends at a point in time. */
export interface Deadline {
  /** When, on the clock of `performance.now()`. */
  readonly expiresAt: number;
  /** Called once the time has come. */
  expire(): void;
}

/** Longest delay that a timer can hold. */
const MAX_DELAY_MS = 0x7fffffff;

/** Watches deadlines with a single timer, which exists only while there is something to watch. */
export class Deadlines {
  readonly #entries: Set<Deadline> = new Set();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #wakesAt = Infinity;

  /** Begins to watch. Deadlines at `Infinity` never expire. */
  add(entry: Deadline): void {
    if (entry.expiresAt === Infinity) return;
    this.#entries.add(entry);
    if (entry.expiresAt < this.#wakesAt) this.#schedule(entry.expiresAt);
  }

  /** Stops watching. */
  delete(entry: Deadline): void {
    if (this.#entries.delete(entry) && this.#entries.size === 0) this.#cancel();
  }

  #schedule(at: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#wakesAt = at;
    const delay = Math.min(MAX_DELAY_MS, Math.max(0, Math.ceil(at - performance.now())));
    this.#timer = setTimeout(() => this.#wake(), delay);
  }

  #cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#wakesAt = Infinity;
  }

  #wake(): void {
    this.#timer = null;
    this.#wakesAt = Infinity;
    const now = performance.now();
    let next = Infinity;
    for (const entry of [...this.#entries]) {
      if (entry.expiresAt <= now) {
        this.#entries.delete(entry);
        entry.expire();
      } else if (entry.expiresAt < next) next = entry.expiresAt;
    }
    if (next < this.#wakesAt) this.#schedule(next);
  }
}
