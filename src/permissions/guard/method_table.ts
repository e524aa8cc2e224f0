/**
 * Which of the server's methods do what: one row for each, since a family's newest member may do anything.
 * @module
 */
import type { JsonValue } from "../../json.ts";

/**
 * What a method does. `harmless`: talks about threads, models and accounts, or goes on with what another method was
 * checked for. `thread`, `turn`, `exec`, `review`: looked at with their params. `codexHome`: reads codex's own files. The fs words:
 * what they say. `account`: changes who pays and whom prompts are sent to, for every later session too. `everything`: runs
 * or installs things without a sandbox, or changes what later sessions may do.
 */
export type MethodReach =
  | "harmless"
  | "thread"
  | "turn"
  | "exec"
  | "review"
  | "fsRead"
  | "fsWrite"
  | "fsCopy"
  | "search"
  | "codexHome"
  | "account"
  | "everything";

const ROWS: Readonly<Record<MethodReach, string>> = {
  harmless: `
    account/gatewayOAuth/cancel account/gatewayOAuth/read account/login/cancel
    account/rateLimits/read account/read account/securitySetup/read account/usage/read
    account/workspaceMessages/read accountSession/list app/installed app/list app/read
    collaborationMode/list command/exec/resize command/exec/terminate command/exec/write
    environment/info environment/status experimentalFeature/list fs/unwatch
    fuzzyFileSearch/sessionStop fuzzyFileSearch/sessionUpdate initialize mcpServerStatus/list
    model/list modelProvider/capabilities/read modelProvider/list
    process/kill process/resizePty process/writeStdin project/list project/read
    server/diagnostics thread/archive thread/attachment/list thread/attachment/remove
    thread/attachmentOwner/list thread/backgroundTerminals/clean
    thread/backgroundTerminals/list thread/backgroundTerminals/terminate thread/compact/start
    thread/decrement_elicitation thread/delete thread/goal/clear thread/goal/get
    thread/goal/set thread/guardianReview thread/increment_elicitation thread/inject_items
    thread/items/list thread/items/read thread/list thread/loaded/list thread/memoryMode/set
    thread/metadata/update thread/name/set thread/prediction/request thread/queue/delete
    thread/queue/list thread/queue/reorder thread/queue/start thread/read
    thread/readState/update thread/realtime/appendAudio thread/realtime/appendSpeech
    thread/realtime/appendText thread/realtime/listVoices thread/realtime/stop thread/revert
    thread/rollback thread/sample thread/sample/cancel thread/search thread/searchOccurrences
    thread/section/move thread/timeline/list thread/turns/list thread/unarchive
    thread/unsubscribe threadSection/create threadSection/delete threadSection/list
    threadSection/update turn/interrupt userVerification/cancel userVerification/status
    windowsSandbox/readiness
  `,
  thread: `
    thread/fork thread/resume thread/start
  `,
  turn: `
    thread/queue/add thread/queue/update thread/settings/update turn/settings/update
    turn/start turn/steer
  `,
  exec: `
    command/exec
  `,
  review: `
    review/start
  `,
  fsRead: `
    fs/getMetadata fs/readDirectory fs/readFile fs/watch
  `,
  fsWrite: `
    fs/createDirectory fs/remove fs/writeFile
  `,
  fsCopy: `
    fs/copy
  `,
  search: `
    fuzzyFileSearch fuzzyFileSearch/sessionStart
  `,
  codexHome: `
    config/read configRequirements/read hooks/list memory/status permissionProfile/list plugin/installed plugin/list
    plugin/read plugin/search plugin/share/list plugin/skill/read skills/list
    thread/memory/read
  `,
  account: `
    account/bedrock/checkGovCloudRequirements account/bedrock/discover account/bedrock/setup
    account/gatewayOAuth/login account/gcp/setup account/login/start account/logout
    account/rateLimitResetCredit/consume account/sendAddCreditsNudgeEmail
    accountSession/switch userVerification/delete userVerification/enroll
    userVerification/verify
  `,
  everything: `
    config/batchWrite config/mcpServer/reload config/value/write environment/add
    experimentalFeature/enablement/set externalAgentConfig/detect externalAgentConfig/import
    externalAgentConfig/import/readHistories externalAgentConfig/import/recordHistory
    feedback/save feedback/upload marketplace/add marketplace/remove marketplace/upgrade
    mcpServer/event/stream/start mcpServer/event/stream/stop mcpServer/oauth/login
    mcpServer/resource/read mcpServer/tool/call memory/reset mock/experimentalMethod
    modelProvider/config/write plugin/install plugin/reconcile plugin/share/checkout
    plugin/share/delete plugin/share/save plugin/share/updateTargets plugin/uninstall
    process/spawn project/create project/delete project/import project/move project/update
    remoteControl/client/list remoteControl/client/revoke remoteControl/disable
    remoteControl/enable remoteControl/pairing/start remoteControl/pairing/status
    remoteControl/status/read rollout/compress skills/config/write skills/extraRoots/set
    thread/approveGuardianDeniedAction thread/attachment/add thread/prepareApprovedPlan
    thread/realtime/start thread/shellCommand windowsSandbox/setupStart
  `,
};

