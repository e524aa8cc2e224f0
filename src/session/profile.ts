/**
 * How a session and its turns run.
 * @module
 */
import type { ApprovalHandler, ApprovalRules } from "../approvals/mod.ts";
import type { CodexSettings, JsonObject, JsonSchema, JsonValue } from "../json.ts";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "../permissions/mod.ts";
import type { Hooks } from "../plugin/mod.ts";
import type { McpServer } from "./mcp/servers.ts";
import type { DynamicTool } from "./prompt/tools.ts";
import type { TurnEvent } from "./turn/turn_event.ts";
import type { PromptRunResult, TokenCount, TokenUsage } from "./turn/turn_result.ts";
import type { ThreadItem } from "../thread_item.ts";
import type { Attachment } from "../prompt.ts";
import type { ThreadStore } from "./history/thread_store.ts";
import type { ForkPoint } from "./thread/fork_point.ts";
import type { StandardSchemaV1 } from "./output/standard_schema.ts";

/** Milliseconds for a whole turn by default. */
export const DEFAULT_TIMEOUT_MS: number = 120_000;

/** How much the model thinks; newer models may know more words. */
export type ReasoningEffort =
  | "none"
  | "minimal"
  | "low"
  | "medium"
  | "high"
  | "xhigh"
  // Keeps completion for the known words while any other passes.
  | (string & Record<never, never>);

/**
 * How the agent goes about a prompt: `"plan"` lets it look around, ask questions and propose a plan, and do nothing yet.
 * The plan is `result.proposedPlan`; its questions come to `approvals` as `userInput`.
 */
export type SessionMode = "default" | "plan";

/**
 * How much one prompt may use, over all its turns: tries, repairs and the agents that its agent starts are counted. A run
 * that needs more is stopped on the server within one model call, and rejects with `BudgetExceededError`, which keeps what
 * there was. An answer that came before the run needed more is an answer.
 *
 * ```ts ignore
 * await session.ask("Fix the failing tests", { limits: { tokens: 200_000, toolCalls: 40 } });
 * ```
 */
export interface RunLimits {
  /** Input and output tokens. Needs a provider that counts them; a `warning` tells of one that does not. Default: any number. */
  tokens?: number;
  /** Answers of the model; counted like tokens, when the server tells their size. Default: any number. */
  modelCalls?: number;
  /**
   * Commands, file changes, searches and calls of tools. The one that goes beyond it may have begun. Codex tells nothing of a
   * command that its sandbox stopped within its first moments: those count only with tool-use hooks, which make it ask.
   * Default: any number.
   */
  toolCalls?: number;
}

