/** Sinks of the event log that fail, or never answer. */
import assert from "node:assert/strict";
import type { EventEnvelope } from "../../../src/runtime/log/event_envelope.ts";
import type { EventSink } from "../../../src/runtime/log/event_sink.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { memoryTransport } from "../../../src/testing/memory_transport.ts";
import { test } from "../../_harness.ts";

const never = new Promise<never>(() => {});

/** A connection that tells these sinks what happens. */
async function told(eventLog: EventSink[], closeGraceMs = 5): Promise<Runtime> {
  const { transport } = memoryTransport({ version: "0.169.0" });
  return await Runtime.spawn({ transport, eventLog, closeGraceMs });
}

test("a sink that never answers is given up at shutdown, and the report and the metrics say so", async (t) => {
  const hanging: Record<string, EventSink> = {
    write: { write: () => never },
    flush: { write: () => {}, flush: () => never },
    close: { write: () => {}, close: () => never },
  };
  for (const [name, sink] of Object.entries(hanging)) {
    await t.step(name, async () => {
      const seen: EventEnvelope[] = [];
      let closed = 0;
      const good = {
        write: (event: EventEnvelope) => void seen.push(event),
        close: async () => void await closed++,
      };
      const runtime = await told([sink, good]);
      const report = await runtime.shutdown();
      assert.equal(report.sinksGivenUp, 1);
      const { sinkErrors, dropped } = runtime.metrics();
      assert.equal(sinkErrors, 1);
      assert.equal(closed, 1);
      assert.equal(dropped, name === "write" ? seen.at(-1)!.seq : 0);
      assert.equal(await runtime.shutdown(), report);
    });
  }
});

test("a sink that is slow, or throws, gets all at shutdown", async () => {
  const seen: number[] = [];
  const slow: EventSink = {
    write: async ({ seq }) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.push(seq);
      throw new Error("full");
    },
  };
  const runtime = await told([slow]);
  for (let n = 0; n < 5; n++) void runtime.notify(`n${n}`);
  const report = await runtime.shutdown();
  assert.equal(report.sinksGivenUp, 0);
  assert.equal(seen.length, seen.at(-1));
  assert.deepEqual(runtime.metrics().sinkErrors, seen.length);
  assert.equal(runtime.metrics().dropped, 0);
});

test("a sink that has to wait for a disk gets all, however little time codex has to end", async () => {
  const seen: number[] = [];
  const sink: EventSink = {
    write: ({ seq }) => void seen.push(seq),
    flush: async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.push(Infinity);
    },
  };
  const runtime = await told([sink], 0);
  const report = await runtime.shutdown();
  assert.equal(seen.at(-1), Infinity);
  assert.equal(report.sinksGivenUp, 0);
});

test("a sink that is given up is not called again", async () => {
  const answer = Promise.withResolvers<void>();
  const calls: string[] = [];
  const sink: EventSink = {
    write: () => {
      calls.push("write");
      return answer.promise;
    },
    // deno-lint-ignore require-await -- as the interface wants it
    close: async () => void calls.push("close"),
  };
  const runtime = await told([sink]);
  assert.equal((await runtime.shutdown()).sinksGivenUp, 1);
  answer.resolve();
  for (let turns = 0; turns < 50; turns++) await Promise.resolve();
  assert.deepEqual(calls, ["write"]);
});
