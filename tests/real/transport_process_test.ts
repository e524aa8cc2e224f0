import assert from "node:assert/strict";
import process from "node:process";
import { SpawnError } from "../../src/errors/mod.ts";
import { spawnProcess } from "../../src/platform/process_tree.ts";
import type { ChildProcess } from "../../src/platform/child_process.ts";
import { openStdio, type StdioTransport } from "../../src/transport/stdio.ts";
import type { TransportClosed } from "../../src/transport/transport.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { isRunning, whenGone } from "./_transport_world.ts";

interface Heard {
  text(): string;
  /** Settles when the text matches. */
  until(pattern: RegExp): Promise<string>;
  closed: Promise<TransportClosed>;
  closedCalls(): number;
}

function listen(transport: StdioTransport): Heard {
  const decoder = new TextDecoder();
  let text = "";
  let calls = 0;
  let check: () => void = () => {};
  const closed = new Promise<TransportClosed>((resolve) =>
    transport.start({
      bytes(chunk) {
        assert.equal(calls, 0, "bytes after closed");
        text += decoder.decode(chunk, { stream: true });
        check();
      },
      text: () => assert.fail("stdio has no text messages"),
      closed(info) {
        calls++;
        resolve(info);
        check();
      },
    })
  );
  return {
    text: () => text,
    closed,
    closedCalls: () => calls,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        check = () => {
          if (pattern.test(text)) resolve(text);
          else if (calls > 0) reject(new Error(`closed before ${pattern}: ${text}`));
        };
        check();
      }),
  };
}

function sh(script: string): Promise<StdioTransport> {
  return openStdio({ process: { command: "sh", args: ["-c", script] } });
}

