/** The guide's sentences on what an agent may do, each with the test that holds it: `tests/hostile/README.md`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../_module_graph.ts";
import { test } from "../_harness.ts";

const SECTIONS = ["## Why", "### Safe defaults", "## Approvals", "## Hooks", "## Permissions"];

const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** The sentences of a section; of a table, the first cells. */
function sentencesOf(readme: string, heading: string): string[] {
  const begin = readme.indexOf(`\n${heading}\n`);
  assert.notEqual(begin, -1, heading);
  const rest = readme.slice(begin + heading.length + 2);
  const end = rest.search(new RegExp(`\n#{1,${heading.indexOf(" ")}} `));
  const section = rest.slice(0, end).replace(/```[\s\S]*?```/g, "");
  return section.split(/\n\n+/).map((block) => block.trim()).flatMap((block) => {
    if (block === "" || block.startsWith("#")) return [];
    if (block.startsWith("|")) {
      return block.split("\n").slice(2).map((row) => row.split("|")[1]!.trim());
    }
    return block.split(/\n(?=- )/).flatMap((item) =>
      item.replace(/^- /, "").replace(/\s+/g, " ").trim().split(/(?<=\.)\s(?=[A-Z`*])/)
    );
  });
}

test("each sentence on what an agent may do is held by a test, or says that it promises nothing", () => {
  const rows = read("tests/hostile/README.md").split("\n")
    .filter((line) => line.startsWith("| ") && !/^\| (?:sentence|-)/.test(line))
    .map((line) => {
      const [, sentence, held] = /^\| (.*?) +\| (.*?) +\|$/.exec(line)!;
      return { sentence: sentence!, held: held! };
    });
  const sentences = SECTIONS.flatMap((heading) => sentencesOf(read(".github/guide.md"), heading));
  assert.ok(sentences.length > 60);
  const bare = sentences.filter((text) => !rows.some(({ sentence }) => text.startsWith(sentence)));
  assert.deepEqual(bare, [], "these have no row in tests/hostile/README.md");
  const stale = rows.filter(({ sentence }) => !sentences.some((text) => text.startsWith(sentence)));
  assert.deepEqual(stale, [], "these are not in the guide any more");
  for (const { sentence, held } of rows) {
    if (/^— \S/.test(held)) continue;
    const tests = [...held.matchAll(/`([\w/]+\.ts)` "([^"]*)"/g)];
    assert.ok(tests.length > 0, sentence);
    for (const [, file, name] of tests) {
      // A bench has one name for all that it measures.
      assert.ok(name !== "" || file!.startsWith("bench/"), sentence);
      const source = read(`tests/${file}`).replace(/\\"/g, "'").replace(/\s+/g, " ");
      assert.ok(source.includes(name!), `${file} has no test "${name}" (${sentence})`);
    }
  }
});
