/**
 * Recurring prompts on one prepared session.
 *
 * @module
 */
export * from "./automation.ts";
export * from "./types.ts";
