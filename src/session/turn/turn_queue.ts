/**
 * One turn at a time: those who want a turn wait in line.
 * @module
 */

interface Place<Owner> {
  owner: Owner;
  enter: () => void;
  leave: (error: unknown) => void;
}

/** A line, first come first served. A place in it can be given up. */
export class TurnQueue<Owner = unknown> {
  readonly #line: Place<Owner>[] = [];
  #taken = false;
  #holder: Owner | null = null;
  #closed: unknown = null;
  readonly #hold: () => () => void;

  /** `hold` is called for everyone who comes, and its result when they have left. Default: nobody wants to know. */
  constructor(hold: () => () => void = () => () => {}) {
    this.#hold = hold;
  }

  /** Who has the turn, or `null`. */
  get holder(): Owner | null {
    return this.#holder;
  }

  /** Who holds the turn or waits for it. */
  get length(): number {
    return this.#line.length + (this.#taken ? 1 : 0);
  }

  /**
   * Takes a place, at once, and waits for the turn; settles with the function that gives it back. Rejects with the
   * signal's reason.
   */
  acquire(owner: Owner, signal?: AbortSignal): Promise<() => void> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const left = this.#hold();
    if (!this.#taken) return Promise.resolve(this.#give(owner, left));
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#line.splice(this.#line.indexOf(place), 1);
        place.leave(signal!.reason);
      };
      const place: Place<Owner> = {
        owner,
        enter: () => {
          signal?.removeEventListener("abort", abort);
          resolve(this.#give(owner, left));
        },
        leave: (error) => {
          signal?.removeEventListener("abort", abort);
          left();
          reject(error);
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#line.push(place);
    });
  }

  /** Sends everyone in line away. */
  dismiss(error: unknown): void {
    for (const place of this.#line.splice(0)) place.leave(error);
  }

  /** Sends everyone in line away, now and from now on. */
  close(error: unknown): void {
    this.#closed ??= error;
    this.dismiss(this.#closed);
  }

  #give(owner: Owner, left: () => void): () => void {
    this.#taken = true;
    this.#holder = owner;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken = false;
      this.#holder = null;
      this.#line.shift()?.enter();
      left();
    };
  }
}
