/** Asking a program of the system while nothing can be awaited. @module */
import { builtin, canRun, runtimeName } from "./runtime.ts";

interface NodeSpawnSync {
  spawnSync(
    command: string,
    args: string[],
    options: Record<string, unknown>,
  ): { status: number | null; stdout: string | null };
}

const LIMIT_MS = 2_000;

/** What a program prints, or `null` when it may not be started, fails, or takes too long. Needs its full path. */
export function runSync(command: string, args: string[]): string | null {
  try {
    if (runtimeName() === "deno") {
      if (!canRun(command)) return null;
      const { code, stdout } = new Deno.Command(command, {
        args,
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).outputSync();
      return code === 0 ? new TextDecoder().decode(stdout) : null;
    }
    const { status, stdout } = builtin<NodeSpawnSync>("child_process")!.spawnSync(command, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: LIMIT_MS,
      windowsHide: true,
    });
    return status === 0 ? stdout ?? "" : null;
  } catch {
    return null;
  }
}
