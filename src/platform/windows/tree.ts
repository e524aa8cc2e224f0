/**
 * Ending a process and what it started on Windows, which has no process groups to signal: the system's own tool walks the
 * tree, and finds it only while the root of it lives.
 * @module
 */
import { runSync } from "../run_sync.ts";
import { spawnProcess } from "../process.ts";
import { windowsSystemProgram } from "./programs.ts";

const tool = (pid: number): { command: string; args: string[] } => ({
  command: windowsSystemProgram("taskkill.exe"),
  args: ["/pid", String(pid), "/t", "/f"],
});

/** Ends the tree; `false` when it could not be ended as a whole, as without permission to start the tool. */
export async function killWindowsTree(pid: number): Promise<boolean> {
  try {
    const child = await spawnProcess(tool(pid));
    const { code } = await child.exited;
    await child.release({ drainMs: 0 });
    return code === 0;
  } catch {
    return false;
  }
}

/** The same, for exit handlers. */
export function killWindowsTreeNow(pid: number): boolean {
  const { command, args } = tool(pid);
  return runSync(command, args) !== null;
}
