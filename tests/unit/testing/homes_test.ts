import assert from "node:assert/strict";
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { SpawnError } from "../../../src/errors/mod.ts";
import { ScriptedModel } from "../../../src/testing/mod.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

/** Runs with another place for the user's cache. */
async function withCache(path: string, run: () => Promise<void>): Promise<void> {
  const before = process.env["XDG_CACHE_HOME"];
  process.env["XDG_CACHE_HOME"] = path;
  try {
    await run();
  } finally {
    if (before === undefined) delete process.env["XDG_CACHE_HOME"];
    else process.env["XDG_CACHE_HOME"] = before;
  }
}

test("a model removes what others left a day ago, and nothing that may be in use", async () => {
  await using directory = await tempDir();
  const base = join(directory.path, "codex-runtime-testing");
  const old = new Date(Date.now() - 25 * 3_600_000);
  // Of a process that has ended (no system counts so far), of one without a number, of this one, a fresh one, another thing.
  const names = [
    "model-999999999-a",
    "model-b",
    `model-${process.pid}-c`,
    "model-999999999-d",
    "e",
  ];
  for (const name of names) await mkdir(join(base, name, "codex"), { recursive: true });
  for (const name of names) if (!name.endsWith("d")) await utimes(join(base, name), old, old);
  await withCache(directory.path, async () => {
    await using model = await ScriptedModel.start(["hi"]);
    assert.ok(model.clientConfig().env !== undefined);
    const left = (await readdir(base)).filter((name) => names.includes(name));
    assert.deepEqual(left.sort(), [...names.slice(2)].sort());
  });
  assert.deepEqual((await readdir(base)).length, 3, "its own is gone with it");
});

test("a model whose codex can have no home says which, and how to name another place", async () => {
  await using directory = await tempDir();
  const file = join(directory.path, "file");
  await writeFile(file, "");
  await withCache(file, () =>
    assert.rejects(ScriptedModel.start(["hi"]), (error: SpawnError) => {
      assert.ok(error instanceof SpawnError, `${error}`);
      assert.equal(error.data?.["reason"], "home");
      assert.match(error.message, /codex-runtime-testing.*XDG_CACHE_HOME/);
      return true;
    }));
});
