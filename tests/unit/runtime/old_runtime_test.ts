/** What people are told whose Node is too old. */
import assert from "node:assert/strict";
import { SpawnError } from "../../../src/errors/mod.ts";
import { spawnCore } from "../../../src/runtime/spawn.ts";
import { test } from "../../_harness.ts";

test("spawnCore() tells a Node that is too old, before anything is started", async () => {
  const { withResolvers } = Promise;
  let spawning: Promise<unknown>;
  try {
    Object.assign(Promise, { withResolvers: undefined });
    spawning = spawnCore({ codexPath: "/nowhere/codex" });
  } finally {
    Object.assign(Promise, { withResolvers });
  }
  await assert.rejects(spawning, (error) => {
    assert.ok(error instanceof SpawnError);
    assert.match(error.message, /Node has to be 22 or newer/);
    return true;
  });
});
