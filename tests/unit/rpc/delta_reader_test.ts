import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import { DeltaReader, unescaped } from "../../../src/rpc/delta_reader.ts";
import { test } from "../../_harness.ts";
import { DIALECTS, transcript } from "../../_transcripts.ts";

const METHOD = "item/agentMessage/delta";

function params(delta: string, ids: Partial<Record<string, string>> = {}): JsonObject {
  return { threadId: "T", turnId: "U", itemId: "I", ...ids, delta };
}

function line(delta: string, ids?: Partial<Record<string, string>>, tail = ""): string {
  return `{"method":"${METHOD}","params":${JSON.stringify(params(delta, ids))}${tail}}`;
}

/** What the reader makes of a line: its text, or `null` when the line must be parsed. */
function read(reader: DeltaReader, text: string): string | null {
  return cut(reader, text, 0, text.length);
}

function cut(reader: DeltaReader, block: string, start: number, end: number): string | null {
  const textEnd = reader.read(block, start, end);
  return textEnd < 0 ? null : unescaped(block.slice(start + reader.head.text.length, textEnd));
}

function taught(...ids: Partial<Record<string, string>>[]): DeltaReader {
  const reader = new DeltaReader();
  for (const each of ids.length === 0 ? [{}] : ids) {
    reader.learn(line("first", each), METHOD, params("first", each));
  }
  return reader;
}

test("a delta of an unknown item is left to the parser", () => {
  assert.equal(read(new DeltaReader(), line("x")), null);
  assert.equal(read(new DeltaReader(), ""), null);
  assert.equal(read(taught(), line("x", { itemId: "J" })), null);
  assert.equal(read(taught(), line("x", { threadId: "X" })), null);
});

test("the next deltas of a known item give exactly their text", () => {
  const reader = taught();
  for (
    const text of [
      "",
      " ",
      "plain",
      "é€😀\u2028",
      'a "quoted" word',
      'ends with quote"',
      '"}',
      '"}}',
      '","emittedAtMs":1}',
      '\\"}}',
      "back\\slash",
      "\\",
      "new\nline\ttab\u0000",
      '{"method":"x","params":{"delta":"y"}}',
      "\ud83d",
    ]
  ) {
    for (const tail of ["", ',"emittedAtMs":1795358293123']) {
      const result = read(reader, line(text, {}, tail));
      // Leaving a line to the parser is always right; a wrong text never is.
      if (result !== null) assert.equal(result, text, JSON.stringify(text + tail));
      else assert.ok(/[^\w ]/.test(text), `${JSON.stringify(text)} is plain and must be cut out`);
    }
  }
  assert.equal(read(reader, line("plain", {}, ',"emittedAtMs":1795358293123')), "plain");
});

test("lines with odd tails are left to the parser", () => {
  const reader = taught();
  const plain = line("x");
  for (
    const odd of [
      plain.slice(0, -1),
      plain.slice(0, -2),
      `${plain}}`,
      `${plain} `,
      plain.replace('"x"}}', '"x","delta":"y"}}'),
      plain.replace('"x"}}', '"x","summaryIndex":0}}'),
      plain.replace('"x"}}', '"x"},"other":1}'),
      plain.replace('"x"}}', '"x'),
      plain.replace('"x"}}', "7}}"),
      plain.replace('"x"}}', String.raw`"\x"}}`),
      plain.replace('"x"}}', String.raw`"a\"x","foo":"b"}}`),
    ]
  ) {
    assert.equal(read(reader, odd), null, odd);
  }
});

test("interleaved items and threads are told apart", () => {
  const heads = [
    { threadId: "T1", turnId: "U1", itemId: "I1" },
    { threadId: "T2", turnId: "U2", itemId: "I2" },
    { threadId: "T1", turnId: "U1", itemId: "I3" },
  ];
  const reader = taught(...heads);
  for (let i = 0; i < 30; i++) {
    const ids = heads[i % 3]!;
    assert.equal(read(reader, line(`text ${i}`, ids)), `text ${i}`);
    assert.equal(reader.head.threadId, ids.threadId);
    assert.equal(reader.head.turnId, ids.turnId);
    assert.equal(reader.head.itemId, ids.itemId);
    assert.equal(reader.head.method, METHOD);
  }
});

test("a line within a block of lines is read in its place", () => {
  const reader = taught();
  const block = `${line("one")}\n${line("two")}\n`;
  const middle = block.indexOf("\n");
  assert.equal(cut(reader, block, 0, middle), "one");
  assert.equal(cut(reader, block, middle + 1, block.length - 1), "two");
});

test("lines that are written otherwise are never learnt", () => {
  const reader = new DeltaReader();
  const odd = `{"params":${JSON.stringify(params("a"))},"method":"${METHOD}"}`;
  reader.learn(odd, METHOD, params("a"));
  assert.equal(read(reader, odd), null);
  reader.learn(line("a"), METHOD, { threadId: "T", delta: "a" });
  assert.equal(read(reader, line("a")), null);
});

test("thousands of threads do not make it grow or err", () => {
  const reader = new DeltaReader();
  for (let i = 0; i < 10_000; i++) {
    const ids = { threadId: `thread-${i}`, turnId: `turn-${i}`, itemId: `item-${i}` };
    assert.equal(read(reader, line("x", ids)), null);
    reader.learn(line("x", ids), METHOD, params("x", ids));
    assert.equal(read(reader, line(`again ${i}`, ids)), `again ${i}`);
  }
});

test("recorded deltas are read as the parser reads them", () => {
  for (const dialect of DIALECTS) {
    const reader = new DeltaReader();
    let cutOut = 0;
    for (const { dir, m } of transcript(dialect, "basic")) {
      if (dir === ">" || typeof m.params?.delta !== "string") continue;
      const text = JSON.stringify(m);
      const result = read(reader, text);
      if (result === null) reader.learn(text, m.method, m.params);
      else {
        cutOut++;
        assert.equal(result, m.params.delta);
        assert.equal(reader.head.itemId, m.params.itemId);
      }
    }
    assert.ok(cutOut > 0, dialect);
  }
});
