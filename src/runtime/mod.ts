/**
 * What other rooms may use of `runtime`.
 *
 * @module
 */
export type { ClientConfig, CustomTransportConfig } from "./config.ts";
export { RUNTIME_CONFIG, settingsKind } from "./config_shape.ts";
export type { RuntimeCore } from "./core.ts";
export type { RequestOptions } from "./runtime.ts";
export { coreOf, guardCall, Runtime } from "./runtime.ts";
export type { ServerInfo } from "./runtime_types.ts";
export { readRulesFiles } from "./diagnose/rules_files.ts";
export { isAttached, isRemote, transportFactory } from "./launch.ts";
