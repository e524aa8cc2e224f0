/**
 * Child processes, the same on every runtime: bytes out of two pipes, text into one, an exit, a kill.
 * @module
 */
import { SpawnError } from "../errors/mod.ts";
import { canSpawn, currentDirectory, platformName, runtimeName } from "./runtime.ts";
import { spawnDenoProcess } from "./deno_process.ts";
import { spawnNodeProcess } from "./node_process.ts";
import type { ChildProcess, ProcessSpec } from "./child_process.ts";

/**
 * Starts a process.
 *
 * Rejects with `SpawnError` (not found, not executable, no such cwd, or a runtime that has no processes)
 * or `PermissionDeniedError` (Deno, naming the missing flag). It never prompts.
 */
export function spawnProcess(spec: ProcessSpec): Promise<ChildProcess> {
  if (!canSpawn()) {
    return Promise.reject(
      new SpawnError(
        `A ${runtimeName() === "browser" ? "browser" : "worker"} cannot start codex. ` +
          `Connect to a running server with \`transport: { type: "websocket", url, token }\`, ` +
          `or talk to a server-side \`web.createBridge\`.`,
        { data: { reason: "noProcesses", runtime: runtimeName() } },
      ),
    );
  }
  const from = startDirectory(spec.cwd);
  const placed = from === undefined ? spec : { ...spec, cwd: from };
  return runtimeName() === "deno" ? spawnDenoProcess(placed) : spawnNodeProcess(placed);
}

/** Nothing starts in a directory that was removed, as happens to scripts that outlive a release of themselves. */
function startDirectory(cwd: string | undefined): string | undefined {
  if (cwd !== undefined || currentDirectory() !== null) return cwd;
  return platformName() === "win32" ? undefined : "/";
}
