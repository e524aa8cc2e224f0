import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import type { TurnEvent } from "../../../src/session/turn/turn_event.ts";
import { TurnOutcome } from "../../../src/session/turn/turn_outcome.ts";
import { deltaRun } from "../../_delta_run.ts";
import { test } from "../../_harness.ts";
import { type Dialect, DIALECTS, type Message, transcript } from "../../_transcripts.ts";

/** Feeds the last recorded turn of a scenario. */
function replay(dialect: Dialect, scenario: string): { outcome: TurnOutcome; events: TurnEvent[] } {
  const wire = transcript(dialect, scenario).filter(({ dir }) => dir === "<").map(({ m }) => m);
  const { threadId, turn } = wire.findLast((m: Message) => m.method === "turn/started").params;
  const outcome = new TurnOutcome(threadId, turn.id, null);
  const events: TurnEvent[] = [];
  for (const { method, params } of wire) {
    const turnId = params?.turnId ?? params?.turn?.id;
    if (method === undefined || turnId !== turn.id || method.startsWith("codex/event/")) continue;
    outcome.apply(method, params, (event) => void events.push(event));
  }
  return { outcome, events };
}

function outcome(): { it: TurnOutcome; events: TurnEvent[]; apply: Apply } {
  const it = new TurnOutcome("T", "U", null);
  const events: TurnEvent[] = [];
  const apply: Apply = (method, params) =>
    it.apply(method, { threadId: "T", turnId: "U", ...params }, (event) => void events.push(event));
  return { it, events, apply };
}

type Apply = (method: string, params?: JsonObject) => void;

function message(id: string, text: string, more: JsonObject = {}): JsonObject {
  return { item: { type: "agentMessage", id, text, ...more } };
}

const ENDINGS: [string, string, string][] = [
  ["basic", "completed", "Hello from the model"],
  ["command-accept", "completed", "done"],
  ["command-decline", "completed", "done"],
  ["command-cancel", "interrupted", ""],
  ["command-never", "completed", "done"],
  ["dynamic-tool", "completed", "done"],
  ["fail-401", "failed", ""],
  ["fail-429", "failed", ""],
  ["fail-context", "failed", ""],
  ["interrupt", "interrupted", ""],
  ["output-schema", "completed", '{"ok":true}'],
  ["patch-accept", "completed", "done"],
  ["patch-decline", "completed", "done"],
  ["retry-then-ok", "completed", "second try"],
  ["steer", "completed", "after the steer"],
  ["threads", "completed", "third"],
  ["user-input", "completed", "done"],
];

for (const dialect of DIALECTS) {
  test(`recorded turns of ${dialect} end as turn.status says, with the last message as answer`, () => {
    for (const [scenario, status, answer] of ENDINGS) {
      const { outcome, events } = replay(dialect, scenario);
      assert.equal(outcome.status, status, scenario);
      if (status === "completed") assert.equal(outcome.answer, answer, scenario);
      assert.equal(events.filter(({ type }) => type === "turnStarted").length, 1, scenario);
      assert.equal(events.at(-1)!.type, "turnCompleted", scenario);
      assert.equal(events.filter(({ type }) => type === "turnCompleted").length, 1, scenario);
      assert.equal(outcome.failure === null, status !== "failed", scenario);
      for (const { threadId, turnId } of events) {
        assert.equal(threadId, outcome.threadId);
        assert.equal(turnId, outcome.turnId);
      }
      const completed = events.flatMap((e) => e.type === "itemCompleted" ? [e.item.id] : []);
      assert.equal(new Set(completed).size, completed.length, `${scenario}: an item told twice`);
    }
  });

  test(`the deltas of a recorded turn of ${dialect} add up to the answer`, () => {
    const { outcome, events } = replay(dialect, "basic");
    const text = events.flatMap((e) => e.type === "assistantMessageDelta" ? [e.delta] : []).join(
      "",
    );
    assert.equal(text, outcome.answer);
    const reasoning = events.flatMap((e) => e.type === "reasoningDelta" ? [e.delta] : []);
    assert.deepEqual(reasoning, ["Planning"]);
    assert.deepEqual(outcome.items.all().map(({ type }) => type), [
      "userMessage",
      "reasoning",
      "agentMessage",
    ]);
    assert.equal(outcome.usage?.totalTokens, 13);
    assert.equal(outcome.usage?.thread.totalTokens, 13);
    assert.equal(outcome.durationMs !== null, dialect === "0.169");
  });

  test(`a recorded file change of ${dialect} gives fileChange events and one diff`, () => {
    const { outcome, events } = replay(dialect, "patch-accept");
    const changes = events.filter((e) => e.type === "fileChange");
    assert.deepEqual(changes.map(({ status }) => status), ["inProgress", "completed"]);
    assert.equal(changes[0]!.changes[0]!.kind, "add");
    assert.equal(events.filter(({ type }) => type === "diffUpdated").length, 1);
    assert.ok(outcome.diff?.startsWith("diff --git"));
  });

  test(`codex's own retries of ${dialect} are progress, not failure`, () => {
    const { events } = replay(dialect, "retry-then-ok");
    const retrying = events.filter((e) => e.type === "retrying");
    assert.equal(retrying.length, 1);
    assert.equal(retrying[0]!.by, "codex");
    assert.match(retrying[0]!.message, /Reconnecting.*: stream disconnected before completion/);
  });
}

