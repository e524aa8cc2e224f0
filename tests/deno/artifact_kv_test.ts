import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "../_harness.ts";

test(
  "KvArtifactStore and KvThreadStore keep their contracts on the real Deno KV",
  async () => {
    const suite = fileURLToPath(new URL("./artifact_kv_suite.ts", import.meta.url));
    // Deno.openKv exists only under its flag, which this process was not started with.
    // Types are the business of `deno task check`.
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", "--unstable-kv", suite],
      env: { NO_COLOR: "1" },
      stdin: "null",
    }).output();
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.ok(success, output);
    assert.match(output, /^ok \| [1-9][0-9]* passed \| 0 failed/m);
  },
);
