/**
 * The directory in which private homes lie, each with a record of whose it is beside it. The record is there before its home
 * and goes after it.
 * @module
 */
import { PolicyError, SpawnError } from "../../errors/mod.ts";
import { fileSystem, isTaken, treeFiles } from "../../platform/fs.ts";
import {
  type FileSystem,
  pathRules,
  platformName,
  processEntry,
  type TreeFiles,
} from "../../platform/mod.ts";
import { judgeOwner, type Owner, readOwner, thisOwner } from "./owner.ts";

/** One home. */
export interface MadeHome {
  /** Its directory. */
  path: string;
  /** Its record. */
  record: string;
  /** Lets the record go, once it is removed. */
  release: () => void;
}

const RECORD = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json$/;
/** A record is a line; what is larger was not written here. */
const MAX_RECORD = 4096;
const OWNER_ONLY = 0o700;

/** The private homes below one directory. */
export class Homes {
  readonly #base: string;
  readonly #files: FileSystem;
  readonly #tree: TreeFiles;
  readonly #owner: Owner;

  private constructor(base: string, files: FileSystem, tree: TreeFiles, owner: Owner) {
    this.#base = base;
    this.#files = files;
    this.#tree = tree;
    this.#owner = owner;
  }

  /** Makes the directory when it is not there. Rejects when it is not a directory of this user alone. */
  static async open(base: string): Promise<Homes> {
    const [files, tree] = [fileSystem(), await treeFiles()];
    if (files === null || tree === null) throw new SpawnError("There are no files here.");
    try {
      await files.makeDirectory(base, true);
    } catch (cause) {
      throw new SpawnError(`The directory for private homes, ${base}, can't be made.`, { cause });
    }
    const entry = await tree.entry(base);
    if (entry?.kind !== "directory") {
      throw new PolicyError(
        `${base} is not a directory but a ${entry?.kind ?? "path"} that leads elsewhere. ` +
          "A private home is not made behind it; remove it.",
        { data: { reason: "hermeticHome" } },
      );
    }
    if (platformName() !== "win32" && entry.mode !== OWNER_ONLY) {
      await tree.setMode(base, OWNER_ONLY);
    }
    return new Homes(base, files, tree, await thisOwner());
  }

  /** Makes a home that is empty. */
  async make(): Promise<MadeHome> {
    const { join } = pathRules(platformName());
    const id = crypto.randomUUID();
    const [path, record] = [join(this.#base, id), join(this.#base, `${id}.json`)];
    const locked = await this.#writeRecord(record);
    if (locked === "held") return await this.make();
    const release = locked ?? (() => {});
    try {
      await this.#tree.makeDirectory(path);
      await this.#tree.setMode(path, OWNER_ONLY);
      return { path, record, release };
    } catch (error) {
      await this.remove({ path, record, release });
      throw error;
    }
  }

  /** What starts next may take a record for an abandoned one before it is held; then another is written. */
  async #writeRecord(record: string): Promise<(() => void) | "held" | null> {
    const text = JSON.stringify({ ...this.#owner, locked: typeof Deno !== "undefined" });
    try {
      await this.#files.create(record, new TextEncoder().encode(`${text}\n`), true);
      return await this.#tree.hold(record);
    } catch (error) {
      if (isTaken(error)) return "held";
      // One that is cut, as on a full disk, tells nobody whose it is, and would stay.
      await this.#files.removeFile(record).catch(() => {});
      throw new SpawnError(`A private home can't be made in ${this.#base}.`, { cause: error });
    }
  }

  /** Removes a home and then its record. Never rejects; what can't be removed keeps its record for the next start. */
  async remove({ path, record, release }: MadeHome): Promise<void> {
    try {
      if (await this.#tree.entry(path) !== null) await this.#files.removeAll(path);
      await this.#files.removeFile(record);
    } catch {
      // Something of codex's still writes there, or somebody else was first.
    } finally {
      release();
    }
  }

  /** Removes the homes whose owners are gone; how many those were. Links are removed, and not followed. */
  async sweep(): Promise<number> {
    let removed = 0;
    const { join } = pathRules(platformName());
    for (const name of await this.#files.list(this.#base).catch(() => null) ?? []) {
      const id = RECORD.exec(name)?.[1];
      if (id === undefined) continue;
      const [path, record] = [join(this.#base, id), join(this.#base, name)];
      const release = await this.#claim(record).catch(() => null);
      if (release === null) continue;
      await this.remove({ path, record, release });
      removed++;
    }
    return removed;
  }

  /** What releases the record of an owner that is gone; `null` for any other. */
  async #claim(record: string): Promise<(() => void) | null> {
    const entry = await this.#tree.entry(record);
    if (entry?.kind !== "file" || entry.size > MAX_RECORD) return null;
    const bytes = await this.#tree.readExpected(record, entry);
    const read = bytes === null ? null : readOwner(new TextDecoder().decode(bytes));
    if (read === null) return null;
    if (read.locked) {
      const held = await this.#tree.hold(record);
      if (held === "held") return null;
      if (held !== null) return held;
    }
    const startOf = (pid: number) => processEntry(pid)?.startTime ?? null;
    return judgeOwner(read.owner, this.#owner, startOf) === "gone" ? () => {} : null;
  }
}
