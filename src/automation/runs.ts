/** Finished runs on their way to whoever reads them. @module */
import type { AutomationRun } from "./types.ts";

/** How many unread runs are kept. */
export const KEPT_RUNS = 1_000;

/** Keeps runs until they are read; the oldest go when there are too many. */
export class Runs {
  /** Runs that were never read and are gone. */
  dropped = 0;
  #kept: AutomationRun[] = [];
  #ended = false;
  #readers: (() => void)[] = [];

  /** Adds a run. */
  push(run: AutomationRun): void {
    this.#kept.push(run);
    if (this.#kept.length > KEPT_RUNS) {
      this.#kept.shift();
      this.dropped++;
    }
    this.#readers.shift()?.();
  }

  /** No more runs will come. */
  end(): void {
    this.#ended = true;
    for (const wake of this.#readers.splice(0)) wake();
  }

  /** The next run, or `null` after the last one. */
  async next(): Promise<AutomationRun | null> {
    for (;;) {
      const run = this.#kept.shift();
      if (run !== undefined) return run;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#readers.push(resolve));
    }
  }
}
