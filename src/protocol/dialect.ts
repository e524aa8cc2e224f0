/**
 * How one codex differs from another, each difference once: what it can do, and in which words it refuses.
 *
 * What a codex of unknown version may lack is not used.
 * @module
 */
import { NOT_LOGGED_IN, RpcError, type RpcRefusal } from "../errors/mod.ts";

/** A difference between versions of codex. */
export type Feature =
  | "asksAboutReads"
  | "asksBeforeLeaving"
  | "asksAboutMcpTools"
  | "asksAboutReadingTools"
  | "formsAreTheirOwn"
  | "commandsOutliveTurns"
  | "scriptsKeepTurns"
  | "scriptsOutliveStops"
  | "readProfiles"
  | "remoteImages"
  | "audioInput"
  | "repeatsTokenCounts"
  | "startsJoinedTurns"
  | "truthfulTurnRecord"
  | "denialWithReason"
  | "tellsWholePatches"
  | "workspaceReads"
  | "docsNeedTrust"
  | "rulesNeedTrust"
  | "listsHooks"
  | "profilesWin"
  | "modelsNameAgents"
  | "docsInReads"
  | "skillsInReads"
  | "deniedRootHolds"
  | "keepsRoots"
  | "keepsDotCodex"
  | "addsOwnRoot"
  | "slashTmpInProfiles"
  | "turnProfiles"
  | "ttySwitch"
  | "unifiedExecSwitch"
  | "untoldTools"
  | "goals"
  | "deviceLogin"
  | "serviceTiers"
  | "injectItems"
  | "forkAtTurn"
  | "threadSettings"
  | "reviewSandbox"
  | "listsTurns"
  | "listsItems"
  | "search"
  | "searchesOccurrences"
  | "deleteThread"
  | "pagedThreads"
  | "sample"
  | "revert"
  | "rollback"
  | "settingsOfLoaded"
  | "closesReleased"
  | "mcpToolCalls"
  | "mcpThreadStatus"
  | "mcpReload";

