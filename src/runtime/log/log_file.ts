/**
 * The files of a log: opened, and put aside. Loaded when the first message is written.
 * @module
 */
import { delay } from "../../async.ts";
import { CodexError, PermissionDeniedError } from "../../errors/mod.ts";
import { fileSystem, isMissing, isTaken, leadsAway } from "../../platform/fs.ts";
import { type AppendFile, canRead, type FileSystem, isGranted } from "../../platform/mod.ts";
import { resolvePath } from "../../platform/paths.ts";

export const NEWLINE = 10;

/** A log open for appending. */
export interface OpenLog {
  /** The file. */
  handle: AppendFile;
  /** How many bytes it holds. */
  size: number;
  /** Whether it ends in the middle of a line, or that can't be told. */
  torn: boolean;
}

/** The files of this runtime. Throws where it has none. */
export function logFiles(): FileSystem {
  const files = fileSystem();
  if (files !== null) return files;
  throw new CodexError(
    "unsupported",
    "JsonlFileSink needs a file system, and this runtime offers none. Pass an EventSink of your own.",
  );
}

/** Opens a log, which is created with its directories; with `fresh`, `null` when it is there already. */
export async function openLog(
  files: FileSystem,
  path: string,
  fresh = false,
): Promise<OpenLog | null> {
  // Asked first, because opening would prompt on a terminal.
  if (!isGranted({ name: "write", path })) {
    throw new PermissionDeniedError("Recording the event log", [`--allow-write=${path}`]);
  }
  // The standard streams are links.
  if (leadsAway(path) && !path.startsWith("/dev/")) {
    throw new CodexError("unsupported", `The log ${path} is a link or no file: name a file.`);
  }
  const handle = await openOrCreate(files, path, fresh);
  if (handle === null) return null;
  const size = await handle.size();
  return { handle, size, torn: size > 0 && await files.lastByte(path, size) !== NEWLINE };
}

async function openOrCreate(
  files: FileSystem,
  path: string,
  fresh: boolean,
): Promise<AppendFile | null> {
  try {
    return await files.append(path, fresh);
  } catch (error) {
    if (isTaken(error)) return null;
    const parent = /^(.+)[/\\][^/\\]+$/.exec(path)?.[1];
    if (!isMissing(error) || parent === undefined) throw error;
    // Logs hold conversations.
    await files.makeDirectory(parent, true);
    return await files.append(path, fresh);
  }
}

/** On Deno a rename needs more than writing does. */
export function canRename(path: string): boolean {
  return canRead(path) && isGranted({ name: "write", path });
}

/** Does something with a file that may not be there. */
export async function unlessMissing(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** After so long who puts a log aside has died there, which takes milliseconds. */
const DEAD_MS = 10_000;

/** Puts a log of so many bytes aside, while no other program does that: of two at once, one would replace what the other has kept. */
export async function putAside(
  files: FileSystem,
  path: string,
  full: number,
  work: () => Promise<void>,
): Promise<void> {
  const lock = `${path}.lock`;
  const held = await openLog(files, lock, true);
  if (held === null) {
    await delay(5);
    const age = Date.now() - await files.modifiedMs(lock).catch(Date.now);
    // Below zero when the clock was set back.
    if (Math.abs(age) > DEAD_MS) await unlessMissing(files.removeFile(lock));
    return;
  }
  try {
    if ((await files.size(path) ?? 0) >= full) await work();
  } finally {
    await held.handle.close();
    await unlessMissing(files.removeFile(lock));
  }
}

/** When the last work on a path ends. */
const working = new Map<string, Promise<unknown>>();

/** Does something when all that this process did with the path before is over. */
export async function alone<T>(path: string, work: () => Promise<T>): Promise<T> {
  const place = resolvePath("/", path);
  const done = (working.get(place) ?? Promise.resolve()).then(work);
  const over = done.catch(() => {});
  working.set(place, over);
  try {
    return await done;
  } finally {
    if (working.get(place) === over) working.delete(place);
  }
}
