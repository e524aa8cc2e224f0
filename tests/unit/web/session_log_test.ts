import assert from "node:assert/strict";

import {
  LogReader,
  restoredFrom,
  SessionLog,
  TailPump,
} from "../../../src/web/live/session_log.ts";
import type { TailEntry } from "../../../src/web/cluster/session_owners.ts";
import type { WebEvent, WebSessionEvent } from "../../../src/web/types.ts";
import { test } from "../../_harness.ts";

const BASE = { threadId: "t", turnId: "u" } as const;

function delta(text: string, itemId = "m"): WebSessionEvent {
  return { type: "assistantMessageDelta", ...BASE, itemId, delta: text };
}

function all(reader: LogReader): WebEvent[] {
  const events: WebEvent[] = [];
  for (let event = reader.take(); event !== null; event = reader.take()) events.push(event);
  return events;
}

function textOf(events: WebEvent[]): string {
  return events.map(({ event }) => "delta" in event ? event.delta : "").join("");
}

test("a reader gets every event once, in order, from the beginning or behind a cursor", () => {
  const log = new SessionLog({ maxEvents: 100, maxBytes: 1e6 });
  for (const text of "abcdef") log.append(delta(text));
  const events = all(new LogReader(log, null));
  assert.equal(textOf(events), "abcdef");
  assert.equal(new Set(events.map(({ id }) => id)).size, 6);
  assert.equal(textOf(all(new LogReader(log, events[2]!.id))), "def");
  assert.deepEqual(all(new LogReader(log, log.cursor)), []);
});

test("a reader waits for what comes, and ends with the log", async () => {
  const log = new SessionLog({ maxEvents: 100, maxBytes: 1e6 });
  const reader = new LogReader(log, null);
  assert.equal(reader.take(), null);
  let woken = 0;
  const leave = log.changed(() => woken++);
  log.append(delta("a"));
  await Promise.resolve();
  assert.equal(woken, 1);
  leave();
  log.close();
  assert.equal(woken, 1);
  assert.equal(reader.ended, false);
  assert.equal(textOf(all(reader)), "a");
  assert.equal(reader.ended, true);
  log.append(delta("late"));
  assert.equal(log.newest, 1);
});

test("a cursor that fell out of the log gets `lagged`, then what is kept", () => {
  const log = new SessionLog({ maxEvents: 3, maxBytes: 1e6 });
  log.append(delta("a"));
  const gone = log.cursor;
  for (const text of "bcdef") log.append(delta(text));
  const events = all(new LogReader(log, gone));
  assert.deepEqual(events[0]!.event, { type: "lagged", after: gone });
  assert.equal(textOf(events), "def");
  // Whoever comes back with the cursor of `lagged` itself loses nothing more.
  assert.equal(textOf(all(new LogReader(log, events[0]!.id))), "def");
});

test("a reader that starts late is told that it did not see the beginning", () => {
  const log = new SessionLog({ maxEvents: 2, maxBytes: 1e6 });
  for (const text of "abc") log.append(delta(text));
  const events = all(new LogReader(log, null));
  assert.deepEqual(events[0]!.event, { type: "lagged", after: null });
  assert.equal(textOf(events), "bc");
});

test("a reader that is overtaken gets `lagged` once, with the last cursor it had", () => {
  const log = new SessionLog({ maxEvents: 3, maxBytes: 1e6 });
  const reader = new LogReader(log, null);
  log.append(delta("a"));
  const seen = reader.take()!.id;
  for (const text of "bcdefg") log.append(delta(text));
  const events = all(reader);
  assert.deepEqual(events.map(({ event }) => event.type), [
    "lagged",
    "assistantMessageDelta",
    "assistantMessageDelta",
    "assistantMessageDelta",
  ]);
  assert.deepEqual(events[0]!.event, { type: "lagged", after: seen });
});

for (const cursor of ["", "7", "other-3", "x-", "-1", "a-b-c", "💥-1", "x-99999999999999999999"]) {
  test(`the cursor ${JSON.stringify(cursor)} of no log at all is lagged, not an error`, () => {
    const log = new SessionLog({ maxEvents: 10, maxBytes: 1e6 });
    log.append(delta("a"));
    const [first, second] = all(new LogReader(log, cursor));
    assert.deepEqual(first!.event, { type: "lagged", after: cursor });
    assert.equal(textOf([second!]), "a");
  });
}

test("cursors of an earlier log are not taken for this one's", () => {
  const before = new SessionLog({ maxEvents: 10, maxBytes: 1e6 });
  before.append(delta("a"));
  const after = new SessionLog({ maxEvents: 10, maxBytes: 1e6 });
  for (const text of "xyz") after.append(delta(text));
  assert.equal(all(new LogReader(after, before.cursor))[0]!.event.type, "lagged");
  // Nor is a cursor of this log's future.
  assert.equal(after.seqOf(after.idOf(4)), null);
  assert.equal(after.seqOf(after.idOf(3)), 3);
});

