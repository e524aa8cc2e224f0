/** Ignore rules decide as git does: git is asked about the same paths under the same rules. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "npm:fast-check@4.10.2";
import "./_seed.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import {
  type IgnoreRules,
  isIgnored,
  matches,
  readIgnoreRules,
} from "../../src/session/history/rewind/ignore_rules.ts";

const FILES = [
  "a",
  "b.ts",
  "ab",
  "a b",
  "A.ts",
  "é",
  "[x]",
  "#a",
  "!b",
  "d/a",
  "d/b.ts",
  "d/ab",
  "d/e/a",
  "d/e/b.ts",
  "d/e/f/ab",
  "e/a",
  "e/d/a.ts",
  "e/d/-",
  "e/d/é.ts",
  "x/ab/d/a",
];
const paths = new Map<string, boolean>();
for (const file of FILES) {
  paths.set(file, false);
  for (let at = dirname(file); at !== "."; at = dirname(at)) paths.set(at, true);
}

/** Whether the path, or a directory above it, is left out. */
function ignored(sources: IgnoreRules[], path: string): boolean {
  const parts = path.split("/");
  return parts.some((_, at) => {
    const part = parts.slice(0, at + 1).join("/");
    return isIgnored(sources, part, paths.get(part)!) === true;
  });
}

const token = fc.constantFrom(
  ..."a b d e f x * ** *** ? / // . - é ! # [ab] [!a] [^d-f] [a-] []a] [[:alpha:]] [[:foo:]] [a"
    .split(" "),
  " ",
  "\\",
  "\\*",
  "\\[",
  "ts",
  ".ts",
  "**/",
  "/**",
);
const line = fc.array(token, { maxLength: 5 }).map((parts) => parts.join(""));
const file = fc.array(line, { maxLength: 5 }).map((lines) => lines.join("\n"));

test("ignore files mean what they mean to git", async () => {
  await using directory = await tempDir("ignore-");
  const cwd = directory.path;
  const env = { PATH: Deno.env.get("PATH")!, GIT_CONFIG_NOSYSTEM: "1", HOME: cwd };
  for (const path of FILES) {
    mkdirSync(dirname(join(cwd, path)), { recursive: true });
    writeFileSync(join(cwd, path), "");
  }
  spawnSync("git", ["init", "-q"], { cwd, env });
  const names = [...paths.keys()];
  fc.assert(
    fc.property(file, file, file, (top, d, exclude) => {
      writeFileSync(join(cwd, ".gitignore"), top);
      writeFileSync(join(cwd, "d/.gitignore"), d);
      writeFileSync(join(cwd, ".git/info/exclude"), exclude);
      const { stdout, status, stderr } = spawnSync(
        "git",
        ["check-ignore", "--no-index", "-z", "--stdin"],
        { cwd, env, input: names.map((name) => `./${name}\0`).join("") },
      );
      assert.ok(status === 0 || status === 1, `${stderr}`);
      const byGit = new Set(stdout.toString().split("\0").filter((name) => name !== ""));
      const sources = [
        readIgnoreRules({ base: "", text: exclude }),
        readIgnoreRules({ base: "", text: top }),
        readIgnoreRules({ base: "d/", text: d }),
      ];
      for (const name of names) {
        assert.equal(ignored(sources, name), byGit.has(`./${name}`), name);
      }
    }),
    { numRuns: Number(Deno.env.get("FC_RUNS") ?? 120) },
  );
});

test("no pattern takes long", () => {
  const began = performance.now();
  assert.equal(matches("*a".repeat(200) + "b", "a".repeat(2_000), true), false);
  assert.equal(matches("**/a/".repeat(100) + "b", "a/".repeat(1_000) + "c", true), false);
  assert.ok(performance.now() - began < 10_000);
});
