/** Where links lead, in a script that may not look everywhere. */
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

test("realPathOf() takes nothing for missing that it may not look at", async () => {
  await using dir = await tempDir("real-path-");
  const at = (path: string) => `${dir.path}/${path}`;
  await mkdir(at("outside"));
  await mkdir(at("w/sub"), { recursive: true });
  await symlink(at("outside"), at("w/hole"));
  const code = `import { realPathOf } from ${
    JSON.stringify(new URL("../../src/permissions/probe.ts", import.meta.url).href)
  };
    console.log(JSON.stringify(${
    JSON.stringify([at("w/sub"), at("w/hole"), at("w/hole/x"), at("w/sub/new")])
  }
      .map(realPathOf)));`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--no-prompt",
      `--allow-read=${at("w")}`,
      `--deny-read=${at("w/hole")}`,
      `data:application/typescript,${encodeURIComponent(code)}`,
    ],
    stderr: "inherit",
  }).output();
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), [
    at("w/sub"),
    null,
    null,
    at("w/sub/new"),
  ]);
});
