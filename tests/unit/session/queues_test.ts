import assert from "node:assert/strict";
import type { SessionEvent } from "../../../src/session/events/session_event.ts";
import { EventQueue } from "../../../src/session/events/session_events.ts";
import type { TurnEvent } from "../../../src/session/turn/turn_event.ts";
import { TurnQueue } from "../../../src/session/thread/thread_host.ts";
import { test } from "../../_harness.ts";

function text(itemId: string, delta: string): TurnEvent {
  return { type: "assistantMessageDelta", threadId: "T", turnId: "U", itemId, delta };
}

const STARTED: TurnEvent = { type: "turnStarted", threadId: "T", turnId: "U" };

async function drain(queue: EventQueue): Promise<TurnEvent[]> {
  const events: TurnEvent[] = [];
  for (let event = await queue.next(); event !== null; event = await queue.next()) {
    events.push(event);
  }
  return events;
}

test("a reader that keeps up gets every event as it came", async () => {
  const queue = new EventQueue();
  for (let i = 0; i < 1000; i++) {
    queue.push(text("I", `${i}`));
    assert.deepEqual(await queue.next(), text("I", `${i}`));
  }
  queue.end();
  assert.equal(await queue.next(), null);
  assert.equal(await queue.next(), null);
});

test("a slow reader gets adjacent deltas merged and loses nothing", async () => {
  const queue = new EventQueue();
  let expected = "";
  for (let i = 0; i < 50_000; i++) {
    queue.push(text(i % 1000 < 990 ? "A" : "B", `${i},`));
    expected += `${i},`;
    if (i % 10_000 === 9999) queue.push(STARTED);
  }
  queue.end();
  const events = await drain(queue);
  assert.ok(events.length < 2000, `${events.length}`);
  assert.equal(events.map((e) => "delta" in e ? e.delta : "").join(""), expected);
  assert.equal(events.filter(({ type }) => type === "turnStarted").length, 5);
});

test("deltas of different items, types and parts are never merged", async () => {
  const queue = new EventQueue();
  // Far enough behind that adjacent deltas of one item are merged.
  for (let i = 0; i < 1100; i++) queue.push(STARTED);
  const base = { threadId: "T", turnId: "U", itemId: "I", delta: "x" };
  queue.push({ type: "assistantMessageDelta", ...base, itemId: "first" });
  queue.push({ type: "assistantMessageDelta", ...base, itemId: "first" });
  for (let i = 0; i < 2; i++) {
    queue.push({ type: "assistantMessageDelta", ...base });
    queue.push({ type: "reasoningDelta", ...base, part: "summary" });
    queue.push({ type: "reasoningDelta", ...base, part: "content" });
    queue.push({ type: "commandOutputDelta", ...base });
    queue.push({ type: "commandOutputDelta", ...base, itemId: "J" });
  }
  queue.end();
  const events = await drain(queue);
  assert.equal(events.length, 1111, "the two of the first item are one, and nothing else is");
  assert.equal(events[1100]!.type === "assistantMessageDelta" && events[1100]!.delta, "xx");
});

test("several waits are served in order, and all end", async () => {
  const queue = new EventQueue();
  const waits = [queue.next(), queue.next(), queue.next()];
  queue.push(text("I", "1"));
  queue.push(text("I", "2"));
  queue.end();
  assert.deepEqual(await Promise.all(waits), [text("I", "1"), text("I", "2"), null]);
});

test("discard() forgets what is queued, and ends", async () => {
  const queue = new EventQueue();
  queue.push(STARTED);
  queue.discard();
  queue.push(STARTED);
  assert.equal(await queue.next(), null);
});

test("turns are given in the order in which they were asked for", async () => {
  const queue = new TurnQueue<number>();
  const order: number[] = [];
  let running = 0;
  await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    const release = await queue.acquire(i);
    assert.equal(++running, 1);
    assert.equal(queue.holder, i);
    order.push(i);
    await Promise.resolve();
    running--;
    release();
    release();
  }));
  assert.deepEqual(order, Array.from({ length: 50 }, (_, i) => i));
  assert.equal(queue.length, 0);
  assert.equal(queue.holder, null);
});

test("a place in line is taken at once, and can be given up", async () => {
  const queue = new TurnQueue<string>();
  const first = queue.acquire("first");
  assert.equal(queue.holder, "first");
  const stop = new AbortController();
  const [second, third] = [queue.acquire("second", stop.signal), queue.acquire("third")];
  assert.equal(queue.length, 3);
  stop.abort(new Error("enough"));
  await assert.rejects(second, /enough/);
  assert.equal(queue.length, 2);
  (await first)();
  assert.equal(queue.holder, "third");
  (await third)();
  await assert.rejects(queue.acquire("late", AbortSignal.abort(new Error("too late"))), /too late/);
});

test("who goes on with what was begun comes before all who wait", async () => {
  const queue = new TurnQueue<string>();
  const release = await queue.acquire("a");
  const [, first] = [queue.acquire("b"), queue.acquire("a again", undefined, true)];
  release();
  assert.equal(queue.holder, "a again");
  (await first)();
  assert.equal(queue.holder, "b");
});

test("dismiss() sends away who waits; close() everyone to come as well", async () => {
  const queue = new TurnQueue<string>();
  const release = await queue.acquire("a");
  const waiting = queue.acquire("b");
  queue.dismiss(new Error("not now"));
  await assert.rejects(waiting, /not now/);
  release();
  const again = await queue.acquire("c");
  const last = queue.acquire("d");
  queue.close(new Error("closed"));
  queue.close(new Error("twice"));
  await assert.rejects(last, /^Error: closed/);
  await assert.rejects(queue.acquire("e"), /^Error: closed/);
  again();
});

