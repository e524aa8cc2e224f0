/**
 * What other rooms may use of `runtime`.
 *
 * @module
 */
export type { ClientConfig, CustomTransportConfig } from "./config.ts";
export { RUNTIME_CONFIG, settingsKind } from "./config_shape.ts";
export type { RuntimeCore } from "./core.ts";
export { coreOf } from "./core_of.ts";
export { guardCall } from "./guard_call.ts";
export type { ServerInfo } from "./runtime_types.ts";
export { readRulesFiles } from "./diagnose/rules_files.ts";
export { isAttached, isRemote, transportFactory } from "./launch.ts";
export { type RequestOptions, Runtime } from "./runtime.ts";
