/**
 * The same with vitest, after `npm install --save-dev vitest`.
 *
 *     npx vitest run release_notes.spec
 */
import process from "node:process";
import { expect, test } from "vitest";
import { testing } from "../../../mod.ts";
import { releaseNotes } from "./release_notes.ts";

test("notes are the lines of the list", async () => {
  const model = await testing.ScriptedModel.start(["Changes:\n- faster\n- smaller"]);
  try {
    const { notes, commands } = await releaseNotes(process.cwd(), model.clientConfig());
    expect(notes).toEqual(["- faster", "- smaller"]);
    expect(commands).toBe(0);
  } finally {
    await model.close();
  }
}, 30_000); // vitest's own 5 seconds are short for a first start of codex on a busy machine
