/** Counting what was broken on purpose, and what became of it. */
import assert from "node:assert/strict";
import process from "node:process";

/** The figures of one fault test. */
export class Figures {
  /** Faults injected. */
  faults = 0;
  /** Promises that settled, and with what. */
  readonly settled: Map<string, number> = new Map();
  /** Promises that did not. */
  open = 0;
  /** Events that should have come and did not. */
  lost = 0;
  readonly #name: string;
  readonly #unhandled: unknown[] = [];
  readonly #listener = (reason: unknown): void => void this.#unhandled.push(reason);

  /** Begins to count, unhandled rejections included. */
  constructor(name: string) {
    this.#name = name;
    process.on("unhandledRejection", this.#listener);
  }

  /** Watches a promise; settles when it has, with its value or its error, and counts it as open if it takes too long. */
  async watch<T>(promise: Promise<T>, withinMs = 25_000): Promise<T | unknown> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) =>
      timer = setTimeout(() => resolve("late"), withinMs)
    );
    const outcome = promise.then(
      (value): [string, unknown] => ["ok", value],
      (error): [string, unknown] => [error?.constructor?.name ?? typeof error, error],
    );
    const first = await Promise.race([outcome, late]);
    clearTimeout(timer);
    if (first === "late") {
      this.open++;
      return new Error("it did not settle");
    }
    this.settled.set(first[0], (this.settled.get(first[0]) ?? 0) + 1);
    return first[1];
  }

  /** Prints the figures, and fails when something was lost or left open. */
  async close(): Promise<void> {
    // Rejections that nobody handles are told a turn of the loop later.
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off("unhandledRejection", this.#listener);
    const settled = [...this.settled].map(([name, count]) => `${count} ${name}`).join(", ");
    console.log(
      `${this.#name}: ${this.faults} faults injected; promises settled: ${settled || "none"}; ` +
        `left open: ${this.open}; lost events: ${this.lost}`,
    );
    assert.deepEqual(this.#unhandled, [], "unhandled rejections");
    assert.equal(this.open, 0, "promises left open");
    assert.equal(this.lost, 0, "lost events");
  }
}

/** Counts the faults of a test body, prints the figures, and fails when anything was lost or left open. */
export async function counting(
  name: string,
  body: (figures: Figures) => Promise<void>,
): Promise<void> {
  const figures = new Figures(name);
  try {
    await body(figures);
  } finally {
    await figures.close();
  }
}

/** Numbers from 0 to 1, the same for the same seed. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
