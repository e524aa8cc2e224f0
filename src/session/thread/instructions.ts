/**
 * Instructions of a thread that goes on. Codex from 0.116 on tells the model those that the thread was begun with, and others only
 * after the next compaction.
 * @module
 */
import { keepNewest, stringOf } from "../../json.ts";
import { canRead } from "../../platform/mod.ts";
import { fileSystem } from "../../platform/fs.ts";
import { supports } from "../../protocol/mod.ts";
import { isRemote, type RuntimeCore } from "../../runtime/mod.ts";

/** What threads were told last, by this process; `begun`: with what they were begun, which is never taken back. */
const told: Map<string, { text: string; begun: boolean }> = new Map();
/** Threads that are remembered. */
const MAX_TOLD = 10_000;
/** Files of threads that are looked through. */
const MAX_BYTES = 16 << 20;

/**
 * Tells a thread its session's instructions unless it has them: with what it was begun, or `from` the one that it goes on, which
 * maybe not as a whole (`cut`).
 */
export async function tellInstructions(
  core: RuntimeCore,
  from: string | null,
  threadId: string,
  text: string,
  cut = false,
): Promise<void> {
  if (!supports(core.server.version, "injectItems")) return;
  const last = from === null
    ? { text, begun: true }
    : told.get(from) ?? await toldInFile(core, from, text);
  const hasIt = last?.text === text && (last.begun || !cut);
  if (!hasIt) {
    const content = [{ type: "input_text", text }];
    const items = [{ type: "message", role: "developer", content }];
    await core.call("thread/inject_items", { threadId, items });
  }
  told.set(threadId, hasIt ? last : { text, begun: false });
  keepNewest(told, MAX_TOLD);
}

/** What the file of a thread tells of it, where this script may read that. */
async function toldInFile(
  core: RuntimeCore,
  threadId: string,
  text: string,
): Promise<{ text: string; begun: boolean } | null> {
  if (isRemote(core.config)) return null;
  const read = core.call("thread/read", { threadId, includeTurns: false });
  const path = stringOf(await read.catch(() => null), "thread", "path");
  const files = fileSystem();
  if (path === null || files === null || !canRead(path)) return null;
  if ((await files.size(path) ?? 0) > MAX_BYTES) return null;
  const file = new TextDecoder().decode(await files.read(path).catch(() => new Uint8Array()));
  const at = file.indexOf(`"text":${JSON.stringify(text)}`);
  return at < 0 ? null : { text, begun: !file.slice(0, at).includes('"task_complete"') };
}
