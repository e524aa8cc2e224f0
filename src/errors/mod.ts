/**
 * Every error this library throws, each with a stable `code`.
 *
 * Messages say what failed, what was received and what to do. They never hold prompts, answers or secrets.
 * @module
 */
export { CodexError, type CodexErrorOptions, messageOf } from "./codex_error.ts";
export * from "./connection_errors.ts";
export * from "./request_errors.ts";
export * from "./policy_errors.ts";
export * from "./turn_errors.ts";
export * from "./domain_errors.ts";