test("a status that is not known is a failure, a missing one too", () => {
  for (
    const [status, expected] of [
      ["completed", "completed"],
      ["interrupted", "interrupted"],
      ["cancelled", "interrupted"],
      ["failed", "failed"],
      ["exploded", "failed"],
      ["inProgress", "failed"],
      [undefined, "failed"],
      [7, "failed"],
    ] as const
  ) {
    const { it, apply } = outcome();
    apply("turn/completed", { turn: { id: "U", status } });
    assert.equal(it.status, expected, String(status));
    assert.equal(it.failure === null, expected !== "failed");
  }
  const { it, apply } = outcome();
  apply("turn/completed", {});
  assert.equal(it.status, "failed");
});

test("a failed turn without an error takes the last one that was not retried", () => {
  const { it, apply } = outcome();
  apply("error", { error: { message: "Reconnecting… 1/5" }, willRetry: true });
  apply("error", { error: { message: "unexpected status 401 Unauthorized" }, willRetry: false });
  apply("turn/completed", { turn: { id: "U", status: "failed", error: null } });
  assert.equal(it.failure?.kind, "auth");
  assert.equal(it.failure?.httpStatus, 401);
});

test("a model that could not be reached has been once it says something", () => {
  const says: ((it: TurnOutcome, apply: (method: string, params: JsonObject) => void) => void)[] = [
    (it) => it.deltas(deltaRun(["Hel"], { itemId: "m" }), 0, 1, null),
    (_it, apply) => apply("item/started", message("m", "")),
  ];
  for (const say of says) {
    const { it, apply } = outcome();
    assert.equal(it.unreached, null);
    const error = { message: "Reconnecting... 1/5", additionalDetails: "no such host" };
    apply("error", { error, willRetry: true });
    assert.equal(it.unreached, "Reconnecting... 1/5: no such host");
    say(it, apply);
    assert.equal(it.unreached, null);
    apply("error", { error: { ...error, additionalDetails: "" }, willRetry: true });
    assert.equal(it.unreached, "Reconnecting... 1/5");
    apply("error", { error: {}, willRetry: true });
    assert.equal(it.unreached, "");
  }
});

test("text comes from the completed item, whatever deltas were lost", () => {
  const { it, apply, events } = outcome();
  apply("item/started", message("m", ""));
  it.deltas(deltaRun(["H", "el"], { itemId: "m" }), 0, 2, (e) => void events.push(e));
  assert.equal(it.items.partialAnswer(), "Hel");
  apply("item/completed", message("m", "Hello world"));
  it.deltas(deltaRun([" late"], { itemId: "m" }), 0, 1, (e) => void events.push(e));
  assert.equal(it.answer, "Hello world");
});

test("a message whose completion was lost is repaired from turn/completed", () => {
  const { it, apply, events } = outcome();
  apply("item/started", message("m", ""));
  it.deltas(deltaRun(["par"], { itemId: "m" }), 0, 1, null);
  apply("turn/completed", {
    turn: { id: "U", status: "completed", items: [message("m", "partly lost")["item"]!] },
  });
  assert.equal(it.answer, "partly lost");
  assert.deepEqual(events.map(({ type }) => type), [
    "itemStarted",
    "itemCompleted",
    "turnCompleted",
  ]);
});

test("items that complete twice, late, or without a beginning are kept once", () => {
  const { it, apply, events } = outcome();
  const change = (status: string): JsonObject => ({
    item: { type: "fileChange", id: "f", changes: [], status },
  });
  apply("item/completed", change("declined"));
  apply("item/completed", change("declined"));
  assert.equal(it.items.all().length, 1);
  assert.equal((it.items.get("f") as unknown as JsonObject)["status"], "declined");
  assert.equal(events.filter(({ type }) => type === "itemCompleted").length, 1);
  apply("turn/completed", { turn: { id: "U", status: "completed" } });
  apply("item/completed", message("late", "late"));
  assert.equal(it.items.all().length, 2);
});

test("a second end changes nothing", () => {
  const { it, apply, events } = outcome();
  apply("turn/completed", { turn: { id: "U", status: "interrupted" } });
  apply("turn/completed", { turn: { id: "U", status: "completed" } });
  assert.equal(it.status, "interrupted");
  assert.equal(events.length, 1);
});

