/**
 * The programs of `examples/migration`: those on other SDKs type-check against the real packages and run with them, and
 * those on this library print the same. Both of the codex kind have the same codex and the same model.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, Session, testing } from "../../mod.ts";
import { codexPath, install, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { machine } from "../package/_machine.ts";
import { shellWords } from "../tools/_pick.ts";
import { messagesModel } from "./_messages_model.ts";
import { CLAUDE, complaints, copyExample, npmProject } from "./_npm_project.ts";
import { commands, play } from "./example_runner.ts";

const { script } = testing;
const FOLDER = "examples/migration";

function codexAnswer({ text, toolOutputs }: testing.ModelRequest): testing.ModelTurn {
  if (text.startsWith("Look around")) {
    return toolOutputs.length === 0 ? [script.exec("ls")] : "One picture.";
  }
  return text.startsWith("Name the biggest risk") ? '{"risk":"no tests"}' : "A page.";
}

test("examples of other packages are written for the real ones", async () => {
  await using user = await machine();
  const project = await npmProject();
  // That of Vitest tests a program of this library.
  await copyExample(project, "examples/recipes/testing/release_notes.ts");
  const examples = await Promise.all(
    [
      `${FOLDER}/codex_sdk_before.ts`,
      `${FOLDER}/claude_before.ts`,
      "examples/recipes/testing/release_notes.spec.ts",
    ].map((path) => copyExample(project, path)),
  );
  // In one go: most of what they import is the same.
  assert.equal(await complaints(examples, project, user.env), "");
});

test("from @openai/codex-sdk: both programs print the same", async (t) => {
  await using user = await machine(codexAnswer);
  const cwd = user.workspace;
  await copyFile(join(ROOT, ".assets", "web_chat.png"), join(cwd, "picture.png"));
  const project = await npmProject();
  const before = await copyExample(project, `${FOLDER}/codex_sdk_before.ts`);
  const expected = /^exit code 0\nOne picture\.\nno tests\nA page\.$/m;

  await t.step("the one before, with the codex of the tests", async () => {
    const text = await readFile(before, "utf8");
    assert.match(text, /new Codex\(\)/);
    const override = `new Codex({ codexPathOverride: ${JSON.stringify(await codexPath())} })`;
    await writeFile(before, text.replace("new Codex()", override));
    const { code, output } = await play(["node", before], cwd, user.env);
    assert.equal(code, 0, output);
    assert.match(output, expected);
  });
  for (const command of commands(`${FOLDER}/codex_sdk_after.ts`)) {
    await t.step(`the one after: ${command.split(" ")[0]}`, async () => {
      const { code, output } = await play(shellWords(cwd, command), cwd, user.env);
      assert.equal(code, 0, output);
      assert.match(output, expected);
      const images = user.model.requests.filter((request) => /image/.test(JSON.stringify(request)));
      assert.ok(images.length > 0, "the picture came to the model");
    });
  }
});

test(
  "from the Claude Agent SDK: both programs print the same",
  async (t) => {
    await using user = await machine(({ toolOutputs }) => {
      switch (toolOutputs.length) {
        case 0:
          return [script.toolCall("lookup", { id: "T-1" })];
        case 1:
          return [script.exec("touch tidy.txt")];
        case 2:
          return [script.exec("curl http://127.0.0.1:1/")];
        default:
          return toolOutputs.map(({ text }) => text).join("\n");
      }
    });
    const cwd = user.workspace;
    /** The tool answered; somebody was asked about one of the two commands, and the hook had refused the other. */
    const prints = (output: string, refused: RegExp) => {
      assert.match(output, /T-1 is open/);
      assert.equal(output.match(/^(?:command|Bash)\?$/gm)?.length, 1, output);
      assert.equal(output.match(refused)?.length, 2, output);
      assert.equal(existsSync(join(cwd, "tidy.txt")), false);
    };
    await t.step("the one before, with the real package and its program", async () => {
      await using model = await messagesModel((results) => {
        switch (results.length) {
          case 0:
            return { tool: "mcp__tickets__lookup", input: { id: "T-1" } };
          case 1:
            return { tool: "Bash", input: { command: "touch tidy.txt", description: "Tidies" } };
          case 2:
            return {
              tool: "Bash",
              input: { command: "curl http://127.0.0.1:1/", description: "" },
            };
          default:
            return results.join("\n");
        }
      });
      const { name, version, beside } = CLAUDE;
      const before = await copyExample(
        await install("claude", name, version, beside),
        `${FOLDER}/claude_before.ts`,
      );
      const env = {
        ...user.env,
        ANTHROPIC_BASE_URL: model.url,
        ANTHROPIC_API_KEY: "sk-ant-only-a-test",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      };
      const { code, output } = await play(["node", before], cwd, env);
      assert.equal(code, 0, output);
      prints(output, /Not here\.|No network\./g);
    });
    // What the other runtimes import without its prefix.
    const [deno] = commands(`${FOLDER}/claude_after.ts`);
    const { code, output } = await play(shellWords(cwd, deno!), cwd, user.env);
    assert.equal(code, 0, output);
    prints(output, /rejected by user/g);
  },
);

test("the tables of the migration name what this library has", () => {
  const tables = readFileSync(join(ROOT, FOLDER, "README.md"), "utf8");
  const rows = [...tables.matchAll(/^\|.*\|(.*)\|$/gm)].map(([, here]) => here!)
    .filter((here) => here.includes("`"));
  assert.ok(rows.length > 30, `${rows.length} rows`);
  const profile = readFileSync(join(ROOT, "src", "session", "profile.ts"), "utf8") +
    readFileSync(join(ROOT, "src", "runtime", "config.ts"), "utf8");
  const missing = rows.flatMap((row) => [
    ...[...row.matchAll(/\bclient\.(\w+)/g)].filter(([, name]) => !(name! in Client.prototype)),
    ...[...row.matchAll(/\bsession\.(\w+)/g)].filter(([, name]) => !(name! in Session.prototype)),
    ...[...row.matchAll(/\b([a-z]\w+):/g)].filter(([, name]) =>
      !new RegExp(`\\b${name}\\??:`).test(profile)
    ),
  ]).map(([found]) => found);
  assert.deepEqual(missing, []);
});
