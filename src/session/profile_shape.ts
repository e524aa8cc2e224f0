/**
 * What the options of sessions, turns and runs may be.
 * @module
 */
import { approvalsKind } from "../approvals/rules/check_rules.ts";
import {
  callback,
  checkArgument,
  count,
  either,
  elsewhere,
  flag,
  jsonObject,
  type Kind,
  kind,
  list,
  milliseconds,
  name,
  object,
  oneOf,
  type OptionKinds,
  path,
  pauseMilliseconds,
  required,
  type Shape,
  shape,
  signal,
  takeArgument,
  takeOptions,
  text,
  typeOf,
  variants,
} from "../check/mod.ts";
import { hooksKind } from "../plugin/hook_kind.ts";
import { CLIENT_CONFIG, settingsKind } from "../runtime/config_shape.ts";
import type { ForkPoint } from "./thread/fork_point.ts";
import type { SampleOptions } from "./thread/sample.ts";
import type { ReadThreadOptions, ThreadFilter } from "./client/threads.ts";
import type { ItemsOptions, TurnsOptions } from "./history/pages.ts";
import { threadStoreKind } from "./history/thread_store.ts";
import type { SearchOptions } from "./history/search.ts";
import { isStandardSchema } from "./output/convert_schema.ts";
import type {
  AskOptions,
  ForkConfig,
  GoalOptions,
  RetryOptions,
  ReviewOptions,
  ReviewTarget,
  RewindOptions,
  RunLimits,
  RunOptions,
  RunProfile,
  SessionConfig,
  TurnOptions,
  WaitOptions,
} from "./profile.ts";
import { mcpServersKind } from "./mcp/servers.ts";
import { attachmentsKind, type Prompt, promptKind } from "../prompt.ts";
import { toolsKind } from "./prompt/tools.ts";
import type {
  ExternalSandboxPolicy,
  GranularApprovalPolicy,
  ReadOnlyPolicy,
  SandboxPolicy,
  WorkspaceWritePolicy,
} from "../permissions/mod.ts";

const MODES = ["read-only", "workspace-write", "danger-full-access"] as const;

/** A sandbox: a mode's word, or a policy. */
const sandboxKind: Kind = either(
  oneOf(MODES),
  variants<SandboxPolicy>({
    readOnly: shape<Omit<ReadOnlyPolicy, "type">>({ networkAccess: flag }),
    workspaceWrite: shape<Omit<WorkspaceWritePolicy, "type">>({
      writableRoots: list(name),
      networkAccess: flag,
      excludeTmpdirEnvVar: flag,
      excludeSlashTmp: flag,
    }),
    dangerFullAccess: shape<Record<never, never>>({}),
    externalSandbox: shape<Omit<ExternalSandboxPolicy, "type">>({
      networkAccess: oneOf(["restricted", "enabled"]),
    }),
  }, (value) => {
    const { type, mode } = Object(value) as { type?: unknown; mode?: unknown };
    const word = MODES.find((each) => each === type || each === mode);
    return word === undefined ? undefined : `Did you mean \`sandbox: "${word}"\`?`;
  }),
);

/** When the server asks. */
const approvalPolicyKind: Kind = either(
  oneOf(["untrusted", "on-request", "on-failure", "never"]),
  object(shape<GranularApprovalPolicy>({
    granular: required(object(shape<GranularApprovalPolicy["granular"]>({
      sandbox_approval: required(flag),
      rules: required(flag),
      mcp_elicitations: required(flag),
      skill_approval: flag,
      request_permissions: flag,
    }))),
  })),
);

const outputSchema: Kind = kind(
  "a JSON Schema object",
  ["object", "null"],
  (value: object | null) =>
    value === null || (!isStandardSchema(value) && jsonObject.misfit(value, "") === null),
  (value) => isStandardSchema(value) ? "Give a Standard Schema (zod …) as `output`." : undefined,
);

const output: Kind = kind(
  "a Standard Schema (zod, valibot, arktype …)",
  ["object", "function"],
  isStandardSchemaLike,
  (value) => typeOf(value) === "object" ? "Give a JSON Schema as `outputSchema`." : undefined,
);

