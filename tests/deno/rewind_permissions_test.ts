/** Checkpoints under few Deno permissions: what is missing is told at the door, and what is granted is enough. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { script } from "../../src/testing/mod.ts";
import { codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld } from "../real/_session_world.ts";

const SCRIPT = fileURLToPath(new URL("./_rewind_permissions_script.ts", import.meta.url));

test("checkpoints need reading and writing the workspace and their own place, and no more", () =>
  inWorld("0.169.0", async (world) => {
    const { cwd } = world;
    const bin = join(dirname(cwd), "bin");
    mkdirSync(bin);
    symlinkSync(await codexPath(world.version), join(bin, "codex"));
    const { env, configOverrides } = world.config();
    const store = join(env!.set!["CODEX_HOME"]!, "checkpoints");
    writeFileSync(join(cwd, "a.txt"), "a");
    symlinkSync("a.txt", join(cwd, "link"));
    const prompt = world.prompt([
      [script.exec("printf changed > a.txt; rm link; printf n > new.txt")],
      "Done.",
    ]);
    const run = async (...flags: string[]) => {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--no-check",
          "--allow-run=codex",
          ...flags,
          SCRIPT,
          JSON.stringify({ cwd, prompt, configOverrides }),
        ],
        cwd,
        env: { ...env!.set, PATH: `${bin}:/usr/bin:/bin`, NO_COLOR: "1", CODEX_PATH: "" },
        stdin: "null",
      }).output();
      const text = new TextDecoder().decode(stdout).trim();
      assert.notEqual(text, "", new TextDecoder().decode(stderr));
      return JSON.parse(text);
    };
    const { error } = await run("--allow-read", `--allow-write=${cwd}`);
    assert.match(error, new RegExp(`^PermissionDeniedError: .*--allow-write=${store}\\b`));
    assert.equal(world.model.requests.length, 0);

    const outcome = await run("--allow-read", `--allow-write=${cwd},${store}`);
    assert.deepEqual(outcome.files, [
      { path: "a.txt", change: "restore" },
      { path: "new.txt", change: "delete" },
    ]);
    assert.deepEqual(outcome.skipped.map(({ path }: { path: string }) => path), ["link"]);
    assert.match(outcome.skipped[0].why, /all of --allow-read and --allow-write/);
    assert.equal(readFileSync(join(cwd, "a.txt"), "utf8"), "a");
    assert.deepEqual(readdirSync(cwd), ["a.txt"]);
  }));
