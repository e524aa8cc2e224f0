/** Waiting for the rest of a pipe, without trusting that it ends. @module */
import { settlesWithin } from "../async.ts";

/** What a drain looks at. */
export interface DrainSource {
  /** How many chunks have come so far. */
  count(): number;
  /** Whether all pipes have ended. */
  ended(): boolean;
  /** Settles when all pipes have ended. */
  whenEnded: Promise<void>;
}

const ROUND_MS = 15;
/** Each round is a pass of the event loop: a blocked loop can't pass for an empty pipe. */
const QUIET_ROUNDS = 3;

/**
 * Waits until the pipes end, fall silent, or `limitMs` is over. A grandchild that holds a pipe open
 * must not hold the caller, and what a dead process left in its pipe must not be lost.
 */
export async function drain(source: DrainSource, limitMs: number): Promise<void> {
  const started = performance.now();
  let quiet = 0;
  let seen = source.count();
  while (!source.ended() && quiet < QUIET_ROUNDS && performance.now() - started < limitMs) {
    await settlesWithin(source.whenEnded, ROUND_MS);
    const now = source.count();
    quiet = now === seen ? quiet + 1 : 0;
    seen = now;
  }
}
