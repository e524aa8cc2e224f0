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
} from "./src/app_server.ts";
export {
  type Account,
  type ApprovalRequestedEvent,
  type ApprovalResolvedEvent,
  type AskOptions,
  type AssistantMessageDeltaEvent,
  Client,
  type CommandFinishedEvent,
  type CommandOutputDeltaEvent,
  type CompactedEvent,
  type CompactResult,
  type ContextUsage,
  type DiffUpdatedEvent,
  type DynamicTool,
  type FileChange,
  type FileChangeEvent,
  FileThreadStore,
  type ForkConfig,
  type ForkPoint,
  type FromJsonSchema,
  type GoalOptions,
  type GoalResult,
  GoalRun,
  type GoalUpdatedEvent,
  type InferOutput,
  type ItemCompletedEvent,
  type ItemsOptions,
  type ItemStartedEvent,
  KvThreadStore,
  type KvThreadStoreOptions,
  type Login,
  type LoginOptions,
  type LoginRequest,
  type McpCallResult,
  type McpCommandServer,
  type McpServer,
  type McpServerStatus,
  type McpTool,
  type McpUrlServer,
  MemoryThreadStore,
  type Model,
  type NameChangedEvent,
  type PendingApprovals,
  type PlanDeltaEvent,
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
  type ReviewOptions,
  type ReviewResult,
  type ReviewTarget,
  type RewindOptions,
  type RewindPlan,
  type RunLimits,
  type RunOptions,
  type RunProfile,
  type SampleOptions,
  type SampleResult,
  type SearchOptions,
  Session,
  type SessionConfig,
  type SessionEvent,
  type SessionEventBase,
  type SessionLaggedEvent,
  type SessionMcp,
  type SessionMode,
  type StandardFailure,
  type StandardIssue,
  type StandardResult,
  type StandardSchemaProps,
  type StandardSchemaV1,
  type StandardSuccess,
  type StandardTypes,
  type StatusChangedEvent,
  type SubAgentEvent,
  type TextHit,
  type ThreadFilter,
  type ThreadHit,
  type ThreadSnapshot,
  type ThreadStore,
  type ThreadSummary,
  type TokenCount,
  type TokenUsage,
  type TokenUsageEvent,
  tool,
  type ToolArguments,
  type ToolContent,
  type ToolContext,
  type ToolDefinition,
  type ToolImage,
  type ToolResult,
  type ToolText,
  type TurnCompletedEvent,
  type TurnEvent,
  type TurnEventBase,
  type TurnItem,
  type TurnOptions,
  type TurnSnapshot,
  type TurnsOptions,
  type TurnStartedEvent,
  type TurnStatus,
  type UnknownTurnEvent,
  type UsageCount,
  type WaitOptions,
  type WarningEvent,
} from "./src/session/namespace.ts";
export {
  type ClientConfig,
  type ClientInfo,
  type CommandTransportConfig,
  type ConnectionState,
  type CustomTransportConfig,
  type DaemonTransportConfig,
  type DiagnosedCodex,
  type DiagnosedDrift,
  type DiagnosedFlag,
  type DiagnosedHermetic,
  type DiagnosedHost,
  type DiagnosedLeftOut,
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
  type UnixTransportConfig,
  type WebSocketTransportConfig,
} from "./src/runtime/namespace.ts";
export type {
  OtelAttribute,
  OtelAttributes,
  OtelContext,
  OtelInstrumentOptions,
  OtelMeter,
  OtelSpan,
  OtelSpanContext,
  OtelTracer,
  TelemetryConfig,
  TelemetryOptions,
} from "./src/telemetry.ts";
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
  RulesFile,
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
export type { ProposedChange } from "./src/thread_item.ts";
export {
  FilteredPostHook,
  FilteredPreHook,
  type HookAction,
  type HookBlock,
  type HookCallOptions,
  type HookCallRecord,
  type HookContext,
  type HookContinue,
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
  type ArgumentProblem,
  ArtifactConflictError,
  AttachmentNotFoundError,
  BudgetExceededError,
  CheckpointError,
  CodexError,
  type CodexErrorOptions,
  ConnectionClosedError,
  type ConnectionClosedErrorOptions,
  EmptyAnswerError,
  type ExceededLimit,
  HookBlockedError,
  IncompatibleVersionError,
  InvalidArgumentError,
  LoginError,
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
  type RpcErrorOptions,
  type RpcRefusal,
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
  UnsupportedError,
  WebError,
} from "./src/errors/mod.ts";
export type {
  Attachment,
  AudioDataAttachment,
  ImageAttachment,
  ImageDataAttachment,
  LocalImageAttachment,
  MentionAttachment,
  PathAttachment,
  Prompt,
  PromptWithAttachments,
  SkillAttachment,
} from "./src/prompt.ts";
export type { CodexSettings, JsonObject, JsonSchema, JsonValue } from "./src/json.ts";
export type { CommandItem, ThreadItem } from "./src/thread_item.ts";

