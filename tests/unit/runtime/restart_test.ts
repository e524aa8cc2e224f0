import assert from "node:assert/strict";
import type { RestartPolicy } from "../../../src/runtime/config.ts";
import { decideRestart, RESTART_DEFAULTS } from "../../../src/runtime/restart.ts";
import { test } from "../../_harness.ts";

const ON_CRASH: RestartPolicy = { type: "onCrash" };

test("without a policy, or with never, a dead server stays dead", () => {
  for (const policy of [undefined, { type: "never" } as const]) {
    assert.deepEqual(decideRestart(policy, { count: 0, healthyMs: 1e9 }, 0), {
      restart: false,
      reason: "policy",
    });
  }
});

test("delays double up to their limit, with up to a quarter of jitter", () => {
  const policy: RestartPolicy = { type: "onCrash", maxRestarts: 20 };
  const delays = (random: number) =>
    [0, 1, 2, 5, 6, 15].map((count) => {
      const decision = decideRestart(policy, { count, healthyMs: 0 }, random);
      return decision.restart ? decision.delayMs : null;
    });
  assert.deepEqual(delays(0), [200, 400, 800, 6400, 10_000, 10_000]);
  assert.deepEqual(delays(1), [250, 500, 1000, 8000, 12_500, 12_500]);
});

test("the circuit opens after maxRestarts, and closes again after enough health", () => {
  const { maxRestarts, resetAfterMs } = RESTART_DEFAULTS;
  const at = (count: number, healthyMs: number) => decideRestart(ON_CRASH, { count, healthyMs }, 0);
  assert.equal(at(maxRestarts - 1, 0).restart, true);
  assert.deepEqual(at(maxRestarts, 0), { restart: false, reason: "tooManyRestarts" });
  assert.deepEqual(at(maxRestarts, resetAfterMs - 1), {
    restart: false,
    reason: "tooManyRestarts",
  });
  assert.deepEqual(at(maxRestarts, resetAfterMs), { restart: true, delayMs: 200, attempt: 1 });
});

test("what a policy leaves undefined has its default", () => {
  const policy: RestartPolicy = { type: "onCrash" };
  for (const name of Object.keys(RESTART_DEFAULTS)) Object.assign(policy, { [name]: undefined });
  for (const count of [0, 3, RESTART_DEFAULTS.maxRestarts]) {
    const history = { count, healthyMs: 0 };
    assert.deepEqual(decideRestart(policy, history, 0), decideRestart(ON_CRASH, history, 0));
  }
});
