/**
 * What is kept of a workspace: the content of its files by its hash, what the tree was before a turn, restores under way.
 * It lies in codex's home, for its owner only, one folder a workspace. One process at a time uses a folder.
 * @module
 */
import { delay, stopwatch } from "../../../async.ts";
import { CheckpointError, messageOf } from "../../../errors/mod.ts";
import {
  asList,
  isJsonObject,
  type JsonObject,
  numberOf,
  parseObject,
  sha256,
  stringOf,
} from "../../../json.ts";
import { fileSystem, isMissing, isTaken, treeFiles } from "../../../platform/fs.ts";
import {
  type FileSystem,
  pathRules,
  platformName,
  type TreeFiles,
  unrefTimer,
} from "../../../platform/mod.ts";
import { readTree, type Tree, writeTree } from "./tree_record.ts";

/** What is kept of all turns in one workspace. */
export interface StoreLimits {
  /** Turns. */
  turns: number;
  /** Bytes of file contents. */
  bytes: number;
  /** Milliseconds since the turn. */
  ageMs: number;
  /** Milliseconds after which who has the lock and does not tell of itself is taken for dead. */
  silentMs?: number;
}

/** What is kept by default. */
export const STORE_LIMITS: StoreLimits = {
  turns: 100,
  bytes: 2 ** 30,
  ageMs: 30 * 24 * 3_600_000,
};

/** What was recorded before one turn. */
export interface TurnRecord {
  /** The name of the record. */
  name: string;
  /** The turn. */
  turnId: string;
  /** The tree before it; `null`: the turn could not write. */
  tree: string | null;
  /** When it was recorded. */
  at: number;
}

/** The files and folders of one workspace's checkpoints. */
export class CheckpointStore {
  /** Where it lies. */
  readonly path: string;
  readonly #fs: FileSystem;
  readonly #tree: TreeFiles;
  readonly #limits: StoreLimits;
  readonly #made: Set<string> = new Set();

  private constructor(path: string, fs: FileSystem, tree: TreeFiles, limits: StoreLimits) {
    this.path = path;
    this.#fs = fs;
    this.#tree = tree;
    this.#limits = limits;
  }

  /** Where the checkpoints of all workspaces lie. */
  static home(codexHome: string): string {
    return pathRules(platformName()).join(codexHome, "checkpoints");
  }

  /** Opens the folder of a workspace, by the workspace's real path. */
  static async open(
    home: string,
    root: string,
    limits: StoreLimits = STORE_LIMITS,
  ): Promise<CheckpointStore> {
    const [fs, tree] = [fileSystem(), await treeFiles()];
    if (fs === null || tree === null) {
      throw storeError("this runtime has no files", undefined);
    }
    const name = (await sha256(new TextEncoder().encode(root))).slice(0, 32);
    const store = new CheckpointStore(`${home}/${name}`, fs, tree, limits);
    await store.#folders();
    return store;
  }

