/**
 * One turn at a time: those who want a turn wait in line.
 * @module
 */

/** A line, first come first served. A place in it can be given up. */
export class TurnQueue {
  readonly #line: { enter: () => void; leave: (error: unknown) => void }[] = [];
  #taken = false;
  #closed: unknown = null;

  /** Who holds the turn or waits for it. */
  get length(): number {
    return this.#line.length + (this.#taken ? 1 : 0);
  }

  /** Waits for the turn; settles with the function that gives it back. Rejects with the signal's reason. */
  acquire(signal?: AbortSignal): Promise<() => void> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (!this.#taken) {
      this.#taken = true;
      return Promise.resolve(this.#release());
    }
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#line.splice(this.#line.indexOf(place), 1);
        place.leave(signal!.reason);
      };
      const place = {
        enter: () => {
          signal?.removeEventListener("abort", abort);
          resolve(this.#release());
        },
        leave: (error: unknown) => {
          signal?.removeEventListener("abort", abort);
          reject(error);
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#line.push(place);
    });
  }

  /** Sends everyone in line away, now and from now on. */
  close(error: unknown): void {
    this.#closed ??= error;
    for (const place of this.#line.splice(0)) place.leave(this.#closed);
  }

  #release(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#line.shift();
      if (next === undefined) this.#taken = false;
      else next.enter();
    };
  }
}
