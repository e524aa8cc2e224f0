/**
 * What clients and sessions do. It is loaded while the first codex starts: importing the library loads none of it.
 * @module
 */
export { coreOf } from "../runtime/mod.ts";
export { makePortable, SessionOpener } from "./client/open_session.ts";
export { runOnce } from "./client/run_once.ts";
export {
  callOnReleased,
  listModels,
  readAccount,
  readRateLimits,
  readThread,
} from "./client/threads.ts";
export { assertNotOpen, takeUp } from "./client/open_threads.ts";
export { EventQueue } from "./events/session_events.ts";
export { endable } from "./history/endable.ts";
export { McpCalls } from "./mcp/session_mcp.ts";
export { layerProfile, turnReach } from "./policy/thread_params.ts";
export { toldProfile } from "./policy/told_profile.ts";
export { nextTurn } from "./prompt/next_turn.ts";
export { PromptRun } from "./prompt/prompt_run.ts";
export { SessionThread } from "./session_thread.ts";
export { startGoal } from "./thread/start_goal.ts";
export { sample } from "./thread/sample.ts";
export { compact, review } from "./thread/server_turns.ts";
export { alone } from "./thread/alone.ts";
export { assertSupported } from "./thread/thread_host.ts";
export { assertStopped } from "./turn/stop_turn.ts";
export { UsageLedger } from "./turn/turn_usage.ts";
