import assert from "node:assert/strict";
import { KEPT_RUNS, Runs, systemClock } from "../../../src/automation/runner.ts";
import { AutomationHandle } from "../../../src/automation/mod.ts";
import { Runner } from "../../../src/automation/runner.ts";
import { spawn } from "../../../src/automation/mod.ts";
import type { AutomationRun, AutomationSpec } from "../../../src/automation/types.ts";
import { InvalidArgumentError, SessionClosedError } from "../../../src/errors/mod.ts";
import { test } from "../../_harness.ts";

const spawnWith = (...[session, spec, clock]: ConstructorParameters<typeof Runner>) =>
  new AutomationHandle(new Runner(session, spec, clock));
import { FakeClock, FakeSession, settle } from "./_fakes.ts";

const NOW = Date.UTC(2026, 0, 1);

function start(spec: Partial<AutomationSpec> = {}, session = new FakeSession()): {
  handle: AutomationHandle;
  clock: FakeClock;
  session: FakeSession;
  runs: AutomationRun[];
} {
  const clock = new FakeClock(NOW);
  const runs: AutomationRun[] = [];
  const handle = spawnWith(
    session,
    { prompt: "go", every: 1_000, onRun: (run) => runs.push(run), ...spec },
    clock,
  );
  return { handle, clock, session, runs };
}

test("what becomes of the caller's spec later changes no plan", async () => {
  const stopAt = new Date(NOW + 2_500);
  const { clock, session, handle } = start({ stopAt });
  stopAt.setTime(0);
  for (let run = 1; run <= 3; run++) {
    await clock.advance(run === 1 ? 0 : 1_000);
    assert.equal(session.asks.length, run);
    await session.last.succeed("done");
  }
  assert.equal((await handle.wait()).state, "stopped");
});

test("spawn() runs at once, then on the grid, one turn at a time, and delivers each answer", async () => {
  const { handle, clock, session, runs } = start({ maxRuns: 3 });
  assert.equal(handle.status().state, "waiting");
  assert.deepEqual(handle.status().nextDueAt, new Date(NOW));
  await clock.advance(0);
  assert.deepEqual([session.asks.length, handle.status().state, handle.status().nextDueAt], [
    1,
    "running",
    null,
  ]);
  // Three ticks pass while it runs.
  await clock.advance(3_500);
  assert.equal(session.asks.length, 1);
  await session.last.succeed("one");
  assert.deepEqual(handle.status().nextDueAt, new Date(NOW + 4_000));
  await clock.advance(499);
  assert.equal(session.asks.length, 1);
  await clock.advance(1);
  assert.equal(session.asks.length, 2);
  await session.last.succeed("two");
  await clock.advance(1_000);
  await session.last.succeed("three");
  const status = await handle.wait();
  assert.deepEqual([status.state, status.runsCompleted, status.nextDueAt], ["stopped", 3, null]);
  assert.equal("lastError" in status, false);
  assert.deepEqual(
    runs.map((run) => [run.index, run.result?.assistantText, run.dueAt.getTime() - NOW]),
    [[0, "one", 0], [1, "two", 4_000], [2, "three", 5_000]],
  );
  assert.deepEqual(
    [runs[0]?.startedAt, runs[0]?.finishedAt],
    [new Date(NOW), new Date(NOW + 3_500)],
  );
  assert.equal(clock.timers.size, 0);
  const read: AutomationRun[] = [];
  for await (const run of handle) read.push(run);
  assert.deepEqual(read, runs);
});

test("a goal that is not reached is one of maxRuns, and no completed run", async () => {
  const session = Object.assign(new FakeSession(), {
    startGoal: () =>
      Promise.resolve({
        async *[Symbol.asyncIterator]() {},
        finish: () => Promise.resolve({ status: "budgetLimited", turns: [], usage: {} }),
      } as never),
  });
  const { handle, clock, runs } = start({ maxRuns: 2, goal: true }, session);
  for (let i = 0; i < 4; i++) await clock.advance(1_000);
  const { state, runsCompleted } = await handle.wait();
  assert.deepEqual([state, runsCompleted], ["stopped", 0]);
  assert.deepEqual(runs.map(({ goal }) => goal?.status), ["budgetLimited", "budgetLimited"]);
  assert.equal(clock.timers.size, 0);
});

