import assert from "node:assert/strict";
import { FileArtifactStore } from "../../../src/artifact/store/file_store.ts";
import { safeName } from "../../../src/artifact/store/record.ts";
import { test } from "../../_harness.ts";

test("FileArtifactStore has its root without a separator at the end, the root of a disk apart", () => {
  for (
    const [root, expected] of [
      ["artifacts", "artifacts"],
      ["/srv/artifacts/", "/srv/artifacts"],
      ["C:\\data\\", "C:\\data"],
      ["/", "/"],
    ] as const
  ) assert.equal(new FileArtifactStore(root).root, expected);
});

test("a document's directory has a name that people can read, and no other document's", async () => {
  const cases = [["My guide/1", "My_guide_1"], ["", "artifact"], ["ä".repeat(60), "_".repeat(40)]];
  for (const [id, readable] of cases) {
    const name = await safeName(id!);
    assert.match(name.slice(readable!.length), /^-[0-9a-f]{32}$/);
    assert.ok(name.startsWith(readable!), name);
    assert.notEqual(name, await safeName(`${id}x`));
  }
});
