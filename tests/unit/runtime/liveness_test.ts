import assert from "node:assert/strict";
import type { Connection } from "../../../src/rpc/mod.ts";
import { judgeLiveness, livenessOf, watchLiveness } from "../../../src/runtime/restart.ts";
import { test } from "../../_harness.ts";

test("judgeLiveness() asks after half of the limit, and gives up after the other half", () => {
  const step = (now: number, lastSign: number, askedAt: number | null) =>
    judgeLiveness({ now, lastSign, askedAt }, 100);
  assert.equal(step(49, 0, null), "wait");
  assert.equal(step(50, 0, null), "ask");
  assert.equal(step(99, 0, 50), "wait");
  assert.equal(step(100, 0, 50), "lost");
  // An answer, or anything else, begins anew.
  assert.equal(step(100, 60, 50), "wait");
  assert.equal(step(110, 60, 50), "ask");
  assert.equal(step(160, 60, 110), "lost");
});

test("livenessOf() watches sockets always, a process while it is waited for, and nothing that is the caller's", () => {
  assert.deepEqual(livenessOf({}), { limitMs: 60_000, whenIdle: false });
  const url = "ws://127.0.0.1:1";
  assert.deepEqual(livenessOf({ transport: { type: "websocket", url } }), {
    limitMs: 30_000,
    whenIdle: true,
  });
  const open = () => Promise.reject(new Error("unused"));
  assert.equal(livenessOf({ transport: { type: "custom", open } }).limitMs, Infinity);
  assert.equal(livenessOf({ unresponsiveAfterMs: 5 }).limitMs, 5);
});

/** A connection whose clock the test turns. */
function watched(options: { whenIdle: boolean }) {
  const ended = Promise.withResolvers<void>();
  const seen = { asked: 0, dropped: "", now: 0, heardAt: 0, pendingCalls: 0 };
  const ticks: (() => void)[] = [];
  const connection = {
    get heardAt() {
      return seen.heardAt;
    },
    get pendingCalls() {
      return seen.pendingCalls;
    },
    ended: ended.promise,
    call() {
      seen.asked++;
      seen.pendingCalls++;
      return new Promise(() => {});
    },
    drop: (reason: string) => seen.dropped = reason,
  } as unknown as Connection;
  const real = globalThis.setInterval;
  globalThis.setInterval = ((fn: () => void) => {
    ticks.push(fn);
    return real(() => {}, 1 << 30);
  }) as typeof setInterval;
  const stop = watchLiveness(connection, { limitMs: 80, now: () => seen.now, ...options });
  globalThis.setInterval = real;
  const advance = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 10) {
      seen.now += 10;
      ticks[0]!();
    }
  };
  return { seen, stop, advance, tick: ticks[0]! };
}

test("watchLiveness() drops what does not answer, and leaves what does alone", () => {
  const { seen, stop, advance } = watched({ whenIdle: true });
  advance(40);
  assert.deepEqual([seen.asked, seen.dropped], [1, ""]);
  seen.heardAt = seen.now;
  advance(70);
  assert.deepEqual([seen.asked, seen.dropped], [2, ""]);
  advance(10);
  assert.match(seen.dropped, /no sign of life for 80 ms, although it was asked for one/);
  stop();
});

test("watchLiveness() asks an idle process nothing, and begins to count when somebody waits", () => {
  const { seen, stop, advance } = watched({ whenIdle: false });
  advance(1_000);
  assert.deepEqual([seen.asked, seen.dropped], [0, ""]);
  seen.pendingCalls = 1;
  advance(30);
  assert.equal(seen.asked, 0);
  advance(20);
  assert.equal(seen.asked, 1);
  advance(40);
  assert.notEqual(seen.dropped, "");
  stop();
});

test("watchLiveness() takes a clock that jumped for no silence of the server's", () => {
  const { seen, stop, advance, tick } = watched({ whenIdle: true });
  advance(50);
  seen.now += 100_000;
  tick();
  assert.equal(seen.dropped, "");
  advance(30);
  assert.deepEqual([seen.asked, seen.dropped], [1, ""]);
  stop();
});
