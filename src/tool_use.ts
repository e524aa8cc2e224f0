/**
 * Which items are uses of a tool: its name, what it was given, what it gave back.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import type { ThreadItem } from "./thread_item.ts";

/** A tool, and what it is given. */
export interface ToolUse {
  /** Its name. */
  name: string;
  /** What it is given. */
  input: JsonObject;
}

/** How a use of a tool ended. */
export type ToolOutcome = "ok" | "failed" | "declined" | "unfinished";

/** What is no use of a tool. */
const NO_TOOLS: ReadonlySet<string> = new Set([
  "userMessage",
  "hookPrompt",
  "agentMessage",
  "functionCallOutput",
  "plan",
  "reasoning",
  "subAgentActivity",
  "sleep",
  "enteredReviewMode",
  "exitedReviewMode",
  "contextCompaction",
]);

/** The tool that an item uses, under the name that the model knows; an item of a newer codex under its type. */
export function toolOf(item: ThreadItem): ToolUse | null {
  const fields = item as unknown as JsonObject;
  if (NO_TOOLS.has(item.type)) return null;
  switch (item.type) {
    case "commandExecution":
      return {
        name: "shell",
        input: { command: fields["script"] ?? fields["command"], cwd: fields["cwd"] },
      };
    case "fileChange":
      return { name: "apply_patch", input: { changes: fields["changes"] ?? [] } };
    case "mcpToolCall":
      return {
        name: `mcp__${fields["server"]}__${fields["tool"]}`,
        input: objectOr(fields["arguments"]),
      };
    case "dynamicToolCall":
      return { name: String(fields["tool"]), input: objectOr(fields["arguments"]) };
    case "collabAgentToolCall":
      return { name: String(fields["tool"]), input: { prompt: fields["prompt"] ?? null } };
    case "webSearch":
      return { name: "web_search", input: { query: fields["query"] } };
    case "imageView":
      return { name: "view_image", input: { path: fields["path"] } };
    default:
      return { name: item.type, input: {} };
  }
}

function objectOr(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : value === undefined || value === null ? {} : { value };
}

/** Fields that every item has, or that its input tells. */
const NO_OUTPUT: ReadonlySet<string> = new Set([
  "id",
  "type",
  "command",
  "script",
  "cwd",
  "commandActions",
  "changes",
  "arguments",
  "server",
  "tool",
  "query",
  "prompt",
  "processId",
  "source",
  "startedAtMs",
  "completedAtMs",
]);

/** What an item gave back, and how it ended. */
export function outcomeOf(item: ThreadItem): { output: JsonObject; outcome: ToolOutcome } {
  const { aggregatedOutput, ...fields } = item as unknown as JsonObject;
  const output: JsonObject = {};
  if (typeof aggregatedOutput === "string") output["output"] = aggregatedOutput;
  for (const [name, value] of Object.entries(fields)) {
    if (!NO_OUTPUT.has(name) && value !== undefined && value !== null) output[name] = value;
  }
  const { status } = fields;
  const outcome = status === "declined"
    ? "declined"
    : status === "failed" || fields["success"] === false || isJsonObject(fields["error"])
    ? "failed"
    : "ok";
  return { output, outcome };
}