test("a goal that runs is interrupted by stop()", async () => {
  const ended = Promise.withResolvers<void>();
  const session = Object.assign(new FakeSession(), {
    startGoal: () =>
      Promise.resolve({
        async *[Symbol.asyncIterator]() {},
        finish: async () => {
          await ended.promise;
          throw new Error("interrupted");
        },
      } as never),
    onInterrupt: () => ended.resolve(),
  });
  const { handle, clock } = start({ goal: true }, session);
  await clock.advance(0);
  assert.equal(handle.status().state, "running");
  const stopped = handle.stop();
  await settle();
  assert.equal(session.interrupts, 1);
  assert.equal((await stopped).state, "stopped");
  assert.equal(clock.timers.size, 0);
});

test("spawn() refuses a goal on a session that has none", () => {
  const session = new FakeSession();
  assert.throws(
    () => spawn(session, { prompt: "go", every: 1_000, goal: true }),
    (error) => error instanceof InvalidArgumentError && error.argument === "session",
  );
  assert.equal(session.asks.length, 0);
});

test("systemClock calls back, and not when it was told not to", async () => {
  const told: string[] = [];
  const cancel = systemClock.after(0, () => told.push("cancelled"));
  cancel();
  await new Promise<void>((resolve) => systemClock.after(0, resolve));
  assert.deepEqual(told, []);
});

test("a failed prompt ends the automation with its error, and the run is delivered with it", async () => {
  const { handle, clock, session, runs } = start();
  await clock.advance(0);
  const failure = new Error("429");
  await session.last.fail(failure);
  const status = await handle.wait();
  assert.deepEqual([status.state, status.runsCompleted, status.lastError], ["failed", 0, failure]);
  assert.deepEqual([runs.length, runs[0]?.error, runs[0]?.result], [1, failure, undefined]);
  await clock.advance(10_000);
  assert.equal(session.asks.length, 1);
  assert.equal(clock.timers.size, 0);
});

test("a session that throws synchronously ends the automation as failed", async () => {
  const { handle, session, clock } = start();
  session.onAsk = () => {
    throw new SessionClosedError();
  };
  await clock.advance(0);
  assert.ok((await handle.wait()).lastError instanceof SessionClosedError);
});

test("stop() while waiting ends at once without a turn", async () => {
  const { handle, clock, session } = start({ startAt: new Date(NOW + 5_000) });
  await settle();
  const status = await handle.stop();
  assert.equal(status.state, "stopped");
  assert.deepEqual(await handle.stop(), status);
  assert.deepEqual([session.asks.length, session.interrupts, clock.timers.size], [0, 0, 0]);
});

test("stop() right after spawn() starts nothing", async () => {
  const { handle, session } = start();
  assert.equal((await handle.stop()).state, "stopped");
  assert.equal(session.asks.length, 0);
});

test("stop() interrupts the running turn and waits for its end", async () => {
  const { handle, clock, session, runs } = start();
  await clock.advance(0);
  session.onInterrupt = () => {};
  let stopped = false;
  const stopping = handle.stop().then((status) => (stopped = true, status));
  await settle();
  assert.deepEqual([session.interrupts, stopped, handle.status().state], [1, false, "running"]);
  const interrupted = new Error("interrupted");
  await session.last.fail(interrupted);
  const status = await stopping;
  assert.deepEqual([status.state, status.runsCompleted], ["stopped", 0]);
  assert.equal("lastError" in status, false);
  assert.equal(runs[0]?.error, interrupted);
  assert.equal(session.last.signal.aborted, false);
  assert.equal(clock.timers.size, 0);
});

test("stop() gives up an ask that is still queued, without interrupting somebody else's turn", async () => {
  const { handle, clock, session } = start();
  session.onAsk = () => {};
  await clock.advance(0);
  const stopping = handle.stop();
  await clock.advance(10_000);
  assert.equal((await stopping).state, "stopped");
  assert.deepEqual([session.interrupts, session.last.signal.aborted], [0, true]);
  assert.equal(clock.timers.size, 0);
});

test("stop() during the hooks after a turn interrupts nobody and keeps the answer", async () => {
  const { handle, clock, session, runs } = start();
  await clock.advance(0);
  session.last.complete();
  const stopping = handle.stop();
  await settle();
  await session.last.succeed("kept");
  const status = await stopping;
  assert.deepEqual([status.state, status.runsCompleted, session.interrupts], ["stopped", 1, 0]);
  assert.equal(runs[0]?.result?.assistantText, "kept");
});

test("stop() gives up on a turn that does not stop", async () => {
  const { handle, clock, session } = start();
  await clock.advance(0);
  session.onInterrupt = () => {
    throw new Error("no such turn");
  };
  session.interrupt = () => Promise.reject(new Error("no such turn"));
  const stopping = handle.stop();
  await clock.advance(20_000);
  assert.equal((await stopping).state, "stopped");
  assert.equal(session.last.signal.aborted, true);
});

