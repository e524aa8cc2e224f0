/**
 * What other rooms may use of `plugin`.
 *
 * @module
 */
export { HookRun, type HookToolInput, type PatchedInput } from "./hook_run.ts";
export { hooksKind } from "./hooks_kind.ts";
export { hasToolHooks, mergeHooks } from "./merge.ts";
export type { HookReport, Hooks } from "./types.ts";