/** What not every codex from 0.104 on has: the first version that was seen with it, or without it. */
const FEATURES: Record<Feature, { since?: string; until?: string }> = {
  /** Under `untrusted` it asks about every command; before, not about reads that it takes for safe. 0.145 does not. */
  asksAboutReads: { since: "0.169.0" },
  /**
   * Asks about each command that asks to leave the sandbox. Under `on-request` 0.104 to 0.130 ask nobody about programs that
   * they take for safe by their name, such as a `./git status` of the agent's own making.
   */
  asksBeforeLeaving: { since: "0.136.0" },
  /** Asks for consent to a call of an MCP tool; from 0.107 on it asked the user a question of no kind, 0.104 asks nobody. */
  asksAboutMcpTools: { since: "0.117.0" },
  /** Asks about tools that their server says only read, when it is told to: `default_tools_approval_mode`. 0.117 does not. */
  asksAboutReadingTools: { since: "0.125.0" },
  /**
   * Takes the answer to an MCP server's form for nothing else. Up to 0.136 codex looks it up by the id that the server has given
   * the form, which may be that of codex's own question about a call of that server.
   */
  formsAreTheirOwn: { since: "0.137.0" },
  /** An interrupted turn leaves its command running. */
  commandsOutliveTurns: { since: "0.105.0" },
  /**
   * A script of a model that calls tools in code goes on with the next turn, in the sandbox and under the id of its own one.
   * Up to 0.155.1 it has those of the turn that is active.
   */
  scriptsKeepTurns: { since: "0.156.0" },
  /**
   * So does one of an interrupted turn; 0.163 ends these. First models to have it are those of 0.144. 0.128 and 0.130 have such
   * scripts behind a switch, and close no thread that they could end with.
   */
  scriptsOutliveStops: { since: "0.140.0", until: "0.163.0" },
  /** Takes a permission profile in `thread/start`'s `config`: commands can be kept from reading the whole disk. */
  readProfiles: { since: "0.125.0" },
  /** Takes `audio` in a prompt. 0.140 does not. */
  audioInput: { since: "0.145.0" },
  /** Fetches images by URL. */
  remoteImages: { until: "0.145.0" },
  /**
   * A call of the model begins with the count of the one before, if there was one, and an agent's agent begins to count
   * at 0. 0.145 tells each count once, and counts on from the parent for an agent that knows what the parent knows.
   */
  repeatsTokenCounts: { until: "0.145.0" },
  /** Says `turn/started` of a turn that never works, because its prompt became part of another one. 0.125 does not. */
  startsJoinedTurns: { until: "0.125.0" },
  /** Its own record of turns is right; before, running and failed ones were recorded as completed. */
  truthfulTurnRecord: { since: "0.169.0" },
  /** Takes one change of a file in a patch; 0.145 takes several, tells the last of them only, and makes them all. */
  tellsWholePatches: { since: "0.150.0" },
  /** The old approvals are declined with an object that has room for a reason; before, with one word. */
  denialWithReason: { since: "0.169.0" },
  /**
   * Keeps everything the agent does to a permission profile's directories. 0.125 takes the profile and holds only commands
   * to it: its patches and `view_image` read any file, and without write access no command starts. Between not tried.
   */
  workspaceReads: { since: "0.145.0" },
  /** Reads no `AGENTS.md` in a project that it is told not to trust; seen on 0.150, not yet on 0.145. */
  docsNeedTrust: { since: "0.150.0" },
  /**
   * Reads no rules of a project that it is told not to trust. 0.104 to 0.120 do where its `.codex` has no `config.toml`, and
   * tell of no reason that keeps them from it.
   */
  rulesNeedTrust: { since: "0.125.0" },
  /** Tells the hooks of its configuration, and takes switches for single ones. 0.128 does not. */
  listsHooks: { since: "0.129.0" },
  /** A `profile` that the user's configuration chooses wins over what a thread brings. 0.136 opens no thread with one. */
  profilesWin: { until: "0.136.0" },
  /** Takes a depth of 0 for agents. From 0.137 on models name the tools for agents that they have; 0.144 takes no such depth. */
  modelsNameAgents: { since: "0.145.0" },
  /** Reads an `AGENTS.md` only where its permission profile lets commands read. 0.145 reads any, also through links. */
  docsInReads: { since: "0.150.0" },
  /** Follows no link among a project's skills to where commands may not read; 0.163 does, between not tried. */
  skillsInReads: { since: "0.169.0" },
  /**
   * On Linux a permission profile that denies the root holds a command whatever was accepted: it is not repeated outside,
   * not even when it asked to be, and it gets no network. Tried on 0.136, 0.145, 0.150, 0.169. Without that, every codex
   * from 0.104 to 0.169 may repeat an accepted command outside of its sandbox; whether it does is a race in codex.
   */
  deniedRootHolds: { since: "0.136.0" },
  /**
   * Runs no command where a link has taken the place of a writable root, or of a directory above it, since the turn began.
   * 0.104 to 0.130 follow it: the cwd on most of them, other roots on all.
   */
  keepsRoots: { since: "0.136.0" },
  /** Keeps commands out of the `.codex` of a writable directory. 0.110 does not; between not tried. */
  keepsDotCodex: { since: "0.125.0" },
  /** Makes the directory for memories in its home writable by itself. Measured on each minor version from 0.104 to 0.169. */
  addsOwnRoot: { since: "0.108.0", until: "0.136.0" },
  /** Tells the call of a session's own tool as a question only, not as an item of the turn. 0.107 tells both. */
  untoldTools: { until: "0.107.0" },
  /** Works on a goal by itself: `thread/goal/set`. 0.125 does not. */
  goals: { since: "0.145.0" },
  /** `serviceTier` of threads, which it repeats in its answer; 0.104 ignores it. */
  serviceTiers: { since: "0.125.0" },
  /** Logs in by a code that is typed into another machine's browser. Seen on 0.125; 0.104 does not. */
  deviceLogin: { since: "0.125.0" },
  /** `thread/inject_items`. 0.110 does not. */
  injectItems: { since: "0.125.0" },
  /** `lastTurnId` and `beforeTurnId` of `thread/fork`; 0.125 ignores them and forks the whole thread. */
  forkAtTurn: { since: "0.145.0" },
  /** `thread/settings/update`. 0.125 does not. */
  threadSettings: { since: "0.145.0" },
  /** A review has the sandbox of the thread's settings. Up to 0.146.1 it has that with which the thread was opened. */
  reviewSandbox: { since: "0.147.0" },
  /** `thread/turns/list`, a page at a time. 0.104 sends all turns in one message. */
  listsTurns: { since: "0.125.0" },
  /** `thread/items/list`; 0.145 has the method and says "not supported yet", as 0.169 does of a thread that is not paged. */
  listsItems: { since: "0.169.0" },
  /** `thread/search`. 0.125 does not. */
  search: { since: "0.145.0" },
  /** `thread/searchOccurrences`; 0.145 has the method and says "not supported yet", 0.169 of a thread that is not paged. */
  searchesOccurrences: { since: "0.169.0" },
  /** `thread/delete`. 0.125 does not. */
  deleteThread: { since: "0.145.0" },
  /**
   * Writes threads in pages, each line with a number. 0.150 does not; an older one goes on with such a thread in lines
   * without numbers, after which 0.169 opens it no more.
   */
  pagedThreads: { since: "0.152.1" },
  /**
   * `thread/resume` of a thread that is still loaded takes its `config`. 0.104 and 0.125 ignore it. The same versions go on
   * with a thread in pages in lines without numbers; 0.145 numbers them.
   */
  settingsOfLoaded: { since: "0.145.0" },
  /** Closes a thread by itself some 50 ms after its release, though it was archived and resumed meanwhile. */
  closesReleased: { since: "0.106.0", until: "0.121.0" },
  /** Calls an MCP server's tools and reads its resources for a client. 0.110 does not. */
  mcpToolCalls: { since: "0.125.0" },
  /** `mcpServerStatus/list` tells of a thread's own MCP servers. 0.125 knows only those of the configuration. */
  mcpThreadStatus: { since: "0.145.0" },
  /**
   * `config/mcpServer/reload` leaves a thread's own MCP servers as they are. 0.125 drops them; 0.145 keeps them and writes
   * their headers and variables into its log.
   */
  mcpReload: { since: "0.150.0" },
  /** Answers a question beside the conversation: `thread/sample`. 0.145 does not. */
  sample: { since: "0.169.0" },
  /** Takes turns off a thread of pages: `thread/revert`. 0.150 has it, and refuses all threads that it makes itself. */
  revert: { since: "0.152.1" },
  /** Takes turns off a thread: `thread/rollback`. 0.155.1 has it, 0.160.1 does not. */
  rollback: { until: "0.160.0" },
  /** `:slash_tmp` in a permission profile makes `/tmp` writable. Tried on 0.140; 0.136 leaves it out. */
  slashTmpInProfiles: { since: "0.140.0" },
  /**
   * `turn/start` takes the name of a permission profile that the thread's `config` brought. Tried on 0.160, 0.169; 0.136,
   * 0.145, 0.150 and 0.155 look for it in the user's configuration only and refuse the turn.
   */
  turnProfiles: { since: "0.160.0" },
  /** `features.unified_exec_tty = false`: nothing can be typed into a program that runs. 0.152 ignores it. */
  ttySwitch: { since: "0.154.0" },
  /** `features.unified_exec = false`: commands get no input after their start. 0.149 takes it, 0.150 ignores it. */
  unifiedExecSwitch: { until: "0.150.0" },
};

