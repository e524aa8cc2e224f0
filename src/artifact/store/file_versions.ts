/**
 * Versions of artifacts as files.
 *
 * There is no lock that could be lost, stolen or left behind. Every version has its own numbered
 * directory, and a directory can't be renamed onto one that has entries: of all writers that build
 * on version 7, one can publish version 8, and the others learn that they lost. It makes no
 * difference which processes, runtimes or machines they are, how long they sleep, or whether they
 * were killed.
 *
 * ```text
 * <root>/<readable>-<hash>/
 *   c1/taken        an old chapter: its pages are gone, its name is used up
 *   c2/taken
 *   c2/p/1/text.txt page 1 of chapter 2: one version, text and meta
 *   c2/p/1/meta.json
 *   c2/p/2/…        the current version: the last page of the last chapter
 *   tmp-<uuid>/     a version in the making
 * ```
 *
 * Page names are never used twice, so that a writer that slept through many versions can't fill a
 * gap and believe that it published the current one. Only whole chapters are dropped, and with
 * their `p` directory goes the place where such a writer would publish.
 * @module
 */
import { CodexError, messageOf, PermissionDeniedError } from "../../errors/mod.ts";
import { fileSystem, isLinked, isMissing, isPermissionError } from "../../platform/fs.ts";
import type { FileSystem } from "../../platform/mod.ts";
import { type ArtifactChange, decodeArtifact, encodeMeta, safeName, storeError } from "./record.ts";
import { type ArtifactStoreOptions, emptyArtifact, type StoredArtifact } from "./store.ts";

const PAGES_PER_CHAPTER = 64;
/** Losing this often in a row means that something else is wrong. */
const MAX_ATTEMPTS = 1_000;
/** A writer needs milliseconds; what is this old was left behind by one that was killed. */
const LEFTOVER_AGE_MS = 10 * 60_000;

/** Where a version is; chapter 0 means that there is none. */
interface Position {
  chapter: number;
  page: number;
  /** The names in the artifact's directory. */
  names: string[];
}

/** A version and where it is. */
interface Located extends Position {
  artifact: StoredArtifact;
}

function storeFiles(): FileSystem {
  const files = fileSystem();
  if (files !== null) return files;
  throw storeError(
    "FileArtifactStore needs a file system, and this runtime offers none. " +
      "Use KvArtifactStore, MemoryArtifactStore or a store of your own.",
  );
}

/** The versions of all artifacts under one directory. */
export class FileVersions {
  readonly #root: string;
  readonly #files: FileSystem;

  constructor(root: string, files: FileSystem = storeFiles()) {
    this.#root = root;
    this.#files = files;
  }

  /** The current version, or `null` when there is none. */
  async load(artifactId: string, options: ArtifactStoreOptions): Promise<StoredArtifact | null> {
    try {
      const directory = await this.#directoryOf(artifactId);
      const latest = await this.#latest(directory, artifactId, options);
      return latest.chapter === 0 ? null : latest.artifact;
    } catch (error) {
      throw this.#explain("Loading an artifact", error, options);
    }
  }

