/**
 * The words of AG-UI.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";

/** An event of AG-UI 1.0, in its own words. Switch on `type`. */
export type AgUiEvent =
  | { type: "RUN_STARTED"; threadId: string; runId: string; protocolVersion: "1.0" }
  | { type: "TEXT_MESSAGE_START"; messageId: string; role: "assistant" }
  | { type: "TEXT_MESSAGE_CONTENT"; messageId: string; delta: string }
  | { type: "TEXT_MESSAGE_END"; messageId: string }
  | { type: "REASONING_START"; messageId: string }
  | { type: "REASONING_MESSAGE_START"; messageId: string; role: "reasoning" }
  | { type: "REASONING_MESSAGE_CONTENT"; messageId: string; delta: string }
  | { type: "REASONING_MESSAGE_END"; messageId: string }
  | { type: "REASONING_END"; messageId: string }
  | { type: "TOOL_CALL_START"; toolCallId: string; toolCallName: string }
  | { type: "TOOL_CALL_ARGS"; toolCallId: string; delta: string }
  | { type: "TOOL_CALL_END"; toolCallId: string }
  | {
    type: "TOOL_CALL_RESULT";
    messageId: string;
    toolCallId: string;
    content: string;
    role: "tool";
  }
  | {
    type: "ACTIVITY_SNAPSHOT";
    messageId: string;
    activityType: string;
    content: JsonObject;
    replace: true;
  }
  | { type: "CUSTOM"; name: string; value: JsonValue }
  | {
    type: "RUN_FINISHED";
    threadId: string;
    runId: string;
    outcome: { type: "success" | "cancelled" };
    usage: JsonObject[];
  }
  | { type: "RUN_ERROR"; message: string; code: string };

/** How {@linkcode toEvents} names the run. */
export interface AgUiOptions {
  /** The client's name of the conversation. Default: codex's thread. */
  threadId?: string;
  /** The client's name of the run. Default: codex's turn. */
  runId?: string;
}
