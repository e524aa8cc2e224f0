/**
 * From a profile to the parameters of a thread: what is resolved, where it works, what is sent, and when it can be resumed.
 * @module
 */
import {
  type ArgumentProblem,
  InvalidArgumentError,
  PolicyMismatchError,
} from "../../errors/mod.ts";
import {
  defined,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  kindOf,
  memberOf,
  plain,
  plainSettings,
  present,
  stringOf,
} from "../../json.ts";
import { normalizeSandbox, type SandboxPolicy } from "../../permissions/mod.ts";
import {
  currentDirectory,
  isAbsolutePath,
  isWindowsPath,
  pathKind,
  pathRules,
  platformName,
  resolvePath,
} from "../../platform/mod.ts";
import { joinHooks } from "../../plugin/mod.ts";
import { DEFAULTS, type RuntimeCore } from "../../runtime/mod.ts";
import type { McpServers } from "../mcp/servers.ts";
import {
  DEFAULT_TIMEOUT_MS,
  type ResolvedProfile,
  type RunProfile,
  type SessionMode,
  type TurnOptions,
} from "../profile.ts";
import { asAttachment } from "../prompt/input_text.ts";
import type { ToolSpec } from "../mcp/tool_server.ts";
import { limitsNow } from "../turn/turn_usage.ts";
import type { DecidedPolicy } from "./confirm_policy.ts";
import { reachesNetwork } from "./policy_facts.ts";

/** Parameters that `thread/start`, `thread/resume` and `thread/fork` share. The sandbox is a mode here. */
function threadParams(
  cwd: string,
  profile: ResolvedProfile,
  { thread }: DecidedPolicy,
): JsonObject {
  // Codex offers goals to every thread that is kept, and then starts turns that nobody asked for (0.145, 0.169).
  const config = { ...thread.config, "features.goals": profile.goals };
  return {
    cwd,
    approvalPolicy: thread.approvalPolicy as JsonValue,
    // Whatever the user configured: the server's questions are answered here.
    approvalsReviewer: "user",
    ...defined({ sandbox: thread.sandbox }),
    ...present({
      model: profile.model,
      developerInstructions: profile.developerInstructions,
      baseInstructions: profile.baseInstructions,
      serviceTier: profile.serviceTier,
      personality: profile.personality,
      modelProvider: profile.modelProvider,
    }),
    ...(Object.keys(config).length === 0 ? {} : { config }),
  };
}

/** Throws `PolicyMismatchError` when the thread would talk to another provider, or at another price, than was asked. */
export function confirmProfile(profile: ResolvedProfile, result: JsonValue): void {
  const echo: JsonObject = isJsonObject(result) ? result : {};
  const mismatches = (["modelProvider", "serviceTier"] as const).flatMap((field) => {
    const asked = profile[field];
    // Codex from 0.136 on confirms its own name of a tier, "fast", by the provider's.
    const tier = asked === "fast" ? "priority" : asked;
    if (asked === null || echo[field] === asked || echo[field] === tier) return [];
    return [{ field, asked, confirmed: String(echo[field] ?? "nothing") }];
  });
  if (mismatches.length > 0) throw new PolicyMismatchError(mismatches);
}

/** Parameters of `thread/start`. */
export function threadStartParams(
  cwd: string,
  profile: ResolvedProfile,
  decided: DecidedPolicy,
  tools: readonly ToolSpec[],
): JsonObject {
  return {
    ...threadParams(cwd, profile, decided),
    ...(profile.ephemeral ? { ephemeral: true } : {}),
    ...(tools.length === 0
      ? {}
      : { dynamicTools: tools.map((tool) => ({ type: "function", ...tool })) }),
  };
}

/** Parameters of `thread/resume` and `thread/fork`. The history stays on the server, however long it is. */
export function threadAttachParams(
  threadId: string,
  cwd: string,
  profile: ResolvedProfile,
  decided: DecidedPolicy,
): JsonObject {
  return { ...threadParams(cwd, profile, decided), threadId, excludeTurns: true };
}

