/**
 * A thread as a store holds it: the lines of codex's own files, and between them what belongs to no file.
 *
 * ```text
 * #codex "0.169.0"                               who wrote what follows
 * #file "sessions/2026/11/28/rollout-….jsonl"    the file of the lines that follow
 * {"timestamp":…}                                a line of it, as codex wrote it
 * #turn "…"                                      somebody begins to write; whoever reads older lines has lost the thread
 * #name "Fix the login"                          what the thread is called
 * #bytes "eyJ0e…"                                a line that a crash or a full disk has cut, in base64
 * ```
 *
 * A fork, and a thread that was taken back, begin with the files that they are based on. Where
 * codex keeps its files, below its home, is known here too.
 * @module
 */
import { base64, numberOf, objectOf, parseObject, stringOf } from "../../json.ts";
import { threadStoreError } from "./thread_store.ts";
import type { FileSystem } from "../../platform/mod.ts";

/** A line of a stored thread. */
export type StoredLine =
  | { type: "file"; file: string }
  | { type: "name"; name: string }
  | { type: "other" }
  | { type: "content"; line: string; bytes: Uint8Array };

/** Where codex keeps a thread below its home; a name without a separator can't climb. */
const ROLLOUT = /^sessions\/\d{4}\/\d{2}\/\d{2}\/rollout-[0-9A-Za-z_-]{1,200}\.jsonl$/;

/** A line that is not of codex's files. */
export function marker(
  type: "codex" | "file" | "turn" | "name" | "bytes",
  value: string,
): string {
  return `#${type} ${JSON.stringify(value.toWellFormed())}`;
}

/** Reads a stored line; throws what can't be one. Lines of types that are not known yet are passed over. */
export function readStored(line: string): StoredLine {
  // A store may be anybody's: `exec` makes a text of what is none.
  if (typeof line === "string" && line.startsWith("{")) {
    return { type: "content", line, bytes: new TextEncoder().encode(`${line}\n`) };
  }
  // A name may hold U+2028, which JSON leaves as it is and a dot does not take.
  const [, type, json] = /^#([a-z]+) (".*")$/s.exec(line) ?? [];
  let value: unknown;
  try {
    value = json === undefined ? undefined : JSON.parse(json);
    if (type === "bytes") {
      const bytes = Uint8Array.from(`${atob(String(value))}\n`, (char) => char.charCodeAt(0));
      return { type: "content", line: "", bytes };
    }
  } catch {
    // Told below.
  }
  if (typeof value !== "string") {
    throw threadStoreError("The store holds a line that is none of a thread's.", undefined, false);
  }
  if (type === "name") return { type, name: value };
  if (type !== "file") return { type: "other" };
  if (!ROLLOUT.test(value)) {
    throw threadStoreError(
      "The store names a file that is not below codex's sessions; it is left alone.",
      undefined,
      false,
    );
  }
  return { type, file: value };
}

/** The path of a thread's file below codex's home; `null` when it is somewhere else. */
export function rolloutFile(path: string): string | null {
  const plain = path.replaceAll("\\", "/");
  const at = plain.lastIndexOf("/sessions/");
  const file = at < 0 ? "" : plain.slice(at + 1);
  return ROLLOUT.test(file) ? file : null;
}

/** The directory of a file. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")));
}

/** Whether a file is of this thread. */
export function isFileOf(file: string, threadId: string): boolean {
  return file.endsWith(`-${threadId}.jsonl`) || file.includes(`-${threadId}_`);
}

/** What a file is based on: another one up to a byte. */
export interface RolloutBase {
  /** A thread, or one of the files in which a thread goes on after it was taken back. */
  threadId: string;
  endByte: number;
  endOrdinal: number;
}

/** Whether a file may be what another one is based on. */
export function isBase(file: string, { threadId }: RolloutBase): boolean {
  return isFileOf(file, threadId) || file.endsWith(`_${threadId}.jsonl`);
}

/** What a file's first line says it is based on; `null` when it is whole by itself. Codex 0.169; older ones copy. */
export function baseOf(firstLine: string): RolloutBase | null {
  const base = objectOf(parseObject(firstLine), "payload", "history_base");
  const threadId = stringOf(base, "thread_id");
  const endByte = numberOf(base, "end_byte_offset");
  const endOrdinal = numberOf(base, "end_ordinal_exclusive");
  if (threadId === null || endByte === null || endOrdinal === null) return null;
  return { threadId, endByte, endOrdinal };
}

/** How a file's first line says that the file is written, and by which codex. */
export function modeOf(firstLine: string): { mode: string; writer: string | null } {
  const payload = objectOf(parseObject(firstLine), "payload");
  return {
    mode: stringOf(payload, "history_mode") ?? "legacy",
    writer: stringOf(payload, "cli_version"),
  };
}

/** The number that codex gave a line, or `null`. */
export function ordinalOf(line: string): number | null {
  return numberOf(parseObject(line), "ordinal");
}

/** The turn whose end a line says, or `null`. */
export function endedTurn(line: string): string | null {
  if (!line.includes('"task_complete"')) return null;
  const payload = objectOf(parseObject(line), "payload");
  return stringOf(payload, "type") === "task_complete" ? stringOf(payload, "turn_id") : null;
}

/** Whole lines at the beginning of some bytes, as they are stored, and how many bytes they are. */
export function wholeLines(bytes: Uint8Array): { lines: string[]; length: number } {
  const length = bytes.lastIndexOf(NEWLINE) + 1;
  const lines: string[] = [];
  for (let from = 0; from < length;) {
    const end = bytes.indexOf(NEWLINE, from);
    lines.push(storedLine(bytes.subarray(from, end)));
    from = end + 1;
  }
  return { lines, length };
}

/** One that is cut, maybe within a character, is kept as it is: codex passes over it, and what follows counts its bytes. */
function storedLine(bytes: Uint8Array): string {
  try {
    const line = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (line.startsWith("{")) return line;
  } catch {
    // It is no text.
  }
  return marker("bytes", base64(bytes));
}

const NEWLINE = 10;

/** The error for a thread's file that is not as codex writes it. */
export function damaged(how: string): Error {
  return threadStoreError(`The thread's file ${how}`, undefined, false);
}

/** The files of all threads below codex's home, the newest days first. */
export async function* rolloutsBelow(files: FileSystem, home: string): AsyncGenerator<string> {
  const below = async (path: string, name = /^\d+$/) =>
    (await files.list(`${home}${path}`) ?? []).filter((each) => name.test(each)).sort().reverse();
  for (const year of await below("sessions")) {
    for (const month of await below(`sessions/${year}`)) {
      for (const day of await below(`sessions/${year}/${month}`)) {
        const folder = `sessions/${year}/${month}/${day}`;
        for (const name of await below(folder, /^rollout-/)) {
          const file = rolloutFile(`${home}${folder}/${name}`);
          if (file !== null) yield file;
        }
      }
    }
  }
}

/** The first line of a file, which says what it is based on; empty when it has no end. */
export async function firstLine(files: FileSystem, path: string): Promise<string> {
  for (let room = 1 << 16;; room *= 4) {
    const bytes = await files.readAt(path, 0, room);
    const end = bytes.indexOf(0x0A);
    if (end >= 0) return new TextDecoder().decode(bytes.subarray(0, end));
    if (bytes.length < room) return "";
  }
}