  /** Stores what `change` makes of the current version; asks again when another writer was faster. */
  async commit(
    artifactId: string,
    change: ArtifactChange,
    options: ArtifactStoreOptions,
  ): Promise<StoredArtifact> {
    try {
      const directory = await this.#directoryOf(artifactId);
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const current = await this.#latest(directory, artifactId, options);
        const next = await change(current.artifact);
        options.signal?.throwIfAborted();
        if (await this.#publish(directory, current, next)) {
          await this.#tidy(directory, current);
          return next;
        }
      }
    } catch (error) {
      throw this.#explain("Saving an artifact", error, options);
    }
    throw storeError(`Saving an artifact lost ${MAX_ATTEMPTS} times against other writers.`);
  }

  async #directoryOf(artifactId: string): Promise<string> {
    const name = await safeName(artifactId);
    this.#assertNoLink(name);
    return `${this.#root}/${name}`;
  }

  /**
   * Whoever may write below `root`, such as an agent in whose workspace it lies, may have put a link there: what this script
   * writes, empties or removes must not be elsewhere. `path` is seen from `root`, which itself may be a link.
   */
  #assertNoLink(path: string): void {
    if (!isLinked(this.#root, path)) return;
    throw storeError(
      `${this.#root}/${path} is a link or leads through one, and is left alone. Move it away.`,
    );
  }

  /** Reads the current version; looks again when it was replaced while being read. */
  async #latest(
    directory: string,
    artifactId: string,
    options: ArtifactStoreOptions,
  ): Promise<Located> {
    let before: Position | undefined;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      options.signal?.throwIfAborted();
      const at = await this.#position(directory);
      if (at === null) continue;
      if (at.chapter === 0) return { ...at, artifact: emptyArtifact(artifactId) };
      const artifact = await this.#read(pagePath(directory, at.chapter, at.page), artifactId);
      if (artifact !== null) return { ...at, artifact };
      if (before !== undefined && samePosition(before, at)) break;
      before = at;
    }
    throw storeError(
      `The stored artifact in ${directory} is damaged: its text does not have the revision that ` +
        `its meta.json names. Restore that directory from a backup, or move it away to start anew.`,
    );
  }

  /** The last page of the last chapter, or `null` when the chapter was dropped meanwhile. */
  async #position(directory: string): Promise<Position | null> {
    const names = await this.#files.list(directory) ?? [];
    const chapter = highest(names, /^c([1-9][0-9]*)$/);
    if (chapter === 0) return { chapter, page: 0, names };
    const pages = await this.#files.list(`${directory}/c${chapter}/p`);
    const page = pages === null ? 0 : highest(pages, /^([1-9][0-9]*)$/);
    return page === 0 ? null : { chapter, page, names };
  }

  async #read(path: string, artifactId: string): Promise<StoredArtifact | null> {
    try {
      const text = decodeUtf8(await this.#files.read(`${path}/text.txt`));
      const meta = decodeUtf8(await this.#files.read(`${path}/meta.json`));
      return await decodeArtifact(artifactId, text, meta);
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /** Puts `next` right after `current`; `false` when another writer was there first. */
  async #publish(directory: string, current: Position, next: StoredArtifact): Promise<boolean> {
    const files = this.#files;
    const isNew = current.chapter === 0;
    const newChapter = isNew || current.page >= PAGES_PER_CHAPTER;
    const temporary = `${directory}/tmp-${crypto.randomUUID()}`;
    const page = newChapter ? `${temporary}/p/1` : temporary;
    const target = newChapter
      ? `${directory}/c${current.chapter + 1}`
      : pagePath(directory, current.chapter, current.page + 1);
    const name = directory.slice(this.#root.length + 1);
    const meta = encodeMeta(next);
    if (!isNew) this.#assertNoLink(`${name}/c${current.chapter}/p`);
    try {
      await files.makeDirectory(page);
      await files.create(`${page}/text.txt`, encodeUtf8(next.text));
      await files.create(`${page}/meta.json`, encodeUtf8(meta));
      await files.syncDirectory(page);
      if (newChapter) {
        await files.create(`${temporary}/taken`, new Uint8Array(0));
        await files.syncDirectory(`${temporary}/p`);
        await files.syncDirectory(temporary);
      }
      await files.rename(temporary, target);
    } catch (error) {
      await ignoringErrors(() => files.removeAll(temporary));
      const now = await this.#position(directory);
      if (now === null || !samePosition(now, current)) {
        // A disk that machines share tells of a failure when the answer to a rename was lost. Others may save the same.
        const there = `${newChapter ? `${target}/p/1` : target}/meta.json`;
        return decodeUtf8(await files.read(there).catch(() => new Uint8Array())) === meta;
      }
      // Another process's tidying took the temporary directory for a leftover: build it again.
      if (isMissing(error)) return false;
      throw error;
    }
    // Where the disk can't promise to keep the name, it is there all the same.
    await ignoringErrors(async () => {
      await files.syncDirectory(newChapter ? directory : `${directory}/c${current.chapter}/p`);
      if (isNew) await files.syncDirectory(this.#root);
    });
    return true;
  }

  /** Frees what no reader needs any more. Whatever fails here is done by a later save. */
  async #tidy(directory: string, previous: Position): Promise<void> {
    const files = this.#files;
    const { chapter, page, names } = previous;
    const name = directory.slice(this.#root.length + 1);
    // The version before stays for readers that have just found it.
    if (page > 1) {
      await ignoringErrors(async () => {
        const text = `${pagePath(directory, chapter, page - 1)}/text.txt`;
        this.#assertNoLink(text.slice(this.#root.length + 1));
        await files.empty(text);
      });
    }
    if (page >= PAGES_PER_CHAPTER) {
      for (let old = chapter - 1; old >= Math.max(1, chapter - 4); old--) {
        await ignoringErrors(() => this.#discard(directory, `c${old}/p`));
      }
    }
    for (const left of names) {
      await ignoringErrors(async () => {
        if (!/^(?:trash|tmp)-/.test(left)) return;
        this.#assertNoLink(`${name}/${left}`);
        if (left.startsWith("trash-")) return await files.removeAll(`${directory}/${left}`);
        const age = Date.now() - await files.modifiedMs(`${directory}/${left}`);
        if (age > LEFTOVER_AGE_MS) await this.#discard(directory, left);
      });
    }
  }

  /** Moves a directory out of the way in one step, so that no writer finds half of it, and removes it. */
  async #discard(directory: string, name: string): Promise<void> {
    this.#assertNoLink(`${directory.slice(this.#root.length + 1)}/${name}`);
    const trash = `${directory}/trash-${crypto.randomUUID()}`;
    await this.#files.rename(`${directory}/${name}`, trash);
    await this.#files.removeAll(trash);
  }

  #explain(what: string, error: unknown, options: ArtifactStoreOptions): unknown {
    if (error instanceof CodexError) return error;
    if (options.signal?.aborted && error === options.signal.reason) return error;
    if (isPermissionError(error)) {
      return new PermissionDeniedError(
        what,
        [`--allow-read=${this.#root}`, `--allow-write=${this.#root}`],
        { cause: error },
      );
    }
    const reason = messageOf(error);
    return storeError(`${what} in ${this.#root} failed: ${reason}`, error);
  }
}

function pagePath(directory: string, chapter: number, page: number): string {
  return `${directory}/c${chapter}/p/${page}`;
}

function samePosition(a: Position, b: Position): boolean {
  return a.chapter === b.chapter && a.page === b.page;
}

function highest(names: readonly string[], pattern: RegExp): number {
  let max = 0;
  for (const name of names) {
    const digits = pattern.exec(name)?.[1];
    if (digits !== undefined) max = Math.max(max, Number(digits));
  }
  return max;
}

async function ignoringErrors(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch {
    // Nothing of this is worth failing a save that has succeeded.
  }
}

function encodeUtf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
