/**
 * Answers that are data: which schema is sent, and how an answer is parsed and checked.
 * @module
 */
import { jsonPath, validateAgainstSchema } from "../../check/mod.ts";
import { InvalidArgumentError, messageOf, type OutputIssue } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { StandardIssue, StandardResult, StandardSchemaV1 } from "./standard_schema.ts";
import { strictSchema } from "./strict_schema.ts";

/** What describes the answer: a JSON Schema, a Standard Schema, or both when the latter can't be converted. */
export interface OutputRequest {
  /** The JSON Schema. Default: converted from `output`. */
  outputSchema?: JsonObject | null | undefined;
  /** The Standard Schema. Default none: the answer is checked against `outputSchema`. */
  output?: StandardSchemaV1 | undefined;
}

/** How one turn's answer is asked for and checked. */
export interface ResolvedOutput {
  /** The schema to send as `turn/start`'s `outputSchema`. */
  readonly schema: JsonObject;
  /** Parses and checks an answer. Rejects only when the schema's own code throws. */
  parse(text: string): Promise<ParsedOutput>;
}

/** A parsed answer, or why it is none. */
export type ParsedOutput = ValidOutput | InvalidOutput;

/** The answer fits. */
export interface ValidOutput {
  /** Discriminator. */
  ok: true;
  /** The value as the schema gives it out. */
  value: unknown;
}

/** The answer does not fit. */
export interface InvalidOutput {
  /** Discriminator. */
  ok: false;
  /** What is wrong, and where. */
  issues: OutputIssue[];
}

/**
 * Prepares a turn with structured output; `null` when none is asked for.
 *
 * Throws an `InvalidArgumentError` with the path of the node that strict output does not take, such as
 * `outputSchema.properties.tags.additionalProperties`, or when the Standard Schema has no JSON Schema.
 */
export function resolveOutputSchema(request: OutputRequest): ResolvedOutput | null {
  const { output } = request;
  const given = request.outputSchema ?? null;
  if (output === undefined && given === null) return null;
  if (given !== null && !isJsonObject(given)) {
    throw refusal("outputSchema", "expected a JSON Schema object");
  }
  const original = given ?? schemaOf(output!);
  const { schema, issues } = strictSchema(original);
  const [first] = issues;
  if (first !== undefined) {
    const more = issues.length === 1 ? "" : ` (and ${issues.length - 1} more)`;
    throw refusal(`outputSchema${first.path.slice(1)}`, first.message + more);
  }
  return { schema, parse: (text) => parseOutput(text, original, output) };
}

/** What to ask when an answer did not fit, once. */
export function repairPrompt(issues: readonly OutputIssue[]): string {
  const list = issues.slice(0, 20).map(({ path, message }) => `- ${path}: ${message}`).join("\n");
  return `Your last answer does not fit the required output schema:\n${list}\n` +
    `Answer again with the corrected JSON only. Change nothing else.`;
}

async function parseOutput(
  text: string,
  schema: JsonObject,
  output: StandardSchemaV1 | undefined,
): Promise<ParsedOutput> {
  const value = parseJson(text);
  if (value === undefined) {
    const message = text.trim() === "" ? "expected JSON, got nothing" : "expected JSON, got text";
    return { ok: false, issues: [{ path: "$", message }] };
  }
  if (output === undefined) {
    const issues = validateAgainstSchema(value as JsonValue, schema);
    return issues.length === 0 ? { ok: true, value } : { ok: false, issues };
  }
  let result: StandardResult<unknown>;
  try {
    result = await output["~standard"].validate(value);
  } catch (cause) {
    return { ok: false, issues: [{ path: "$", message: `its schema threw: ${messageOf(cause)}` }] };
  }
  if (result.issues === undefined) return { ok: true, value: result.value };
  return { ok: false, issues: result.issues.map(standardIssue) };
}

function schemaOf(output: StandardSchemaV1): JsonObject {
  const { schema, problem } = convert(output);
  if (schema === null) throw refusal("output", `${problem}; give \`outputSchema\` besides`);
  return schema;
}

function refusal(path: string, expectation: string): InvalidArgumentError {
  return new InvalidArgumentError("structured output", {
    argument: path,
    received: "a schema that does not fit",
    accepts: expectation,
    sentence: `${path}: ${expectation}`,
  });
}

// Standard Schemas: telling them from JSON Schemas, and the JSON Schema of one.

/**
 * Whether a schema is one of a library, rather than a JSON Schema. What zod converts to JSON Schema has the library's
 * interface as well, out of sight: it is the document that was meant.
 */
export function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const standard = (value as Partial<StandardSchemaV1>)["~standard"];
  if (typeof standard?.validate !== "function") return false;
  const own = Object.getOwnPropertyDescriptor(value, "~standard");
  const prototype = Object.getPrototypeOf(value);
  const isDocument = own?.enumerable === false &&
    (prototype === Object.prototype || prototype === null) && isSchemaDocument(value);
  return !isDocument;
}

