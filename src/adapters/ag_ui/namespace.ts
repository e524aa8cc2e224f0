/**
 * Codex for clients of AG-UI.
 * @module
 */
export { type AgUiEvent, type AgUiOptions, toEvents } from "./events.ts";
export type { TurnStream } from "../read_turn.ts";
