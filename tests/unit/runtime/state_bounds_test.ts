/** The state projection stays small and cheap, whatever comes. */
import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { fitObject, fitText } from "../../../src/runtime/state/state_turns.ts";
import { StateProjection } from "../../../src/runtime/state/state.ts";
import { test } from "../../_harness.ts";

function tell(state: StateProjection, method: string, params: JsonObject): void {
  state.apply({ kind: "notification", method, message: { method, params } });
}
function startTurn(state: StateProjection, threadId: string, id: string): void {
  tell(state, "turn/started", { threadId, turn: { id, status: "inProgress", items: [] } });
}
function endTurn(state: StateProjection, threadId: string, id: string): void {
  tell(state, "turn/completed", { threadId, turn: { id, status: "completed", items: [] } });
}

test("state: the least recently used thread is forgotten, one with a running turn last", () => {
  const state = new StateProjection({ threads: 2 });
  startTurn(state, "busy", "u");
  tell(state, "thread/started", { thread: { id: "idle", turns: [] } });
  tell(state, "thread/started", { thread: { id: "new", turns: [] } });
  assert.deepEqual(Object.keys(state.snapshot().threads).sort(), ["busy", "new"]);
  assert.equal(state.snapshot().threadsDropped, 1);
  endTurn(state, "busy", "u");
  tell(state, "thread/started", { thread: { id: "newer", turns: [] } });
  assert.deepEqual(Object.keys(state.snapshot().threads).sort(), ["busy", "newer"]);
});

test("state: of threads that all work, or all rest, the least recently used is forgotten", () => {
  const state = new StateProjection({ threads: 3 });
  const kept = () => Object.keys(state.snapshot().threads);
  for (const id of ["a", "b", "c"]) startTurn(state, id, "u");
  const key = { method: "item/agentMessage/delta", turnId: "u", itemId: "m" };
  state.applyDelta({ ...key, threadId: "a" }, "text");
  assert.deepEqual(kept(), ["b", "c", "a"]);
  startTurn(state, "d", "u");
  assert.deepEqual(kept(), ["c", "a", "d"]);
  // One that rests goes before those that work, and the newest not even then.
  endTurn(state, "a", "u");
  startTurn(state, "e", "u");
  assert.deepEqual(kept(), ["c", "d", "e"]);
  tell(state, "thread/started", { thread: { id: "new", turns: [] } });
  assert.deepEqual(kept(), ["d", "e", "new"]);
  // Once the connection is lost, none works.
  state.apply({ kind: "connection", method: undefined, message: { state: "restarting" } });
  startTurn(state, "f", "u");
  assert.deepEqual(kept(), ["e", "new", "f"]);
  tell(state, "thread/deleted", { threadId: "e" });
  for (const id of ["g", "h"]) startTurn(state, id, "u");
  assert.deepEqual(kept(), ["f", "g", "h"]);
  assert.equal(state.snapshot().threadsDropped, 5);
});

test("state: the oldest turns are forgotten, the running one stays", () => {
  const state = new StateProjection({ turns: 2 });
  startTurn(state, "t", "running");
  for (const id of ["a", "b", "c"]) endTurn(state, "t", id);
  const thread = state.snapshot().threads["t"]!;
  assert.deepEqual(thread.turns.map((turn) => turn.id), ["running", "c"]);
  assert.equal(thread.turnsDropped, 2);
});

test("state: the oldest items are forgotten, open ones last", () => {
  const state = new StateProjection({ items: 2 });
  const ids = { threadId: "t", turnId: "u" };
  startTurn(state, "t", "u");
  tell(state, "item/started", { ...ids, item: { type: "commandExecution", id: "open" } });
  for (const id of ["a", "b"]) {
    tell(state, "item/completed", { ...ids, item: { type: "agentMessage", id, text: id } });
  }
  const turn = state.snapshot().threads["t"]!.turns[0]!;
  assert.deepEqual(turn.items.map((item) => item.id), ["open", "b"]);
  assert.equal(turn.itemsDropped, 1);
});

