/**
 * Codex for the AI SDK (npm `ai` 7).
 * @module
 */
export { type CodexModel, codexModel, type CodexModelOptions } from "./codex_model.ts";
export type { ModelClient, ModelSession, ModelTurn } from "./kept_sessions.ts";
export { type CallErrorKind, ModelCallError, type ModelCallErrorOptions } from "./call_error.ts";
export type * from "./model_types.ts";
export { toUIMessageStream, type UIChunk } from "./ui_message.ts";
export type { TurnStream } from "../read_turn.ts";