function isStandardSchemaLike(value: object): boolean {
  const standard = (value as { "~standard"?: { validate?: unknown } })["~standard"];
  return typeof standard?.validate === "function";
}

const retry: Kind = object(
  shape<RetryOptions>({
    attempts: count(0),
    baseDelayMs: pauseMilliseconds,
    maxDelayMs: pauseMilliseconds,
  }, { retries: "attempts", maxRetries: "attempts", maxAttempts: "attempts" }),
  (value) =>
    typeof value === "number" || typeof value === "boolean"
      ? "Write `retry: { attempts: … }`, or `retry: {}` for the defaults."
      : undefined,
);

/** How much a run may use. */
export const limitsKind: Kind = object(
  shape<RunLimits>({ tokens: count(1), modelCalls: count(1), toolCalls: count(0) }, {
    maxTokens: "tokens",
    turns: "modelCalls",
    maxTurns: "modelCalls",
    steps: "modelCalls",
    tools: "toolCalls",
  }),
  (value) => typeof value === "number" ? "Write `limits: { tokens: … }`." : undefined,
);

const modeKind: Kind = oneOf(["default", "plan"]);

/** The fields that hold for a turn as well as for a session. */
const TURN_FIELDS = {
  model: name,
  effort: name,
  mode: modeKind,
  approvalPolicy: approvalPolicyKind,
  sandbox: sandboxKind,
  allowPrivilegedEscalation: flag,
  dangerouslyAllowUnattendedFullAccess: flag,
  timeoutMs: milliseconds,
  limits: limitsKind,
  attachments: attachmentsKind,
  outputSchema,
  hooks: hooksKind,
} as const;

/** The fields that belong to the whole thread. */
const THREAD_FIELDS = {
  allowRulesFiles: flag,
  reads: oneOf(["all", "workspace"]),
  tools: toolsKind,
  mcpServers: mcpServersKind,
  developerInstructions: text,
  baseInstructions: text,
  reasoningSummary: oneOf(["auto", "concise", "detailed", "none"]),
  serviceTier: name,
  personality: oneOf(["none", "friendly", "pragmatic"]),
  modelProvider: name,
  additionalDirectories: list(name),
  networkAccess: flag,
  webSearch: oneOf(["off", "cached", "live"]),
  config: settingsKind,
  ephemeral: flag,
  goals: flag,
  checkpoints: flag,
} as const;

/** The fields of a profile. */
export const RUN_PROFILE_FIELDS: OptionKinds<RunProfile> = { ...TURN_FIELDS, ...THREAD_FIELDS };

const ASK_FIELDS: OptionKinds<AskOptions> = {
  ...TURN_FIELDS,
  output,
  signal,
  onEvent: callback,
  retry,
  repair: flag,
};

/** What other SDKs call things, in camelCase; snake_case is found as well. */
const meant = (): Readonly<Record<string, string>> => ({
  ...elsewhere(CLIENT_CONFIG, "It belongs to the client: `Client.connect({ … })`."),
  ...meaning(
    'Write `approvals: { rules: [ … ] }` with `approvalPolicy: "untrusted"`: rules name commands, files and tools.',
    ["allowedTools", "disallowedTools"],
  ),
  ...meaning("Give a Standard Schema as `output`, a JSON Schema as `outputSchema`.", [
    "outputFormat",
    "responseFormat",
    "schema",
  ]),
  ...meaning("Text comes as it is written from `askStream`.", ["stream", "includePartialMessages"]),
  ...meaning("developerInstructions", ["appendSystemPrompt", "system", "systemPrompt"]),
  instructions: "developerInstructions",
  ...meaning("effort", ["modelReasoningEffort", "reasoning", "reasoningEffort"]),
  ...meaning("sandbox", ["sandboxMode", "sandboxPolicy"]),
  ...meaning("Write `limits: { tokens: … }`.", ["maxBudgetUsd", "maxOutputTokens", "maxTokens"]),
  abortSignal: "signal",
  enableFileCheckpointing: "checkpoints",
  abortController: "Write `signal: controller.signal`.",
  env: "Variables belong to the client: `Client.connect({ env: { set: { … } } })`.",
  images: 'Write `attachments: [{ type: "localImage", path }]`.',
  ...meaning("Call `client.resumeSession(threadId, config)`.", ["resume", "threadId"]),
  settingSources: 'Write `Client.connect({ isolation: "hermetic" })`.',
  canUseTool: "approvals",
  maxTurns: "Write `limits: { modelCalls: … }`.",
  permissionMode: "Write `approvalPolicy` for when to ask, and `sandbox` for what may be done.",
  skipGitRepoCheck: "It is not needed: any directory will do.",
  timeout: "timeoutMs",
  workingDirectory: "cwd",
  networkAccessEnabled: "networkAccess",
  webSearchMode: "webSearch",
});

