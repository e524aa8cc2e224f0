/**
 * Where a host keeps threads, so that another machine can go on with them.
 * @module
 */
import {
  callback,
  checkArgument,
  count,
  having,
  type Kind,
  kind,
  list,
  required,
} from "../../check/mod.ts";
import { CodexError } from "../../errors/mod.ts";
import { redactText } from "../../redact.ts";
import { defined } from "../../json.ts";

/**
 * Keeps the history of threads as lines of text, in order. Lines are only ever added, all of an append or none.
 *
 * A store that gives no answer within the client's `requestTimeoutMs` has failed: turns end with a `warning`, and closing
 * the session rejects.
 *
 * What is stored is what was said: prompts, answers, what commands printed, images. Keep it as you keep the conversation.
 *
 * ```ts ignore
 * const store = new FileThreadStore("/mnt/shared/threads");
 * const session = await client.startSession({ cwd, store });
 * // On another machine, with a codex that has never seen the thread:
 * const again = await client.resumeSession(session.threadId, { cwd, store });
 * ```
 */
export interface ThreadStore {
  /** The lines of a thread from the first on, or `null` when none are stored. */
  load(threadId: string): Promise<AsyncIterable<string> | null>;
  /**
   * Adds lines after the first `at`, durably and all at once; no lines: only compares.
   *
   * @throws {ThreadInUseError} when not exactly `at` lines are stored: another writer was faster.
   */
  append(threadId: string, lines: string[], at: number): Promise<void>;
}

/** Something that keeps threads. */
export const threadStoreKind: Kind = having("a ThreadStore", {
  load: required(callback),
  append: required(callback),
});

/** An id that can be part of a path and of a key. */
const threadName: Kind = required(kind(
  "the id of a thread",
  ["string"],
  (value: string) => /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(value),
));

const line: Kind = kind(
  "a line without a line end",
  ["string"],
  (value: string) => !value.includes("\n") && value.isWellFormed(),
);

/** Throws `InvalidArgumentError` when an id is none. */
export function checkThreadName(where: string, threadId: string): void {
  checkArgument(where, "threadId", threadId, threadName);
}

/** Throws `InvalidArgumentError` when lines can't be stored. */
export function checkAppend(threadId: string, lines: string[], at: number): void {
  checkThreadName("append", threadId);
  checkArgument("append", "lines", lines, required(list(line)));
  checkArgument("append", "at", at, required(count(0)));
}

/** The error for a store that fails, or whose content is not what was put there. A database names its password with its address. */
export function threadStoreError(message: string, cause?: unknown, retryable = true): CodexError {
  return new CodexError("threadStore", redactText(message), {
    retryable,
    ...defined({ cause }),
  });
}
