import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readFile, realpath, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { SpawnError } from "../../src/errors/mod.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import { processIdentity, reapLeftovers, rememberProcess } from "../../src/launch/pid_file.ts";
import type { Transport, TransportClosed } from "../../src/transport/transport.ts";
import { CODEX_VERSIONS, codexLauncherPath, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { isRunning, whenGone } from "./_transport_world.ts";

/** Sends `initialize`; the version in the answer, or how the connection ended instead. */
async function handshake(transport: Transport): Promise<string | TransportClosed> {
  let text = "";
  const decoder = new TextDecoder();
  const answer = new Promise<string | TransportClosed>((resolve) =>
    transport.start({
      bytes(chunk) {
        text += decoder.decode(chunk, { stream: true });
        const version = /"userAgent":"t\/([\d.]+)/.exec(text)?.[1];
        if (version !== undefined) resolve(version);
      },
      text() {},
      closed: resolve,
    })
  );
  await transport.write(
    '{"id":1,"method":"initialize","params":{"clientInfo":{"name":"t","version":"1"}}}\n',
  );
  return await answer;
}

for (const version of CODEX_VERSIONS) {
  test(`codexTransport() starts codex ${version} and ends it by the end of stdin`, async () => {
    await using home = await tempDir();
    const transport = await codexTransport({
      codexPath: await codexPath(version),
      env: { inherit: "minimal", set: { CODEX_HOME: home.path } },
      configOverrides: {
        model: 'a "quoted" model',
        "model_providers.mine": { name: "mine", base_url: "http://127.0.0.1:1/v1" },
      },
    })({});
    assert.equal(await handshake(transport), version);
    const { durationMs, ...report } = await transport.close();
    assert.deepEqual(report, { gone: true, how: "eof", exit: { code: 0, signal: null } });
    assert.ok(durationMs < 25_000);
  });

  test(`codexTransport() hops from npm's launcher to the native codex ${version}`, async () => {
    await using home = await tempDir();
    const transport = await codexTransport({
      codexPath: await codexLauncherPath(version),
      env: { set: { CODEX_HOME: home.path } },
    })({});
    assert.equal(await handshake(transport), version);
    if (process.platform === "linux") {
      const command = await readFile(`/proc/${transport.pid}/cmdline`, "utf8");
      // The locator follows links, which may be anywhere above.
      const codex = await realpath(await codexPath(version));
      assert.equal(command.split("\0")[0], codex);
      const environ = await readFile(`/proc/${transport.pid}/environ`, "utf8");
      // The launcher of 0.104 puts its helpers into PATH; without the launcher we do.
      const helpers = join(dirname(dirname(codex)), "path");
      assert.equal(environ.includes(`PATH=${helpers}:`), version === "0.104.0");
    }
    assert.equal((await transport.close()).how, "eof");
  });
}

test("a codex that prints an error and exits tells it at once", async () => {
  const transport = await codexTransport({
    codexPath: await codexPath(),
    env: { set: { CODEX_HOME: "/no/such/home" } },
  })({});
  const end = await handshake(transport);
  assert.ok(typeof end === "object");
  assert.deepEqual(end.exit, { code: 1, signal: null });
  assert.match(end.stderrTail, /CODEX_HOME points to "\/no\/such\/home"/);
  assert.equal((await transport.close()).how, "alreadyExited");
});

test("a launcher that is not npm's own is ended with what it started", async () => {
  await using dir = await tempDir();
  const wrapper = join(dir.path, "codex");
  // Without exec: two processes, and the shell does not pass signals on.
  await writeFile(wrapper, `#!/bin/sh\n"${await codexPath()}" "$@" <&0 &\necho $! >&2\nwait\n`, {
    mode: 0o755,
  });
  let below = 0;
  const heard = Promise.withResolvers<void>();
  const transport = await codexTransport({
    codexPath: wrapper,
    env: { set: { CODEX_HOME: dir.path } },
    onStderr(text) {
      below ||= Number(/^\d+/.exec(text)?.[0] ?? 0);
      if (below > 0) heard.resolve();
    },
  })({});
  transport.start({ bytes() {}, text() {}, closed() {} });
  await heard.promise;
  assert.equal((await transport.close()).gone, true);
  await whenGone(below);
});

test("codexTransport() finds codex by PATH and by CODEX_PATH", async () => {
  await using dir = await tempDir();
  const bin = join(dir.path, "bin");
  await mkdir(bin);
  await symlink(await codexLauncherPath(), join(bin, "codex"));
  const before = { PATH: process.env["PATH"], CODEX_PATH: process.env["CODEX_PATH"] };
  try {
    delete process.env["CODEX_PATH"];
    process.env["PATH"] = bin;
    const env = { set: { CODEX_HOME: dir.path } };
    const byPath = await codexTransport({ env })({});
    assert.equal(await handshake(byPath), "0.169.0");
    await byPath.close();
    process.env["CODEX_PATH"] = await codexPath("0.104.0");
    const byVariable = await codexTransport({ env })({});
    assert.equal(await handshake(byVariable), "0.104.0");
    await byVariable.close();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});

test("codexTransport() rejects with SpawnError naming the places when codex is missing", async () => {
  await assert.rejects(codexTransport({ codexPath: "no-such-codex" })({}), (error) => {
    assert.ok(error instanceof SpawnError);
    assert.match(
      error.message,
      /codexPath \(no-such-codex\); PATH \(.*npm install -g @openai\/codex/,
    );
    return true;
  });
  const reason = new Error("not now");
  await assert.rejects(codexTransport()({ signal: AbortSignal.abort(reason) }), reason);
});

test("a pid file reaps what a script without owner left, keeps what is in use, and is removed", async () => {
  if (process.platform !== "linux") return;
  await using dir = await tempDir();
  const pidFile = join(dir.path, "codex.pid");
  const left = spawn("sleep", ["60"], { stdio: "ignore" });
  const used = spawn("sleep", ["60"], { stdio: "ignore" });
  const leftEnd = new Promise((resolve) => left.once("exit", (_c, signal) => resolve(signal)));
  const usedEnd = new Promise((resolve) => used.once("exit", resolve));
  const record = (pid: number, ownerPid: number, ownerIdentity: string | null) => ({
    pid,
    identity: processIdentity(pid),
    ownerPid,
    ownerIdentity,
  });
  const kept = record(used.pid!, process.pid, processIdentity(process.pid));
  const before = JSON.stringify([
    record(left.pid!, process.pid, "an earlier boot/1"),
    kept,
    { ...record(process.pid, 1, "x/1"), identity: "someone else/1" },
    "nonsense",
  ]);
  await writeFile(pidFile, before);
  const transport = await codexTransport({ codexPath: "cat", args: [], pidFile })({});
  assert.equal(await leftEnd, "SIGKILL");
  assert.equal(isRunning(used.pid!), true);
  const own = record(transport.pid!, process.pid, processIdentity(process.pid));
  const remembered = await readFile(pidFile, "utf8");
  // Added, not rewritten: another script may add its own in the same moment.
  assert.ok(remembered.startsWith(before));
  assert.ok(remembered.endsWith(`\n${JSON.stringify([own])}\n`));
  await transport.close();
  const forgotten = await readFile(pidFile, "utf8");
  assert.ok(forgotten.startsWith(remembered));
  assert.deepEqual(JSON.parse(forgotten.slice(remembered.length)), [{ ...own, gone: true }]);
  used.kill("SIGKILL");
  await usedEnd;
  const last = await codexTransport({ codexPath: "cat", args: [], pidFile })({});
  await last.close();
  await assert.rejects(readFile(pidFile), /ENOENT|No such file/);
});

test("scripts that start and end in one moment lose nothing of each other's in their pid file", async () => {
  if (process.platform !== "linux") return;
  await using dir = await tempDir();
  const pidFile = join(dir.path, "codex.pid");
  const programs = Array.from({ length: 8 }, () => spawn("sleep", ["60"], { stdio: "ignore" }));
  const ends = programs.map((each) => new Promise((resolve) => each.once("exit", resolve)));
  const textOf = () => readFile(pidFile, "utf8");
  try {
    // Whoever reads, changes and writes back loses what others add in between: lines are only added.
    const forget = programs.map(({ pid }) => rememberProcess(pidFile, pid!));
    for (let at = 0; at < 7; at++) {
      const before = await textOf();
      forget[at]!();
      const after = await textOf();
      assert.ok(after.startsWith(before), "the file was rewritten");
      assert.equal(reapLeftovers(pidFile), 0);
      assert.ok((await textOf()).startsWith(after), "the file was rewritten");
    }
    assert.ok((await textOf()).includes(`"pid":${programs[7]!.pid}`));
    forget[7]!();
    await assert.rejects(readFile(pidFile), /ENOENT|No such file/);

    // One that only grows is put in order.
    const own = rememberProcess(pidFile, programs[0]!.pid!);
    await writeFile(pidFile, "[]\n".repeat(30_000) + await textOf());
    assert.equal(reapLeftovers(pidFile), 0);
    assert.equal(JSON.parse(await textOf())[0].pid, programs[0]!.pid);
    own();
    await assert.rejects(readFile(pidFile), /ENOENT|No such file/);
  } finally {
    for (const each of programs) each.kill("SIGKILL");
    await Promise.all(ends);
  }
});

test("a pid file ends the sandbox that a codex of a dead script was starting, and nothing else", async () => {
  if (process.platform !== "linux") return;
  await using dir = await tempDir();
  const pidFile = join(dir.path, "codex.pid");
  const program = (name: string, flags: string) =>
    `sh -c 'echo ${name} $$; sleep 60; :' bwrap ${flags} & `;
  const codex = spawn(
    "sh",
    [
      "-c",
      program("sandbox", "--die-with-parent") + program("other", "--version") + "exec sleep 60",
    ],
    { stdio: ["ignore", "pipe", "ignore"], detached: true },
  );
  let text = "";
  for await (const chunk of codex.stdout) {
    if ((text += chunk).split("\n").length > 2) break;
  }
  const [sandbox, other] = ["sandbox", "other"]
    .map((name) => Number(text.match(`${name} (\\d+)\n`)![1])) as [number, number];
  const record = { pid: codex.pid!, identity: processIdentity(codex.pid!), ownerPid: 1 };
  process.kill(codex.pid!, "SIGKILL");
  await whenGone(codex.pid!);
  const start = async (ownerIdentity: string | null) => {
    await writeFile(pidFile, JSON.stringify([{ ...record, ownerIdentity }]));
    await (await codexTransport({ codexPath: "cat", args: [], pidFile })({})).close();
  };
  try {
    await start(null);
    await start(processIdentity(1));
    assert.ok(isRunning(sandbox));
    await start("an earlier boot/1");
    await whenGone(sandbox);
    assert.ok(isRunning(other));
  } finally {
    process.kill(-codex.pid!, "SIGKILL");
  }
});

test("a pid file that can't be written leaves no process behind", async () => {
  await assert.rejects(
    codexTransport({ codexPath: "cat", args: [], pidFile: "/no/such/dir/codex.pid" })({}),
    (error) => error instanceof SpawnError && /pid file/.test(error.message),
  );
});
