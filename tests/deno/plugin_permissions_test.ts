/** What a shell hook needs of Deno, and what it does with less. */
import assert from "node:assert/strict";
import { HookRun } from "../../src/plugin/hook_run.ts";
import { mergeHooks } from "../../src/plugin/validate.ts";
import { ShellCommandHook } from "../../src/plugin/shell_command_hook.ts";
import { test } from "../_harness.ts";

function runOf(hook: ShellCommandHook): HookRun {
  return new HookRun(mergeHooks({ pre: [hook] }));
}

const scoped = { run: ["sh"], read: false, write: false, net: false, env: false, sys: false };

test(
  "a shell hook needs no more than --allow-run for the shell",
  { permissions: scoped },
  async () => {
    const run = runOf(new ShellCommandHook("s", "cat >/dev/null; echo stop; exit 2"));
    assert.deepEqual(await run.toolPre({}), { type: "block", reason: "stop", hookName: "s" });
  },
);

test(
  "a shell hook's program is ended at its limit under a scoped --allow-run too",
  { permissions: scoped },
  async () => {
    const run = runOf(new ShellCommandHook("s", "exec sleep 60", { timeoutMs: 50 }));
    assert.equal((await run.toolPre({})).type, "block");
    assert.equal(run.report.issues[0]?.class, "timeout");
  },
);

test(
  "a shell hook's program needs its own permission, and not the shell's",
  { permissions: { ...scoped, run: ["sh", "printenv"] } },
  async () => {
    const run = runOf(new ShellCommandHook("s", ["true"]));
    assert.equal((await run.toolPre({})).type, "block");
    assert.match(run.report.issues[0]?.message ?? "", /--allow-run=true/);
    await Deno.permissions.revoke({ name: "run", command: "sh" });
    const alone = runOf(new ShellCommandHook("s", ["printenv", "X"], { env: { X: "{}" } }));
    assert.deepEqual(await alone.toolPre({}), { type: "continue" });
  },
);

test(
  "a shell hook that may not run blocks and names the missing flag",
  { permissions: { ...scoped, run: false } },
  async () => {
    const run = runOf(new ShellCommandHook("s", "exit 0"));
    assert.equal((await run.toolPre({})).type, "block");
    assert.match(run.report.issues[0]?.message ?? "", /--allow-run=sh/);
  },
);
