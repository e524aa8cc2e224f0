/**
 * Drive OpenAI's `codex` from TypeScript: one prompt in one line, sessions that remember, streams, approvals, hooks,
 * automation, and the raw app-server underneath. On Deno, Bun, Node and, by WebSocket, at the edge.
 *
 * ```ts ignore
 * import { quickRun } from "@codex/runtime";
 *
 * const { assistantText } = await quickRun("/srv/app", "Summarize this repo in 3 bullets");
 * console.log(assistantText);
 * ```
 *
 * Start with {@linkcode quickRun} and move down only when you need more: {@linkcode Workflow} for repeated runs in one
 * directory, {@linkcode Client} and {@linkcode Session} for conversations, {@linkcode automation} for recurring prompts,
 * {@linkcode runtime.Runtime} for raw JSON-RPC and events.
 *
 * By default the agent reads and does not write, nobody is asked for approvals, and a turn has two minutes.
 *
 * @module
 */
export { quickRun, type QuickRunOptions, quickRunWithProfile } from "./src/quick_run.ts";
export { Workflow, type WorkflowConfig } from "./src/workflow.ts";
export * from "./src/app_server/mod.ts";
export * from "./src/session/mod.ts";
export * from "./src/errors/mod.ts";
export type * from "./src/json.ts";
export type * from "./src/runtime/mod.ts";
export type * from "./src/transport/transport.ts";
export type * from "./src/permissions/types.ts";
export type { EffectivePolicy } from "./src/permissions/policy/policy.ts";
export type { PermissionProbe } from "./src/permissions/probe.ts";
export type * from "./src/approvals/mod.ts";
export type * from "./src/plugin/types.ts";
export {
  FilteredPostHook,
  FilteredPreHook,
  HookMatcher,
  ShellCommandHook,
} from "./src/plugin/mod.ts";
export type { ThreadStatus, ThreadTokenUsage, Turn, TurnPlanStep } from "./src/protocol/mod.ts";
export { experimentalRpcMethods, rpcMethods } from "./src/protocol/methods.ts";

/** One connection to one codex: raw requests, every message as an event, state and metrics. */
export * as runtime from "./src/runtime/mod.ts";
/** Recurring prompts on one session. */
export * as automation from "./src/automation/mod.ts";
/** Many people's browsers on one codex: a fetch handler with sessions, events and approvals for each tenant. */
export * as web from "./src/web/mod.ts";
/** Documents that an agent writes and edits without losing anyone's work. */
export * as artifact from "./src/artifact/mod.ts";
/** Hooks: what runs before and after runs, sessions, turns and tool uses. */
export * as plugin from "./src/plugin/mod.ts";
/** What a session may do: codex's sandbox and this script's own permissions. */
export * as permissions from "./src/permissions/mod.ts";
/** Tests without an account and without a network: a scripted model for the real codex, connections in memory. */
export * as testing from "./src/testing/mod.ts";
/** Types of everything the server says and can be asked. */
export type * as protocol from "./src/protocol/mod.ts";
