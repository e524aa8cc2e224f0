/**
 * What a hook is, what it sees and what it may answer.
 * @module
 */
import type { ProposedChange } from "../thread_item.ts";
import type { JsonObject } from "../json.ts";
import type * as protocol from "../protocol/mod.ts";
import type { Attachment } from "../prompt.ts";

/** When a pre-hook runs. */
export type PreHookPhase = "preRun" | "preSessionStart" | "preTurn" | "preToolUse";

/** When a post-hook runs. */
export type PostHookPhase = "postRun" | "postSessionStart" | "postTurn" | "postToolUse";

/**
 * When a hook runs: around a prompt with all its turns (`ask`, `askStream`, and within `run` and `quickRun`), around the
 * start, resume or fork of a session, around each turn, before each tool use that the server asks about, and after each
 * tool use. A session with `preToolUse` hooks and the approval policy `never` sends `untrusted` in its place: the server asks
 * about everything then, but before codex 0.169 not about reads that it takes for safe. Under `on-request` it asks only about
 * what leaves the sandbox. A tool use of an agent that the session's agent started counts as the session's.
 */
export type HookPhase = PreHookPhase | PostHookPhase;

/** What kind of tool a tool-use hook is asked about. */
export type HookToolKind =
  | "command"
  | "fileChange"
  | "permissions"
  | "mcpTool"
  | "dynamicTool"
  // Keeps completion for the known words while any other passes.
  | (string & Record<never, never>);

/** The facts about a tool use; present in `preToolUse` and `postToolUse` only. */
export interface HookToolFacts {
  /**
   * The tool: the first program of a command (`git`, not the shell around it), `apply_patch` for file changes, `server/tool`
   * for MCP tools, else the tool's own name.
   */
  readonly toolName?: string;
  /** What kind of tool it is. */
  readonly toolKind?: HookToolKind;
  /** The command as the server spells it, shell wrapper included. */
  readonly command?: string;
  /**
   * The command split into its arguments. Without the shell around it where that is a single plain command: no redirection,
   * variable, pattern or the like, so that these words are all that happens. Else the shell and its script.
   */
  readonly argv?: readonly string[];
  /** The text inside `bash -lc "…"` or its like, when the command is such a wrapper and that does no more than run it. */
  readonly script?: string;
  /** Unified diff of the file change, when it is known. */
  readonly diff?: string;
  /** The file changes, when they are known. */
  readonly changes?: readonly ProposedChange[];
  /**
   * The tool's input: arguments of an MCP or dynamic tool, the permissions that are asked for, by a command as well, or the host
   * that a command asks to reach.
   */
  readonly toolInput?: unknown;
  /** `postToolUse`: how the tool ended, as the server spells it: `completed`, `failed`, `declined`. */
  readonly toolStatus?: string;
  /** `postToolUse`: the command's exit code, when it ran. */
  readonly exitCode?: number;
  /** The thread item of the tool use, when it is known. */
  readonly item?: protocol.ThreadItem;
}

/** What a hook sees. Each hook gets its own copy; changing it changes nothing. */
export interface HookContext extends HookToolFacts {
  /** Why the hook is called. */
  readonly phase: HookPhase;
  /** The same for all hook calls of one run, so that they can be matched in logs. */
  readonly correlationId: string;
  /** When the phase began. */
  readonly at: Date;
  /** What the hooks of this run have noted so far; see {@linkcode HookPatch.metadata}. */
  readonly metadata: JsonObject;
  /** The thread, once there is one. */
  readonly threadId?: string;
  /** The turn, once there is one. */
  readonly turnId?: string;
  /** The directory the agent works in; for tool use, the directory of the tool. */
  readonly cwd?: string;
  /** The model, when one was chosen; as patched so far. */
  readonly model?: string;
  /** The text of the prompt, as patched so far; in `preRun`, `preTurn` and their post phases. */
  readonly prompt?: string;
  /** The attachments, those added by earlier hooks included; in the same phases as `prompt`. */
  readonly attachments?: readonly (string | Attachment)[];
  /** How it went; in post phases only. */
  readonly status?: "ok" | "error";
  /** What went wrong, when `status` is `"error"`. */
  readonly error?: unknown;
}

