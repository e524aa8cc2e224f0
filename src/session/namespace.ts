/**
 * Clients, sessions and streams.
 * @module
 */
import { checkOptions } from "../check/mod.ts";
import { type DynamicTool, TOOL, type ToolDefinition } from "./prompt/tools.ts";

export { Client, type PendingApprovals } from "./client/client.ts";
export { Session } from "./session.ts";
export { PromptRunStream } from "./prompt/prompt_run_stream.ts";
export type {
  DynamicTool,
  ToolArguments,
  ToolContent,
  ToolContext,
  ToolDefinition,
  ToolImage,
  ToolResult,
  ToolText,
} from "./prompt/tools.ts";
export type { McpCommandServer, McpServer, McpUrlServer } from "./mcp/servers.ts";
export type { Login, LoginOptions, LoginRequest } from "./client/login.ts";
export type { McpCallResult, McpServerStatus, McpTool, SessionMcp } from "./mcp/session_mcp.ts";
export type { FromJsonSchema } from "./output/from_json_schema.ts";
export type * from "./profile.ts";
export type * from "./output/standard_schema.ts";
export type * from "./events/session_event.ts";
export { GoalRun } from "./thread/goal_run.ts";
export type { ForkPoint } from "./thread/fork_point.ts";
export type { SampleOptions, SampleResult } from "./thread/sample.ts";
export type * from "./turn/turn_event.ts";
export type * from "./turn/turn_result.ts";
export type {
  Account,
  Model,
  RateLimits,
  RateLimitWindow,
  ReadThreadOptions,
  ThreadFilter,
  ThreadSnapshot,
  ThreadSummary,
  TurnSnapshot,
} from "./client/threads.ts";
export type { ItemsOptions, TurnItem, TurnsOptions } from "./history/pages.ts";
export { FileThreadStore, MemoryThreadStore } from "./history/file_thread_store.ts";
export { KvThreadStore, type KvThreadStoreOptions } from "./history/kv_thread_store.ts";
export type { ThreadStore } from "./history/thread_store.ts";
export type { SearchOptions, TextHit, ThreadHit } from "./history/search.ts";

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
