/**
 * What other rooms may use of `permissions`.
 *
 * @module
 */
export {
  sessionSettings,
  trustOf,
  withoutReachingTools,
  withoutTerminals,
  withShellEnvironment,
} from "./config/session_settings.ts";
export type { WorkspaceRequest } from "./guard/approval_guard.ts";
export { normalizeSandbox, privilegeRefusal } from "./guard/privileges.ts";
export {
  type ConfigJudge,
  loadAcceptanceGuard,
  loadConfigJudge,
  loadedMethodGate,
  loadMethodGate,
  loadServerFiles,
} from "./load_judges.ts";
export { EVERYTHING, flagsFor, missingNeeds, type PermissionNeed } from "./need.ts";
export { compareEcho, confirmPolicy, workspaceRootsBeyond } from "./policy/compare_echo.ts";
export { effectivePolicy, recheckPolicy } from "./policy/effective_policy.ts";
export type { EffectivePolicy, PolicyFacts, RulesFile } from "./policy/policy.ts";
export type { ServerFiles, ThreadPolicyParams } from "./policy/profile_config.ts";
export {
  addsOwnRoot,
  codexHomeOfThread,
  containmentAdvice,
  ownRootIn,
  rootAroundHome,
  threadPolicyParams,
  turnPolicyParams,
  usesProfile,
} from "./policy/profile_config.ts";
export type { PermissionProbe } from "./probe.ts";
export { hostProbe, realPathOf, unrestrictedProbe } from "./probe.ts";
export type {
  ApprovalPolicy,
  ExternalSandboxPolicy,
  GranularApprovalPolicy,
  ReadOnlyPolicy,
  SandboxMode,
  SandboxPolicy,
  WorkspaceWritePolicy,
} from "./types.ts";