/** Whether all that can be seen of it is JSON, with a keyword of JSON Schema. */
function isSchemaDocument(value: object): boolean {
  return ["$schema", "type", "properties", "anyOf", "oneOf", "allOf", "$ref", "enum", "const"]
    .some((keyword) => Object.hasOwn(value, keyword)) && !("def" in value) && !("_def" in value);
}

interface Converters {
  toJSONSchema?: unknown;
  toJsonSchema?: unknown;
}

/**
 * The JSON Schema of a Standard Schema: its own extension for it, else the method that the library has. The *input* is
 * what counts, since that is what the model writes. `null` with the problem when there is none.
 */
export function convert(
  output: StandardSchemaV1,
): { schema: JsonObject; problem: null } | { schema: null; problem: string } {
  const standard = output["~standard"];
  const failures: string[] = [];
  const attempt = (convert: () => unknown): JsonObject | null => {
    try {
      const schema = convert();
      return isJsonObject(schema) ? schema : null;
    } catch (error) {
      failures.push(messageOf(error));
      return null;
    }
  };
  const { toJSONSchema, toJsonSchema } = output as Converters;
  const schema = attempt(() => standard.jsonSchema?.input({ target: "draft-2020-12" })) ??
    attempt(() =>
      typeof toJSONSchema === "function" && toJSONSchema.call(output, { io: "input" })
    ) ??
    attempt(() => typeof toJsonSchema === "function" && toJsonSchema.call(output));
  if (schema !== null) return { schema, problem: null };
  const problem = failures.length === 0
    ? `schemas of ${standard.vendor} do not bring a JSON Schema`
    : `${standard.vendor} can't convert it: ${failures[0]!.slice(0, 300)}`;
  return { schema: null, problem };
}

/** One issue, as errors and models are told. */
export function standardIssue(issue: StandardIssue): OutputIssue {
  const keys = (issue.path ?? []).map((part) => typeof part === "object" ? part.key : part);
  return { path: jsonPath(keys), message: issue.message };
}

// The JSON in a model's answer.

/**
 * The value of an answer that is JSON, or that holds it in a fenced block; `undefined` when there is none.
 *
 * Models that are not held to a schema like to explain themselves: text around the blocks is skipped, and of several
 * blocks the last one that is JSON counts, as the one the model came to. Fences may be of three or more backticks or
 * tildes, and are named `json`, `jsonc`, `json5` or nothing.
 */
export function parseJson(text: string): unknown {
  const clean = text.replace(/^\uFEFF/, "");
  const blocks = fencedBlocks(clean).reverse();
  for (const candidate of [clean, ...blocks.flatMap((block) => [block, withoutComments(block)])]) {
    try {
      return JSON.parse(candidate);
    } catch {
      // The next one may be JSON.
    }
  }
  return undefined;
}

/** A string, to its end or the text's. */
const STRING = /"(?:\\[^]|[^"\\])*(?:"|$)/;
const COMMENT = new RegExp(`${STRING.source}|//[^\\n]*|/\\*[^]*?(?:\\*/|$)`, "g");
const TRAILING_COMMA = new RegExp(`${STRING.source}|,(?=\\s*[}\\]])`, "g");

/** JSON as people write it into `jsonc` blocks, without what JSON lacks. */
function withoutComments(text: string): string {
  const keepStrings = (found: string) => found.startsWith('"') ? found : "";
  return text.replace(COMMENT, keepStrings).replace(TRAILING_COMMA, keepStrings);
}

/** Deeper nesting is not read: each level reads the text once more. */
const MAX_NESTING = 3;

/** The contents of the blocks, those within others included, in the order of their ends. */
function fencedBlocks(text: string, depth = 0): string[] {
  if (depth === MAX_NESTING) return [];
  const lines = text.split(/\r?\n/);
  const blocks: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const opening = /^\s*(`{3,}|~{3,})(.*)$/.exec(lines[i]!);
    if (opening === null) continue;
    const [, fence, info] = opening as unknown as [string, string, string];
    const named = /^\s*(?:json[c5]?)?(?=[\s{[]|$)/i.exec(info)?.[0];
    const inline = beforeFence(info, fence);
    if (inline !== null) {
      if (named !== undefined) blocks.push(inline.slice(named.length));
      continue;
    }
    const content: string[] = [];
    for (i++; i < lines.length; i++) {
      const last = beforeFence(lines[i]!, fence);
      content.push(last ?? lines[i]!);
      if (last !== null) break;
    }
    const body = content.join("\n");
    blocks.push(...fencedBlocks(body, depth + 1));
    if (named !== undefined) blocks.push(body);
  }
  return blocks;
}

/** What stands before the closing fence at the end of a line, or `null` when it does not close the block. */
function beforeFence(line: string, fence: string): string | null {
  const trimmed = line.trimEnd();
  if (!trimmed.endsWith(fence)) return null;
  let end = trimmed.length - fence.length;
  while (end > 0 && trimmed[end - 1] === fence[0]) end--;
  return trimmed.slice(0, end);
}
