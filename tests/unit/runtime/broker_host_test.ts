/** How long an acceptance is held, and what becomes of a turn in which two things were asked under one id. */
import assert from "node:assert/strict";
import type { JsonValue } from "../../../src/json.ts";
import { RequestTimeoutError } from "../../../src/errors/mod.ts";
import { brokerHost, moreTime } from "../../../src/runtime/broker_host.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { FakeServer, fakeTransport } from "../../_fake_server.ts";
import { test } from "../../_harness.ts";
import { COMMAND, PARAMS, THREAD, TURN } from "../approvals/_requests.ts";

const seen = () => ({ threads: {} }) as never;

/** A server that answers each call after so many milliseconds. */
function slow(ms: number, refuses = "") {
  const calls: [string, JsonValue][] = [];
  const core = {
    server: { version: "0.169.0" },
    ended: new AbortController().signal,
    callNow: async (method: string, params: JsonValue) => {
      calls.push([method, params]);
      const end = performance.now() + ms;
      while (performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 1));
      if (method === refuses) throw new Error("no");
      return {};
    },
  };
  return { core, calls };
}

test("a process that gets its turn late gives codex more time", () => {
  const rows: [late: number, more: number][] = [
    [-1, 0],
    [0, 0],
    [8, 0],
    [9, 90],
    [30, 300],
    [50, 500],
    [51, 500],
    [2000, 500],
  ];
  for (const [late, more] of rows) assert.equal(moreTime(late), more, `${late}`);
});

test("an acceptance waits until the server has had time to ask again, and longer for what repeats", async () => {
  for (const [repeats, least] of [[false, 100], [true, 300]] as const) {
    const { core, calls } = slow(0);
    const began = performance.now();
    await (await brokerHost({}, seen, core)).heardAll!(repeats);
    // A timer may fire a moment early.
    assert.ok(performance.now() - began >= least - 2);
    assert.equal(calls[0]![0], "thread/loaded/list");
  }
  const { core, calls } = slow(20);
  const began = performance.now();
  await (await brokerHost({}, seen, core)).heardAll!(false);
  assert.equal(calls.length, 2, "it is asked again, once");
  assert.ok(performance.now() - began >= 100 + 20 + 200 + 20 - 2);
});

test("an acceptance does not leave because the answer could not be read in time", async () => {
  // A process that is blocked finds the answer and the end of its time at once.
  const told: number[] = [];
  const failing = (error: Error) => ({
    ...slow(0).core,
    callNow: (_: string, __: JsonValue, { timeoutMs }: { timeoutMs?: number }) => {
      told.push(timeoutMs!);
      return Promise.reject(error);
    },
  });
  const late = new RequestTimeoutError("thread/loaded/list", 30_000);
  const host = await brokerHost({}, seen, failing(late));
  await assert.rejects(host.heardAll!(false), late);
  assert.deepEqual(told, [30_000]);
  // A connection that is lost takes the question with it.
  await (await brokerHost({}, seen, failing(new Error("lost")))).heardAll!(false);
});

test("with a turn whose second question came too late its commands are ended, which would outlive it", async () => {
  for (const refuses of ["", "turn/interrupt", "thread/backgroundTerminals/clean"]) {
    const { core, calls } = slow(0, refuses);
    (await brokerHost({}, seen, core)).interrupt!(THREAD, TURN);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    assert.deepEqual(calls, [
      ["turn/interrupt", { threadId: THREAD, turnId: TURN }],
      ["thread/backgroundTerminals/clean", { threadId: THREAD }],
    ], refuses);
  }
});

test("a turn whose second question came too late is interrupted, and not by its answer alone", async () => {
  const servers: FakeServer[] = [];
  const open = fakeTransport((end) => void servers.push(new FakeServer(end)));
  const runtime = await Runtime.spawn({
    transport: { type: "custom", open },
    approvals: () => ({ decision: "accept" }),
  });
  const [server] = servers;
  const first = await server!.ask(COMMAND, PARAMS[COMMAND]!);
  assert.deepEqual(first["result"], { decision: "accept" });
  const second = server!.ask(COMMAND, { ...PARAMS[COMMAND], command: "rm x" });
  const { params } = await server!.waitFor(({ method }) => method === "turn/interrupt");
  assert.deepEqual(params, { threadId: THREAD, turnId: TURN });
  assert.deepEqual((await second)["result"], { decision: "cancel" });
  await runtime.shutdown();
});