test("openStdio() carries bytes both ways and close() ends the process by the end of stdin", async () => {
  const transport = await openStdio({ process: { command: "cat", args: [] } });
  const heard = listen(transport);
  await transport.write('{"é":"😀"}\n');
  await heard.until(/😀"}\n$/);
  const closing = transport.close();
  assert.equal(transport.close({ graceMs: 1 }), closing);
  const { durationMs, ...report } = await closing;
  assert.deepEqual(report, { gone: true, how: "eof", exit: { code: 0, signal: null } });
  assert.ok(durationMs < 25_000);
  assert.deepEqual(await heard.closed, { exit: { code: 0, signal: null }, stderrTail: "" });
  assert.equal(heard.closedCalls(), 1);
  await transport.write("too late\n");
  assert.equal(isRunning(transport.pid), false);
});

test("close() goes on to SIGTERM when the end of stdin is ignored", async () => {
  const transport = await sh("echo up; while :; do sleep 0.05; done");
  await listen(transport).until(/up/);
  const report = await transport.close({ graceMs: 1000 });
  assert.equal(report.how, "sigterm");
  assert.equal(report.gone, true);
  assert.equal(isRunning(transport.pid), false);
});

test("close() goes on to SIGKILL when SIGTERM is ignored", async () => {
  const transport = await sh("trap '' TERM; echo up; while :; do sleep 0.05; done");
  const heard = listen(transport);
  await heard.until(/up/);
  const report = await transport.close({ graceMs: 100 });
  assert.deepEqual({ ...report, durationMs: 0 }, {
    gone: true,
    how: "sigkill",
    exit: { code: null, signal: "SIGKILL" },
    durationMs: 0,
  });
  assert.deepEqual((await heard.closed).exit, { code: null, signal: "SIGKILL" });
});

test("close() without a grace still waits until the killed process is gone", async () => {
  // Some are gone at once.
  for (let round = 0; round < 8; round++) {
    const transport = await sh("trap '' TERM; echo up; while :; do sleep 0.05; done");
    const heard = listen(transport);
    await heard.until(/up/);
    const { gone, how } = await transport.close({ graceMs: 0 });
    assert.deepEqual([gone, how], [true, "sigkill"]);
  }
});

for (const how of ["sigterm", "sigkill"]) {
  test(`close() by ${how} takes what is below the process along, also in sessions of their own`, async () => {
    // The first of them has lost its parent.
    const stay = "stay() { while :; do sleep 0.05; done; }";
    const transport = await sh(
      `${stay}; ${how === "sigkill" ? "trap '' TERM; " : ""}` +
        `setsid sh -c 'trap "" TERM; ${stay}; (stay & echo $!); stay & echo $!; wait' & stay`,
    );
    const heard = listen(transport);
    const said = await heard.until(/\d+\n\d+\n/);
    const report = await transport.close({ graceMs: 100 });
    assert.equal(report.how, how);
    for (const pid of said.trim().split("\n").map(Number)) {
      if (process.platform === "linux") await whenGone(pid);
      else process.kill(pid, "SIGKILL");
    }
  });
}

test("close() reports a process that had ended before", async () => {
  const transport = await sh("echo bye; echo 'what went wrong' >&2; exit 3");
  const heard = listen(transport);
  assert.deepEqual(await heard.closed, {
    exit: { code: 3, signal: null },
    stderrTail: "what went wrong\n",
  });
  assert.equal(heard.text(), "bye\n");
  const report = await transport.close();
  assert.equal(report.how, "alreadyExited");
  assert.equal(report.gone, true);
  assert.deepEqual(report.exit, { code: 3, signal: null });
});

test("start() after the end still delivers the output and the end", async () => {
  const transport = await sh("echo bye; exit 0");
  await whenGone(transport.pid);
  const heard = listen(transport);
  await heard.closed;
  assert.equal(heard.text(), "bye\n");
  assert.throws(() => transport.start({ bytes() {}, text() {}, closed() {} }), /only once/);
});

test("spawnProcess() loses nothing when nobody listens before the exit", async () => {
  const child = await spawnProcess({ command: "sh", args: ["-c", "echo out; echo err >&2"] });
  await child.exited;
  let text = "";
  child.onStdout((chunk) => text += new TextDecoder().decode(chunk));
  child.onStderr((chunk) => text += new TextDecoder().decode(chunk));
  await child.release();
  assert.deepEqual(text.split("\n").sort(), ["", "err", "out"]);
});

test("spawnProcess() leaves a flood that nobody listens to in the pipe", async () => {
  const child = await spawnProcess({
    command: "sh",
    args: ["-c", "echo up >&2; exec head -c 50000000 /dev/zero"],
  });
  await new Promise<void>((resolve) => child.onStderr(() => resolve()));
  assert.ok(isRunning(child.pid));
  let bytes = 0;
  child.onStdout((chunk) => bytes += chunk.length);
  await child.exited;
  await child.release();
  assert.equal(bytes, 50_000_000);
});

test("a kill from outside settles as closed with the signal", async () => {
  const transport = await openStdio({ process: { command: "cat", args: [] } });
  const heard = listen(transport);
  process.kill(transport.pid, "SIGKILL");
  assert.deepEqual((await heard.closed).exit, { code: null, signal: "SIGKILL" });
  await transport.write("nobody reads this\n");
  assert.equal((await transport.close()).how, "alreadyExited");
});

test("whether a process holds the script can be said in the moment of its end", async () => {
  for (let round = 0; round < 10; round++) {
    const child = await spawnProcess({ command: "sh", args: ["-c", "exec cat"] });
    child.onStdout(() => {});
    child.onStderr(() => {});
    const said = Array.from(
      { length: 40 },
      (_, n) =>
        new Promise<void>((resolve, reject) =>
          setTimeout(() => {
            try {
              child.unref();
              child.ref();
              resolve();
            } catch (error) {
              reject(error);
            }
          }, n / 2)
        ),
    );
    process.kill(child.pid, "SIGKILL");
    // Its end is there to be told when the timers are due.
    for (const until = performance.now() + round; performance.now() < until;);
    await Promise.all(said);
    await child.release();
  }
});

test("kill() ends the process at once", async () => {
  const transport = await sh("trap '' TERM; echo up; while :; do sleep 0.05; done");
  const heard = listen(transport);
  await heard.until(/up/);
  transport.kill();
  assert.deepEqual((await heard.closed).exit, { code: null, signal: "SIGKILL" });
});

test("the exit is the end although a grandchild holds the pipes, and no output is lost", async () => {
  // 60,000 bytes fit into the pipe: they are still in it when the process is gone.
  const transport = await sh(
    "setsid sh -c 'echo $$; exec sleep 60' & read _; head -c 60000 /dev/zero | tr '\\0' x; echo end; exit 4",
  );
  const heard = listen(transport);
  const pid = Number((await heard.until(/\d+\n/)).split("\n")[0]);
  await transport.write("\n");
  const started = performance.now();
  assert.deepEqual((await heard.closed).exit, { code: 4, signal: null });
  assert.ok(performance.now() - started < 25_000, "the grandchild sleeps for a minute");
  assert.match(heard.text(), /x{60000}end\n$/);
  if (isRunning(pid)) process.kill(pid, "SIGKILL");
  assert.equal((await transport.close()).exit?.code, 4);
});

test("what a dead process left in its pipe is read although the pipe does not end", async () => {
  if (process.platform !== "linux") return;
  const transport = await sh(
    "setsid sleep 60 & echo $!; head -c 60000 /dev/zero | tr '\\0' x; echo end; exit 4",
  );
  // Not one turn of the event loop until the process is gone: all that it wrote is still in the pipe.
  while (isRunning(transport.pid)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  const heard = listen(transport);
  assert.deepEqual((await heard.closed).exit, { code: 4, signal: null });
  assert.match(heard.text(), /^\d+\nx{60000}end\n$/);
  const holder = Number.parseInt(heard.text());
  if (isRunning(holder)) process.kill(holder, "SIGKILL");
});

test("close() sweeps a grandchild in the process's own group", async () => {
  const transport = await sh("sleep 60 & echo $!; exec cat");
  const heard = listen(transport);
  const pid = Number((await heard.until(/\d+\n/)).trim());
  assert.equal((await transport.close()).how, "eof");
  await whenGone(pid);
});

test("what is left in the group and takes no SIGTERM is killed, after close() and after a crash", async (t) => {
  const left = "(trap '' TERM; echo $BASHPID; while :; do sleep 0.05; done) & ";
  const start = async (end: string) => {
    const transport = await openStdio({ process: { command: "bash", args: ["-c", left + end] } });
    const heard = listen(transport);
    return { transport, heard, pid: Number((await heard.until(/\d+\n/)).trim()) };
  };
  await t.step("close()", async () => {
    const { transport, pid } = await start("exec cat");
    assert.equal((await transport.close()).how, "eof");
    await whenGone(pid);
  });
  await t.step("a crash", async () => {
    const { transport, heard, pid } = await start("read; exit 3");
    await transport.write("\n");
    assert.deepEqual((await heard.closed).exit, { code: 3, signal: null });
    await transport.close();
    await whenGone(pid);
  });
});

test("what is left in groups of its own and takes no SIGTERM is killed, however the process ended", async (t) => {
  if (process.platform !== "linux") return;
  // As codex starts MCP servers and its helper for files; what has left the session is nobody's.
  const left = "set -m; (trap '' TERM; echo left $BASHPID; while :; do sleep 0.05; done) & " +
    "setsid bash -c 'echo away $$; exec sleep 60' & ";
  const start = async (end: string) => {
    const transport = await openStdio({ process: { command: "bash", args: ["-c", left + end] } });
    const heard = listen(transport);
    const pid = async (name: string) =>
      Number((await heard.until(new RegExp(`${name} \\d+\n`))).match(`${name} (\\d+)`)![1]);
    return { transport, heard, pid: await pid("left"), away: await pid("away") };
  };
  const check = async ({ transport, pid, away }: Awaited<ReturnType<typeof start>>) => {
    assert.equal((await transport.close({ graceMs: 100 })).gone, true);
    await whenGone(pid);
    assert.ok(isRunning(away));
    process.kill(away, "SIGKILL");
  };
  for (const end of ["exec cat", "trap 'exit 1' TERM; while :; do sleep 0.05; done"]) {
    await t.step(end, async () => await check(await start(end)));
  }
  await t.step("a crash", async () => {
    const started = await start("read; exit 3");
    await started.transport.write("\n");
    assert.deepEqual((await started.heard.closed).exit, { code: 3, signal: null });
    await check(started);
  });
  await t.step("a kill from outside", async () => {
    const started = await start("exec cat");
    process.kill(started.transport.pid, "SIGKILL");
    await started.heard.closed;
    await check(started);
  });
  await t.step("kill()", async () => {
    const started = await start("exec cat");
    // What was started by a process that has ended is below nobody.
    started.transport.kill();
    await started.heard.closed;
    await check(started).catch(() => {});
    await whenGone(started.pid);
  });
});

test("write() waits while nobody reads, and close() does not", async () => {
  const transport = await sh("echo up; exec sleep 60");
  const heard = listen(transport);
  await heard.until(/up/);
  let accepted = false;
  const stalled = transport.write("x".repeat(4 << 20) + "\n").then(() => accepted = true);
  const closing = transport.close({ graceMs: 100 });
  await transport.write("dropped: closing\n");
  assert.equal(accepted, false);
  // Whether it ends within its grace is for the machine to say.
  assert.match((await closing).how, /^sig(?:term|kill)$/);
  await stalled;
});

test("a megabyte each way at once does not block", async () => {
  const transport = await openStdio({ process: { command: "cat", args: [] } });
  const heard = listen(transport);
  const line = "y".repeat(99) + "\n";
  const writes = Array.from({ length: 20 }, () => transport.write(line.repeat(1000)));
  await Promise.all(writes);
  await transport.close();
  assert.equal(heard.text().length, 20 * 1000 * line.length);
});

test("stderr is drained while nobody asks, and its last 16 KiB are kept", async () => {
  const transport = await sh("head -c 1000000 /dev/zero | tr '\\0' e >&2; echo tail >&2; echo ok");
  const heard = listen(transport);
  const { stderrTail } = await heard.closed;
  assert.equal(heard.text(), "ok\n");
  assert.equal(stderrTail.length, 16 * 1024);
  assert.match(stderrTail, /^e+tail\n$/);
  assert.equal(transport.stderrTail(), stderrTail);
  await transport.close();
});

test("openStdio() rejects with SpawnError for a missing program and a missing cwd", async () => {
  await assert.rejects(openStdio({ process: { command: "no-such-program-x", args: [] } }), (e) => {
    assert.ok(e instanceof SpawnError);
    assert.match(e.message, /no-such-program-x was not found/);
    assert.equal(e.data?.["reason"], "notFound");
    return true;
  });
  const cwd = "/no/such/directory";
  await assert.rejects(openStdio({ process: { command: "cat", args: [], cwd } }), (e) => {
    assert.ok(e instanceof SpawnError);
    assert.match(e.message, /working directory \/no\/such\/directory does not exist/);
    return true;
  });
});

test("openStdio() rejects with SpawnError for a file that is no program", async () => {
  await assert.rejects(
    openStdio({ process: { command: new URL(import.meta.url).pathname, args: [] } }),
    (e) => e instanceof SpawnError && /could not be started/.test(e.message),
  );
});

test("openStdio() rejects with the reason of its signal, before and during the start", async () => {
  const reason = new Error("changed my mind");
  const open = (signal: AbortSignal) =>
    openStdio({ process: { command: "cat", args: [] }, signal });
  await assert.rejects(open(AbortSignal.abort(reason)), reason);
  const controller = new AbortController();
  const opening = open(controller.signal);
  controller.abort(reason);
  await assert.rejects(opening, reason);
});

test("spawnProcess() takes cwd and env, added or alone", async () => {
  await using dir = await tempDir();
  process.env["TRANSPORT_TEST"] = "inherited";
  try {
    for (const [clearEnv, expected] of [[false, "inherited set"], [true, " set"]] as const) {
      const child = await spawnProcess({
        command: "/bin/sh",
        args: ["-c", 'echo "$TRANSPORT_TEST $MINE"; pwd'],
        cwd: dir.path,
        env: { MINE: "set", PATH: process.env["PATH"] ?? "" },
        clearEnv,
      });
      assert.equal(await output(child), `${expected}\n${dir.path}\n`);
    }
  } finally {
    delete process.env["TRANSPORT_TEST"];
  }
});

test("spawnProcess() release() frees pipes that nobody has read", async () => {
  const child = await spawnProcess({ command: "sh", args: ["-c", "echo out; echo err >&2"] });
  assert.deepEqual(await child.exited, { code: 0, signal: null });
  await child.release();
  assert.equal(child.kill("SIGTERM"), false);
  assert.equal(child.kill("SIGTERM", { tree: true }), false);
});

async function output(child: ChildProcess): Promise<string> {
  let text = "";
  child.onStdout((chunk) => text += new TextDecoder().decode(chunk));
  child.onStderr(() => {});
  child.closeStdin();
  await child.exited;
  await child.release();
  return text;
}
