import assert from "node:assert/strict";
import { DeltaRun } from "../../../src/rpc/delta_reader.ts";
import { deltaRun } from "../../_delta_run.ts";
import { test } from "../../_harness.ts";

const TEXTS = ["one", "", ' "two"\n', "é😀\u2028", "back\\slash", "\ud83d", "\ude00", "}}"];

test("a run gives the text and the line of each delta, and all text at once", () => {
  const run = deltaRun(TEXTS);
  assert.equal(run.length, TEXTS.length);
  assert.deepEqual(run.texts(), TEXTS);
  assert.equal(run.joined(), TEXTS.join(""));
  assert.ok(run.whole);
  for (const [index, text] of TEXTS.entries()) {
    assert.equal(run.text(index), text);
    assert.equal(JSON.parse(run.line(index)).params.delta, text);
  }
});

test("parts of a run are runs, and add up to it", () => {
  const run = deltaRun(TEXTS);
  const parts = [run.part(0, 3), run.part(3, 4), run.part(4, 99)];
  assert.deepEqual(parts.map(({ length }) => length), [3, 1, 4]);
  assert.deepEqual(parts.flatMap((part) => part.texts()), TEXTS);
  assert.deepEqual(
    parts.flatMap((part) => part.texts().map((_, index) => part.line(index))),
    TEXTS.map((_, index) => run.line(index)),
  );
  // A newline between two lines belongs to neither.
  assert.equal(parts.reduce((sum, { size }) => sum + size, 0), run.size - 2);
});

test("a run takes only the delta that stands directly below its last one", () => {
  const { head } = deltaRun(["x"]);
  const line = `${head.text}a"}}`;
  const block = [line, line, line].join("\n");
  const textEnd = (nth: number) => nth * (line.length + 1) + head.text.length + 1;
  const lineEnd = (nth: number) => nth * (line.length + 1) + line.length;
  const run = new DeltaRun(head, block, 0, [textEnd(0), lineEnd(0)]);
  const second: [number, number, number] = [lineEnd(0) + 1, textEnd(1), lineEnd(1)];
  assert.equal(run.extend({ ...head }, block, ...second), false);
  assert.equal(run.extend(head, `${block} `, ...second), false);
  assert.equal(run.extend(head, block, lineEnd(1) + 1, textEnd(2), lineEnd(2)), false);
  assert.equal(run.extend(head, block, ...second), true);
  assert.deepEqual(run.texts(), ["a", "a"]);
});

test("a run with a damaged text says so, and loses none of it", () => {
  const { head } = deltaRun(["x"]);
  const block = `${head.text}ok"}}\n${head.text}\\q"}}`;
  const first = head.text.length + 2;
  const ends = [first, first + 3, first + 4 + head.text.length + 2, block.length];
  const run = new DeltaRun(head, block, 0, ends);
  assert.equal(run.whole, false);
  assert.deepEqual(run.texts(), ["ok", "\\q"]);
  assert.equal(run.joined(), "ok\\q");
});
