/** The state projection, one message at a time. */
import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import type { StateLimits } from "../../../src/runtime/config.ts";
import { StateProjection } from "../../../src/runtime/state/state.ts";
import type { ItemState, TurnState } from "../../../src/runtime/state/state_types.ts";
import { test } from "../../_harness.ts";

type News = [method: string, params: JsonObject];

const T = "thread-1";
const U = "turn-1";
const ids = { threadId: T, turnId: U };

function started(id = U): News {
  return ["turn/started", {
    threadId: T,
    turn: { id, items: [], status: "inProgress", error: null },
  }];
}
function ended(status: string, more: JsonObject = {}, id = U): News {
  return ["turn/completed", {
    threadId: T,
    turn: { id, items: [], status, error: null, ...more },
  }];
}
function item(phase: "started" | "completed", fields: JsonObject, turnId = U): News {
  return [`item/${phase}`, { threadId: T, turnId, item: fields }];
}
function delta(method: string, itemId: string, text: string, more: JsonObject = {}): News {
  return [method, { ...ids, itemId, delta: text, ...more }];
}

function play(news: News[], limits?: StateLimits): StateProjection {
  const state = new StateProjection(limits);
  for (const [method, params] of news) {
    state.apply({ kind: "notification", method, message: { method, params } });
  }
  return state;
}
function turnAfter(news: News[], limits?: StateLimits): TurnState {
  return play(news, limits).snapshot().threads[T]!.turns.at(-1)!;
}
function itemAfter(news: News[], limits?: StateLimits): ItemState {
  return turnAfter([started(), ...news], limits).items.at(-1)!;
}

const message = { type: "agentMessage", id: "m", text: "" };
const command = { type: "commandExecution", id: "c", status: "inProgress", aggregatedOutput: null };

const ITEMS: { name: string; news: News[]; expected: JsonObject }[] = [
  {
    name: "a part of a summary that comes after the end changes nothing",
    news: [
      item("completed", { type: "reasoning", id: "r", summary: ["one"], content: [] }),
      ["item/reasoning/summaryPartAdded", { ...ids, itemId: "r", summaryIndex: 1 }],
    ],
    expected: {
      type: "reasoning",
      id: "r",
      summary: ["one"],
      content: [],
      state: "completed",
      truncated: false,
    },
  },
  {
    name: "deltas grow the text of a message",
    news: [
      item("started", message),
      delta("item/agentMessage/delta", "m", "Hel"),
      delta("item/agentMessage/delta", "m", "lo"),
    ],
    expected: { ...message, text: "Hello", state: "open", truncated: false },
  },
  {
    name: "the final item wins over its deltas",
    news: [
      item("started", message),
      delta("item/agentMessage/delta", "m", "Helo"),
      item("completed", { ...message, text: "Hello" }),
    ],
    expected: { ...message, text: "Hello", state: "completed", truncated: false },
  },
  {
    name: "a delta after the final item changes nothing",
    news: [
      item("completed", { ...message, text: "Hello" }),
      delta("item/agentMessage/delta", "m", "!"),
    ],
    expected: { ...message, text: "Hello", state: "completed", truncated: false },
  },
  {
    name: "a start under the id of an item that has ended is another item",
    news: [item("completed", { ...message, text: "Hello" }), item("started", message)],
    expected: { ...message, text: "", state: "open", truncated: false },
  },
  {
    name: "a second final item replaces the first",
    news: [
      item("completed", { type: "fileChange", id: "f", status: "inProgress" }),
      item("completed", { type: "fileChange", id: "f", status: "declined" }),
    ],
    expected: {
      type: "fileChange",
      id: "f",
      status: "declined",
      state: "completed",
      truncated: false,
    },
  },
  {
    name: "deltas before the start are kept, and say what the item is",
    news: [delta("item/commandExecution/outputDelta", "c", "out"), item("started", command)],
    expected: { ...command, aggregatedOutput: "out", state: "open", truncated: false },
  },
  {
    name: "streamed output stays when the final item holds none",
    news: [
      item("started", command),
      delta("item/commandExecution/outputDelta", "c", "out"),
      item("completed", { ...command, status: "failed" }),
    ],
    expected: {
      ...command,
      status: "failed",
      aggregatedOutput: "out",
      state: "completed",
      truncated: false,
    },
  },
  {
    name: "reasoning grows by its parts",
    news: [
      item("started", { type: "reasoning", id: "r", summary: [], content: [] }),
      ["item/reasoning/summaryPartAdded", { ...ids, itemId: "r", summaryIndex: 0 }],
      delta("item/reasoning/summaryTextDelta", "r", "one", { summaryIndex: 0 }),
      ["item/reasoning/summaryPartAdded", { ...ids, itemId: "r", summaryIndex: 1 }],
      delta("item/reasoning/summaryTextDelta", "r", "two", { summaryIndex: 1 }),
      delta("item/reasoning/textDelta", "r", "raw", { contentIndex: 0 }),
    ],
    expected: {
      type: "reasoning",
      id: "r",
      summary: ["one", "two"],
      content: ["raw"],
      state: "open",
      truncated: false,
    },
  },
  {
    name: "a running file change shows its newest changes",
    news: [
      item("started", { type: "fileChange", id: "f", status: "inProgress", changes: [] }),
      ["item/fileChange/patchUpdated", { ...ids, itemId: "f", changes: [{ path: "/w/a" }] }],
    ],
    expected: {
      type: "fileChange",
      id: "f",
      status: "inProgress",
      changes: [{ path: "/w/a" }],
      state: "open",
      truncated: false,
    },
  },
  {
    name: "an item of an unknown type keeps its fields and its texts",
    news: [
      item("started", { type: "hologram", id: "h", rays: 7 }),
      delta("item/hologram/delta", "h", "zzz"),
    ],
    expected: {
      type: "hologram",
      id: "h",
      rays: 7,
      deltaText: "zzz",
      state: "open",
      truncated: false,
    },
  },
  {
    name: "the end of its turn closes an open item",
    news: [item("started", command), ended("interrupted")],
    expected: { ...command, state: "closed", truncated: false },
  },
  {
    name: "an item that completes after its turn is taken in",
    news: [
      item("started", command),
      ended("completed"),
      item("completed", { ...command, status: "completed", aggregatedOutput: "late" }),
    ],
    expected: {
      ...command,
      status: "completed",
      aggregatedOutput: "late",
      state: "completed",
      truncated: false,
    },
  },
];

