/** The methods of the client on the real codex, as far as they need no account and no desktop. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { AppServer } from "../../src/app_server.ts";
import { RpcError, RpcValidationError } from "../../src/errors/mod.ts";
import { definition, EVERYTHING, Kind, type Node, resolve } from "../../src/protocol/table.ts";
import { findExperimental } from "../../src/protocol/validator.ts";
import { methodInfo, methodsOfKind } from "../../src/protocol/inventory.ts";
import type * as protocol from "../../src/protocol/mod.ts";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { codexPath, type CodexVersion } from "../_codex.ts";
import { callableParams, misunderstood, NOT_CALLED } from "../contract/protocol_method_table.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";
import { Random, sample } from "../unit/protocol/_sample.ts";
import { RawCodex } from "./_raw_codex.ts";

const FULL = "danger-full-access" as const;
const CONSENT = { allowPrivilegedEscalation: true, dangerouslyAllowUnattendedFullAccess: true };

interface Stage {
  app: AppServer;
  dir: string;
  /** Runs a turn to its end. */
  turn(threadId: string): Promise<void>;
}

async function onStage(
  version: CodexVersion,
  experimentalApi: boolean,
  act: (stage: Stage) => Promise<void>,
): Promise<void> {
  await using directory = await tempDir();
  await using model = await ScriptedModel.start(() => "an answer");
  await makeUsed(model.clientConfig().env.set["CODEX_HOME"]!, version);
  const app = await AppServer.connect({
    ...model.clientConfig({ codexPath: await codexPath(version) }),
    experimentalApi,
  });
  try {
    await act({
      app,
      dir: directory.path,
      async turn(threadId) {
        const { turn } = await app.request("turn/start", {
          threadId,
          input: [{ type: "text", text: "hello" }],
        });
        const methods = ["turn/completed"];
        for await (const event of app.runtime.events({ threadId, methods, after: 0 })) {
          if (event.turnId === turn.id) return;
        }
      },
    });
  } finally {
    await app.shutdown();
  }
}

test("the real codex understands every method, and its answers hold what their types promise", async () => {
  await onStage("0.169.0", true, async ({ app, dir }) => {
    const answered: string[] = [];
    for (const { method } of methodsOfKind("clientRequest")) {
      if (method in NOT_CALLED) continue;
      const { thread } = await app.request("thread/start", { cwd: dir, sandbox: "read-only" });
      const params = callableParams(method, { threadId: thread.id, dir });
      try {
        const options = { ...CONSENT, timeoutMs: 10_000 };
        await app.request(method as protocol.ClientMethod, params as never, options);
        answered.push(method);
      } catch (error) {
        // Refused for a reason of its own is understood; anything else is a bug of ours.
        assert.ok(error instanceof RpcError, `${method}: ${error}`);
        const { rpcCode: code, rpcMessage: message } = error;
        assert.ok(!misunderstood({ code, message }), `${method}: ${message}`);
      }
    }
    assert.ok(answered.length >= 95, `${answered.length} methods were answered`);
  });
});

