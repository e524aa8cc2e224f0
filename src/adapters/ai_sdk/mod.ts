/**
 * What the bridge tells browsers that speak the AI SDK's language.
 * @module
 */
export type { UIChunk } from "./ui_chunk.ts";
export { messageOf, UIChunks, type UIMessageData } from "./ui_message.ts";
export { TurnParts } from "../turn_parts.ts";
