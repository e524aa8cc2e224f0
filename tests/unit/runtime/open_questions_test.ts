/** Questions that wait when their connection ends. */
import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import type { EventEnvelope } from "../../../src/runtime/log/event_envelope.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { memoryTransport } from "../../../src/testing/memory_transport.ts";
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
