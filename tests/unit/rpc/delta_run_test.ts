import assert from "node:assert/strict";
import { Deltas } from "../../../src/rpc/delta_reader.ts";
import { deltaBatch, deltaHead, deltaRun } from "../../_delta_run.ts";
import { test } from "../../_harness.ts";

const TEXTS = ["one", "", ' "two"\n', "é😀\u2028", "back\\slash", "\ud83d", "\ude00", "}}"];

test("a run gives the text and the line of each delta, and all text at once", () => {
  const run = deltaRun(TEXTS);
  assert.equal(run.length, TEXTS.length);
  assert.deepEqual(run.texts(), TEXTS);
  assert.equal(run.joined(), TEXTS.join(""));
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
  assert.deepEqual(parts.map((part) => part.joined()), [
    TEXTS.slice(0, 3).join(""),
    TEXTS[3],
    TEXTS.slice(4).join(""),
  ]);
  assert.deepEqual(
    parts.flatMap((part) => part.texts().map((_, index) => part.line(index))),
    TEXTS.map((_, index) => run.line(index)),
  );
  // A newline between two lines belongs to neither.
  assert.equal(parts.reduce((sum, { size }) => sum + size, 0), run.size - 2);
});

test("what stands together is one run an item, in order", () => {
  const [a, b] = [deltaHead({ itemId: "A" }), deltaHead({ itemId: "B", threadId: "longer" })];
  const batch = deltaBatch([[a, "1"], [a, "2"], [b, "3"], [a, "4"], [b, "5\n"], [b, "6"]]);
  const runs: Deltas[] = [];
  for (let at = 0; at < batch.length; at += runs.at(-1)!.length) runs.push(batch.run(at));
  assert.deepEqual(runs.map(({ head, length }) => [head.itemId, length]), [
    ["A", 2],
    ["B", 1],
    ["A", 1],
    ["B", 2],
  ]);
  assert.deepEqual(runs.map((run) => run.joined()), ["12", "3", "4", "5\n6"]);
  assert.deepEqual(runs.flatMap((run) => run.texts()), ["1", "2", "3", "4", "5\n", "6"]);
  assert.equal(JSON.parse(runs[3]!.line(1)).params.delta, "6");
  assert.deepEqual(batch.run(1).texts(), ["2"]);
  assert.equal(batch.headOf(4), b);
  assert.equal(deltaRun(["x"]).run(0).length, 1);
});

test("only the delta that stands directly below the last one is taken", () => {
  const { head } = deltaRun(["x"]);
  const line = `${head.text}a"}}`;
  const block = [line, line, line].join("\n");
  const textEnd = (nth: number) => nth * (line.length + 1) + head.text.length + 1;
  const lineEnd = (nth: number) => nth * (line.length + 1) + line.length;
  const deltas = new Deltas(block, 0, [head], [textEnd(0), lineEnd(0)]);
  const second: [number, number, number] = [lineEnd(0) + 1, textEnd(1), lineEnd(1)];
  assert.equal(deltas.extend(head, `${block} `, ...second), false);
  assert.equal(deltas.extend(head, block, lineEnd(1) + 1, textEnd(2), lineEnd(2)), false);
  assert.equal(deltas.extend(head, block, ...second), true);
  assert.deepEqual(deltas.texts(), ["a", "a"]);
});
