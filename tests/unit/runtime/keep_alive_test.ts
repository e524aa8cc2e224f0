import assert from "node:assert/strict";
import { KeepAlive } from "../../../src/runtime/restart.ts";
import { test } from "../../_harness.ts";

/** What keeps a script running, on a clock of its own. */
function bench() {
  const told: string[] = [];
  const timers: Set<() => void> = new Set();
  const alive = new KeepAlive({
    set: (callback) => {
      timers.add(callback);
      return callback;
    },
    clear: (handle) => timers.delete(handle as () => void),
  });
  alive.attach({ ref: () => told.push("ref"), unref: () => told.push("unref") });
  return {
    alive,
    timers,
    told,
    /** Lets as much time pass as a server without work keeps the script. */
    pass() {
      const due = [...timers];
      timers.clear();
      for (const callback of due) callback();
    },
  };
}

test("a script goes on while something is awaited, and a moment longer", () => {
  const { alive, told, pass } = bench();
  const first = alive.hold();
  const second = alive.hold();
  first();
  first();
  pass();
  assert.deepEqual(told, [], "one of two is awaited still");
  second();
  pass();
  assert.deepEqual(told, ["unref"]);
  alive.hold()();
  assert.deepEqual(told, ["unref", "ref"]);
  const again = alive.hold();
  pass();
  again();
  assert.deepEqual(told, ["unref", "ref"], "its end counts anew");
  pass();
  assert.deepEqual(told, ["unref", "ref", "unref"]);
});

test("a call that ends while the moment passes gets a moment of its own", () => {
  const { alive, told, timers, pass } = bench();
  alive.hold()();
  assert.equal(timers.size, 1);
  alive.hold()();
  assert.equal(timers.size, 1, "one timer, however many calls");
  pass();
  assert.deepEqual(told, [], "awaited since the timer began");
  pass();
  assert.deepEqual(told, ["unref"]);
});

test("every turn is awaited, whoever began it, until its end, its thread's or its server's", () => {
  for (
    const end of [
      (alive: KeepAlive) => alive.noticed("turn/completed", "t", "1"),
      (alive: KeepAlive) => alive.noticed("thread/closed", "t", undefined),
      (alive: KeepAlive) => alive.noticed("thread/archived", "t", undefined),
      (alive: KeepAlive) => alive.attach(null),
    ]
  ) {
    const { alive, told, timers, pass } = bench();
    alive.noticed("turn/started", "t", "0");
    alive.noticed("turn/started", "t", "1");
    alive.noticed("turn/completed", "t", "0");
    alive.noticed("turn/completed", "other", "1");
    pass();
    alive.hold()();
    assert.equal(timers.size, 0);
    end(alive);
    pass();
    assert.deepEqual(told, String(end).includes("attach") ? [] : ["unref"]);
  }
});

test("a turn whose end is told under another id, or never, is awaited no longer than it takes", () => {
  for (
    const end of [
      // A review of 0.125 to 0.169 begins under an id of its own, and ends under the one that it was answered with.
      (alive: KeepAlive) => alive.noticed("turn/completed", "t", "outer"),
      (alive: KeepAlive) => alive.over("t", { turnId: "outer", activeId: "1" }),
      (alive: KeepAlive) => alive.over("t", { turnId: "1", activeId: "1" }),
    ]
  ) {
    const { alive, told, pass } = bench();
    alive.noticed("turn/started", "t", "0");
    alive.noticed("turn/started", "t", "1");
    alive.over("t", { turnId: "0", activeId: "0" });
    alive.over("other", { turnId: "1", activeId: "1" });
    assert.equal(alive.turnRuns, true);
    end(alive);
    assert.equal(alive.turnRuns, false);
    pass();
    pass();
    assert.deepEqual(told, ["unref"]);
  }
});

test("the turn of a call that begins one is awaited before the server tells of it, but not for ever", () => {
  const { alive, told, pass } = bench();
  alive.answered("turn/start");
  alive.hold()();
  for (let round = 0; round < 20; round++) pass();
  assert.deepEqual(told, []);
  alive.noticed("turn/started", "t", "1");
  alive.noticed("turn/completed", "t", "1");
  pass();
  pass();
  assert.deepEqual(told, ["unref"]);

  const lost = bench();
  lost.alive.answered("review/start");
  lost.alive.hold()();
  for (let round = 0; round < 40; round++) lost.pass();
  assert.deepEqual(lost.told, ["unref"]);
  lost.alive.answered("thread/read");
  lost.alive.hold()();
  lost.pass();
  assert.deepEqual(lost.told, ["unref", "ref", "unref"]);
});

test("a server that comes while nothing is awaited keeps nothing running", () => {
  const { alive, told, pass } = bench();
  alive.hold()();
  pass();
  alive.attach({ unref: () => told.push("unref the next") });
  assert.deepEqual(told, ["unref", "unref the next"]);
});

test("a reader is waited for only while it waits, and gets what there is", async () => {
  const { alive, told, timers, pass } = bench();
  const given = Promise.withResolvers<number>();
  async function* numbers() {
    yield await given.promise;
  }
  const reader = alive.reading(numbers());
  const next = reader.next();
  assert.equal(timers.size, 0);
  given.resolve(7);
  assert.deepEqual(await next, { done: false, value: 7 });
  pass();
  assert.deepEqual(told, ["unref"]);
  assert.deepEqual(await reader.return!(), { done: true, value: undefined });
});

test("the end leaves no timer", () => {
  const { alive, timers } = bench();
  alive.hold()();
  alive.close();
  assert.equal(timers.size, 0);
  alive.hold()();
  assert.equal(timers.size, 0);
});

test("what is told of in turn is awaited in between", () => {
  const { alive, pass, told } = bench();
  alive.awaited(true);
  pass();
  assert.deepEqual(told, []);
  alive.awaited(false);
  pass();
  assert.deepEqual(told, ["unref"]);
  alive.awaited(true);
  assert.deepEqual(told, ["unref", "ref"]);
});