/** Calls in an order in which each has something to work on; every answer is checked against its type. */
async function workThrough({ app, dir, turn }: Stage): Promise<string[]> {
  const done: string[] = [];
  async function call<M extends protocol.ClientMethod>(
    method: M,
    params: protocol.Params<M>,
  ): Promise<protocol.Result<M>> {
    done.push(method);
    return await app.request(method, params, CONSENT);
  }
  const path = (name: string) => join(dir, name);

  await call("fs/createDirectory", { path: path("d") });
  await call("fs/writeFile", { path: path("d/a"), dataBase64: btoa("hello") });
  assert.equal((await call("fs/readFile", { path: path("d/a") })).dataBase64, btoa("hello"));
  await call("fs/copy", { sourcePath: path("d/a"), destinationPath: path("d/b") });
  const { entries } = await call("fs/readDirectory", { path: path("d") });
  assert.deepEqual(entries.map((entry) => entry.fileName).sort(), ["a", "b"]);
  assert.equal((await call("fs/getMetadata", { path: path("d/b") })).isFile, true);
  await call("fs/remove", { path: path("d/b") });
  const found = await call("fuzzyFileSearch", { query: "a", roots: [path("d")] });
  assert.equal(found.files.length, 1);

  const ran = await call("command/exec", {
    command: ["echo", "out"],
    cwd: dir,
    sandboxPolicy: { type: "dangerFullAccess" },
  });
  assert.deepEqual([ran.exitCode, ran.stdout.trim()], [0, "out"]);
  const processId = "mine";
  const cat = call("command/exec", {
    command: ["cat"],
    cwd: dir,
    processId,
    tty: true,
    size: { rows: 24, cols: 80 },
    sandboxPolicy: { type: "dangerFullAccess" },
  });
  await call("command/exec/resize", { processId, size: { rows: 30, cols: 90 } });
  await call("command/exec/write", { processId, deltaBase64: btoa("x\n") });
  await call("command/exec/terminate", { processId });
  await cat;

  await call(
    "config/value/write",
    { keyPath: "web_search", value: "disabled", mergeStrategy: "replace" },
  );
  await call("config/batchWrite", { edits: [] });
  await call("config/read", { includeLayers: true });
  await call("account/login/start", { type: "apiKey", apiKey: "sk-scripted" });
  await call("account/read", {});
  await call("account/logout", undefined);

  const settings = { cwd: dir, sandbox: FULL, approvalPolicy: "never" } as const;
  const { thread } = await call("thread/start", settings);
  const threadId = thread.id;
  await turn(threadId);
  await call("thread/name/set", { threadId, name: "a name" });
  await call("thread/metadata/update", { threadId, gitInfo: { branch: "main" } });
  const read = await call("thread/read", { threadId, includeTurns: true });
  assert.equal(read.thread.turns.length, 1);
  assert.equal((await call("thread/turns/list", { threadId })).data.length, 1);
  const listed = await call("thread/list", { cwd: dir });
  assert.deepEqual(listed.data.map((each) => each.id), [threadId]);
  await call("thread/goal/set", { threadId, objective: "finish", status: "paused" });
  assert.equal((await call("thread/goal/get", { threadId })).goal?.objective, "finish");
  await call("thread/goal/clear", { threadId });
  const item = { type: "message", role: "user", content: [{ type: "input_text", text: "note" }] };
  await call("thread/inject_items", { threadId, items: [item] });
  const fork = await call("thread/fork", { threadId, ...settings, excludeTurns: true });
  assert.equal(fork.thread.forkedFromId, threadId);
  await call("thread/unsubscribe", { threadId: fork.thread.id });
  await call("thread/archive", { threadId });
  await call("thread/unarchive", { threadId });
  await call("thread/resume", { threadId, ...settings, excludeTurns: true });
  await turn(threadId);
  const { section } = await call("threadSection/create", { name: "section" });
  await call("thread/section/move", { threadId, sectionId: section.id });
  await call("threadSection/update", { sectionId: section.id, name: "other" });
  await call("threadSection/delete", { sectionId: section.id });
  await call("thread/compact/start", { threadId });
  // A thread whose history a fork stands on can't go before it.
  await call("thread/delete", { threadId: fork.thread.id });
  await call("thread/delete", { threadId });
  return done;
}

test("files, commands, configuration and the life of a thread round-trip with their results", async () => {
  await onStage("0.169.0", false, async (stage) => {
    const done = await workThrough(stage);
    assert.ok(new Set(done).size >= 38, `${new Set(done).size} methods`);
  });
});

test("experimental methods round-trip with experimentalApi", async () => {
  await onStage("0.169.0", true, async ({ app, dir, turn }) => {
    const settings = { cwd: dir, sandbox: FULL, approvalPolicy: "never" } as const;
    const { thread } = await app.request("thread/start", {
      ...settings,
      dynamicTools: [{
        type: "function",
        name: "look",
        description: "Looks.",
        inputSchema: { type: "object" },
      }],
    }, CONSENT);
    const threadId = thread.id;
    await turn(threadId);
    assert.deepEqual((await app.request("thread/backgroundTerminals/list", { threadId })).data, []);
    await app.request("thread/backgroundTerminals/clean", { threadId });
    const input: protocol.UserInput[] = [{ type: "text", text: "later" }];
    await app.request("thread/settings/update", { threadId, model: "scripted-model" }, CONSENT);
    const modes = await app.request("collaborationMode/list", {}, CONSENT);
    assert.ok(modes.data.length > 0);
    assert.equal((await app.request("memory/status", {}, CONSENT)).v2Ready, true);
    await app.request("turn/start", {
      threadId,
      input,
      additionalContext: { note: { kind: "application", value: "context" } },
    });
    const found = await app.request("thread/search", { searchTerm: "hello" });
    assert.ok(Array.isArray(found.data));
  });
});

