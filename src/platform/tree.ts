/**
 * A directory tree as it lies on the disk, links not followed: for what is put back the way it was.
 * @module
 */
import { builtin, isGone, runtimeName, sharedBuiltin } from "./runtime.ts";
import { unasked } from "./unasked.ts";

/** What lies at a path itself. */
export interface TreeEntry {
  /** A link is one, wherever it leads; `other` is a device, a pipe or a socket. */
  kind: "file" | "directory" | "link" | "other";
  /** The permission bits; 0 where there are none. */
  mode: number;
  /** Its size in bytes. */
  size: number;
  /** When its content changed, in milliseconds since 1970. */
  mtimeMs: number;
  /** When anything of it changed, which a program can't choose; 0 where that is not told. */
  ctimeMs: number;
  /** Which one it is on its disk; two paths with the same are the same. Empty where that is not told. */
  id: string;
  /** When it was made, in milliseconds since 1970; 0 where that is not told, and of a file with more names. */
  bornMs?: number;
}

/** What is done with a tree; each call rejects with the platform's own error. On Deno none of them asks the user. */
export interface TreeFiles {
  /** The names in a directory. What is no UTF-8 in them is replaced, so a name may not be found. */
  list(path: string): Promise<string[]>;
  /** What lies at the path itself; `null` when nothing does. */
  entry(path: string): Promise<TreeEntry | null>;
  /** Where a link leads, as it is written. */
  readLink(path: string): Promise<string>;
  /** Makes a link. Deno wants all of `--allow-read` and `--allow-write` for it. */
  makeLink(target: string, path: string): Promise<void>;
  /** The content of the very file that `expected` is; `null` when something else is there now, or it was changed meanwhile. */
  readExpected(path: string, expected: TreeEntry): Promise<Uint8Array | null>;
  /** Writes a file that must not exist, for its owner only; with `sync` it returns when the disk has it. */
  writeNew(path: string, bytes: Uint8Array, sync: boolean): Promise<void>;
  /** Makes one directory that must not exist. */
  makeDirectory(path: string): Promise<void>;
  /** Changes the permission bits of what the path leads to; does nothing on Windows. */
  setMode(path: string, mode: number): Promise<void>;
  /** Says that a file was changed now. */
  touch(path: string): Promise<void>;
  /** Removes a directory that is empty. */
  removeDirectory(path: string): Promise<void>;
  /**
   * Holds a file, which must exist, until this process ends or lets it go by the result. `"held"` when another one holds it;
   * `null` where the runtime knows no such locks: on Bun and Node.
   */
  hold(path: string): Promise<(() => void) | "held" | null>;
}

/** The files of the runtime this runs on, or `null` where there are none. */
export function treeFilesHere(): TreeFiles | null {
  if (runtimeName() === "deno") {
    return unasked(onDeno(), {
      read: ["list", "entry", "readLink", "readExpected", "removeDirectory", "hold"],
      write: ["writeNew", "makeDirectory", "setMode", "touch", "removeDirectory", "hold"],
      all: ["makeLink"],
    });
  }
  return builtin("fs/promises") === null ? null : onNode();
}

const PERMISSIONS = 0o777;
const OWNER_ONLY = 0o600;

/** Reads exactly what is expected; `null` when it is not there, or not the same any more once it is read. */
async function readWhole(
  expected: TreeEntry,
  look: () => Promise<TreeEntry>,
  read: (into: Uint8Array) => Promise<number>,
): Promise<Uint8Array | null> {
  if (!isSame(await look(), expected)) return null;
  const { size } = expected;
  // One byte of room tells that there are more.
  const bytes = new Uint8Array(size + 1);
  let at = 0;
  while (at <= size) {
    const count = await read(bytes.subarray(at));
    if (count === 0) break;
    at += count;
  }
  return at === size && isSame(await look(), expected) ? bytes.subarray(0, size) : null;
}

