/** Waiting: with an end, with a signal, for longer than a timer can count. */
import assert from "node:assert/strict";
import {
  abortable,
  delay,
  Latch,
  longInterval,
  longTimeout,
  settleAll,
  settlesWithin,
  stopwatch,
  type Timers,
  within,
} from "../../src/async.ts";
import { test } from "../_harness.ts";
import { readSource } from "../_module_graph.ts";

test("Latch lets through when it is open, and tells who waits that it never will be", async () => {
  const ready = new Latch();
  await ready.wait();
  ready.close();
  ready.close();
  const waiting = ready.wait();
  await assert.rejects(ready.wait(AbortSignal.abort(new Error("enough"))), /enough/);
  ready.open();
  await waiting;
  ready.close();
  const lost = ready.wait();
  ready.fail(new Error("gone"));
  await assert.rejects(lost, /gone/);
  await assert.rejects(ready.wait(), /gone/);
  new Latch().fail(new Error("nobody waits"));
});

test("abortable() and delay() reject with the reason, and leave no listener", async () => {
  const stop = new AbortController();
  let listeners = 0;
  const { signal } = stop;
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++;
    add.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--;
    remove.apply(signal, args);
  };
  assert.equal(await abortable(Promise.resolve(7), signal), 7);
  await assert.rejects(abortable(Promise.reject(new Error("own")), signal), /own/);
  await delay(0, signal);
  assert.equal(listeners, 0);
  const waits = [abortable(new Promise(() => {}), signal), delay(60_000, signal)];
  stop.abort(new Error("enough"));
  for (const wait of waits) await assert.rejects(wait, /enough/);
  await assert.rejects(delay(60_000, signal), /enough/);
});

test("settlesWithin() tells whether a promise settled in time, however it settled", async () => {
  assert.equal(await settlesWithin(Promise.resolve(), 1000), true);
  assert.equal(await settlesWithin(Promise.reject(new Error("x")), 1000), true);
  assert.equal(await settlesWithin(new Promise(() => {}), 1), false);
});

test("within() gives the outcome, or what stands for a late one", async () => {
  assert.equal(await within(Promise.resolve(7), 1000, "late"), 7);
  await assert.rejects(within(Promise.reject(new Error("own")), 1000, "late"), /own/);
  assert.equal(await within(new Promise(() => {}), 1, "late"), "late");
});

/** Timers that are wound by hand, and hold no more than real ones do. */
class HandTimers implements Timers {
  now = 0;
  #armed: { at: number; callback: () => void } | null = null;

  set(callback: () => void, ms: number): unknown {
    assert.ok(ms >= 0 && ms <= 2 ** 31 - 1, `${ms} would fire at once`);
    return this.#armed = { at: this.now + ms, callback };
  }

