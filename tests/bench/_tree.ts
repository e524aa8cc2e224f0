/** What a process and all that it started cost; Linux only. */
import { readdirSync, readFileSync } from "node:fs";
import { below, parseStat, type ProcessEntry } from "../../src/platform/process_tree.ts";

const TICK_MS = 10;

/** Processor time of this process and of its children that have ended, in milliseconds. */
export function treeCpuMs(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /s, "").split(" ");
  // User and system time, first its own, then that of its children.
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field) * TICK_MS, 0);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/**
 * Megabytes that only a process and those below it hold, and how many they are. Pages of program files do not count:
 * whether they are private depends on what else runs the same program.
 */
export function privateMb(pid: number): { mb: number; processes: number } {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name))
    .map((name) => parseStat(read(`/proc/${name}/stat`)))
    .filter((entry): entry is ProcessEntry => entry !== null);
  const tree = [pid, ...below(pid, all).map((entry) => entry.pid)];
  let kb = 0;
  for (const each of tree) {
    for (
      const match of read(`/proc/${each}/smaps_rollup`).matchAll(
        /^(?:Private_Dirty|Swap): +(\d+) kB/gm,
      )
    ) {
      kb += Number(match[1]);
    }
  }
  return { mb: kb / 1024, processes: tree.length };
}

/** Watches a tree; the result is its peak. */
export function watchTree(pid: number, everyMs = 100): () => { mb: number; processes: number } {
  const peak = { mb: 0, processes: 0 };
  const look = () => {
    const now = privateMb(pid);
    peak.mb = Math.max(peak.mb, now.mb);
    peak.processes = Math.max(peak.processes, now.processes);
  };
  const timer = setInterval(look, everyMs);
  return () => {
    clearInterval(timer);
    return peak;
  };
}
