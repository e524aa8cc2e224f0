/** Nothing that a client started outlives it: neither codex nor the command that its agent runs. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { ClientConfig } from "../../src/runtime/config.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { coolDown, prewarm } from "../../src/session/client/prewarm.ts";
import { Client } from "../../src/session/client/client.ts";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { isRunning, SOON_MS, whenGone } from "./_session_world.ts";

const SCRIPT = fileURLToPath(new URL("./ownership_script.ts", import.meta.url));
/** Seconds that the agent's command would sleep; the number tells it from all others. */
let seconds = 4_000_000 + process.pid * 10;

interface Ended {
  pid: number;
  output: string;
  code: number | null;
  signal: string | null;
  ms: number;
}

/** Runs the script to its end, whatever that is; kills it with a signal when it says that the command runs. */
async function run(how: string, config: ClientConfig, signal?: NodeJS.Signals): Promise<Ended> {
  await using cwd = await tempDir();
  const command = onDeno ? ["run", "-A", "--no-prompt", SCRIPT] : [SCRIPT];
  const child = spawn(process.execPath, [...command, how, JSON.stringify(config), cwd.path], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += String(chunk);
    if (signal !== undefined && /running\n/.test(output)) child.kill(signal);
  });
  let errors = "";
  child.stderr.on("data", (chunk) => errors += String(chunk));
  const begun = performance.now();
  const end = await new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once("exit", (code, by) => resolve({ code, signal: by }))
  );
  const ms = performance.now() - begun;
  child.stdout.destroy();
  child.stderr.destroy();
  const pid = Number(/pid (\d+)/.exec(output)?.[1] ?? 0);
  if (!how.startsWith("prewarm")) assert.ok(pid > 0, `the script said: ${output}\n${errors}`);
  return { pid, output, ms, ...end };
}

/** Processes whose command line holds these words. */
function processesWith(words: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").includes(words) &&
        isRunning(pid);
    } catch {
      return false;
    }
  });
}

