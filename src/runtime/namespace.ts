/**
 * One connection to one codex: raw requests, every message as an event, state and metrics.
 *
 * @module
 */
export * from "./runtime.ts";
export * from "./diagnose/diagnose.ts";
export * from "./log/jsonl_file_sink.ts";
export type * from "./config.ts";
export type * from "./diagnose/diagnosis_types.ts";
export type * from "./log/event_envelope.ts";
export type * from "./log/event_sink.ts";
export type * from "./runtime_types.ts";
export type * from "./state/state_types.ts";
