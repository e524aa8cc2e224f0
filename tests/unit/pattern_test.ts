/** Regular expressions of schemas: the same answers as the runtime's own engine gives, in bounded time. */
import assert from "node:assert/strict";
import { Pattern } from "../../src/schema/pattern.ts";
import { test } from "../_harness.ts";

const free = () => {};

const EXPRESSIONS = [
  "",
  "a",
  "^a+$",
  "^(?:a|b)*c?$",
  "^a{2,3}$",
  "^a{2}b{1,}$",
  "a{0}b",
  "(?:){9}a",
  "^(?:a?){3}$",
  "(?:a*)*b",
  "(?:a+)+$",
  "a*?b+?c??",
  "|a",
  "^(?:|b)$",
  "\\bab\\b",
  "a\\Bb",
  "^.$",
  "^[^a\\]b-d]+$",
  "[\\]\\-]",
  "^(?=.*a)(?=.*b).{2,}$",
  "^(?!.*ab).*$",
  "(?<=ab)c",
  "(?<!b)c",
  "(?<=^|b)a",
  "^(?=(?!b)[ab]a)",
  "a(?=b(?<=ab)c)",
  "^(?<name>a)(?:b)(c)$",
  "^\\p{L}+$",
  "^\\u{1F995}$",
  "^\\uD83E\\uDD95$",
  "\\x61\\u0062\\t?",
  "\\/\\.",
  "^\\w+@\\w+\\.\\w{2,}$",
  "^(([a-z])+.)+[A-Z]([a-z])+$",
  "^\\d{4}-\\d{2}-\\d{2}$",
  "$^",
  "a$b|^",
];
const TEXTS = [
  "",
  "a",
  "b",
  "c",
  "aa",
  "ab",
  "ba",
  "abc",
  "cab",
  "aaab",
  "aabb",
  "abab",
  "ab ab",
  "aba",
  "bca",
  "]",
  "-",
  "\n",
  "🦕",
  "🦕🦕",
  "é",
  "ü1",
  "/.",
  "me@example.org",
  "2026-11-28",
  "aaA",
  "aXa",
];

test("Pattern matches what the runtime's own engine matches", () => {
  for (const source of EXPRESSIONS) {
    const pattern = Pattern.read(source);
    for (const text of TEXTS) {
      const expected = new RegExp(source, "u").test(text);
      assert.equal(pattern.test(text, free), expected, `${source} on ${JSON.stringify(text)}`);
    }
  }
});

test("Pattern matches random expressions as the runtime's own engine does", () => {
  let seed = 7;
  const pick = <T>(from: readonly T[]): T => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return from[seed % from.length]!;
  };
  const make = (depth: number): string => {
    const one = depth === 0
      ? pick(["a", "b", ".", "[ab]", "[^a]", "\\b", "\\B", "^", "$", "c"])
      : pick([
        () => `(?:${make(depth - 1)}|${make(depth - 1)})`,
        () => make(depth - 1) + make(depth - 1),
        () => `(${make(depth - 1)})${pick(["*", "+", "?", "{2}", "{1,2}", "{0,1}", "*?"])}`,
        () => `(?${pick(["=", "!", "<=", "<!"])}${make(depth - 1)})`,
        () => make(0),
      ])();
    return one;
  };
  for (let round = 0; round < 3000; round++) {
    const source = make(4);
    const text = Array.from({ length: round % 6 }, () => pick(["a", "b", "c", " "])).join("");
    const expected = new RegExp(source, "u").test(text);
    const found = Pattern.read(source).test(text, free);
    assert.equal(found, expected, `${source} on ${JSON.stringify(text)}`);
  }
});

test("Pattern does work that grows with the text only", () => {
  const text = "a".repeat(20_000);
  for (
    const source of ["^(a+)+$", "^(a|aa)+$", "(a|a?)+b", "a*a*a*b", "(?=(a+)+b)a", "(?<=(a*)*b)c"]
  ) {
    let steps = 0;
    const matches = Pattern.read(source).test(text + "!", (more) => void (steps += more));
    assert.equal(matches, false, source);
    assert.ok(steps < text.length * 40, `${source}: ${steps} steps`);
  }
});

test("Pattern refuses what can't be matched in bounded time, and what is no expression", () => {
  for (
    const source of ["(a)\\1", "(?<x>a)\\k<x>", "a{99999}", "(?:a{500}){500}", "(?=a{99999})b"]
  ) {
    assert.throws(() => Pattern.read(source), RangeError, source);
  }
  for (const source of ["(", "a{2,1}", "\\A", "(?P<x>a)", "(?i)a", "[b-a]"]) {
    assert.throws(() => Pattern.read(source), /no RegExp/, source);
  }
  assert.equal(Pattern.read("(?:(?:){999999999}){999999999}a").test("a", free), true);
  // Nested looks are read once, however often their group is repeated.
  assert.equal(Pattern.read("^(?:(?=(?:a{99}){9})a){9}").test("a".repeat(999), free), true);
});

test("Pattern takes a sign behind a backslash for that sign", () => {
  const fits = (source: string, text: string) => Pattern.read(source).test(text, free);
  assert.equal(fits("^\\d{3}\\-\\d{4}$", "555-1234"), true);
  assert.equal(fits("^\\d{3}\\-\\d{4}$", "5551234"), false);
  // All of them, alone and in a class; the text before it is a backslash that is one itself.
  for (const sign of " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") {
    for (const source of [`^\\${sign}$`, `^[\\${sign}\\p{L}]$`, `^\\\\?\\${sign}$`]) {
      assert.equal(fits(source, sign), true, source);
      assert.equal(fits(source, sign === "0" ? "1" : "0"), false, source);
    }
  }
});
