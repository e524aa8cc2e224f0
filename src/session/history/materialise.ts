/**
 * Puts a stored thread where codex looks for it.
 *
 * Each file is written aside and put in place by one rename, so that codex sees it whole or not at all, whenever this process
 * is killed. What is written is for its owner only, never through a link, and over the file of another thread only where it
 * begins with all of that.
 * @module
 */
import { messageOf, ThreadInUseError, UnsupportedError } from "../../errors/mod.ts";
import { asList, joinBytes, memberOf, stringOf } from "../../json.ts";
import { fileSystem, isLinked } from "../../platform/fs.ts";
import type { FileSystem } from "../../platform/mod.ts";
import { compareVersions, featureSince, isRefusal, supports } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { firstLine, folderOf, isFileOf, modeOf, readStored, rolloutFile } from "./rollout.ts";
import { threadStoreError } from "./thread_store.ts";

/** What is compared at once. */
const CHUNK_BYTES = 1 << 20;
/** What is this old was left behind by a process that was killed. */
const LEFTOVER_AGE_MS = 10 * 60_000;
/** The thread in a file's name. */
const THREAD = /[\da-f]{8}(?:-[\da-f]{4,12}){4}/;
const LEFTOVER = /^\.codex-runtime-[0-9a-f-]{36}\.part$/;

/** What was put in place. */
export interface MaterialisedThread {
  /** How many lines the store holds. */
  count: number;
  /** The last file. */
  file: string | null;
  /** How many of its bytes are stored. */
  bytes: number;
  /** What the thread is called. */
  name: string | null;
  /** What was there instead, and is given up; `null` when nothing is lost. */
  givenUp: string | null;
}

interface Part {
  file: string;
  temporary: string;
  bytes: number;
}

/** Puts the files of a thread below codex's home. A file that is there and goes on where the store ends is kept. */
export async function materialise(
  core: RuntimeCore,
  files: FileSystem,
  stored: { home: string; threadId: string; lines: AsyncIterable<string> },
): Promise<MaterialisedThread> {
  const { home, threadId } = stored;
  const parts: Part[] = [];
  try {
    const { count, name } = await writeParts(core.server.version, files, stored, parts);
    const mine = parts.filter(({ file }) => isFileOf(file, threadId));
    const found = await compare(files, home, mine);
    const { behind, stale } = found;
    // A thread that was taken back goes on in a file of its own: here while the store went on with the old one, or in the
    // store while this codex knows only the old one.
    const known = behind.length > 0 || mine.length > 1 ? await knownFile(core, threadId) : null;
    const part = mine.find(({ file }) => file === known);
    const elsewhere = behind.length > 0 && part === undefined ? known : null;
    if (elsewhere !== null) stale.push(...behind.splice(0));
    if (part !== undefined && part !== mine.at(-1) && !stale.includes(part)) {
      stale.push(part);
      const size = await files.size(`${home}/${part.file}`) ?? 0;
      if (size > part.bytes) {
        found.lost += await linesFrom(part.bytes, size, files, `${home}/${part.file}`);
      }
    }
    const { lost } = found;
    if (behind.length + stale.length > 0) await assertNotLoaded(core, threadId);
    // Of what a fork is based on this machine may have less: codex would refuse the fork.
    const bases = await compare(files, home, parts.filter((each) => !mine.includes(each)));
    for (const base of bases.behind) {
      const id = THREAD.exec(base.file)?.[0];
      if (id === undefined) continue;
      await assertNotLoaded(core, id);
      behind.push(base);
    }
    // Codex 0.145 and later index what they read: more of it is seen, something else has to be forgotten first.
    if (stale.length > 0) await forget(core, threadId);
    for (const part of parts) {
      const path = `${home}/${part.file}`;
      const there = await files.size(path) !== null;
      // A file that goes on where the store ends has what is stored next; another thread's with other lines is that thread's.
      if (there && !stale.includes(part) && !behind.includes(part)) continue;
      await files.rename(part.temporary, path);
      await files.syncDirectory(folderOf(path)).catch(() => {});
    }
    const last = parts.at(-1);
    const givenUp = elsewhere !== null
      ? `its file ${elsewhere}, in which it had been taken back`
      : lost > 0
      ? `${lost} ${lost === 1 ? "line" : "lines"} of its file`
      : null;
    return { count, name, file: last?.file ?? null, bytes: last?.bytes ?? 0, givenUp };
  } finally {
    for (const { temporary } of parts) await files.removeFile(temporary).catch(() => {});
  }
}

/** The file in which this codex goes on with the thread, if it knows it. */
async function knownFile(core: RuntimeCore, threadId: string): Promise<string | null> {
  return rolloutFile(await pathOf(core, threadId));
}

/** Empty where there is none. */
async function pathOf(core: RuntimeCore, threadId: string): Promise<string> {
  const read = await core.callNow("thread/read", { threadId, includeTurns: false })
    .catch(() => null);
  return stringOf(read, "thread", "path") ?? "";
}

/** Rejects a thread with which this codex would go on in a way that its writer reads no more, where that can be read. */
export async function assertGoesOn(core: RuntimeCore, threadId: string): Promise<void> {
  const files = fileSystem();
  const path = await pathOf(core, threadId);
  // Codex may be on another machine.
  if (await files?.size(path)) {
    assertReadable(core.server.version, await firstLine(files!, path));
  }
}

