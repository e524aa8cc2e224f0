/** Questions that wait when their connection ends. */
import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import type { EventEnvelope } from "../../../src/runtime/log/event_envelope.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { Client } from "../../../src/session/client/client.ts";
import { memoryTransport } from "../../../src/testing/memory_transport.ts";
import { FakeServer, fakeTransport, type Message, NO_ANSWER } from "../../_fake_server.ts";
import { test } from "../../_harness.ts";
import { COMMAND, PARAMS, THREAD, TURN } from "../approvals/_requests.ts";

for (const end of ["shutdown", "crash"] as const) {
  test(`a question that waits is settled when its connection ends: ${end}`, async () => {
    const { transport, server } = memoryTransport({ version: "0.169.0" });
    const asked = Promise.withResolvers<AbortSignal>();
    const runtime = await Runtime.spawn({
      transport,
      restart: { type: "never" },
      approvals: (_request, { signal }) => {
        asked.resolve(signal);
        return new Promise(() => {});
      },
    });
    const audits: EventEnvelope[] = [];
    const told = (async () => {
      for await (const event of runtime.events({ threadId: THREAD, after: 0 })) {
        if (event.kind === "approval") audits.push(event);
      }
    })();
    server.request(COMMAND, PARAMS[COMMAND]!).catch(() => {});
    const signal = await asked.promise;
    assert.equal(runtime.metrics().pendingServerRequests, 1);
    if (end === "crash") server.close({ code: 1, signal: null });
    else await runtime.shutdown();
    await told;
    assert.equal(signal.aborted, true);
    assert.equal(runtime.metrics().pendingServerRequests, 0);
    assert.equal(audits.length, 1);
    assert.deepEqual([audits[0]!.turnId, audits[0]!.itemId], [TURN, "call_1"]);
    const { decidedBy, reason } = audits[0]!.message as JsonObject;
    assert.deepEqual([decidedBy, reason], ["failClosed", "closed"]);
    assert.match(String(signal.reason), /the connection ended/);
    await runtime.shutdown();
  });
}

test("a question that comes while threads are resumed is settled when that connection ends as well", async () => {
  const servers: FakeServer[] = [];
  const methods = {
    "thread/resume": (_: Message, server: FakeServer) => {
      void server.ask(COMMAND, PARAMS[COMMAND]!);
      return NO_ANSWER;
    },
  };
  const open = fakeTransport((end) => {
    servers.push(new FakeServer(end, servers.length === 1 ? { methods } : {}));
  });
  const asked = Promise.withResolvers<AbortSignal>();
  const client = await Client.connect({
    transport: { type: "custom", open },
    restart: { type: "onCrash", baseDelayMs: 0 },
    approvals: (_request, { signal }) => {
      asked.resolve(signal);
      return new Promise(() => {});
    },
  });
  const session = await client.startSession({ cwd: "/" });
  await session.ask("x");
  servers[0]!.crash();
  const signal = await asked.promise;
  servers[1]!.crash();
  await client.runtime.request("thread/loaded/list", {});
  assert.equal(servers.length, 3);
  assert.deepEqual([signal.aborted, client.approvals.pending()], [true, []]);
  await client.shutdown();
});
