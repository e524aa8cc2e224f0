/**
 * The types of the codex app-server protocol: every method's parameters and result, and every named type in them.
 *
 * @module
 */
export type * from "./generated/types.ts";
