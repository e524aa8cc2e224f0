/**
 * Answers that are data: which schema is sent, and how an answer is parsed and checked.
 * @module
 */
import { abortable, within } from "../../async.ts";
import { unchecked, validateAgainstSchema } from "../../schema/mod.ts";
import { InvalidArgumentError, messageOf, type OutputIssue } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import { convert, standardIssue } from "./convert_schema.ts";
import { parseJson } from "./parse_json.ts";
import type { StandardResult, StandardSchemaV1 } from "./standard_schema.ts";
import { strictSchema } from "./strict_schema.ts";

/** What describes the answer: a JSON Schema, a Standard Schema, or both when the latter can't be converted. */
export interface OutputRequest {
  /** The JSON Schema. Default: converted from `output`. */
  outputSchema?: JsonObject | null | undefined;
  /** The Standard Schema. Default none: the answer is checked against `outputSchema`. */
  output?: StandardSchemaV1 | undefined;
  /** Gives up the check of an answer. */
  signal?: AbortSignal;
  /** Milliseconds that the Standard Schema may take for it. Default: no limit. */
  timeoutMs?: number;
}

/** How one turn's answer is asked for and checked. */
export interface ResolvedOutput {
  /** The schema to send as `turn/start`'s `outputSchema`. */
  readonly schema: JsonObject;
  /** Parses and checks an answer. Rejects only with the signal's reason. */
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
  const { schema, issues } = strictSchema(original, given === null);
  const unbounded = output === undefined ? unchecked(original) : null;
  if (unbounded !== null) issues.push(unbounded);
  const [first] = issues;
  if (first !== undefined) {
    const more = issues.length === 1 ? "" : ` (and ${issues.length - 1} more)`;
    throw refusal(`outputSchema${first.path.slice(1)}`, first.message + more);
  }
  return { schema, parse: (text) => parseOutput(text, original, request) };
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
  { output, signal, timeoutMs = Infinity }: OutputRequest,
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
  const misfit = (message: string): InvalidOutput => ({
    ok: false,
    issues: [{ path: "$", message }],
  });
  // The caller's own code: it may throw, give back anything, and never end.
  const checked = (async (): Promise<ParsedOutput> => {
    try {
      const result: StandardResult<unknown> = await output["~standard"].validate(value);
      if (result.issues === undefined) return { ok: true, value: result.value };
      return { ok: false, issues: result.issues.map(standardIssue) };
    } catch (cause) {
      return misfit(`its schema threw: ${messageOf(cause)}`);
    }
  })();
  const late = misfit("its schema gave no answer in time");
  return await within(abortable(checked, signal), timeoutMs, late);
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
