/**
 * Clients, sessions and streams.
 * @module
 */
export { Client, type PendingApprovals } from "./client/client.ts";
export { Session } from "./session.ts";
export { PromptRunStream } from "./prompt/prompt_run_stream.ts";
export {
  type DynamicTool,
  tool,
  type ToolArguments,
  type ToolContent,
  type ToolContext,
  type ToolDefinition,
  type ToolImage,
  type ToolResult,
  type ToolText,
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
export { FileThreadStore } from "./history/file_thread_store.ts";
export { KvThreadStore, type KvThreadStoreOptions } from "./history/kv_thread_store.ts";
export { MemoryThreadStore, type ThreadStore } from "./history/thread_store.ts";
export type { SearchOptions, TextHit, ThreadHit } from "./history/search.ts";
