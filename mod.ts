/**
 * Drive OpenAI's `codex` from TypeScript: one prompt in one line, sessions that remember, streams, approvals, hooks,
 * automation, and the raw app-server underneath. On Deno, Bun, Node and, by WebSocket, at the edge.
 *
 * ```ts ignore
 * import { quickRun } from "@codex/runtime";
 *
 * const { assistantText } = await quickRun("/srv/app", "Summarize this repo in 3 bullets");
 * console.log(assistantText);
 * ```
 *
 * Start with {@linkcode quickRun} and move down only when you need more: {@linkcode Workflow} for repeated runs in one
 * directory, {@linkcode Client} and {@linkcode Session} for conversations, {@linkcode automation} for recurring prompts,
 * {@linkcode runtime.Runtime} for raw JSON-RPC and events.
 *
 * By default the agent reads and does not write, nobody is asked for approvals, and a turn has two minutes.
 *
 * @module
 */
export { quickRun, type QuickRunOptions, quickRunWithProfile } from "./src/quick_run.ts";
export { Workflow, type WorkflowConfig } from "./src/workflow.ts";
export {
  AppServer,
  type ServerRequest,
  type ServerRequestError,
  type ServerRequestParams,
  type ServerRequestResult,
  type ServerRequests,
} from "./src/app_server/mod.ts";
export {
  type Account,
  type ApprovalRequestedEvent,
  type ApprovalResolvedEvent,
  type AskOptions,
  type AssistantMessageDeltaEvent,
  Client,
  type CommandOutputDeltaEvent,
  type DiffUpdatedEvent,
  type DynamicTool,
  type FileChange,
  type FileChangeEvent,
  type InferOutput,
  type ItemCompletedEvent,
  type ItemStartedEvent,
  type Model,
  type PendingApprovals,
  type PlanStep,
  type PlanUpdatedEvent,
  type PromptRunResult,
  PromptRunStream,
  type RateLimits,
  type RateLimitWindow,
  type ReadThreadOptions,
  type ReasoningDeltaEvent,
  type ReasoningEffort,
  type ResolvedProfile,
  type RetryingEvent,
  type RetryOptions,
  type RunOptions,
  type RunProfile,
  Session,
  type SessionConfig,
  type StandardFailure,
  type StandardIssue,
  type StandardResult,
  type StandardSchemaProps,
  type StandardSchemaV1,
  type StandardSuccess,
  type StandardTypes,
  type ThreadFilter,
  type ThreadItem,
  type ThreadSnapshot,
  type ThreadSummary,
  type TokenCount,
  type TokenUsage,
  type TokenUsageEvent,
  type ToolContent,
  type ToolContext,
  type ToolOutput,
  type TurnCompletedEvent,
  type TurnEvent,
  type TurnEventBase,
  type TurnOptions,
  type TurnSnapshot,
  type TurnStartedEvent,
  type TurnStatus,
  type UnknownTurnEvent,
  type WaitOptions,
  type WarningEvent,
} from "./src/session/mod.ts";
export {
  type ClientConfig,
  type ClientInfo,
  type ConnectionState,
  type CustomTransportConfig,
  type DiagnosedCodex,
  type DiagnosedDrift,
  type DiagnosedFlag,
  type DiagnosedHost,
  type DiagnosedLogin,
  type DiagnosedPermissions,
  type DiagnosedProblem,
  type Diagnosis,
  type EnvPolicy,
  type EventDirection,
  type EventEnvelope,
  type EventFilter,
  type EventKind,
  type EventSink,
  type ItemState,
  type LatencySummary,
  type NeverRestart,
  type RequestOptions,
  type RestartOnCrash,
  type RestartPolicy,
  Runtime,
  type RuntimeConfig,
  type RuntimeMetrics,
  type RuntimeState,
  type ServerInfo,
  type ShutdownReport,
  type StateLimits,
  type StdioTransportConfig,
  type ThreadState,
  type TransportConfig,
  type TurnState,
  type WebSocketTransportConfig,
} from "./src/runtime/namespace.ts";
export type {
  Transport,
  TransportClosed,
  TransportCloseOptions,
  TransportCloseReport,
  TransportFactory,
  TransportSink,
} from "./src/transport/mod.ts";
export type {
  ApprovalPolicy,
  DangerFullAccessPolicy,
  EffectivePolicy,
  ExternalSandboxPolicy,
  GranularApprovalPolicy,
  PermissionProbe,
  ReadOnlyPolicy,
  SandboxMode,
  SandboxPolicy,
  WorkspaceWritePolicy,
} from "./src/permissions/namespace.ts";
export type {
  ApprovalAudit,
  ApprovalDecider,
  ApprovalDecision,
  ApprovalHandler,
  ApprovalHandlerContext,
  ApprovalKind,
  ApprovalRequest,
  ApprovalRequestBase,
  ApprovalRule,
  ApprovalRules,
  ApprovalWord,
  AttestationAnswer,
  AttestationRequest,
  AuthTokenAnswer,
  AuthTokenRefreshRequest,
  CommandApprovalRequest,
  CommandMatcher,
  CurrentTimeRequest,
  DeferredAnswer,
  ElicitationAnswer,
  ElicitationRequest,
  FailClosedReason,
  FileChangeApprovalRequest,
  NetworkContext,
  NetworkPolicyAmendment,
  PendingApproval,
  PermissionsAnswer,
  PermissionsApprovalRequest,
  ProposedChange,
  RequestedPermissions,
  ReviewAnswer,
  ToolCallAnswer,
  ToolCallRequest,
  UnknownServerRequest,
  UserInputAnswer,
  UserInputQuestion,
  UserInputRequest,
} from "./src/approvals/mod.ts";
export type { CommandLine } from "./src/shell/mod.ts";
export {
  FilteredPostHook,
  FilteredPreHook,
  type HookAction,
  type HookBlock,
  type HookCallOptions,
  type HookCallRecord,
  type HookContext,
  type HookContinue,
  type HookFileChange,
  type HookIssue,
  type HookIssueClass,
  HookMatcher,
  type HookMutate,
  type HookPatch,
  type HookPhase,
  type HookReport,
  type Hooks,
  type HookToolFacts,
  type HookToolKind,
  type PostHook,
  type PostHookPhase,
  type PreHook,
  type PreHookPhase,
  ShellCommandHook,
} from "./src/plugin/namespace.ts";
export {
  experimentalRpcMethods,
  rpcMethods,
  type ThreadStatus,
  type ThreadTokenUsage,
  type Turn,
  type TurnPlanStep,
} from "./src/protocol/mod.ts";
export {
  ArtifactConflictError,
  AttachmentNotFoundError,
  CodexError,
  type CodexErrorOptions,
  ConnectionClosedError,
  type ConnectionClosedErrorOptions,
  EmptyAnswerError,
  HookBlockedError,
  IncompatibleVersionError,
  MessageTooLargeError,
  type OutputIssue,
  OutputValidationError,
  type PartialTurn,
  PermissionDeniedError,
  PolicyError,
  type PolicyMismatch,
  PolicyMismatchError,
  type ProcessExit,
  QuickRunError,
  RequestTimeoutError,
  type RequestTimeoutErrorOptions,
  RpcError,
  RpcValidationError,
  SessionClosedError,
  SpawnError,
  ThreadInUseError,
  TurnError,
  TurnFailedError,
  type TurnFailedErrorOptions,
  type TurnFailureKind,
  TurnInterruptedError,
  TurnTimeoutError,
  type TurnTimeoutErrorOptions,
  WebError,
} from "./src/errors/mod.ts";
export type {
  Attachment,
  ImageAttachment,
  LocalImageAttachment,
  MentionAttachment,
  PathAttachment,
  Prompt,
  PromptWithAttachments,
  SkillAttachment,
} from "./src/prompt.ts";
export type { JsonObject, JsonSchema, JsonValue } from "./src/json.ts";

/** One connection to one codex: raw requests, every message as an event, state and metrics. */
export * as runtime from "./src/runtime/namespace.ts";
/** Recurring prompts on one session. */
export * as automation from "./src/automation/mod.ts";
/** Many people's browsers on one codex: a fetch handler with sessions, events and approvals for each tenant. */
export * as web from "./src/web/mod.ts";
/** Documents that an agent writes and edits without losing anyone's work. */
export * as artifact from "./src/artifact/mod.ts";
/** Hooks: what runs before and after runs, sessions, turns and tool uses. */
export * as plugin from "./src/plugin/namespace.ts";
/** What a session may do: codex's sandbox and this script's own permissions. */
export * as permissions from "./src/permissions/namespace.ts";
/** Tests without an account and without a network: a scripted model for the real codex, connections in memory. */
export * as testing from "./src/testing/mod.ts";
/** Types of everything the server says and can be asked. */
export type * as protocol from "./src/protocol/namespace.ts";
