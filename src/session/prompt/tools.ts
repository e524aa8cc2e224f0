/**
 * Tools that run in this process when the model calls them: what they are.
 * @module
 */
import {
  callback,
  either,
  jsonObject,
  type Kind,
  kind,
  memberPath,
  object,
  record,
  required,
  type Shape,
  shape,
  text,
} from "../../check/mod.ts";
import type { JsonSchema } from "../../json.ts";
import type { FromJsonSchema } from "../output/from_json_schema.ts";
import type { InferOutput, StandardSchemaV1 } from "../output/standard_schema.ts";
import { isStandardSchema } from "../output/convert_schema.ts";

/** A tool that runs in this process. */
export interface DynamicTool {
  /** What it does, for the model. */
  description: string;
  /**
   * What its arguments are: a Standard Schema (zod, valibot, arktype …) or a JSON Schema. Arguments that do not fit go
   * back to the model with the reason; the tool does not run.
   */
  inputSchema: StandardSchemaV1 | JsonSchema;
  /**
   * Runs the tool. A string is shown to the model as it is, a {@linkcode ToolResult} as its parts, anything else as
   * JSON: `Map` and `Set` with what they hold, `Error` with name and message, bytes as base64, BigInt as digits. More than
   * 200,000 characters are cut, with a note for the model and a `warning` event. A throw tells the model that the tool
   * failed.
   */
  run(
    // deno-lint-ignore no-explicit-any
    args: any,
    context: ToolContext,
  ): unknown;
}

/** What a running tool knows. */
export interface ToolContext {
  /**
   * Aborted when the turn ends before the tool does, or the connection does. A server that was attached to goes on when the
   * connection to it is lost, and so does the tool while the turn may be resumed (see `restart`).
   */
  signal: AbortSignal;
  /** The thread whose model called. */
  threadId: string;
  /** The turn whose model called. */
  turnId: string;
  /**
   * The call, by a name that the model may use again, in the same turn too. A tool runs once for each call: one that a server
   * which was attached to makes again, because the answer was lost with the connection, is answered by the run that there was.
   */
  callId: string;
}

/** What a tool may give back to show parts of its own choice. */
export interface ToolResult {
  /** The parts, in order. */
  content: readonly ToolContent[];
  /** Whether the call went well. Default `true`. */
  success?: boolean;
}

/** One part of a tool's answer. */
export type ToolContent = ToolText | ToolImage;

/** Text of a tool's answer. */
export interface ToolText {
  /** Discriminator. */
  type: "text";
  /** The text. */
  text: string;
}

/** An image of a tool's answer. */
export interface ToolImage {
  /** Discriminator. */
  type: "image";
  /** A `data:` URL. */
  url: string;
}

/** A tool as {@linkcode tool} takes it; the type of the arguments is that of the schema. */
export interface ToolDefinition<Schema extends object> {
  /** What it does, for the model. */
  description: string;
  /** What its arguments are: a Standard Schema or a JSON Schema. */
  inputSchema: Schema;
  /** Runs the tool; see {@linkcode DynamicTool.run}. */
  run(args: ToolArguments<Schema>, context: ToolContext): unknown;
}

/** The arguments that a schema stands for. */
export type ToolArguments<Schema> = Schema extends StandardSchemaV1 ? InferOutput<Schema>
  : FromJsonSchema<Schema>;

/** A schema of a library, or a JSON Schema. */
const schemaKind: Kind = either(
  kind("a Standard Schema (zod, valibot, arktype …)", ["object", "function"], isStandardSchema),
  { ...jsonObject, accepts: () => "a JSON Schema object" },
);

/** What a tool may be. */
export const TOOL: Shape = shape<DynamicTool>({
  description: required(text),
  inputSchema: required(schemaKind),
  run: required(callback),
}, {
  execute: "run",
  handler: "run",
  invoke: "run",
  func: "run",
  parameters: "inputSchema",
  schema: "inputSchema",
  name: "The key in `tools` is the tool's name: `tools: { name: { … } }`.",
});

/**
 * Names that the model knows as codex's own tools: codex 0.169 runs its own, 0.104 offers both. Those of goals are there as long
 * as one is worked on.
 */
const TAKEN: ReadonlySet<string> = new Set([
  "apply_patch",
  "create_goal",
  "exec_command",
  "get_goal",
  "local_shell",
  "request_user_input",
  "shell",
  "shell_command",
  "update_goal",
  "update_plan",
  "view_image",
  "write_stdin",
]);

/** The tools of a profile, by name. Names are those that the model's provider takes. */
export const toolsKind: Kind = {
  ...kind("an object of tools { description, inputSchema, run } by name", ["object"]),
  misfit: (value, path) => {
    const tools = record(object(TOOL)).misfit(value, path);
    if (tools !== null) {
      return tools.path === path && Array.isArray(value)
        ? {
          ...tools,
          accepts: toolsKind.accepts(),
          hint: "Write `tools: { name: { description, inputSchema, run } }`.",
        }
        : tools;
    }
    for (const name of Object.keys(value as object)) {
      const problem = nameProblem(name);
      if (problem !== null) {
        return { path: memberPath(path, name.slice(0, 40)), received: problem, accepts: NAMES };
      }
    }
    return null;
  },
};

const NAMES = "named with 1 to 128 letters, digits, `_` and `-`, and not like a tool of codex";

function nameProblem(name: string): string | null {
  if (TAKEN.has(name)) return "the name of a tool that codex has itself";
  if (name.startsWith("mcp__")) return "a name that begins like those of MCP servers";
  return /^[A-Za-z0-9_-]{1,128}$/.test(name) ? null : "another name";
}