for (const { name, news, expected } of ITEMS) {
  test(`state: ${name}`, () => {
    assert.deepEqual(itemAfter(news), expected);
  });
}

const TURNS: { name: string; news: News[]; expected: JsonObject }[] = [
  { name: "a started turn runs", news: [started()], expected: { status: "inProgress" } },
  {
    name: "turn/completed tells how the turn ended, not that it succeeded",
    news: [started(), ended("failed", { error: { message: "no" }, durationMs: 5 })],
    expected: { status: "failed", error: { message: "no" }, durationMs: 5 },
  },
  {
    name: "an error that is retried is not the turn's error",
    news: [started(), ["error", { ...ids, willRetry: true, error: { message: "again" } }]],
    expected: { error: null },
  },
  {
    name: "an error that is not retried is",
    news: [started(), ["error", { ...ids, willRetry: false, error: { message: "over" } }]],
    expected: { error: { message: "over" } },
  },
  {
    name: "diff, plan and usage are the newest ones",
    news: [
      started(),
      ["turn/diff/updated", { ...ids, diff: "a" }],
      ["turn/diff/updated", { ...ids, diff: "ab" }],
      ["turn/plan/updated", { ...ids, plan: [{ step: "s", status: "pending" }] }],
      ["thread/tokenUsage/updated", { ...ids, tokenUsage: { total: { totalTokens: 3 } } }],
    ],
    expected: {
      diff: "ab",
      plan: [{ step: "s", status: "pending" }],
      usage: { total: { totalTokens: 3 } },
    },
  },
  {
    name: "a final status is not taken back by a late start",
    news: [started(), ended("completed"), started()],
    expected: { status: "completed" },
  },
  {
    name: "the items of turn/completed are kept",
    news: [started(), ended("completed", { items: [{ ...message, text: "end" }] })],
    expected: { items: [{ ...message, text: "end", state: "completed", truncated: false }] },
  },
];

