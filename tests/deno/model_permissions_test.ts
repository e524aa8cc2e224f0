/** A scripted model that this script may not serve. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

test("ScriptedModel leaves no home where the script may not listen", async () => {
  await using directory = await tempDir("model-");
  const from = new URL("../../src/testing/mod.ts", import.meta.url);
  const script = join(directory.path, "start.ts");
  await Deno.writeTextFile(
    script,
    `import { ScriptedModel } from ${JSON.stringify(from)};
     await ScriptedModel.start().then(() => console.log("started"), ({ message }) => console.log(message));`,
  );
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-check", "--no-prompt"],
      ...["--allow-read", "--allow-write", "--allow-env", "--allow-sys", script],
    ],
    env: { XDG_CACHE_HOME: directory.path, DENO_NO_UPDATE_CHECK: "1" },
  }).output();
  const told = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  assert.match(told, /^A loopback server needs [^\n]*--allow-net=127\.0\.0\.1[^\n]*\n$/);
  assert.deepEqual(await readdir(join(directory.path, "codex-runtime-testing")), []);
});
