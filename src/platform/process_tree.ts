/**
 * What a process has started, as far as the system tells: on Linux, where the script may read `/proc`; on macOS, where it
 * may start `/bin/ps`. A killed codex can't end its own commands any more, and they are in sessions of their own.
 * @module
 */
import { runSync } from "./run_sync.ts";
import { listDirectory, platformName, readTextFile, signalProcess } from "./runtime.ts";

/** One running process. */
export interface ProcessEntry {
  /** The process id. */
  pid: number;
  /** Its parent. */
  parent: number;
  /** When it started, in the system's own words: with the pid it names one process for certain. */
  startTime: string;
}

/** Reads the fields that matter from a line of `/proc/<pid>/stat`, or `null` when it is none. */
export function parseStat(text: string): ProcessEntry | null {
  // The name may hold spaces and parentheses; what follows the last one is plain.
  const end = text.lastIndexOf(")");
  const pid = Number.parseInt(text, 10);
  const fields = text.slice(end + 2).split(" ");
  const parent = Number(fields[1]);
  const startTime = fields[19];
  if (end < 0 || !Number.isInteger(pid) || !Number.isInteger(parent) || startTime === undefined) {
    return null;
  }
  return { pid, parent, startTime };
}

const PS = "/bin/ps";
const PS_FIELDS = ["-o", "pid=,ppid=,lstart="];

/** Reads the lines of `ps` with the fields that matter; what is none of them is passed by. */
export function parsePs(text: string): ProcessEntry[] {
  return text.split("\n").flatMap((line) => {
    const fields = /^\s*(\d+)\s+(\d+)\s+(\S.*?)\s*$/.exec(line);
    if (fields === null) return [];
    return [{ pid: Number(fields[1]), parent: Number(fields[2]), startTime: fields[3]! }];
  });
}

/** What is known about one process, or `null`. */
export function processEntry(pid: number): ProcessEntry | null {
  if (platformName() === "darwin") {
    return parsePs(runSync(PS, ["-p", String(pid), ...PS_FIELDS]) ?? "")[0] ?? null;
  }
  const stat = readTextFile(`/proc/${pid}/stat`);
  return stat === null ? null : parseStat(stat);
}

/** All processes below `pid`; empty when the system does not tell. */
export function descendants(pid: number): ProcessEntry[] {
  if (platformName() === "darwin") {
    return below(pid, parsePs(runSync(PS, ["-ax", ...PS_FIELDS]) ?? ""));
  }
  const all = listDirectory("/proc").filter((name) => /^\d+$/.test(name))
    .map((name) => processEntry(Number(name))).filter((entry) => entry !== null);
  return below(pid, all);
}

/** The entries whose chain of parents leads to `pid`. */
export function below(pid: number, all: readonly ProcessEntry[]): ProcessEntry[] {
  const found: ProcessEntry[] = [];
  const parents = new Set([pid]);
  for (let grown = true; grown;) {
    grown = false;
    for (const entry of all) {
      if (parents.has(entry.parent) && !parents.has(entry.pid)) {
        parents.add(entry.pid);
        found.push(entry);
        grown = true;
      }
    }
  }
  return found;
}

/** Ends those that are still the same processes. */
export function killEntries(entries: readonly ProcessEntry[]): void {
  for (const { pid, startTime } of entries) {
    if (processEntry(pid)?.startTime === startTime) signalProcess(pid, "SIGKILL");
  }
}
