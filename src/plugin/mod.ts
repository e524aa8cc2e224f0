/**
 * What other rooms may use of `plugin`.
 *
 * @module
 */
export { HookRun, type HookToolInput, type PatchedInput } from "./hook_run.ts";
export { hooksKind } from "./validate.ts";
export { hasToolHooks, mergeHooks } from "./matcher.ts";
export type { HookReport, Hooks } from "./types.ts";
