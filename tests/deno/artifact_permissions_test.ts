import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const SCRIPT = fileURLToPath(new URL("./artifact_permissions_script.ts", import.meta.url));

async function run(root: string, saves: number, flags: string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...flags, SCRIPT, root, String(saves)],
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.notEqual(text, "", new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

async function withRoot(body: (root: string) => Promise<void>): Promise<void> {
  const dir = await tempDir("artifact-");
  try {
    await body(join(dir.path, "deep", "store"));
  } finally {
    await dir[Symbol.asyncDispose]();
  }
}

test("FileArtifactStore needs read and write permission for its root and nothing else", () =>
  withRoot(async (root) => {
    const flags = [`--allow-read=${root}`, `--allow-write=${root}`];
    assert.deepEqual(await run(root, 150, flags), { text: "version 149" });
    const [artifact] = await readdir(root);
    assert.deepEqual((await readdir(join(root, artifact!))).sort(), ["c1", "c2", "c3"]);
    assert.deepEqual(await run(root, 0, [`--allow-read=${root}`]), { text: "version 149" });
  }));

test("FileArtifactStore names the flags that are missing", () =>
  withRoot(async (root) => {
    for (const flags of [[], [`--allow-read=${root}`], [`--allow-write=${root}`]]) {
      const answer = await run(root, 1, flags);
      assert.equal(answer["code"], "permissionDenied");
      assert.deepEqual(answer["data"], {
        missing: [`--allow-read=${root}`, `--allow-write=${root}`],
      });
    }
  }));
