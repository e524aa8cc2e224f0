/**
 * Threads as files.
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
