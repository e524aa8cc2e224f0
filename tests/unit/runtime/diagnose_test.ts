/** What is found out about a codex, without one. */
import assert from "node:assert/strict";
import process from "node:process";
import { RpcError } from "../../../src/errors/mod.ts";
import type { TransportConfig } from "../../../src/runtime/config.ts";
import type { JsonObject } from "../../../src/json.ts";
import { diagnose } from "../../../src/runtime/namespace.ts";
import { driftOf, loginOf } from "../../../src/runtime/diagnose/diagnose.ts";
import { memoryTransport } from "../../../src/testing/memory_transport.ts";
import { test } from "../../_harness.ts";

const LOGGED_IN = { account: { type: "chatgpt", email: "ann@example.org", planType: "plus" } };

const SECRET = "hunter2-hunter2-hunter2";

/** A server that knows two methods. */
function server(account: JsonObject, version = "0.169.0") {
  const { transport, server } = memoryTransport({ version });
  server.handle("account/read", () => account).handle(
    "codex-runtime/diagnose",
    (_params, { method }) => {
      throw new RpcError(
        method,
        -32600,
        `Invalid request: unknown variant \`${method}\`, expected one of \`initialize\`, \`new/method\``,
      );
    },
  );
  return transport;
}

test("diagnose() tells what a healthy server is, and whose account it has not", async () => {
  const transport = server({ ...LOGGED_IN, requiresOpenaiAuth: true });
  const diagnosis = await diagnose({ transport });
  assert.equal(diagnosis.ok, true);
  assert.deepEqual(diagnosis.problems, []);
  assert.equal(diagnosis.codex.version, "0.169.0");
  assert.equal(diagnosis.codex.transport, "custom");
  assert.deepEqual(diagnosis.login, { type: "chatgpt", plan: "plus", required: true });
  assert.deepEqual(diagnosis.drift!.unknown, ["new/method"]);
  assert.ok(diagnosis.drift!.missing.includes("thread/start"));
  assert.ok(!JSON.stringify(diagnosis).includes("ann@example.org"));
});

test("diagnose() lists each permission that codex and its sessions need", async () => {
  const { permissions } = await diagnose({
    transport: server({ ...LOGGED_IN, requiresOpenaiAuth: true }),
    processCwd: "/w",
  });
  assert.deepEqual(
    permissions.flags.map(({ flag }) => flag),
    ["--allow-read=/w", "--allow-write=/w", "--allow-read"],
  );
});

test("diagnose() names what a connection needs, not what starting codex would", async () => {
  const needs = async (transport: TransportConfig) =>
    (await diagnose({ transport, processCwd: "/w" })).permissions.flags
      .flatMap(({ flag }) => /\/w$|-read$/.test(flag) ? [] : [flag]);
  assert.deepEqual(await needs({ type: "unix", path: "/no/socket" }), [
    "--allow-read=/no/socket",
    "--allow-write=/no/socket",
  ]);
  assert.deepEqual(await needs({ type: "command", command: ["/no/ssh", "host", "codex"] }), [
    "--allow-run=/no/ssh",
    "--allow-env",
  ]);
  assert.deepEqual(await needs({ type: "daemon", codexHome: "/no" }), []);
  assert.deepEqual(await needs({ type: "websocket", url: "ws://127.0.0.1:1" }), [
    "--allow-net=127.0.0.1:1",
  ]);
});

test("diagnose() says when nobody is logged in, unless the provider needs no login", async () => {
  const codes = async (account: JsonObject) =>
    (await diagnose({ transport: server(account) })).problems.map(({ code }) => code);
  assert.deepEqual(await codes({ account: null, requiresOpenaiAuth: true }), ["notLoggedIn"]);
  assert.deepEqual(await codes({ account: null, requiresOpenaiAuth: false }), []);
});

test("diagnose() tells of an old codex instead of refusing it", async () => {
  const transport = server({ ...LOGGED_IN, requiresOpenaiAuth: true }, "0.99.0");
  const { ok, problems, codex } = await diagnose({ transport });
  assert.equal(ok, false);
  assert.equal(codex.version, "0.99.0");
  assert.deepEqual(problems.map(({ code }) => code), ["incompatibleVersion"]);
  const lenient = server({ ...LOGGED_IN, requiresOpenaiAuth: true }, "0.99.0");
  assert.equal((await diagnose({ transport: lenient, minVersion: null })).ok, true);
});

test("diagnose() tells where codex was looked for when it is not there", async () => {
  const { ok, problems, codex, login, drift } = await diagnose({ codexPath: "/no/such/codex" });
  assert.equal(ok, false);
  assert.deepEqual(problems.map(({ code }) => code), ["spawn"]);
  assert.ok(codex.looked.some((place) => place.includes("/no/such/codex")));
  assert.deepEqual([codex.path, codex.version, login, drift], [null, null, null, null]);
});

