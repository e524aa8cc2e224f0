/**
 * Tools that run in this process when the model calls them.
 * @module
 */
import {
  callback,
  checkOptions,
  either,
  jsonObject,
  type Kind,
  kind,
  kindOf,
  memberPath,
  object,
  record,
  required,
  type Shape,
  shape,
  text,
  validateAgainstSchema,
} from "../../check/mod.ts";
import { InvalidArgumentError, messageOf, type OutputIssue } from "../../errors/mod.ts";
import { base64, defined, type JsonObject, type JsonSchema, type JsonValue } from "../../json.ts";
import type { FromJsonSchema } from "../output/from_json_schema.ts";
import type { InferOutput, StandardSchemaV1 } from "../output/standard_schema.ts";
import { convert, isStandardSchema, standardIssue } from "../output/structured_output.ts";
import { sharedBuiltin } from "../../platform/mod.ts";

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
  /** Aborted when the turn ends before the tool does. */
  signal: AbortSignal;
  /** The thread whose model called. */
  threadId: string;
  /** The turn whose model called. */
  turnId: string;
  /** The call. */
  callId: string;
}

/** What a tool may give back to show parts of its own choice. */
export interface ToolResult {
  /** The parts, in order. */
  content: ToolContent[];
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
  { ...jsonObject, accepts: "a JSON Schema object" },
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
  input_schema: "inputSchema",
  schema: "inputSchema",
  name: "The key in `tools` is the tool's name: `tools: { name: { … } }`.",
});

/** Names that the model knows as codex's own tools: codex 0.169 runs its own, 0.104 offers both. */
const TAKEN: ReadonlySet<string> = new Set([
  "apply_patch",
  "exec_command",
  "local_shell",
  "shell",
  "shell_command",
  "update_plan",
  "view_image",
  "write_stdin",
]);

