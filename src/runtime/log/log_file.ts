/**
 * The few operations on a growing file, on Deno, Bun and Node. On Deno all of them but renaming need only write
 * permission.
 * @module
 */
import { CodexError, PermissionDeniedError } from "../../errors/mod.ts";
import { builtin, canRead, isGranted, runtimeName } from "../../platform/mod.ts";

/** A file open for appending. */
export interface LogFile {
  /** How many bytes it held when it was opened. */
  readonly size: number;
  /** Whether it ends in the middle of a line, or that can't be told. */
  readonly torn: boolean;
  /** How many bytes it holds now. */
  sizeNow(): Promise<number>;
  /** Adds all of the bytes at its end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Closes it. */
  close(): Promise<void>;
}

/** Growing files and their rotation. */
export interface LogFiles {
  /** Opens a file, which is created with its directories; with `fresh`, `null` when it is there already. */
  open(path: string, fresh?: boolean): Promise<LogFile | null>;
  /** Whether this script may rename the file. */
  canRename(path: string): boolean;
  /** Renames a file; does nothing when it is not there. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; does nothing when it is not there. */
  remove(path: string): Promise<void>;
}

interface NodeHandle {
  stat(): Promise<{ size: number }>;
  read(into: Uint8Array, at: number, length: number, from: number): Promise<{ bytesRead: number }>;
  writeFile(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

interface NodeFs {
  open(path: string, flags: string, mode: number): Promise<NodeHandle>;
  mkdir(path: string, options: { recursive: true; mode: number }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string): Promise<void>;
}

/** Logs hold conversations: they are for their owner only. */
const MODE = 0o600;
const DIRECTORY_MODE = 0o700;
const NEWLINE = 10;

/** The operations of the runtime this runs on. */
export function logFiles(): LogFiles {
  if (runtimeName() === "deno") return denoFiles();
  const fs = builtin<NodeFs>("node:fs/promises");
  if (fs !== null) return nodeFiles(fs);
  throw new CodexError(
    "unsupported",
    "JsonlFileSink needs a file system, and this runtime offers none. Pass an EventSink of your own.",
  );
}

function denoFiles(): LogFiles {
  return {
    open: async (path, fresh = false) => {
      // Asked first, because opening would prompt on a terminal.
      if (!isGranted({ name: "write", path })) {
        throw new PermissionDeniedError("Recording the event log", [`--allow-write=${path}`]);
      }
      const open = () =>
        Deno.open(path, { append: true, create: true, createNew: fresh, mode: MODE });
      const file = await opened(
        open,
        (parent) => Deno.mkdir(parent, { recursive: true, mode: DIRECTORY_MODE }),
        path,
      );
      if (file === null) return null;
      // `stat` of an open file needs read permission, seeking does not.
      const sizeNow = () => file.seek(0, Deno.SeekMode.End);
      const size = await sizeNow();
      return {
        size,
        torn: size > 0 && !(canRead(path) && await endsLine(path, size)),
        sizeNow,
        append: async (bytes) => {
          for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
        },
        close: () => Promise.resolve(file.close()),
      };
    },
    canRename: (path) => canRead(path) && isGranted({ name: "write", path }),
    rename: (from, to) => unlessMissing(Deno.rename(from, to)),
    remove: (path) => unlessMissing(Deno.remove(path)),
  };
}

function nodeFiles(fs: NodeFs): LogFiles {
  return {
    open: async (path, fresh = false) => {
      const open = () => fs.open(path, fresh ? "ax" : "a", MODE);
      const file = await opened(
        open,
        (parent) => fs.mkdir(parent, { recursive: true, mode: DIRECTORY_MODE }),
        path,
      );
      if (file === null) return null;
      const { size } = await file.stat();
      return {
        size,
        torn: size > 0 && !await endsLineOnNode(fs, path, size),
        sizeNow: async () => (await file.stat()).size,
        append: (bytes) => file.writeFile(bytes),
        close: () => file.close(),
      };
    },
    canRename: () => true,
    rename: (from, to) => unlessMissing(fs.rename(from, to)),
    remove: (path) => unlessMissing(fs.rm(path)),
  };
}

async function endsLine(path: string, size: number): Promise<boolean> {
  try {
    const file = await Deno.open(path);
    try {
      const last = new Uint8Array(1);
      await file.seek(size - 1, Deno.SeekMode.Start);
      return await file.read(last) === 1 && last[0] === NEWLINE;
    } finally {
      file.close();
    }
  } catch {
    return false;
  }
}

async function endsLineOnNode(fs: NodeFs, path: string, size: number): Promise<boolean> {
  try {
    const file = await fs.open(path, "r", MODE);
    try {
      const last = new Uint8Array(1);
      const { bytesRead } = await file.read(last, 0, 1, size - 1);
      return bytesRead === 1 && last[0] === NEWLINE;
    } finally {
      await file.close();
    }
  } catch {
    return false;
  }
}

/** Opens; when the directory is missing, creates it and opens again. */
async function opened<File>(
  open: () => Promise<File>,
  makeDirectory: (path: string) => Promise<unknown>,
  path: string,
): Promise<File | null> {
  try {
    return await open();
  } catch (error) {
    if (says(error, "EEXIST", "AlreadyExists")) return null;
    const parent = /^(.+)[/\\][^/\\]+$/.exec(path)?.[1];
    if (!isMissing(error) || parent === undefined) throw error;
    await makeDirectory(parent);
    return await open();
  }
}

async function unlessMissing(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

function isMissing(error: unknown): boolean {
  return says(error, "ENOENT", "NotFound");
}

function says(error: unknown, code: string, name: string): boolean {
  const { code: actual, name: named } = error as { code?: unknown; name?: unknown };
  return actual === code || named === name;
}