/** The same for what is not asked by itself. */
const meantOfThreads = (): Readonly<Record<string, string>> => ({
  ...meant(),
  ...notHere("a turn: give it to `ask` or `run`", [
    "signal",
    "onEvent",
    "retry",
    "repair",
    "output",
  ]),
});

/** A profile. */
export const RUN_PROFILE: Shape = shape<RunProfile>(RUN_PROFILE_FIELDS, meantOfThreads);

/** The fields of a session. */
const SESSION_FIELDS = {
  ...RUN_PROFILE_FIELDS,
  cwd: required(path),
  approvals: approvalsKind,
  store: threadStoreKind,
  signal,
} as const;

/** How a session runs, and where. */
export const SESSION_CONFIG: Shape = shape<SessionConfig>(SESSION_FIELDS, meantOfThreads);

/** How a session goes on with a thread; where none is given, the thread's own directory. */
export const RESUME_CONFIG: Shape = shape<Partial<SessionConfig>>(
  { ...SESSION_FIELDS, cwd: name },
  meantOfThreads,
);

/** Where a copy of a thread ends. */
const FORK_POINT: OptionKinds<ForkPoint> = { after: name, before: name };

/** How a session on a copy of a thread runs, and where. */
export const FORK_SESSION_CONFIG: Shape = shape<SessionConfig & ForkPoint>({
  ...SESSION_FIELDS,
  ...FORK_POINT,
}, meantOfThreads);

/** How a session on a copy of its own thread runs; what is left out is the session's own. */
export const FORK_CONFIG: Shape = shape<ForkConfig>(
  { ...SESSION_FIELDS, ...FORK_POINT, cwd: name },
  meantOfThreads,
);

const REVIEW_FIELDS = (({ attachments: _a, hooks: _h, mode: _m, retry: _r, ...rest }) => rest)({
  ...TURN_FIELDS,
  output,
  signal,
  onEvent: callback,
  retry,
  repair: flag,
});

/** Options of a review. */
export const REVIEW_OPTIONS: Shape = shape<ReviewOptions>(REVIEW_FIELDS, () => ({
  ...meant(),
  ...notHere("prompts: a review has none", ["attachments", "mode"]),
  ...notHere("the session", ["hooks"]),
  ...notHere("prompts: ask for another review", ["retry"]),
}));

/** What is reviewed. */
export const reviewTargetKind: Kind = required(variants<ReviewTarget>(
  {
    uncommitted: shape<Record<never, never>>({}),
    baseBranch: shape<{ branch: string }>({ branch: required(name) }, { base: "branch" }),
    commit: shape<{ sha: string }>({ sha: required(name) }, { commit: "sha" }),
    custom: shape<{ instructions: string }>({ instructions: required(name) }, {
      prompt: "instructions",
    }),
  },
  (value) =>
    (value as { type?: unknown } | null)?.type === "uncommittedChanges"
      ? 'Write `{ type: "uncommitted" }`.'
      : undefined,
));

/** Options of a goal. */
export const GOAL_OPTIONS: Shape = shape<GoalOptions>({
  limits: limitsKind,
  timeoutMs: milliseconds,
  signal,
}, () => ({
  ...meant(),
  tokenBudget: "Write `limits: { tokens: … }`.",
}));

/** What is taken back. */
export const REWIND_OPTIONS: Shape = shape<RewindOptions>({
  before: required(name),
  files: flag,
  conversation: flag,
  dryRun: flag,
  signal,
}, { turnId: "before", turn: "before", dry: "dryRun", code: "files" });