/** Runs the script with an agent that runs a long command, and expects everything to be gone. */
async function ends(
  how: string,
  options: { signal?: NodeJS.Signals; version?: CodexVersion } = {},
): Promise<Ended> {
  const command = `sleep ${++seconds}`;
  await using model = await ScriptedModel.start((request) =>
    request.toolOutputs.length === 0
      ? script.exec(command, { yield_time_ms: 30_000 })
      : script.hang()
  );
  const ended = await run(
    how,
    model.clientConfig({ codexPath: await codexPath(options.version) }),
    options.signal,
  );
  await whenGone(ended.pid);
  if (existsSync("/proc")) {
    const deadline = performance.now() + SOON_MS;
    while (processesWith(command).length > 0) {
      assert.ok(performance.now() < deadline, `"${command}" outlived the script that ${how}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  return ended;
}

for (const version of CODEX_VERSIONS) {
  test(`after shutdown() neither codex ${version} nor its command runs, and the report says so`, async () => {
    const { output, code } = await ends("shutdown", { version });
    assert.equal(code, 0);
    assert.match(output, /outcome ConnectionClosedError/);
    const report = JSON.parse(/report (.*)/.exec(output)![1]!);
    assert.equal(report.gone, true);
    assert.equal(report.generations, 1);
    assert.ok(["eof", "sigterm", "sigkill"].includes(report.how), report.how);
    assert.notEqual(report.exit, null);
  });
}

for (const how of ["abort", "dispose", "crash", "exit", "throw", "reject"]) {
  test(`neither codex nor its command outlives a script that ends by ${how}`, async () => {
    const { code } = await ends(how);
    assert.equal(code, { abort: 0, dispose: 0, crash: 0, exit: 3, throw: 1, reject: 1 }[how]);
  });
}

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
  test(`neither codex nor its command outlives a script that ${signal} ends`, async () => {
    const ended = await ends("wait", { signal });
    assert.equal(ended.signal, signal);
  });
}

test("a codex that waits for its client does not keep the script alive, and ends with it", async () => {
  await using model = await ScriptedModel.start();
  const config = model.clientConfig({ codexPath: await codexPath() });
  const home = config.env.set["CODEX_HOME"]!;
  const { output, code, ms } = await run("prewarm", config);
  assert.equal(code, 0);
  assert.match(output, /prewarmed/);
  assert.ok(ms < 20_000, `it took ${ms} ms`);
  const deadline = performance.now() + SOON_MS;
  while (usersOf(home).length > 0) {
    assert.ok(performance.now() < deadline, "codex outlived the script");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});

test("a codex that was taken keeps the script alive again", async () => {
  await using model = await ScriptedModel.start();
  const { output, code, pid } = await run(
    "prewarm-taken",
    model.clientConfig({ codexPath: await codexPath() }),
  );
  assert.equal(code, 0);
  assert.match(output, /still here/);
  await whenGone(pid);
});

/** App-servers with this CODEX_HOME. */
function usersOf(home: string): number[] {
  if (!existsSync("/proc")) return [];
  return processesWith(" app-server").filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(`CODEX_HOME=${home}\0`);
    } catch {
      return false;
    }
  });
}

test("connect() takes the codex that was started ahead, also while it is being started", async () => {
  await using model = await ScriptedModel.start();
  const config = model.clientConfig({ codexPath: await codexPath() });
  const other = { ...config, clientInfo: { name: "other", version: "1" } };
  const warming = Client.prewarm(config);
  const again = Client.prewarm(config);
  const [client, different] = await Promise.all([Client.connect(config), Client.connect(other)]);
  try {
    await Promise.all([warming, again]);
    assert.equal(usersOf(model.clientConfig().env.set["CODEX_HOME"]!).length, 2);
    assert.match(different.server.userAgent, /^other\//);
    assert.equal((await client.run(process.cwd(), "hello")).assistantText, "You said: hello");
  } finally {
    await Promise.all([client.shutdown(), different.shutdown()]);
    await coolDown();
  }
});

test("a codex that nobody takes is ended, and one that died is replaced", async () => {
  await using model = await ScriptedModel.start();
  const config = model.clientConfig({ codexPath: await codexPath() });
  const home = config.env.set["CODEX_HOME"]!;
  await prewarm(config, Runtime.spawn, 1);
  const deadline = performance.now() + SOON_MS;
  while (usersOf(home).length > 0) {
    assert.ok(performance.now() < deadline, "nobody ended it");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await prewarm(config, Runtime.spawn);
  const died = usersOf(home);
  for (const pid of died) process.kill(pid, "SIGKILL");
  while (usersOf(home).filter((pid) => !died.includes(pid)).length === 0) {
    await prewarm(config, Runtime.spawn);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const client = await Client.connect(config);
  assert.equal((await client.run(process.cwd(), "hello")).assistantText, "You said: hello");
  await client.shutdown();
  await coolDown();
});

test("a pid file lets the next client end the codex that a killed script could not", async () => {
  await using model = await ScriptedModel.start();
  await using directory = await tempDir();
  const pidFile = join(directory.path, "codex.pid");
  const config: ClientConfig = {
    ...model.clientConfig({ codexPath: await codexPath() }),
    transport: { type: "stdio", pidFile },
  };
  // Stopped, codex can't notice that its script is gone.
  const first = await Client.connect(config);
  assert.equal(JSON.parse(readFileSync(pidFile, "utf8"))[0].pid, first.runtime.pid);
  await first.shutdown();
  assert.equal(existsSync(pidFile), false, "a clean end forgets it");
  const command = `sleep ${++seconds}`;
  await using busy = await ScriptedModel.start(() => script.exec(command));
  const busyConfig: ClientConfig = {
    ...busy.clientConfig({ codexPath: await codexPath() }),
    transport: { type: "stdio", pidFile },
  };
  const stuck = await runAndFreeze(busyConfig);
  assert.ok(isRunning(stuck), "frozen, it outlives its script");
  const next = await Client.connect(config);
  await whenGone(stuck);
  await next.shutdown();
});

/** Freezes the script's codex, then kills the script. */
async function runAndFreeze(config: ClientConfig): Promise<number> {
  await using cwd = await tempDir();
  const command = onDeno ? ["run", "-A", "--no-prompt", SCRIPT] : [SCRIPT];
  const child = spawn(process.execPath, [...command, "wait", JSON.stringify(config), cwd.path], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const pid = await new Promise<number>((resolve) => {
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
      const found = /pid (\d+) running\n/.exec(output);
      if (found !== null) resolve(Number(found[1]));
    });
  });
  process.kill(pid, "SIGSTOP");
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  child.stdout.destroy();
  return pid;
}
