/**
 * What the model answers: schemas, and reading an answer.
 * @module
 */
import type { OutputIssue } from "../errors/mod.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import { parseJson } from "../session/mod.ts";
import type { ArtifactEdit } from "./edits.ts";

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

/** Reads a `docGenerate` answer: a parsed value, or the model's text. */
export function parseDocGenerate(answer: unknown): ParsedOutput<DocGenerateOutput> {
  return read(answer, (fields) => ({
    format: fields.string("format"),
    title: fields.string("title"),
    text: fields.string("text"),
  }));
}

/** Reads a `docEdit` answer: a parsed value, or the model's text. */
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
  if (!isJsonObject(value)) {
    return { ok: false, issues: [{ path: "$", message: "expected a JSON object" }] };
  }
  const issues: OutputIssue[] = [];
  const result = make(new Fields(value, "$", issues));
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
