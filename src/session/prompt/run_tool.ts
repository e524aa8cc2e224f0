/**
 * A call of the model to a tool of this process.
 * @module
 */
import { messageOf } from "../../errors/mod.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import type { DynamicTool, ToolContent, ToolContext, ToolOutput } from "./dynamic_tool.ts";

/** Runs a tool and shapes its answer as the server wants it. Never rejects: a failing tool tells the model so. */
export async function runTool(
  tools: Readonly<Record<string, DynamicTool>>,
  name: string,
  args: JsonValue,
  context: ToolContext,
): Promise<{ response: JsonObject; error: unknown }> {
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool === undefined) return failed(`There is no tool named ${name} in this session.`, null);
  try {
    return { response: shape(await tool.run(args, context)), error: null };
  } catch (error) {
    return failed(
      `The tool failed: ${messageOf(error)}`,
      error,
    );
  }
}

function failed(text: string, error: unknown): { response: JsonObject; error: unknown } {
  return { response: { contentItems: [{ type: "inputText", text }], success: false }, error };
}

function shape(output: ToolOutput): JsonObject {
  if (isContent(output)) {
    return { contentItems: output.content.map(contentItem), success: output.success ?? true };
  }
  const text = typeof output === "string"
    ? output
    : output === undefined
    ? ""
    : JSON.stringify(output);
  return { contentItems: [{ type: "inputText", text }], success: true };
}

function contentItem(part: ToolContent): JsonObject {
  return part.type === "image"
    ? { type: "inputImage", imageUrl: part.url }
    : { type: "inputText", text: part.text };
}

function isContent(output: ToolOutput): output is { content: ToolContent[]; success?: boolean } {
  return typeof output === "object" && output !== null && !Array.isArray(output) &&
    Array.isArray((output as { content?: unknown }).content) &&
    (output as { content: { type?: unknown }[] }).content.every((part) =>
      part?.type === "text" || part?.type === "image"
    );
}
