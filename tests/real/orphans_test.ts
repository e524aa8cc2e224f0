/**
 * A sandbox whose parent is killed while it starts is left behind by `bwrap` (codex 0.145: one of some forty commands that are
 * stopped within 25 ms), and its command runs on. Here it is played: a process as such a one looks.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import process from "node:process";
import { endOrphans } from "../../src/platform/mod.ts";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import { script } from "../../src/testing/mod.ts";
import { codexes, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { isRunning, whenGone, World } from "./_session_world.ts";

function onLinux(name: string, run: () => Promise<void>): void {
  if (process.platform === "linux") test(name, run);
}

/** A process that should have died with its parent, of this thread. */
async function orphan(
  threadId: string,
  ...flags: string[]
): Promise<ChildProcess & { pid: number }> {
  const args = ["-c", "sleep 1000; :", "bwrap", ...flags];
  const env = { PATH: process.env["PATH"]!, CODEX_THREAD_ID: threadId };
  const child = spawn("sh", args, { env, stdio: "ignore", detached: true }) as ChildProcess & {
    pid: number;
  };
  await once(child, "spawn");
  // Who has started it may go on some moments before it has its arguments and variables, which nobody tells.
  while (!readFileSync(`/proc/${child.pid}/environ`, "utf8").includes(threadId)) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return child;
}

/** Ends what a test has left, with what it started, which may have outlived it. */
async function end(...all: ChildProcess[]): Promise<void> {
  for (const each of all) {
    const gone = each.exitCode === null && each.signalCode === null ? once(each, "exit") : null;
    try {
      process.kill(-each.pid!, "SIGKILL");
    } catch {
      // Nothing was left.
    }
    await gone;
  }
}

onLinux("endOrphans() ends those of its thread that are in no tree of the server's", async () => {
  const mine = await orphan("thread-1", "--die-with-parent");
  const others = [await orphan("thread-2", "--die-with-parent"), await orphan("thread-1")];
  try {
    endOrphans(process.pid, ["CODEX_THREAD_ID=thread-0", "CODEX_THREAD_ID=thread-1"]);
    assert.deepEqual([mine, ...others].map((each) => each.signalCode), [null, null, null]);
    const ended = new Promise((resolve) => mine.once("exit", (_, signal) => resolve(signal)));
    endOrphans(null, ["CODEX_THREAD_ID=thread-1"]);
    assert.equal(await ended, "SIGKILL");
    for (const each of others) process.kill(each.pid, 0);
  } finally {
    await end(mine, ...others);
  }
});

onLinux(
  "a thread's sandbox below another codex is that one's, until it is left behind",
  async () => {
    const env = { PATH: process.env["PATH"]!, CODEX_THREAD_ID: "thread-3" };
    const sandbox = `sh -c 'sleep 1000; :' bwrap --die-with-parent`;
    for (const [name, ...args] of [["sh", "app-server"], ["/usr/bin/codex", "resume"]]) {
      // Between them, as where a helper starts the sandbox.
      const play = `sh -c "${sandbox} & echo \\$!; wait" codex-linux-sandbox; :`;
      const codex = spawn("sh", ["-c", play, ...args], {
        argv0: name,
        env,
        stdio: ["ignore", "pipe", "ignore"],
        detached: true,
      }) as unknown as Awaited<ReturnType<typeof orphan>>;
      const [told] = await once(codex.stdout!, "data");
      const pid = Number(told);
      try {
        // One that is ended in the same go shows when this one would have been.
        const left = await orphan("thread-3", "--die-with-parent");
        const ended = once(left, "exit");
        endOrphans(null, ["CODEX_THREAD_ID=thread-3"]);
        await ended;
        await end(left);
        assert.ok(isRunning(pid));
        const gone = once(codex, "exit");
        process.kill(codex.pid, "SIGKILL");
        await gone;
        endOrphans(null, ["CODEX_THREAD_ID=thread-3"]);
        await whenGone(pid);
      } finally {
        await end(codex);
      }
    }
  },
);

onLinux(
  "a sandbox that codex starts while its client is shut down in mid turn is ended",
  async () => {
    await using world = await World.start(NEWEST_CODEX);
    world.hold = true;
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const begun = Promise.withResolvers<void>();
    const onEvent = ({ type }: TurnEvent) => {
      if (type === "turnStarted") begun.resolve();
    };
    const asked = assert.rejects(session.ask("Wait.", { onEvent }), /shut down/);
    await begun.promise;
    const left = await orphan(session.threadId, "--die-with-parent");
    try {
      const exited = once(left, "exit");
      await client.shutdown();
      await exited;
      await asked;
    } finally {
      await end(left);
    }
  },
);

for (const version of codexes("0.169.0", "0.145.0")) {
  onLinux(`a command that outlived its stopped turn is ended on codex ${version}`, async () => {
    await using world = await World.start(version);
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const left = await orphan(session.threadId, "--die-with-parent");
    const other = await orphan("another thread", "--die-with-parent");
    const lates: ChildProcess[] = [];
    try {
      const exited = new Promise((resolve) => left.once("exit", resolve));
      // A turn that ends by itself has ended its commands.
      await session.ask(world.prompt([[script.exec("true")], "Done."]));
      process.kill(left.pid, 0);
      const stream = await session.askStream(world.prompt(() => [script.exec("sleep 2000")]));
      for await (const event of stream) {
        if (event.type === "itemStarted" && event.item.type === "commandExecution") break;
      }
      await exited;
      process.kill(other.pid, 0);
      // Of a turn that is stopped before it tells of its command.
      const untold = await orphan(session.threadId, "--die-with-parent");
      lates.push(untold);
      const untoldExited = new Promise((resolve) => untold.once("exit", resolve));
      const silent = await session.askStream(world.prompt([[script.hang()]]));
      await silent.interrupt();
      await untoldExited;
      // What was dying still when the turn ended, as the first process of its sandbox.
      const late = await orphan(session.threadId, "--apply-seccomp-then-exec");
      lates.push(late);
      const lateExited = new Promise((resolve) => late.once("exit", resolve));
      await session.close();
      await lateExited;
      // A server that is killed may not have told of its last command.
      const crashes = version === "0.169.0";
      const then = crashes ? await client.startSession({ cwd: world.cwd }) : session;
      world.hold = true;
      const begun = Promise.withResolvers<void>();
      const onEvent = ({ type }: TurnEvent) => {
        if (type === "turnStarted") begun.resolve();
      };
      const cutOff = crashes ? assert.rejects(then.ask("Wait.", { onEvent }), /ended/) : null;
      if (crashes) await begun.promise;
      const last = await orphan(then.threadId, "--die-with-parent");
      lates.push(last);
      const lastExited = new Promise((resolve) => last.once("exit", resolve));
      if (crashes) process.kill(client.runtime.pid!, "SIGKILL");
      else await client.shutdown();
      await lastExited;
      await cutOff;
      process.kill(other.pid, 0);
    } finally {
      await end(left, other, ...lates);
    }
    for (const pid of world.commands("sleep 2000")) await whenGone(pid);
  });
}
