import assert from "node:assert/strict";
import {
  applyEdits,
  type ArtifactEdit,
  checkEdits,
  countLines,
} from "../../../src/artifact/edits.ts";
import { CodexError } from "../../../src/errors/mod.ts";
import { test } from "../../_harness.ts";

function edit(startLine: number, endLine: number, replacement: string): ArtifactEdit {
  return { startLine, endLine, replacement };
}

test("countLines() counts lines, whether or not the last one has a newline", () => {
  const cases: [string, number][] = [
    ["", 0],
    ["a", 1],
    ["a\n", 1],
    ["a\nb", 2],
    ["a\r\nb\r\n", 2],
    [
      "\n",
      1,
    ],
    ["\n\n", 2],
    ["a\rb", 1],
    ["\uFEFF", 0],
    ["\uFEFF\n", 1],
    ["\uFEFFa", 1],
  ];
  for (const [text, lines] of cases) assert.equal(countLines(text), lines, JSON.stringify(text));
});

const APPLIED: [string, string, ArtifactEdit[], string][] = [
  ["no edits", "a\nb", [], "a\nb"],
  ["one line is replaced", "a\nb\nc\n", [edit(2, 3, "B\n")], "a\nB\nc\n"],
  ["the replacement needs no newline", "a\nb\nc\n", [edit(2, 3, "B")], "a\nB\nc\n"],
  ["one line becomes two", "a\nb\n", [edit(1, 2, "x\ny")], "x\ny\nb\n"],
  ["two lines become one", "a\nb\nc\n", [edit(1, 3, "x")], "x\nc\n"],
  ["equal numbers insert before the line", "a\nb\n", [edit(2, 2, "x\n")], "a\nx\nb\n"],
  ["insert at the top", "a\n", [edit(1, 1, "x\n")], "x\na\n"],
  ["an empty replacement deletes", "a\nb\nc\n", [edit(2, 3, "")], "a\nc\n"],
  ["everything can be deleted", "a\nb", [edit(1, 3, "")], ""],
  ["a newline alone is one blank line", "a\nb\n", [edit(2, 2, "\n")], "a\n\nb\n"],
  ["blank lines at the end of a replacement stay", "a\n", [edit(2, 2, "b\n\n")], "a\nb\n\n"],
  ["appending ends with a newline where the text did", "a\n", [edit(2, 2, "b")], "a\nb\n"],
  ["appending never glues to an unfinished line", "a", [edit(2, 2, "b")], "a\nb"],
  ["a missing last newline stays missing", "a\nb", [edit(2, 3, "c\n")], "a\nc"],
  ["… also when the last line goes", "a\nb", [edit(2, 3, "")], "a"],
  ["… and when only the first line changes", "a\nb", [edit(1, 2, "x\n")], "x\nb"],
  ["CRLF stays CRLF", "a\r\nb\r\n", [edit(2, 3, "x\ny\n")], "a\r\nx\r\ny\r\n"],
  ["CRLF is not doubled", "a\r\nb\r\n", [edit(2, 3, "x\r\n")], "a\r\nx\r\n"],
  ["LF wins over CRLF in a replacement", "a\nb\n", [edit(2, 3, "x\r\ny")], "a\nx\ny\n"],
  ["CRLF without a last newline", "a\r\nb", [edit(3, 3, "c\n")], "a\r\nb\r\nc"],
  [
    "untouched lines of a mixed text keep theirs",
    "a\r\nb\nc\r\n",
    [edit(3, 4, "x")],
    "a\r\nb\nx\r\n",
  ],
  ["… the last one too", "a\r\na\r\nb\n", [edit(1, 2, "x")], "x\r\na\r\nb\n"],
  ["a lone CR is no line break", "a\rb\nc\n", [edit(2, 3, "x")], "a\rb\nx\n"],
  ["an empty text takes the replacement as it is", "", [edit(1, 1, "a\nb")], "a\nb"],
  ["… with its newline", "", [edit(1, 1, "a\nb\n")], "a\nb\n"],
  ["edits refer to the lines of the text as given", "1\n2\n3\n4\n5\n", [
    edit(1, 2, "one\nuno\n"),
    edit(3, 3, "new\n"),
    edit(4, 6, "end\n"),
  ], "one\nuno\n2\nnew\n3\nend\n"],
  [
    "inserts at one place keep their order",
    "a\nb\n",
    [edit(2, 2, "x"), edit(2, 2, "y")],
    "a\nx\ny\nb\n",
  ],
  ["an insert may precede a replacement of the same line", "a\nb\n", [
    edit(2, 2, "x"),
    edit(2, 3, "y"),
  ], "a\nx\ny\n"],
  [
    "an insert may follow a replacement directly",
    "a\nb\n",
    [edit(1, 2, "x"), edit(2, 2, "y")],
    "x\ny\nb\n",
  ],
];
for (const [name, before, edits, after] of APPLIED) {
  test(`applyEdits(): ${name}`, () => {
    assert.equal(applyEdits(before, edits), after);
  });
}

