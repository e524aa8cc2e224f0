/**
 * Hooks: your code before and after runs, session starts, turns and tool uses.
 *
 * @module
 */
export * from "./matcher.ts";
export * from "./shell_command_hook.ts";
export type * from "./types.ts";
