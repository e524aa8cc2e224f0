/** Node's permission model, asked by a real Node. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { nodePath, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const SCRIPT = fileURLToPath(new URL("_permissions_node_script.ts", import.meta.url));

test(
  "under Node's permission model a session gets no more than the script",
  async (t) => {
    await using dir = await tempDir("node-");
    const node = await nodePath();
    const run = async (...flags: string[]) => {
      const { stdout, stderr } = await new Deno.Command(node, {
        args: ["--no-warnings", ...flags, SCRIPT, dir.path],
      }).output();
      assert(stdout.length > 0, new TextDecoder().decode(stderr));
      return JSON.parse(new TextDecoder().decode(stdout));
    };
    const source = `--allow-fs-read=${ROOT}`;
    await t.step("no model, no limits", async () => {
      const { policy, missing } = await run();
      assert.deepEqual([policy.enforcedBy, policy.readRoots, missing], ["none", "all", []]);
    });
    await t.step("nothing", async () => {
      const { policy, missing } = await run("--permission", source);
      assert.equal(policy.enforcedBy, "node");
      assert.deepEqual(missing, [`--allow-fs-write=${dir.path}`, `--allow-fs-read=${dir.path}`]);
      assert.deepEqual(policy.sandbox, { type: "readOnly", networkAccess: false });
    });
    await t.step("reading and writing the directory", async () => {
      const { policy, missing } = await run(
        ...["--permission", source],
        `--allow-fs-read=${dir.path}`,
        `--allow-fs-write=${dir.path}`,
      );
      assert.deepEqual(missing, []);
      assert.equal(policy.sandbox.type, "workspaceWrite");
      assert.deepEqual(policy.readRoots, [dir.path]);
    });
    await t.step("reading everything", async () => {
      const { policy } = await run("--permission", "--allow-fs-read=*");
      assert.equal(policy.readRoots, "all");
    });
  },
);
