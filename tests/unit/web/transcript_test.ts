import assert from "node:assert/strict";
import type { ApprovalAudit } from "../../../src/approvals/mod.ts";
import type { ThreadItem } from "../../../src/thread_item.ts";
import type { TurnEvent } from "../../../src/session/turn/turn_event.ts";
import { forTenants, Transcript } from "../../../src/web/live/transcript.ts";
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
  const base = { threadId: "t", turnId: "u" };
  const plan: TurnEvent[] = [
    { type: "itemStarted", ...base, item: item({ type: "plan", id: "p", text: "" }) },
    { type: "planDelta", ...base, itemId: "p", delta: "1. Go" },
  ];
  for (const event of [...events("u"), ...plan]) transcript.apply(event);
  const [turn] = transcript.turns();
  assert.equal(turn!.status, "inProgress");
  assert.deepEqual(turn!.items, [
    { type: "agentMessage", id: "m", text: "Hello" },
    { type: "plan", id: "p", text: "1. Go" },
  ]);
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

test("what comes twice under one id is shown twice, one after the other and at once", () => {
  const base = { threadId: "t", turnId: "u" };
  const command = (text: string, status: string) =>
    item({ type: "commandExecution", id: "c", command: text, status });
  const patch = (path: string, status: string) =>
    item({
      type: "fileChange",
      id: "c",
      changes: [{ path, kind: { type: "add" }, diff: "" }],
      status,
    });
  const call = (q: string, status: string) =>
    item({ type: "mcpToolCall", id: "c", server: "s", tool: "t", arguments: { q }, status });
  for (const make of [command, patch, call]) {
    for (const atOnce of [false, true]) {
      const transcript = new Transcript([], 1e6);
      transcript.apply({ type: "turnStarted", ...base });
      const began = (text: string) =>
        transcript.apply({ type: "itemStarted", ...base, item: make(text, "inProgress") });
      const ended = (text: string, status: string) =>
        transcript.apply({ type: "itemCompleted", ...base, item: make(text, status) });
      began("good");
      if (atOnce) began("bad");
      ended("good", "completed");
      if (!atOnce) began("bad");
      ended("bad", "declined");
      const shown = transcript.turns()[0]!.items as unknown as Record<string, unknown>[];
      assert.deepEqual(
        shown.map((one) => [JSON.stringify(one).includes("good"), one["status"]]),
        [[true, "completed"], [false, "declined"]],
        `${make.name} ${atOnce}`,
      );
    }
  }
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

test("items of the history that share an id are shown each", () => {
  const items = [
    item({ type: "agentMessage", id: "m", text: "One" }),
    item({ type: "commandExecution", id: "c", command: "ls", status: "completed", script: null }),
    item({ type: "commandExecution", id: "c", command: "ls", status: "completed", script: null }),
    item({ type: "agentMessage", id: "m", text: "Two" }),
  ];
  const transcript = new Transcript([{ turnId: "u", status: "completed", items }], 1e6);
  assert.deepEqual(transcript.turns()[0]!.items, items);
});

test("what is cut to size goes on, and keeps apart what shares an id", () => {
  const base = { threadId: "t", turnId: "u" };
  const transcript = new Transcript([], 2_000);
  transcript.apply({ type: "turnStarted", ...base });
  const say = (text: string) =>
    transcript.apply({ type: "assistantMessageDelta", ...base, itemId: "m", delta: text });
  const begin = () => {
    const begun = item({ type: "agentMessage", id: "m", text: "" });
    transcript.apply({ type: "itemStarted", ...base, item: begun });
  };
  const texts = [..."abcd"].map((letter) => letter.repeat(200));
  for (const text of texts) {
    begin();
    say(text);
    const item = { type: "agentMessage", id: "m", text } as unknown as ThreadItem;
    transcript.apply({ type: "itemCompleted", ...base, item });
  }
  begin();
  for (let i = 0; i < 200; i++) say("e");
  const [turn] = transcript.turns();
  const shown = turn!.items.map((each) => (each as unknown as { text: string }).text);
  assert.ok(turn!.omittedItems! > 0);
  assert.deepEqual(shown, [...texts, "e".repeat(200)].slice(turn!.omittedItems));
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

const ROOM = 10_000;

/** A turn that never ends and grows in each of the ways that a turn can. */
const FLOODS: [name: string, flood: (transcript: Transcript, i: number) => void][] = [
  ["many items", (transcript, i) => {
    const message = item({ type: "agentMessage", id: `m${i}`, text: "x".repeat(900) });
    transcript.apply({ type: "itemCompleted", threadId: "t", turnId: "u", item: message });
  }],
  ["items that only begin", (transcript, i) => {
    const started = item({ type: "commandExecution", id: `c${i}`, command: "x".repeat(900) });
    transcript.apply({ type: "itemStarted", threadId: "t", turnId: "u", item: started });
  }],
  ["one item's deltas", (transcript) => {
    const delta = "x".repeat(900);
    transcript.apply({
      type: "commandOutputDelta",
      threadId: "t",
      turnId: "u",
      itemId: "c",
      delta,
    });
  }],
  ["one huge item", (transcript, i) => {
    const output = item({
      type: "commandExecution",
      id: `big${i}`,
      command: "cat",
      aggregatedOutput: "x".repeat(300_000),
    });
    transcript.apply({ type: "itemCompleted", threadId: "t", turnId: "u", item: output });
  }],
  ["one item with very many short texts", (transcript, i) => {
    const change = item({
      type: "fileChange",
      id: `f${i}`,
      changes: Array.from({ length: 3_000 }, (_, n) => ({ path: `/p/${n}`, diff: "+x" })),
    });
    transcript.apply({ type: "itemCompleted", threadId: "t", turnId: "u", item: change });
  }],
  ["a diff", (transcript, i) => {
    const diff = "x".repeat(i * 900);
    transcript.apply({ type: "diffUpdated", threadId: "t", turnId: "u", diff });
  }],
];

for (const [name, flood] of FLOODS) {
  test(`a running turn that grows by ${name} has no more room than all turns`, () => {
    const transcript = new Transcript([], ROOM);
    transcript.apply({ type: "turnStarted", threadId: "t", turnId: "u" });
    for (let i = 1; i <= 60; i++) {
      flood(transcript, i);
      const size = JSON.stringify(transcript.turns()).length;
      assert.ok(size < 2.2 * ROOM, `${size} after ${i}`);
    }
    const last = item({ type: "agentMessage", id: "last", text: "the end" });
    transcript.apply({ type: "itemCompleted", threadId: "t", turnId: "u", item: last });
    const [turn] = transcript.turns();
    assert.deepEqual(turn!.items.at(-1), last, "the newest stays whole");
    if (name !== "a diff") assert.ok((turn!.omittedItems ?? 0) > 0, "what is missing is told");
  });
}

test("a turn of the history has no more room either", () => {
  const items = Array.from(
    { length: 60 },
    (_, i) => item({ type: "agentMessage", id: `m${i}`, text: "x".repeat(900) }),
  );
  const transcript = new Transcript([{ turnId: "a", status: "completed", items }], ROOM);
  const [turn] = transcript.turns();
  assert.ok(JSON.stringify(turn).length < 1.2 * ROOM);
  assert.equal(turn!.items.at(-1)!.id, "m59");
  assert.equal(turn!.items.length + turn!.omittedItems!, 60);
});

const INSIDE = "unexpected status 401: sk-proj-INSIDE, url: http://10.9.8.7/v1, stderr: INSIDE";

test("forTenants() keeps the kind of a failure and what agents said, and none of the inside's words", () => {
  const base = { threadId: "t", turnId: "u" };
  const states = {
    a: { status: "errored", message: INSIDE },
    b: { status: "completed", message: "Done." },
    c: { status: "notFound", message: INSIDE },
    d: INSIDE,
  };
  const call = item({ type: "collabAgentToolCall", id: "c", agentsStates: states });
  const told = {
    a: { status: "errored", message: null },
    b: { status: "completed", message: "Done." },
    c: { status: "notFound", message: null },
    d: { status: null, message: null },
  };
  for (const type of ["itemStarted", "itemCompleted"] as const) {
    const event = forTenants({ type, ...base, item: call });
    assert.deepEqual(event, { type, ...base, item: { ...call, agentsStates: told } });
  }
  const failures = [
    ["failed", "auth"],
    ["failed", "of a newer codex"],
    ["failed", "constructor"],
    ["connectionClosed", "other"],
    ["timedOut", "other"],
    ["interrupted", "other"],
    ["interrupted", "budgetExceeded"],
  ] as const;
  for (const [status, kind] of failures) {
    const error = { kind, message: INSIDE };
    const event = forTenants(
      { type: "turnCompleted", ...base, status, error } as TurnEvent & {
        type: "turnCompleted";
      },
    );
    assert.ok(event.type === "turnCompleted" && event.error?.kind === kind);
    assert.match(event.error.message, /^[A-Z][\w', ]+(?:\.|;[\w ]+\.)(?: [\w ]+\.)?$/);
    assert.ok(!event.error.message.includes("INSIDE"));
    assert.equal(/more than/.test(event.error.message), kind === "budgetExceeded");
  }
  for (const decidedBy of ["library", "rule", "handler"] as const) {
    const audit = { id: "a", decidedBy, reason: INSIDE } as ApprovalAudit;
    const event = forTenants({ type: "approvalResolved", ...base, audit });
    assert(event.type === "approvalResolved");
    const reason = decidedBy === "library" ? "This server does not allow it." : INSIDE;
    assert.deepEqual(event.audit, { ...audit, reason });
  }
  for (
    const event of [
      { type: "warning", ...base, message: INSIDE },
      { type: "retrying", ...base, message: INSIDE },
    ] as unknown as Parameters<typeof forTenants>[0][]
  ) assert.ok(!JSON.stringify(forTenants(event)).includes("INSIDE"));
  // What codex remembers is told the same way.
  const history = [{ turnId: "u", status: "completed", items: [call] }];
  const transcript = new Transcript(
    history as unknown as ConstructorParameters<typeof Transcript>[0],
    1e6,
  );
  assert.ok(!JSON.stringify(transcript.turns()).includes("INSIDE"));
});
