/**
 * Standard Schemas: telling them from JSON Schemas, and the JSON Schema of one.
 * @module
 */
import { isJsonObject, type JsonObject, jsonPath } from "../../json.ts";
import { messageOf, type OutputIssue } from "../../errors/mod.ts";
import type { StandardIssue, StandardSchemaV1 } from "./standard_schema.ts";

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
