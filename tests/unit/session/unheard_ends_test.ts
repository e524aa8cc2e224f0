import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import type { Turn } from "../../../src/session/turn/turn.ts";
import { isOverBy, provesOver, UnheardEnds } from "../../../src/session/turn/unheard_ends.ts";
import { test } from "../../_harness.ts";

test("provesOver() takes a beginning as proof, and before 0.125 only work", () => {
  const table: [string, boolean, boolean][] = [
    ["turn/started", false, true],
    ["turn/started", true, false],
    ["item/started", true, true],
    ["item/agentMessage/delta", true, true],
    ["item/reasoning/textDelta", true, true],
    // What ended turns say as well.
    ["item/completed", true, false],
    ["item/completed", false, false],
    ["item/started", false, false],
    ["thread/tokenUsage/updated", true, false],
    ["turn/completed", false, false],
    ["turn/completed", true, false],
    ["turn/plan/updated", false, false],
  ];
  for (const [method, joins, expected] of table) {
    assert.equal(provesOver(method, joins), expected, `${method} ${joins}`);
  }
});

test("isOverBy() ends a turn by the id of another one, unless that is the inner one of a review", () => {
  const turn = {
    phase: "started",
    turnId: "a",
    activeId: "a",
    status: null,
    review: false,
    lateEnd: null,
  };
  const table: [Partial<typeof turn>, string, boolean][] = [
    [{}, "b", true],
    [{}, "a", false],
    // One that has an id and has not begun waits for those before it.
    [{ phase: "identified" }, "b", false],
    [{ phase: "completed", status: "completed" as never }, "b", false],
    [{ phase: "released" }, "b", false],
    // What a lost connection hid of it is looked for.
    [{ lateEnd: [] as never }, "b", false],
    // What was named in its middle (0.104) works by itself.
    [{ activeId: "b" }, "b", true],
    [{ review: true }, "b", false],
    [{ review: true, activeId: "b" }, "b", false],
    [{ review: true, activeId: "b" }, "c", true],
  ];
  for (const [change, named, expected] of table) {
    const { phase, turnId, activeId, status, review, lateEnd } = { ...turn, ...change };
    const outcome = { status, items: { has: (type: string) => review && /^entered/.test(type) } };
    const given = { phase, turnId, activeId, outcome, lateEnd } as unknown as Turn;
    assert.equal(isOverBy(given, named), expected, JSON.stringify([change, named]));
  }
});

/** A turn that has said this much, and what is taken after it. */
function stage(version: string, answer: Promise<JsonValue>) {
  const told: string[] = [];
  const outcome = {
    threadId: "T",
    turnId: "a",
    status: null as unknown,
    answer: "said",
    items: { has: () => false, saidLast: true },
  };
  const turn = {
    phase: "started",
    turnId: "a",
    activeId: "a",
    outcome,
    endFound: false,
    notification: (_: string, params: JsonObject) => {
      outcome.status = (params["turn"] as JsonObject)["status"];
      told.push(`a ${outcome.status}`);
    },
  };
  const core = { server: { version }, callNow: () => answer } as unknown as RuntimeCore;
  const ends: UnheardEnds = new UnheardEnds(
    core,
    () => [turn as unknown as Turn],
    (message) => {
      const id = message.params["turnId"] as string;
      if (!ends.keeps(message, id)) told.push(`${message.method} ${id}`);
    },
  );
  const say = (method: string, turnId: string) => {
    const message = { kind: "notification", method, params: { turnId } };
    if (!ends.keeps(message as never, turnId)) told.push(`${method} ${turnId}`);
  };
  return { told, ends, say, turn };
}

const recorded = (status: string) => ({ data: [{ id: "b" }, { id: "a", status }] });

test("an end that was not heard is the record's, and what comes meanwhile waits for it", async () => {
  const table: [JsonValue | Error, string][] = [
    [recorded("interrupted"), "a interrupted"],
    [recorded("failed"), "a failed"],
    // The record is late, has none of it, or there is none.
    [recorded("inProgress"), "a completed"],
    [{ data: [] }, "a completed"],
    [new Error("no record"), "a completed"],
  ];
  for (const [answer, end] of table) {
    const { promise, resolve, reject } = Promise.withResolvers<JsonValue>();
    const { told, say, turn } = stage("0.169.0", promise);
    say("turn/started", "b");
    say("item/started", "b");
    assert.deepEqual(told, []);
    if (answer instanceof Error) reject(answer);
    else resolve(answer);
    for (let n = 0; n < 10; n++) await Promise.resolve();
    assert.deepEqual(told, [end, "turn/started b", "item/started b"]);
    assert.equal(turn.endFound, true);
  }
});

test("an end that was not heard waits for no record that comes too late, or is not right", async () => {
  const late = Promise.withResolvers<JsonValue>();
  const { told, say, ends } = stage("0.169.0", late.promise);
  say("turn/started", "b");
  ends.flush();
  const expected = ["a completed", "turn/started b"];
  assert.deepEqual(told, expected);
  late.resolve(recorded("failed"));
  for (let n = 0; n < 10; n++) await Promise.resolve();
  assert.deepEqual(told, expected);

  const old = stage("0.145.0", Promise.resolve(recorded("failed")));
  old.say("turn/started", "b");
  assert.deepEqual(old.told, expected);
  const oldest = stage("0.104.0", Promise.resolve(recorded("failed")));
  oldest.say("turn/started", "b");
  oldest.say("item/started", "b");
  assert.deepEqual(oldest.told, ["turn/started b", "a completed", "item/started b"]);
});
