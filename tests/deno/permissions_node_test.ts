/** Node's permission model, asked by a real Node. */
import assert from "node:assert/strict";
import { mkdir, realpath, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, nodePath, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const SCRIPT = pathOf("_permissions_node_script.ts");

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

for (const version of CODEX_VERSIONS) {
  test(`under Node's permission model codex ${version} says which rules hold where the script may not read`, async () => {
    await using dir = await tempDir("node-");
    const [cwd, home] = [join(dir.path, "work"), join(dir.path, "home")];
    await Promise.all([mkdir(cwd), mkdir(join(home, "rules"), { recursive: true })]);
    const [node, codex] = await Promise.all([nodePath(), realpath(await codexPath(version))]);
    const model = await ScriptedModel.start(() => "Good day.");
    const config = JSON.stringify(model.clientConfig({ codexPath: codex, home }));
    const ask = async (...more: string[]) => {
      const reads = [ROOT, cwd, dirname(codex)].map((path) => `--allow-fs-read=${path}`);
      const args = ["--permission", ...reads, ...more];
      const { stdout } = await new Deno.Command(node, {
        args: ["--no-warnings", ...args, pathOf("_permissions_node_session.ts"), cwd, config],
      }).output();
      return new TextDecoder().decode(stdout);
    };
    try {
      assert.match(await ask(), /^permissionDenied: Starting .* --allow-child-process,/);
      assert.equal(await ask("--allow-child-process"), "Good day.\n");
      await writeFile(
        join(home, "rules", "default.rules"),
        'prefix_rule(pattern = ["ls"], decision = "allow")\n',
      );
      assert.match(await ask("--allow-child-process"), /^policy: .*default\.rules/);
    } finally {
      await model.close();
    }
  });
}
