import assert from "node:assert/strict";
import { InvalidArgumentError, QuickRunError } from "../../../src/errors/mod.ts";
import { quickRun, quickRunWithProfile } from "../../../src/quick_run.ts";
import { EventLog } from "../../../src/runtime/log/event_log.ts";
import type { EventEnvelope } from "../../../src/runtime/mod.ts";
import { memoryTransport } from "../../../src/testing/memory_transport.ts";
import { test } from "../../_harness.ts";

/** Nothing is checked of a call that brings a text alone: whatever else it brings has to be. */
const CALLS: Record<string, () => Promise<unknown>> = {
  "a prompt that is no text": () => quickRun("/", 5 as never),
  "no prompt": () => quickRun("/", undefined as never),
  "a prompt with what no prompt has": () => quickRun("/", { text: "x", nope: 1 } as never),
  "options that are null": () => quickRun("/", "x", null as never),
  "an option that there is not": () => quickRun("/", "x", { nope: 1 } as never),
  "a client's option that there is not": () => quickRun("/", "x", { client: { nope: 1 } as never }),
  "rules that can't be meant": () =>
    quickRun("/", "x", { client: { approvals: { rules: [{ effect: "maybe" as never }] } } }),
  "a profile that is left out": () => quickRunWithProfile("/", "x", undefined as never),
  "a profile that is null": () => quickRunWithProfile("/", "x", null as never),
  "a profile with what none has": () => quickRunWithProfile("/", "x", { nope: 1 } as never),
  "a sandbox that there is not": () => quickRunWithProfile("/", "x", { sandbox: "none" as never }),
};

for (const [name, call] of Object.entries(CALLS)) {
  test(`quickRun() refuses ${name} before it starts anything`, async () => {
    await assert.rejects(call(), InvalidArgumentError);
  });
}

test("quickRun() and quickRunWithProfile() say where an option goes that they do not have", async () => {
  const quick = (options: object) => quickRun("/", "x", options as never);
  const profiled = (profile: object) => quickRunWithProfile("/", "x", profile as never);
  const table: [() => Promise<unknown>, RegExp][] = [
    [
      () => quick({ timeout: 1 }),
      /It is called `timeoutMs`\. .*quickRunWithProfile\(cwd, prompt, \{/,
    ],
    [() => quick({ output: {} }), /Call `client\.run\(cwd, prompt, \{ output \}\)`/],
    [
      () => profiled({ timeout: 1 }),
      /quickRunWithProfile: .*no option `timeout`\. Did you mean `timeoutMs`\? The options are /,
    ],
    [() => profiled({ signal: 1 }), /It comes after the profile, in an object of its own\. /],
    [() => profiled({ client: {} }), /It comes after the profile/],
    [() => profiled({ retry: {} }), /belongs to a turn: give it to `ask` or `run`/],
  ];
  for (const [call, words] of table) await assert.rejects(call, words);
});

test("quickRun() keeps what the server says for whom the configuration names, and for nobody else", async () => {
  const { keepNothing } = EventLog.prototype;
  const told: (string | undefined)[] = [];
  const eventLog = { write: ({ method }: EventEnvelope) => void told.push(method) };
  const approvals = { rules: [] };
  let kept = true;
  EventLog.prototype.keepNothing = function () {
    kept = false;
    keepNothing.call(this);
  };
  try {
    for (const config of [{}, { eventLog }, { approvals }, { hooks: {} }]) {
      const { transport, server } = memoryTransport();
      server.handle("thread/start", () => {
        throw new Error("no thread");
      });
      kept = true;
      await assert.rejects(quickRun("/", "x", { client: { ...config, transport } }), QuickRunError);
      assert.equal(kept, Object.keys(config).length > 0, Object.keys(config).join());
    }
  } finally {
    EventLog.prototype.keepNothing = keepNothing;
  }
  assert.deepEqual(told.filter((method) => method?.includes("/")), [
    "thread/start",
    "thread/start",
  ]);
});