/** Options of a question beside the conversation. */
export const SAMPLE_OPTIONS: Shape = shape<SampleOptions>({ timeoutMs: milliseconds, signal });

/** What of a live session can be changed. */
export const SETTINGS: Shape = shape<Pick<RunProfile, "model" | "effort" | "mode">>({
  model: name,
  effort: name,
  mode: modeKind,
}, meant);

/** Options of a turn. */
export const ASK_OPTIONS: Shape = shape<AskOptions>(ASK_FIELDS, () => ({
  ...meant(),
  ...notHere("the whole thread: give it to `startSession`", [
    ...Object.keys(THREAD_FIELDS),
    "approvals",
    "cwd",
    "store",
  ]),
}));

/** Options of a run on a fresh thread. */
export const RUN_OPTIONS: Shape = shape<RunOptions>({ ...ASK_FIELDS, ...THREAD_FIELDS }, () => ({
  ...meant(),
  ...notHere("the client or a session", ["approvals"]),
  ...notHere("a session: a run leaves no thread behind", ["store"]),
}));

/** Options of calls that only wait. */
export const WAIT_OPTIONS: Shape = shape<WaitOptions>({ signal });

/** How to go through the turns of a thread, or its items. */
export const TURNS_OPTIONS: Shape = shape<TurnsOptions>(
  { newestFirst: flag, pageSize: count(1), signal },
  { limit: "pageSize" },
);

/** How to go through the items of a thread. */
export const ITEMS_OPTIONS: Shape = shape<ItemsOptions>(
  { turnId: name, newestFirst: flag, pageSize: count(1), signal },
  { limit: "pageSize" },
);

/** Where to look for words. */
export const SEARCH_OPTIONS: Shape = shape<SearchOptions>({ cwd: text, limit: count(1), signal });

/** What a session's listeners hear. */
export const SESSION_EVENTS: Shape = shape<{ subAgents?: boolean }>({ subAgents: flag });

/** Which threads to list. */
export const THREAD_FILTER: Shape = shape<ThreadFilter>({
  cwd: text,
  archived: flag,
  searchTerm: text,
  modelProviders: list(text),
  sortKey: oneOf(["created_at", "updated_at"]),
  pageSize: count(1),
  signal,
});

/** How to read a thread. */
export const READ_THREAD_OPTIONS: Shape = shape<ReadThreadOptions>({ includeTurns: flag, signal });

/** A prompt and its options, as they are now. Throws `InvalidArgumentError` when they can't be what they are meant to be. */
export function takeAsk(where: string, prompt: Prompt, options: object): [Prompt, AskOptions] {
  const asked = takeArgument(where, "prompt", prompt, promptKind);
  return [asked, takeOptions(where, options, ASK_OPTIONS)];
}

/** What a running turn is asked in addition. Throws `InvalidArgumentError` when it is no prompt. */
export function steering(input: Prompt): Prompt {
  return takeArgument("steer", "input", input, promptKind);
}

/** Throws `InvalidArgumentError` when a thread can't be opened as that, or as such a session; the settings as they are now. */
export function checkOpening(
  where: string,
  opening: { method: string; threadId?: unknown },
  config: SessionConfig,
): SessionConfig {
  if (opening.method !== "thread/start") {
    checkArgument(where, "threadId", opening.threadId, threadIdKind);
  }
  return takeOptions(where, config, SESSION_CONFIG);
}

/** An id that the server gave. */
export const threadIdKind: Kind = required(name);

/** Items that a thread is given. */
export const itemsKind: Kind = required(list(jsonObject));

/** What is looked for; codex refuses what has no letter at all. */
export const wordsKind: Kind = kind(
  "a text with more than spaces in it",
  ["string"],
  (value: string) => value.trim() !== "",
);

function notHere(where: string, names: readonly string[]): Record<string, string> {
  return meaning(`It belongs to ${where}.`, names);
}

function meaning(sentence: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((each) => [each, sentence]));
}

/** What one turn can have of a profile; the rest belongs to the thread. */
export function turnOptionsOf(profile: RunProfile): TurnOptions {
  return Object.fromEntries(
    Object.entries(profile).filter(([name]) => Object.hasOwn(ASK_OPTIONS.options, name)),
  );
}
