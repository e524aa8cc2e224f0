/** Edits against a model that is too simple to be wrong. */
import "./_seed.ts";
import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { applyEdits, type ArtifactEdit, checkEdits, countLines } from "../../src/artifact/edits.ts";
import { test } from "../_harness.ts";

const RUNS = { numRuns: 2_000 };

const line = fc.constantFrom("", "a", "b b", "\t", "ä😀", "\r", "x\ry", "}");
const eol = fc.constantFrom<"\n" | "\r\n">("\n", "\r\n");

/** Lines, each without a line break that it does not mean. */
const lines = fc.array(line, { maxLength: 8 }).map((all) => all.map((l) => l.replace(/\r$/, "")));

interface Document {
  lines: string[];
  eol: "\n" | "\r\n";
  finalNewline: boolean;
}

/** A document; one that ends without a newline ends with a line that is not empty. */
const document: fc.Arbitrary<Document> = fc.record({ lines, eol, finalNewline: fc.boolean() })
  .map((d) => ({ ...d, finalNewline: d.finalNewline || d.lines.at(-1) === "" }));

function textOf({ lines, eol, finalNewline }: Document): string {
  return lines.join(eol) + (finalNewline && lines.length > 0 ? eol : "");
}

interface ModelEdit {
  startLine: number;
  endLine: number;
  lines: string[];
  eol: "\n" | "\r\n";
  finalNewline: boolean;
}

/** Sorted edits that do not overlap, for a text of so many lines. */
function editsFor(lineCount: number): fc.Arbitrary<ModelEdit[]> {
  const cut = fc.integer({ min: 1, max: lineCount + 1 });
  return fc.array(fc.record({ cuts: fc.tuple(cut, cut), body: document }), { maxLength: 4 })
    .map((all) => {
      const edits: ModelEdit[] = [];
      let end = 1;
      const sorted = all.map(({ cuts: [a, b], body }) => ({
        startLine: Math.min(a, b),
        endLine: Math.max(a, b),
        ...body,
      })).sort((a, b) => a.startLine - b.startLine);
      for (const edit of sorted) {
        if (edit.startLine < end) continue;
        edits.push(edit);
        end = edit.endLine;
      }
      return edits;
    });
}

const edited = document.chain((d) =>
  editsFor(d.lines.length).map((edits) => ({ document: d, edits }))
);

function wire(edits: readonly ModelEdit[]): ArtifactEdit[] {
  return edits.map((e) => ({
    startLine: e.startLine,
    endLine: e.endLine,
    replacement: textOf(e),
  }));
}

/** Splices from the bottom up, so that no line number ever moves. */
function model({ lines, eol, finalNewline }: Document, edits: readonly ModelEdit[]): string {
  const result = [...lines];
  for (const edit of edits.toReversed()) {
    result.splice(edit.startLine - 1, edit.endLine - edit.startLine, ...edit.lines);
  }
  if (lines.length > 0) return textOf({ lines: result, eol, finalNewline });
  // A text that was empty takes the habits of what is put in, in LF.
  const last = edits.findLast((e) => e.lines.length > 0);
  return textOf({ lines: result, eol: "\n", finalNewline: last?.finalNewline ?? false });
}

/** Whether the text itself shows which line ending it uses. */
function showsEol({ lines, finalNewline }: Document): boolean {
  return lines.length > 1 || (lines.length === 1 && finalNewline);
}

test("applyEdits() gives what a naive model gives", () => {
  fc.assert(
    fc.property(edited, ({ document, edits }) => {
      const shown: Document = showsEol(document) ? document : { ...document, eol: "\n" };
      assert.equal(applyEdits(textOf(document), wire(edits)), model(shown, edits));
    }),
    RUNS,
  );
});

test("countLines() counts the lines of any document", () => {
  fc.assert(
    fc.property(document, (d) => assert.equal(countLines(textOf(d)), d.lines.length)),
    RUNS,
  );
});

test("edits that change nothing leave any text as it is, to the byte", () => {
  const anyText = fc.array(fc.constantFrom("a", "\n", "\r\n", "\r", "é", " "), { maxLength: 20 })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(anyText, fc.nat(20), (text, at) => {
      const startLine = Math.min(at, countLines(text)) + 1;
      const nothing = { startLine, endLine: startLine, replacement: "" };
      assert.equal(applyEdits(text, []), text);
      assert.equal(applyEdits(text, [nothing]), text);
    }),
    RUNS,
  );
});

test("applyEdits() applies any numbers or throws, and checkEdits() says which", () => {
  const number = fc.oneof(fc.integer({ min: -1, max: 6 }), fc.constantFrom(NaN, 1.5, 2 ** 53));
  const anyEdits = fc.array(
    fc.record({ startLine: number, endLine: number, replacement: fc.constantFrom("", "x", "y\n") }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(document, anyEdits, (d, edits) => {
      const text = textOf(d);
      if (checkEdits(edits, countLines(text)).length === 0) applyEdits(text, edits);
      else assert.throws(() => applyEdits(text, edits));
    }),
    RUNS,
  );
});

test("applying edits one by one from the bottom gives the same as all at once", () => {
  fc.assert(
    fc.property(edited, ({ document, edits }) => {
      // Deleting every line on the way would forget the line ending and the final newline.
      fc.pre(
        document.lines.length > 0 &&
          edits.every((e) => e.lines.length > 0 || e.startLine === e.endLine),
      );
      const text = textOf(document);
      fc.pre(showsEol(document));
      const oneByOne = wire(edits).toReversed().reduce((t, e) => {
        // So would a text on the way that has lost every line ending, or has only that of a replacement.
        fc.pre(t.includes(document.eol));
        return applyEdits(t, [e]);
      }, text);
      assert.equal(oneByOne, applyEdits(text, wire(edits)));
    }),
    RUNS,
  );
});
