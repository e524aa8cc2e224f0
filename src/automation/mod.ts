/**
 * Recurring prompts on one prepared session.
 *
 * @module
 */
export * from "./handle.ts";
export * from "./spawn.ts";
export * from "./types.ts";
