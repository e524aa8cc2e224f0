/**
 * What other rooms may use of `protocol`: the generated types, the methods, and the checks of what goes out and comes in.
 *
 * @module
 */
export type * from "./generated/types.ts";
export type { DeltaTarget } from "./dialect.ts";
export {
  adviceFor,
  DELTAS,
  type Feature,
  featureSince,
  isNoise,
  isRefusal,
  type Refusal,
  SCRIPTED_MODEL,
  servedMethods,
  supports,
} from "./dialect.ts";
export {
  findExperimental,
  validateParams,
  validateResult,
  validateServerRequestResult,
} from "./validator.ts";
export { experimentalRpcMethods, methodInfo, methodsOfKind, rpcMethods } from "./table.ts";