/**
 * One connection to one codex: raw requests, every message as an event, state and metrics.
 *
 * ```ts ignore
 * import { runtime } from "@codex/runtime";
 *
 * const connection = await runtime.Runtime.spawn();
 * for await (const event of connection.events({ after: 0 })) console.log(event.seq, event.method);
 * ```
 */
export * as runtime from "./src/runtime/namespace.ts";
/**
 * Recurring prompts on one prepared session.
 *
 * The pace is a fixed grid: the first run is due at `startAt` (or now), each later one a multiple of `every` after it.
 * One turn is in flight at a time; ticks that pass while it runs, or while the machine sleeps, collapse into the next
 * one on the same grid. Any prompt error ends the automation as `failed`; `stopAt` is exclusive. Each run's answer or
 * error goes to `onRun` and to the handle's iterator. There is no cron syntax, no persistence and no recovery after a
 * restart: that is the scheduler's job that starts your script.
 *
 * ```ts ignore
 * const handle = automation.spawn(session, { prompt: "Do the next item", every: 30 * 60_000, maxRuns: 16 });
 * for await (const run of handle) console.log(run.index, run.result?.assistantText ?? run.error);
 * ```
 */
export * as automation from "./src/automation/mod.ts";
/**
 * Many people's browsers on one codex: {@linkcode web.createBridge} over HTTP, {@linkcode web.WebAdapter} without.
 *
 * ```ts ignore
 * import { Client, web } from "@codex/runtime";
 *
 * const client = await Client.connect({ approvalTimeoutMs: 300_000 });
 * const bridge = web.createBridge({
 *   client,
 *   authorize: (request) => tenantOfCookie(request.headers.get("cookie")),
 *   cwd: (tenant) => `/srv/workspaces/${tenant}`,
 *   profile: { approvalPolicy: "untrusted" },
 *   store: new web.KvSessionStore(await Deno.openKv()),
 * });
 * const server = Deno.serve(bridge.fetch); // Bun.serve({ fetch: bridge.fetch }), Hono: bridge.fetch(c.req.raw)
 * // …
 * await bridge.close();
 * await server.shutdown();
 * await client.shutdown();
 * ```
 *
 * Routes, below `basePath` (default `/codex`); requests and answers are JSON:
 *
 * | route | request | answer |
 * | ----- | ------- | ------ |
 * | `GET /health` | no tenant needed | `{ status, connection }`; 503 when codex is gone |
 * | `GET /settings` | | {@linkcode web.WebSettings} |
 * | `GET /sessions` | | `{ sessions: WebSession[] }` |
 * | `POST /sessions` | {@linkcode web.CreateSessionRequest} | 201 {@linkcode web.WebSession} |
 * | `GET /sessions/{id}` | | {@linkcode web.WebSnapshot} |
 * | `POST /sessions/{id}/resume` | | {@linkcode web.WebSession} |
 * | `DELETE /sessions/{id}`, `POST /sessions/{id}/close` | | {@linkcode web.ClosedWebSession} |
 * | `POST /sessions/{id}/turns` | {@linkcode web.CreateTurnRequest} | 202 {@linkcode web.WebTurnRef} |
 * | `POST /sessions/{id}/turns/{turnId}/steer` | {@linkcode web.SteerRequest} | 202 {@linkcode web.WebTurnRef} |
 * | `POST /sessions/{id}/turns/{turnId}/interrupt` | | 202 {@linkcode web.WebTurnRef}, when it has stopped |
 * | `GET /sessions/{id}/events` | `Last-Event-ID`, or `?after=` | server-sent events: {@linkcode web.WebSessionEvent} |
 * | `GET /sessions/{id}/approvals` | | `{ approvals: WebApproval[] }` |
 * | `POST /sessions/{id}/approvals/{approvalId}` | an answer: `{ decision }` or the question's own | `{ approvalId }` |
 * | `POST /chat` | what `DefaultChatTransport` of npm `ai` sends | the AI SDK's UI message stream |
 * | `GET /chat/{chatId}/stream` | | the same from the running turn's beginning; 204 when none runs |
 * | `GET /chat/{chatId}` | | `{ sessionId, messages }` for `useChat` to begin with |
 * | `POST /chat/{chatId}/approvals/{approvalId}` | an answer, as above | `{ approvalId }` |
 * | `POST /chat/{chatId}/stop` | | 202 {@linkcode web.WebTurnRef}, when it has stopped |
 * | `POST /ag-ui` | what `HttpAgent` of AG-UI sends | AG-UI events; a client that leaves stops the turn |
 *
 * Failures are `{ code, message }`: 400 what may not be asked for, 401 no tenant, 403 a foreign origin or a POST that is
 * neither `application/json` nor marked by `x-requested-with`, 404 not there or another tenant's, 409 does not fit the
 * moment, 413 too large, 429 too many, 5xx codex or this server.
 *
 * To show a session: read its snapshot, then follow the events after its `cursor`; every event has an `id:` to come back
 * with. A `lagged` event says that the cursor is gone, such as after a restart: read the snapshot again. An idle stream
 * has a heartbeat every 5 s.
 *
 * A chat's id is its client's own and begins a session of the tenant's; a session's id will do as well. The server keeps the
 * history: of what a client sends only the last message counts. A stream that breaks off does not stop its turn.
 *
 * {@linkcode web.connect} is the client for pages, also on its own as `@codex/runtime/connect`.
 *
 * A tenant can't reach beyond the bridge's `profile`, `models`, `efforts` and `cwd`: unknown fields are refused. Questions
 * wait for people until the client's `approvalTimeoutMs` (default 30 s) is over, and are declined then. What would lead out
 * of the tenant's directory is declined at once; with `isolation: "trusting"` an accepted command may run outside the
 * sandbox.
 */
