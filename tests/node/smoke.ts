/** What must hold on Node: a handful of behaviours of every layer, with the package from its tarball. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFile, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  AppServer,
  artifact,
  Client,
  quickRun,
  QuickRunError,
  rpcMethods,
  RpcValidationError,
  runtime,
  SpawnError,
  testing,
  tool,
  TurnTimeoutError,
  Workflow,
} from "@codex/runtime";

const { script } = testing;
const cwd = process.cwd();
/** A PNG. */
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** Whether a process is still there. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("importing the package does nothing that keeps a program alive", async () => {
  const code = 'await import("@codex/runtime"); console.log("imported")';
  const stdout = await new Promise<string>((resolve, reject) =>
    execFile(
      process.execPath,
      ["--input-type=module", "--eval", code],
      (error, out) => error === null ? resolve(out) : reject(error),
    )
  );
  assert.equal(stdout, "imported\n");
});

test("quickRun() finds codex on PATH", async () => {
  const { assistantText, usage } = await quickRun(".", "Hello");
  assert.equal(assistantText, "You said: Hello");
  assert.equal(usage?.totalTokens, 13);
});

test("quickRun() tells where it looked when there is no codex", async () => {
  const client = { codexPath: join(cwd, "no-codex-here") };
  await assert.rejects(quickRun(cwd, "Hello", { client }), (error) => {
    assert.ok(error instanceof QuickRunError);
    assert.ok(error.cause instanceof SpawnError);
    assert.match(error.cause.message, /no-codex-here/);
    return true;
  });
});

test("Workflow runs a prompt with an attachment in a fresh thread each time", async () => {
  const workflow = await Workflow.connect({ cwd, attachments: ["package.json"] });
  try {
    const first = await workflow.run("One");
    const second = await workflow.run("Two");
    assert.notEqual(first.threadId, second.threadId);
    assert.match(second.assistantText, /^You said: /);
  } finally {
    await workflow.shutdown();
  }
});

test("a session remembers, is resumed, and its codex is gone after shutdown()", async () => {
  const client = await Client.connect();
  const { pid } = client.runtime;
  assert.ok(pid !== null && runs(pid));
  const session = await client.startSession({ cwd });
  await session.ask("first");
  const { threadId } = session;
  await session.release();
  const resumed = await client.resumeSession(threadId, { cwd });
  assert.equal(resumed.threadId, threadId);
  assert.equal((await resumed.ask("second")).assistantText, "You said: second");
  await resumed.close();
  await client.shutdown();
  assert.equal(runs(pid), false);
});

test("a turn that takes too long is stopped on the server, with what it said so far", async () => {
  const model = await testing.ScriptedModel.start([
    [script.say("so far", { open: true }), script.hang()],
    "still here",
  ]);
  const client = await Client.connect(model.clientConfig());
  const session = await client.startSession({ cwd });
  await assert.rejects(session.ask("Take your time", { timeoutMs: 1500 }), (error) => {
    assert.ok(error instanceof TurnTimeoutError);
    assert.equal(error.partialText, "so far");
    return true;
  });
  assert.equal((await session.ask("And now?")).assistantText, "still here");
  await client.shutdown();
  await model.close();
});

test("the loop over a stream shows commands and text as they come", async () => {
  const model = await testing.ScriptedModel.start([[script.exec("echo seen")], "Done."]);
  const client = await Client.connect(model.clientConfig());
  const session = await client.startSession({ cwd });
  const seen: string[] = [];
  const stream = await session.askStream("Look");
  for await (const event of stream) {
    if (event.type === "assistantMessageDelta") seen.push(event.delta);
    if (event.type === "itemCompleted" && event.item.type === "commandExecution") {
      seen.push(event.item.aggregatedOutput ?? "");
    }
  }
  assert.deepEqual(seen, ["seen\n", "Done."]);
  assert.equal((await stream.finish()).assistantText, "Done.");
  await client.shutdown();
  await model.close();
});

