/**
 * The files of stored threads. Loaded when the first thread is read or written.
 * @module
 */
import { messageOf, PermissionDeniedError, ThreadInUseError } from "../../errors/mod.ts";
import { fileSystem, isLinked, isPermissionError } from "../../platform/fs.ts";
import type { FileSystem } from "../../platform/mod.ts";
import { threadStoreError } from "./thread_store.ts";

/** A writer needs milliseconds; what is this old was left behind by one that was killed. */
const LEFTOVER_AGE_MS = 10 * 60_000;
const DIGITS = 12;

/** Threads below a directory. */
export class ThreadFiles {
  /** The directory. */
  readonly root: string;
  readonly #files: FileSystem;

  /** Nothing is read or written yet. */
  constructor(root: string) {
    this.root = root;
    this.#files = fileSystem()!;
  }

  /** What `load` of the store does. */
  async load(threadId: string): Promise<AsyncIterable<string> | null> {
    return await this.#explained("Loading a thread", threadId, async () => {
      const { starts } = await this.#position(threadId);
      return starts.length === 0 ? null : this.#lines(threadId, starts);
    });
  }

  /** What `append` of the store does. */
  async append(threadId: string, lines: string[], at: number): Promise<void> {
    await this.#explained("Storing a thread", threadId, async () => {
      const { names, starts, count } = await this.#position(threadId);
      if (count !== at) throw new ThreadInUseError(threadId);
      if (lines.length === 0) return;
      await this.#publish(threadId, lines, at);
      // What a killed writer left is removed now and then; the first append of a thread has nothing to look for.
      if (starts.length % 64 === 63) await this.#tidy(threadId, names);
    });
  }

  async #publish(threadId: string, lines: string[], at: number): Promise<void> {
    const files = this.#files;
    const directory = this.#directory(threadId);
    const temporary = `${directory}/tmp-${crypto.randomUUID()}`;
    try {
      await files.makeDirectory(temporary, true);
      this.#assertNoLink(threadId);
      const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
      await files.create(`${temporary}/lines`, bytes, true);
      await files.syncDirectory(temporary);
      await files.rename(temporary, `${directory}/${startName(at)}`);
    } catch (error) {
      await files.removeAll(temporary).catch(() => {});
      const { count } = await this.#position(threadId);
      if (count !== at) throw new ThreadInUseError(threadId, { cause: error });
      throw error;
    }
    // Where the disk can't promise to keep the name, it is there all the same.
    await files.syncDirectory(directory).catch(() => {});
    if (at === 0) await files.syncDirectory(this.root).catch(() => {});
  }

  /** What is stored: where each append began, and how many lines there are. */
  async #position(threadId: string): Promise<{ names: string[]; starts: number[]; count: number }> {
    const names = await this.#files.list(this.#directory(threadId)) ?? [];
    if (names.length > 0) this.#assertNoLink(threadId);
    const starts = names.filter((each) => /^\d{12,15}$/.test(each)).map(Number).sort((a, b) =>
      a - b
    );
    const last = starts.at(-1);
    if (last === undefined) return { names, starts, count: 0 };
    return { names, starts, count: last + (await this.#batch(threadId, last)).length };
  }

  async *#lines(threadId: string, starts: number[]): AsyncGenerator<string> {
    let count = 0;
    for (const start of starts) {
      if (start !== count) throw this.#damaged(threadId);
      const lines = await this.#explained(
        "Loading a thread",
        threadId,
        () => this.#batch(threadId, start),
      );
      count += lines.length;
      yield* lines;
    }
  }

  async #batch(threadId: string, start: number): Promise<string[]> {
    this.#assertNoLink(`${threadId}/${startName(start)}/lines`);
    const bytes = await this.#files.read(`${this.#directory(threadId)}/${startName(start)}/lines`);
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!text.endsWith("\n")) throw this.#damaged(threadId);
    return text.slice(0, -1).split("\n");
  }

  async #tidy(threadId: string, names: string[]): Promise<void> {
    for (const each of names.filter((one) => one.startsWith("tmp-"))) {
      const path = `${this.#directory(threadId)}/${each}`;
      try {
        if (Date.now() - await this.#files.modifiedMs(path) > LEFTOVER_AGE_MS) {
          await this.#files.removeAll(path);
        }
      } catch {
        // Another process was first.
      }
    }
  }

  #directory(threadId: string): string {
    return `${this.root}/${threadId}`;
  }

  #damaged(threadId: string): Error {
    return threadStoreError(
      `The stored thread in ${this.#directory(threadId)} is damaged: lines are missing. ` +
        "Restore that directory from a backup.",
      undefined,
      false,
    );
  }

  /** Whoever may write below `root` may have put a link there: what is read and written must not be elsewhere. */
  #assertNoLink(path: string): void {
    if (!isLinked(this.root, path)) return;
    throw threadStoreError(
      `${this.root}/${path} is a link or leads through one, and is left alone. Move it away.`,
      undefined,
      false,
    );
  }

  async #explained<T>(what: string, threadId: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isPermissionError(error)) {
        throw new PermissionDeniedError(what, [
          `--allow-read=${this.root}`,
          `--allow-write=${this.root}`,
        ], { cause: error });
      }
      if (
        error instanceof ThreadInUseError || (error as { code?: string }).code === "threadStore"
      ) {
        throw error;
      }
      throw threadStoreError(
        `${what} in ${this.#directory(threadId)} failed: ${messageOf(error)}`,
        error,
      );
    }
  }
}

function startName(at: number): string {
  return String(at).padStart(DIGITS, "0");
}