export * as web from "./src/web/mod.ts";
/**
 * Agents for editors that speak the Agent Client Protocol, such as Zed and those of JetBrains: {@linkcode acp.serve}.
 *
 * An editor starts the agent as a program and talks to it over standard input and output. Each of its sessions is a codex
 * thread: prompts with images and files, thoughts, plans, patches, commands and their output, questions to the user,
 * modes, models, the history, `/compact` and `/review`. This program's rules, hooks and permissions hold for all of
 * it, and an editor that does not answer has declined.
 *
 * ```ts ignore
 * import { acp, Client } from "@codex/runtime";
 *
 * await using client = await Client.connect({ approvalTimeoutMs: 3_600_000 });
 * const { readable } = Deno.stdin;
 * const { writable } = Deno.stdout;
 * await acp.serve(client, { readable, writable });
 * ```
 */
export * as acp from "./src/adapters/acp/mod.ts";
/**
 * Codex for programs of the [AI SDK](https://ai-sdk.dev) (npm `ai` 7): {@linkcode aiSdk.codexModel} as a model,
 * {@linkcode aiSdk.toUIMessageStream} for `useChat`. Nothing of it is imported.
 *
 * ```ts ignore
 * import { aiSdk, Client } from "@codex/runtime";
 * import { streamText } from "ai";
 *
 * await using client = await Client.connect();
 * const model = aiSdk.codexModel(client, { cwd: "/srv/app" });
 * for await (const text of streamText({ model, prompt: "Explain this" }).textStream) print(text);
 * ```
 */
