/**
 * What other rooms may use of `plugin`.
 *
 * @module
 */
export { HookRun, type HookToolInput, type HookVerdict, type PatchedInput } from "./hook_run.ts";
export { hasToolHooks, HOOK_FILES, joinHooks, mergeHooks } from "./validate.ts";
export type { HookReport, Hooks } from "./types.ts";