/** Whether this codex has it. `version` is as the server told it; nothing is known of `null`. */
export function supports(version: string | null | undefined, feature: Feature): boolean {
  if (typeof version !== "string" || !/^\d+\.\d+\.\d+/.test(version)) return false;
  const range = FEATURES[feature];
  return (range.since === undefined || compareVersions(version, range.since) >= 0) &&
    (range.until === undefined || compareVersions(version, range.until) < 0);
}

/** The first version that was seen with it. */
export function featureSince(feature: Feature): string {
  return FEATURES[feature].since ?? "";
}

/** The model of those who test without one; codex can't know it. */
export const SCRIPTED_MODEL = "scripted-model";

/**
 * Whether a warning tells nobody anything: that codex has no data about the model of tests. 0.104 to 0.169. There is no way to
 * give it some: `model_catalog_json` (0.110 and later) replaces codex's own models, and of `models_cache.json` 0.104, 0.110 and
 * 0.169 do not read it. A name that begins with a known one gets that model's data, and its tools: none for agents among them.
 */
export function isNoise(warning: string): boolean {
  return warning.startsWith(`Model metadata for \`${SCRIPTED_MODEL}\` not found.`);
}

/**
 * Whether that is why a server ended: of several that start at once on a new CODEX_HOME each makes its database, and some
 * end over it. 0.136 to 0.150; not 0.125, not 0.169.
 */
