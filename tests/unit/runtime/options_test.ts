import assert from "node:assert/strict";
import { checkOptions } from "../../../src/check/mod.ts";
import { CodexError, InvalidArgumentError } from "../../../src/errors/mod.ts";
import type { RuntimeConfig } from "../../../src/runtime/config.ts";
import { CLIENT_CONFIG, RUNTIME_CONFIG } from "../../../src/runtime/config_shape.ts";
import { transportFactory } from "../../../src/runtime/connect/connect.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { RUN_PROFILE } from "../../../src/session/profile_shape.ts";
import { memoryPair } from "../../../src/transport/memory.ts";
import { NEWEST_CODEX } from "../../_codex.ts";
import { test } from "../../_harness.ts";

function refusal(config: unknown): string {
  try {
    checkOptions("connect", config, RUNTIME_CONFIG);
    return "";
  } catch (error) {
    assert.ok(error instanceof CodexError);
    return error.message;
  }
}

test("a configuration of the wrong shape is refused with what was probably meant", () => {
  const table: [unknown, RegExp][] = [
    [{ transport: "ws://127.0.0.1:4500" }, /type: "websocket", url/],
    [{ transport: "stdio" }, /type: "stdio"/],
    [{ env: { NAME: "value" } }, /Variables go under `set`/],
    [{ restart: "onCrash" }, /Write `restart: \{ type: "onCrash" \}`/],
    [{ approvals: [] }, /Write `approvals: \{ rules: \[ … \] \}`/],
  ];
  for (const [config, hint] of table) assert.match(refusal(config), hint);
  const silent: unknown[] = [
    { env: { inherit: "everything" } },
    { env: { set: 1 } },
    { env: "all" },
    { env: { 7: 7 } },
  ];
  for (const config of silent) assert.doesNotMatch(refusal(config), /Variables go under|^$/);
  assert.doesNotMatch(refusal({ restart: { type: "always" } }), /Write `restart|^$/);
  for (const rules of [{ rules: [], default: "ask" }, { rules: [], default: "decline" }]) {
    assert.equal(refusal({ approvals: rules }), "");
  }
  assert.notEqual(refusal({ approvals: { rules: [], default: "allow" } }), "");
});

test("a minVersion that names no version is refused, as it would accept every server", () => {
  for (const minVersion of ["latest", "v1.0.0", "", "1"]) {
    assert.match(refusal({ minVersion }), /`minVersion` must be a version such as/);
  }
  for (const minVersion of ["0.104.0", "0.170", "0.170.0-alpha.1", null]) {
    assert.equal(refusal({ minVersion }), "");
  }
});

test("limits and approvals of a session are refused with what was probably meant", () => {
  const message = (profile: unknown) => {
    try {
      checkOptions("startSession", profile, RUN_PROFILE);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.match(message({ limits: 5 }), /Write `limits: \{ tokens: … \}`/);
  assert.doesNotMatch(message({ limits: "5" }), /Write `limits|^$/);
  assert.equal(message({ limits: { tokens: 5 } }), "");
});

test("options about starting codex are refused where nothing is started, by their names", async () => {
  const url = "ws://127.0.0.1:4500";
  const options: [RuntimeConfig, string][] = [
    [{ codexPath: "/codex" }, "codexPath"],
    [{ configOverrides: { model: "x" } }, "configOverrides"],
    [{ env: { inherit: "minimal" } }, "env.inherit"],
    [{ env: { set: { A: "b" } } }, "env.set"],
    [{ onStderr: () => {} }, "onStderr"],
    [{ processCwd: "/" }, "processCwd"],
  ];
  for (const [config, name] of options) {
    const attach = transportFactory({ ...config, transport: { type: "websocket", url } });
    await assert.rejects(attach({}), (error) => {
      assert.ok(error instanceof InvalidArgumentError);
      assert.ok(error.message.includes(`${name}: with`), error.message);
      return true;
    });
    assert.doesNotThrow(() => transportFactory(config), name);
  }
  for (const config of [{}, { configOverrides: {} }, { env: { set: {} } }]) {
    const attach = transportFactory({ ...config, transport: { type: "websocket", url } });
    const reason = new Error("enough");
    await assert.rejects(attach({ signal: AbortSignal.abort(reason) }), reason);
  }
});

test("a cursor of another connection is refused, and none of this one's messages is passed over", async () => {
  const { client, server } = memoryPair();
  server.onLine((line) => {
    const { id } = JSON.parse(line);
    if (id === undefined) return;
    server.send(JSON.stringify({ id, result: { userAgent: `t/${NEWEST_CODEX}` } }));
  });
  await using runtime = await Runtime.spawn({
    transport: { type: "custom", open: () => Promise.resolve(client) },
    clientInfo: { name: "t", version: "1" },
  });
  let newest = 0;
  for await (const { seq, kind, message } of runtime.events({ after: 0 })) {
    newest = seq;
    if (kind === "connection" && JSON.stringify(message).includes("running")) break;
  }
  assert.throws(
    () => runtime.events({ after: newest + 1 }),
    (error) =>
      error instanceof InvalidArgumentError && error.argument === "after" &&
      error.message.includes(`up to ${newest}`),
  );
  const reader = runtime.events({ after: newest })[Symbol.asyncIterator]();
  server.send(JSON.stringify({ method: "x", params: {} }));
  assert.equal((await reader.next()).value?.seq, newest + 1);
});

test("a client is refused to silence what its turns end by, and a runtime is not", () => {
  const needed = ["turn/completed", "item/started", "thread/tokenUsage/updated", "error", ""];
  for (const name of needed) {
    const config = { optOutNotifications: ["item/agentMessage/delta", "new/thing", name] };
    assert.throws(() => checkOptions("connect", config, CLIENT_CONFIG), {
      name: "InvalidArgumentError",
      message: /`optOutNotifications\[2\]` must be the name of a notification/,
    });
    assert.equal(refusal(config) === "", name !== "");
  }
  for (const name of ["item/agentMessage/delta", "turn/diff/updated", "thread/realtime/x", "x/y"]) {
    checkOptions("connect", { optOutNotifications: [name] }, CLIENT_CONFIG);
  }
});

test("names that the system or codex would take for others are refused", () => {
  const table: [unknown, RegExp | ""][] = [
    [{ env: { set: { "A=B": "x" } } }, /`env\.set\["A=B"\]` must be below the name of a variable/],
    [{ env: { set: { "": "x" } } }, /`env\.set/],
    [{ env: { inherit: ["PATH", "A=B"] } }, /`env\.inherit\[1\]` must be the name of a variable/],
    [{ env: { set: { "=C:": "C:\\" } } }, ""],
    [
      { configOverrides: { "model=x": "y" } },
      /`configOverrides\["model=x"\]` must be below a dotted/,
    ],
    [{ configOverrides: { "": "y" } }, /`configOverrides/],
    [{ configOverrides: { a: { "b=c": 1 }, "d.e": 2 } }, ""],
  ];
  for (const [config, expected] of table) {
    if (expected === "") assert.equal(refusal(config), "");
    else assert.match(refusal(config), expected);
  }
});
