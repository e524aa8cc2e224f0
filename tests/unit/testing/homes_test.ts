import assert from "node:assert/strict";
import { mkdir, readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { ScriptedModel } from "../../../src/testing/mod.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

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
  const before = process.env["XDG_CACHE_HOME"];
  process.env["XDG_CACHE_HOME"] = directory.path;
  try {
    await using model = await ScriptedModel.start(["hi"]);
    assert.ok(model.clientConfig().env !== undefined);
    const left = (await readdir(base)).filter((name) => names.includes(name));
    assert.deepEqual(left.sort(), [...names.slice(2)].sort());
  } finally {
    if (before === undefined) delete process.env["XDG_CACHE_HOME"];
    else process.env["XDG_CACHE_HOME"] = before;
  }
  assert.deepEqual((await readdir(base)).length, 3, "its own is gone with it");
});
