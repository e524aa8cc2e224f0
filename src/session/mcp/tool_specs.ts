/**
 * Tools as the model is told of them.
 * @module
 */
import { InvalidArgumentError } from "../../errors/mod.ts";
import { asList, isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import { followPointer, typesOf, unchecked } from "../../schema/mod.ts";
import { convert, isStandardSchema } from "../output/convert_schema.ts";
import type { DynamicTool } from "../prompt/tools.ts";
import type { ToolSpec } from "./tool_server.ts";

/** A session's tools. Throws `InvalidArgumentError` where one has no JSON Schema. */
export function toolSpecs(tools: Readonly<Record<string, DynamicTool>>): ToolSpec[] {
  return Object.entries(tools).map(([name, tool]) => ({
    name,
    description: tool.description,
    inputSchema: toolSchema(name, tool),
  }));
}

/** The JSON Schema of a tool's arguments, for the model. Throws `InvalidArgumentError` where there is none. */
function toolSchema(name: string, { inputSchema }: DynamicTool): JsonObject {
  const argument = `${name}.inputSchema`;
  const isPlain = !isStandardSchema(inputSchema);
  const unfit = isPlain ? unchecked(inputSchema as JsonObject, argument) : null;
  if (unfit !== null) {
    const { path, message } = unfit;
    throw new InvalidArgumentError("tools", {
      argument: path,
      received: message,
      accepts: "another",
      sentence: `${path}: ${message}`,
    });
  }
  const { schema, problem } = isPlain
    ? { schema: inputSchema as JsonObject, problem: null }
    : convert(inputSchema);
  const most = 2 * JSON.stringify(schema).length + GROWTH;
  let told = schema;
  // What would grow much by it keeps more of its references.
  for (let within = MOST_WITHIN; schema !== null && within >= 0; within--) {
    told = writtenOut(schema, schema, ["#"], within) as JsonObject;
    if (JSON.stringify(told).length <= most) break;
  }
  // Providers want the type, and codex 0.104 would take a string where there is none.
  if (told !== null && isOfObject(told)) return { type: "object", ...withoutChoice(told) };
  throw new InvalidArgumentError("tools", {
    argument,
    received: "another schema",
    accepts: "a schema of an object that can be converted to JSON Schema",
    hint: problem === null
      ? 'Write `z.object({ … })`, or `{ type: "object", properties }`.'
      : `${problem}. Give a JSON Schema instead.`,
  });
}

/** How many references in one another are written out. */
const MOST_WITHIN = 3;
/** By how many characters a schema may grow by it, beyond twice its size. */
const GROWTH = 4_000;

/**
 * What a reference leads to in its place, but for one within itself (`open`) and below more than so many others: codex before
 * 0.136 tells the model of a string there, and of no members at the root.
 */
function writtenOut(
  value: JsonValue,
  root: JsonObject,
  open: readonly string[],
  within: number,
): JsonValue {
  if (Array.isArray(value)) return value.map((each) => writtenOut(each, root, open, within));
  if (!isJsonObject(value)) return value;
  const { $ref, ...beside } = value;
  if (typeof $ref === "string" && !open.includes($ref) && (within > 0 || value === root)) {
    const target = followPointer(root, $ref);
    if (isJsonObject(target)) {
      return writtenOut({ ...target, ...beside }, root, [...open, $ref], within - 1);
    }
  }
  // Codex tells an array without one schema of all its items as one of strings, and refuses a list of them.
  const { prefixItems, items, additionalItems, ...array } = value;
  const places = Array.isArray(items) ? items : asList(prefixItems);
  if (places.length > 0 && places.every(isJsonObject)) {
    const each = new Map(
      [...places, items, additionalItems].filter(isJsonObject)
        .map((one) => [JSON.stringify(one), one]),
    );
    const [first = {}, ...others] = each.values();
    const one = others.length === 0 ? first : { anyOf: [first, ...others] };
    return writtenOut({ ...array, items: one }, root, open, within);
  }
  const { type, const: only } = value;
  if (items === undefined && [type].flat().includes("array")) value = { ...value, items: {} };
  // So it tells values without a type. A member may be called `const`.
  const choices = /^[nb]/.test(typeof only) ? [only!] : asList(value["enum"]);
  if (type === undefined && choices.length > 0) return { type: typesOf(choices), ...value };
  // Codex before 0.136 knows one word for alternatives.
  const word = Array.isArray(value["oneOf"]) && !("anyOf" in value) ? "anyOf" : "oneOf";
  const entries = Object.entries(value).map(([key, each = null]) => [
    key === "oneOf" ? word : key,
    // Definitions keep theirs.
    writtenOut(each, root, open, key === "$defs" ? 0 : within),
  ]);
  return Object.fromEntries(entries);
}

/**
 * Providers refuse alternatives at the root, which codex sends from 0.125 on: each prompt would be an HTTP 400. The model is told
 * the members of all of them; whether those fit together is checked at the call.
 */
function withoutChoice({ anyOf, oneOf, allOf, ...told }: JsonObject): JsonObject {
  const parts = [anyOf, oneOf, allOf].flatMap(asList).filter(isJsonObject);
  if (parts.length === 0) return told;
  const all = [told, ...parts].flatMap((part) =>
    Object.entries(withoutChoice(part)["properties"] ?? {})
  );
  const properties: JsonObject = {};
  for (const [name, member] of all) {
    const known = Object.hasOwn(properties, name);
    properties[name] = known ? { anyOf: [properties[name]!, member] } : member;
  }
  return { ...told, properties };
}

/** Whether a schema may be that of an object. The members of one alone, as other SDKs take them, would let everything pass. */
function isOfObject(schema: JsonObject): boolean {
  const { type } = schema;
  if (type !== undefined) return type === "object";
  const names = Object.keys(schema);
  return names.length === 0 ||
    names.some((name) => /^(?:properties|\$ref|(?:any|one|all)Of)$/.test(name));
}
