/**
 * Threads as files, and in memory.
 *
 * ```text
 * <root>/<threadId>/000000000000/lines   what was added after no lines
 * <root>/<threadId>/000000000042/lines   what was added after 42
 * <root>/<threadId>/tmp-<uuid>/          an append in the making
 * ```
 *
 * An append is written aside, synced, and put in place by one rename; a directory can't be renamed onto one that has entries,
 * so that of all who add after the same lines one wins, whatever processes or machines they are. No lock can be left behind.
 * @module
 */
import { checkArgument, name, required } from "../../check/mod.ts";
import { ThreadInUseError } from "../../errors/mod.ts";
import { builtin, runtimeName } from "../../platform/runtime.ts";
import type { ThreadFiles } from "./thread_files.ts";
import {
  checkAppend,
  checkThreadName,
  type ThreadStore,
  threadStoreError,
} from "./thread_store.ts";

/**
 * Keeps threads in a directory, safely for any number of processes and across crashes, also on a disk that machines share.
 * Files are for their owner only. Needs read and write permission for `root`. Links below `root` are refused. Keep it where no
 * agent may write.
 *
 * ```ts ignore
 * const session = await client.startSession({ cwd, store: new FileThreadStore("/mnt/shared/threads") });
 * ```
 */
export class FileThreadStore implements ThreadStore {
  /** The directory; created by the first append. */
  readonly root: string;
  #files: Promise<ThreadFiles> | undefined;

  /** Creates a store in `root`; nothing is read or written yet. */
  constructor(root: string) {
    checkArgument("FileThreadStore", "root", root, required(name));
    this.root = root.length > 1 ? root.replace(/[/\\]+$/, "") : root;
    if (runtimeName() !== "deno" && builtin("fs/promises") === null) {
      throw threadStoreError(
        "FileThreadStore needs a file system, and this runtime offers none. Use KvThreadStore or a store of your own.",
      );
    }
  }

  /** The lines of a thread, or `null` when none are stored. */
  async load(threadId: string): Promise<AsyncIterable<string> | null> {
    checkThreadName("load", threadId);
    return await (await this.#loaded()).load(threadId);
  }

  /** Adds lines; rejects with `ThreadInUseError` when not exactly `at` are stored. */
  async append(threadId: string, lines: string[], at: number): Promise<void> {
    checkAppend(threadId, lines, at);
    await (await this.#loaded()).append(threadId, lines, at);
  }

  #loaded(): Promise<ThreadFiles> {
    return this.#files ??= import("./thread_files.ts").then(({ ThreadFiles }) =>
      new ThreadFiles(this.root)
    );
  }
}

/**
 * Keeps threads in memory, for tests and for one process.
 *
 * ```ts
 * import { MemoryThreadStore } from "@codex/runtime";
 * const store = new MemoryThreadStore();
 * await store.append("t1", ["first"], 0);
 * ```
 */
export class MemoryThreadStore implements ThreadStore {
  readonly #threads: Map<string, string[]> = new Map();

  /** The lines of a thread, or `null` when none are stored. */
  load(threadId: string): Promise<AsyncIterable<string> | null> {
    return Promise.resolve().then(() => {
      checkThreadName("load", threadId);
      const lines = this.#threads.get(threadId);
      return lines === undefined ? null : eachLine(lines.slice());
    });
  }

  /** Adds lines; rejects with `ThreadInUseError` when not exactly `at` are stored. */
  append(threadId: string, lines: string[], at: number): Promise<void> {
    return Promise.resolve().then(() => {
      checkAppend(threadId, lines, at);
      const stored = this.#threads.get(threadId) ?? [];
      if (stored.length !== at) throw new ThreadInUseError(threadId);
      if (lines.length > 0) this.#threads.set(threadId, [...stored, ...lines]);
    });
  }
}

/** Yields one line after the other. */
async function* eachLine(lines: Iterable<string>): AsyncGenerator<string> {
  yield* lines;
}