test("the oldest supported codex answers the methods it knows, and names those it does not", async () => {
  await onStage("0.104.0", true, async ({ app, dir, turn }) => {
    const settings = { cwd: dir, sandbox: FULL, approvalPolicy: "never" } as const;
    const { thread } = await app.request("thread/start", settings, CONSENT);
    const threadId = thread.id;
    await turn(threadId);
    await app.request("thread/name/set", { threadId, name: "a name" });
    assert.equal(
      (await app.request("thread/read", { threadId, includeTurns: true })).thread.id,
      threadId,
    );
    assert.equal((await app.request("thread/list", { cwd: dir })).data.length, 1);
    assert.ok((await app.request("thread/loaded/list", {})).data.includes(threadId));
    const fork = await app.request("thread/fork", { threadId, ...settings }, CONSENT);
    await turn(fork.thread.id);
    await app.request("thread/archive", { threadId });
    await app.request("thread/unarchive", { threadId });
    await app.request("thread/resume", { threadId, ...settings }, CONSENT);
    await app.request("thread/compact/start", { threadId });
    assert.ok((await app.request("model/list", {})).data.length > 0);
    assert.equal((await app.request("account/read", {})).account, null);
    await app.request(
      "account/login/start",
      { type: "apiKey", apiKey: "sk-scripted" },
      CONSENT,
    );
    await app.request("account/logout", undefined, CONSENT);
    await app.request("config/read", { includeLayers: true });
    await app.request("configRequirements/read", undefined);
    await app.request("config/batchWrite", { edits: [] }, CONSENT);
    await app.request("skills/list", { cwds: [dir] });
    await app.request("app/list", {});
    await app.request("experimentalFeature/list", {});
    await app.request("mcpServerStatus/list", {});
    await app.request("config/mcpServer/reload", undefined, CONSENT);
    await app.request("collaborationMode/list", {}, CONSENT);
    const ran = await app.request("command/exec", {
      command: ["echo", "out"],
      cwd: dir,
      sandboxPolicy: { type: "dangerFullAccess" },
    }, CONSENT);
    assert.equal(ran.stdout.trim(), "out");
    await assert.rejects(
      app.request("thread/unsubscribe", { threadId }),
      (error) => error instanceof RpcError && error.isUnknownMethod,
    );
  });
});

/** Methods whose stable parameters have experimental fields. */
const MIXED = methodsOfKind("clientRequest").filter(({ params, stability }) =>
  stability === "stable" && params !== null &&
  resolve(definition(params, EVERYTHING)).needs.includes(-1)
).map(({ method }) => method);

/** A value that counts as used, for an optional field. */
function valueFor(type: string, key: string, dir: string): unknown {
  for (let seed = 1;; seed++) {
    const text = () => `${dir}/sample`;
    const made = sample(type, { random: new Random(seed), optional: 1, text }) as never;
    const value = made[key];
    if (value !== undefined && value !== null && value !== false) return value;
  }
}

test("the local gate and the server agree on which fields are experimental", async () => {
  await using directory = await tempDir();
  await using model = await ScriptedModel.start(() => "an answer");
  const config = model.clientConfig({ codexPath: await codexPath() });
  await using codex = new RawCodex({ codexPath: "", ...config });
  await codex.request("initialize", { clientInfo: { name: "probe", version: "1" } });
  codex.send({ method: "initialized" });
  const started = await codex.request("thread/start", { cwd: directory.path });
  const place = { threadId: started.thread.id, dir: directory.path };
  assert.ok(MIXED.length >= 7, MIXED.join());
  let gated = 0;
  const wrong: string[] = [];
  for (const method of MIXED) {
    const type = methodInfo(method)!.params!;
    const base = callableParams(method, place) as Record<string, unknown>;
    const node: Node = resolve(definition(type, EVERYTHING));
    for (const [index, key] of node.keys.entries()) {
      // Free-form settings: a sample is no configuration.
      if (key in base || key === "config") continue;
      const flag = resolve(node.nodes[index]!).kind === Kind.BOOLEAN;
      const values = [null, ...(flag ? [false] : []), valueFor(type, key, place.dir)];
      for (const value of values) {
        const params = { ...base, [key]: value };
        const refused = await codex.request(method, params)
          .then(() => "", (error) => (error as Error).message);
        // What it can't read it refuses before it looks at the capability.
        if (refused.startsWith("Invalid request")) continue;
        const where = findExperimental(method, params);
        const needs = /requires experimentalApi capability/.test(refused);
        if ((where !== null) !== needs) {
          wrong.push(`${method} ${key} ${JSON.stringify(value)}: ${refused}`);
        }
        if (needs) gated++;
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(gated >= 40, `${gated} fields`);
});

test("without experimentalApi nothing experimental reaches the server", async () => {
  await onStage("0.169.0", false, async ({ app, dir }) => {
    const before = app.runtime.metrics();
    for (const { method, stability } of methodsOfKind("clientRequest")) {
      if (stability === "stable") continue;
      const params = callableParams(method, { threadId: "t", dir });
      await assert.rejects(
        app.request(method as protocol.ClientMethod, params as never),
        RpcValidationError,
      );
    }
    await assert.rejects(app.request("thread/start", { dynamicTools: [] }), RpcValidationError);
    assert.deepEqual(app.runtime.metrics().messagesOut, before.messagesOut);
  });
});