test("a reader that stops reading is told how many of the oldest events are gone", async () => {
  const lagged = (missed: number) => ({ ...STARTED, turnId: `${missed} are gone` });
  const queue = new EventQueue<TurnEvent>({ events: 2000, characters: 1_000_000, lagged });
  for (let i = 0; i < 5000; i++) queue.push({ ...STARTED, turnId: `${i}` });
  const [first, second] = [await queue.next(), await queue.next()];
  assert.equal(first!.turnId, "3000 are gone");
  assert.equal(second!.turnId, "3000");
  // The rest comes without a gap, and what is pushed meanwhile as well.
  queue.push(STARTED);
  queue.end();
  const rest = await drain(queue);
  assert.equal(rest.length, 2000);
  assert.equal(rest[0]!.turnId, "3001");
  assert.equal(rest.filter(({ turnId }) => turnId.endsWith("gone")).length, 0);
});

test("text that nobody reads is bounded, merged or not", async () => {
  const lagged = (missed: number) => ({ ...STARTED, turnId: `${missed} are gone` });
  for (const itemIds of [["A"], ["A", "B"]]) {
    const queue = new EventQueue<TurnEvent>({ events: 4000, characters: 100_000, lagged });
    const piece = "x".repeat(1000);
    for (let i = 0; i < 3000; i++) queue.push(text(itemIds[i % itemIds.length]!, piece));
    queue.push(STARTED);
    queue.end();
    const events = await drain(queue);
    assert.match(events[0]!.turnId, /are gone$/);
    assert.deepEqual(events.at(-1), STARTED);
    const kept = events.reduce((sum, each) => sum + ("delta" in each ? each.delta.length : 0), 0);
    assert.ok(kept <= 100_000, `${kept}`);
  }
});

test("items that nobody reads are bounded by their size, those of agents as well", async () => {
  const completed = (n: number) => {
    const item = { type: "agentMessage", id: `${n}`, text: "x".repeat(10_000) };
    return { type: "itemCompleted", threadId: "t", turnId: `${n}`, item } as TurnEvent;
  };
  const wraps: ((event: TurnEvent) => SessionEvent)[] = [
    (event) => event as SessionEvent,
    (event) => ({ type: "subAgent", threadId: "a", parentItemId: null, event }),
  ];
  for (const wrap of wraps) {
    const lagged = (missed: number) => ({ type: "lagged" as const, threadId: "t", missed });
    const queue = new EventQueue<SessionEvent>({ events: 4000, characters: 100_000, lagged });
    for (let n = 0; n < 100; n++) queue.push(wrap(completed(n)));
    queue.end();
    const events: SessionEvent[] = [];
    for (let event = await queue.next(); event !== null; event = await queue.next()) {
      events.push(event);
    }
    assert.deepEqual(events[0], lagged(91));
    assert.deepEqual(
      events.slice(1),
      [91, 92, 93, 94, 95, 96, 97, 98, 99].map(completed).map(wrap),
    );
  }
});

test("what others do to an item that they have as well costs the reader nothing", async () => {
  const lagged = (missed: number) => ({ type: "lagged" as const, threadId: "t", missed });
  const queue = new EventQueue<SessionEvent>({ events: 4000, characters: 100_000, lagged });
  for (let n = 0; n < 100; n++) {
    const item: Record<string, unknown> = { type: "agentMessage", text: "x".repeat(10_000) };
    const told = (): SessionEvent =>
      ({ type: "itemCompleted", threadId: "t", turnId: `${n}`, item }) as unknown as SessionEvent;
    queue.push(told());
    item["text"] = "";
    if (n === 0) item["self"] = item;
    queue.push(told());
    for (let event = 0; event < 2; event++) {
      const next = await queue.next();
      assert.equal(next?.type === "itemCompleted" && next.turnId, `${n}`);
    }
  }
});

test("a reader that falls behind and catches up again loses nothing", async () => {
  const lagged = () => ({ ...STARTED, turnId: "lagged" });
  const queue = new EventQueue<TurnEvent>({ events: 4000, characters: 100_000, lagged });
  for (let n = 0; n < 90; n++) {
    // Far enough behind that text is merged, and that what was read is cut off; all of it is read in the end.
    for (let i = 0; i < 1100; i++) queue.push(text(`${i}`, "x".repeat(10)));
    for (let i = 0; i < 9; i++) queue.push(text("last", "x".repeat(100 * n)));
    for (let i = 0; i < 1100; i++) assert.notEqual((await queue.next())!.turnId, "lagged");
    const last = await queue.next();
    assert.equal(last?.type === "assistantMessageDelta" && last.delta.length, 900 * n);
  }
});

test("what is queued is measured once, and only where there is a bound", async () => {
  let measured = 0;
  const item = { type: "agentMessage", toJSON: () => `${++measured}` };
  const told = { type: "itemCompleted", threadId: "T", turnId: "U", item } as unknown as TurnEvent;
  const bounds = { events: 10, characters: 100, lagged: () => STARTED };
  for (const [of, times] of [[null, 0], [bounds, 1]] as const) {
    const queue = new EventQueue<TurnEvent>(of);
    queue.push(told);
    assert.equal(await queue.next(), told);
    assert.equal(measured, times);
  }
});