/** What a turn says of the model and the mode, which stick to the thread; `null`: nothing. */
export interface StickySettings {
  /** The model. */
  model: string | null;
  /** The mode, and the model that it is said with. */
  mode: { mode: SessionMode; model: string } | null;
}

/** Parameters of `turn/start`. The sandbox is an object here. Settings are repeated, since they stick to the thread. */
export function turnStartParams(
  threadId: string,
  input: JsonObject[],
  profile: ResolvedProfile,
  { effective, turn }: DecidedPolicy,
  outputSchema: JsonObject | null,
  { model, mode }: StickySettings = { model: profile.model, mode: null },
): JsonObject {
  return {
    threadId,
    input,
    cwd: effective.cwd,
    approvalPolicy: effective.approvalPolicy as JsonValue,
    approvalsReviewer: "user",
    ...turn,
    ...present({ model, summary: profile.reasoningSummary, outputSchema }),
    effort: profile.effort,
    ...(mode === null ? {} : { collaborationMode: modeParams(mode, profile.effort) }),
  };
}

/** A mode as codex takes it: model and effort in it win over the turn's own. Without instructions codex brings its own. */
function modeParams(
  { mode, model }: { mode: SessionMode; model: string },
  effort: string,
): JsonObject {
  return { mode, settings: { model, reasoning_effort: effort, developer_instructions: null } };
}

/** What of a turn's parameters sticks to the thread. */
export function settingsOf(params: JsonObject): JsonObject {
  const { threadId: _id, input: _input, outputSchema: _schema, ...settings } = params;
  return settings;
}

/** The limit of the call that opens a thread: codex answers it when the servers that are required are ready. */
export function openLimit(
  { config }: RuntimeCore,
  servers: McpServers,
): { timeoutMs?: number } {
  const waits = Object.values(servers).map(({ required, startupTimeoutMs = 0 }) =>
    required === true ? startupTimeoutMs : 0
  );
  const longest = Math.max(0, ...waits);
  if (longest === 0) return {};
  return { timeoutMs: longest + (config.requestTimeoutMs ?? DEFAULTS.requestTimeoutMs) };
}

/** What turns of a thread run with that say nothing of it. */
export interface ToldSettings {
  /** The model; `null` when the server did not tell. */
  model: string | null;
  /** The mode; `null` when it is not known. */
  mode: SessionMode | null;
  /** Who serves the model; `null` when the server did not tell. */
  provider: string | null;
}

/** What the answer to `thread/start`, `thread/resume` or `thread/fork` says of it. `fresh`: a thread without a past is in no other mode. */
export function toldSettings(result: JsonValue | undefined, fresh: boolean): ToldSettings {
  return {
    model: stringOf(result, "model") || null,
    provider: stringOf(result, "modelProvider") || null,
    mode: fresh ? "default" : readMode(result),
  };
}

/** The mode that the server tells, which is known when it is one of ours. */
export function readMode(told: JsonValue | undefined): SessionMode | null {
  const mode = memberOf(told, "collaborationMode", "mode");
  return mode === "default" || mode === "plan" ? mode : null;
}

// The directory that an agent works in: absolute, and there.

/**
 * Makes a cwd absolute and checks that it is a directory. Where this script may not look, the server finds out.
 * `remote` leaves both to the server, whose file system is another one.
 */
export function workingDirectory(cwd: string, remote: boolean): string {
  const refuse = (received: string, problem: Partial<ArgumentProblem> = {}): never => {
    const accepts = "the path of a directory";
    throw new InvalidArgumentError("cwd", { argument: "cwd", received, accepts, ...problem });
  };
  if (typeof cwd !== "string") return refuse(kindOf(cwd));
  if (cwd.trim() === "") return refuse("an empty string");
  if (remote) return cwd;
  const absolute = wholePath(cwd);
  if (absolute === null) {
    return refuse("a relative path", {
      accepts:
        "an absolute path, since this script's own working directory does not exist any more",
    });
  }
  const kind = pathKind(absolute);
  if (kind === "directory" || kind === "unknown") return absolute;
  const [received, is] = kind === "missing"
    ? ["a path that does not exist", "does not exist"]
    : ["the path of a file", "is none"];
  return refuse(received, { sentence: `\`cwd\` must be a directory, but ${absolute} ${is}` });
}