  #folders(): Promise<void> {
    return this.#guard(async () => {
      this.#made.clear();
      for (const each of ["", "objects", "trees", "turns", "restores"]) await this.#folder(each);
    });
  }

  /** Keeps others out until the returned function is called. A holder that died is found out by its silence. */
  async lock(signal: AbortSignal | undefined): Promise<() => Promise<void>> {
    const path = `${this.path}/lock`;
    const token = crypto.randomUUID();
    const silence = this.#silence(path);
    for (;;) {
      signal?.throwIfAborted();
      try {
        await this.#tree.writeNew(path, new TextEncoder().encode(token), false);
        break;
      } catch (error) {
        // Pruned by another session, since nothing was recorded here for so long.
        if (isMissing(error)) await this.#folders();
        else if (!isTaken(error)) throw storeError("it can't be locked", error);
      }
      if (!await this.#endSilent(path, silence)) await delay(LOCK_ROUND_MS, signal);
    }
    const beat = setInterval(() => {
      this.#tree.touch(path).catch(() => {});
    }, BEAT_MS);
    unrefTimer(beat);
    return async () => {
      clearInterval(beat);
      const held = await this.#text(path).catch(() => null);
      if (held === token) await this.#fs.removeFile(path).catch(() => {});
    };
  }

  /** Whether the lock's holder was silent for too long, and is out now. Of those who see it, one may put it out. */
  async #endSilent(path: string, silence: Silence): Promise<boolean> {
    const [held, silent] = [await this.#text(path), await silence()];
    if (held === null || silent === null || silent < this.#silentMs) return false;
    const mark = `${path}-${held}`;
    try {
      await this.#tree.writeNew(mark, new Uint8Array(), false);
    } catch (error) {
      if (!isTaken(error)) throw storeError("it can't be locked", error);
      // Whoever wanted to put it out has died as well.
      if ((await this.#silence(mark)() ?? 0) >= this.#silentMs) await this.#remove(mark);
      return false;
    }
    if (await this.#text(path) === held) await this.#remove(path);
    await this.#remove(mark);
    return true;
  }

  /**
   * For how many milliseconds nothing was done to a file: by its time, or as long as its time was seen to stand still, since
   * one that is ahead of a clock that was set back says nothing.
   */
  #silence(path: string): Silence {
    const watch = stopwatch();
    let last: { mtimeMs: number; since: number } | null = null;
    return async () => {
      const mtimeMs = (await this.#tree.entry(path))?.mtimeMs;
      if (mtimeMs === undefined) return null;
      if (last?.mtimeMs !== mtimeMs) last = { mtimeMs, since: watch() };
      return Math.max(Date.now() - mtimeMs, watch() - last.since);
    };
  }

  get #silentMs(): number {
    return this.#limits.silentMs ?? SILENT_MS;
  }

  /** Keeps the content of a file; returns its hash, and how many bytes that has added. */
  async putContent(bytes: Uint8Array): Promise<{ hash: string; added: number }> {
    const name = await sha256(bytes);
    const folder = `objects/${name.slice(0, 2)}`;
    const path = `${this.path}/${folder}/${name}`;
    // A machine that lost its power may have left it empty.
    const there = await this.#tree.entry(path);
    if (there?.size === bytes.length) return { hash: name, added: 0 };
    await this.#folder(folder);
    await this.#write(path, bytes, false);
    return { hash: name, added: bytes.length };
  }

  /** The content of a file; `null` when it is not there, or is not what it was. */
  async content(name: string): Promise<Uint8Array | null> {
    if (!isHash(name)) return null;
    const path = `${this.path}/objects/${name.slice(0, 2)}/${name}`;
    const bytes = await this.#bytes(path);
    return bytes !== null && await sha256(bytes) === name ? bytes : null;
  }

  /** Keeps a tree. */
  async putTree(tree: Tree): Promise<string> {
    const bytes = await packed(new TextEncoder().encode(writeTree(tree)));
    const name = await sha256(bytes);
    const path = `${this.path}/trees/${name}`;
    if (await this.#tree.entry(path) === null) await this.#write(path, bytes, true);
    return name;
  }

  /** Whether a tree is kept, and so are the contents that it names. */
  async keeps(name: string): Promise<boolean> {
    return await this.#tree.entry(`${this.path}/trees/${name}`) !== null;
  }

  /** A tree; `null` when it is not there, or is not what it was. */
  async tree(name: string): Promise<Tree | null> {
    if (!isHash(name)) return null;
    const bytes = await this.#bytes(`${this.path}/trees/${name}`);
    if (bytes === null || await sha256(bytes) !== name) return null;
    try {
      return readTree(new TextDecoder().decode(await unpacked(bytes)));
    } catch {
      return null;
    }
  }

  /** What was recorded before turns, the oldest first. */
  async turns(): Promise<TurnRecord[]> {
    return (await this.#objects("turns")).flatMap(({ name, value }) => {
      const turnId = stringOf(value, "turnId");
      if (turnId === null) return [];
      return [{ name, turnId, tree: stringOf(value, "tree"), at: numberOf(value, "at") ?? 0 }];
    });
  }

  /** Says what was recorded before a turn. It is the newest one, also when the clock was set back. */
  async putTurn(turnId: string, tree: string | null, now: number): Promise<void> {
    const at = Math.max(now, ((await this.turns()).at(-1)?.at ?? 0) + 1);
    const name = `${String(at).padStart(15, "0")}-${crypto.randomUUID()}`;
    await this.#putObject(`turns/${name}`, { turnId, tree, at });
  }

  /** Restores that were begun, by their names. */
  restores(): Promise<{ name: string; value: JsonObject }[]> {
    return this.#objects("restores");
  }

  /** Writes down how far a restore is. */
  async putRestore(name: string, value: JsonObject): Promise<void> {
    await this.#putObject(`restores/${name}`, value);
    await this.#fs.syncDirectory(`${this.path}/restores`);
  }

  /** A restore is over. */
  async endRestore(name: string): Promise<void> {
    await this.#remove(`${this.path}/restores/${name}`);
  }

  /** How many bytes of contents are kept, as was counted last. */
  async bytes(): Promise<number> {
    const value = await this.#object("bytes");
    return value === null ? 0 : numberOf(value, "bytes") ?? 0;
  }

  /** Counts bytes that were added. */
  async addBytes(added: number): Promise<void> {
    if (added > 0) await this.#putObject("bytes", { bytes: await this.bytes() + added });
  }

  /** Forgets what is too old or too much; what is left has all its contents. Call it with the lock. */
  async prune(now: number = Date.now()): Promise<void> {
    const limits = this.#limits;
    let left = await this.turns();
    let bytes = await this.bytes();
    const old = left.filter(({ at }) => now - at > limits.ageMs).length;
    let drop = Math.max(old, left.length - limits.turns);
    if (drop <= 0 && bytes <= limits.bytes) return;
    do {
      // The newest one stays: a rewind needs one at least.
      drop = Math.min(drop <= 0 ? Math.ceil(left.length / 4) : drop, left.length - 1);
      const gone = left.slice(0, Math.max(0, drop));
      for (const { name } of gone) await this.#remove(`${this.path}/turns/${name}`);
      left = left.slice(gone.length);
      bytes = await this.#sweep(left, new Set(gone.map(({ tree }) => tree)));
      drop = 0;
    } while (bytes > limits.bytes && left.length > 1);
    await this.#putObject("bytes", { bytes });
  }

  /** Removes trees and contents that no record names, nor a restore under way; returns how many bytes are left. */
  async #sweep(
    records: readonly TurnRecord[],
    gone: ReadonlySet<string | null>,
  ): Promise<number> {
    const trees = new Set(records.map(({ tree }) => tree).filter((tree) => tree !== null));
    for (const name of await this.#fs.list(`${this.path}/trees`) ?? []) {
      // The turn that a new tree belongs to may not be known yet.
      const silent = await this.#silence(`${this.path}/trees/${name}`)();
      if (silent !== null && silent < NEW_MS && !gone.has(name)) trees.add(name);
    }
    const contents = new Set<string>();
    for (const { value } of await this.restores()) {
      for (const step of asList(value["steps"])) {
        if (isJsonObject(step)) contents.add(stringOf(step, "content") ?? "");
      }
    }
    for (const name of trees) {
      for (const { content } of (await this.tree(name))?.nodes.values() ?? []) {
        if (content !== null) contents.add(content);
      }
    }
    for (const name of await this.#fs.list(`${this.path}/trees`) ?? []) {
      if (!trees.has(name)) await this.#remove(`${this.path}/trees/${name}`);
    }
    let bytes = 0;
    for (const folder of await this.#fs.list(`${this.path}/objects`) ?? []) {
      for (const name of await this.#fs.list(`${this.path}/objects/${folder}`) ?? []) {
        const path = `${this.path}/objects/${folder}/${name}`;
        if (contents.has(name)) bytes += (await this.#tree.entry(path))?.size ?? 0;
        else await this.#remove(path);
      }
    }
    return bytes;
  }

  /** Removes the folders of workspaces that were not used for too long. */
  static async pruneHome(
    home: string,
    limits: StoreLimits = STORE_LIMITS,
    now: number = Date.now(),
  ): Promise<void> {
    const fs = fileSystem();
    const tree = await treeFiles();
    for (const name of await fs?.list(home) ?? []) {
      const entry = await tree!.entry(`${home}/${name}/turns`);
      if (entry !== null && now - entry.mtimeMs > limits.ageMs) {
        await fs!.removeAll(`${home}/${name}`).catch(() => {});
      }
    }
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storeError("it can't be written", error);
    }
  }

  async #folder(name: string): Promise<void> {
    if (this.#made.has(name)) return;
    await this.#fs.makeDirectory(name === "" ? this.path : `${this.path}/${name}`, true);
    this.#made.add(name);
  }

  async #putObject(name: string, value: JsonObject): Promise<void> {
    await this.#write(
      `${this.path}/${name}`,
      new TextEncoder().encode(JSON.stringify(value)),
      true,
    );
  }

  /** Whole or not at all. */
  #write(path: string, bytes: Uint8Array, sync: boolean): Promise<void> {
    return this.#guard(async () => {
      const draft = `${path}.${crypto.randomUUID()}~`;
      try {
        await this.#tree.writeNew(draft, bytes, sync);
        await this.#fs.rename(draft, path);
      } catch (error) {
        await this.#remove(draft);
        throw error;
      }
    });
  }

  /** All that a folder holds, in the order of their names. */
  async #objects(folder: string): Promise<{ name: string; value: JsonObject }[]> {
    const all: { name: string; value: JsonObject }[] = [];
    for (const name of (await this.#fs.list(`${this.path}/${folder}`) ?? []).sort()) {
      const value = await this.#object(`${folder}/${name}`);
      if (value !== null) all.push({ name, value });
    }
    return all;
  }

  async #object(name: string): Promise<JsonObject | null> {
    // What a process that died has left half written.
    if (name.endsWith("~")) {
      await this.#remove(`${this.path}/${name}`);
      return null;
    }
    const text = await this.#text(`${this.path}/${name}`);
    return text === null ? null : parseObject(text);
  }

  async #text(path: string): Promise<string | null> {
    const bytes = await this.#bytes(path);
    return bytes === null ? null : new TextDecoder().decode(bytes);
  }

  async #bytes(path: string): Promise<Uint8Array | null> {
    try {
      return await this.#fs.read(path);
    } catch (error) {
      if (isMissing(error)) return null;
      throw storeError("it can't be read", error);
    }
  }

  async #remove(path: string): Promise<void> {
    await this.#fs.removeFile(path).catch(() => {});
  }
}

/** For how long nothing was done to a file; `null`: it is not there. */
type Silence = () => Promise<number | null>;

const NEW_MS = 600_000;
const LOCK_ROUND_MS = 25;
const BEAT_MS = 2_000;
/** Five beats: a holder whose process was held up is not taken for dead. */
const SILENT_MS = 10_000;

/** What the store could not do. */
export function storeError(what: string, cause: unknown): CheckpointError {
  const why = cause === undefined ? "" : `: ${messageOf(cause)}`;
  return new CheckpointError(
    `The store of checkpoints in codex's home can't be used, ${what}${why}.`,
    {
      cause,
      data: { reason: "store" },
    },
  );
}

function isHash(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name);
}

function packed(bytes: Uint8Array): Promise<Uint8Array> {
  return through(bytes, new CompressionStream("gzip"));
}

function unpacked(bytes: Uint8Array): Promise<Uint8Array> {
  return through(bytes, new DecompressionStream("gzip"));
}

async function through(
  bytes: Uint8Array,
  stream: CompressionStream | DecompressionStream,
): Promise<Uint8Array> {
  const body = new Blob([bytes as BlobPart]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(body).arrayBuffer());
}
