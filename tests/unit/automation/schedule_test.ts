import assert from "node:assert/strict";
import {
  type AutomationStep,
  firstStep,
  nextDue,
  nextStep,
  stepAtDue,
} from "../../../src/automation/runner.ts";
import type { AutomationSpec } from "../../../src/automation/types.ts";
import { CodexError } from "../../../src/errors/mod.ts";
import { test } from "../../_harness.ts";

const NOW = 1_000_000;
const date = (ms: number): Date => new Date(ms);

function spec(more: Partial<AutomationSpec> = {}): AutomationSpec {
  return { prompt: "p", every: 100, ...more };
}

function shape(step: AutomationStep | null): string {
  if (step === null) return "run";
  if (step.type === "wait") return `wait ${step.dueAt - NOW}`;
  if (step.type === "stop") return "stop";
  assert.ok(step.error instanceof CodexError);
  return `fail ${step.error.code}`;
}

test("the first step checks the session, then maxRuns, then stopAt", () => {
  const rows: [Partial<AutomationSpec>, closed: boolean, string][] = [
    [{}, false, "wait 0"],
    [{ startAt: date(NOW + 50) }, false, "wait 50"],
    [{ startAt: date(NOW - 50) }, false, "wait 0"],
    [{ maxRuns: Infinity }, false, "wait 0"],
    [{}, true, "fail sessionClosed"],
    [{ maxRuns: 0 }, true, "fail sessionClosed"],
    [{ maxRuns: 0 }, false, "stop"],
    [{ stopAt: date(NOW) }, false, "stop"],
    [{ stopAt: date(NOW + 1) }, false, "wait 0"],
    [{ startAt: date(NOW + 50), stopAt: date(NOW + 50) }, false, "stop"],
    [{ startAt: date(NOW + 50), stopAt: date(NOW + 51) }, false, "wait 50"],
  ];
  for (const [more, closed, expected] of rows) {
    assert.equal(shape(firstStep(spec(more), NOW, closed)), expected, JSON.stringify(more));
  }
});

test("a run that is due starts unless the session closed, stopAt was reached or the clock was set back", () => {
  const rows: [Partial<AutomationSpec>, closed: boolean, dueIn: number, string][] = [
    [{}, false, 0, "run"],
    [{}, true, 0, "fail sessionClosed"],
    [{ stopAt: date(NOW) }, false, 0, "stop"],
    [{ stopAt: date(NOW - 1) }, false, -9, "stop"],
    [{ stopAt: date(NOW + 1) }, false, 0, "run"],
    [{}, false, 1e9 + 70, "wait 70"],
    [{}, true, 1e9, "fail sessionClosed"],
    [{ stopAt: date(NOW) }, false, 1e9, "stop"],
  ];
  for (const [more, closed, dueIn, expected] of rows) {
    const step = stepAtDue(spec(more), NOW + dueIn, NOW, closed);
    assert.equal(shape(step), expected, JSON.stringify(more));
  }
});

test("the next run is on the original grid, and missed ticks collapse into one", () => {
  const rows: [took: number, next: number][] = [
    [0, 100],
    [1, 100],
    [99, 100],
    [100, 200],
    [101, 200],
    [199, 200],
    [200, 300],
    [1_050, 1_100],
    // The clock was set back while the turn ran: a little, which brings no tick twice, and by far.
    [-1, 100],
    [-49, 100],
    [-50, 0],
    [-500, -400],
    [-549, -400],
    [-1e12 - 1, -1e12 + 100],
  ];
  for (const [took, next] of rows) {
    assert.equal(nextDue(NOW, 100, NOW + took) - NOW, next, `after ${took} ms`);
  }
});

test("the step after a run counts it and keeps stopAt exclusive", () => {
  const rows: [Partial<AutomationSpec>, completed: number, string][] = [
    [{}, 1, "wait 100"],
    [{ maxRuns: 1 }, 1, "stop"],
    [{ maxRuns: 2 }, 1, "wait 100"],
    [{ stopAt: date(NOW + 100) }, 1, "stop"],
    [{ stopAt: date(NOW + 101) }, 1, "wait 100"],
    [{ every: 8.64e15, stopAt: date(NOW + 5) }, 1, "stop"],
    [{ every: 8.64e15, maxRuns: 1 }, 1, "stop"],
  ];
  for (const [more, completed, expected] of rows) {
    assert.equal(shape(nextStep(spec(more), NOW, NOW + 7, completed)), expected);
  }
});
