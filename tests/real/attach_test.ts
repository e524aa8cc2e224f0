/** Attaching to what runs: sockets of the file system, codex's own daemon, commands that lead elsewhere. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chown, mkdir, readdir, readlink, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { quickRun } from "../../src/quick_run.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import type { RuntimeConfig } from "../../src/runtime/config.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import { Client } from "../../src/session/client/client.ts";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { isRunning } from "./_session_world.ts";

/** A real codex that listens on a socket; `listen` is what follows `unix://`. */
async function listening(model: ScriptedModel, home: string, listen: string, socket: string) {
  const { env, configOverrides } = model.clientConfig({ home });
  const host = await codexTransport({
    codexPath: await codexPath(),
    env,
    configOverrides,
    args: ["app-server", "--listen", `unix://${listen}`],
  })({});
  let gone = "";
  host.start({ bytes() {}, text() {}, closed: (info) => gone = info.stderrTail || "ended" });
  const { existsSync } = await import("node:fs");
  while (!existsSync(socket)) {
    if (gone !== "") throw new Error(gone);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return host;
}

test("a client attaches to a codex behind a socket, and leaves it alone", async () => {
  await using dir = await tempDir();
  await using model = await ScriptedModel.start(() => "x".repeat(300_000));
  const socket = join(dir.path, "s");
  const host = await listening(model, dir.path, socket, socket);
  try {
    for (const _ of [1, 2]) {
      const client = await Client.connect({ transport: { type: "unix", path: socket } });
      assert.equal(client.runtime.pid, null);
      assert.equal(client.server.version, NEWEST_CODEX);
      const session = await client.startSession({ cwd: dir.path });
      const prompt = `é${"y".repeat(200_000)}`;
      assert.equal((await session.ask(prompt)).assistantText.length, 300_000);
      assert.equal(model.requests.at(-1)?.text, prompt);
      const report = await client.runtime.shutdown();
      assert.equal(report.how, "detached");
    }
    const client = await Client.connect({ transport: { type: "unix", path: socket } });
    await host.close({ graceMs: 300 });
    await assert.rejects(client.models(), ConnectionClosedError);
    await client.shutdown();
  } finally {
    await host.close({ graceMs: 300 });
  }
});

test("quickRun() leaves the thread of a codex that it is attached to", async () => {
  await using dir = await tempDir();
  await using model = await ScriptedModel.start(() => "done");
  const socket = join(dir.path, "s");
  const host = await listening(model, dir.path, socket, socket);
  try {
    const said: string[] = [];
    const write = ({ direction, kind, method }: EventEnvelope) => {
      if (direction === "outbound" && kind === "request") said.push(method ?? "");
    };
    const transport = { type: "unix", path: socket } as const;
    await quickRun(dir.path, "hello", { client: { transport, eventLog: { write } } });
    // Whatever it may still work on would go on without anybody.
    assert.deepEqual(said.slice(-3), [
      "thread/read",
      "thread/backgroundTerminals/clean",
      "thread/unsubscribe",
    ]);
  } finally {
    await host.close({ graceMs: 300 });
  }
});

test("codex's own daemon is found in its home", async () => {
  await using dir = await tempDir();
  await using model = await ScriptedModel.start(() => "done");
  const socket = join(dir.path, "app-server-control", "app-server-control.sock");
  const transport = { type: "daemon", codexHome: dir.path } as const;
  await assert.rejects(Client.connect({ transport }), /no socket .*codex app-server daemon start/);
  const host = await listening(model, dir.path, "", socket);
  try {
    const client = await Client.connect({ transport });
    const session = await client.startSession({ cwd: dir.path });
    assert.equal((await session.ask("hello")).assistantText, "done");
    await client.shutdown();
  } finally {
    await host.close({ graceMs: 300 });
  }
});

test("a daemon that codex itself started is attached to, and left running", async () => {
  // It copies the whole program into its home.
  await using dir = await tempDir();
  await using model = await ScriptedModel.start(() => "done");
  const { env, configOverrides } = model.clientConfig({ home: dir.path });
  const settings = Object.entries(configOverrides).map(([key, value]) =>
    `${key} = ${JSON.stringify(value)}`
  );
  await writeFile(join(dir.path, "config.toml"), settings.join("\n"));
  const codex = await codexPath();
  const daemon = (...args: string[]) =>
    new Promise<{ status?: string; pid?: number }>((resolve, reject) =>
      execFile(
        codex,
        ["app-server", "daemon", ...args],
        { env: { ...process.env, ...env?.set, CODEX_HOME: dir.path } },
        (error, stdout, stderr) =>
          error === null
            ? resolve(JSON.parse(stdout))
            : reject(new Error(stderr, { cause: error })),
      )
    );
  const started = await daemon("start");
  try {
    assert.equal(started.status, "started");
    const transport = { type: "daemon", codexHome: dir.path } as const;
    for (const _ of [1, 2]) {
      const client = await Client.connect({ transport });
      const session = await client.startSession({ cwd: dir.path });
      assert.equal((await session.ask("hello")).assistantText, "done");
      assert.equal((await client.runtime.shutdown()).how, "detached");
    }
    assert.ok(isRunning(started.pid!));
  } finally {
    await daemon("stop");
    // What looks for updates stays behind, and is this test's to end.
    for (const pid of await processesBelow(dir.path)) process.kill(pid, "SIGKILL");
  }
});

/** Linux: the processes whose program is in a directory; elsewhere none are known. */
async function processesBelow(directory: string): Promise<number[]> {
  const found = [];
  for (const name of await readdir("/proc").catch(() => [])) {
    const target = /^\d+$/.test(name) ? await readlink(`/proc/${name}/exe`).catch(() => "") : "";
    if (target.startsWith(`${directory}/`)) found.push(Number(name));
  }
  return found;
}

test("a socket of another user, a file, and a server of another kind are refused", async () => {
  await using dir = await tempDir();
  const connect = (path: string) => Client.connect({ transport: { type: "unix", path } });
  const file = join(dir.path, "file");
  await writeFile(file, "");
  await assert.rejects(connect(file), /is not a socket/);
  const path = join(dir.path, "other");
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end("HTTP/1.1 404 Not Found\r\n\r\n"));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await assert.rejects(connect(path), /No app server answers at the socket .*: HTTP 404/);
  if (process.getuid?.() === 0) {
    await chown(path, 12_345, 12_345);
    await assert.rejects(connect(path), (error) => {
      assert.ok(error instanceof ConnectionClosedError);
      assert.equal(error.retryable, false);
      assert.match(error.message, /belongs to another user \(12345\)/);
      return true;
    });
  }
  await new Promise((resolve) => server.close(resolve));
});

