/** Each thing that is measured runs in a process of its own, on the runtime of the benchmark. */
import { spawn } from "node:child_process";
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ROOT } from "../_codex.ts";
import { PEERS_HOME } from "./_peers.ts";
import type { ProducerPlan } from "./_producer.ts";
import { watchTree } from "./_tree.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const onDeno = "Deno" in globalThis;

/** Which runtime is measured. */
export const RUNTIME: string = onDeno ? "deno" : "Bun" in globalThis ? "bun" : "node";

/** How to run a script on this runtime. */
export function command(script: string): string[] {
  return onDeno
    ? [process.execPath, "run", "-A", "--no-check", "--quiet", "--v8-flags=--expose-gc", script]
    : [process.execPath, script];
}

/** A program that behaves like codex and floods. */
export async function fakeCodex(): Promise<string> {
  const path = join(ROOT, ".cache", "bench", `fake-codex-${RUNTIME}`);
  await mkdir(dirname(path), { recursive: true });
  const words = command(join(HERE, "_producer.ts")).map((word) => `'${word}'`).join(" ");
  await writeFile(path, `#!/bin/sh\nexec ${words} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

/** What a measured process is told. */
export interface Task {
  /** What it does. */
  variant: string;
  /** What the fake codex does. */
  plan?: ProducerPlan;
  /** Watches the memory of the process and of all below it. */
  watchTree?: boolean;
  /** Anything else. */
  // deno-lint-ignore no-explicit-any
  [option: string]: any;
}

/** Runs a script of this directory, or one that uses peers, and returns the JSON of its last line. */
// deno-lint-ignore no-explicit-any
export async function child(script: string, task: Task): Promise<any> {
  const peers = script.startsWith("_peer");
  let path = join(HERE, script);
  if (peers) {
    // Beside its packages, so that it finds them.
    path = join(PEERS_HOME, script);
    await copyFile(join(HERE, script), path);
  }
  const [program, ...args] = [...command(path), JSON.stringify(task)];
  const env = {
    ...process.env,
    ROOT,
    CODEX: await fakeCodex(),
    BENCH: JSON.stringify(task.plan ?? { count: 0 }),
  };
  return await new Promise((resolve, reject) => {
    const running = spawn(program!, args, {
      cwd: peers ? PEERS_HOME : ROOT,
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const tree = task.watchTree === true ? watchTree(running.pid!) : null;
    let output = "";
    running.stdout.on("data", (chunk) => output += String(chunk));
    const limit = setTimeout(() => running.kill("SIGKILL"), 300_000);
    running.once("close", (code, signal) => {
      clearTimeout(limit);
      try {
        const result = JSON.parse(output.trimEnd().split("\n").at(-1)!);
        resolve(tree === null ? result : { ...result, tree: tree() });
      } catch {
        tree?.();
        reject(
          new Error(`${script} ${task.variant}: ${signal ?? code}, ${output.slice(-500)}`),
        );
      }
    });
  });
}
