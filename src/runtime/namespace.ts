/**
 * One connection to one codex: raw requests, every message as an event, state and metrics.
 *
 * ```ts ignore
 * import { runtime } from "@codex/runtime";
 *
 * const connection = await runtime.Runtime.spawn();
 * for await (const event of connection.events({ after: 0 })) console.log(event.seq, event.method);
 * ```
 *
 * @module
 */
export { type RequestOptions, Runtime } from "./runtime.ts";
export type { ConnectionState, ShutdownReport } from "./core.ts";
export type * from "./config.ts";
export type * from "./log/event_envelope.ts";
export type * from "./log/event_sink.ts";
export { JsonlFileSink, type JsonlFileSinkOptions } from "./log/jsonl_file_sink.ts";
export type { EventFilter } from "./log/event_log.ts";
export type { ServerInfo } from "./handshake.ts";
export type { LatencySummary, RuntimeMetrics } from "./metrics.ts";
export { diagnose } from "./diagnose/diagnose.ts";
export type * from "./diagnose/diagnosis_types.ts";
export type { ItemState, RuntimeState, ThreadState, TurnState } from "./state/state_types.ts";
