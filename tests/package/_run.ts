/** Runs programs as a user would, and keeps what they print. */
import { execFile } from "node:child_process";
import process from "node:process";

/** How a program is run. */
export interface RunOptions {
  cwd: string;
  /** The whole environment. Default: this process's own. */
  env?: Record<string, string>;
  /** Milliseconds until it is killed. Default 60,000. */
  timeoutMs?: number;
}

/** How a program ended. */
export interface RunResult {
  code: number;
  /** What it printed, errors last. */
  output: string;
  stdout: string;
}

/** Runs a program without stdin. */
export function run(program: string, args: string[], options: RunOptions): Promise<RunResult> {
  const { cwd, env = process.env, timeoutMs = 60_000 } = options;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      {
        cwd,
        env: { ...env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
        timeout: timeoutMs,
        maxBuffer: 16 << 20,
        shell: process.platform === "win32" && program === "npm",
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        const killed = error?.killed === true ? `\nended after ${timeoutMs} ms` : "";
        resolve({ code, output: stdout + stderr + killed, stdout });
      },
    );
    child.stdin?.end();
  });
}

/** Like {@linkcode run}; rejects with everything that was printed unless the program succeeds. */
export async function succeed(
  program: string,
  args: string[],
  options: RunOptions,
): Promise<RunResult> {
  const result = await run(program, args, options);
  if (result.code !== 0) {
    throw new Error(`${program} ${args.join(" ")}: exit code ${result.code}\n${result.output}`);
  }
  return result;
}
