/**
 * What the model wrote for a change of files. Codex up to 0.145 lists the changes of a patch by path: of several to one file it
 * tells the last, wherever the others move the file to, and makes all of them. The thread's own file has the whole patch.
 * @module
 */
import { delay } from "../../async.ts";
import { isJsonObject, type JsonObject, type JsonValue, stringOf } from "../../json.ts";
import { fileSystem } from "../../platform/fs.ts";
import { type Call, textThere } from "./server_text.ts";

/** A change of files that codex asks about. */
export interface AskedPatch {
  /** The thread. */
  threadId: string;
  /** The call, by the model's own id. */
  callId: string;
  /** How many changes the server tells. */
  told: number;
}

/** Where a thread's file is looked for. */
export interface ThreadFiles {
  /** The file, where it is known already. */
  path: string | null;
  /** Whether the file is on this machine. */
  local: boolean;
  /** Asks the server. */
  call: Call;
  /** Aborted when the answer is not wanted any more. */
  signal: AbortSignal;
}

/** The end of a file that is looked at: what is asked about has just been written there. */
const TAIL_BYTES = 4 * 1024 * 1024;
/** Codex writes the call down while it asks. */
const FIRST_WAIT_MS = 5;
const LAST_WAIT_MS = 2000;

const NEWER = "Codex 0.150 and later tell all of it.";
const CONCEALED = `The patch has more changes than this codex tells of. ${NEWER}`;
const UNKNOWN =
  `This codex may tell only a part of a patch, and what the model wrote could not be read. ${NEWER}`;

/** Why the patch may do more than the server tells of it, or `null` when it does not. Never rejects. */
export async function concealed(patch: AskedPatch, files: ThreadFiles): Promise<string | null> {
  try {
    const path = files.path ?? await pathOf(patch.threadId, files.call);
    if (path === null) return UNKNOWN;
    for (let wait = FIRST_WAIT_MS; wait <= LAST_WAIT_MS; wait *= 2) {
      // A thread's file comes with its first turn.
      const text = await endOf(path, files).catch(() => "");
      const calls = openCalls(text, patch.callId);
      if (calls.length > 0) {
        return calls.every((call) => sectionsOf(call) === patch.told) ? null : CONCEALED;
      }
      await delay(wait, files.signal);
    }
  } catch {
    // Nobody can tell.
  }
  return UNKNOWN;
}

async function pathOf(threadId: string, call: Call): Promise<string | null> {
  return stringOf(await call("thread/read", { threadId }), "thread", "path");
}

async function endOf(path: string, { local, call }: ThreadFiles): Promise<string> {
  const files = local ? fileSystem() : null;
  const size = await files?.size(path) ?? null;
  if (files === null || size === null) {
    return await textThere(call, path).catch(() => tailThere(call, path)) ?? "";
  }
  const bytes = await files.readAt(path, Math.max(0, size - TAIL_BYTES), TAIL_BYTES);
  return new TextDecoder().decode(bytes);
}

/**
 * Codex before 0.125 reads no file for a client, but runs a program: it finds no sandbox for it where npm has installed codex,
 * and one in the system's own place is not the agent's.
 */
async function tailThere(call: Call, path: string): Promise<string | null> {
  const result = await call("command/exec", {
    command: ["/usr/bin/tail", "-c", String(TAIL_BYTES / 8), path],
    cwd: "/",
    timeoutMs: 5000,
    sandboxPolicy: { type: "dangerFullAccess" },
  });
  return stringOf(result, "stdout");
}

/** The calls of this id that have no answer yet: ids recur. */
export function openCalls(rollout: string, callId: string): JsonObject[] {
  const calls: JsonObject[] = [];
  for (const line of rollout.split("\n").reverse()) {
    const item = line.includes('"call_id"') ? responseItem(line) : null;
    if (item === null || item["call_id"] !== callId) continue;
    if (String(item["type"]).endsWith("_output")) break;
    calls.push(item);
  }
  return calls;
}

function responseItem(line: string): JsonObject | null {
  const { type, payload } = parsed(line) as JsonObject;
  return type === "response_item" && isJsonObject(payload) ? payload : null;
}

/** A line may have been cut, or be written at this moment. */
function parsed(text: string): JsonValue {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** In how many places a call changes a file; what only looks like one counts as well. */
export function sectionsOf(call: JsonObject): number {
  const args = call["arguments"];
  // Codex reads them with a parser of its own: what this one can't read has no section that counts.
  const whole = typeof args === "string" ? { ...call, arguments: parsed(args) } : call;
  // The blanks before a section are looked for from its stars: from each of them, the rest of the blanks would be read again.
  return textsIn(whole).reduce(
    (sum, text) =>
      sum +
      text.split(/\*{3}(?<=^[\s\u0085]*\*{3}) *(?:Add|Delete|Update) File:/im).length - 1,
    0,
  );
}

function textsIn(value: JsonValue | undefined): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null
    ? Object.values(value).flatMap((each) => textsIn(each))
    : [];
}
