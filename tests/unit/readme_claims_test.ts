/** The README's length, its links, and the tests behind its promises. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { CLAIMS } from "../readme_claims.ts";

const MOST_WORDS = 3_000;
const PROMISE =
  /\b(?:never|always|only|every|all|each|nobody|nothing|no|none|any|exactly|without)\b/i;

const readme = readFileSync(join(ROOT, "README.md"), "utf8");

/** The sentences of a Markdown text, without its code, tables and headings. */
function sentences(markdown: string): string[] {
  const prose = markdown.replace(/^```[^]*?^```/gm, "\n").replace(/^(?:\||#+ ).*$/gm, "\n");
  return prose.split(/\n\s*\n|\n(?=- )/)
    .map((part) => part.replace(/\s+/g, " ").trim())
    .flatMap((part) => part.split(/(?<=[.!?])\s+(?=[A-Z`*[])/));
}

test("the README has at most 3,000 words", () => {
  const words = readme.split(/\s+/).filter((word) => word !== "").length;
  assert.ok(words <= MOST_WORDS, `${words} words`);
});

test("each sentence of the README that promises is in the table of claims, once", () => {
  const promises = sentences(readme.replace(/^## What this does not guard$[^]*?(?=^## )/m, ""))
    .filter((sentence) => PROMISE.test(sentence));
  assert.ok(promises.length > 20, `${promises.length} promises`);
  const claimed = (sentence: string) => CLAIMS.filter(([words]) => sentence.includes(words));
  assert.deepEqual(promises.filter((sentence) => claimed(sentence).length !== 1), []);
  const idle = CLAIMS.map(([words]) => words)
    .filter((words) => promises.filter((sentence) => sentence.includes(words)).length !== 1);
  assert.deepEqual(idle, [], "claims that no sentence makes");
});

test("sentences() takes a text apart, without its code", () => {
  const text =
    "# Only\n\nIt never\nlies. All e.g. ends.\n\n```ts\n// always\n```\n\n- each `a`\n- one. `b` is.";
  assert.deepEqual(sentences(text).filter((sentence) => sentence !== ""), [
    "It never lies.",
    "All e.g. ends.",
    "- each `a`",
    "- one.",
    "`b` is.",
  ]);
});

test("the tests that hold the README's claims are there", () => {
  const lost = CLAIMS.flatMap(([, ...held]) => held).filter(([file, name]) => {
    const path = join(ROOT, "tests", file);
    if (!existsSync(path)) return true;
    const text = readFileSync(path, "utf8");
    return !['"', "`"].some((quote) => text.includes(`${quote}${name}${quote}`));
  });
  assert.deepEqual(lost.map(([file, name]) => `${file}: ${name}`), []);
});

test("tests/README.md says what each task does, and of no other", () => {
  const table = readFileSync(join(ROOT, "tests", "README.md"), "utf8");
  const told = [...table.matchAll(/^\| .*?`deno task ([\w:-]+)[^`]*`/gm)].map(([, name]) => name!);
  const { tasks } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  assert.deepEqual(told.sort(), Object.keys(tasks).sort());
});

for (const path of ["README.md", ".github/guide.md", "examples/migration/README.md"]) {
  test(`the links of ${path} lead somewhere`, () => assert.deepEqual(lostLinks(path), []));
}

/** Links of a Markdown file that lead nowhere in this repository. */
function lostLinks(path: string, text = readFileSync(join(ROOT, path), "utf8")): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
    .filter((link) => !/^https?:/.test(link));
  return links.filter((link) => {
    const [target, anchor] = link.split("#");
    const file = target === "" ? join(ROOT, path) : join(ROOT, dirname(path), target!);
    if (!existsSync(file)) return true;
    if (anchor === undefined) return false;
    const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)]
      .map(([, text]) => text!.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-"));
    return !headings.includes(anchor);
  });
}

test("a link that leads nowhere would be found", () => {
  const text =
    "[a](README.md) [b](nowhere.md) [c](README.md#no-such-part) [d](#install) [e](https://x.y)";
  assert.deepEqual(lostLinks("README.md", text), ["nowhere.md", "README.md#no-such-part"]);
});