/**
 * What a pre-hook changes. `preRun` and `preTurn` take every field, `preSessionStart` takes `model` and `metadata`,
 * `preToolUse` takes none; a field that the phase does not take is ignored and reported as a `validation` issue.
 */
export interface HookPatch {
  /** Replaces the text of the prompt. */
  prompt?: string;
  /** Replaces the model. */
  model?: string;
  /** Added after the attachments that are there. */
  attachments?: readonly (string | Attachment)[];
  /** Merged, key by key, into what the later hooks of the run see as {@linkcode HookContext.metadata}. */
  metadata?: JsonObject;
}

/** What a pre-hook answers. */
export type HookAction = HookContinue | HookMutate | HookBlock;

/** Go on unchanged. */
export interface HookContinue {
  /** Discriminator. */
  type: "continue";
}

/** Go on with changes. */
export interface HookMutate {
  /** Discriminator. */
  type: "mutate";
  /** The changes. */
  patch: HookPatch;
}

/** Stop: the call rejects with `HookBlockedError`, a tool use is declined. Later hooks are not asked. */
export interface HookBlock {
  /** Discriminator. */
  type: "block";
  /** Why, for the person who reads the error. */
  reason: string;
}

/** What a hook call gets besides the context. */
export interface HookCallOptions {
  /** Aborted when the time limit passes, or when the call that the hook belongs to is aborted. */
  signal: AbortSignal;
}

/** Runs before something happens; may change it or stop it. */
export interface PreHook {
  /** Identifies the hook in errors and reports; unique among the pre-hooks of a run. */
  readonly name: string;
  /** When to call it. Default: all four pre phases. */
  readonly phases?: readonly HookPhase[];
  /** What a throw, a timeout or a malformed answer means. Default `"block"`. */
  readonly onError?: "block" | "continue";
  /** Milliseconds the hook may take. Default 5,000. */
  readonly timeoutMs?: number;
  /** Decides. Pre-hooks of a phase run one after the other and each sees what the earlier ones changed. */
  call(context: HookContext, options: HookCallOptions): HookAction | Promise<HookAction>;
}

/** Runs after something happened; only watches. What goes wrong in it becomes an issue in the report. */
export interface PostHook {
  /** Identifies the hook in reports; unique among the post-hooks of a run. */
  readonly name: string;
  /** When to call it. Default: all four post phases. */
  readonly phases?: readonly HookPhase[];
  /** Milliseconds the hook may take. Default 5,000. */
  readonly timeoutMs?: number;
  /** Watches. A promise is awaited; what it resolves to is ignored. */
  call(context: HookContext, options: HookCallOptions): unknown;
}

/** Hooks of a client, a session or a call; they run in that order. */
export interface Hooks {
  /** Run before, in this order. Default none. */
  pre?: readonly PreHook[];
  /** Run after, in this order. Default none. */
  post?: readonly PostHook[];
}

/**
 * What kind of trouble a hook made: `validation` (an answer that does not fit), `execution` (it threw or its program
 * failed), `timeout` (it took too long), `internal` (this library's fault).
 */
export type HookIssueClass = "validation" | "execution" | "timeout" | "internal";

/** Trouble that a hook made. */
export interface HookIssue {
  /** The hook. */
  hookName: string;
  /** The phase in which it happened. */
  phase: HookPhase;
  /** What kind of trouble. */
  class: HookIssueClass;
  /** What happened. */
  message: string;
}

/** One call of a hook. */
export interface HookCallRecord {
  /** The hook. */
  name: string;
  /** The phase. */
  phase: HookPhase;
  /** What it answered; `observe` for a post-hook that went well, `error` for a hook that failed. */
  action: "continue" | "mutate" | "block" | "observe" | "error";
  /** How long it took, in milliseconds. */
  durationMs: number;
}

/** What the hooks of one run did. */
export interface HookReport {
  /** Trouble, in the order in which it happened. */
  issues: HookIssue[];
  /** The calls, in the order in which they ended. */
  ran: HookCallRecord[];
}
