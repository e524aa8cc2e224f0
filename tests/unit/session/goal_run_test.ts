import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import { goalEnd } from "../../../src/session/thread/goal_run.ts";
import { test } from "../../_harness.ts";

test("goalEnd() ends a goal by the server's word, and not for a pause of our own", () => {
  const table: [JsonObject | null, boolean, string | null][] = [
    [{ status: "active" }, false, null],
    [{ status: "active" }, true, null],
    [{ status: "paused" }, true, null],
    [{ status: "paused" }, false, "stopped"],
    [{ status: "complete" }, false, "complete"],
    [{ status: "complete" }, true, "complete"],
    [{ status: "blocked" }, false, "blocked"],
    [{ status: "budgetLimited" }, false, "budgetLimited"],
    [{ status: "usageLimited" }, false, "usageLimited"],
    [null, false, "stopped"],
    [null, true, "stopped"],
    // What a newer codex says is no end that is known.
    [{ status: "resting" }, false, null],
    [{ status: "toString" }, false, null],
    [{}, false, null],
  ];
  for (const [goal, asked, expected] of table) {
    assert.equal(goalEnd(goal, asked), expected, JSON.stringify([goal, asked]));
  }
});