/** How a session and its turns run. Every field is optional; the defaults are the safe ones. */
export interface RunProfile {
  /** The model. Default: codex's own. */
  model?: string;
  /**
   * How much the model thinks; what the user's own configuration says does not count. Default: `model_reasoning_effort` in `config`
   * or the client's `configOverrides`, else `"medium"`.
   */
  effort?: ReasoningEffort;
  /**
   * How the agent goes about prompts. What one prompt is asked with ends with it, though codex would keep it. Turns that
   * codex begins by itself, such as a goal's, are never plans. Default `"default"`.
   *
   * ```ts ignore
   * const { proposedPlan } = await session.ask("Move to the new API", { mode: "plan" });
   * if (proposedPlan !== null) await session.ask("Do it.");
   * ```
   */
  mode?: SessionMode;
  /** When the server asks before it acts. Default `"never"`. */
  approvalPolicy?: ApprovalPolicy;
  /**
   * How far commands may reach. Default `"read-only"`. What a prompt that could do more has left running is ended before one that
   * may do less; codex 0.104 can't end it, and that prompt is refused.
   */
  sandbox?: SandboxMode | SandboxPolicy;
  /**
   * What the agent's commands may read: all that this script may, or only `cwd`, the writable roots, the attachments and
   * what programs need to run. `"workspace"` leaves out shared temporary directories and codex's memories of other threads
   * too, and the apps of the login's account and all plugins, unless `config` has `"features.apps": true` or
   * `"features.plugins": true`, and a web search that codex's configuration has live. It needs codex 0.145; an older one, or a
   * sandbox without limits, is refused with `PolicyError`. Default `"all"`.
   */
  reads?: "all" | "workspace";
  /** Consent to anything but read-only. Default `false`. */
  allowPrivilegedEscalation?: boolean;
  /** Consent to full access with nobody asked. Default `false`. */
  dangerouslyAllowUnattendedFullAccess?: boolean;
  /**
   * Consent to codex's own rules files, which let commands run outside the sandbox with nobody asked; see
   * `session.policy.rulesFiles`. Without it a session with tool hooks, approvals or scoped permissions, and a prompt with tool
   * hooks, is refused where such files hold. Default `false`.
   */
  allowRulesFiles?: boolean;
  /** Milliseconds for a whole turn; `Infinity` for no limit. Default 120,000. */
  timeoutMs?: number;
  /** What one prompt may use. Default: no limit but `timeoutMs`. */
  limits?: RunLimits;
  /** Sent along with every prompt. Default none. */
  attachments?: readonly (string | Attachment)[];
  /** JSON Schema of the answer, without back references in its patterns. Default none. */
  outputSchema?: JsonSchema;
  /** Hooks, after the client's own. Default none. */
  hooks?: Hooks;
  /**
   * Tools that run in this process when the model calls them, by name. A thread goes on offering those that it was begun
   * with. On a resumed thread or a copy, others are served to codex as the MCP server `session_tools`, on a loopback port and
   * under a token of the session's own: their calls are `mcpToolCall` items, and on Deno they need `--allow-net=127.0.0.1` and
   * `--allow-env=NO_PROXY,no_proxy` from when codex is started, which is told to come without a proxy (an old codex also
   * `--allow-read=$CODEX_HOME/.env`, where it could be told otherwise). A codex that this process did not start is refused
   * them. Default none.
   */
  tools?: Record<string, DynamicTool>;
  /**
   * MCP servers of this session, by name, beside those of the user's own configuration; a name that is there already is
   * refused. A program runs outside the sandbox and needs `allowPrivilegedEscalation: true`; on Deno it needs every permission,
   * an address the network (`--allow-net=HOST`). Tokens, headers and `env` reach the server and nobody else. Under the
   * policy `never`, codex declines the tools that do not say that they only read. Default none.
   */
  mcpServers?: Record<string, McpServer>;
  /**
   * Instructions beside the system prompt. A thread that goes on with others than it has, or a copy, is told these as well; codex
   * 0.117 to 0.124 tells them with the next compaction only. Default none.
   */
  developerInstructions?: string;
  /** Replaces the system prompt of codex. Default: codex's own. */
  baseInstructions?: string;
  /** How much of its reasoning the model sums up. Default: codex's own. */
  reasoningSummary?: "auto" | "concise" | "detailed" | "none";
  /**
   * The provider's class of service, such as `"flex"` or `"fast"`, which newer codex also calls `"priority"`. Needs codex
   * 0.125; one that the server does not confirm is a `PolicyMismatchError`. Default: codex's own.
   */
  serviceTier?: string;
  /** How the model talks. Models without personalities ignore it. Default: codex's own. */
  personality?: "none" | "friendly" | "pragmatic";
  /** One of the model providers that codex is configured with; another one is an `RpcError`. Default: codex's own. */
  modelProvider?: string;
  /**
   * More directories to work in, absolute: readable, and with a sandbox that writes also writable. They are judged as
   * `writableRoots` are. A turn's own `sandbox` replaces them. Default none.
   */
  additionalDirectories?: readonly string[];
  /**
   * Whether commands may use the network, where `sandbox` does not say it itself. Needs `allowPrivilegedEscalation`, and on
   * Deno `--allow-net`. Default `false`.
   */
  networkAccess?: boolean;
  /**
   * Whether the model may search the web: not at all, in the provider's index, or live, which needs
   * `allowPrivilegedEscalation` and on Deno `--allow-net`. Default: what codex's configuration says, where that is live too;
   * with `reads: "workspace"` in the index then.
   */
  webSearch?: "off" | "cached" | "live";
  /** Codex settings of this thread, dotted or nested keys. Default none. */
  config?: CodexSettings;
  /** Keeps the thread out of the user's history. Default `false` for sessions, `true` for single runs. */
  ephemeral?: boolean;
  /**
   * Offers the model goals: codex then starts turns by itself until the goal is reached. Default `false`: no turn that
   * nobody asked for. Each of those turns has `timeoutMs`, all of a goal together have `limits`. Codex before 0.145 has no
   * goals.
   */
  goals?: boolean;
  /**
   * Records the workspace (`cwd`) before each turn that may write, for {@linkcode Session.rewind}. Ignored files, repositories' own
   * (`.git`) and files above 16 MiB are left out. What is recorded lies in `checkpoints/` of codex's home, for its owner only:
   * the last 100 turns of a workspace, 30 days and 1 GiB at most. A turn whose workspace can't be recorded (above 50,000
   * files) is not started: `CheckpointError`. Needs an agent on this machine; under Deno, reading and writing both places.
   * Default `false`.
   */
  checkpoints?: boolean;
}