test("stopAt is exclusive and does not cut a running turn off", async () => {
  const { handle, clock, session } = start({ stopAt: new Date(NOW + 2_000) });
  await clock.advance(0);
  await session.last.succeed();
  await clock.advance(1_000);
  assert.equal(session.asks.length, 2);
  await clock.advance(5_000);
  assert.equal(handle.status().state, "running");
  await session.last.succeed();
  assert.deepEqual([(await handle.wait()).state, session.asks.length], ["stopped", 2]);
});

test("a closed session ends a waiting automation as failed", async () => {
  const { handle, clock, session } = start({ startAt: new Date(NOW + 1_000) });
  session.closed = true;
  await clock.advance(1_000);
  const status = await handle.wait();
  assert.ok(status.lastError instanceof SessionClosedError);
  assert.deepEqual([status.state, session.asks.length], ["failed", 0]);
});

test("a session that tells of its end ends a waiting automation at once", async () => {
  const closing = new AbortController();
  const session = Object.assign(new FakeSession(), { closeSignal: closing.signal });
  const { handle, clock } = start({ startAt: new Date(NOW + 1e9) }, session);
  await settle();
  closing.abort();
  assert.equal((await handle.wait()).state, "failed");
  assert.equal(clock.timers.size, 0);
});

test("an automation that is over leaves no listener on the session", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: unknown[]) => {
    listeners++;
    addEventListener.apply(signal, args as never);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    listeners--;
    removeEventListener.apply(signal, args as never);
  };
  const session = Object.assign(new FakeSession(), { closeSignal: signal });
  const { handle } = start({ startAt: new Date(NOW + 1e9) }, session);
  assert.equal(listeners, 1);
  await handle.stop();
  assert.equal(listeners, 0);
});

test("a bad spec is refused at once, before a session is asked", async () => {
  for (const spec of [{ every: 0 }, { every: NaN }, { maxRuns: -1 }, { onRun: 1 as never }]) {
    const session = new FakeSession();
    assert.throws(
      () => spawn(session, { prompt: "p", every: 1000, ...spec }),
      InvalidArgumentError,
    );
    assert.equal(session.asks.length, 0);
  }
  assert.equal((await start({ maxRuns: 0 }).handle.wait()).state, "stopped");
});

test("a delay beyond what a timer can count waits its whole time", async () => {
  const wait = 2 ** 31 + 12_345;
  const { handle, clock, session } = start({ startAt: new Date(NOW + wait) });
  await settle();
  assert.ok(clock.longest < 2 ** 31);
  clock.time += wait - 1;
  await clock.advance(0);
  assert.equal(session.asks.length, 0);
  await clock.advance(60_000);
  assert.equal(session.asks.length, 1);
  await session.last.succeed();
  await handle.stop();
});

test("after the machine slept, the missed ticks are one run, and the grid is the old one", async () => {
  const { handle, clock, session } = start();
  await clock.advance(0);
  await session.last.succeed();
  await clock.suspend(10_300);
  await clock.advance(1_000);
  assert.equal(session.asks.length, 2);
  await session.last.succeed();
  assert.deepEqual(handle.status().nextDueAt, new Date(NOW + 12_000));
  await handle.stop();
});

test("a clock that is set back, or forward and back again, keeps nobody waiting for longer than the pace", async () => {
  const day = 86_400_000;
  for (const away of [day, 400 * day]) {
    const { handle, clock, session } = start({ every: 3_600_000 });
    await clock.advance(0);
    await session.last.succeed();
    // Nothing may look at the clock before it was set.
    await clock.suspend(-away);
    await clock.advance(3_600_000 * 1.5 + 60_000);
    assert.equal(session.asks.length, 2, "set back while it waits");
    await clock.suspend(away);
    await session.last.succeed();
    await clock.suspend(-away);
    await clock.advance(3_600_000 * 1.5 + 60_000);
    assert.equal(session.asks.length, 3, "set forward while a run was at work, and back");
    const due = handle.status();
    assert.equal(due.state, "running");
    await session.last.succeed();
    const next = handle.status().nextDueAt!.getTime();
    assert.equal(Math.abs(next - NOW) % 3_600_000, 0, "on the grid");
    assert.ok(next - clock.time <= 3_600_000 * 1.5);
    await handle.stop();
    assert.equal(clock.timers.size, 0);
  }
});

