/** What holds for every schedule. */
import "./_seed.ts";
import fc from "npm:fast-check@4.10.2";
import assert from "node:assert/strict";
import { firstStep, nextDue, nextStep, stepAtDue } from "../../src/automation/runner.ts";
import type { AutomationSpec } from "../../src/automation/types.ts";
import { test } from "../_harness.ts";

const NOW = Date.UTC(2026, 0, 1);

test("nextDue() is the first tick of the original grid after now, for whole milliseconds", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 4e12 }),
    fc.integer({ min: 1, max: 1e10 }),
    fc.integer({ min: 0, max: 1e12 }),
    (due, every, late) => {
      const now = due + late;
      const next = nextDue(due, every, now);
      assert.ok(next > now);
      assert.equal((next - due) % every, 0);
      assert.ok(next - every <= now);
    },
  ));
});

test("nextDue() is between half a period and one and a half away when the clock was set back, and on the grid", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 4e12 }),
    fc.integer({ min: 1, max: 1e10 }),
    fc.integer({ min: 1, max: 1e12 }),
    (due, every, back) => {
      const now = due - back;
      const next = nextDue(due, every, now);
      assert.equal(Math.abs(next - due) % every, 0);
      assert.ok(next - now >= every / 2 && next - now <= every * 1.5);
    },
  ));
});

test("nextDue() is after now and at most two periods away, for fractions too", () => {
  fc.assert(fc.property(
    fc.double({ min: 0, max: 4e12, noNaN: true }),
    fc.double({ min: 1, max: 1e10, noNaN: true }),
    fc.double({ min: 0, max: 1e12, noNaN: true }),
    (due, every, late) => {
      const next = nextDue(due, every, due + late);
      assert.ok(next > due + late);
      assert.ok(next <= due + late + 2 * every);
    },
  ));
});

test("a simulated automation starts on its grid, before stopAt, at most maxRuns times, and ends", () => {
  fc.assert(fc.property(
    fc.record({
      every: fc.integer({ min: 1, max: 5_000 }),
      startIn: fc.option(fc.integer({ min: -5_000, max: 5_000 }), { nil: undefined }),
      stopIn: fc.integer({ min: -10, max: 60_000 }),
      maxRuns: fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }),
    }),
    fc.infiniteStream(fc.integer({ min: 0, max: 12_000 })),
    ({ every, startIn, stopIn, maxRuns }, turns) => {
      const spec: AutomationSpec = {
        prompt: "p",
        every,
        stopAt: new Date(NOW + stopIn),
        ...(startIn === undefined ? {} : { startAt: new Date(NOW + startIn) }),
        ...(maxRuns === undefined ? {} : { maxRuns }),
      };
      const origin = NOW + Math.max(startIn ?? 0, 0);
      let now = NOW;
      let step = firstStep(spec, now, false);
      let last = -Infinity;
      let runs = 0;
      while (step.type === "wait") {
        const { dueAt } = step;
        now = Math.max(now, dueAt);
        const instead = stepAtDue(spec, dueAt, now, false);
        if (instead !== null) {
          step = instead;
          break;
        }
        assert.ok(now < NOW + stopIn);
        assert.equal((dueAt - origin) % every, 0);
        assert.ok(dueAt > last);
        last = dueAt;
        runs++;
        now += turns.next().value!;
        step = nextStep(spec, dueAt, now, runs);
        // A missed tick is never made up for: the next run is not in the past.
        if (step.type === "wait") assert.ok(step.dueAt > now);
      }
      assert.equal(step.type, "stop");
      assert.ok(runs <= (maxRuns ?? Infinity));
    },
  ));
});