for (const version of CODEX_VERSIONS) {
  test(`a command leads to a codex ${version} elsewhere, by the rules of another machine`, async () => {
    await using dir = await tempDir();
    await using model = await ScriptedModel.start(() => "done");
    const { env, configOverrides } = model.clientConfig({ home: dir.path });
    const settings = Object.entries(configOverrides).map(([key, value]) =>
      `${key} = ${JSON.stringify(value)}`
    );
    await writeFile(join(dir.path, "config.toml"), settings.join("\n"));
    await mkdir(join(dir.path, "w"));
    const config: RuntimeConfig = {
      transport: {
        type: "command",
        command: ["/usr/bin/env", await codexPath(version), "app-server"],
      },
      env,
    };
    const client = await Client.connect(config);
    try {
      // The process here is not codex.
      assert.equal(client.runtime.pid, null);
      // The path is the other machine's: nobody looks for it here.
      await client.startSession({ cwd: "/no/such/directory/here" });
      // A link of that name here may be none there: codex is told the path as it was given.
      await symlink(join(dir.path, "w"), join(dir.path, "link"));
      const session = await client.startSession({ cwd: join(dir.path, "link") });
      assert.equal(session.policy.cwd, join(dir.path, "link"));
      assert.equal((await session.ask("hello")).assistantText, "done");
    } finally {
      await client.shutdown();
    }
  });
}

test("a command that leads nowhere says why, and codex's own options are refused with it", async () => {
  const command = ["/bin/sh", "-c", "echo ssh: connect to host h port 22: refused >&2; exit 255"];
  await assert.rejects(Client.connect({ transport: { type: "command", command } }), (error) => {
    assert.ok(error instanceof ConnectionClosedError);
    // The network may be back in a moment.
    assert.equal(error.retryable, true);
    assert.match(error.message, /connect to host h port 22: refused/);
    return true;
  });
  await assert.rejects(
    Client.connect({ transport: { type: "command", command }, configOverrides: { model: "m" } }),
    /configOverrides: with .*"command".* started by that command/,
  );
  await assert.rejects(
    Client.connect({ transport: { type: "command", command: [] } }),
    /must be a list that begins with a program/,
  );
});
