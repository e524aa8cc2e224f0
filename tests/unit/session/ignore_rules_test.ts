/** Git's patterns, where each character matters; whole files are compared with git itself elsewhere. */
import assert from "node:assert/strict";
import { isIgnored, readIgnoreRules } from "../../../src/session/history/rewind/ignore_rules.ts";
import { test } from "../../_harness.ts";

const ROWS: [line: string, path: string, ignored: boolean | null][] = [
  ["a?c", "abc", true],
  ["a?c", "dir/abc", true],
  ["/a?c", "a/c", null],
  ["x/a?c", "x/a/c", null],
  ["x/a[/b]c", "x/a/c", null],
  ["x/a*c", "x/a/c", null],
  ["x/**/c", "x/a/b/c", true],
  // By bytes, as git does it.
  ["?", "\u00e4", null],
  ["??", "\u00e4", true],
  ["\u00e4*", "\u00e4rger", true],
  ["!abc", "abc", false],
];

test("one line of an ignore file leaves out what git leaves out", () => {
  for (const [text, path, ignored] of ROWS) {
    const rules = readIgnoreRules({ base: "", text });
    assert.equal(isIgnored([rules], path, false), ignored, `${text} ${path}`);
  }
});

test("a line that is longer than any path is no pattern, whatever it holds", () => {
  for (const part of ["b", "\u00e9", "[:alpha:]", "**/", "*", "\\"]) {
    const rules = readIgnoreRules({ base: "", text: `*[${part.repeat(2 ** 18)}]x\nabc` });
    assert.equal(isIgnored([rules], "abc", false), true, part);
    assert.equal(isIgnored([rules], "a".repeat(200), false), null, part);
  }
});