/** The whole of a path on this machine; `null` for one below a working directory that is gone. */
export function wholePath(path: string): string | null {
  const rules = pathRules(platformName());
  const base = rules.isAbsolute(path) ? "" : currentDirectory();
  if (base === null) return null;
  // On Windows `\\x` and `/x` lie on the drive of this script. Elsewhere `..` stays: behind a link it leads to another place.
  return base === ""
    ? path
    : isWindowsPath(base)
    ? resolvePath(base, path)
    : rules.join(base, path).replace(/(?:\/\.)+(?=\/|$)/g, "") || "/";
}

// Profiles with their defaults filled in, and one laid over another.

/** A profile with every default filled in: the safe ones. `started`: what codex was started with. */
export function resolveProfile(profile: RunProfile, started: JsonObject = {}): ResolvedProfile {
  const config = plainSettings(profile.config);
  if (profile.webSearch !== undefined && Object.hasOwn(config, "web_search")) {
    throw contradiction("webSearch", "beside `config.web_search`");
  }
  return {
    model: profile.model ?? null,
    effort: profile.effort ?? stringOf({ ...started, ...config }, "model_reasoning_effort") ??
      "medium",
    mode: profile.mode ?? "default",
    approvalPolicy: plain(profile.approvalPolicy ?? "never"),
    sandbox: sandboxOf(profile),
    reads: profile.reads ?? "all",
    allowPrivilegedEscalation: profile.allowPrivilegedEscalation ?? false,
    dangerouslyAllowUnattendedFullAccess: profile.dangerouslyAllowUnattendedFullAccess ?? false,
    allowRulesFiles: profile.allowRulesFiles ?? false,
    timeoutMs: checkTimeout(profile.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    limits: limitsNow(profile.limits),
    attachments: (profile.attachments ?? []).map(asAttachment),
    outputSchema: (profile.outputSchema as JsonObject | undefined) ?? null,
    hooks: joinHooks(profile.hooks),
    tools: profile.tools ?? {},
    mcpServers: profile.mcpServers ?? {},
    developerInstructions: profile.developerInstructions ?? null,
    baseInstructions: profile.baseInstructions ?? null,
    reasoningSummary: profile.reasoningSummary ?? null,
    serviceTier: profile.serviceTier ?? null,
    personality: profile.personality ?? null,
    modelProvider: profile.modelProvider ?? null,
    additionalDirectories: [...profile.additionalDirectories ?? []],
    webSearch: profile.webSearch ?? null,
    config,
    ephemeral: profile.ephemeral ?? false,
    goals: profile.goals ?? goalsIn(config) ?? false,
    checkpoints: profile.checkpoints ?? false,
  };
}

/** The sandbox with what other options say of it. Throws `InvalidArgumentError` where it says something else itself. */
export function sandboxOf(
  { sandbox: asked = "read-only", networkAccess, additionalDirectories = [] }: RunProfile,
): SandboxPolicy {
  const sandbox = normalizeSandbox(asked);
  const relative = additionalDirectories.find((path) => !isAbsolutePath(path));
  if (relative !== undefined) {
    throw new InvalidArgumentError("profile", {
      argument: "additionalDirectories",
      received: "a relative path",
      accepts: "a list of absolute paths",
    });
  }
  const roots = sandbox.type === "workspaceWrite"
    ? { writableRoots: [...new Set([...sandbox.writableRoots ?? [], ...additionalDirectories])] }
    : {};
  const merged = additionalDirectories.length === 0 ? sandbox : { ...sandbox, ...roots };
  if (networkAccess === undefined) return merged;
  if (merged.type === "dangerFullAccess") {
    if (networkAccess) return merged;
    throw contradiction("networkAccess", "false with a sandbox that has no walls");
  }
  const said = merged.type === "externalSandbox"
    ? networkAccess ? "enabled" as const : "restricted" as const
    : networkAccess;
  if (merged.networkAccess !== undefined && merged.networkAccess !== said) {
    throw contradiction("networkAccess", "another value than `sandbox.networkAccess`");
  }
  return { ...merged, networkAccess: said } as SandboxPolicy;
}

function contradiction(argument: string, received: string): InvalidArgumentError {
  return new InvalidArgumentError("profile", { argument, received, accepts: "said once" });
}

/** The profile that these settings come from, to have others laid over it. */
export function profileOf(resolved: ResolvedProfile, { networkAccess }: RunProfile): RunProfile {
  return {
    ...present(resolved),
    ...(networkAccess !== undefined && {
      sandbox: { ...resolved.sandbox, networkAccess: undefined } as unknown as SandboxPolicy,
    }),
    attachments: [...resolved.attachments],
    additionalDirectories: [...resolved.additionalDirectories],
  };
}

/** Whether the thread's own codex settings ask for goals. */
function goalsIn(config: ResolvedProfile["config"]): boolean | undefined {
  const goals = config["features.goals"] ?? memberOf(config, "features", "goals");
  return typeof goals === "boolean" ? goals : undefined;
}

/** A session's profile with one turn's options over it. Attachments and hooks are added, the rest replaced. */
export function overlayProfile(base: ResolvedProfile, over: TurnOptions): ResolvedProfile {
  return {
    ...base,
    ...defined({ model: over.model, effort: over.effort, mode: over.mode }),
    ...(over.approvalPolicy === undefined ? {} : { approvalPolicy: plain(over.approvalPolicy) }),
    ...(over.sandbox === undefined ? {} : { sandbox: normalizeSandbox(over.sandbox) }),
    ...defined({
      allowPrivilegedEscalation: over.allowPrivilegedEscalation,
      dangerouslyAllowUnattendedFullAccess: over.dangerouslyAllowUnattendedFullAccess,
      outputSchema: over.outputSchema as JsonObject | undefined,
    }),
    ...(over.timeoutMs === undefined ? {} : { timeoutMs: checkTimeout(over.timeoutMs) }),
    ...(over.limits && { limits: limitsNow(over.limits) }),
    attachments: [...base.attachments, ...(over.attachments ?? []).map(asAttachment)],
    hooks: over.hooks === undefined ? base.hooks : joinHooks(base.hooks, over.hooks),
  };
}

function checkTimeout(timeoutMs: number): number {
  if (typeof timeoutMs === "number" && timeoutMs > 0) return timeoutMs;
  throw new InvalidArgumentError("profile", {
    argument: "timeoutMs",
    received: kindOf(timeoutMs),
    accepts: "a positive number of milliseconds",
  });
}

/** One layer of settings over another. Attachments and hooks are added, the rest replaced. */
export function layerProfile<Base extends TurnOptions, Over extends TurnOptions>(
  base: Base,
  over: Over,
): Base & Over {
  const attachments: NonNullable<TurnOptions["attachments"]> = [
    ...base.attachments ?? [],
    ...over.attachments ?? [],
  ];
  return {
    ...base,
    ...defined(over),
    ...(attachments.length === 0 ? {} : { attachments }),
    ...(base.hooks === undefined && over.hooks === undefined
      ? {}
      : { hooks: joinHooks(base.hooks, over.hooks) }),
  } as Base & Over;
}

/**
 * The sandbox of a turn whose profile wants another network than the thread has. Throws `InvalidArgumentError` where the
 * profile says of what belongs to the thread that it reaches elsewhere.
 */
export function turnReach(
  profile: RunProfile,
  thread: ResolvedProfile,
): Pick<TurnOptions, "sandbox"> {
  for (const argument of ["reads", "webSearch"] as const) {
    if ((profile[argument] ?? thread[argument]) !== thread[argument]) {
      throw contradiction(argument, "another than the whole thread has");
    }
  }
  const { networkAccess, sandbox } = profile;
  const within = normalizeSandbox(sandbox ?? thread.sandbox);
  const reaches = within.type === "dangerFullAccess" || reachesNetwork(within);
  return (networkAccess ?? reaches) === reaches ? {} : {
    sandbox: sandboxOf({
      sandbox: sandbox ?? profileOf(thread, profile).sandbox!,
      networkAccess: !reaches,
    }),
  };
}