/** How a session runs, and where. */
export type SessionConfig = RunProfile & {
  /** The directory the agent works in; must exist. */
  cwd: string;
  /**
   * Answers this session's questions in place of the client's handler. The client's rules go on to hold; rules given here
   * are added to them. Default: the client's.
   */
  approvals?: ApprovalHandler | ApprovalRules;
  /**
   * Where the thread's history is kept beside codex's own home: what codex wrote is added after each turn, and put back before
   * a thread is resumed where codex does not know it. A turn begins only when nobody else has written meanwhile; else the
   * session ends with `ThreadInUseError`. Codex has to run on this machine. Default: only codex keeps it.
   */
  store?: ThreadStore;
  /** Gives up opening the session, which then rejects with the signal's reason. */
  signal?: AbortSignal;
};

/** How a copy of a session's thread runs: what is left out is the session's own. */
export type ForkConfig = Partial<SessionConfig> & ForkPoint;

/** Options of {@linkcode Session.rewind}. */
export interface RewindOptions {
  /** The id of the first turn that is taken back; all after it are, too. */
  before: string;
  /** Takes back the files of the workspace; needs `checkpoints`. Default `true`. */
  files?: boolean;
  /** Takes back what the model remembers. Default `true`; `false` also takes a turn that it has lost before. */
  conversation?: boolean;
  /** Only tells what would be done. Default `false`. */
  dryRun?: boolean;
  /** Gives up before anything is changed; the call then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** What a rewind does, or did. */
export interface RewindPlan {
  /** The files, by path from the workspace; that of a directory ends with `/`. `create`: it was gone, and comes back. */
  files: { path: string; change: "restore" | "delete" | "create" }[];
  /** The turns that the conversation loses, the oldest first. */
  turns: string[];
  /** What stays as it is although it may have changed, and why. */
  skipped: { path: string; why: string }[];
}

/** What is reviewed. */
export type ReviewTarget =
  /** The changes in the working tree that are in no commit. */
  | { type: "uncommitted" }
  /** The changes since another branch. */
  | { type: "baseBranch"; branch: string }
  /** One commit. */
  | { type: "commit"; sha: string }
  /** Whatever these words ask for. */
  | { type: "custom"; instructions: string };

/**
 * Options of {@linkcode Session.review}. Settings of its own need codex 0.145, a sandbox 0.147. Codex asks nobody about what its
 * reviewer does: where hooks or approvals are to see all of that, a review is a `PolicyError`, unless it has
 * `approvalPolicy: "on-request"`.
 */
export type ReviewOptions<Schema extends object = StandardSchemaV1> = Omit<
  AskOptions<Schema>,
  "attachments" | "hooks" | "mode" | "retry"
>;

/** What a review found. */
export interface ReviewResult<Output = unknown> {
  /** The thread. */
  threadId: string;
  /** The review's turn. */
  turnId: string;
  /** The review as text. */
  reviewText: string;
  /** What the reviewer did, in order. */
  items: ThreadItem[];
  /** The review's tokens; `null` where codex does not tell them, and none up to 0.169 was seen that does. */
  usage: TokenUsage | null;
  /** The findings, parsed and validated, when a schema was given. */
  output: Output | undefined;
}

/** Options of {@linkcode Session.startGoal}. */
export interface GoalOptions {
  /** What all turns of the goal together may use. Default: the session's limits. */
  limits?: RunLimits;
  /** Milliseconds for the whole goal. Default one hour. */
  timeoutMs?: number;
  /** Stops the goal; {@linkcode GoalRun.finish} then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** How a goal ended. */
export interface GoalResult {
  /**
   * `complete`: reached, as the model says; `blocked`: the model can't go on; `budgetLimited`: its limits are used up;
   * `usageLimited`: the account's are; `stopped`: somebody stopped, paused or cleared it; `timedOut`: its time was over.
   */
  status: "complete" | "blocked" | "budgetLimited" | "usageLimited" | "stopped" | "timedOut";
  /** Its turns in order, one that was interrupted included; not those that somebody else began meanwhile. */
  turns: PromptRunResult[];
  /** The tokens of all its turns, and of the agents that its agent started. */
  usage: TokenCount;
}

/** How full the context was before and after a compaction. */
export interface CompactResult {
  /** Tokens before; `null` when they were not known. */
  tokensBefore: number | null;
  /** Tokens after it, as codex estimates them; `null` when it told none. */
  tokensAfter: number | null;
}

/** Options of calls that only wait for an answer. */
export interface WaitOptions {
  /** Gives up waiting; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** A profile with every default filled in. */
export interface ResolvedProfile {
  /** The model, or `null` for codex's own. */
  readonly model: string | null;
  /** How much the model thinks. */
  readonly effort: ReasoningEffort;
  /** How the agent goes about prompts. */
  readonly mode: SessionMode;
  /** When the server asks before it acts, as sent. */
  readonly approvalPolicy: ApprovalPolicy;
  /** How far commands may reach. */
  readonly sandbox: SandboxPolicy;
  /** What commands may read. */
  readonly reads: "all" | "workspace";
  /** Consent to anything but read-only. */
  readonly allowPrivilegedEscalation: boolean;
  /** Consent to full access with nobody asked. */
  readonly dangerouslyAllowUnattendedFullAccess: boolean;
  /** Consent to codex's own rules files. */
  readonly allowRulesFiles: boolean;
  /** Milliseconds for a whole turn. */
  readonly timeoutMs: number;
  /** What one prompt may use. */
  readonly limits: RunLimits;
  /** Sent along with every prompt. */
  readonly attachments: readonly Attachment[];
  /** JSON Schema of the answer, or `null`. */
  readonly outputSchema: JsonObject | null;
  /** Hooks of this session, after the client's own. */
  readonly hooks: Hooks;
  /** Tools that run in this process, by name. */
  readonly tools: Readonly<Record<string, DynamicTool>>;
  /** MCP servers of this session, by name. */
  readonly mcpServers: Readonly<Record<string, McpServer>>;
  /** Instructions beside the system prompt, or `null`. */
  readonly developerInstructions: string | null;
  /** What replaces the system prompt, or `null`. */
  readonly baseInstructions: string | null;
  /** How much of its reasoning the model sums up, or `null` for codex's own. */
  readonly reasoningSummary: NonNullable<RunProfile["reasoningSummary"]> | null;
  /** The provider's class of service, or `null` for codex's own. */
  readonly serviceTier: string | null;
  /** How the model talks, or `null` for codex's own. */
  readonly personality: NonNullable<RunProfile["personality"]> | null;
  /** The model provider, or `null` for codex's own. */
  readonly modelProvider: string | null;
  /** More directories to work in; `sandbox` has them too, where it writes. */
  readonly additionalDirectories: readonly string[];
  /** Whether the model may search the web, or `null` for codex's own. */
  readonly webSearch: NonNullable<RunProfile["webSearch"]> | null;
  /** Codex settings of this thread. */
  readonly config: Readonly<Record<string, JsonValue>>;
  /** Whether the thread stays out of the user's history. */
  readonly ephemeral: boolean;
  /** Whether codex may start turns by itself for a goal. */
  readonly goals: boolean;
  /** Whether the workspace is recorded before turns that may write. */
  readonly checkpoints: boolean;
}

/** When failed turns are tried again. */
export interface RetryOptions {
  /** Tries after the first. Default 2. */
  attempts?: number;
  /** First delay in milliseconds; doubles, with jitter. A reset time that the server tells wins. Default 1,000. */
  baseDelayMs?: number;
  /** Longest delay in milliseconds; a reset time that is further away ends the tries. Default 60,000. */
  maxDelayMs?: number;
}

/** Options of one turn. Profile fields hold for this turn only. */
export interface TurnOptions extends
  Pick<
    RunProfile,
    | "model"
    | "effort"
    | "mode"
    | "approvalPolicy"
    | "sandbox"
    | "allowPrivilegedEscalation"
    | "dangerouslyAllowUnattendedFullAccess"
    | "timeoutMs"
    | "limits"
    | "attachments"
    | "outputSchema"
    | "hooks"
  > {
  /** Stops waiting, interrupts the turn and rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called with every event of the turn, in order; an error thrown here is reported as a `warning` event. */
  onEvent?: (event: TurnEvent) => void;
  /**
   * Tries a retryable failure (rate limit, overload, network) again: asks the whole prompt once more on the same thread.
   * What the failed try did is not undone, and its commands may run a second time. `items` are those of the last try,
   * `usage` counts them all. Default off.
   */
  retry?: RetryOptions;
  /** Asks once more, in a second turn, when the answer does not fit the schema. Default `false`. */
  repair?: boolean;
}

/** Options of {@linkcode Session.ask}. */
export interface AskOptions<Schema extends object = StandardSchemaV1> extends TurnOptions {
  // An intersection with a schema of arktype is too deep for TypeScript before 7.
  /** A Standard Schema (zod, valibot, arktype …): the answer is parsed, validated and typed. */
  output?: [Schema] extends [StandardSchemaV1] ? Schema : StandardSchemaV1;
  /** JSON Schema of the answer, instead of `output`; one written `as const` types the answer. Default none. */
  outputSchema?: Schema | JsonSchema;
}

/** Options of a run on a fresh thread. */
export type RunOptions<Schema extends object = StandardSchemaV1> =
  & AskOptions<Schema>
  & RunProfile;
