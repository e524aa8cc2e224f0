/** What the transport tests ask the operating system. */
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

/** Whether a process runs; one that waits to be reaped does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return process.platform !== "linux";
  }
}

/** Stops a process; returns when none of its threads works any more: the others go on until one has taken the signal. */
export async function halt(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  if (process.platform !== "linux") return;
  const works = (thread: string) =>
    !/\) [TZX] /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8"));
  while (readdirSync(`/proc/${pid}/task`).some(works)) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Waits for the end of a process that is not our child, which only polling can tell. */
export async function whenGone(pid: number, withinMs = 30_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (isRunning(pid)) {
    if (performance.now() > deadline) throw new Error(`process ${pid} still runs`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