test("a first run waits for its date, whatever becomes of the clock meanwhile", async () => {
  const { handle, clock, session } = start({ startAt: new Date(NOW + 5_000) });
  await clock.suspend(-10_000);
  await clock.advance(14_999);
  assert.equal(session.asks.length, 0);
  await clock.advance(60_001);
  assert.equal(session.asks.length, 1);
  await session.last.succeed();
  await handle.stop();
});

test("the status names the thread as it is now: one that was never used is another one when it is opened anew", async () => {
  const session = new FakeSession();
  const { handle } = start({}, session);
  assert.equal(handle.status().threadId, "t1");
  (session as { threadId: string }).threadId = "t2";
  assert.equal(handle.status().threadId, "t2");
  await handle.stop();
});

test("what onRun throws ends nothing and is told", async () => {
  for (
    const onRun of [
      () => {
        throw new Error("mine");
      },
      () => Promise.reject(new Error("mine")),
    ]
  ) {
    const { handle, clock, session } = start({ maxRuns: 2, onRun });
    await clock.advance(0);
    await session.last.succeed();
    assert.equal((handle.status().onRunError as Error).message, "mine");
    await clock.advance(1_000);
    await session.last.succeed();
    const status = await handle.wait();
    assert.deepEqual([status.state, status.runsCompleted], ["stopped", 2]);
  }
});

test("onRun may stop the automation, and sees its status up to date", async () => {
  const seen: string[] = [];
  const { handle, clock, session } = start({
    onRun: () => {
      seen.push(handle.status().state);
      void handle.stop();
    },
  });
  await clock.advance(0);
  await session.last.succeed();
  assert.equal((await handle.wait()).state, "stopped");
  assert.deepEqual([seen, session.asks.length], [["waiting"], 1]);
});

test("a reader gets runs as they end, and leaving the loop stops the automation", async () => {
  const { handle, clock, session } = start({ maxRuns: 3 });
  const read: number[] = [];
  const reading = (async () => {
    for await (const run of handle) {
      read.push(run.index);
      if (run.index === 1) break;
    }
  })();
  await clock.advance(0);
  await session.last.succeed();
  assert.deepEqual(read, [0]);
  await clock.advance(1_000);
  await session.last.succeed();
  await reading;
  assert.equal(handle.status().state, "stopped");
  await clock.advance(1_000);
  assert.equal(session.asks.length, 2);
});

test("a reader that leaves while it waits for a run ends the run, and hears of it", async () => {
  const { handle, clock, session } = start();
  const runs = handle[Symbol.asyncIterator]();
  const next = runs.next();
  await clock.advance(0);
  assert.equal(session.asks.length, 1);
  assert.deepEqual(await runs.return!(), { done: true, value: undefined });
  assert.equal(session.interrupts, 1);
  assert.equal(handle.status().state, "stopped");
  const { value } = await next;
  assert.equal((value as { error: Error }).error.message, "interrupted");
  assert.deepEqual(await runs.next(), { done: true, value: undefined });
  // The fake's own.
  await settle();
});

test("unread runs are bounded, and the dropped ones are counted", async () => {
  const runs = new Runs();
  const at = new Date(NOW);
  for (let index = 0; index < KEPT_RUNS + 5; index++) {
    runs.push({ index, dueAt: at, startedAt: at, finishedAt: at });
  }
  runs.end();
  assert.equal(runs.dropped, 5);
  assert.equal((await runs.next())?.index, 5);
  let left = 0;
  while (await runs.next() !== null) left++;
  assert.equal(left, KEPT_RUNS - 1);
});

test("changing the spec afterwards changes nothing", async () => {
  const spec = { prompt: "go", every: 1_000, maxRuns: 1 };
  const clock = new FakeClock(NOW);
  const session = new FakeSession();
  const handle = spawnWith(session, spec, clock);
  spec.prompt = "other";
  spec.maxRuns = 9;
  await clock.advance(0);
  await session.last.succeed();
  assert.equal(session.last.prompt, "go");
  assert.equal((await handle.wait()).state, "stopped");
});

test("disposing the handle stops it, under the real clock too", async () => {
  const session = new FakeSession();
  const done: string[] = [];
  session.onAsk = (ask) => void ask.succeed();
  let handle: AutomationHandle;
  {
    await using running = spawn(session, {
      prompt: "go",
      every: 2,
      onRun: (run) => done.push(run.result?.assistantText ?? "?"),
    });
    handle = running;
    let seen = 0;
    for await (const _ of running) if (++seen === 3) break;
  }
  assert.equal(handle.status().state, "stopped");
  assert.ok(done.length >= 3);
  await settle();
});
