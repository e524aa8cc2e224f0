/**
 * What other rooms may use of `protocol`: the generated types and the methods. What few programs need is behind doors of its
 * own: `check_call.ts`, `inventory.ts`, `validator.ts`.
 *
 * @module
 */
import type * as wire from "./generated/types.ts";

export type * from "./generated/types.ts";

// Those of the generated types that are public by name, with what the schema does not say.

/** One turn of a thread, as the server tells it. */
export type Turn = wire.Turn;

/** A step of the agent's plan, and how far it is. */
export type TurnPlanStep = wire.TurnPlanStep;

/** What a thread is doing: not loaded, idle, active, or broken. */
export type ThreadStatus = wire.ThreadStatus;

/** Tokens of a thread: of the last call of the model, and all together. */
export type ThreadTokenUsage = wire.ThreadTokenUsage;

export type { DeltaTarget } from "./dialect.ts";
export {
  activeInstead,
  adviceFor,
  compareVersions,
  DELTAS,
  type Feature,
  featureSince,
  isNoise,
  isRefusal,
  LIBRARY_VERSION,
  lostStartRace,
  mcpFailure,
  MIN_CODEX_VERSION,
  type Refusal,
  SCRIPTED_MODEL,
  servedMethods,
  supports,
  versionInUserAgent,
} from "./dialect.ts";
export { experimentalRpcMethods, rpcMethods } from "./generated/methods.ts";