const REACH: ReadonlyMap<string, MethodReach> = rowsOf(ROWS);

/** By each name in a table, what stands before it. */
function rowsOf<Word extends string>(
  table: Readonly<Record<Word, string>>,
): ReadonlyMap<string, Word> {
  return new Map(
    (Object.keys(table) as Word[]).flatMap((word) =>
      table[word].trim().split(/\s+/).map((name) => [name, word] as const)
    ),
  );
}

/** What a method does; one that is not known here, such as a newer codex's, may do everything. */
export function methodReach(method: string): MethodReach {
  return REACH.get(method) ?? "everything";
}

/** The methods that have a row. */
export function knownMethods(): string[] {
  return [...REACH.keys()];
}

/** Methods that run a command of the caller's without any sandbox. */
export const UNSANDBOXED: ReadonlySet<string> = new Set(["process/spawn", "thread/shellCommand"]);

// Every field of the calls that start, resume and set threads and turns, or run a command, and what is done about it.
//
// The calls are those above that are `thread`, `turn` and `exec`. A field without a row, such as a newer codex's, may do
// everything.

/**
 * - `harmless`: who talks about what, in which words, at which price.
 * - `looked`: decides what runs, what is read or who is asked; `method_gate.ts` looks at its value.
 * - `unset`: gives something away that nobody here sees; only absent, `null`, `false` or empty passes.
 */
export type FieldHandling = "harmless" | "looked" | "unset";

const PARAMS_ROWS: Readonly<Record<FieldHandling, string>> = {
  harmless: `
    additionalContext allowProviderModelFallback baseInstructions beforeTurnId clientUserMessageId collaborationMode
    command deferGoalContinuation developerInstructions disableOutputCap disableTimeout disabledPluginIds dynamicTools effort env ephemeral excludeTurns
    expectedTurnId experimentalDisablePredictionMcp experimentalPredictionMode experimentalRawEvents history historyMode
    initialTurnsPage lastTurnId mockExperimentalField model modelProvider multiAgentMode outputBytesCap outputSchema parentTurnId
    persistExtendedHistory personality processId projectId queuedSubmissionId responsesapiClientMetadata
    responsesapiClientMetadataPatch rootTurnId serviceName serviceTier serviceTierForTurn sessionStartSource size
    streamStdin streamStdoutStderr summary threadId threadSource timeoutMs toolOutput tty turnId turnTrigger
  `,
  looked: `
    approvalPolicy approvalsReviewer config cwd environments input path permissions runtimeWorkspaceRoots sandbox
    sandboxPolicy selectedCapabilityRoots
  `,
  unset: `
    attachToSource cyberAccessProgram daybreakEnabled permissionProfile
  `,
};

const HANDLING: ReadonlyMap<string, FieldHandling> = rowsOf(PARAMS_ROWS);

/** What is done about a field; `undefined`: it has no row. */
export function fieldHandling(field: string): FieldHandling | undefined {
  return HANDLING.get(field);
}

/** Whether a field may be sent without every permission, as far as the field itself goes. */
export function fieldPasses(field: string, value: JsonValue | undefined): boolean {
  const handling = HANDLING.get(field);
  return handling === "harmless" || handling === "looked" || isUnset(value);
}

/** Whether it gives away, with any method, what nobody here sees. */
export function givesAway(field: string, value: JsonValue | undefined): boolean {
  return HANDLING.get(field) === "unset" && !isUnset(value);
}

function isUnset(value: JsonValue | undefined): boolean {
  return value === undefined || value === null || value === false ||
    (Array.isArray(value) && value.length === 0);
}