/** The tools of a profile, by name. Names are those that the model's provider takes. */
export const toolsKind: Kind = {
  accepts: "an object of tools { description, inputSchema, run } by name",
  types: ["object"],
  misfit: (value, path) => {
    const { accepts } = toolsKind;
    const tools = record(object(TOOL)).misfit(value, path);
    if (tools !== null) {
      return tools.path === path && Array.isArray(value)
        ? { ...tools, accepts, hint: "Write `tools: { name: { description, inputSchema, run } }`." }
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

/**
 * Makes a tool whose `run` gets arguments of the schema's own type, checked before it runs.
 *
 * ```ts ignore
 * const add = tool({
 *   description: "Adds two numbers",
 *   inputSchema: z.object({ a: z.number(), b: z.number() }),
 *   run: ({ a, b }) => a + b,
 * });
 * const session = await client.startSession({ cwd, tools: { add } });
 * ```
 */
export function tool<const Schema extends object>(definition: ToolDefinition<Schema>): DynamicTool {
  checkOptions("tool", definition, TOOL);
  return definition;
}

/** The JSON Schema of a tool's arguments, for the model. Throws `InvalidArgumentError` where there is none. */
export function toolSchema(name: string, { inputSchema }: DynamicTool): JsonObject {
  if (!isStandardSchema(inputSchema)) return inputSchema as JsonObject;
  const { schema, problem } = convert(inputSchema);
  if (schema !== null) return schema;
  throw new InvalidArgumentError("tools", {
    argument: `${name}.inputSchema`,
    received: "a schema without a JSON Schema",
    accepts: "a schema that can be converted to JSON Schema",
    hint: `${problem}. Give a JSON Schema instead.`,
  });
}

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

// What a tool's result is to the model.

/**
 * Characters of one result that are sent. Codex shows the model about 12,000 of them and takes seconds for each million
 * (0.169.0: 1.8 s), so more is lost time.
 */
export const MAX_TOOL_TEXT = 200_000;

/** Characters of one image; no model takes larger ones. */
const MAX_IMAGE_CHARACTERS = 30_000_000;

/** A result in the server's shape, and what its author should know of it. */
export interface ShapedResult {
  /** The answer to the server. */
  response: JsonObject;
  /** What was changed about it, or `null`. */
  notice: string | null;
}

/** Shapes what a tool gave back. Throws when it can't be shown. */
function shapeResult(output: unknown): ShapedResult {
  const parts: ToolContent[] = isToolResult(output)
    ? output.content.map(checkPart)
    : [{ type: "text", text: textOf(output) }];
  const success = isToolResult(output) ? output.success ?? true : true;
  if (typeof success !== "boolean") throw new TypeError(`success is ${kindOf(success)}`);
  let left = MAX_TOOL_TEXT;
  let cut = 0;
  const contentItems = parts.map((part) => {
    if (part.type === "image") return { type: "inputImage", imageUrl: part.url };
    const { length } = part.text;
    const shown = Math.min(length, left);
    left -= shown;
    cut += length - shown;
    return {
      type: "inputText",
      text: shown === length
        ? part.text
        : `${part.text.slice(0, shown)}\n[cut here: ${
          length - shown
        } of ${length} characters are left out]`,
    };
  });
  const notice = cut === 0
    ? null
    : `gave back more than ${MAX_TOOL_TEXT} characters; ${cut} were left out`;
  return { response: { contentItems, success }, notice };
}

function isToolResult(output: unknown): output is ToolResult {
  const content = (output as Partial<ToolResult> | null | undefined)?.content;
  return typeof output === "object" && Array.isArray(content) &&
    content.every((part) => part?.type === "text" || part?.type === "image");
}

function checkPart(part: ToolContent, index: number): ToolContent {
  const [key, value]: [string, unknown] = part.type === "text"
    ? ["text", part.text]
    : ["url", part.url];
  if (typeof value !== "string") {
    throw new TypeError(`content[${index}].${key} must be a string, received ${kindOf(value)}`);
  }
  if (part.type === "image" && value.length > MAX_IMAGE_CHARACTERS) {
    throw new TypeError(`content[${index}] is an image of more than ${MAX_IMAGE_CHARACTERS} bytes`);
  }
  return part;
}

/** The text of any value: strings as they are, the rest as JSON, with a text for what JSON lacks. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === undefined) return "";
  if (typeof value === "function" || typeof value === "symbol") {
    throw new TypeError(`it gave back ${kindOf(value)}, which has no text`);
  }
  const above: { plain: object; member: unknown }[] = [];
  const text = JSON.stringify(value, function (this: unknown, key: string, said: unknown) {
    // What `toJSON` made of it is in `said`; the holder still has the thing itself.
    const member = (this as Record<string, unknown>)[key];
    while (above.length > 0 && above.at(-1)!.plain !== this) above.pop();
    const plain = plainOf(member, said);
    if (typeof plain !== "object" || plain === null) return plain;
    if (above.some((each) => each.member === member || each.plain === plain)) return "[circular]";
    above.push({ plain, member });
    return plain;
  });
  if (text === undefined) throw new TypeError("its toJSON() gave nothing back");
  return text;
}

/** A value in terms of JSON, one level deep. */
function plainOf(member: unknown, said: unknown): unknown {
  if (typeof said === "bigint" || typeof said === "symbol") return String(said);
  if (typeof said === "number" && !Number.isFinite(said)) return String(said);
  if (member instanceof Date && Number.isNaN(member.getTime())) return "Invalid Date";
  if (typeof said !== "object" || said === null) return said;
  if (said instanceof Map) {
    const entries = [...said];
    return entries.every(([key]) => typeof key === "string")
      ? Object.fromEntries(entries)
      : entries;
  }
  if (said instanceof Set) return [...said];
  if (said instanceof Error) {
    const { name, message, cause } = said;
    return { name, message, ...defined({ cause }) };
  }
  if (said instanceof RegExp) return String(said);
  if (said instanceof ArrayBuffer) return base64(new Uint8Array(said));
  if (ArrayBuffer.isView(said)) {
    return base64(new Uint8Array(said.buffer, said.byteOffset, said.byteLength));
  }
  return said;
}

// Whether a call comes from within a session's own tool, hook or handler. A prompt asked there would wait for its turn,
// which waits for them.

/** A call that a session waits for. */
interface Scope {
  session: object;
  open: boolean;
}

/** The part of Node's `AsyncLocalStorage` that is used; Deno and Bun have it as well. */
interface Storage {
  run<T>(value: readonly Scope[], call: () => T): T;
  getStore(): readonly Scope[] | undefined;
}

let storage: Storage | null | undefined;

/** Runs what a session waits for, so that {@linkcode assertNotWaitedFor} knows what that calls. */
export async function whileWaiting<T>(session: object, call: () => T | Promise<T>): Promise<T> {
  storage ??= makeStorage();
  if (storage === null) return await call();
  const scope = { session, open: true };
  try {
    // Through what another session waits for as well: that one waits, too.
    return await storage.run([...storage.getStore() ?? [], scope], call);
  } finally {
    // What was begun there and goes on later is waited for by nobody.
    scope.open = false;
  }
}

/** Throws when this session waits for what is being called, as far as the runtime can tell: each would wait for the other. */
export function assertNotWaitedFor(session: object): void {
  const scopes = storage?.getStore() ?? [];
  if (!scopes.some((scope) => scope.open && scope.session === session)) return;
  throw new InvalidArgumentError("ask", {
    argument: "session",
    received: "the one that waits for what asks",
    accepts: "another session",
    sentence: "a tool, a hook or a handler asked the session that waits for it",
    hint: "Ask another session, or answer first.",
  }, { data: { reason: "askInOwnTool" } });
}

function makeStorage(): Storage | null {
  const hooks = sharedBuiltin<{ AsyncLocalStorage: new () => Storage }>("async_hooks");
  return hooks === null ? null : new hooks.AsyncLocalStorage();
}