export function lostStartRace(stderr: string): boolean {
  return /failed to initialize (?:sqlite )?state runtime/.test(stderr);
}

/** What the server may refuse for. */
export type Refusal =
  | "noRollout"
  | "threadGone"
  | "threadClosing"
  | "threadLeaving"
  | "threadReopening"
  | "threadInUse"
  | "notOfThisThread"
  | "turnTakesNone"
  | "noActiveTurn"
  | "worksOnNothing"
  | "loginRefused";

/** The server's refusals by their wording; it has no codes for them. Each with the codex it was seen on. */
const REFUSALS: Record<Refusal, RegExp> = {
  /** A thread without a turn has no file yet: `thread/resume`, `thread/archive`. 0.104, 0.169. */
  noRollout: /no rollout found/i,
  /**
   * There is no such thread (any more): `thread/read` and `thread/resume` of one that was never used, was deleted or was
   * archived, or of an id that is none. 0.104: "no rollout found"; 0.169: also "thread not found", "… is archived", "… is
   * not materialized yet", "… not supported yet", "invalid thread id".
   */
  threadGone:
    /no rollout found|thread not found|thread not loaded|is archived|not materialized|not supported yet|invalid thread id|missing source rollout|failed to read (?:session metadata|thread)|failed to load rollout|rollout .*is empty|empty session file/i,
  /** The thread is being released; it can be resumed in a moment: `thread/resume`. 0.106 to 0.169. */
  threadClosing: /\bis closing; retry\b/,
  /**
   * The thread has just been released: `thread/name/set`, `thread/archive`; the same words for one that never was. 0.169.
   */
  threadLeaving: /\bthread not found\b|\bthread [0-9a-f-]{36} not found\b/i,
  /** The thread was released to be resumed at once, as for a goal, and is in no list meanwhile: `thread/archive`. 0.169. */
  threadReopening: /\bthread [0-9a-f-]{36} not found\b/,
  /**
   * Another process writes to the thread: `thread/resume`, `thread/fork`. Since 0.147; older ones let both write. For a
   * moment the same process does: `thread/archive`. 0.169.
   */
  threadInUse: /already has an active writer/,
  /** The method is not for threads that an older codex began: `thread/items/list`, `thread/searchOccurrences`. 0.169. */
  notOfThisThread: /\bis not supported yet\b/,
  /** The active turn is a compaction or a review, which a prompt can't become part of: `turn/start`. 0.169. */
  turnTakesNone: /\bActiveTurnNotSteerable\b/,
  /** The turn to steer or to interrupt is not running: `turn/steer`, `turn/interrupt`. 0.104, 0.169. */
  noActiveTurn: /no active turn|expected active turn/i,
  /** No turn of the thread is running: `turn/steer`. 0.104 to 0.169. */
  worksOnNothing: /\bno active turn to steer\b/,
  /** The login's backend, which codex asks, takes it no more: `account/read`. 0.160 to 0.169. */
  loginRefused: /unauthorized/,
};

/** The turn that the server works on instead of the one that was to be interrupted, by its refusal; or `null`. 0.145, 0.169. */
export function activeInstead(error: unknown): string | null {
  return error instanceof RpcError
    ? /d \S+ but found (\S+)$/.exec(error.rpcMessage)?.[1] ?? null
    : null;
}

/** What to do about refusals that users meet, by their wording. 0.104, 0.169; the first match counts. */
const ADVICE: readonly (readonly [RegExp, RpcRefusal, string])[] = [
  [
    /\bis archived\b/,
    "archived",
    "The thread is archived; `client.unarchiveThread(threadId)` brings it back.",
  ],
  [
    /\binvalid (?:thread|session) id\b/,
    "invalidThreadId",
    "That is no thread's id; `session.threadId` and `client.threads()` tell ids.",
  ],
  [/\bno archived rollout found\b/, "noThread", "There is no archived thread of this id."],
  [
    /\bno rollout found\b|\bthread not (?:found|loaded)\b|\bnot materialized\b/,
    "noThread",
    "There is no such thread in the history: it has had no turn yet, is ephemeral, archived or deleted, or never was.",
  ],
  [
    /\bturn not found\b/,
    "noTurn",
    "The thread has no such turn; `result.turnId` and `client.readThread()` tell ids.",
  ],
  [
    /^Invalid request: (?:unknown variant|invalid type|missing field|unknown field)\b/,
    "unknownValue",
    "This codex does not take one of the values, or does not have the method; a newer one may.",
  ],
  [
    /\baccount authentication required\b/,
    "notLoggedIn",
    `${NOT_LOGGED_IN}.`,
  ],
];

