/** A connection whose server is the test. */
import assert from "node:assert/strict";
import { ConnectionClosedError, RpcError } from "../../../src/errors/mod.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { Client } from "../../../src/session/client/client.ts";
import {
  memoryTransport,
  type MemoryTransportOptions,
} from "../../../src/testing/memory_transport.ts";
import { test } from "../../_harness.ts";

/** Methods that this library does not know may do anything. */
const CONSENT = { allowPrivilegedEscalation: true };

async function connected(options?: MemoryTransportOptions) {
  const { transport, server } = memoryTransport(options);
  const runtime = await Runtime.spawn({ transport });
  return { runtime, server, [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose]() };
}

test("memoryTransport() introduces itself as the codex that the test wants", async () => {
  await using on = await connected({ version: "0.150.0" });
  assert.equal(on.runtime.server.version, "0.150.0");
  assert.equal((await on.server.nextNotification()).method, "initialized");
  assert.equal(on.server.connections, 1);
});

test("memoryTransport() can leave the introduction to the test", async () => {
  const { transport, server } = memoryTransport({ handshake: false });
  const spawned = Runtime.spawn({ transport });
  const request = await server.nextRequest("initialize");
  request.respond({ userAgent: "codex-runtime/0.169.0 (x)" });
  await using runtime = await spawned;
  assert.equal(runtime.server.version, "0.169.0");
});

test("raw requests keep their order, also while what judges the first is loaded", async () => {
  await using on = await connected();
  on.server.handle("x", ({ n }) => n!);
  const order = [0, 1, 2, 3, 4, 5];
  await Promise.all(order.map((n) => on.runtime.request("x", { n }, CONSENT)));
  const sent = on.server.received.filter(({ method }) => method === "x");
  assert.deepEqual(sent.map(({ params }) => (params as { n: number }).n), order);
});

test("nextRequest() gives each call once, by method or in order", async () => {
  await using on = await connected();
  const calls = ["a", "b", "a"].map((method) => on.runtime.request(method, { method }, CONSENT));
  // Listened to before it can happen.
  const refused = assert.rejects(
    calls[2]!,
    (error: unknown) => error instanceof RpcError && error.rpcMessage === "not now",
  );
  const b = await on.server.nextRequest("b");
  assert.deepEqual(b.params, { method: "b" });
  b.respond("b!");
  (await on.server.nextRequest()).respond("a1");
  (await on.server.nextRequest()).reject(-32600, "not now", { why: 1 });
  assert.equal(await calls[1], "b!");
  assert.equal(await calls[0], "a1");
  await refused;
});

test("nextRequest() waits, and stops waiting when it is told to", async () => {
  await using on = await connected();
  const stop = new AbortController();
  const never = on.server.nextRequest("x", { signal: stop.signal });
  const waiting = on.server.nextRequest("x");
  stop.abort(new Error("enough"));
  await assert.rejects(never, /enough/);
  const call = on.runtime.request("x", {}, CONSENT);
  (await waiting).respond(1);
  assert.equal(await call, 1);
  await assert.rejects(on.server.nextRequest("x", { signal: stop.signal }), /enough/);
});

test("handle() answers every call of a method, and refuses with what it throws", async () => {
  await using on = await connected();
  on.server
    .handle("double", ({ n }) => (n as number) * 2)
    .handle("fail", () => Promise.reject(new Error("broken")))
    .handle("refuse", () => {
      throw new RpcError("refuse", -32000, "not today");
    });
  assert.equal(await on.runtime.request("double", { n: 4 }, CONSENT), 8);
  await assert.rejects(on.runtime.request("fail", {}, CONSENT), {
    rpcCode: -32603,
    rpcMessage: "broken",
  });
  await assert.rejects(on.runtime.request("refuse", {}, CONSENT), { rpcCode: -32000 });
});

test("notify() and request() reach the client, and its answer comes back", async () => {
  const { transport, server } = memoryTransport();
  await using runtime = await Runtime.spawn({
    transport,
    approvals: () => ({ decision: "accept" }),
  });
  const events = runtime.events()[Symbol.asyncIterator]();
  server.notify("warning", { message: "w" });
  assert.equal((await events.next()).value.method, "warning");
  await events.return?.();
  const answer = await server.request("item/commandExecution/requestApproval", {
    threadId: "t",
    turnId: "u",
    itemId: "i",
    command: "ls",
    cwd: "/w",
  });
  assert.deepEqual(answer, { decision: "accept" });
  await assert.rejects(server.request("no/such/question"), (e: unknown) => e instanceof RpcError);
  // What is answered for the test while something is asked is its own again.
  const listed = runtime.request("thread/loaded/list", {});
  const signal = AbortSignal.timeout(5_000);
  (await server.nextRequest("thread/loaded/list", { signal })).respond({ data: ["t"] });
  assert.deepEqual(await listed, { data: ["t"] });
});

test("send() takes anything, also what is no JSON", async () => {
  await using on = await connected();
  on.server.send("{not json");
  on.server.notify("warning", {});
  for await (const event of on.runtime.events({ after: 0 })) if (event.method === "warning") break;
  assert.equal(on.runtime.metrics().malformed, 1);
});

test("close() ends the connection like a process that dies", async () => {
  await using on = await connected();
  const call = on.runtime.request("x", {}, CONSENT);
  await on.server.nextRequest("x");
  const waiting = on.server.nextRequest();
  on.server.close({ code: 9, signal: null }, "boom");
  await assert.rejects(
    call,
    (error: unknown) =>
      error instanceof ConnectionClosedError && error.exit?.code === 9 &&
      error.stderrTail === "boom",
  );
  await assert.rejects(waiting, (error: unknown) => error instanceof ConnectionClosedError);
  assert.throws(
    () => on.server.notify("x"),
    (error: unknown) => error instanceof ConnectionClosedError,
  );
});

test("a client that restarts finds the same server again", async () => {
  const { transport, server } = memoryTransport();
  await using runtime = await Runtime.spawn({
    transport,
    restart: { type: "onCrash", baseDelayMs: 1 },
  });
  const states = runtime.events({ after: 0 });
  server.handle("ping", () => "pong");
  server.close({ code: 1, signal: null });
  for await (const event of states) {
    const { state, generation } = event.message as { state?: string; generation?: number };
    if (event.kind === "connection" && state === "running" && generation === 2) break;
  }
  assert.equal(server.connections, 2);
  assert.equal(await runtime.request("ping", {}, CONSENT), "pong");
});

test("memoryTransport() answers what a session looks up that asks, as a codex without settings does", async () => {
  const { transport, server } = memoryTransport();
  const client = await Client.connect({ transport });
  const opened = client.startSession({
    cwd: "/",
    approvalPolicy: "untrusted",
    approvals: { rules: [{ effect: "deny", tool: "wipe" }] },
  });
  opened.catch(() => {});
  const { params, reject } = await server.nextRequest("thread/start");
  assert.equal((params as { approvalPolicy?: string }).approvalPolicy, "untrusted");
  reject(-32600, "no thread");
  await assert.rejects(opened, RpcError);
  await client.shutdown();
});
