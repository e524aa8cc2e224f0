/**
 * The caller's end of an automation.
 * @module
 */
import type { Runner } from "./runner.ts";
import type { AutomationRun, AutomationStatus } from "./types.ts";

/**
 * A running automation; {@linkcode spawn} makes one.
 *
 * Iterating gives each run once, in order, and ends when the automation is over; a failed run is given with its error,
 * it does not throw. Runs are kept until they are read, the latest 1,000 of them (`status().runsDropped` counts the
 * others). Leaving the loop early stops the automation, like {@linkcode stop}. Letting go of the handle does not stop the automation, and its
 * timer keeps the script alive: call {@linkcode stop}, or hold it with `await using`.
 */
export class AutomationHandle implements AsyncIterable<AutomationRun>, AsyncDisposable {
  readonly #runner: Runner;

  /** Made by {@linkcode spawn}. */
  constructor(runner: Runner) {
    this.#runner = runner;
  }

  /** How far the automation is, as a snapshot. */
  status(): AutomationStatus {
    return this.#runner.status();
  }

  /**
   * Starts no more runs, interrupts the running turn and waits for its end; that run is delivered with its error.
   * Resolves with the final status and never rejects. Stopping what is over changes nothing.
   */
  stop(): Promise<AutomationStatus> {
    return this.#runner.stop();
  }

  /** Waits until the automation is over. Resolves with the final status, a failure's included; never rejects. */
  wait(): Promise<AutomationStatus> {
    return this.#runner.finished;
  }

  /** The runs, as they end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<AutomationRun, void, undefined> {
    let left = true;
    try {
      for (;;) {
        const run = await this.#runner.runs.next();
        if (run === null) {
          left = false;
          return;
        }
        yield run;
      }
    } finally {
      if (left) await this.#runner.stop();
    }
  }

  /** Same as {@linkcode stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runner.stop();
  }
}
