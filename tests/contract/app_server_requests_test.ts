/** Every method of the client, through the whole stack and back. */
import assert from "node:assert/strict";
import { AppServer } from "../../src/app_server.ts";
import {
  PolicyError,
  RequestTimeoutError,
  RpcError,
  RpcValidationError,
} from "../../src/errors/mod.ts";
import { type MethodInfo, methodsOfKind } from "../../src/protocol/inventory.ts";
import type * as protocol from "../../src/protocol/mod.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import {
  FakeRpcError,
  FakeServer,
  fakeTransport,
  type Message,
  NO_ANSWER,
} from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { Random, sampleParams, sampleResult } from "../unit/protocol/_sample.ts";

type Methods = Record<string, (params: Message) => unknown>;

async function onFake(
  methods: Methods,
  config: ClientConfig,
  act: (app: AppServer, server: FakeServer) => Promise<void>,
): Promise<void> {
  let server: FakeServer | undefined;
  const app = await AppServer.connect({
    ...config,
    transport: {
      type: "custom",
      open: fakeTransport((end) => server = new FakeServer(end, { methods })),
    },
  });
  try {
    await act(app, server!);
  } finally {
    await app.shutdown();
  }
}

/** Full consent: what a call may do is another test's business. */
const CONSENT = { allowPrivilegedEscalation: true, dangerouslyAllowUnattendedFullAccess: true };

/** A call whose method is data. */
function call(app: AppServer, method: string, params: unknown): Promise<unknown> {
  return app.request(method as protocol.ClientMethod, params as never, CONSENT);
}

/** What the fake has got of a method, without the handshake's own. */
function sent(server: FakeServer, method: string): Message[] {
  const all = server.received.filter((message) => message.method === method);
  return method === "initialize" ? all.slice(1) : all;
}

for (const stability of ["stable", "experimental"] as const) {
  const methods = methodsOfKind("clientRequest").filter((info) => info.stability === stability);

  test(`request() round-trips each of the ${methods.length} ${stability} methods`, async () => {
    // `initialize` is answered by the fake itself, like the handshake's.
    const own = methods.filter(({ method }) => method !== "initialize");
    const results = new Map(own.map(({ method }) => [method, sampleResult(method)]));
    const answers: Methods = Object.fromEntries(
      own.map(({ method }) => [method, () => results.get(method)]),
    );
    await onFake(
      answers,
      { experimentalApi: stability === "experimental" },
      async (app, server) => {
        const calls = methods.map(async (info: MethodInfo) => {
          const { method } = info;
          const params = sampleParams(method);
          const result = await call(app, method, params);
          if (method !== "initialize") assert.deepEqual(result, results.get(method), method);
          const [message, ...more] = sent(server, method);
          assert.deepEqual(message.params, params, method);
          assert.deepEqual(more, []);
          if (!info.paramsOptional) return;
          // Nothing goes out as nothing: some servers read `null` as parameters.
          await call(app, method, undefined);
          assert.ok(!("params" in sent(server, method)[1]), method);
        });
        await Promise.all(calls);
      },
    );
  });
}

test("request() carries optional fields and every variant as they are", async () => {
  const random = new Random(20);
  const methods = methodsOfKind("clientRequest").filter(({ method }) => method !== "initialize");
  const results = new Map<string, unknown>();
  const answers: Methods = Object.fromEntries(
    methods.map(({ method }) => [method, () => results.get(method)]),
  );
  await onFake(answers, { experimentalApi: true }, async (app, server) => {
    let calls = 0;
    for (const { method } of methods) {
      for (let round = 0; round < 3; round++) {
        const params = sampleParams(method, { random, optional: 0.5 });
        results.set(method, sampleResult(method, { random, optional: 0.5 }));
        const before = sent(server, method).length;
        try {
          assert.deepEqual(await call(app, method, params), results.get(method), method);
        } catch (error) {
          // Random sandboxes may need a cwd beside them.
          if (!(error instanceof PolicyError)) throw error;
          continue;
        }
        assert.deepEqual(sent(server, method)[before].params, params, method);
        calls++;
      }
    }
    assert.ok(calls > 500, String(calls));
  });
});

