/**
 * Who answers the server's questions: rules, handlers, hooks, time limits, and the right shape for each answer.
 * @module
 */
export * from "./answers/answer_shapes.ts";
export * from "./answers/answers.ts";
export * from "./broker/broker.ts";
export * from "./rules/check_rules.ts";
export { parseCommandLine } from "../shell/command_line.ts";
export * from "./rules/decide.ts";
export * from "./broker/gate.ts";
export * from "./request/parse_request.ts";
export * from "./request/proposed_changes.ts";
export type * from "./request/types.ts";
