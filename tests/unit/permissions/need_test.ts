import assert from "node:assert/strict";
import { configNeeds } from "../../../src/permissions/config/config_needs.ts";
import { EVERYTHING, flagsFor, missingNeeds } from "../../../src/permissions/need.ts";
import { test } from "../../_harness.ts";
import { ALL, probeOf } from "./_world.ts";

test("missingNeeds() does not ask for a write flag that is there", () => {
  // As Deno tells it for `--allow-run=codex --allow-write …`: it takes the program out of what may be written.
  const part = {
    ...probeOf({ ...ALL, write: [], everythingElse: false }),
    writesInPart: () => true,
  };
  assert.ok(!flagsFor(missingNeeds(EVERYTHING, part), "deno").includes("--allow-write"));
  // With the whole `--allow-run`, a hole is one that somebody made.
  const hole = { ...probeOf({ ...ALL, write: [] }), writesInPart: () => true };
  assert.deepEqual(flagsFor(missingNeeds(EVERYTHING, hole), "deno"), ["--allow-write"]);
  // A path that may not be written is missing in any case.
  assert.deepEqual(
    flagsFor(missingNeeds([{ kind: "write", path: "/x" }, { kind: "run" }], part), "deno"),
    ["--allow-write=/x", "--allow-run"],
  );
  const none = {
    ...probeOf({ ...ALL, write: [], everythingElse: false }),
    writesInPart: () => false,
  };
  assert.ok(flagsFor(missingNeeds(EVERYTHING, none), "deno").includes("--allow-write"));
});

test("a sandbox of the configuration needs what it lets be done", () => {
  assert.deepEqual(configNeeds({ sandbox_mode: "read-only" }, "/w"), [{ kind: "read" }]);
  assert.deepEqual(configNeeds({ sandbox_mode: "workspace-write" }, "/w"), EVERYTHING);
});
