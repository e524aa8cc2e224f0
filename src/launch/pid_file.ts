/**
 * A file that remembers the processes we own, so that the next start can end what an earlier script left behind when it
 * had no chance to: one whose codex was stuck while the script was killed.
 *
 * Only what is certainly ours is ended: the pid must still belong to the process with the recorded start time, and the
 * script that owned it must be gone. Windows tells no start times, so that nothing is ended there.
 *
 * Loaded for a configuration that names one.
 * @module
 */
import { PermissionDeniedError, SpawnError } from "../errors/mod.ts";
import { leadsAway } from "../platform/fs.ts";
import {
  descendants,
  endLeftSandboxes,
  isGranted,
  killEntries,
  nodeProcess,
  platformName,
  processEntry,
  readTextFile,
  removePath,
  runtimeName,
  signalProcess,
  writeTextFile,
} from "../platform/mod.ts";

/** One process of one script. */
export interface PidRecord {
  /** The process. */
  pid: number;
  /** Names the process for certain, together with the pid; `null` where the system does not tell. */
  identity: string | null;
  /** The script that started it. */
  ownerPid: number;
  /** Names the script for certain. */
  ownerIdentity: string | null;
}

/** What to do with a record. */
export type PidVerdict = "reap" | "keep" | "forget";

/** Decides about a record from who lives now; pure. */
export function judgeRecord(
  record: PidRecord,
  identityOf: (pid: number) => string | null,
): PidVerdict {
  const identity = identityOf(record.pid);
  if (identity === null || record.identity === null || identity !== record.identity) {
    return "forget";
  }
  const owner = identityOf(record.ownerPid);
  // Another script's codex, in use.
  if (record.ownerIdentity === null || owner === record.ownerIdentity) return "keep";
  return "reap";
}

/** Ends what earlier scripts left behind; the number of processes ended. */
export function reapLeftovers(path: string): number {
  requireAccess(path);
  let reaped = 0;
  const text = readTextFile(path);
  const done = recordsIn(text).filter((record) => {
    const verdict = judgeRecord(record, processIdentity);
    if (verdict === "forget") endSandboxesOf(record);
    if (verdict !== "reap") return verdict === "forget";
    const below = descendants(record.pid);
    if (!signalProcess(record.pid, "SIGKILL")) return false;
    killEntries(below);
    reaped++;
    return true;
  });
  if (text !== null) strike(path, text, done);
  return reaped;
}

/** A codex that ended with its script may have left a sandbox that it was just starting. */
function endSandboxesOf({ pid, identity, ownerPid, ownerIdentity }: PidRecord): void {
  if (ownerIdentity === null || processIdentity(ownerPid) === ownerIdentity) return;
  const [boot, startTime] = identity?.split("/") ?? [];
  if (startTime === undefined || boot !== bootId()) return;
  endLeftSandboxes({ pid, parent: ownerPid, session: pid, startTime });
}

/** Remembers a process of this script. The result forgets it again. */
export function rememberProcess(path: string, pid: number): () => void {
  const ownerPid = runtimeName() === "deno" ? Deno.pid : nodeProcess()?.pid ?? 0;
  const identity = processIdentity(pid);
  const ownerIdentity = processIdentity(ownerPid);
  const own: PidRecord = { pid, identity, ownerPid, ownerIdentity };
  const isThere = () => recordsIn(readTextFile(path)).some((record) => isSame(record, own));
  // Again when another script has just removed the file, which it took for one that nobody needs.
  for (let tries = 0; tries < 3 && !isThere(); tries++) write(path, [own], true);
  return () => {
    try {
      const text = readTextFile(path);
      if (text !== null) strike(path, text, [own]);
    } catch {
      // A record that stays behind does no harm: its process is gone.
    }
  };
}

/** Names a process beyond its pid: the boot and the moment that it started in. `null` when unknown. */
export function processIdentity(pid: number): string | null {
  const start = processEntry(pid)?.startTime;
  // A date, which no later boot repeats.
  if (platformName() === "darwin") return start ?? null;
  const boot = bootId();
  return boot === undefined || start === undefined ? null : `${boot}/${start}`;
}

function bootId(): string | undefined {
  return readTextFile("/proc/sys/kernel/random/boot_id")?.trim();
}

function requireAccess(path: string): void {
  const missing: string[] = [];
  if (!isGranted({ name: "read", path })) missing.push(`--allow-read=${path}`);
  if (!isGranted({ name: "write", path })) missing.push(`--allow-write=${path}`);
  if (missing.length > 0) throw new PermissionDeniedError(`The pid file ${path}`, missing);
  if (leadsAway(path)) {
    throw new SpawnError(`The pid file ${path} is a link or no file: name a file.`);
  }
}

/** In a file that several scripts use, each only adds lines: whoever rewrote it would lose what another one has just added. */
interface PidLine extends PidRecord {
  /** The record of the same process is done with. */
  gone?: boolean;
}

/** Characters of a file from which on it is rewritten all the same. */
const MAX_CHARACTERS = 65_536;

/** The records that are not done with; what can't be read is passed over. */
function recordsIn(text: string | null): PidRecord[] {
  const lines = (text ?? "").split("\n").flatMap((line): PidLine[] => {
    try {
      const parsed: unknown = JSON.parse(line);
      return Array.isArray(parsed) ? parsed.filter(isRecord) : [];
    } catch {
      return [];
    }
  });
  const gone = lines.filter((line) => line.gone === true);
  return lines.filter((line) => !gone.some((each) => isSame(each, line)));
}

function isSame(a: PidRecord, b: PidRecord): boolean {
  return a.pid === b.pid && a.identity === b.identity;
}

/** Notes that records are done with, in a file that held `text`; removes it when it holds no others. */
function strike(path: string, text: string, done: readonly PidRecord[]): void {
  const rest = recordsIn(text).filter((record) => !done.some((each) => isSame(each, record)));
  const small = text.length < MAX_CHARACTERS;
  if (rest.length > 0 && small) {
    if (done.length > 0) write(path, done.map((record) => ({ ...record, gone: true })), true);
  } else if (readTextFile(path) === text) {
    if (rest.length === 0) removePath(path);
    else write(path, rest, false);
  }
}

function isRecord(value: unknown): value is PidRecord {
  const record = value as Partial<PidRecord> | null;
  return typeof record?.pid === "number" && record.pid > 1 && typeof record.ownerPid === "number";
}

function write(path: string, records: readonly PidLine[], append: boolean): void {
  // What was revoked since the start would be asked for, on a terminal.
  requireAccess(path);
  try {
    // A line that was cut, by a full disk, stays the only one that can't be read.
    writeTextFile(path, `\n${JSON.stringify(records)}\n`, append);
  } catch (cause) {
    throw new SpawnError(`The pid file ${path} can't be written.`, { cause });
  }
}
