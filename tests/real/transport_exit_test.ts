import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { codexPath, nodePath } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { isRunning, whenGone } from "./_transport_world.ts";

const SCRIPT = fileURLToPath(new URL("./_transport_script.ts", import.meta.url));

/** Runs the script on this runtime until it has ended; the pid of the program that it started. */
async function run(
  args: string[],
  env: Record<string, string>,
  signal?: NodeJS.Signals,
  program: string = process.execPath,
): Promise<{ pid: number; code: number | null; signal: string | null }> {
  const isDeno = onDeno && program === process.execPath;
  const command = isDeno ? ["run", "-A", "--no-prompt", SCRIPT] : [SCRIPT];
  const script = spawn(program, [...command, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let text = "";
  script.stdout.on("data", (chunk) => {
    text += String(chunk);
    if (signal !== undefined && /pid \d+\n/.test(text)) script.kill(signal);
  });
  const end = await new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    script.once("exit", (code, signal) => resolve({ code, signal }))
  );
  script.stdout.destroy();
  const pid = Number(/pid (\d+)/.exec(text)?.[1]);
  assert.ok(pid > 0, `the script said: ${text}`);
  return { pid, ...end };
}

// Answers, and then ignores both the end of stdin and SIGTERM.
const STUCK = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"];

for (const how of ["exit", "end"]) {
  test(`a script that ends by ${how} takes even a stuck process along`, async () => {
    const { pid } = await run([how, ...STUCK], {});
    await whenGone(pid);
  });
}

// Deno has one order for all listeners of "unload".
for (const how of ["throw", "exit"]) {
  const runtime = onDeno ? "Node" : "Bun";
  test(`an older exit listener on ${runtime} that ${how}s leaves no stuck process`, async () => {
    const program = onDeno ? await nodePath() : process.execPath;
    const { pid, code } = await run([`${how} in listener`, ...STUCK], {}, undefined, program);
    await whenGone(pid);
    assert.equal(code, how === "exit" ? 9 : 1);
  });
}

// Ends with its stdin, and leaves a process in its group that ignores SIGTERM.
const LEAVES = [
  "sh",
  "-c",
  `sh -c 'trap "" TERM; echo $$ > "$LEFT"; echo up; while :; do sleep 0.05; done' & cat > /dev/null`,
];

for (const how of ["exit", "end"]) {
  if (process.platform !== "linux") continue;
  test(`a script that ends by ${how} takes along what its process leaves in groups`, async () => {
    await using dir = await tempDir();
    const left = join(dir.path, "left");
    // One script leaves it in its process's own group, the other in another one of the session, as MCP servers are.
    const program = how === "exit" ? LEAVES : ["bash", "-c", `set -m; ${LEAVES[2]}`];
    const { pid } = await run([how, ...program], { LEFT: left });
    await whenGone(pid);
    await whenGone(Number(await readFile(left, "utf8")));
  });
}

// Ends with its stdin, and leaves a command in a session of its own, as codex up to 0.145 does at SIGTERM, and the first
// process of a sandbox that was being started.
const STARTS = [
  "sh",
  "-c",
  `setsid sh -c 'trap "" TERM; echo $$ > "$LEFT"; echo up; while :; do sleep 0.05; done' & ` +
  "cat > /dev/null",
];

for (const how of ["exit", "end"]) {
  if (process.platform !== "linux") continue;
  test(`a script that ends by ${how} takes along what its process runs in other sessions`, async () => {
    await using dir = await tempDir();
    const left = join(dir.path, "left");
    const { pid } = await run([how, ...STARTS], { LEFT: left });
    await whenGone(pid);
    await whenGone(Number(await readFile(left, "utf8")));
  });
}

// Codex up to 0.145 ends its commands when its stdin ends, and ends without them at SIGTERM.
const LADDER = "trap 'echo term >> \"$LEFT\"; exit' TERM; echo up; while read line; do :; done; " +
  'n=0; while [ $n -lt 9999 ]; do n=$((n + 1)); done; echo end >> "$LEFT"; while :; do sleep 60; done';

for (const how of ["exit", "end"]) {
  test(`a script that ends by ${how} ends the stdin of its process, and then asks it to end`, async () => {
    await using dir = await tempDir();
    let told = "";
    // A script that ends waits 60 ms for what it has asked to end: on a busy machine that may hear of it too late.
    for (let tries = 0; tries < 5 && told !== "end\nterm\n"; tries++) {
      const left = join(dir.path, `left-${tries}`);
      const { pid } = await run([how, "sh", "-c", LADDER], { LEFT: left });
      await whenGone(pid);
      told = await readFile(left, "utf8").catch(() => "");
    }
    assert.equal(told, "end\nterm\n");
  });
}

for (const how of ["exit", "end", "throw", "reject"]) {
  test(`codex does not outlive a script that ends by ${how}`, async () => {
    await using home = await tempDir();
    const { pid, code } = await run([how, await codexPath(), "app-server"], {
      CODEX_HOME: home.path,
    });
    assert.equal(code, { exit: 3, end: 0, throw: 1, reject: 1 }[how]);
    await whenGone(pid);
  });
}

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
  test(`codex does not outlive a script that ${signal} ends`, async () => {
    await using home = await tempDir();
    const ended = await run(["wait", await codexPath(), "app-server"], {
      CODEX_HOME: home.path,
    }, signal);
    // Our hook has not changed how the user's script dies.
    assert.equal(ended.signal, signal);
    await whenGone(ended.pid);
    assert.equal(isRunning(ended.pid), false);
    await rm(home.path, { recursive: true, force: true, maxRetries: 5 });
  });
}
