/**
 * Who answers the server's questions: rules, handlers, hooks, time limits, and the right shape for each answer.
 * @module
 */
export * from "./answer_shapes.ts";
export * from "./answers.ts";
export * from "./broker.ts";
export * from "./check_rules.ts";
export { parseCommandLine } from "./command_line.ts";
export * from "./decide.ts";
export * from "./gate.ts";
export * from "./parse_request.ts";
export * from "./proposed_changes.ts";
export type * from "./types.ts";