test("diagnose() takes secrets out of what a dying server says", async () => {
  const { transport, server } = memoryTransport({ handshake: false });
  server.handle("initialize", () => {
    server.close({ code: 1, signal: null }, "OPENAI_API_KEY=hunter2-hunter2 is wrong");
    return {};
  });
  const { problems } = await diagnose({ transport });
  assert.equal(problems[0]!.code, "connectionClosed");
  assert.match(problems[0]!.message, /OPENAI_API_KEY=\[redacted\] is wrong/);
});

test("diagnose() takes secrets out of what the server calls itself, and of why it tells no login", async () => {
  const { transport, server } = memoryTransport({ handshake: false });
  server.handle("initialize", () => ({
    userAgent: `codex/0.169.0 (via proxy; api_key=${SECRET})`,
    codexHome: "/home/ann/.codex",
    platformFamily: "unix",
    platformOs: "linux",
  })).handle("account/read", (_params, { method }) => {
    throw new RpcError(method, -32000, `refused: Authorization: Bearer ${SECRET}`);
  }).handle("codex-runtime/diagnose", (_params, { method }) => {
    throw new RpcError(method, -32600, "Invalid request");
  });
  const diagnosis = await diagnose({ transport });
  assert.match(diagnosis.codex.userAgent!, /via proxy; api_key=\[redacted\]/);
  assert.ok(diagnosis.problems.some(({ message }) => message.includes("[redacted]")));
  assert.ok(!JSON.stringify(diagnosis).includes(SECRET));
});

test("diagnose() tells of a configuration that codex can't read", async () => {
  const { transport, server } = memoryTransport();
  const why =
    "failed to read configuration layers: /home/ann/.codex/config.toml:1:9: expected a string";
  server.handle("account/read", () => LOGGED_IN).handle("config/read", (_params, { method }) => {
    throw new RpcError(method, -32603, why);
  }).handle("codex-runtime/diagnose", (_params, { method }) => {
    throw new RpcError(method, -32600, "Invalid request");
  });
  const { ok, problems } = await diagnose({ transport });
  assert.equal(ok, false);
  assert.deepEqual(problems.map(({ code }) => code), ["rpc"]);
  assert.ok(problems[0]!.message.includes(why));
});

test("diagnose() never shows the value of a variable", async () => {
  const before = process.env["OPENAI_API_KEY"];
  process.env["OPENAI_API_KEY"] = "hunter2-hunter2";
  try {
    const diagnosis = await diagnose({ transport: server(LOGGED_IN) });
    assert.equal(diagnosis.environment["OPENAI_API_KEY"], "set");
    assert.ok(!JSON.stringify(diagnosis).includes("hunter2"));
  } finally {
    if (before === undefined) delete process.env["OPENAI_API_KEY"];
    else process.env["OPENAI_API_KEY"] = before;
  }
});

test("diagnose() rejects with the signal's reason, and only with that", async () => {
  const stop = new AbortController();
  const { transport, server } = memoryTransport();
  server.handle("account/read", () => {
    stop.abort(new Error("enough"));
    return new Promise(() => {});
  });
  await assert.rejects(diagnose({ transport, signal: stop.signal }), /enough/);
  await assert.rejects(diagnose({ transport, signal: stop.signal }), /enough/);
});

test("diagnose() rejects at once, also while it asks for a home that it does not know", {
  timeoutMs: 10_000,
}, async () => {
  const stop = new AbortController();
  const { transport, server } = memoryTransport({ handshake: false });
  server.handle("initialize", () => ({ userAgent: "codex/0.104.0" }))
    .handle("config/read", () => {
      stop.abort(new Error("enough"));
      return new Promise(() => {});
    });
  const { signal } = stop;
  await assert.rejects(diagnose({ transport, signal, env: { inherit: [] } }), /enough/);
  assert.ok(!server.received.some(({ method }) => method === "account/read"));
});

test("driftOf() reads the methods that a refusal names", () => {
  const known = new Set(["a/b", "c/d"]);
  assert.deepEqual(driftOf("unknown variant `x`, expected one of `a/b`, `e/f`", known), {
    missing: ["c/d"],
    unknown: ["e/f"],
  });
  assert.equal(driftOf("unknown variant `x`", known), null);
  assert.equal(driftOf("no, expected one of nothing", known), null);
});

test("loginOf() reads odd answers", () => {
  const none = { type: null, plan: null, required: false };
  for (const answer of [null, [], "x", {}, { account: 7 }]) assert.deepEqual(loginOf(answer), none);
});
