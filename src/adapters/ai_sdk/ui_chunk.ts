/**
 * The pieces of a message of the AI SDK's user interfaces.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import type { ModelMetadata } from "./model_types.ts";

/** A piece of a message, as `useChat` reads it. */
export type UIChunk =
  | { type: "start"; messageId: string; messageMetadata: JsonObject }
  | { type: "start-step" }
  | { type: "text-start"; id: string; providerMetadata: ModelMetadata }
  | { type: "text-delta"; id: string; delta: string }
  | { type: "text-end"; id: string }
  | { type: "reasoning-start"; id: string; providerMetadata: ModelMetadata }
  | { type: "reasoning-delta"; id: string; delta: string }
  | { type: "reasoning-end"; id: string }
  | {
    type: "tool-input-available";
    toolCallId: string;
    toolName: string;
    input: JsonObject;
    providerExecuted: true;
    dynamic: true;
    providerMetadata: ModelMetadata;
  }
  | { type: "tool-approval-request"; approvalId: string; toolCallId: string; reason?: string }
  | { type: "tool-approval-response"; approvalId: string; approved: boolean; reason?: string }
  | {
    type: "tool-output-available";
    toolCallId: string;
    output: JsonObject;
    providerExecuted: true;
    dynamic: true;
  }
  | {
    type: "tool-output-error";
    toolCallId: string;
    errorText: string;
    providerExecuted: true;
    dynamic: true;
  }
  | { type: "tool-output-denied"; toolCallId: string }
  | { type: "steering-message"; id: string; parts: { type: "text"; text: string }[] }
  | { type: "data-plan"; id: string; data: JsonValue }
  | { type: "data-notice"; data: JsonValue; transient: true }
  | { type: "data-command-output"; data: JsonValue; transient: true }
  | { type: "error"; errorText: string }
  | { type: "finish-step" }
  | {
    type: "finish";
    finishReason: "stop" | "interrupted" | "error";
    messageMetadata: JsonObject;
  };
