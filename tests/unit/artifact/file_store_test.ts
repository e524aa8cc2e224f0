import assert from "node:assert/strict";
import { FileArtifactStore } from "../../../src/artifact/store/file_store.ts";
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