/** Uses an open file and closes it, whatever happens. */
async function withOpen<F extends { close(): unknown }, T>(
  opened: Promise<F>,
  use: (file: F) => Promise<T>,
): Promise<T> {
  const file = await opened;
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** Fills a file that was just made; one that is not whole, as on a full disk, is removed. */
async function fillNew<F extends { close(): unknown }>(
  opened: Promise<F>,
  fill: (file: F) => Promise<void>,
  remove: () => Promise<void>,
): Promise<void> {
  // What can't be opened is not ours.
  const file = await opened;
  try {
    await withOpen(Promise.resolve(file), fill);
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
}

function isSame(a: TreeEntry, b: TreeEntry): boolean {
  return a.kind === b.kind && a.size === b.size && a.id === b.id && a.mtimeMs === b.mtimeMs &&
    a.ctimeMs === b.ctimeMs;
}

function onDeno(): TreeFiles {
  const toEntry = (info: Deno.FileInfo): TreeEntry => ({
    kind: info.isSymlink ? "link" : info.isDirectory ? "directory" : info.isFile ? "file" : "other",
    mode: (info.mode ?? 0) & PERMISSIONS,
    size: info.size,
    mtimeMs: info.mtime?.getTime() ?? 0,
    ctimeMs: info.ctime?.getTime() ?? 0,
    id: info.ino === null ? "" : `${info.dev}:${info.ino}`,
    bornMs: info.isFile && info.nlink !== 1 ? 0 : info.birthtime?.getTime() ?? 0,
  });
  return {
    list: async (path) => {
      const names: string[] = [];
      for await (const { name } of Deno.readDir(path)) names.push(name);
      return names;
    },
    entry: async (path) => {
      try {
        return toEntry(await Deno.lstat(path));
      } catch (error) {
        if (isGone(error)) return null;
        throw error;
      }
    },
    readLink: (path) => Deno.readLink(path),
    makeLink: (target, path) => Deno.symlink(target, path),
    // Deno's own way to open a file waits for ever where a pipe has taken its place, which Windows has none of.
    readExpected: Deno.build.os !== "windows"
      ? onNode().readExpected
      : (path, expected) =>
        withOpen(Deno.open(path), (file) =>
          readWhole(
            expected,
            async () => toEntry(await file.stat()),
            async (into) => await file.read(into) ?? 0,
          )),
    writeNew: (path, bytes, sync) =>
      fillNew(
        Deno.open(path, { write: true, createNew: true, mode: OWNER_ONLY }),
        async (file) => {
          for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
          if (sync) await file.syncData();
        },
        () => Deno.remove(path),
      ),
    makeDirectory: (path) => Deno.mkdir(path),
    setMode: async (path, mode) => {
      if (Deno.build.os !== "windows") await Deno.chmod(path, mode);
    },
    touch: (path) => Deno.utime(path, new Date(), new Date()),
    removeDirectory: async (path) => {
      if (!(await Deno.lstat(path)).isDirectory) throw new Error("it is no directory");
      await Deno.remove(path);
    },
    hold: async (path) => {
      const file = await Deno.open(path, { read: true, write: true });
      try {
        if (await file.tryLock(true)) {
          let held = true;
          return () => {
            if (held) file.close();
            held = false;
          };
        }
      } catch (error) {
        file.close();
        throw error;
      }
      file.close();
      return "held";
    },
  };
}

interface NodeStat {
  isSymbolicLink(): boolean;
  isDirectory(): boolean;
  isFile(): boolean;
  mode: number;
  size: number;
  mtimeMs: number;
  ctimeMs: number;
  birthtimeMs: number;
  nlink: number;
  dev: number;
  ino: number;
}

interface NodeHandle {
  stat(): Promise<NodeStat>;
  read(into: Uint8Array, at: number, length: number): Promise<{ bytesRead: number }>;
  writeFile(bytes: Uint8Array): Promise<void>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

interface NodeFs {
  readdir(path: string): Promise<string[]>;
  lstat(path: string): Promise<NodeStat>;
  readlink(path: string): Promise<string>;
  symlink(target: string, path: string): Promise<void>;
  open(path: string, flags: string | number, mode?: number): Promise<NodeHandle>;
  mkdir(path: string): Promise<unknown>;
  chmod(path: string, mode: number): Promise<void>;
  utimes(path: string, accessed: Date, changed: Date): Promise<void>;
  rmdir(path: string): Promise<void>;
  rm(path: string): Promise<void>;
}

function onNode(): TreeFiles {
  const fs = sharedBuiltin<NodeFs>("fs/promises")!;
  const { constants } = sharedBuiltin<{ constants: Record<string, number> }>("fs")!;
  const toEntry = (stat: NodeStat): TreeEntry => ({
    kind: stat.isSymbolicLink()
      ? "link"
      : stat.isDirectory()
      ? "directory"
      : stat.isFile()
      ? "file"
      : "other",
    mode: stat.mode & PERMISSIONS,
    size: stat.size,
    // As Deno tells it: what one runtime wrote down, another one reads.
    mtimeMs: Math.trunc(stat.mtimeMs),
    ctimeMs: Math.trunc(stat.ctimeMs),
    id: `${stat.dev}:${stat.ino}`,
    bornMs: stat.isFile() && stat.nlink !== 1 ? 0 : Math.trunc(stat.birthtimeMs),
  });
  const { O_RDONLY = 0, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  return {
    list: (path) => fs.readdir(path),
    entry: async (path) => {
      try {
        return toEntry(await fs.lstat(path));
      } catch (error) {
        if (isGone(error)) return null;
        throw error;
      }
    },
    readLink: (path) => fs.readlink(path),
    makeLink: (target, path) => fs.symlink(target, path),
    readExpected: (path, expected) =>
      withOpen(fs.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK), (file) =>
        readWhole(
          expected,
          async () => toEntry(await file.stat()),
          async (into) => (await file.read(into, 0, into.length)).bytesRead,
        )),
    writeNew: (path, bytes, sync) =>
      fillNew(
        fs.open(path, "wx", OWNER_ONLY),
        async (file) => {
          await file.writeFile(bytes);
          if (sync) await file.datasync();
        },
        () => fs.rm(path),
      ),
    makeDirectory: async (path) => {
      await fs.mkdir(path);
    },
    setMode: (path, mode) => fs.chmod(path, mode),
    touch: (path) => fs.utimes(path, new Date(), new Date()),
    removeDirectory: (path) => fs.rmdir(path),
    hold: () => Promise.resolve(null),
  };
}
