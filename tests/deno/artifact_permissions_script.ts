/** Uses a file store with the permissions that it was given, and says as JSON how that went. */
import { FileArtifactStore } from "../../src/artifact/store/file_store.ts";
import { EMPTY_REVISION } from "../../src/artifact/edits.ts";
import { CodexError } from "../../src/errors/mod.ts";

const store = new FileArtifactStore(Deno.args[0]!);
try {
  let revision = EMPTY_REVISION;
  for (let i = 0; i < Number(Deno.args[1]); i++) {
    revision =
      (await store.save("a/b", { text: `version ${i}`, expectedRevision: revision })).revision;
  }
  console.log(JSON.stringify({ text: (await store.load("a/b"))?.text ?? null }));
} catch (error) {
  const known = error instanceof CodexError ? { code: error.code, data: error.data ?? null } : {};
  console.log(JSON.stringify({ ...known, message: String(error) }));
}
