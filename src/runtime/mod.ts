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
export type { ConnectionState, ShutdownReport } from "./_core.ts";
export type * from "./config.ts";
export type * from "./event_envelope.ts";
export type * from "./event_sink.ts";
export { JsonlFileSink, type JsonlFileSinkOptions } from "./jsonl_file_sink.ts";
export type { EventFilter } from "./event_log.ts";
export type { ServerInfo } from "./handshake.ts";
export type { LatencySummary, RuntimeMetrics } from "./metrics.ts";
export type { ItemState, RuntimeState, ThreadState, TurnState } from "./state.ts";
export { diagnose } from "./diagnose.ts";
export type * from "./_diagnosis_types.ts";