test("the log stays below its size, and keeps the newest event however large", () => {
  const log = new SessionLog({ maxEvents: 1000, maxBytes: 5_000 });
  for (let i = 0; i < 100; i++) log.append(delta("x".repeat(800)));
  assert.equal(log.newest - log.oldest + 1, 5);
  log.append(delta("y".repeat(9_000)));
  assert.equal(log.newest, log.oldest);
  assert.equal(textOf(all(new LogReader(log, null))).length, 9_000);
});

test("names that a model made count as well", () => {
  const log = new SessionLog({ maxEvents: 4096, maxBytes: 100_000 });
  for (let i = 0; i < 100; i++) log.append(delta("x", `${i}`.padEnd(10_000, "m")));
  assert.ok(log.newest - log.oldest < 10, `${log.oldest} to ${log.newest}`);
});

test("a reader that is far behind gets the deltas of one item joined, and nothing else", () => {
  const log = new SessionLog({ maxEvents: 10_000, maxBytes: 1e7 });
  const expected: string[] = [];
  const put = (event: WebSessionEvent) => {
    log.append(event);
    if ("delta" in event) expected.push(`${event.itemId}:${event.delta}`);
  };
  for (let i = 0; i < 200; i++) put(delta(`${i},`));
  for (let i = 0; i < 200; i++) put(delta(`${i};`, "other"));
  put({ type: "reasoningDelta", ...BASE, itemId: "r", delta: "s", part: "summary" });
  put({ type: "reasoningDelta", ...BASE, itemId: "r", delta: "c", part: "content" });
  log.append({ type: "turnStarted", ...BASE });
  for (let i = 0; i < 100; i++) put(delta(`${i}`));
  const events = all(new LogReader(log, null));
  assert.ok(events.length < 150, `${events.length} events`);
  for (const item of ["m", "other", "r"]) {
    const got = events.filter(({ event }) => "itemId" in event && event.itemId === item);
    assert.equal(
      textOf(got),
      expected.filter((each) => each.startsWith(`${item}:`)).map((each) =>
        each.slice(item.length + 1)
      )
        .join(""),
    );
  }
  assert.deepEqual(
    events.flatMap(({ event }) => event.type === "reasoningDelta" ? [event.part] : []),
    ["summary", "content"],
  );
  // Coming back in the middle of it, at any cursor that was told, goes on exactly there.
  const text = textOf(events);
  for (const [i, { id }] of events.entries()) {
    const before = textOf(events.slice(0, i + 1));
    assert.equal(before + textOf(all(new LogReader(log, id))), text);
  }
});

test("a log that is restored keeps its bounds, and drops what lies before a hole", () => {
  const entries = (...seqs: number[]) =>
    seqs.map((seq) => ({ seq, text: JSON.stringify({ by: "old", event: delta(`${seq} `) }) }));
  const restored = (...seqs: number[]) => restoredFrom(entries(...seqs));
  const bounded = new SessionLog({ maxEvents: 2, maxBytes: 1e6 });
  bounded.restore(restored(5, 6, 7, 8));
  assert.deepEqual([bounded.oldest, bounded.newest], [7, 8]);
  const holed = new SessionLog({ maxEvents: 100, maxBytes: 1e6 });
  holed.restore(restored(5, 6, 8, 9));
  assert.deepEqual([holed.oldest, holed.newest], [8, 9]);
  assert.equal(textOf(all(new LogReader(holed, holed.idOf(8)))), "9 ");
  // An engine that did what it was asked, and could not say so, was asked once more.
  const twice = restored(5, 6, 7, 6, 7, 8);
  assert.deepEqual(twice.map(({ event }) => textOf([{ id: "", event }])).join(""), "5 6 7 8 ");
  for (const broken of ["{", "null", "{}", '{"by":"old"}', '{"by":1,"event":{"type":"x"}}']) {
    const read = restoredFrom([...entries(5), { seq: 6, text: broken }, ...entries(7)]);
    assert.deepEqual(read.map(({ seq }) => seq), [7], broken);
  }
  assert.deepEqual(restoredFrom([...entries(5, NaN), ...entries(6)]).map(({ seq }) => seq), [6]);
  // A chat that is closed and begun anew has the same session's id: what was told before is not told again.
  const closed = { by: "old", event: { type: "sessionClosed", sessionId: "s" } };
  const ended = [...entries(5), { seq: 6, text: JSON.stringify(closed) }];
  assert.deepEqual(restoredFrom(ended), []);
});