export * as aiSdk from "./src/adapters/ai_sdk/namespace.ts";
/**
 * Codex for clients of [AG-UI](https://docs.ag-ui.com) 1.0, such as CopilotKit: {@linkcode agUi.toEvents}. The bridge of
 * {@linkcode web} answers its `HttpAgent` at `POST {basePath}/ag-ui`.
 *
 * ```ts ignore
 * import { agUi, Client } from "@codex/runtime";
 *
 * await using client = await Client.connect();
 * const session = await client.startSession({ cwd: "/srv/app" });
 * for await (const event of agUi.toEvents(await session.askStream("Hello"))) console.log(event.type);
 * ```
 */
export * as agUi from "./src/adapters/ag_ui/namespace.ts";
/**
 * Documents that an agent writes and edits without losing anyone's work.
 *
 * A document is an artifact: a text, its revision (`sha256:…`), and what is known about it, always
 * loaded and stored as one. {@linkcode artifact.ArtifactSessionManager} shows a version to the model, takes a
 * validated answer, and stores it only while that version is still the current one. Stores are
 * for one process ({@linkcode artifact.MemoryArtifactStore}), one machine ({@linkcode artifact.FileArtifactStore}) or
 * several ({@linkcode artifact.KvArtifactStore}).
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 *
 * const store = new artifact.MemoryArtifactStore();
 * const first = await store.save("notes", {
 *   text: "# Notes\n",
 *   expectedRevision: artifact.EMPTY_REVISION,
 * });
 * const text = artifact.applyEdits(first.text, [
 *   { startLine: 2, endLine: 2, replacement: "- one\n" },
 * ]);
 * await store.save("notes", { text, expectedRevision: first.revision });
 * ```
 */
export * as artifact from "./src/artifact/mod.ts";
/**
 * Hooks: your code before and after runs, session starts, turns and tool uses.
 *
 * Pre-hooks may change a prompt, a model or the attachments, or block; post-hooks watch. Hooks of the client run first,
 * then those of the session, then those of the call; names are unique. Each has a time limit (5 s by default), and a
 * pre-hook that fails, hangs or answers nonsense blocks unless its `onError` is `"continue"`. What went wrong is in the
 * result's `hooks` report.
 *
 * Tool-use hooks run inside approval handling, for their own session only. They can refuse a command or a file change
 * and never grant what the approval policy would not: after their "continue" the approval rules decide. Because codex
 * must ask before hooks can be asked, a session with `preToolUse` hooks runs with the approval policy `untrusted` where
 * it would be `never`; `session.policy` says so. A hook without `phases` is called in all of them, tool use included.
 *
 * Under `on-request` hooks see only what leaves the sandbox, and `session.policy.toolHooks` is `false`; `toolHooksNote` says
 * which it is. Without `approvals` all that hooks let pass is declined, which a `warning` says. Agents that the agent starts
 * count as the session's own. Before codex 0.169 `untrusted` does not ask about reads that are known to be safe, and on 0.104
 * sub-agents are not asked about at all, so hooks do not see those. On Windows a list of words has to name what Windows can
 * start (`["node", "hooks/guard.mjs"]`, a `.cmd`, not a `.sh`), and a string goes through `cmd.exe`, which fills in `%NAME%`
 * unless the line holds a `"`.
 *
 * ```ts ignore
 * const hooks: plugin.Hooks = {
 *   pre: [{
 *     name: "no-network-tools",
 *     phases: ["preToolUse"],
 *     call: ({ toolName }) =>
 *       toolName === "curl" ? { type: "block", reason: "no downloads" } : { type: "continue" },
 *   }],
 * };
 * const session = await client.startSession({ cwd, hooks });
 * ```
 */
