/** Counts up in an artifact as fast as it can, and prints each number that is stored, until it is killed. */
import process from "node:process";
import { FileArtifactStore } from "../../src/artifact/store/file_store.ts";
import { EMPTY_REVISION } from "../../src/artifact/edits.ts";
import { ArtifactConflictError } from "../../src/errors/mod.ts";
import { numberOf, textOf } from "./artifact_crash_text.ts";

const store = new FileArtifactStore(process.argv[2]!);
console.log("ready");
while (true) {
  const now = await store.load("counter");
  const next = (now === null ? 0 : numberOf(now)) + 1;
  const expectedRevision = now?.revision ?? EMPTY_REVISION;
  try {
    await store.save("counter", {
      text: textOf(next),
      expectedRevision,
      meta: { title: `${next}` },
    });
    console.log(next);
  } catch (error) {
    if (!(error instanceof ArtifactConflictError)) throw error;
  }
}
