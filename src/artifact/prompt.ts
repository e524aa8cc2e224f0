/**
 * What the model is asked for a document, and how its answer is read.
 * @module
 */
import { checkArguments } from "../check/mod.ts";
import type { OutputIssue } from "../errors/mod.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import { parseJson } from "../session/output/parse_json.ts";
import { type ArtifactEdit, countLines } from "./edits.ts";
import { taskKind } from "./options_shape.ts";
import { storedKind } from "./store/record.ts";
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
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 *
 * const task = { type: "docGenerate", artifactId: "guide", userGoal: "A backup guide" } as const;
 * console.log(artifact.buildArtifactPrompt(task, artifact.emptyArtifact("guide")));
 * ```
 */
export function buildArtifactPrompt(task: ArtifactTaskSpec, artifact: StoredArtifact): string {
  checkArguments("buildArtifactPrompt", {
    task: [task, taskKind],
    artifact: [artifact, storedKind],
  });
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

// What the model answers: schemas, and reading an answer.

/** The schema of a `docGenerate` answer, fit for strict structured output. */
export const DOC_GENERATE_SCHEMA: Readonly<JsonObject> = closed({
  format: { type: "string", description: "Format of the text, such as markdown." },
  title: { type: "string", description: "Title of the document." },
  text: { type: "string", description: "The complete text of the document." },
});

/** The schema of a `docEdit` answer, fit for strict structured output. */
export const DOC_EDIT_SCHEMA: Readonly<JsonObject> = closed({
  format: { type: "string", description: "Format of the text, as shown." },
  expectedRevision: { type: "string", description: "The REVISION shown." },
  edits: {
    type: "array",
    description: "Sorted by startLine, not overlapping.",
    items: closed({
      startLine: { type: "integer", description: "First line to replace, from 1." },
      endLine: {
        type: "integer",
        description: "The line after the last one to replace; equal to startLine to insert.",
      },
      replacement: { type: "string", description: "The new lines; empty to delete." },
    }),
  },
  notes: { type: ["string", "null"], description: "What was changed and why, in short." },
});

/** A `docGenerate` answer. */
export interface DocGenerateOutput {
  /** Format of the text. */
  format: string;
  /** Title of the document. */
  title: string;
  /** The complete text. */
  text: string;
}

/** A `docEdit` answer. */
export interface DocEditOutput {
  /** Format of the text. */
  format: string;
  /** The revision that the edits were made for. */
  expectedRevision: string;
  /** The edits. */
  edits: ArtifactEdit[];
  /** What was changed, or `null`. */
  notes: string | null;
}

/** An answer that fits, or the ways in which it does not. */
export type ParsedOutput<T> = { ok: true; value: T } | { ok: false; issues: OutputIssue[] };

/**
 * Reads a `docGenerate` answer: a parsed value, or the model's text.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 *
 * const parsed = artifact.parseDocGenerate('{"format":"markdown","title":"A","text":"# A"}');
 * console.log(parsed.ok ? parsed.value.title : parsed.issues);
 * ```
 */
export function parseDocGenerate(answer: unknown): ParsedOutput<DocGenerateOutput> {
  return read(answer, (fields) => ({
    format: fields.string("format"),
    title: fields.string("title"),
    text: fields.string("text"),
  }));
}

/**
 * Reads a `docEdit` answer: a parsed value, or the model's text.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 *
 * const parsed = artifact.parseDocEdit("not JSON");
 * console.log(parsed.ok ? parsed.value.edits : parsed.issues);
 * ```
 */
export function parseDocEdit(answer: unknown): ParsedOutput<DocEditOutput> {
  return read(answer, (fields) => ({
    format: fields.string("format"),
    expectedRevision: fields.string("expectedRevision"),
    edits: fields.objects("edits").map((edit) => ({
      startLine: edit.integer("startLine"),
      endLine: edit.integer("endLine"),
      replacement: edit.string("replacement"),
    })),
    notes: fields.optionalString("notes"),
  }));
}

/** Reads the fields of an object and notes what does not fit. */
class Fields {
  readonly #object: JsonObject;
  readonly #path: string;
  readonly #issues: OutputIssue[];

  constructor(object: JsonObject, path: string, issues: OutputIssue[]) {
    this.#object = object;
    this.#path = path;
    this.#issues = issues;
  }

  string(name: string): string {
    const value = this.#object[name];
    // What a JSON escape can say but UTF-8 can't would change its revision when stored.
    if (typeof value === "string") return value.toWellFormed();
    this.#miss(name, "expected a string");
    return "";
  }

  optionalString(name: string): string | null {
    const value = this.#object[name];
    return value === null || value === undefined ? null : this.string(name);
  }

  integer(name: string): number {
    const value = this.#object[name];
    if (typeof value === "number" && Number.isSafeInteger(value)) return value;
    this.#miss(name, "expected a whole number");
    return 0;
  }

  objects(name: string): Fields[] {
    const value = this.#object[name];
    if (!Array.isArray(value)) {
      this.#miss(name, "expected an array");
      return [];
    }
    return value.flatMap((item, i) => {
      if (isJsonObject(item)) {
        return [new Fields(item, `${this.#path}.${name}[${i}]`, this.#issues)];
      }
      this.#miss(`${name}[${i}]`, "expected an object");
      return [];
    });
  }

  #miss(name: string, message: string): void {
    this.#issues.push({ path: `${this.#path}.${name}`, message });
  }
}

function read<T>(answer: unknown, make: (fields: Fields) => T): ParsedOutput<T> {
  const value = typeof answer === "string" ? parseJson(answer) : answer;
  const issues: OutputIssue[] = [];
  let result: T;
  try {
    if (!isJsonObject(value)) {
      return { ok: false, issues: [{ path: "$", message: "expected a JSON object" }] };
    }
    result = make(new Fields(value, "$", issues));
  } catch {
    // A getter or a proxy of the caller's threw.
    return { ok: false, issues: [{ path: "$", message: "can't be read" }] };
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, value: result };
}

function closed(properties: Record<string, JsonObject>): JsonObject {
  return {
    type: "object",
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
}
