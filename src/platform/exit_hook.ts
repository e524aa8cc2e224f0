/**
 * Nothing that we started outlives the script.
 *
 * Whatever ends a script (a signal, a crash, even SIGKILL), the operating system closes its end of the
 * child's stdin, and codex leaves on that. This hook covers what that does not: a child that is stuck when
 * the script ends by itself. Signals are left alone on purpose: a listener would change how the user's own
 * script dies.
 * @module
 */
import { blockFor, nodeProcess, platformName, readTextFile, runtimeName } from "./runtime.ts";
import { runSync } from "./run_sync.ts";
import { killWindowsTreeNow } from "./windows/tree.ts";
import type { ChildProcess } from "./process_types.ts";

const living = new Set<ChildProcess>();
let removeHook: (() => void) | undefined;

/** Pauses between the looks at what still runs, in milliseconds: 200 in all. */
const PAUSES = [5, 5, 10, 20, 40, 60, 60];

/** Ends the process when the script ends. The result forgets it again. */
export function endWithScript(child: ChildProcess): () => void {
  living.add(child);
  removeHook ??= installHook();
  return () => {
    living.delete(child);
    if (living.size > 0) return;
    removeHook?.();
    removeHook = undefined;
  };
}

function installHook(): () => void {
  if (runtimeName() === "deno") {
    globalThis.addEventListener("unload", endAll);
    return () => globalThis.removeEventListener("unload", endAll);
  }
  const process = nodeProcess();
  process?.on("exit", endAll);
  return () => process?.off("exit", endAll);
}

/** SIGTERM, a short wait, SIGKILL. Synchronous: nothing can be awaited while a script ends. */
function endAll(): void {
  const windows = platformName() === "win32";
  for (const child of living) {
    child.closeStdin();
    // Windows knows no signal that asks; the end of stdin is what asks there.
    if (!windows && !child.kill("SIGTERM", { tree: true })) child.kill("SIGTERM");
  }
  for (const pause of PAUSES) {
    if (![...living].some(mayRun)) break;
    blockFor(pause);
  }
  for (const child of living) {
    if (!mayRun(child)) continue;
    if (windows) killWindowsTreeNow(child.pid);
    if (!child.kill("SIGKILL", { tree: true })) child.kill("SIGKILL");
  }
}

/** False only for a process that certainly ended; it can't be reaped in an exit handler. */
function mayRun(child: ChildProcess): boolean {
  switch (platformName()) {
    case "linux": {
      const stat = readTextFile(`/proc/${child.pid}/stat`);
      return stat === null || !/\) [ZX] /.test(stat);
    }
    case "darwin": {
      const state = runSync("/bin/ps", ["-p", String(child.pid), "-o", "state="]);
      return state === null || !state.trimStart().startsWith("Z");
    }
    case "win32":
      return runtimeName() === "deno" || processExists(child.pid);
    default:
      return true;
  }
}

/** Bun and Node: signal 0 asks whether there is such a process. */
function processExists(pid: number): boolean {
  try {
    return nodeProcess()?.kill(pid, 0) ?? true;
  } catch {
    return false;
  }
}