/** What to do about a refusal that users meet, or `null`. */
export function adviceFor(message: string): { reason: RpcRefusal; advice: string } | null {
  const known = ADVICE.find(([wording]) => wording.test(message));
  return known === undefined ? null : { reason: known[1], advice: known[2] };
}

/** How codex advises on an MCP server that was too slow, to its own users. 0.104 to 0.169. */
const SLOW_MCP_SERVER = / Add or adjust `startup_timeout_sec` in your config\.toml:[^]*$/;

/** Why an MCP server did not start, in words for a session's caller. */
export function mcpFailure(reason: string): string {
  return reason
    .replace(
      SLOW_MCP_SERVER,
      " Raise its `startupTimeoutMs`, or `startup_timeout_sec` in config.toml.",
    )
    .replace(/`codex mcp login .+`/, "$& if config.toml has it, else give a `bearerToken`");
}

/** Whether the error is the server's refusal of this kind. */
export function isRefusal(error: unknown, kind: Refusal): error is RpcError {
  return error instanceof RpcError && REFUSALS[kind].test(error.rpcMessage);
}

/**
 * The methods that a server lists when it refuses one it does not know ("unknown variant `x`, expected one of `a`, `b`"),
 * or `null` when it lists none. 0.104 to 0.169.
 */
export function servedMethods(refusal: string): Set<string> | null {
  const list = refusal.split("expected one of ")[1];
  if (list === undefined) return null;
  const served = new Set(Array.from(list.matchAll(/`([^`]+)`/g), (match) => match[1]!));
  return served.size === 0 ? null : served;
}

// The notifications that carry the next piece of an item's text.

/** Where the pieces go. */
export interface DeltaTarget {
  /** The type of the item. */
  readonly type: string;
  /** The item's field that they make up. */
  readonly field: string;
  /** Whether the field is a list of texts. */
  readonly list: boolean;
}

/** By method. Older and newer codex say the same, 0.104 to 0.169. */
export const DELTAS: Readonly<Record<string, DeltaTarget>> = {
  "item/agentMessage/delta": { type: "agentMessage", field: "text", list: false },
  "item/plan/delta": { type: "plan", field: "text", list: false },
  "item/commandExecution/outputDelta": {
    type: "commandExecution",
    field: "aggregatedOutput",
    list: false,
  },
  "item/reasoning/summaryTextDelta": { type: "reasoning", field: "summary", list: true },
  "item/reasoning/textDelta": { type: "reasoning", field: "content", list: true },
  "item/fileChange/outputDelta": { type: "fileChange", field: "deltaText", list: false },
};

// Versions: where they are told and how they compare.

/** The oldest codex this library speaks with by default. */
export const MIN_CODEX_VERSION: string = "0.104.0";

/** Version of this library, as told to the server. */
export const LIBRARY_VERSION: string = "0.2.0";

/**
 * The server's version in `userAgent`, which is `<client name>/<version> (<os>) …`. The name is taken off first: it may
 * itself hold slashes and spaces.
 */
export function versionInUserAgent(userAgent: string, clientName: string): string | null {
  const rest = userAgent.startsWith(`${clientName}/`)
    ? userAgent.slice(clientName.length + 1)
    : userAgent;
  const own = /^(\d+\.\d+\.\d+[^\s(]*)/.exec(rest)?.[1];
  // A server that rewrites our name still tells its version before the parenthesis with the system.
  return own ?? /\/(\d+\.\d+\.\d+[^\s(]*) \(/.exec(rest)?.[1] ?? null;
}

/** Negative when `a` is older than `b`, positive when newer. A pre-release counts as its release. */
export function compareVersions(a: string, b: string): number {
  const left = numbers(a);
  const right = numbers(b);
  for (let i = 0; i < 3; i++) {
    const difference = left[i]! - right[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbers(version: string): [number, number, number] {
  const [major = "0", minor = "0", patch = "0"] = version.split(/[.+-]/);
  return [Number(major) || 0, Number(minor) || 0, Number(patch) || 0];
}
