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

/** What threads were told last, by this process. */
const told: Map<string, string> = new Map();
/** Threads that are remembered. */
const MAX_TOLD = 10_000;
/** Files of threads that are looked through. */
const MAX_BYTES = 16 << 20;

/** Tells a thread its session's instructions unless it has them: with what it was begun, or `from` the one that it goes on. */
export async function tellInstructions(
  core: RuntimeCore,
  from: string | null,
  threadId: string,
  text: string,
): Promise<void> {
  if (!supports(core.server.version, "injectItems")) return;
  const last = from === null ? text : told.get(from);
  if (last === undefined ? !await isTold(core, from!, text) : last !== text) {
    const content = [{ type: "input_text", text }];
    const items = [{ type: "message", role: "developer", content }];
    await core.call("thread/inject_items", { threadId, items });
  }
  told.set(threadId, text);
  keepNewest(told, MAX_TOLD);
}

/** Whether the file of a thread tells it, where this script may read that. */
async function isTold(core: RuntimeCore, threadId: string, text: string): Promise<boolean> {
  if (isRemote(core.config)) return false;
  const read = core.call("thread/read", { threadId, includeTurns: false });
  const path = stringOf(await read.catch(() => null), "thread", "path");
  const files = fileSystem();
  if (path === null || files === null || !canRead(path)) return false;
  if ((await files.size(path) ?? 0) > MAX_BYTES) return false;
  const bytes = await files.read(path).catch(() => new Uint8Array());
  return new TextDecoder().decode(bytes).includes(`"text":${JSON.stringify(text)}`);
}
