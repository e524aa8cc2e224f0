/**
 * What other rooms may use of `permissions`.
 *
 * What few programs need is loaded when they do: the gate in front of raw requests, what is known of codex's settings,
 * what an accepted question would allow, and what asks codex for the files of its machine.
 *
 * @module
 */
import type * as acceptance from "./guard/approval_guard.ts";
import type * as config from "./config/config_needs.ts";
import type { gateMethod } from "./guard/method_gate.ts";
import type { ServerFilesQuestion } from "./policy/server_files.ts";

export {
  hasSetting,
  sessionSettings,
  trustOf,
  withoutReachingTools,
  withoutTerminals,
  withShellEnvironment,
} from "./config/session_settings.ts";
export type { WorkspaceRequest } from "./guard/approval_guard.ts";
export {
  EVERYTHING,
  flagsFor,
  missingNeeds,
  normalizeSandbox,
  type PermissionNeed,
  privilegeRefusal,
} from "./need.ts";
export {
  type AskedPolicy,
  compareEcho,
  confirmPolicy,
  workspaceRootsBeyond,
} from "./policy/compare_echo.ts";
export { effectivePolicy, recheckPolicy } from "./policy/effective_policy.ts";
export type { EffectivePolicy, PolicyFacts, RulesFile } from "./policy/policy.ts";
export {
  codexHomeOfThread,
  containmentAdvice,
  ownRootIn,
  rootAroundHome,
  type ServerFiles,
  temporaryRoots,
  type ThreadPolicyParams,
  threadPolicyParams,
  turnPolicyParams,
  usesProfile,
} from "./policy/profile_config.ts";
export { hostProbe, type PermissionProbe, realPathOf, unrestrictedProbe } from "./probe.ts";
export type {
  ApprovalPolicy,
  ExternalSandboxPolicy,
  GranularApprovalPolicy,
  ReadOnlyPolicy,
  SandboxMode,
  SandboxPolicy,
  WorkspaceWritePolicy,
} from "./types.ts";

let gate: typeof gateMethod | null = null;
let loading: Promise<{ gateMethod: typeof gateMethod }> | undefined;

/** The gate, once it is loaded: then a request need not wait for it. */
export function loadedMethodGate(): typeof gateMethod | null {
  return gate;
}

/**
 * Calls this with the gate in front of raw requests, which is loaded with the first: sessions make none. Those that wait go on
 * in their order: what several imports of one module are waited for with is not settled in theirs.
 */
export function withMethodGate<T>(use: (loaded: typeof gateMethod) => Promise<T>): Promise<T> {
  loading ??= import("./guard/method_gate.ts");
  return loading.then((loaded) => use(gate = loaded.gateMethod));
}

/** What judges codex settings of the caller's. */
export type ConfigJudge = Pick<typeof config, "configNeeds" | "configRefusal">;

/** Loads what judges codex settings of the caller's: few sessions have some. */
export async function loadConfigJudge(): Promise<ConfigJudge> {
  return await import("./config/config_needs.ts");
}

/** Loads what judges the acceptance of a question: few programs are asked one. */
export async function loadAcceptanceGuard(): Promise<
  Pick<typeof acceptance, "guardAcceptance" | "leavesWorkspace">
> {
  return await import("./guard/approval_guard.ts");
}

/** Loads the question for the files of codex's machine: few sessions are kept by a profile. */
export async function loadServerFiles(): Promise<ServerFilesQuestion> {
  return (await import("./policy/server_files.ts")).findServerFiles;
}
