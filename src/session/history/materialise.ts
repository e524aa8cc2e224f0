/**
 * Puts a stored thread where codex looks for it.
 *
 * Each file is written aside and put in place by one rename, so that codex sees it whole or not at all, whenever this process
 * is killed. What is written is for its owner only, never through a link, and never over the file of another thread.
 * @module
 */
import { ThreadInUseError } from "../../errors/mod.ts";
import { asList, isJsonObject } from "../../json.ts";
import { type FileSystem, realPath } from "../../platform/mod.ts";
import { isRefusal, supports } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { folderOf, isFileOf, readStored } from "./rollout.ts";
import { threadStoreError } from "./thread_store.ts";

/** What is compared at once. */
const CHUNK_BYTES = 1 << 20;
/** What is this old was left behind by a process that was killed. */
const LEFTOVER_AGE_MS = 10 * 60_000;
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
    const { count, name } = await writeParts(files, stored, parts);
    const mine = parts.filter(({ file }) => isFileOf(file, threadId));
    const { behind, stale } = await compare(files, home, mine);
    if (behind.length + stale.length > 0) await assertNotLoaded(core, threadId);
    // Codex 0.145 and later index what they read: more of it is seen, something else has to be forgotten first.
    if (stale.length > 0) await forget(core, threadId);
    for (const part of parts) {
      const path = `${home}/${part.file}`;
      const there = await files.size(path) !== null;
      // A file that goes on where the store ends has what is stored next; another thread's is that thread's.
      if (there && !stale.includes(part) && !behind.includes(part)) continue;
      await files.rename(part.temporary, path);
      await files.syncDirectory(folderOf(path)).catch(() => {});
    }
    const last = parts.at(-1);
    return { count, name, file: last?.file ?? null, bytes: last?.bytes ?? 0 };
  } finally {
    for (const { temporary } of parts) await files.removeFile(temporary).catch(() => {});
  }
}

/** Writes what is stored beside where it belongs. */
async function writeParts(
  files: FileSystem,
  { home, lines }: { home: string; lines: AsyncIterable<string> },
  parts: Part[],
): Promise<{ count: number; name: string | null }> {
  let count = 0;
  let name: string | null = null;
  let out: Awaited<ReturnType<FileSystem["append"]>> | null = null;
  let buffered: string[] = [];
  let size = 0;
  const write = async () => {
    if (buffered.length === 0) return;
    const bytes = new TextEncoder().encode(buffered.join(""));
    await out!.append(bytes);
    parts.at(-1)!.bytes += bytes.length;
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
      buffered.push(`${read.line}\n`);
      size += read.line.length;
      if (size > CHUNK_BYTES) await write();
    }
    await write();
  } finally {
    await out?.close();
  }
  return { count, name };
}

/** Which files are there and end before what is stored, and which hold something else. */
async function compare(
  files: FileSystem,
  home: string,
  parts: Part[],
): Promise<{ behind: Part[]; stale: Part[] }> {
  const found: { behind: Part[]; stale: Part[] } = { behind: [], stale: [] };
  for (const part of parts) {
    const path = `${home}/${part.file}`;
    const size = await files.size(path);
    if (size === null) continue;
    assertNoLink(home, part.file);
    if (!await sameUpTo(Math.min(size, part.bytes), files, path, part.temporary)) {
      found.stale.push(part);
    } else if (size < part.bytes) found.behind.push(part);
  }
  return found;
}

async function sameUpTo(
  end: number,
  files: FileSystem,
  one: string,
  other: string,
): Promise<boolean> {
  for (let at = 0; at < end; at += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, end - at);
    const [a, b] = [await files.readAt(one, at, length), await files.readAt(other, at, length)];
    if (a.length !== b.length || a.some((byte, n) => byte !== b[n])) return false;
  }
  return true;
}

/** A codex that has the thread in memory would go on with that. */
async function assertNotLoaded(core: RuntimeCore, threadId: string): Promise<void> {
  const loaded = await core.callNow("thread/loaded/list", {});
  if (isJsonObject(loaded) && asList(loaded["data"]).includes(threadId)) {
    throw new ThreadInUseError(threadId, { data: { reason: "loadedAndOlder" } });
  }
}

/** Lets codex forget what it knows of the thread; 0.169 refuses while forks of it are there. */
async function forget(core: RuntimeCore, threadId: string): Promise<void> {
  if (!supports(core.server.version, "deleteThread")) return;
  await core.callNow("thread/delete", { threadId }).catch((error) => {
    if (!isRefusal(error, "threadGone")) throw error;
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
  const [root, real] = [realPath(home), realPath(`${home}/${below}`)];
  if (root === null || real === null) return;
  const plain = (path: string) => path.replaceAll("\\", "/").replace(/\/$/, "");
  if (plain(real) === `${plain(root)}/${below}`) return;
  throw threadStoreError(
    `${home}/${below} is a link or leads through one, and is left alone.`,
    undefined,
    false,
  );
}