test("a cursor goes on at the next owner only as far as that one knows what was told", async () => {
  const owner = async (kept: TailEntry[], texts: string, told = texts.length) => {
    const log = new SessionLog({ maxEvents: 100, maxBytes: 1e6, held: true });
    log.restore(restoredFrom(kept));
    const from = log.written;
    for (const text of texts) log.append(delta(text));
    const pump = new TailPump(log, {
      tail: {
        append: (_id, _fence, entries) => {
          kept.push(...entries.filter(({ seq }) => seq <= from + told));
          return Promise.resolve(true);
        },
        read: () => Promise.resolve(null),
      },
      ...{ sessionId: "s", fence: 1, onFenced: () => {}, onError: () => {} },
    });
    pump.kick();
    await pump.flushed();
    return log;
  };
  const kept: TailEntry[] = [];
  const first = await owner(kept, "abc");
  const inTheTail = first.cursor;
  assert.equal(textOf(all(new LogReader(await owner([...kept], "xy"), inTheTail))), "xy");
  assert.equal((await owner([...kept], "")).cursor, inTheTail);
  // A snapshot that was ahead of the tail, or an engine that lost its newest writes; also when it is the same owner again.
  const ahead = (await owner(kept, "defg", 2)).cursor;
  const second = await owner(kept, "xyz");
  for (const log of [second, await owner(kept, "!")]) {
    const [lagged] = all(new LogReader(log, ahead));
    assert.deepEqual(lagged!.event, { type: "lagged", after: ahead });
    const shown = log === second ? "xyz" : "xyz!";
    assert.equal(textOf(all(new LogReader(log, inTheTail))), `de${shown}`);
    assert.equal(textOf(all(new LogReader(log, second.idOf(6)))), shown.slice(1));
  }
  // What was lost altogether begins anew, and is no part of what was told before.
  const anew = await owner([], "0123456789");
  for (const cursor of [inTheTail, ahead, second.cursor]) assert.equal(anew.seqOf(cursor), null);
});

test("what came while a tail was away is told also when it takes less at once", async () => {
  const log = new SessionLog({ maxEvents: 100, maxBytes: 1e6, held: true });
  const kept: TailEntry[] = [];
  let refused = 0;
  const pump = new TailPump(log, {
    tail: {
      append: (_id, _fence, entries) => {
        if (entries.length > 4) return Promise.reject(new Error("request too large"));
        kept.push(...entries);
        return Promise.resolve(true);
      },
      read: () => Promise.resolve(null),
    },
    ...{ sessionId: "s", fence: 1, onFenced: () => {} },
    // The last one would have been enough.
    onError: () => ++refused > 4 && pump.stop(),
  });
  for (const text of "abcdefghi") log.append(delta(text));
  pump.kick();
  await pump.flushed();
  assert.deepEqual(kept.map(({ seq }) => seq), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(textOf(all(new LogReader(log, null))), "abcdefghi");
});

test("an event is told whenever it comes, also when the tail has just taken the one before", async () => {
  for (let later = 0; later < 20; later++) {
    const log = new SessionLog({ maxEvents: 100, maxBytes: 1e6, held: true });
    const pump = new TailPump(log, {
      tail: { append: () => Promise.resolve(true), read: () => Promise.resolve(null) },
      ...{ sessionId: "s", fence: 1, onFenced: () => {}, onError: () => {} },
    });
    const say = (text: string) => {
      log.append(delta(text));
      pump.kick();
    };
    say("a");
    for (let i = 0; i < later; i++) await null;
    say("b");
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(textOf(all(new LogReader(log, null))), "ab", `${later}`);
  }
});

test("readers at one place share a batch, and each is told what it would be told alone", () => {
  const log = new SessionLog({ maxEvents: 200, maxBytes: 1e6 });
  let made = 0;
  const make = (take: () => WebEvent | null) => {
    const told: WebEvent[] = [];
    for (let event = take(); event !== null; event = take()) told.push(event);
    if (told.length === 0) return null;
    made++;
    return new TextEncoder().encode(told.map((event) => `${JSON.stringify(event)}\n`).join(""));
  };
  // Some read each time, some seldom, one after the log has dropped what it did not read.
  const readers = [1, 1, 1, 2, 7, 90, 500].map((every) => ({
    every,
    shared: new LogReader(log, null),
    alone: new LogReader(log, null),
  }));
  for (let i = 1; i <= 1_000; i++) {
    log.append(delta(`${i} `, i % 3 === 0 ? "m" : "n"));
    const before = made;
    const bytes = new Set<Uint8Array>();
    for (const { every, shared, alone } of readers) {
      if (i % every !== 0) continue;
      const told = shared.batch(make);
      assert.equal(
        new TextDecoder().decode(told!),
        all(alone).map((event) => `${JSON.stringify(event)}\n`).join(""),
      );
      if (every === 1) bytes.add(told!);
      assert.equal(shared.batch(make), null);
    }
    assert.equal(bytes.size, 1);
    if (i % 2 === 1 && i % 7 !== 0) assert.equal(made, before + 1);
  }
  assert.equal(log.batch!.newest, log.newest);
});

test("a log that holds events back keeps its bounds once they are told", () => {
  const log = new SessionLog({ maxEvents: 2, maxBytes: 1e6, held: true });
  for (const text of "abcd") log.append(delta(text));
  assert.equal(log.oldest, 1);
  assert.deepEqual(all(new LogReader(log, null)), []);
  log.publish(4);
  assert.deepEqual([log.oldest, log.newest], [3, 4]);
  assert.equal(log.unpublished(10).length, 0);
});
