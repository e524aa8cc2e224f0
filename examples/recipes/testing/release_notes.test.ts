/**
 * Tests of a program that uses codex, with `node:test`: the same file on Deno, Bun and Node. The first plays the model to
 * the real codex; the second replays a recorded conversation and needs no codex at all. Delete the cassette to record it again.
 *
 *     deno test -A examples/recipes/testing/release_notes.test.ts
 *     bun test ./examples/recipes/testing/release_notes.test.ts
 *     node --test examples/recipes/testing/release_notes.test.ts
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { testing } from "../../../mod.ts";
import { releaseNotes } from "./release_notes.ts";

const { script } = testing;
const cwd = process.cwd();

test("notes are the lines of the list, and commands are counted", async () => {
  const model = await testing.ScriptedModel.start([
    [script.exec("git log --oneline")],
    "Changes:\n- faster\n- smaller",
  ]);
  try {
    const { notes, commands } = await releaseNotes(cwd, model.clientConfig());
    assert.deepEqual(notes, ["- faster", "- smaller"]);
    assert.equal(commands, 1);
    assert.match(model.requests[0]!.text, /since the last tag/);
  } finally {
    await model.close();
  }
});

test("the same from a cassette", async () => {
  const file = `${cwd}/release_notes.cassette.jsonl`;
  if (!existsSync(file)) {
    // With your own account: leave the model out.
    const model = await testing.ScriptedModel.start(["- recorded"]);
    const recorder = testing.Cassette.record(model.clientConfig());
    await releaseNotes(cwd, recorder.clientConfig());
    await model.close();
    writeFileSync(file, recorder.toString());
  }
  const replay = testing.Cassette.load(readFileSync(file, "utf8")).replay();
  const { notes } = await releaseNotes(cwd, replay.clientConfig());
  assert.deepEqual(notes, ["- recorded"]);
  replay.assertComplete();
});
