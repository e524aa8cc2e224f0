/** The JSON in a model's answer. */
import assert from "node:assert/strict";
import { parseJson } from "../../../src/session/output/parse_json.ts";
import { test } from "../../_harness.ts";

const block = (info: string, body: string, fence = "```") => `${fence}${info}\n${body}\n${fence}`;

test("parseJson() reads an answer that is JSON, and any fence around it", () => {
  const rows: [string, string, unknown][] = [
    ["plain", '{"a":1}', { a: 1 }],
    ["a value", "null", null],
    ["byte order mark", '\uFEFF{"a":1}', { a: 1 }],
    ["json", block("json", '{"a":1}'), { a: 1 }],
    ["JSON", block("JSON", '{"a":1}'), { a: 1 }],
    ["jsonc", block("jsonc", '{"a":1}'), { a: 1 }],
    ["comments", block("jsonc", '// a\n{"a":1, /* b\n */ "c":"//,]" // d\n}'), { a: 1, c: "//,]" }],
    ["trailing commas", block("json5", '{"a":[1,2,], // x\n}'), { a: [1, 2] }],
    ["comments in strings only", block("json", '{"a":"/* x */,}"}'), { a: "/* x */,}" }],
    ["an escaped quote", block("jsonc", '{"a":"\\"//", /**/}'), { a: '"//' }],
    ["no name", block("", "[1]"), [1]],
    ["an attribute", block('json title="x"', "[1]"), [1]],
    ["Windows lines", '```json\r\n{"a":1}\r\n```\r\n', { a: 1 }],
    ["prose around", `Here:\n\n${block("json", '{"a":1}')}\n\nThat is all.`, { a: 1 }],
    ["indented in a list", '- so:\n  ```json\n  {"a":1}\n  ```', { a: 1 }],
    ["tildes", block("json", '{"a":1}', "~~~"), { a: 1 }],
    ["four backticks", block("json", '{"a":1}', "````"), { a: 1 }],
    ["a block in a block", block("markdown", block("json", '{"a":1}'), "````"), { a: 1 }],
    ["fences in a string", block("json", '{"a":"```\\n```"}', "````"), { a: "```\n```" }],
    ["a tilde block around backticks", block("", block("json", "[1]"), "~~~"), [1]],
    ["on one line", 'So: \n```json {"a":1} ```', { a: 1 }],
    ["not closed", '```json\n{"a":1}', { a: 1 }],
    ["the last of several", `${block("json", '{"a":1}')}\nbetter:\n${block("json", '{"a":2}')}`, {
      a: 2,
    }],
    ["a byte order mark in a block", block("json", '\uFEFF{"a":1}'), { a: 1 }],
    ["blanks that JSON does not know", '\u00a0{"a":1}\u00a0', { a: 1 }],
    ["after words, without a fence", 'Here it is:\n\n{\n  "a": 1\n}', { a: 1 }],
    ["before words, without a fence", "[1]\nThat is all.", [1]],
    ["the last that is JSON", `${block("json", '{"a":1}')}\n${block("", "ls -l")}`, { a: 1 }],
  ];
  for (const [name, text, expected] of rows) assert.deepEqual(parseJson(text), expected, name);
});

test("parseJson() finds nothing where there is none", () => {
  for (
    const text of [
      "",
      "  ",
      "no",
      "```json\n```",
      block("ts", "42"),
      block("json", "{a:1}"),
      block("json", "{ // a\n"),
      block("jsonc", '{"a": /* 1 }'),
      "`{}`",
      "The answer is {}.",
      '{"a":1}\nor rather\n{"a":2}',
    ]
  ) assert.equal(parseJson(text), undefined, JSON.stringify(text));
});

test("parseJson() takes a time that grows with the text only", () => {
  const started = performance.now();
  parseJson("```json\n".repeat(20_000));
  parseJson("~".repeat(200_000));
  parseJson(block("jsonc", "/*".repeat(100_000)));
  parseJson(block("jsonc", '"\\'.repeat(100_000)));
  // Cut within an escape: each quote before it begins a string that has no end.
  parseJson(`\`\`\`json\n${'\\"'.repeat(100_000)}\\`);
  parseJson(block("jsonc", `[${", ".repeat(100_000)}`));
  parseJson(`\`\`\`json ${" ".repeat(100_000)}x`);
  assert.ok(performance.now() - started < 5_000);
});

test("parseJson() never throws for a text that is too long for an expression", () => {
  const { replace } = String.prototype;
  String.prototype.replace = () => {
    throw new RangeError("Maximum call stack size exceeded");
  };
  try {
    assert.deepEqual(parseJson(`so:\n${block("json", '{"a":1}')}`), { a: 1 });
    assert.equal(parseJson(block("json", '{"a":1,}')), undefined);
  } finally {
    String.prototype.replace = replace;
  }
});
