/** The programs that each runtime runs against the published package, and what they print. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { NEWEST_CODEX } from "../_codex.ts";
import type { Machine } from "./_machine.ts";
import { run } from "./_run.ts";

/** What each program must print, in any order. */
export const PROGRAMS: Record<string, RegExp[]> = {
  quick_start: [/^- one\n- two\n- three 13$/m, /^asked: Summarize this repo in 3 bullets$/m],
  streaming: [
    /^command: 0 from the shell\ndelta: Hel\ndelta: lo\ndelta: \.$/m,
    /^text: Hello\..*commandExecution.* agentMessage$/m,
  ],
  approvals: [
    /^accept by rule$/m,
    /^decline by rule$/m,
    /^asked: command\naccept by handler$/m,
    /^completed: .*touch allowed\.txt.*\ndeclined: .*touch denied\.txt.*\ncompleted: .*touch asked\.txt/m,
  ],
  automation: [/^0 item 1\n1 item 2\n2 item 3\nstopped$/m],
  websocket: [
    new RegExp(`^${NEWEST_CODEX}\nYou said: Remember the word\nYou said: Say it$`, "m"),
  ],
};

/** How a runtime starts a program: its path, and what comes before the name of the program. */
export type Runner = [program: string, ...args: string[]];

/** Runs a program in `directory`, where the package is to be had as `specifier`. */
export async function runProgram(
  name: string,
  runner: Runner,
  directory: string,
  user: Machine,
  options: { specifier?: string; env?: Record<string, string> } = {},
): Promise<void> {
  const [program, ...args] = runner;
  const path = join(directory, `${name}.ts`);
  const text = await readFile(new URL(`programs/${name}.ts`, import.meta.url), "utf8");
  await Deno.writeTextFile(
    path,
    text.replaceAll('"@codex/runtime"', JSON.stringify(options.specifier ?? "@codex/runtime")),
  );
  const server = name === "websocket" ? await user.listen() : undefined;
  const more = server === undefined ? [] : [server.url, server.token];
  const env = { ...user.env, ...options.env };
  const { code, output } = await run(program, [...args, path, ...more], { cwd: directory, env });
  assert.equal(code, 0, output);
  for (const expected of PROGRAMS[name]!) assert.match(output, expected);
}
