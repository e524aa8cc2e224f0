/** Runs an example as a reader would: by a command of its header, word for word, while somebody types. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { bunPath, nodePath, ROOT } from "../_codex.ts";

/** What happens to a running example: when its output has this, since the last time. */
export type Step = [
  when: RegExp,
  act: (running: Running, found: RegExpExecArray) => void | Promise<void>,
];

/** An example that runs. */
export interface Running {
  /** Types a line. */
  type(line: string): void;
  /** Ends the input. */
  end(): void;
  signal(name: "SIGINT" | "SIGTERM"): void;
}

/** Where this Deno keeps what it downloaded, so that an example need not do so again. */
const DENO_DIR: string = JSON.parse(
  execFileSync(process.execPath, ["info", "--json"], { encoding: "utf8" }),
).denoDir;

/** The commands in the header of an example, by its path in the checkout. */
export function commands(path: string): string[] {
  const [header] = readFileSync(join(ROOT, path), "utf8").split("*/");
  const found = [...header!.matchAll(/^ \* {5}((?:deno|bun|node|npx) .*)$/gm)];
  assert.ok(found.length > 0, `the header of ${path} names no command`);
  return found.map(([, line]) => line!);
}

/** Runs the words of a command, and does what the steps say meanwhile. */
export async function play(
  words: string[],
  cwd: string,
  given: Record<string, string>,
  steps: Step[] = [],
): Promise<{ code: number; output: string }> {
  const [name, ...args] = words;
  const program = { deno: process.execPath, bun: await bunPath(), node: await nodePath() }[name!];
  assert.ok(program, name);
  const child = spawn(
    program,
    args.map((arg) => arg.replace(/^(?:\.\/)?(?=(?:examples|tests)\/)/, `${ROOT}/`)),
    {
      cwd,
      env: { ...process.env, DENO_DIR, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...given },
      stdio: "pipe",
    },
  );
  const running: Running = {
    type: (text) => void child.stdin.write(`${text}\n`),
    end: () => void child.stdin.end(),
    // child.kill() would have Deno take any end for one by that signal.
    signal: (name) => void process.kill(child.pid!, name),
  };
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
  let output = "";
  let at = 0;
  let acting = Promise.resolve();
  let broken: unknown;
  const waiting = steps.values();
  let step = waiting.next();
  const look = async () => {
    while (!step.done) {
      const [when, act] = step.value;
      const found = when.exec(output.slice(at));
      if (found === null) return;
      at += found.index + found[0].length;
      step = waiting.next();
      await act(running, found);
    }
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      acting = acting.then(look).catch((error) => {
        broken ??= error;
        child.kill("SIGKILL");
      });
    });
  }
  if (steps.length === 0) child.stdin.end();
  const code = await ended;
  await acting;
  if (broken !== undefined) throw new Error(`a step failed:\n${output}`, { cause: broken });
  assert.ok(step.done, `it ended before ${step.done ? "" : step.value[0]}:\n${output}`);
  return { code, output };
}