test("plans, warnings and unknown news become events; what is odd in them does not throw", () => {
  const { it, apply, events } = outcome();
  apply("turn/plan/updated", {
    explanation: "why",
    plan: [{ step: "look", status: "completed" }, { step: "act" }, 7],
  });
  assert.deepEqual(it.plan, [{ step: "look", status: "completed" }, {
    step: "act",
    status: "pending",
  }]);
  apply("warning", { message: "careful" });
  apply("codex/event/warning", { msg: { message: "old and careful" } });
  // Of the model of tests nobody needs to hear that codex does not know it.
  const noise = "Model metadata for `scripted-model` not found. Defaulting to fallback metadata;";
  apply("warning", { message: noise });
  apply("codex/event/warning", { msg: { message: noise } });
  apply("brand/new", { a: 1 });
  apply("item/brandNew/delta", { itemId: "x", delta: "text" });
  for (const method of ["item/started", "item/completed", "thread/tokenUsage/updated", "error"]) {
    apply(method, {});
  }
  apply("turn/plan/updated", { plan: "no" });
  apply("turn/diff/updated", { diff: 7 });
  assert.deepEqual(
    events.map((e) => e.type === "unknown" ? e.method : e.type === "warning" ? e.message : e.type),
    [
      "planUpdated",
      "careful",
      "old and careful",
      "brand/new",
      "item/brandNew/delta",
      "planUpdated",
    ],
  );
});

test("nothing is made for listeners that are not there", () => {
  const it = new TurnOutcome("T", "U", null);
  it.apply("turn/started", {}, null);
  it.apply("item/completed", message("m", "text"), null);
  it.apply("turn/completed", { turn: { id: "U", status: "completed" } }, null);
  assert.equal(it.answer, "text");
});

test("a message id that comes again in a turn is another message, and the last one is the answer", () => {
  const { it, apply, events } = outcome();
  const say = (id: string, text: string) => {
    apply("item/started", message(id, ""));
    it.deltas(deltaRun([text], { itemId: id }), 0, 1, (event) => events.push(event));
    apply("item/completed", message(id, text));
  };
  say("msg_0", "I look first.");
  say("msg_1", "Still looking.");
  say("msg_0", "THE ANSWER");
  assert.deepEqual(
    it.items.all().map((item) => (item as unknown as JsonObject)["text"]),
    ["I look first.", "Still looking.", "THE ANSWER"],
  );
  assert.equal(events.filter(({ type }) => type === "itemStarted").length, 3);
  assert.equal(events.filter(({ type }) => type === "itemCompleted").length, 3);
  assert.equal(it.answer, "THE ANSWER");
  apply("turn/completed", {
    turn: { id: "U", status: "completed", items: [message("msg_0", "THE ANSWER")["item"]!] },
  });
  assert.equal(it.answer, "THE ANSWER");
  assert.equal(it.items.all().length, 3);
});

test("a message and a command that share an id are each told by their own ends", () => {
  const { it, events, apply } = outcome();
  const command = { type: "commandExecution", id: "a", command: "ls" };
  apply("item/started", message("a", ""));
  apply("item/agentMessage/delta", { itemId: "a", delta: "to" });
  apply("item/started", { item: command });
  apply("item/agentMessage/delta", { itemId: "a", delta: "gether" });
  apply("item/commandExecution/outputDelta", { itemId: "a", delta: "out" });
  const texts = it.items.all().map((item) => "text" in item ? item.text : item.type);
  assert.deepEqual(texts, ["together", "commandExecution"]);
  apply("item/completed", { item: { ...command, aggregatedOutput: "out" } });
  apply("item/completed", message("a", "together"));
  const ends = events.flatMap((event) => event.type === "itemCompleted" ? [event.item.type] : []);
  assert.deepEqual(ends, ["commandExecution", "agentMessage"]);
});

test("the message that the server repeats at the end is the answer", () => {
  const { it, apply } = outcome();
  apply("item/completed", message("a", "first"));
  apply("item/completed", message("b", "later"));
  const turn = { id: "U", status: "completed", items: [message("a", "first")["item"]!] };
  apply("turn/completed", { turn });
  assert.equal(it.answer, "first");
});

test("a message that is confirmed under another id than it was announced under stays one item", () => {
  const { it, apply, events } = outcome();
  apply("item/started", message("added", ""));
  it.deltas(deltaRun(["par"], { itemId: "added" }), 0, 1, null);
  apply("item/completed", message("done", "partly"));
  assert.deepEqual(
    it.items.all().map((item) => [item.id, (item as unknown as JsonObject)["text"]]),
    [["added", "partly"]],
  );
  assert.equal(events.filter(({ type }) => type === "itemCompleted").length, 1);
  // One that never began is an item of its own.
  apply("item/completed", message("other", "more"));
  assert.equal(it.items.all().length, 2);
});

test("the error of a turn that never began is not that of the next one", () => {
  const error = { message: "no repository", codexErrorInfo: "other" };
  const ended = (stale: JsonValue | undefined, own: boolean, told: JsonValue) => {
    const outcome = new TurnOutcome("T", "U", null, stale);
    if (own) outcome.apply("error", { error: told, willRetry: false }, null);
    outcome.apply("turn/completed", { turn: { id: "U", status: "failed", error: told } }, null);
    return outcome.status;
  };
  assert.equal(ended(error, false, { ...error }), "completed");
  assert.equal(ended(error, true, { ...error }), "failed");
  assert.equal(ended(error, false, { ...error, message: "another" }), "failed");
  assert.equal(ended(undefined, false, { ...error }), "failed");
});
