/** Real programs as hooks: what they are told, what their end means, and that nothing of them stays. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, watch } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { HookBlockedError, InvalidArgumentError } from "../../src/errors/mod.ts";
import { HookRun } from "../../src/plugin/hook_run.ts";
import { mergeHooks } from "../../src/plugin/validate.ts";
import {
  ShellCommandHook,
  type ShellCommandHookOptions,
} from "../../src/plugin/shell_command_hook.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

function runOf(hook: ShellCommandHook): HookRun {
  const pre = hook.phases?.every((phase) => phase.startsWith("post")) ? [] : [hook];
  const post = hook.phases?.every((phase) => phase.startsWith("pre")) ? [] : [hook];
  return new HookRun(mergeHooks({ pre, post }), { cwd: "/w" });
}

function shell(command: string | string[], options: ShellCommandHookOptions = {}): HookRun {
  return runOf(new ShellCommandHook("sh", command, { timeoutMs: 20_000, ...options }));
}

test("a shell hook reads the context from stdin and changes the prompt", async () => {
  const run = shell(
    `grep -q '"phase":"preTurn"' && printf '{"type":"mutate","patch":{"prompt":"new"}}'`,
  );
  assert.equal((await run.pre("preTurn", { prompt: "old" })).prompt, "new");
  assert.deepEqual(run.report.issues, []);
});

test("a shell hook's exit status 0 with no output continues, 2 blocks with its words", async () => {
  assert.equal((await shell("exit 0").pre("preTurn", { prompt: "p" })).prompt, "p");
  await assert.rejects(
    shell("echo 'too risky' >&2; exit 2").pre("preTurn", {}),
    (error: unknown) => error instanceof HookBlockedError && error.reason === "too risky",
  );
  assert.deepEqual(await shell("printf no; exit 2").toolPre({ toolName: "git" }), {
    type: "block",
    reason: "no",
    hookName: "sh",
  });
});

if (process.platform !== "win32") {
  test("no sh that PATH has first answers for a hook, such as one that an agent wrote", async () => {
    await using dir = await tempDir("shadow-");
    await writeFile(join(dir.path, "sh"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    const env = { PATH: `${dir.path}:${process.env["PATH"]}` };
    for (const command of ["exit 2", ["/bin/sh", "-c", "exit 2"]]) {
      await assert.rejects(shell(command, { env }).pre("preTurn", {}), HookBlockedError);
    }
  });
}

test("a failing shell hook blocks and its stderr is in the issue", async () => {
  const run = shell("echo 'cannot reach the vault' >&2; exit 3");
  await assert.rejects(run.pre("preTurn", {}), HookBlockedError);
  assert.equal(run.report.issues[0]?.class, "execution");
  assert.match(run.report.issues[0]?.message ?? "", /status 3; stderr ends with: cannot reach/);
  const ended = shell(["/bin/sh", "-c", "kill -9 $$"]);
  assert.equal((await ended.toolPre({})).type, "block");
  assert.match(ended.report.issues[0]?.message ?? "", /was ended by SIGKILL/);
  const missing = shell(["codex-runtime-no-such-program"]);
  assert.equal((await missing.toolPre({})).type, "block");
  const lenient = shell("exit 3", { onError: "continue" });
  assert.deepEqual(await lenient.toolPre({}), { type: "continue" });
  assert.equal(lenient.report.issues.length, 1);
});

test("a shell hook that prints no action fails instead of meaning continue", async () => {
  const run = shell("echo all good");
  await assert.rejects(run.pre("preTurn", {}), HookBlockedError);
  assert.match(run.report.issues[0]?.message ?? "", /not JSON/);
  const misspelt = shell(`printf '{"type":"deny"}'`);
  await assert.rejects(misspelt.pre("preTurn", {}), HookBlockedError);
  assert.equal(misspelt.report.issues[0]?.class, "validation");
});

test("a list of arguments is passed without any shell", async () => {
  await using dir = await tempDir("hook-");
  const script = join(dir.path, 'it\'s a "hook".sh');
  await writeFile(script, `printf '%s' "$1" > out; cat > in; exit 0`);
  const run = shell(["sh", script, "$(touch pwned); 'x' \"y\""], { cwd: dir.path });
  await run.pre("preTurn", { prompt: "p" });
  assert.equal(readFileSync(join(dir.path, "out"), "utf8"), "$(touch pwned); 'x' \"y\"");
  assert.equal(JSON.parse(readFileSync(join(dir.path, "in"), "utf8")).prompt, "p");
  assert.equal(existsSync(join(dir.path, "pwned")), false);
});

test("a shell hook inherits the environment, and env adds to it", async () => {
  const run = shell(`[ -n "$PATH" ] && [ "$HOOK_MODE" = strict ] || exit 2`, {
    env: { HOOK_MODE: "strict" },
  });
  await run.pre("preTurn", {});
});

test("a program that is named by its path needs no shell in PATH", async () => {
  const run = shell(["/bin/sh", "-c", "exit 0"], { env: { PATH: "/nowhere" } });
  assert.equal((await run.pre("preTurn", { prompt: "p" })).prompt, "p");
});

test("a program gets variables whose names no shell has", async () => {
  const action = '{"type":"block","reason":"got it"}';
  for (const name of ["my-var", "app.name", "1st", "plain"]) {
    const run = shell(["printenv", name], { env: { [name]: action } });
    await assert.rejects(run.pre("preTurn", { prompt: "p" }), /got it/, name);
  }
});

test("the first line on a program's stdin is the context, however it was started", async () => {
  for (const env of [{}, { "my-var": "x" }, { PATH: "/nowhere" }]) {
    const run = shell(["/bin/sh", "-c", 'read -r line; case $line in "{"*) ;; *) exit 1;; esac'], {
      env,
    });
    assert.deepEqual(await run.toolPre({}), { type: "continue" }, JSON.stringify(env));
  }
});

test("the same shell hook works before and after a turn", async () => {
  await using dir = await tempDir("hook-");
  const run = shell(`cat >> log`, { cwd: dir.path });
  await run.pre("preTurn", { prompt: "p" });
  await run.post("postTurn", { status: "error", error: new Error("boom") });
  const lines = readFileSync(join(dir.path, "log"), "utf8").trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.deepEqual(lines.map((line) => line.phase), ["preTurn", "postTurn"]);
  assert.equal(lines[1].error.message, "boom");
  const bad = shell("exit 2", { phases: ["postTurn"] });
  await bad.post("postTurn", { status: "ok" });
  assert.deepEqual(bad.report.issues.map((i) => [i.phase, i.class]), [["postTurn", "execution"]]);
});

test("a shell hook that never reads a huge context still answers", async () => {
  const run = shell("exit 0");
  const prompt = "x".repeat(4_000_000);
  assert.equal((await run.pre("preTurn", { prompt })).prompt, prompt);
});

test("a shell hook that floods stdout is ended and fails", async () => {
  const run = shell("yes");
  await assert.rejects(run.pre("preTurn", {}), HookBlockedError);
  assert.match(run.report.issues[0]?.message ?? "", /more than 1048576 bytes/);
});

test("a shell hook's children do not outlive its time limit", async () => {
  await using dir = await tempDir("hook-");
  // The child ignores the polite signal and is not the direct child of ours.
  const run = shell(
    `sh -c 'trap "" TERM HUP; echo $$ > pid.new; mv pid.new pid; while :; do sleep 1; done' & wait`,
    { cwd: dir.path, timeoutMs: 1_000 },
  );
  const verdict = await run.toolPre({ toolName: "git" });
  assert.equal(verdict.type, "block");
  assert.equal(run.report.issues[0]?.class, "timeout");
  const pid = Number(readFileSync(join(dir.path, "pid"), "utf8"));
  await gone(pid);
});

test("aborting the call ends the hook's program", async () => {
  await using dir = await tempDir("hook-");
  const controller = new AbortController();
  const pidFile = join(dir.path, "pid");
  const watcher = watch(dir.path, () => {
    if (existsSync(pidFile)) controller.abort(new Error("left"));
  });
  const hook = new ShellCommandHook("s", `echo $$ > pid.new; mv pid.new pid; sleep 60`, {
    cwd: dir.path,
    timeoutMs: 20_000,
  });
  const run = new HookRun(mergeHooks({ pre: [hook] }), { signal: controller.signal });
  try {
    await assert.rejects(run.pre("preTurn", {}), /left/);
  } finally {
    watcher.close();
  }
  await gone(Number(readFileSync(pidFile, "utf8")));
});

// Both leave no time to end anything: Deno tells nobody of the first, and no runtime of the second.
for (const how of ["throw", "SIGKILL"]) {
  if (process.platform === "win32") continue;
  test(`a shell hook's program does not outlive a script that ends by ${how}`, async () => {
    await using dir = await tempDir("hook-");
    // Its children come and go while it is being ended.
    const command = `sh -c 'trap "" TERM HUP; echo $$ > "${dir.path}/pid.new"; ` +
      `mv "${dir.path}/pid.new" "${dir.path}/pid"; while :; do /bin/true; done' & wait`;
    const pidFile = join(dir.path, "pid");
    const runs = Promise.withResolvers<void>();
    const watcher = watch(dir.path, () => {
      if (existsSync(pidFile)) runs.resolve();
    });
    const script = startScript(how, command);
    await runs.promise;
    watcher.close();
    script.child.stdin!.end("now");
    await script.ended;
    await gone(Number(readFileSync(pidFile, "utf8")));
  });
}

test("a shell hook's program does not outlive a script that is killed while it starts", async () => {
  if (process.platform !== "linux") return;
  await using dir = await tempDir("hook-");
  for (let processes = 1; processes <= 2; processes++) {
    const { child, ended } = startScript("", `: "${dir.path}"; while :; do sleep 1; done`);
    const deadline = Date.now() + 20_000;
    while (childrenOf(child.pid!) < processes) {
      assert.ok(Date.now() < deadline, "no program was started");
      await new Promise((resolve) => setTimeout(resolve));
    }
    child.kill("SIGKILL");
    await ended;
    for (const pid of mentioning(dir.path)) await gone(pid);
  }
});

function startScript(how: string, command: string) {
  const script = fileURLToPath(new URL("./_hook_script.ts", import.meta.url));
  const args = [...(onDeno ? ["run", "-A", "--no-check"] : []), script, how, command];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "ignore", "ignore"] });
  return { child, ended: new Promise((resolve) => child.once("exit", resolve)) };
}

/** What a process has started, whichever of its threads did. */
function childrenOf(pid: number): number {
  const lists = readdirSync(`/proc/${pid}/task`).map((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8");
    } catch {
      return "";
    }
  });
  return lists.join("").split(" ").filter((each) => each !== "").length;
}

/** Processes with a text in their command line. */
function mentioning(text: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
    } catch {
      return false;
    }
  });
}

test("ShellCommandHook keeps its own limit when called by hand", async () => {
  const hook = new ShellCommandHook("s", ["sleep", "60"], { timeoutMs: 50 });
  const signal = new AbortController().signal;
  const at = new Date();
  await assert.rejects(
    hook.call({ phase: "preTurn", correlationId: "c", at, metadata: {} }, { signal }),
    { name: "TimeoutError" },
  );
});

test("ShellCommandHook refuses an empty command and a bad limit", () => {
  assert.throws(() => new ShellCommandHook("s", " "), InvalidArgumentError);
  assert.throws(() => new ShellCommandHook("s", []), InvalidArgumentError);
  assert.throws(() => new ShellCommandHook("s", "x", { timeoutMs: -1 }), InvalidArgumentError);
});

/** Waits until the process is gone or only waits to be reaped by init. */
async function gone(pid: number): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      process.kill(pid, 0);
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      if (/\) [ZX] /.test(stat)) return;
    } catch {
      return;
    }
    assert.ok(Date.now() < deadline, `process ${pid} still runs`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
