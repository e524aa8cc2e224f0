/**
 * Nothing that we started outlives the script.
 *
 * Whatever ends a script (a signal, a crash, even SIGKILL), the operating system closes its end of the
 * child's stdin, and codex leaves on that. This hook covers what that does not: a child that is stuck when
 * the script ends by itself. Signals are left alone on purpose: a listener would change how the user's own
 * script dies.
 * @module
 */
import { blockFor, nodeProcess, readTextFile, runtimeName } from "./runtime.ts";
import type { ChildProcess } from "./process_types.ts";

const living = new Set<ChildProcess>();
let removeHook: (() => void) | undefined;

const STEP_MS = 10;
const STEPS = 20;

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
  for (const child of living) {
    child.closeStdin();
    if (!child.kill("SIGTERM", { tree: true })) child.kill("SIGTERM");
  }
  for (let step = 0; step < STEPS && [...living].some(mayRun); step++) blockFor(STEP_MS);
  for (const child of living) {
    if (!mayRun(child)) continue;
    if (!child.kill("SIGKILL", { tree: true })) child.kill("SIGKILL");
  }
}

/** False only for a process that certainly ended and waits to be reaped, which can't happen in an exit handler. */
function mayRun(child: ChildProcess): boolean {
  const stat = readTextFile(`/proc/${child.pid}/stat`);
  return stat === null || !/\) [ZX] /.test(stat);
}
