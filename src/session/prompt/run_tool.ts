/**
 * A call of the model to a tool of this process.
 * @module
 */
import { validateAgainstSchema } from "../../check/mod.ts";
import { messageOf, type OutputIssue } from "../../errors/mod.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import { isStandardSchema, standardIssue } from "../output/standard_json.ts";
import type { DynamicTool, ToolContext } from "./dynamic_tool.ts";
import { shapeResult } from "./tool_text.ts";

/** What became of a call. */
export interface ToolCallOutcome {
  /** The answer to the server. */
  response: JsonObject;
  /** What the tool threw, or `null`. */
  error: unknown;
  /** What was changed about its result, or `null`. */
  notice: string | null;
}

/** Runs a tool and shapes its answer as the server wants it. Never rejects: a failing tool tells the model so. */
export async function runTool(
  tools: Readonly<Record<string, DynamicTool>>,
  name: string,
  args: JsonValue,
  context: ToolContext,
): Promise<ToolCallOutcome> {
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool === undefined) return failed(`There is no tool named ${name} in this session.`, null);
  try {
    const checked = await checkArguments(tool, args);
    // The model's mistake, not the tool's: nobody but the model is told.
    if (!checked.ok) return failed(misfit(checked.issues), null);
    return { ...shapeResult(await tool.run(checked.value, context)), error: null };
  } catch (error) {
    return failed(`The tool failed: ${messageOf(error)}`, error);
  }
}

type Checked = { ok: true; value: unknown } | { ok: false; issues: OutputIssue[] };

async function checkArguments({ inputSchema }: DynamicTool, args: JsonValue): Promise<Checked> {
  if (isStandardSchema(inputSchema)) {
    const result = await inputSchema["~standard"].validate(args);
    return result.issues === undefined
      ? { ok: true, value: result.value }
      : { ok: false, issues: result.issues.map(standardIssue) };
  }
  const issues = validateAgainstSchema(args, inputSchema as JsonObject);
  return issues.length === 0 ? { ok: true, value: args } : { ok: false, issues };
}

function misfit(issues: readonly OutputIssue[]): string {
  const list = issues.slice(0, 20).map(({ path, message }) => `- ${path}: ${message}`).join("\n");
  return `The arguments do not fit the tool's input schema, so it did not run:\n${list}\n` +
    `Call it again with corrected arguments.`;
}

function failed(text: string, error: unknown): ToolCallOutcome {
  const response = { contentItems: [{ type: "inputText", text }], success: false };
  return { response, error, notice: null };
}