for (const { name, news, expected } of TURNS) {
  test(`state: ${name}`, () => {
    const turn = turnAfter(news) as unknown as JsonObject;
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(turn[field], value);
  });
}

test("state: the active turn is the one that runs", () => {
  const state = play([started()]);
  assert.equal(state.snapshot().threads[T]!.activeTurnId, U);
  state.apply({
    kind: "notification",
    method: "turn/completed",
    message: { params: ended("completed")[1] },
  });
  assert.equal(state.snapshot().threads[T]!.activeTurnId, null);
});

test("state: results of calls tell of a thread, its settings and its history", () => {
  const state = new StateProjection();
  const turns = [{
    id: "old",
    status: "completed",
    error: null,
    items: [{ ...message, text: "x" }],
  }];
  state.apply({
    kind: "response",
    method: "thread/resume",
    message: {
      id: 3,
      result: {
        thread: { id: T, cwd: "/w", ephemeral: false, status: { type: "idle" }, turns },
        model: "m-1",
        approvalPolicy: "never",
        sandbox: { type: "readOnly" },
        reasoningEffort: "low",
      },
    },
  });
  const thread = state.snapshot().threads[T]!;
  assert.equal(thread.cwd, "/w");
  assert.equal(thread.model, "m-1");
  assert.equal(thread.ephemeral, false);
  assert.equal(thread.reasoningEffort, "low");
  assert.deepEqual(thread.sandbox, { type: "readOnly" });
  assert.deepEqual(thread.status, { type: "idle" });
  assert.equal(thread.turns[0]!.items[0]!.text, "x");
  assert.equal(thread.activeTurnId, null);
});

test("state: what a result tells of a thread is kept when the next one does not tell it", () => {
  const told = {
    cwd: "/w",
    model: "m-1",
    modelProvider: "p-1",
    reasoningEffort: "low",
    name: "n",
    preview: "hello",
    path: "/sessions/1.jsonl",
    ephemeral: true,
    forkedFromId: "parent",
    status: { type: "idle" },
  };
  const state = new StateProjection();
  const apply = (thread: JsonObject) =>
    state.apply({ kind: "response", method: "thread/read", message: { result: { thread } } });
  apply({ id: T, turns: [], ...told });
  for (let round = 0; round < 2; round++) {
    const thread = state.snapshot().threads[T]! as unknown as JsonObject;
    const kept = Object.keys(told).map((key) => [key, thread[key]!] as const);
    assert.deepEqual(Object.fromEntries(kept), told);
    apply({ id: T, turns: [] });
  }
});

test("state: history does not rewrite what was seen live", () => {
  const state = play([started(), item("completed", { ...message, text: "live" }), ended("failed")]);
  const history = [{ id: U, status: "completed", items: [{ ...message, id: "item-2" }] }];
  state.apply({
    kind: "response",
    method: "thread/read",
    message: { result: { thread: { id: T, turns: history } } },
  });
  const turn = state.snapshot().threads[T]!.turns[0]!;
  assert.equal(turn.status, "failed");
  assert.deepEqual(turn.items.map((i) => i.id), ["m"]);
});

test("state: of two open items under one id, the one ends that does the same", () => {
  const first = { ...command, command: "a" };
  const second = { ...command, command: "b" };
  const { items } = turnAfter([
    started(),
    item("started", first),
    item("started", second),
    item("completed", { ...first, status: "completed" }),
  ]);
  const told = items.map((one) => [(one as JsonObject)["command"], one.state]);
  assert.deepEqual(told, [["a", "completed"], ["b", "open"]]);
});

test("state: a rolled back turn is gone", () => {
  const state = play([started("a"), ended("completed", {}, "a"), started("b")]);
  state.apply({
    kind: "response",
    method: "thread/rollback",
    message: {
      result: { thread: { id: T, turns: [{ id: "a", status: "completed", items: [] }] } },
    },
  });
  assert.deepEqual(state.snapshot().threads[T]!.turns.map((turn) => turn.id), ["a"]);
  assert.equal(state.snapshot().threads[T]!.activeTurnId, null);
});

