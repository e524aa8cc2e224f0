/**
 * Threads in Deno KV.
 *
 * ```text
 * […prefix, threadId, "head"]                   how many lines are stored
 * […prefix, threadId, "batch", at]              which pieces hold the lines added after `at`
 * […prefix, threadId, "piece", at, append, n]   their bytes; those that no batch names were left by a writer that lost
 * ```
 * @module
 */
import { messageOf, ThreadInUseError } from "../../errors/mod.ts";
import { isJsonObject } from "../../json.ts";
import { commitValue, type KvDatabase, type KvKey, takeKv } from "../../kv.ts";
import {
  checkAppend,
  checkThreadName,
  type ThreadStore,
  threadStoreError,
} from "./thread_store.ts";

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