const REFUSED: [string, ArtifactEdit[], string][] = [
  ["line 0", [edit(0, 1, "x")], "$.edits[0].startLine"],
  ["a start after the end of the text", [edit(5, 5, "x")], "$.edits[0].startLine"],
  ["an end after the end of the text", [edit(3, 5, "x")], "$.edits[0].endLine"],
  ["an end before the start", [edit(3, 2, "x")], "$.edits[0].endLine"],
  ["half a line", [edit(1.5, 2, "x")], "$.edits[0].startLine"],
  ["no number", [edit(NaN, 2, "x")], "$.edits[0].startLine"],
  ["unsorted edits", [edit(2, 3, "x"), edit(1, 2, "y")], "$.edits[1].startLine"],
  ["overlapping edits", [edit(1, 3, "x"), edit(2, 4, "y")], "$.edits[1].startLine"],
  ["an insert inside a replaced range", [edit(1, 3, "x"), edit(2, 2, "y")], "$.edits[1].startLine"],
  [
    "an insert after the replacement of its line",
    [edit(2, 3, "x"), edit(2, 2, "y")],
    "$.edits[1].startLine",
  ],
];
for (const [name, edits, path] of REFUSED) {
  test(`applyEdits() refuses ${name}`, () => {
    assert.deepEqual(checkEdits(edits, 3).map((issue) => issue.path), [path]);
    assert.throws(
      () => applyEdits("a\nb\nc\n", edits),
      (error) =>
        error instanceof CodexError && error.code === "artifactEdit" &&
        error.message.includes(path),
    );
  });
}

test("applyEdits() takes 100,000 lines and as many edits without trouble", () => {
  const lines = Array.from({ length: 100_000 }, (_, i) => `line ${i}`);
  const edits = lines.map((line, i) => edit(i + 1, i + 2, line.toUpperCase()));
  assert.equal(applyEdits(lines.join("\n"), edits), lines.join("\n").toUpperCase());
});

test("applyEdits() keeps the byte order mark in front, whatever happens to the first line", () => {
  const text = "\uFEFFone\ntwo\n";
  const edit = { startLine: 1, endLine: 2, replacement: "ONE\n" };
  assert.equal(applyEdits(text, [edit]), "\uFEFFONE\ntwo\n");
  assert.equal(applyEdits(text, [{ ...edit, replacement: "\uFEFFONE\n" }]), "\uFEFFONE\ntwo\n");
  assert.equal(applyEdits("\uFEFF", [{ startLine: 1, endLine: 1, replacement: "a" }]), "\uFEFFa");
});

test("applyEdits() takes a lone carriage return at a replacement's end for a line end", () => {
  const edit = { startLine: 1, endLine: 2, replacement: "ONE\r" };
  assert.equal(applyEdits("one\ntwo\n", [edit]), "ONE\ntwo\n");
  assert.equal(applyEdits("one\r\ntwo\r\n", [edit]), "ONE\r\ntwo\r\n");
});