export * as plugin from "./src/plugin/namespace.ts";
/**
 * What the agent may do: what was asked, cut down to what this script may do itself.
 *
 * **What this guards.** Under Deno's permissions, or Node's permission model, a session never gets more than the script
 * has: `workspace-write` needs write permission on the cwd and each writable root, network access needs unscoped
 * `--allow-net`, full access needs every permission unscoped, and with scoped reads codex 0.125 and later keeps the
 * agent's commands from reading anything else. Paths count only when both their spelling and where they lead are
 * granted, and only whole grants count. Raw requests pass the same gate. Nothing ever prompts. `permissions: "refuse"`
 * (the default) rejects and names the missing flags, `permissions: "narrow"` takes what is granted and says what it took
 * away in {@linkcode EffectivePolicy.narrowed}.
 *
 * **What is asked.** With the approval policy `never` (the default) nobody is asked, with `on-request` only about what leaves
 * the sandbox, with `untrusted` about commands and changes of files. A session's own `approvals` that could not take effect
 * reject with a `PolicyError` that names the policy to choose; those of the client are told in
 * {@linkcode EffectivePolicy.approvalsNote} and by a `warning`. Codex asks about a program when it starts, and not about what
 * the agent types into it later: an agent whose session asks gets no terminal, and before codex 0.150 no program that runs on.
 * Codex 0.150 to 0.153 can't do without, and a turn that asks in a session that began with `never` comes too late; both say so.
 *
 * **What is accepted.** Codex runs an accepted command outside the sandbox when the agent asked for that and, under
 * `untrusted`, may repeat one there that failed inside; the question tells neither. So an `allow` rule accepts commands only
 * where codex can keep them in: then all accepted commands of the session stay in the sandbox, whoever accepts them, and
 * {@linkcode EffectivePolicy.acceptedCommands} is `"sandboxed"`. That is so on Linux under `untrusted`, when no rule says
 * `outsideSandbox: true`: from codex 0.136 on for a read-only sandbox, and for one that writes on 0.140 to 0.149 and from 0.160
 * on. Turns of such a session choose between `read-only`, the plain `workspace-write` and its own sandbox (before 0.160 they keep
 * its own). A script that lacks some permission has its accepted commands kept in as well: with scoped reads on Linux from codex
 * 0.136 on. Anywhere else `"mayLeave"` stands there, `allow` without `outsideSandbox: true` accepts no command, and accepting one
 * needs every permission of the script (`-A`).
 *
 * **What it does not guard.** It is a rail, not a wall. The codex process itself runs without a sandbox:
 * `--allow-run=codex` lets a script start it by hand with any settings. Write permission that covers the codex program
 * (such as a `node_modules` in the cwd) lets the agent replace it. MCP servers and hooks that the user configured run
 * without a sandbox. Between the check of a path and its use, someone else may change what it leads to. Codex before
 * 0.125 lets commands read the whole disk ({@linkcode EffectivePolicy.readsEnforced} is then `false`). An accepted
 * command may run outside the sandbox. On Bun and browsers there are no permissions, and `enforcedBy` is `"none"`.
 *
 * ```ts ignore
 * const client = await Client.connect({ permissions: "narrow" });
 * const session = await client.startSession({ cwd, sandbox: "workspace-write", allowPrivilegedEscalation: true });
 * console.log(session.policy.sandbox, session.policy.narrowed); // what it got, and what was taken away
 * ```
 */
export * as permissions from "./src/permissions/namespace.ts";
/**
 * Tools to test programs that use codex: a scripted model for the real `codex app-server`, recordings of it that play
 * back without it, and a connection whose other end is the test.
 *
 * ```ts ignore
 * import { quickRun, testing } from "@codex/runtime";
 *
 * await using model = await testing.ScriptedModel.start(["Hello."]);
 * const result = await quickRun(cwd, "Say hello", { client: model.clientConfig() });
 * ```
 */
export * as testing from "./src/testing/mod.ts";
/**
 * The types of the codex app-server protocol: every method's parameters and result, and every named type in them.
 *
 * Types only: importing this costs nothing at run time. What the server sends is open (unknown enum values and
 * variants are part of the type), what a client sends is closed. Where a type goes both ways and differs, the
 * plain name is what is sent and `Received…` what is received.
 *
 * ```ts ignore
 * import type { protocol } from "@codex/runtime";
 *
 * const params: protocol.ThreadListParams = { limit: 5 };
 * ```
 */
export type * as protocol from "./src/protocol/namespace.ts";
