/**
 * What the model is told, as a pure function of the task and one version of the artifact.
 * @module
 */
import { countLines } from "./edits.ts";
import type { StoredArtifact } from "./store/store.ts";
import type { ArtifactTaskSpec } from "./task.ts";

const ROLES: Readonly<Record<ArtifactTaskSpec["type"], string>> = {
  docGenerate: "You write one document. Your answer is the whole document: its title, its format " +
    "and its complete text. It replaces the current text.",
  docEdit: "You edit one document by replacing ranges of its lines. Lines count from 1. An edit " +
    "replaces the lines from startLine up to, but not including, endLine with replacement; equal " +
    "numbers insert before that line; startLine one past the last line appends; an empty " +
    "replacement deletes. All numbers refer to the current text as shown. Edits are sorted by " +
    "startLine and do not overlap. expectedRevision is the REVISION shown. Change nothing that " +
    "the goal does not need.",
  passthrough: "You answer about one document. Nothing that you say changes it.",
};

/** Characters of a line that are enough to find it in the text. */
const LINE_PREVIEW = 32;

/**
 * The prompt of a task: labelled blocks, the text last.
 *
 * Text and revision are those of the one version given, so that they always belong together.
 */
export function buildArtifactPrompt(task: ArtifactTaskSpec, artifact: StoredArtifact): string {
  const { text, revision, meta } = artifact;
  const lines = countLines(text);
  const blocks = [
    block("ROLE", ROLES[task.type]),
    block("GOAL", task.userGoal),
    block("CONSTRAINTS", bullets(task.constraints ?? [])),
    block(
      "CONTEXT",
      `TITLE: ${oneLine(meta.title)}\nFORMAT: ${oneLine(meta.format)}\n` +
        `REVISION: ${revision}\nLINES: ${lines}`,
    ),
  ];
  const examples = task.examples ?? [];
  if (examples.length > 0) {
    blocks.push(block("EXAMPLES", examples.map((e, i) => `Example ${i + 1}:\n${e}`).join("\n\n")));
  }
  if (task.type === "docEdit" && lines > 0) blocks.push(block("LINE_NUMBERS", lineIndex(text)));
  const label = freeLabel(text);
  blocks.push(`${label}_BEGIN\n${text}${text.endsWith("\n") ? "" : "\n"}${label}_END`);
  return blocks.join("\n\n");
}

function block(label: string, body: string): string {
  return `${label}:\n${body}`;
}

function bullets(items: readonly string[]): string {
  return items.length === 0 ? "(none)" : items.map((item) => `- ${item}`).join("\n");
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** Models miscount lines; this tells each line's number by its first characters. */
function lineIndex(text: string): string {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line, i) => {
    const start = line.replace(/\r$/, "");
    // A cut emoji would be half a character.
    const shown = start.length > LINE_PREVIEW
      ? `${start.slice(0, LINE_PREVIEW).toWellFormed().replace(/\ufffd$/, "")}…`
      : start;
    return `${i + 1}: ${shown}`;
  }).join("\n");
}

/** A label that the text does not contain, so that no document can end its own block. */
function freeLabel(text: string): string {
  let label = "CURRENT_TEXT";
  for (let n = 1; text.includes(`${label}_END`); n++) label = `CURRENT_TEXT_${n}`;
  return label;
}
