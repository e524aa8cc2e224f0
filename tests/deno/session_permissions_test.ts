import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, type World } from "../real/_session_world.ts";

const SCRIPT = fileURLToPath(new URL("./_session_permissions_script.ts", import.meta.url));

interface Outcome {
  assistantText?: string;
  items?: string[];
  error?: string;
}

/** Runs the script under these flags, with codex on PATH; it must not ask for more. */
async function run(world: World, flags: string[], prompt: string): Promise<Outcome> {
  const bin = join(dirname(world.cwd), "bin");
  await mkdir(bin, { recursive: true });
  await symlink(await codexPath(world.version), join(bin, "codex")).catch(() => {});
  const { env, configOverrides } = world.config();
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      ...flags,
      SCRIPT,
      JSON.stringify({ cwd: world.cwd, prompt, configOverrides }),
    ],
    cwd: world.cwd,
    env: { ...env!.set, PATH: `${bin}:/usr/bin:/bin`, NO_COLOR: "1", CODEX_PATH: "" },
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  assert.notEqual(text, "", new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

for (const version of CODEX_VERSIONS) {
  test(`quickRun() works with --allow-run=codex and --allow-read=<cwd> alone [${version}]`, () =>
    inWorld(version, async (world) => {
      const flags = ["--allow-run=codex", `--allow-read=${world.cwd}`];
      const prompt = world.prompt([[script.exec("pwd")], "Under control."]);
      const outcome = await run(world, flags, prompt);
      assert.deepEqual(outcome, {
        assistantText: "Under control.",
        items: ["userMessage", "commandExecution", "agentMessage"],
      });
      assert.deepEqual(world.running(), []);
    }));
}

test("quickRun() without a permission says which flag is missing, and starts nothing", () =>
  inWorld("0.169.0", async (world) => {
    const { error } = await run(world, [`--allow-read=${world.cwd}`], "x");
    assert.match(error!, /--allow-run=codex/);
    assert.equal(world.model.requests.length, 0);
  }));