test("AppServer checks a request before it is sent", async () => {
  const server = await AppServer.connect();
  const { thread } = await server.request(rpcMethods.THREAD_START, {
    cwd,
    sandbox: "read-only",
    approvalPolicy: "never",
  });
  assert.equal(typeof thread.id, "string");
  await assert.rejects(
    server.request(rpcMethods.THREAD_LIST, { limit: "five" as unknown as number }),
    RpcValidationError,
  );
  await server.shutdown();
});

test("Runtime numbers every message and reports how codex ended", async () => {
  const connection = await runtime.Runtime.spawn();
  await connection.request("model/list", {});
  const numbers: number[] = [];
  for await (const event of connection.events({ after: 0 })) {
    numbers.push(event.seq);
    if (event.kind === "response" && event.method === "model/list") break;
  }
  assert.deepEqual(numbers, numbers.map((_, index) => numbers[0]! + index));
  assert.equal((await connection.shutdown()).gone, true);
});

test("FileArtifactStore keeps a document on disk", async () => {
  const store = new artifact.FileArtifactStore(await mkdtemp(join(cwd, "artifacts-")));
  const saved = await store.save("notes", {
    text: "# Notes\n",
    expectedRevision: artifact.EMPTY_REVISION,
  });
  assert.equal((await store.load("notes"))?.revision, saved.revision);
});

test("images and sounds go along as bytes, and tools of this process work on a copy", async () => {
  const list = execFileSync("codex", ["debug", "models", "--bundled"], { maxBuffer: 64 << 20 });
  const [known] = JSON.parse(String(list)).models;
  const hearing = {
    ...known,
    slug: "scripted-model",
    input_modalities: ["text", "image", "audio"],
    use_responses_lite: false,
  };
  const catalog = join(cwd, "models.json");
  await writeFile(catalog, JSON.stringify({ models: [hearing] }));
  const model = await testing.ScriptedModel.start((request) =>
    request.text !== "Add" || request.toolOutputs.length > 0
      ? request.toolOutputs.at(-1)?.text ?? "I see."
      : [script.toolCall("add", { a: 7, b: 2 }, { namespace: "mcp__session_tools" })]
  );
  const client = await Client.connect(
    model.clientConfig({ configOverrides: { model_catalog_json: catalog } }),
  );
  const session = await client.startSession({ cwd });
  const wave = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA==";
  await session.ask({
    text: "Look and listen",
    attachments: [
      { type: "image", data: Buffer.from(PIXEL, "base64") },
      { type: "image", data: new Blob([Buffer.from(PIXEL, "base64")]) },
      { type: "audio", data: Buffer.from(wave, "base64") },
    ],
  });
  const input = JSON.stringify(model.requests.at(-1)!.body["input"]);
  assert.equal(input.split(`data:image/png;base64,${PIXEL.slice(0, 20)}`).length, 3);
  assert.match(input, /"input_audio","audio_url":"data:audio\/wav;base64,UklGR/);

  const add = tool({
    description: "Adds",
    inputSchema: {
      type: "object",
      properties: { a: { type: "number" }, b: { type: "number" } },
      required: ["a", "b"],
    },
    run: ({ a, b }) => `sum ${a + b}`,
  });
  const copy = await session.fork({ tools: { add } });
  assert.match((await copy.ask("Add")).assistantText, /sum 9/);
  await client.shutdown();
  await model.close();
});

test("a client attaches to a codex behind a socket of the file system", async () => {
  const path = join(await mkdtemp(join(cwd, "s-")), "s");
  const codex = spawn("codex", ["app-server", "--listen", `unix://${path}`], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => codex.once("close", () => resolve()));
  try {
    while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));
    const client = await Client.connect({ transport: { type: "unix", path } });
    assert.match((await client.run(cwd, "Hello")).assistantText, /Hello/);
    assert.equal((await client.runtime.shutdown()).how, "detached");
  } finally {
    codex.kill("SIGKILL");
    await ended;
  }
});
