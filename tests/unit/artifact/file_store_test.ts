import assert from "node:assert/strict";
import { FileArtifactStore } from "../../../src/artifact/store/file_store.ts";
import { EMPTY_REVISION } from "../../../src/artifact/edits.ts";
import { FileVersions } from "../../../src/artifact/store/file_versions.ts";
import { safeName, saveChange } from "../../../src/artifact/store/record.ts";
import { ArtifactConflictError } from "../../../src/errors/mod.ts";
import { fileSystem } from "../../../src/platform/fs.ts";
import type { FileSystem } from "../../../src/platform/mod.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

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

test("a save is told as what it came to, whatever the disk says of it afterwards", async () => {
  const lost = () => Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
  const real = fileSystem()!;
  const disks: Partial<FileSystem>[] = [
    { rename: (from, to) => real.rename(from, to).then(lost) },
    // What is synced before the version is there must be.
    { syncDirectory: (path) => /tmp-/.test(path) ? real.syncDirectory(path) : lost() },
  ];
  for (const unsure of disks) {
    await using directory = await tempDir("artifact-");
    const versions = new FileVersions(directory.path, real);
    const disk = new FileVersions(directory.path, { ...real, ...unsure });
    let revision = EMPTY_REVISION;
    for (const text of ["one", "two", "three"]) {
      const stored = await disk.commit("a", saveChange({ text, expectedRevision: revision }), {});
      assert.equal((await versions.load("a", {}))!.text, text);
      const late = versions.commit("a", saveChange({ text: "x", expectedRevision: revision }), {});
      await assert.rejects(late, ArtifactConflictError);
      revision = stored.revision;
    }
  }
});