/** Rejects a file that this codex reads, and would write to in a way that its writer reads no more. */
function assertReadable(version: string, firstLine: string): void {
  const { mode, writer } = modeOf(firstLine);
  if (mode === "legacy") return;
  const what = `resumeSession of a thread that codex ${writer ?? ""} wrote as "${mode}"`;
  if (mode === "paginated") {
    if (supports(version, "pagedThreads")) return;
    throw new UnsupportedError(what, featureSince("pagedThreads"), version);
  }
  if (writer !== null && compareVersions(version, writer) < 0) {
    throw new UnsupportedError(what, writer, version);
  }
}

/** Writes what is stored beside where it belongs. */
async function writeParts(
  version: string,
  files: FileSystem,
  { home, lines }: { home: string; lines: AsyncIterable<string> },
  parts: Part[],
): Promise<{ count: number; name: string | null }> {
  let count = 0;
  let name: string | null = null;
  let out: Awaited<ReturnType<FileSystem["append"]>> | null = null;
  let buffered: Uint8Array[] = [];
  let size = 0;
  const write = async () => {
    if (buffered.length === 0) return;
    await out!.append(joinBytes(buffered));
    parts.at(-1)!.bytes += size;
    buffered = [];
    size = 0;
  };
  try {
    for await (const line of lines) {
      count++;
      const read = readStored(line);
      if (read.type === "name") name = read.name;
      if (read.type === "file") {
        await write();
        await out?.close();
        out = null;
        const directory = folderOf(`${home}/${read.file}`);
        await files.makeDirectory(directory, true);
        assertNoLink(home, folderOf(read.file));
        await removeLeftovers(files, directory);
        const temporary = `${directory}/.codex-runtime-${crypto.randomUUID()}.part`;
        parts.push({ file: read.file, temporary, bytes: 0 });
        out = await files.append(temporary, true);
      }
      if (read.type !== "content") continue;
      if (out === null) {
        throw threadStoreError("The store holds lines of no file.", undefined, false);
      }
      if (parts.at(-1)!.bytes === 0 && size === 0) assertReadable(version, read.line);
      buffered.push(read.bytes);
      size += read.bytes.length;
      if (size > CHUNK_BYTES) await write();
    }
    await write();
  } finally {
    await out?.close();
  }
  return { count, name };
}

/** Which files are there and end before what is stored, and which hold something else: how many lines of those are lost. */
async function compare(
  files: FileSystem,
  home: string,
  parts: Part[],
): Promise<{ behind: Part[]; stale: Part[]; lost: number }> {
  const found: { behind: Part[]; stale: Part[]; lost: number } = { behind: [], stale: [], lost: 0 };
  for (const part of parts) {
    const path = `${home}/${part.file}`;
    const size = await files.size(path);
    if (size === null) continue;
    assertNoLink(home, part.file);
    const same = await sameUpTo(Math.min(size, part.bytes), files, path, part.temporary);
    if (same < Math.min(size, part.bytes)) {
      found.stale.push(part);
      found.lost += await linesFrom(same, size, files, path);
    } else if (size < part.bytes) found.behind.push(part);
  }
  return found;
}

/** Up to where two files are the same, at most `end`. */
async function sameUpTo(
  end: number,
  files: FileSystem,
  one: string,
  other: string,
): Promise<number> {
  for (let at = 0; at < end; at += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, end - at);
    const [a, b] = [await files.readAt(one, at, length), await files.readAt(other, at, length)];
    const differs = a.findIndex((byte, n) => byte !== b[n]);
    if (differs >= 0 || a.length < length) return at + (differs >= 0 ? differs : a.length);
  }
  return end;
}

/** How many lines of a file end after a byte, one that has no end included. */
async function linesFrom(
  from: number,
  size: number,
  files: FileSystem,
  path: string,
): Promise<number> {
  let count = 0;
  let ended = false;
  for (let at = from; at < size; at += CHUNK_BYTES) {
    const bytes = await files.readAt(path, at, Math.min(CHUNK_BYTES, size - at));
    for (const byte of bytes) if (byte === 0x0A) count++;
    ended = bytes.at(-1) === 0x0A;
  }
  return ended ? count : count + 1;
}

/** A codex that has the thread in memory would go on with that. */
async function assertNotLoaded(core: RuntimeCore, threadId: string): Promise<void> {
  const loaded = await core.callNow("thread/loaded/list", {});
  if (asList(memberOf(loaded, "data")).includes(threadId)) {
    throw new ThreadInUseError(threadId, { data: { reason: "loadedAndOlder" } });
  }
}

/** Lets codex forget what it knows of the thread; 0.169 refuses while forks of it are there. */
async function forget(core: RuntimeCore, threadId: string): Promise<void> {
  if (!supports(core.server.version, "deleteThread")) return;
  await core.callNow("thread/delete", { threadId }).catch((error) => {
    if (isRefusal(error, "threadGone")) return;
    if (!/forked history/.test(messageOf(error))) throw error;
    throw threadStoreError(
      "The thread went on elsewhere, and codex keeps what it knows of it here: for forks of the thread, which have to be deleted before. " +
        "Or resume it on another machine.",
      error,
      false,
    );
  });
}

async function removeLeftovers(files: FileSystem, directory: string): Promise<void> {
  for (const name of await files.list(directory) ?? []) {
    if (!LEFTOVER.test(name)) continue;
    try {
      const path = `${directory}/${name}`;
      if (Date.now() - await files.modifiedMs(path) > LEFTOVER_AGE_MS) await files.removeFile(path);
    } catch {
      // Another process was first.
    }
  }
}

/** Who may write to codex's home may have put a link there: what is written must not be elsewhere. */
function assertNoLink(home: string, below: string): void {
  if (!isLinked(home, below)) return;
  throw threadStoreError(
    `${home}/${below} is a link or leads through one, and is left alone.`,
    undefined,
    false,
  );
}