test("nothing is sent for experimental methods, unknown methods and parameters that do not fit", async () => {
  await onFake({}, {}, async (app, server) => {
    await server.waitForMethod("initialized");
    const before = server.received.length;
    const refused: [string, unknown, string][] = [
      ["memory/status", {}, "$"],
      ["thread/start", { dynamicTools: [] }, "$.dynamicTools"],
      ["thread/begin", {}, "$"],
      ["thread/start", { sandbox: "none" }, "$.sandbox"],
      ["turn/start", { threadId: "t", input: [{ type: "txt" }] }, "$.input[0].type"],
      ["thread/start", { config: { big: 1n } }, "$.config.big"],
    ];
    for (const [method, params, path] of refused) {
      await assert.rejects(call(app, method, params), (error) => {
        assert.ok(error instanceof RpcValidationError, method);
        assert.deepEqual([error.path, error.subject], [path, "params"]);
        return true;
      });
    }
    await assert.rejects(app.notify("turn/start", {}), RpcValidationError);
    // The next call is the next message: nothing was on its way.
    await app.requestUnchecked("model/list", {});
    assert.deepEqual(server.received.slice(before).map((message) => message.method), [
      "model/list",
    ]);
  });
});

test("a result that lacks what its type promises rejects with the place", async () => {
  const good = sampleResult("thread/start") as Message;
  let answer: unknown = { ...good, aNewField: 1, approvalPolicy: "a-newer-policy" };
  await onFake({ "thread/start": () => answer }, {}, async (app) => {
    assert.deepEqual(await app.request("thread/start", { sandbox: "read-only" }), answer);
    answer = { ...good, thread: { ...good.thread, id: 7 } };
    await assert.rejects(app.request("thread/start", { sandbox: "read-only" }), (error) => {
      assert.ok(error instanceof RpcValidationError);
      assert.deepEqual([error.path, error.subject], ["$.thread.id", "result"]);
      return true;
    });
    // Unchecked, it is the caller's.
    assert.deepEqual(await app.requestUnchecked("thread/start", { sandbox: "read-only" }), answer);
  });
});

test("low-level calls pass the gate for privileged work", async () => {
  const done = { "thread/shellCommand": () => ({}), "command/exec": () => ({}) };
  await onFake(done, { experimentalApi: true }, async (app, server) => {
    const shell = { threadId: "t", command: "id" };
    await assert.rejects(app.request("thread/shellCommand", shell), PolicyError);
    await assert.rejects(app.requestUnchecked("thread/shellCommand", shell), PolicyError);
    await assert.rejects(
      app.request("thread/start", { cwd: "/w", sandbox: "danger-full-access" }),
      PolicyError,
    );
    assert.deepEqual(sent(server, "thread/shellCommand"), []);
    await app.request("thread/shellCommand", shell, { allowPrivilegedEscalation: true });
    assert.equal(sent(server, "thread/shellCommand").length, 1);
  });
});

test("request() rejects with the server's error, its own time limit, and the signal's reason", async () => {
  const methods = {
    "thread/read": () => {
      throw new FakeRpcError("thread not loaded: t", -32600, { why: 1 });
    },
    "model/list": () => NO_ANSWER,
  };
  await onFake(methods, {}, async (app, server) => {
    await assert.rejects(app.request("thread/read", { threadId: "t" }), (error) => {
      assert.ok(error instanceof RpcError);
      assert.equal(error.rpcCode, -32600);
      assert.deepEqual(error.rpcData, { why: 1 });
      return true;
    });
    await assert.rejects(app.request("model/list", {}, { timeoutMs: 20 }), RequestTimeoutError);
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = app.request("model/list", {}, { signal: controller.signal });
    await server.waitFor((message) => message.method === "model/list" && message.id === 4);
    controller.abort(reason);
    await assert.rejects(waiting, reason);
    await assert.rejects(app.request("model/list", {}, { signal: controller.signal }), reason);
  });
});

test("notify() sends the client's notifications and those of newer servers", async () => {
  await onFake({}, {}, async (app, server) => {
    await app.notify("initialized");
    await app.notify("some/news", { any: 1 });
    assert.deepEqual(await server.waitForMethod("some/news"), {
      method: "some/news",
      params: { any: 1 },
    });
    assert.equal(sent(server, "initialized").length, 2);
  });
});

test("sessions and raw requests share one connection, which ends once", async () => {
  await onFake({}, {}, async (app) => {
    const session = await app.client.startSession({ cwd: "/", ephemeral: true });
    assert.equal((await session.ask("hello")).assistantText, "ok");
    assert.equal(app.client.runtime, app.runtime);
    await session.close();
    await app.shutdown();
    await app[Symbol.asyncDispose]();
    assert.equal(app.runtime.connection, "closed");
    assert.equal((await app.serverRequests().next()).done, true);
  });
});
