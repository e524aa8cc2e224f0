/**
 * One call of a tool of this process: its arguments are checked, it runs, and what it gave back is put into words.
 * @module
 */
import type { GateToolCall } from "../../approvals/mod.ts";
import { kindOf } from "../../check/mod.ts";
import { validateAgainstSchema } from "../../schema/mod.ts";
import { messageOf, type OutputIssue, shorten } from "../../errors/mod.ts";
import { base64, defined, type JsonObject, type JsonValue } from "../../json.ts";
import type { HookToolInput } from "../../plugin/mod.ts";
import { supports } from "../../protocol/mod.ts";
import { redactText } from "../../redact.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import type { Turn } from "../turn/turn.ts";
import { isStandardSchema, standardIssue } from "../output/convert_schema.ts";
import type { DynamicTool, ToolContent, ToolContext, ToolResult } from "./tools.ts";

/** What became of a call. */
export interface ToolCallOutcome {
  /** The answer to the server. */
  response: JsonObject;
  /** What the tool threw, without what looks like a secret, or `null`. */
  error: unknown;
  /** What was changed about its result, or `null`. */
  notice: string | null;
}

/** What a session does for a call of one of its tools. */
export interface CallingSession {
  /** Runs what the session waits for. */
  within<T>(run: () => T | Promise<T>): Promise<T>;
  /** Tells whoever listens to the session. */
  warn(message: string): void;
  /** The tool has run: what post-hooks get to know of it where the server makes no item of the call. */
  ran(facts: HookToolInput): void;
}

/** Runs a tool for a call of the server. */
export async function runCall(
  tools: Readonly<Record<string, DynamicTool>>,
  { tool, arguments: args, threadId, turnId, callId }: GateToolCall,
  signal: AbortSignal,
  session: CallingSession,
): Promise<JsonObject> {
  const run = () => runTool(tools, tool, args, { signal, threadId, turnId, callId });
  const { response, error, notice } = await session.within(run);
  if (error !== null) session.warn(`The tool ${tool} failed: ${messageOf(error)}`);
  else if (notice !== null) session.warn(`The tool ${tool} ${notice}.`);
  session.ran({
    threadId,
    turnId,
    toolKind: "dynamicTool",
    toolName: tool,
    toolInput: args,
    toolStatus: response["success"] === true ? "completed" : "failed",
  });
  return response;
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
    if (context.signal.aborted) return failed("The turn has ended.", null);
    return { ...await shapeResult(await tool.run(checked.value, context)), error: null };
  } catch (error) {
    const why = messageOf(error).slice(0, MAX_TOOL_TEXT);
    // A warning tells the script of it, and whoever the script lets listen.
    return failed(`The tool failed: ${why}`, new Error(redactText(why)));
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
  const list = issues.slice(0, 20)
    .map(({ path, message }) => shorten(`- ${path}: ${message}`)).join("\n");
  return `The arguments do not fit the tool's input schema, so it did not run:\n${list}\n` +
    `Call it again with corrected arguments.`;
}

function failed(text: string, error: unknown): ToolCallOutcome {
  const response = { contentItems: [{ type: "inputText", text }], success: false };
  return { response, error, notice: null };
}

/** Counts a call of which the server tells no item, so that the turn's limits hold. */
export function countUntold(
  { namespace }: { namespace: string | null },
  turn: Turn | null,
  { server }: RuntimeCore,
): void {
  // Those that are served over MCP have a namespace, and an item on every version.
  if (namespace !== null || !supports(server.version, "untoldTools")) return;
  turn?.tally.item("dynamicToolCall");
  turn?.meter?.check();
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
async function shapeResult(output: unknown): Promise<ShapedResult> {
  const parts: ToolContent[] = isToolResult(output)
    ? await Promise.all(output.content.map(checkPart))
    : [{ type: "text", text: textOf(output) }];
  const success = isToolResult(output) ? output.success ?? !saysError(output as object) : true;
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

/** Results as MCP has them say it in another word. */
function saysError(output: { isError?: unknown }): boolean {
  return output.isError === true;
}

async function checkPart(part: ToolContent, index: number): Promise<ToolContent> {
  const isText = part.type === "text";
  const value: unknown = isText ? part.text : part.url;
  if (typeof value !== "string") {
    throw new TypeError(
      `content[${index}].${isText ? "text" : "url"} must be a string, received ${kindOf(value)}`,
    );
  }
  if (isText) return part;
  if (value.length > MAX_IMAGE_CHARACTERS) {
    throw new TypeError(`content[${index}] is an image of more than ${MAX_IMAGE_CHARACTERS} bytes`);
  }
  // Codex leaves out what it can't use, and the tool's text along with it.
  const { imageDataUrl } = await import("./media.ts");
  return { ...part, url: await imageDataUrl(value) };
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
    const { name, message, cause, errors } = said as Error & { errors?: unknown };
    return { name, message, ...defined({ cause, errors }) };
  }
  if (said instanceof RegExp || said instanceof BigInt) return String(said);
  if (said instanceof ArrayBuffer) return base64(new Uint8Array(said));
  if (ArrayBuffer.isView(said)) {
    return base64(new Uint8Array(said.buffer, said.byteOffset, said.byteLength));
  }
  refuseOpaque(said);
  return said;
}

const PLAIN: ReadonlySet<string> = new Set(["Object", "Array", "Number", "String", "Boolean"]);

/** Responses, promises, blobs and the like are `{}` as JSON: nobody means to show the model that. */
function refuseOpaque(value: object): void {
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (PLAIN.has(kind) || Object.keys(value).length > 0) return;
  throw new TypeError(`it gave back an object of the kind ${kind}, which has no text`);
}
