/**
 * Tools as the model is told of them.
 * @module
 */
import { InvalidArgumentError } from "../../errors/mod.ts";
import type { JsonObject } from "../../json.ts";
import { unboundedPattern } from "../../schema/mod.ts";
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
  if (!isStandardSchema(inputSchema)) {
    const unbounded = unboundedPattern(inputSchema as JsonObject, `${name}.inputSchema`);
    if (unbounded === null) return inputSchema as JsonObject;
    throw new InvalidArgumentError("tools", {
      argument: unbounded.path,
      received: "an expression that",
      accepts: "a pattern without back references and flags, and of at most 10,000 steps",
      sentence: `${unbounded.path}: ${unbounded.message}`,
    });
  }
  const { schema, problem } = convert(inputSchema);
  if (schema !== null) return schema;
  throw new InvalidArgumentError("tools", {
    argument: `${name}.inputSchema`,
    received: "a schema without a JSON Schema",
    accepts: "a schema that can be converted to JSON Schema",
    hint: `${problem}. Give a JSON Schema instead.`,
  });
}
