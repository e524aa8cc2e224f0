/**
 * What other rooms may use of `runtime`.
 *
 * @module
 */
export type { ClientConfig, CustomTransportConfig } from "./config.ts";
export type { RuntimeCore } from "./core.ts";
export type { ThreadRoute } from "./thread_routes.ts";
export type { RequestOptions, Runtime } from "./runtime.ts";

export { coreOf } from "./core_of.ts";
export { spawnCore } from "./spawn.ts";
export type { EventEnvelope } from "./log/event_envelope.ts";
export type { ServerInfo } from "./runtime_types.ts";
export { codexHome, configuredHome, readHomeFile, readRulesFiles } from "./diagnose/evidence.ts";
export { transportFactory } from "./connect/connect.ts";
export { codexEnv, DEFAULTS, isAttached, isRemote } from "./defaults.ts";
