import assert from "node:assert/strict";
import type { ThreadItem } from "../../../src/thread_item.ts";
import type { TurnEvent } from "../../../src/session/turn/turn_event.ts";
import { Transcript } from "../../../src/web/live/transcript.ts";
import { test } from "../../_harness.ts";

function item(value: Record<string, unknown>): ThreadItem {
  return value as unknown as ThreadItem;
}

function events(turnId: string): TurnEvent[] {
  const base = { threadId: "t", turnId };
  return [
    { type: "turnStarted", ...base },
    { type: "itemStarted", ...base, item: item({ type: "agentMessage", id: "m", text: "" }) },
    { type: "assistantMessageDelta", ...base, itemId: "m", delta: "Hel" },
    { type: "assistantMessageDelta", ...base, itemId: "m", delta: "lo" },
  ];
}

test("a transcript shows the text of a running turn as far as it has come", () => {
  const transcript = new Transcript([], 1e6);
  for (const event of events("u")) transcript.apply(event);
  const [turn] = transcript.turns();
  assert.equal(turn!.status, "inProgress");
  assert.deepEqual(turn!.items, [{ type: "agentMessage", id: "m", text: "Hello" }]);
});

test("the completed item replaces what the deltas said", () => {
  const transcript = new Transcript([], 1e6);
  const base = { threadId: "t", turnId: "u" };
  const done = { type: "agentMessage", id: "m", text: "Hello!" };
  for (const event of events("u")) transcript.apply(event);
  transcript.apply({ type: "itemCompleted", ...base, item: item(done) });
  transcript.apply({ type: "diffUpdated", ...base, diff: "+a" });
  const error = { kind: "auth", message: "no" };
  transcript.apply({ type: "turnCompleted", ...base, status: "failed", error });
  assert.deepEqual(transcript.turns(), [
    { turnId: "u", status: "failed", items: [done], diff: "+a", usage: null, error },
  ]);
});

test("a transcript begins with the history, whose running turn runs no more", () => {
  const items = [item({ type: "userMessage", id: "1", content: [] })];
  const transcript = new Transcript([
    { turnId: "a", status: "completed", items },
    { turnId: "b", status: "inProgress", items: [] },
  ], 1e6);
  for (const event of events("c")) transcript.apply(event);
  assert.deepEqual(transcript.turns().map(({ turnId, status }) => [turnId, status]), [
    ["a", "completed"],
    ["b", "interrupted"],
    ["c", "inProgress"],
  ]);
  assert.deepEqual(transcript.turns()[0]!.items, items);
});

test("a warning before the turn has an id makes no turn", () => {
  const transcript = new Transcript([], 1e6);
  transcript.apply({ type: "warning", threadId: "t", turnId: "", message: "careful" });
  assert.deepEqual(transcript.turns(), []);
});

test("a transcript stays below its size and says what it left out", () => {
  const transcript = new Transcript([], 10_000);
  for (let i = 0; i < 50; i++) {
    const base = { threadId: "t", turnId: `u${i}` };
    transcript.apply({ type: "turnStarted", ...base });
    const message = item({ type: "agentMessage", id: "m", text: "x".repeat(1_000) });
    transcript.apply({ type: "itemCompleted", ...base, item: message });
    transcript.apply({ type: "turnCompleted", ...base, status: "completed", error: null });
  }
  const kept = transcript.turns();
  assert.ok(JSON.stringify(kept).length < 10_100);
  assert.equal(kept.at(-1)!.turnId, "u49");
  assert.equal(kept.length + transcript.omitted, 50);
  assert.ok(kept.length >= 7);
});