test("state: reverted turns are gone, although the answer names none", () => {
  const revert = (state: StateProjection, id: number, beforeTurnId: string, answer: JsonObject) => {
    const method = "thread/revert";
    const params = { threadId: T, beforeTurnId };
    state.apply({ kind: "request", method, message: { id, method, params } });
    state.apply({ kind: "response", method, message: { id, ...answer } });
  };
  const turns = (state: StateProjection) => state.snapshot().threads[T]!.turns.map(({ id }) => id);
  const all = ["a", "b", "c"].flatMap((id) => [started(id), ended("completed", {}, id)]);
  const done = { result: { thread: { id: T, turns: [] } } };
  const state = play(all);
  revert(state, 1, "b", { error: { code: -32600, message: "no" } });
  assert.deepEqual(turns(state), ["a", "b", "c"]);
  revert(state, 3, "b", done);
  assert.deepEqual(turns(state), ["a"]);
  // What came before the connection is not known, and older than all that is.
  revert(state, 4, "unknown", done);
  assert.deepEqual(turns(state), []);
  // A thread that went on is read: what is told then of its past comes first.
  const resumed = play([started("c"), ended("completed", {}, "c")]);
  const past = { result: { thread: { id: T, turns: ["a", "b", "c"].map((id) => ({ id })) } } };
  resumed.apply({ kind: "response", method: "thread/read", message: past });
  assert.deepEqual(turns(resumed), ["a", "b", "c"]);
  revert(resumed, 5, "b", done);
  assert.deepEqual(turns(resumed), ["a"]);
  // An old codex tells what is left: nothing.
  const rolled = play(all);
  rolled.apply({ kind: "response", method: "thread/rollback", message: done });
  assert.deepEqual(turns(rolled), []);
  // Its command was ended for that, and its end is told late.
  const late = { threadId: T, turnId: "c", itemId: "x", delta: "out" };
  const item = { type: "commandExecution", id: "x" };
  for (
    const [method, params] of [
      ["item/commandExecution/outputDelta", late],
      ["item/completed", { threadId: T, turnId: "c", item }],
    ] as const
  ) {
    rolled.apply({ kind: "notification", method, message: { method, params } });
    assert.deepEqual(turns(rolled), [], method);
  }
});

test("state: news of a thread this client never used do not add it", () => {
  const news: News[] = [
    ["thread/status/changed", { threadId: "other", status: { type: "idle" } }],
    ["warning", { threadId: "other", message: "x" }],
    ["codex/event/task_started", { conversationId: "other" }],
    ["no/such/news", { threadId: "other" }],
  ];
  assert.deepEqual(play(news).snapshot().threads, {});
});

test("state: archived, renamed, changed and deleted threads", () => {
  const state = play([
    ["thread/started", { thread: { id: T, cwd: "/w", turns: [] } }],
    ["thread/archived", { threadId: T }],
    ["thread/name/updated", { threadId: T, threadName: "n" }],
    ["thread/settings/updated", { threadId: T, threadSettings: { cwd: "/x", effort: "high" } }],
  ]);
  const thread = state.snapshot().threads[T]!;
  assert.deepEqual([thread.archived, thread.name, thread.cwd, thread.reasoningEffort], [
    true,
    "n",
    "/x",
    "high",
  ]);
  const read = { result: { thread: { id: T, turns: [] } } };
  state.apply({ kind: "response", method: "thread/read", message: read });
  assert.equal(state.snapshot().threads[T]!.archived, true);
  state.apply({ kind: "response", method: "thread/unarchive", message: read });
  assert.equal(state.snapshot().threads[T]!.archived, false);
  state.apply({
    kind: "notification",
    method: "thread/deleted",
    message: { params: { threadId: T } },
  });
  assert.deepEqual(state.snapshot().threads, {});
});

test("state: when the connection ends, nothing runs any more", () => {
  const state = play([started(), item("started", command)]);
  state.apply({ kind: "connection", method: undefined, message: { state: "closed" } });
  const thread = state.snapshot().threads[T]!;
  assert.equal(thread.activeTurnId, null);
  assert.equal(thread.turns[0]!.items[0]!.state, "closed");
});
