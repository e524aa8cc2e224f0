/**
 * Line edits as a pure function of text.
 * @module
 */
import { sha256 } from "../json.ts";
import {
  checkArgument,
  checkArguments,
  count,
  type Kind,
  kind,
  list,
  object,
  required,
  shape,
  text as string,
} from "../check/mod.ts";
import { CodexError, type OutputIssue } from "../errors/mod.ts";

/**
 * Replaces the lines from `startLine` up to, not including, `endLine`.
 *
 * Lines count from 1. Equal numbers insert before that line; `startLine` one past the last line
 * appends. An empty `replacement` deletes.
 */
export interface ArtifactEdit {
  /** First line to replace, from 1 to the number of lines plus 1. */
  startLine: number;
  /** The line after the last one to replace; equal to `startLine` to insert. */
  endLine: number;
  /** The new lines. A final newline is optional; `"\n"` alone is one blank line. */
  replacement: string;
}

/** Which numbers fit is what {@linkcode checkEdits} tells. */
const number: Kind = required(kind("a number", ["number"]));
const textKind: Kind = required(string);
const editsKind: Kind = required(
  list(object(shape<ArtifactEdit>({ startLine: number, endLine: number, replacement: textKind }))),
);

interface Line {
  text: string;
  eol: "" | "\n" | "\r\n";
}

/**
 * The number of lines that edits can name: `"a\nb"` and `"a\nb\n"` have 2, `""` has 0.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 * artifact.countLines("a\nb\n"); // 2
 * ```
 */
export function countLines(text: string): number {
  checkArgument("countLines", "text", text, textKind);
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count++;
  return text === "" || text === BOM || text.endsWith("\n") ? count : count + 1;
}

/**
 * What is wrong with `edits` for a text of `lineCount` lines; empty when they can be applied.
 *
 * They must be in range, sorted by `startLine` and must not overlap.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 *
 * const issues = artifact.checkEdits([{ startLine: 2, endLine: 9, replacement: "" }], 3);
 * console.log(issues.length); // 1: there are three lines
 * ```
 */
export function checkEdits(edits: readonly ArtifactEdit[], lineCount: number): OutputIssue[] {
  checkArguments("checkEdits", {
    edits: [edits, editsKind],
    lineCount: [lineCount, required(count(0))],
  });
  const issues: OutputIssue[] = [];
  let previousStart = 1;
  let previousEnd = 1;
  edits.forEach((edit, index) => {
    const path = `$.edits[${index}]`;
    const { startLine, endLine } = edit;
    if (!Number.isSafeInteger(startLine) || startLine < 1 || startLine > lineCount + 1) {
      issues.push({
        path: `${path}.startLine`,
        message: `must be a whole number from 1 to ${lineCount + 1}`,
      });
      return;
    }
    if (!Number.isSafeInteger(endLine) || endLine < startLine || endLine > lineCount + 1) {
      issues.push({
        path: `${path}.endLine`,
        message: `must be a whole number from ${startLine} to ${lineCount + 1}`,
      });
      return;
    }
    if (startLine < previousStart) {
      issues.push({ path: `${path}.startLine`, message: "edits must be sorted by startLine" });
    } else if (startLine < previousEnd) {
      issues.push({
        path: `${path}.startLine`,
        message: `overlaps the edit before it, which ends at line ${previousEnd}`,
      });
    }
    previousStart = Math.max(previousStart, startLine);
    previousEnd = Math.max(previousEnd, endLine);
  });
  return issues;
}

/**
 * Applies all edits at once; every line number refers to the text as given.
 *
 * New lines take the line ending that most of the text uses. Lines that no edit touches keep
 * theirs, and a text without a final newline stays without one.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 * artifact.applyEdits("one\ntwo", [{ startLine: 3, endLine: 3, replacement: "three\n" }]);
 * // "one\ntwo\nthree"
 * ```
 *
 * @throws {CodexError} code `"artifactEdit"` when {@linkcode checkEdits} finds something.
 */
export function applyEdits(text: string, edits: readonly ArtifactEdit[]): string {
  checkArguments("applyEdits", { text: [text, textKind], edits: [edits, editsKind] });
  // The mark says how the file is encoded; it is no part of its first line.
  if (text.startsWith(BOM)) {
    const edited = applyEdits(text.slice(1), edits);
    return edited.startsWith(BOM) ? edited : BOM + edited;
  }
  const lines = splitLines(text);
  const issues = checkEdits(edits, lines.length);
  if (issues.length > 0) {
    const [first] = issues as [OutputIssue];
    throw new CodexError(
      "artifactEdit",
      `The edits do not fit a text of ${lines.length} lines: ${first.path} ${first.message}.`,
      { data: { issues: issues.map((i) => ({ path: i.path, message: i.message })) } },
    );
  }
  const eol = dominantEol(lines);
  const out: Line[] = [];
  let next = 0;
  for (const edit of edits) {
    while (next < edit.startLine - 1) out.push(lines[next++] as Line);
    for (const line of splitLines(edit.replacement)) {
      // A lone carriage return at the end is half of a line end, not text.
      out.push({ text: line.eol === "" ? line.text.replace(/\r$/, "") : line.text, eol });
    }
    next = edit.endLine - 1;
  }
  while (next < lines.length) out.push(lines[next++] as Line);

  // A text that was empty has no habit to keep: the last replacement decides.
  const finalNewline = text === ""
    ? edits.findLast((e) => e.replacement !== "")?.replacement.endsWith("\n") ?? false
    : text.endsWith("\n");
  const last = out.length - 1;
  return out.map((line, index) => {
    return index < last || finalNewline ? line.text + (line.eol || eol) : line.text;
  }).join("");
}

const BOM = "\uFEFF";

function splitLines(text: string): Line[] {
  const lines: Line[] = [];
  let from = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", from)) {
    const crlf = at > from && text.charCodeAt(at - 1) === 13;
    lines.push({ text: text.slice(from, crlf ? at - 1 : at), eol: crlf ? "\r\n" : "\n" });
    from = at + 1;
  }
  if (from < text.length) lines.push({ text: text.slice(from), eol: "" });
  return lines;
}

function dominantEol(lines: readonly Line[]): "\n" | "\r\n" {
  let balance = 0;
  for (const line of lines) {
    if (line.eol === "\r\n") balance++;
    else if (line.eol === "\n") balance--;
  }
  return balance > 0 ? "\r\n" : "\n";
}

// Revisions: what a text is named by.

/** The revision of the empty text, which is also that of an artifact that does not exist yet. */
export const EMPTY_REVISION: string =
  "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * The revision of a text: `sha256:` and the hex digest of its UTF-8 bytes.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 * await artifact.revisionOf("") === artifact.EMPTY_REVISION; // true
 * ```
 */
export async function revisionOf(text: string): Promise<string> {
  checkArgument("revisionOf", "text", text, textKind);
  return `sha256:${await sha256(new TextEncoder().encode(text))}`;
}
