/**
 * What other rooms may use of `permissions`.
 *
 * @module
 */
export { configRefusal } from "./config/config_needs.ts";
export { allowedByRules, type RulesFile } from "./config/rules_file.ts";
export { sessionSettings, trustOf } from "./config/session_settings.ts";
export { withShellEnvironment } from "./config/shell_environment.ts";
export { guardAcceptance } from "./guard/approval_guard.ts";
export { leavesWorkspace } from "./guard/workspace_guard.ts";
export { normalizeSandbox, privilegeRefusal } from "./guard/gate.ts";
export { gateMethod } from "./guard/method_gate.ts";
export { approvalPolicyKind, sandboxKind } from "./kinds.ts";
export { flagsFor, missingNeeds, type PermissionNeed } from "./need.ts";
export { confirmPolicy } from "./policy/compare_echo.ts";
export {
  effectivePolicy,
  recheckPolicy,
  workspaceReadsRefusal,
} from "./policy/effective_policy.ts";
export type { EffectivePolicy, PolicyFacts } from "./policy/policy.ts";
export {
  type ThreadPolicyParams,
  threadPolicyParams,
  turnPolicyParams,
  usesProfile,
} from "./policy/profile_config.ts";
export {
  addsOwnRoot,
  codexHomeOfThread,
  findServerFiles,
  ownRootIn,
  type ServerFiles,
} from "./policy/server_files.ts";
export { hostProbe, type PermissionProbe, unrestrictedProbe } from "./probe.ts";
export { realPathOf } from "./real_path.ts";
export type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "./types.ts";