test("state: streamed text is cut at its limit and says so", () => {
  const state = new StateProjection({ textBytes: 10 });
  const key = { method: "item/agentMessage/delta", threadId: "t", turnId: "u", itemId: "m" };
  for (let i = 0; i < 1000; i++) {
    state.applyDelta(key, "äö");
    if (i === 1) assert.equal(state.snapshot().threads["t"]!.turns[0]!.items[0]!.truncated, false);
  }
  const item = state.snapshot().threads["t"]!.turns[0]!.items[0]!;
  assert.equal(item.text, "äöäöä");
  assert.equal(item.truncated, true);
});

test("state: a long final item is cut, but keeps what names it", () => {
  const state = new StateProjection({ textBytes: 100 });
  startTurn(state, "t", "u");
  tell(state, "item/completed", {
    threadId: "t",
    turnId: "u",
    item: {
      aggregatedOutput: "x".repeat(5_000_000),
      changes: new Array(1000).fill({ path: "/w/file" }),
      id: "call_1",
      type: "commandExecution",
      status: "completed",
    },
  });
  const item = state.snapshot().threads["t"]!.turns[0]!.items[0]!;
  assert.equal(item.id, "call_1");
  assert.equal(item.type, "commandExecution");
  assert.equal(item.status, "completed");
  assert.equal(item.aggregatedOutput!.length, 100);
  assert.equal(item.truncated, true);
  assert.ok(JSON.stringify(item).length < 500);
});

test("state: deltas count like the notifications they come from", () => {
  const whole = new StateProjection();
  const cut = new StateProjection();
  const key = (threadId: string, itemId: string) => ({
    method: "item/agentMessage/delta",
    threadId,
    turnId: "u",
    itemId,
  });
  for (let i = 0; i < 50; i++) {
    const { method, ...ids } = key(`t${i % 3}`, `m${i % 2}`);
    tell(whole, method, { ...ids, delta: `${i} ` });
    cut.applyDelta(key(`t${i % 3}`, `m${i % 2}`), `${i} `);
  }
  assert.deepEqual(cut.snapshot(), whole.snapshot());
});

test("state: snapshots never change, and are shared while nothing happens", () => {
  const state = new StateProjection();
  startTurn(state, "t", "u");
  startTurn(state, "other", "u");
  const before = state.snapshot();
  const text = JSON.stringify(before);
  assert.equal(state.snapshot(), before);
  state.applyDelta({
    method: "item/agentMessage/delta",
    threadId: "t",
    turnId: "u",
    itemId: "m",
  }, "x");
  const after = state.snapshot();
  assert.equal(JSON.stringify(before), text);
  assert.notEqual(after.threads["t"], before.threads["t"]);
  assert.equal(after.threads["other"], before.threads["other"]);
});

test("state: a hundred thousand deltas with a snapshot now and then are quick", () => {
  const state = new StateProjection();
  const keys = Array.from({ length: 20 }, (_, i) => ({
    method: "item/agentMessage/delta",
    threadId: `t${i}`,
    turnId: "u",
    itemId: "m",
  }));
  const begun = performance.now();
  for (let i = 0; i < 100_000; i++) {
    state.applyDelta(keys[i % 20]!, "word ");
    if (i % 1000 === 0) state.snapshot();
  }
  const ms = performance.now() - begun;
  assert.equal(state.snapshot().threads["t7"]!.turns[0]!.items[0]!.text!.length, 25_000);
  assert.ok(ms < 2000, `took ${ms} ms`);
});

