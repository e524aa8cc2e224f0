/**
 * Recurring prompts on one prepared session.
 *
 * @module
 */
export * from "./automation.ts";
export type * from "./types.ts";