  clear(handle: unknown): void {
    if (handle === this.#armed) this.#armed = null;
  }

  /** Lets time pass up to `now`. */
  pass(now: number): void {
    while (this.#armed !== null && this.#armed.at <= now) {
      const { at, callback } = this.#armed;
      this.#armed = null;
      this.now = at;
      callback();
    }
    this.now = now;
  }
}

test("longTimeout() counts beyond what a timer holds, to the millisecond", () => {
  const LONGEST = 2 ** 31 - 1;
  for (const ms of [-5, 0, 1, LONGEST, LONGEST + 1, 3 * LONGEST, 3 * LONGEST + 7]) {
    const timers = new HandTimers();
    let fired = 0;
    longTimeout(() => fired++, ms, timers);
    timers.pass(Math.max(ms, 0) - 1);
    assert.equal(fired, 0, `${ms} fired early`);
    timers.pass(Math.max(ms, 0));
    assert.equal(fired, 1, `${ms} did not fire`);
    timers.pass(10 * LONGEST);
    assert.equal(fired, 1, `${ms} fired twice`);
  }
});

test("longTimeout() never fires when cancelled or endless", () => {
  const timers = new HandTimers();
  const never = () => assert.fail("fired");
  const cancel = longTimeout(never, 2 ** 33, timers);
  timers.pass(2 ** 32);
  cancel();
  timers.pass(2 ** 34);
  longTimeout(never, Infinity, timers)();
  timers.pass(2 ** 40);
});

test("settleAll() settles when all have, with all outcomes or the first error", async () => {
  assert.deepEqual(await settleAll([Promise.resolve(1), Promise.resolve(2)]), [1, 2]);
  assert.deepEqual(await settleAll([]), []);
  for (const end of ["resolve", "reject"] as const) {
    const late = Promise.withResolvers<void>();
    let isOver = false;
    const work = late.promise.finally(() => isOver = true);
    const all = settleAll([Promise.reject(new Error("first")), work]);
    const seen = all.then(() => assert.fail("resolved"), (error) => [isOver, error.message]);
    setTimeout(() => late[end](new Error("second") as never), 0);
    assert.deepEqual(await seen, [true, "first"]);
  }
});

/** Files whose timers all have a length of the file's own, or one that is cut before. */
const OWN_TIMERS: Record<string, string> = {
  "src/async.ts": "here they are",
  "src/automation/runner.ts": "a clock that is passed in, and looked at each minute",
  "src/platform/http_server.ts": "10 ms",
  "src/rpc/pending_calls.ts": "cut at the longest timer; a pause of its own",
  "src/session/history/rewind/checkpoint_store.ts": "a beat of its own",
  "src/session/policy/sub_agents.ts": "BEGIN_MS",
  "src/session/turn/turn.ts": "IDLE_CHECK_MS and FAILED_CHECK_MS",
  "src/session/client/prewarm.ts": "IDLE_MS",
  "src/adapters/acp/session.ts": "a turn of the event loop",
  "src/web/live/live_sessions.ts": "WATCH_MS at most",
};

test("timers of a caller's length are longTimeout() and longInterval(), which no length overflows", () => {
  const found = [...readSource().values()]
    .filter(({ code }) => /\b(?:setTimeout|setInterval|AbortSignal\.timeout)\(/.test(code))
    .map(({ path }) => path);
  assert.deepEqual(found.sort(), Object.keys(OWN_TIMERS).sort());
});

test("longInterval() waits no less than asked, as far as a timer can count", () => {
  const asked: number[] = [];
  const { setInterval: real } = globalThis;
  globalThis.setInterval = ((_: () => void, ms: number) => {
    asked.push(ms);
    return 0;
  }) as unknown as typeof setInterval;
  try {
    for (const ms of [5, 2 ** 31 - 1, 2 ** 31, 1e15, Infinity]) longInterval(() => {}, ms);
  } finally {
    globalThis.setInterval = real;
  }
  assert.deepEqual(asked, [5, ...Array(4).fill(2 ** 31 - 1)]);
});

/** Acts with clocks that the test turns, by so many milliseconds each. */
async function turning(
  act: (turn: (wallBy: number, steadyBy: number) => void) => Promise<void> | void,
): Promise<void> {
  const { now: realWall } = Date;
  const { now: realSteady } = performance;
  let [wall, steady] = [realWall(), Math.round(realSteady.call(performance))];
  Date.now = () => wall;
  performance.now = () => steady;
  try {
    await act((wallBy, steadyBy) => [wall, steady] = [wall + wallBy, steady + steadyBy]);
  } finally {
    Date.now = realWall;
    performance.now = realSteady;
  }
}

test("stopwatch() goes on by the clock that does, whatever the other one was set to", () =>
  turning((turn) => {
    const passed = stopwatch();
    const after = (wallBy: number, steadyBy: number) => {
      const before = passed();
      turn(wallBy, steadyBy);
      return passed() - before;
    };
    assert.equal(after(1_000, 1_000), 1_000);
    // Asleep, set back by a day, set forward by a day and back again.
    assert.equal(after(8_000, 0), 8_000);
    assert.equal(after(-86_400_000, 500), 500);
    assert.equal(after(86_400_000, 500), 86_400_000);
    assert.equal(after(-86_400_000, 500), 500);
    assert.equal(after(500, 500), 500);
    // One that counts whole milliseconds is no clock that was set.
    let sum = 0;
    for (let i = 0; i < 1_000; i++) sum += after(i % 10 === 0 ? 1 : 0, 0.1);
    assert.ok(Math.abs(sum - 100) < 2, `${sum}`);
  }));

/** Files of the bridge that ask for the date: it is written down, or another machine compares it. */
const DATES = [
  "src/web/cluster/session_owners.ts",
  "src/web/live/live_session.ts",
  "src/web/live/live_sessions.ts",
  "src/web/live/session_thread.ts",
];

test("how long something took is not told by the date, which may be set", () => {
  const found = [...readSource().values()]
    .filter(({ path, code }) => path.startsWith("src/web/") && /\bDate\.now\(/.test(code))
    .map(({ path }) => path);
  assert.deepEqual(found.sort(), DATES);
});