test("state: no message makes it throw", () => {
  const values: (JsonValue | undefined)[] = [undefined, null, 0, "", "x", [], [null], {}, {
    id: 1,
  }];
  const methods = [
    "thread/started thread/status/changed thread/name/updated thread/settings/updated",
    "turn/started turn/completed turn/diff/updated turn/plan/updated thread/tokenUsage/updated",
    "item/started item/completed item/reasoning/summaryPartAdded item/fileChange/patchUpdated",
    "item/agentMessage/delta item/x/delta error thread/closed thread/deleted constructor",
  ].join(" ").split(" ");
  const state = new StateProjection();
  for (const method of methods) {
    for (const value of values) {
      for (const field of ["thread", "turn", "item", "status", "delta", "plan", "error", "diff"]) {
        tell(state, method, { threadId: "t", turnId: "u", itemId: "i", [field]: value });
      }
      state.apply({ kind: "notification", method, message: { params: value } });
      state.apply({ kind: "response", method: "thread/read", message: { result: value } });
      state.apply({ kind: "response", method, message: { result: { thread: value } } });
    }
  }
  state.snapshot();
});

const FITS: [text: string, bytes: number, fitted: string][] = [
  ["", 0, ""],
  ["abc", 3, "abc"],
  ["abc", 2, "ab"],
  ["\x7f\x80", 2, "\x7f"],
  ["\u07ff\u0800", 4, "\u07ff"],
  ["äb", 1, ""],
  ["äb", 2, "ä"],
  ["€uro", 4, "€u"],
  ["a🙂b", 4, "a"],
  ["a🙂b", 5, "a🙂"],
  ["a🙂b", 6, "a🙂b"],
];

test("fitText() cuts between characters", () => {
  for (const [text, bytes, fitted] of FITS) {
    assert.deepEqual(fitText(text, bytes), { value: fitted, cut: fitted !== text });
  }
});

test("fitObject() returns the very object when it fits, and never changes it", () => {
  const object = { a: "xxxx", b: [1, "yyyy", { c: "zz" }], n: null };
  assert.equal(fitObject(object, 1000).value, object);
  assert.equal(fitObject(object, 34).value, object);
  const text = JSON.stringify(object);
  assert.deepEqual(fitObject(object, 22), {
    value: { a: "xxxx", b: [1, "yy"], n: null },
    cut: true,
  });
  assert.equal(JSON.stringify(object), text);
});

test("fitObject() survives depth", () => {
  let deep: JsonObject = { text: "x" };
  for (let i = 0; i < 5000; i++) deep = { deep };
  assert.equal(fitObject(deep, 1000).cut, true);
});

test("state: the bound of an item's text is for all its texts together", () => {
  const state = new StateProjection({ textBytes: 100 });
  const ids = { threadId: "t", turnId: "u", itemId: "r" };
  const told = () => state.snapshot().threads["t"]!.turns[0]!.items[0]!;
  startTurn(state, "t", "u");
  const summary = { ...ids, summaryIndex: 0, delta: "x".repeat(60) };
  tell(state, "item/reasoning/summaryTextDelta", summary);
  tell(state, "item/reasoning/textDelta", { ...ids, contentIndex: 0, delta: "y".repeat(30) });
  assert.equal(told().truncated, false);
  tell(state, "item/reasoning/textDelta", { ...ids, contentIndex: 0, delta: "y".repeat(30) });
  assert.equal(told().truncated, true);
  assert.equal((told()["content"] as string[]).join("").length, 40);
});

test("state: only what has a text and an item is taken for a delta", () => {
  const state = new StateProjection();
  startTurn(state, "t", "u");
  const before = state.snapshot().threads["t"]!.turns[0]!.items.length;
  for (
    const [method, more] of [
      ["item/new/kind", { itemId: "i" }],
      ["item/new/kind", { delta: "text" }],
      ["other/new/kind", { itemId: "i", delta: "text" }],
    ] as const
  ) tell(state, method, { threadId: "t", turnId: "u", ...more });
  assert.equal(state.snapshot().threads["t"]!.turns[0]!.items.length, before);
  tell(state, "item/new/kind", { threadId: "t", turnId: "u", itemId: "i", delta: "text" });
  assert.equal(state.snapshot().threads["t"]!.turns[0]!.items.length, before + 1);
});
