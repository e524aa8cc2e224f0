/**
 * Where a host keeps threads, so that another machine can go on with them: what that promises, and threads in Deno KV.
 *
 * ```text
 * […prefix, threadId, "head"]                   how many lines are stored
 * […prefix, threadId, "batch", at]              which pieces hold the lines added after `at`
 * […prefix, threadId, "piece", at, append, n]   their bytes; those that no batch names were left by a writer that lost
 * ```
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
import { CodexError, messageOf, ThreadInUseError } from "../../errors/mod.ts";
import { redactText } from "../../redact.ts";
import { defined, isJsonObject } from "../../json.ts";
import { commitValue, type KvDatabase, type KvKey, takeKv } from "../../kv.ts";

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

// Deno KV.

/** Deno KV takes values up to 64 KiB, with its own encoding included. */
const PIECE_BYTES = 60_000;
/** Deno KV takes up to 800 KiB per commit. */
const PIECES_PER_COMMIT = 10;

/** How a {@linkcode KvThreadStore} names its keys. */
export interface KvThreadStoreOptions {
  /** First parts of every key. Default `["codex-threads"]`. */
  prefix?: readonly (string | number)[];
}

/**
 * Keeps threads in Deno KV, for programs on more than one machine.
 *
 * ```ts ignore
 * const store = new KvThreadStore(await Deno.openKv()); // on Bun and Node: openKv() of npm:@deno/kv
 * const session = await client.startSession({ cwd, store });
 * ```
 *
 * The database stays yours to close.
 */
export class KvThreadStore implements ThreadStore {
  readonly #kv: KvDatabase;
  readonly #prefix: KvKey;

  /** Creates a store on an open database. */
  constructor(kv: KvDatabase, options: KvThreadStoreOptions = {}) {
    ({ kv: this.#kv, prefix: this.#prefix } = takeKv(
      "KvThreadStore",
      kv,
      options,
      "codex-threads",
    ));
  }

  /** The lines of a thread, or `null` when none are stored. */
  async load(threadId: string): Promise<AsyncIterable<string> | null> {
    checkThreadName("load", threadId);
    const { count } = await this.#head(threadId);
    return count === 0 ? null : this.#lines(threadId, count);
  }

  /** Adds lines; rejects with `ThreadInUseError` when not exactly `at` are stored. */
  async append(threadId: string, lines: string[], at: number): Promise<void> {
    checkAppend(threadId, lines, at);
    const { count, versionstamp } = await this.#head(threadId);
    if (count !== at) throw new ThreadInUseError(threadId);
    if (lines.length === 0) return;
    const append = crypto.randomUUID();
    const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
    const pieces = Math.ceil(bytes.length / PIECE_BYTES);
    const key = (n: number) => this.#key(threadId, "piece", at, append, n);
    try {
      for (let n = 0; n < pieces; n += PIECES_PER_COMMIT) {
        let atomic = this.#kv.atomic();
        for (let m = n; m < Math.min(pieces, n + PIECES_PER_COMMIT); m++) {
          atomic = atomic.set(key(m), bytes.slice(m * PIECE_BYTES, (m + 1) * PIECE_BYTES));
        }
        await atomic.commit();
      }
      const commit = this.#kv.atomic()
        .check({ key: this.#key(threadId, "head"), versionstamp })
        .set(this.#key(threadId, "head"), { count: at + lines.length });
      const batch = { append, pieces, lines: lines.length };
      if (!await commitValue(this.#kv, commit, this.#key(threadId, "batch", at), batch)) {
        throw new ThreadInUseError(threadId);
      }
    } catch (error) {
      if (!(error instanceof ThreadInUseError)) {
        throw threadStoreError(`Storing a thread failed: ${messageOf(error)}`, error);
      }
      await this.#sweep(threadId, at, (by) => by === append);
      throw error;
    }
    // Whoever else wrote for these lines has lost.
    await this.#sweep(threadId, at, (by) => by !== append);
  }

  async #head(threadId: string): Promise<{ count: number; versionstamp: string | null }> {
    const { value, versionstamp } = await this.#kv.get(this.#key(threadId, "head"));
    const count = isJsonObject(value) ? value["count"] : 0;
    if (typeof count !== "number") throw this.#damaged(threadId);
    return { count, versionstamp };
  }

  async *#lines(threadId: string, count: number): AsyncGenerator<string> {
    for (let at = 0; at < count;) {
      const { value } = await this.#kv.get(this.#key(threadId, "batch", at));
      const { append, pieces, lines } = (isJsonObject(value) ? value : {}) as Record<
        string,
        unknown
      >;
      if (typeof append !== "string" || typeof pieces !== "number" || typeof lines !== "number") {
        throw this.#damaged(threadId);
      }
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      let text = "";
      for (let n = 0; n < pieces; n++) {
        const piece = await this.#kv.get(this.#key(threadId, "piece", at, append, n));
        if (!(piece.value instanceof Uint8Array)) throw this.#damaged(threadId);
        text += decoder.decode(piece.value, { stream: true });
      }
      const found = text.slice(0, -1).split("\n");
      if (!text.endsWith("\n") || found.length !== lines) throw this.#damaged(threadId);
      yield* found;
      at += lines;
    }
  }

  /** Removes pieces; what can't be removed does no harm. */
  async #sweep(threadId: string, at: number, lost: (append: unknown) => boolean): Promise<void> {
    try {
      const prefix = this.#key(threadId, "piece", at);
      for await (const { key } of this.#kv.list({ prefix })) {
        if (!lost(key[prefix.length])) continue;
        await this.#kv.atomic().delete(key as KvKey).commit();
      }
    } catch {
      // The next append after these lines is told to nobody else.
    }
  }

  #key(threadId: string, ...rest: (string | number)[]): KvKey {
    return [...this.#prefix, threadId, ...rest];
  }

  #damaged(threadId: string): Error {
    return threadStoreError(
      `The stored thread ${threadId} is damaged: pieces of it are missing.`,
      undefined,
      false,
    );
  }
}
