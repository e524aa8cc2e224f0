/**
 * What the agent may do: what was asked, cut down to what this script may do itself.
 *
 * @module
 */
export { effectivePolicy } from "./policy/effective_policy.ts";
export type { NamedNeed, NetNeed, PathNeed, PermissionNeed } from "./need.ts";
export type { EffectivePolicy, PolicyFacts, PolicyRequest, RulesFile } from "./policy/policy.ts";
export { hostProbe, unrestrictedProbe } from "./probe.ts";
export type { PermissionProbe } from "./probe.ts";
export { SECRET_VARIABLES } from "../redact.ts";
export type * from "./types.ts";
