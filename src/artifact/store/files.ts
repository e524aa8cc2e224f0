/**
 * The few file operations that a store needs, on Deno, Bun and Node.
 * @module
 */
import { delay } from "../../async.ts";
import { builtin, platformName, runtimeName } from "../../platform/mod.ts";
import { storeError } from "./record.ts";

/** File operations; each rejects with the platform's own error. */
export interface Files {
  /** Reads a whole file. */
  read(path: string): Promise<Uint8Array>;
  /** Creates a file that must not exist and returns when the disk has it. */
  create(path: string, bytes: Uint8Array): Promise<void>;
  /** Asks the disk to keep a directory's entries; does nothing where directories can't be synced. */
  syncDirectory(path: string): Promise<void>;
  /** The names in a directory, or `null` when it does not exist. */
  list(path: string): Promise<string[] | null>;
  /** Creates a directory and its parents. */
  makeDirectory(path: string): Promise<void>;
  /** Renames; a directory never replaces one that has entries. */
  rename(from: string, to: string): Promise<void>;
  /** Empties an existing file. */
  empty(path: string): Promise<void>;
  /** Removes a file or directory with all that is in it. */
  remove(path: string): Promise<void>;
  /** When the path last changed, in milliseconds since 1970. */
  modifiedMs(path: string): Promise<number>;
}

interface NodeHandle {
  writeFile(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

interface NodeFs {
  readFile(path: string): Promise<Uint8Array>;
  open(path: string, flags: string): Promise<NodeHandle>;
  readdir(path: string): Promise<string[]>;
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { recursive: true; force: true }): Promise<void>;
  stat(path: string): Promise<{ mtimeMs: number }>;
}

/** The file operations of the runtime this runs on. */
export function platformFiles(): Files {
  if (runtimeName() === "deno") return denoFiles();
  const node = builtin<NodeFs>("fs/promises");
  if (node !== null) return nodeFiles(node);
  throw storeError(
    "FileArtifactStore needs a file system, and this runtime offers none. " +
      "Use KvArtifactStore, MemoryArtifactStore or a store of your own.",
  );
}

/** True when the error says that this script lacks a Deno permission. */
export function isPermissionError(error: unknown): boolean {
  return error instanceof Error && error.name === "NotCapable";
}

function isMissing(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "ENOENT" ||
    (error instanceof Error && error.name === "NotFound");
}

/** Windows opens a directory for reading only, and writes back what was opened for writing only: names are its own care. */
async function syncHandle(sync: () => Promise<void>): Promise<void> {
  try {
    await sync();
  } catch (error) {
    if (platformName() !== "win32") throw error;
  }
}

const BUSY = /^(?:EPERM|EACCES|EBUSY)$/;
const PATIENCE_MS = [10, 20, 40, 80, 160];

/** Virus scanners and indexers hold a file of Windows for moments, in which it can't be renamed. */
async function whenFree(rename: () => Promise<void>): Promise<void> {
  for (const pause of platformName() === "win32" ? PATIENCE_MS : []) {
    try {
      return await rename();
    } catch (error) {
      const { code, name } = error as { code?: string; name?: string };
      if (!BUSY.test(code ?? "") && name !== "PermissionDenied" && name !== "Busy") throw error;
      await delay(pause);
    }
  }
  await rename();
}

function denoFiles(): Files {
  return {
    read: (path) => Deno.readFile(path),
    async create(path, bytes) {
      const file = await Deno.open(path, { write: true, createNew: true });
      try {
        let at = 0;
        while (at < bytes.length) at += await file.write(bytes.subarray(at));
        await file.sync();
      } finally {
        file.close();
      }
    },
    async syncDirectory(path) {
      let file: Deno.FsFile;
      try {
        file = await Deno.open(path);
      } catch {
        return; // A pruned one needs no sync.
      }
      try {
        await syncHandle(() => file.sync());
      } finally {
        file.close();
      }
    },
    async list(path) {
      const names: string[] = [];
      try {
        for await (const entry of Deno.readDir(path)) names.push(entry.name);
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
      return names;
    },
    makeDirectory: (path) => Deno.mkdir(path, { recursive: true }),
    rename: (from, to) => whenFree(() => Deno.rename(from, to)),
    empty: (path) => Deno.truncate(path, 0),
    remove: (path) => Deno.remove(path, { recursive: true }),
    modifiedMs: async (path) => (await Deno.stat(path)).mtime?.getTime() ?? Date.now(),
  };
}

function nodeFiles(fs: NodeFs): Files {
  return {
    read: (path) => fs.readFile(path),
    async create(path, bytes) {
      const file = await fs.open(path, "wx");
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
    },
    async syncDirectory(path) {
      let file: NodeHandle;
      try {
        file = await fs.open(path, "r");
      } catch {
        return; // A pruned one needs no sync.
      }
      try {
        await syncHandle(() => file.sync());
      } finally {
        await file.close();
      }
    },
    async list(path) {
      try {
        return await fs.readdir(path);
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
    makeDirectory: async (path) => {
      await fs.mkdir(path, { recursive: true });
    },
    rename: (from, to) => whenFree(() => fs.rename(from, to)),
    async empty(path) {
      const file = await fs.open(path, "r+");
      try {
        await file.truncate(0);
      } finally {
        await file.close();
      }
    },
    remove: (path) => fs.rm(path, { recursive: true, force: true }),
    modifiedMs: async (path) => (await fs.stat(path)).mtimeMs,
  };
}
