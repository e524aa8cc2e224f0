import assert from "node:assert/strict";
import { Deltas } from "../../../src/rpc/delta_reader.ts";
import { deltaBatch, deltaHead, deltaRun, runsOf, textsOf } from "../../_delta_run.ts";
import { test } from "../../_harness.ts";

const TEXTS = ["one", "", ' "two"\n', "é😀\u2028", "back\\slash", "\ud83d", "\ude00", "}}"];

test("a run gives the text and the line of each delta, and all text at once", () => {
  const run = deltaRun(TEXTS);
  assert.equal(run.length, TEXTS.length);
  assert.deepEqual(textsOf(run), TEXTS);
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
  assert.deepEqual(parts.flatMap(textsOf), TEXTS);
  assert.deepEqual(parts.map((part) => part.joined()), [
    TEXTS.slice(0, 3).join(""),
    TEXTS[3],
    TEXTS.slice(4).join(""),
  ]);
  assert.deepEqual(
    parts.flatMap((part) => textsOf(part).map((_, index) => part.line(index))),
    TEXTS.map((_, index) => run.line(index)),
  );
  // A newline between two lines belongs to neither.
  assert.equal(parts.reduce((sum, { size }) => sum + size, 0), run.size - 2);
});

test("what stands together is one run an item, in order", () => {
  const [a, b] = [deltaHead({ itemId: "A" }), deltaHead({ itemId: "B", threadId: "longer" })];
  const batch = deltaBatch([[a, "1"], [a, "2"], [b, "3"], [a, "4"], [b, "5\n"], [b, "6"]]);
  const runs = runsOf(batch);
  assert.deepEqual(runs.map((run) => [run.head(0).itemId, run.length]), [
    ["A", 2],
    ["B", 1],
    ["A", 1],
    ["B", 2],
  ]);
  assert.deepEqual(runs.map((run) => run.joined()), ["12", "3", "4", "5\n6"]);
  assert.deepEqual(runs.flatMap(textsOf), ["1", "2", "3", "4", "5\n", "6"]);
  assert.equal(JSON.parse(runs[3]!.line(1)).params.delta, "6");
  assert.equal(batch.runEnd(1), 2);
  assert.equal(batch.joined(1, 3), "23");
  assert.equal(batch.head(4), b);
  assert.equal(deltaRun(["x"]).runEnd(0), 1);
});

test("only the delta that stands directly below the last one is taken", () => {
  const head = deltaHead();
  const line = `${head.text}a"}}`;
  const block = [line, line, line].join("\n");
  const textEnd = (nth: number) => nth * (line.length + 1) + head.text.length + 1;
  const lineEnd = (nth: number) => nth * (line.length + 1) + line.length;
  const deltas = new Deltas(block, 0, [head], [textEnd(0), lineEnd(0)]);
  const second: [number, number, number] = [lineEnd(0) + 1, textEnd(1), lineEnd(1)];
  assert.equal(deltas.extend(head, `${block} `, ...second), false);
  assert.equal(deltas.extend(head, block, lineEnd(1) + 1, textEnd(2), lineEnd(2)), false);
  assert.equal(deltas.extend(head, block, ...second), true);
  assert.deepEqual(textsOf(deltas), ["a", "a"]);
});

/** A character for each byte. */
function bytesOf(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

test("texts of lines that were not decoded are decoded one from the other", () => {
  const head = deltaHead();
  const literals = [
    ...TEXTS.map((text) => bytesOf(JSON.stringify(text).slice(1, -1))),
    // Bytes that are no UTF-8: half of a character at the end of one text, and what looks like its rest in the next.
    "a\xe2\x82",
    "\xac b",
    "\xff",
  ];
  const expected = [...TEXTS, "a\ufffd", "\ufffd b", "\ufffd"];
  const make = (): Deltas => {
    let block = "";
    const ends: number[] = [];
    for (const literal of literals) {
      const textEnd = block.length + head.text.length + literal.length;
      block += `${head.text}${literal}"}}\n`;
      ends.push(textEnd, block.length - 1);
    }
    return new Deltas(block, 0, head, ends, true);
  };
  const { length } = literals;
  assert.deepEqual(textsOf(make()), expected);
  assert.equal(make().joined(), expected.join(""));
  for (const [index, text] of expected.entries()) {
    assert.equal(make().text(index), text);
    assert.equal(make().joined(index), expected.slice(index).join(""));
    assert.equal(make().joined(0, index), expected.slice(0, index).join(""));
    assert.equal(textsOf(make().part(index, length))[0], text);
    assert.equal(JSON.parse(make().line(index)).params.delta, text);
  }
});
