/**
 * What other rooms may use of `protocol`: the generated types, the methods, and the checks of what goes out and comes in.
 *
 * @module
 */
export type * from "./generated/types.ts";
export { featureSince, isRefusal, servedMethods, supports } from "./dialect.ts";
export { DELTAS, type DeltaTarget } from "./deltas.ts";
export { findExperimental } from "./experimental.ts";
export { methodInfo, methodsOfKind } from "./methods.ts";
export { validateParams, validateResult, validateServerRequestResult } from "./validator.ts";
export { experimentalRpcMethods, rpcMethods } from "./methods.ts";
