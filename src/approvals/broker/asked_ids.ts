/**
 * The ids under which a model has had something asked. One that comes again may have a twin that is still on its way.
 * @module
 */
import { keepNewest } from "../../json.ts";
import type { PendingCall } from "./pending.ts";

/** The newest that are remembered. */
const MAX_IDS = 1000;

/** What was asked before, and by whose model two things at once. */
export class AskedIds {
  readonly #subjects: Set<string> = new Set();
  readonly #threads: Set<string> = new Set();

  /** Whether this may be one of two: its id was asked about before, or an id of its thread's stood for two things at once. */
  repeats({ subject, request: { threadId } }: PendingCall): boolean {
    const known = subject !== null && this.#subjects.has(subject) ||
      threadId !== null && this.#threads.has(threadId);
    if (subject !== null) keep(this.#subjects, subject);
    return known;
  }

  /** An id of the thread's stood for two things at once. */
  foundTwins({ request: { threadId } }: PendingCall): void {
    if (threadId !== null) keep(this.#threads, threadId);
  }
}

/** Adds it as the newest. */
function keep(all: Set<string>, key: string): void {
  all.delete(key);
  all.add(key);
  keepNewest(all, MAX_IDS);
}
