/**
 * What other rooms may use of `session`, once codex is there.
 * @module
 */
export type * from "./namespace.ts";
export { layerProfile, sandboxOf, workingDirectory } from "./policy/thread_params.ts";
export { TurnItems } from "./turn/turn_items.ts";
