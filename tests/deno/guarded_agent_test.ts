/** The example, run as its reader would run it: a child Deno with few flags, and codex on PATH. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import process from "node:process";
import { exec, say } from "../../src/testing/model/script.ts";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { codexLauncherPath, codexPath, type CodexVersion, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

interface Outcome {
  code: number;
  output: string;
  cwd: string;
  /** The files that the agent made. */
  made(name: string): string;
}

/** Runs the example in a directory of its own, with `codex` on PATH being the link's target. */
async function run(
  codex: string,
  flags: string[],
  check: (outcome: Outcome) => void | Promise<void>,
): Promise<void> {
  await using dir = await tempDir("guarded-");
  const cwd = join(dir.path, "project");
  const bin = join(dir.path, "bin");
  await Promise.all([mkdir(cwd), mkdir(bin)]);
  await symlink(codex, join(bin, "codex"));
  await using model = await ScriptedModel.start(({ toolOutputs }) =>
    toolOutputs.length === 0
      ? exec("echo hello > agent.txt; echo hello > ../outside.txt")
      : say("That is all I could do.")
  );
  const config = model.clientConfig();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    cwd,
    args: [
      ...["run", "--no-prompt", "--no-check", "--quiet", "--allow-run=codex", "--allow-read=."],
      ...flags,
      join(ROOT, "examples", "guarded_agent.ts"),
      // What is inherited as a whole needs no permission to be read.
      JSON.stringify({ ...config, env: { ...config.env, inherit: "all" } }),
    ],
    env: { PATH: [bin, process.env["PATH"]].join(delimiter), NO_COLOR: "1" },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  await check({
    code,
    output: decode(stdout) + decode(stderr),
    cwd,
    made: (name) => join(cwd, name),
  });
}

for (const version of ["0.169.0", "0.104.0"] satisfies CodexVersion[]) {
  test(
    `a script that may not write gets an agent that can't, and is told the flag, codex ${version}`,
    async () => {
      await run(await codexPath(version), [], ({ code, output, cwd, made }) => {
        assert.equal(code, 0, output);
        assert.match(output, new RegExp(`^Refused: .*Run it with: --allow-write=${cwd}`, "m"));
        assert.match(output, /sandbox readOnly/);
        assert.match(output, new RegExp(`Checked by deno; it may read ${cwd}\\.`));
        assert.match(output, /^That is all I could do\.$/m);
        for (const name of ["agent.txt", "../outside.txt"]) {
          assert.ok(!existsSync(made(name)), name);
        }
      });
    },
  );
}

test(
  "a script that may write here gets an agent that writes here and nowhere else",
  async () => {
    await run(await codexPath(), ["--allow-write=."], async ({ code, output, made }) => {
      assert.equal(code, 0, output);
      assert.doesNotMatch(output, /Refused/);
      assert.match(output, /sandbox workspaceWrite/);
      assert.equal(await readFile(made("agent.txt"), "utf8"), "hello\n");
      assert.ok(!existsSync(made("../outside.txt")));
    });
  },
);

test("it works with npm's launcher as codex, too", async () => {
  await run(await codexLauncherPath(), [], ({ code, output, made }) => {
    assert.equal(code, 0, output);
    assert.match(output, /^Refused: .*--allow-write=/m);
    assert.match(output, /^That is all I could do\.$/m);
    assert.ok(!existsSync(made("agent.txt")));
  });
});
