/**
 * Every error this library throws, each with a stable `code`.
 *
 * Messages say what failed, what was received and what to do. They never hold prompts, answers or secrets.
 * @module
 */
export * from "./errors/codex_error.ts";
export * from "./errors/connection_errors.ts";
export * from "./errors/request_errors.ts";
export * from "./errors/policy_errors.ts";
export * from "./errors/turn_errors.ts";
export * from "./errors/domain_errors.ts";
