/**
 * What the bridge tells browsers that speak the AI SDK's language.
 * @module
 */
export { messageOf, type UIChunk, UIChunks, type UIMessageData } from "./ui_message.ts";
export { TurnParts } from "../turn_parts.ts";
