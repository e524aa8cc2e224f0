/**
 * Files that are written, and connections to sockets of the file system, on Deno, Bun and Node: what stores, logs and
 * transports need, with the platform's own errors.
 * @module
 */
import type { HttpServer } from "./http_server.ts";
import { delay } from "../async.ts";
import {
  builtin,
  canRead,
  entryKind,
  isGranted,
  nodeProcess,
  pathKind,
  platformName,
  realPath,
  runtimeName,
} from "./runtime.ts";
import type { TreeFiles } from "./tree.ts";
import { openUnasked, unasked } from "./unasked.ts";

/** File operations; each rejects with the platform's own error. On Deno none of them asks the user for a permission. */
export interface FileSystem {
  /** Reads a whole file, as large as it is at first. Rejects for what is none: a device, a pipe. */
  read(path: string): Promise<Uint8Array>;
  /** The last byte of a file of a known size; `null` when it can't be read. */
  lastByte(path: string, size: number): Promise<number | null>;
  /** The size of a file in bytes; `null` when it can't be looked at. */
  size(path: string): Promise<number | null>;
  /** Reads at most so many bytes from there on; fewer at the end of the file. */
  readAt(path: string, from: number, length: number): Promise<Uint8Array>;
  /** Creates a file that must not exist and returns when the disk has it; `ownerOnly`, closed to others. */
  create(path: string, bytes: Uint8Array, ownerOnly?: boolean): Promise<void>;
  /** Opens a file for appending and creates it, for its owner only; with `fresh` it must not exist. Needs no read permission. */
  append(path: string, fresh: boolean): Promise<AppendFile>;
  /** Asks the disk to keep a directory's entries; does nothing where directories can't be synced. */
  syncDirectory(path: string): Promise<void>;
  /** The names in a directory, or `null` when it does not exist. */
  list(path: string): Promise<string[] | null>;
  /** Creates a directory and its parents; `ownerOnly`, closed to others. */
  makeDirectory(path: string, ownerOnly?: boolean): Promise<void>;
  /** Renames; a directory never replaces one that has entries. */
  rename(from: string, to: string): Promise<void>;
  /** Empties an existing file. */
  empty(path: string): Promise<void>;
  /** Removes a file. */
  removeFile(path: string): Promise<void>;
  /** Removes a file or directory with all that is in it. */
  removeAll(path: string): Promise<void>;
  /** When the path last changed, in milliseconds since 1970. */
  modifiedMs(path: string): Promise<number>;
}

/** A file open for appending. */
export interface AppendFile {
  /** How many bytes it holds now. */
  size(): Promise<number>;
  /** Adds all of the bytes at its end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Closes it. */
  close(): Promise<void>;
}

interface NodeHandle {
  stat(): Promise<{ size: number }>;
  read(into: Uint8Array, at: number, length: number, from: number): Promise<{ bytesRead: number }>;
  writeFile(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

interface NodeFs {
  open(path: string, flags: string, mode?: number): Promise<NodeHandle>;
  readdir(path: string): Promise<string[]>;
  mkdir(path: string, options: { recursive: true; mode?: number }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options?: { recursive: true; force: true }): Promise<void>;
  stat(path: string): Promise<{ mtimeMs: number; size: number; isFile(): boolean }>;
}

/** For the owner only. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** The file system of the runtime this runs on, or `null` where there is none. */
export function fileSystem(): FileSystem | null {
  if (runtimeName() === "deno") {
    return unasked(onDeno(), {
      read: ["read", "readAt", "list", "modifiedMs", "rename"],
      write: ["create", "append", "makeDirectory", "rename", "empty", "removeFile", "removeAll"],
      to: ["rename"],
    });
  }
  const node = builtin<NodeFs>("fs/promises");
  return node === null ? null : onNode(node);
}

/** What is done with whole trees, or `null` where there are no files; few scripts need it. */
export async function treeFiles(): Promise<TreeFiles | null> {
  return (await import("./tree.ts")).treeFilesHere();
}

/** Whether an error says that a path is not there. */
export function isMissing(error: unknown): boolean {
  return says(error, "ENOENT", "NotFound");
}

/** Whether an error says that a path is there already. */
export function isTaken(error: unknown): boolean {
  return says(error, "EEXIST", "AlreadyExists");
}

/** Whether an error says that this script lacks a Deno permission. */
export function isPermissionError(error: unknown): boolean {
  return error instanceof Error && error.name === "NotCapable";
}

/**
 * Whether what lies at `below` is a link or is reached through one. `root` itself may be one, and where it can't be looked,
 * as before anything is there, there is none.
 */
export function isLinked(root: string, below: string): boolean {
  const [top, real] = [realPath(root), realPath(`${root}/${below}`)];
  if (top === null || real === null) return false;
  return real.replaceAll("\\", "/") !== `${top.replaceAll("\\", "/").replace(/\/$/, "")}/${below}`;
}

/**
 * Whether who writes to a path writes elsewhere than into a file, wherever an agent that may write there wants, or may wait for
 * ever: a link, a pipe, a device.
 */
export function leadsAway(path: string): boolean {
  return entryKind(path) === "link" || pathKind(path) === "other";
}

function says(error: unknown, code: string, name: string): boolean {
  const actual = error as { code?: unknown; name?: unknown } | null;
  return actual?.code === code || actual?.name === name;
}

/** Uses a handle and closes it, whatever happens. */
async function withFile<H extends { close(): unknown }, T>(
  opened: Promise<H>,
  use: (handle: H) => Promise<T>,
): Promise<T> {
  const handle = await opened;
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

async function unlessMissing<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function elseNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch {
    return null;
  }
}

/**
 * Windows opens a directory for reading only, and writes back what was opened for writing only: names are its own care. So are
 * they on disks that sync no directory (EINVAL), such as the folders that VirtualBox shares.
 */
async function syncHandle(sync: () => Promise<void>): Promise<void> {
  try {
    await sync();
  } catch (error) {
    if (platformName() !== "win32" && !says(error, "EINVAL", "")) throw error;
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

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

function newFile(ownerOnly: boolean): Deno.OpenOptions {
  return { write: true, createNew: true, ...(ownerOnly ? { mode: FILE_MODE } : {}) };
}

/** More than a string holds. */
const MOST_BYTES = 2 ** 29;

/** How much is read of a file. An agent may put what never ends in its place, or a file of a size that no memory holds. */
function lengthOf(isFile: boolean, size: number): number {
  if (isFile && size < MOST_BYTES) return size;
  throw new Error("It is no regular file, or too large to be read.");
}

function readDeno(path: string, from: number, length: number): Promise<Uint8Array> {
  return withFile(Deno.open(path), async (file) => {
    await file.seek(from, Deno.SeekMode.Start);
    const bytes = new Uint8Array(length);
    let at = 0;
    for (let read: number | null = 0; at < length && read !== null; at += read ?? 0) {
      read = await file.read(bytes.subarray(at));
    }
    return bytes.subarray(0, at);
  });
}

function onDeno(): FileSystem {
  return {
    read: async (path) => {
      const { isFile, size } = await Deno.stat(path);
      return await readDeno(path, 0, lengthOf(isFile, size));
    },
    lastByte: async (path, size) => {
      // Asked first, because opening would prompt on a terminal.
      if (!canRead(path)) return null;
      const byte = new Uint8Array(1);
      return await elseNull(withFile(Deno.open(path), async (file) => {
        await file.seek(size - 1, Deno.SeekMode.Start);
        return await file.read(byte) === 1 ? byte[0]! : null;
      }));
    },
    // Asked first, because a look would prompt on a terminal.
    size: async (path) => canRead(path) ? (await elseNull(Deno.stat(path)))?.size ?? null : null,
    readAt: readDeno,
    create: (path, bytes, ownerOnly = false) =>
      withFile(Deno.open(path, newFile(ownerOnly)), async (file) => {
        await writeAll(file, bytes);
        await file.sync();
      }),
    append: async (path, fresh) => {
      const options = { append: true, create: true, createNew: fresh, mode: FILE_MODE };
      const file = await Deno.open(path, options);
      return {
        // `stat` of an open file needs read permission, seeking does not; a pipe, such as /dev/stdout, has no end.
        size: () => file.seek(0, Deno.SeekMode.End).catch(() => 0),
        append: (bytes) => writeAll(file, bytes),
        close: () => Promise.resolve(file.close()),
      };
    },
    syncDirectory: async (path) => {
      const file = await elseNull(openUnasked(path));
      if (file === null) return; // A pruned one needs no sync.
      await withFile(Promise.resolve(file), (file) => syncHandle(() => file.sync()));
    },
    list: (path) =>
      unlessMissing(async () => {
        const names: string[] = [];
        for await (const entry of Deno.readDir(path)) names.push(entry.name);
        return names;
      }),
    makeDirectory: (path, ownerOnly = false) =>
      Deno.mkdir(path, { recursive: true, ...(ownerOnly ? { mode: DIRECTORY_MODE } : {}) }),
    rename: (from, to) => whenFree(() => Deno.rename(from, to)),
    empty: (path) => Deno.truncate(path, 0),
    removeFile: (path) => Deno.remove(path),
    removeAll: (path) => Deno.remove(path, { recursive: true }),
    modifiedMs: async (path) => (await Deno.stat(path)).mtime?.getTime() ?? Date.now(),
  };
}

function onNode(fs: NodeFs): FileSystem {
  const readAt = (path: string, from: number, length: number) =>
    withFile(fs.open(path, "r"), async (file) => {
      const bytes = new Uint8Array(length);
      let at = 0;
      for (let read = 1; at < length && read > 0; at += read) {
        read = (await file.read(bytes, at, length - at, from + at)).bytesRead;
      }
      return bytes.subarray(0, at);
    });
  return {
    read: async (path) => {
      const stat = await fs.stat(path);
      return await readAt(path, 0, lengthOf(stat.isFile(), stat.size));
    },
    lastByte: (path, size) => {
      const byte = new Uint8Array(1);
      return elseNull(withFile(fs.open(path, "r"), async (file) => {
        const { bytesRead } = await file.read(byte, 0, 1, size - 1);
        return bytesRead === 1 ? byte[0]! : null;
      }));
    },
    size: async (path) => (await elseNull(fs.stat(path)))?.size ?? null,
    readAt,
    create: (path, bytes, ownerOnly = false) =>
      withFile(fs.open(path, "wx", ownerOnly ? FILE_MODE : undefined), async (file) => {
        await file.writeFile(bytes);
        await file.sync();
      }),
    append: async (path, fresh) => {
      const file = await fs.open(path, fresh ? "ax" : "a", FILE_MODE);
      return {
        size: async () => (await file.stat()).size,
        append: (bytes) => file.writeFile(bytes),
        close: () => file.close(),
      };
    },
    syncDirectory: async (path) => {
      const file = await elseNull(fs.open(path, "r"));
      if (file === null) return; // A pruned one needs no sync.
      await withFile(Promise.resolve(file), (file) => syncHandle(() => file.sync()));
    },
    list: (path) => unlessMissing(() => fs.readdir(path)),
    makeDirectory: async (path, ownerOnly = false) => {
      await fs.mkdir(path, { recursive: true, ...(ownerOnly ? { mode: DIRECTORY_MODE } : {}) });
    },
    rename: (from, to) => whenFree(() => fs.rename(from, to)),
    empty: (path) => withFile(fs.open(path, "r+"), (file) => file.truncate(0)),
    removeFile: (path) => fs.rm(path),
    removeAll: (path) => fs.rm(path, { recursive: true, force: true }),
    modifiedMs: async (path) => (await fs.stat(path)).mtimeMs,
  };
}

/** What is known of a socket in the file system, links followed. */
export interface SocketOwner {
  /** Whether it is a socket at all. */
  isSocket: boolean;
  /** The user it belongs to. */
  uid: number | null;
}

/** Whose socket a path leads to, or `null` when there is none or this script may not look. */
export function socketOwner(path: string): SocketOwner | null {
  try {
    if (runtimeName() === "deno") {
      const { isSocket, uid } = Deno.statSync(path);
      return { isSocket: isSocket === true, uid };
    }
    const fs = builtin<{ statSync(path: string): { isSocket(): boolean; uid: number } }>("fs");
    const stat = fs?.statSync(path);
    return stat === undefined ? null : { isSocket: stat.isSocket(), uid: stat.uid };
  } catch {
    return null;
  }
}

/** The user that this script runs as; `null` when that can't be told. */
export function ownUid(): number | null {
  try {
    if (runtimeName() === "deno") {
      return isGranted({ name: "sys", kind: "uid" }) ? Deno.uid() : null;
    }
    return (nodeProcess() as { getuid?: () => number } | null)?.getuid?.() ?? null;
  } catch {
    return null;
  }
}

/** Serves HTTP on a free port of 127.0.0.1. The code for it is loaded by the first call. */
export async function serveLoopback(
  ...args: Parameters<typeof import("./http_server.ts").serveLoopback>
): Promise<HttpServer> {
  return await (await import("./http_server.ts")).serveLoopback(...args);
}

/** Why the system can't look at a path, in words; `null` when it can, or when it is the runtime that does not let it. */
export function pathProblem(path: string): string | null {
  try {
    if (runtimeName() === "deno") Deno.statSync(path);
    else builtin<{ statSync(path: string): unknown }>("fs")?.statSync(path);
    return null;
  } catch (error) {
    const { name, code } = error as { name?: string; code?: string };
    if (name === "NotCapable" || code === "ERR_ACCESS_DENIED") return null;
    switch (code) {
      case "ELOOP":
        return "its links lead in a circle";
      case "ENAMETOOLONG":
        return "it is too long";
      case "EACCES":
      case "EPERM":
        return "the system does not let this user read it";
      default:
        return code ?? "the system gives no reason";
    }
  }
}
