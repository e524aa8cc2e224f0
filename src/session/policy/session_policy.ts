/**
 * What a session may do: asked by its profile, cut by this script's permissions, confirmed by the server.
 * @module
 */
import {
  type ApprovalHandler,
  type ApprovalRules,
  heldInside,
  unheardApprovals,
  wantsContainment,
} from "../../approvals/mod.ts";
import { PolicyError, PolicyMismatchError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, plainSettings } from "../../json.ts";
import {
  addsOwnRoot,
  codexHomeOfThread,
  configRefusal,
  confirmPolicy,
  type EffectivePolicy,
  effectivePolicy,
  findServerFiles,
  hostProbe,
  leavesWorkspace,
  ownRootIn,
  type PolicyFacts,
  privilegeRefusal,
  projectDocs,
  realPathOf,
  recheckPolicy,
  type ServerFiles,
  sessionSettings,
  type ThreadPolicyParams,
  threadPolicyParams,
  trustOf,
  turnPolicyParams,
  unrestrictedProbe,
  usesProfile,
  withoutTerminals,
  workspaceRootsBeyond,
} from "../../permissions/mod.ts";
import { hasToolHooks, type Hooks } from "../../plugin/mod.ts";
import { isRemote, readRulesFiles, type RuntimeCore } from "../../runtime/mod.ts";
import { supports } from "../../protocol/mod.ts";
import { canReadEnv, codexHomeIn, entryKind, platformName, readEnv } from "../../platform/mod.ts";
import { attachmentPaths } from "../prompt/input_text.ts";
import {
  configuredMcpServers,
  gateMcpServers,
  mcpServerNames,
  mcpServerSettings,
  refuseTakenNames,
  withMcpServers,
} from "../mcp/servers.ts";
import type { SessionTools } from "../mcp/offered_tools.ts";
import type { ResolvedProfile } from "../profile.ts";

/** A policy, and how it is said to the server. */
export interface DecidedPolicy {
  /** The policy. */
  effective: EffectivePolicy;
  /** Its part of `thread/start`, `thread/resume` and `thread/fork`. */
  thread: ThreadPolicyParams;
  /** Its part of `turn/start`: a sandbox, the name of a permission profile, or nothing where the thread's counts. */
  turn: JsonObject;
  /** The server's files, where a profile was made of them. */
  files: ServerFiles | null;
  /** Directories that the thread brought with it, where turns that write could write, too. Default none. */
  strayRoots?: string[];
  /** Whether the agent can type into programs that run, which nobody is asked about. */
  terminals: boolean;
}

/** How long the first turn waits for the session's MCP servers: codex gives each 10 s to start, 30 s in later versions. */
const MCP_GRACE_MS = 60_000;

/** The server's files, asked for once a connection. */
const serverFiles: WeakMap<RuntimeCore, Promise<ServerFiles | null>> = new WeakMap();

/** Decides what a session with these hooks, approvals and served tools may do. Rejects with `PolicyError` or `PermissionDeniedError`. */
export async function decideSessionPolicy(
  core: RuntimeCore,
  cwd: string,
  profile: ResolvedProfile,
  hooks: Hooks,
  approvals: SessionAnswerers["all"],
  served: SessionTools | null,
): Promise<DecidedPolicy> {
  const settings = settingsWithOptions(profile);
  const refusal = configRefusal(settings, cwd, profile);
  if (refusal !== null) throw refusal;
  const mcpServers = await mcpServersOf(core, cwd, profile);
  const [policy, files] = await contained(core, cwd, profile, hooks, approvals);
  const decided = await withWindowsNote(core, policy);
  const turnProfiles = supports(core.server.version, "turnProfiles");
  const trust = trustOf({
    writes: decided.sandbox.type !== "readOnly",
    profile: usesProfile(decided),
    docsNeedTrust: supports(core.server.version, "docsNeedTrust"),
    turnProfiles,
  });
  // Of a project that is not trusted, codex reads no rules.
  const rulesFiles = await readRulesFiles(core, trust.distrust ? null : decided.cwd);
  const docs = docsOf(core, decided, settings);
  const narrowed = [...decided.narrowed, ...trust.notes, ...docs.note === null ? [] : [docs.note]];
  const effective = { ...decided, rulesFiles, narrowed };
  const answered = approvals !== undefined || core.config.approvals !== undefined;
  refuseRulesFiles(effective, profile, answered || hasToolHooks(hooks));
  const asks = effective.approvalPolicy !== "never";
  const { startReadOnly } = trust;
  const thread = threadPolicyParams(effective, { files, turnProfiles, startReadOnly });
  thread.config = withMcpServers({
    // A released thread is free for another process at once, not after a minute (0.145, 0.169). On a server that others
    // attach to, a lost connection must not unload what works on.
    ...(isRemote(core.config) ? {} : { thread_unload_delay_secs: 0 }),
    // Or the first turn would begin without the tools of a server that is still starting (0.169), and nobody would be told.
    ...(Object.keys(mcpServers).length === 0
      ? {}
      : { mcp_optional_startup_grace_ms: MCP_GRACE_MS }),
    ...sessionSettings(settings, {
      cwd: effective.cwd,
      commands: core.config.env?.commands,
      started: plainSettings(core.config.configOverrides),
      distrust: trust.distrust,
      asks,
      serverVersion: core.server.version,
    }),
    ...docs.config,
    ...thread.config,
  }, served === null ? mcpServers : { ...mcpServers, [served.name]: served.settings });
  const started = { policy: effective, params: thread };
  return {
    effective,
    thread,
    turn: turnPolicyParams(effective, started, { files, turnProfiles }) ?? {},
    files,
    terminals: !asks || withoutTerminals(core.server.version) === null,
  };
}

/** What keeps codex's own reading to what commands may read. */
function docsOf(
  core: RuntimeCore,
  policy: EffectivePolicy,
  settings: Readonly<Record<string, JsonValue>>,
): ReturnType<typeof projectDocs> {
  if (isRemote(core.config) || supports(core.server.version, "docsInReads")) {
    return { config: {}, note: null };
  }
  return projectDocs(policy, settings["project_doc_fallback_filenames"], {
    realPath: realPathOf,
    isMissing: (path) => entryKind(path) === "missing",
  });
}

/** The session's MCP servers in codex's words. Rejects when it may not have them, or when their names are taken. */
async function mcpServersOf(
  core: RuntimeCore,
  cwd: string,
  profile: ResolvedProfile,
): Promise<Record<string, JsonObject>> {
  const { mcpServers } = profile;
  if (Object.keys(mcpServers).length === 0) return {};
  gateMcpServers(mcpServers, profile, isRemote(core.config) ? unrestrictedProbe : hostProbe());
  refuseTakenNames(mcpServers, mcpServerNames(profile.config), "`config.mcp_servers`");
  refuseTakenNames(mcpServers, await configuredMcpServers(core, cwd), "codex's configuration");
  return Object.fromEntries(
    Object.entries(mcpServers).map(([name, server]) => [name, mcpServerSettings(server, cwd)]),
  );
}

const WEB_SEARCH = { off: "disabled", cached: "cached", live: "live" } as const;

/** The codex settings of a thread, with those that have an option of their own. */
function settingsWithOptions(
  { config, webSearch }: ResolvedProfile,
): Readonly<Record<string, JsonValue>> {
  return webSearch === null ? config : { ...config, web_search: WEB_SEARCH[webSearch] };
}

/** The policy, and the server's files where it is said by a profile. */
async function contained(
  core: RuntimeCore,
  cwd: string,
  profile: ResolvedProfile,
  hooks: Hooks,
  approvals: SessionAnswerers["all"],
): Promise<[EffectivePolicy, ServerFiles | null]> {
  const plain = decide(core, cwd, profile, hooks);
  const { approvalPolicy } = plain;
  // What may not leave by anybody's word, or by that of no rule.
  const contain = approvalPolicy !== "never" && plain.approvalsNote !== null ||
    approvalPolicy === "untrusted" && wantsContainment(approvals);
  const policy = contain ? decide(core, cwd, profile, hooks, contain) : plain;
  if (!usesProfile(policy) || serverSystem(core) !== "linux") return [policy, null];
  const files = await filesOf(core);
  if (policy.readRoots !== "all") return [policy, files];
  if (files === null || files.executable === null || files.root === null) return [plain, null];
  const { rootLinks } = files;
  if (rootLinks.length === 0) return [policy, files];
  const note = `Commands do not see the links ${
    rootLinks.join(", ")
  } while accepted ones are kept in the sandbox: name where they lead.`;
  return [{ ...policy, narrowed: [...policy.narrowed, note] }, files];
}

/** Who answers a session's questions. */
export interface SessionAnswerers {
  /** The session's own; `undefined`: none. */
  own: ApprovalHandler | ApprovalRules | undefined;
  /** Its own and the client's, together. */
  all: ApprovalHandler | ApprovalRules | undefined;
}

/**
 * Says in the policy what its approvals can't do under it. Throws `PolicyError` when those that the session itself brought
 * would never be asked: whoever writes a rule for a session takes it for a guard. `planning`: whether the agent asks about
 * its plans, under every policy.
 */
export function withApprovals(
  decided: DecidedPolicy,
  { own, all }: SessionAnswerers,
  planning: boolean,
): DecidedPolicy {
  const { effective, terminals } = decided;
  const place = {
    approvalPolicy: effective.approvalPolicy,
    sandboxed: mayLeaveSandbox(effective),
    planning,
  };
  const refusal = unheardApprovals(own, place);
  if (refusal !== null) {
    throw new PolicyError(`${refusal} Nothing was started.`, {
      data: { reason: "unheardApprovals" },
    });
  }
  const asked = effective.approvalPolicy !== "never" && (all !== undefined || effective.toolHooks);
  const notes = [
    effective.approvalsNote,
    unheardApprovals(all, place),
    heldInside(all, place),
    terminals && asked ? TYPED : null,
  ].filter((note) => note !== null);
  const approvalsNote = notes.length === 0 ? null : notes.join(" ");
  return { ...decided, effective: { ...effective, approvalsNote } };
}

const TYPED =
  "What the agent types into a program that runs is not asked about: give the session the approval policy or the hooks " +
  "from its start, and codex 0.154 or newer, or one before 0.150.";

/** Whether codex keeps commands in a sandbox that accepted ones could leave. */
export function mayLeaveSandbox({ sandbox, acceptedCommands }: EffectivePolicy): boolean {
  const { type } = sandbox;
  return type !== "dangerFullAccess" && type !== "externalSandbox" &&
    acceptedCommands === "mayLeave";
}

/** The directories that the agent works in; `null` where no sandbox holds it. */
export function workspaceOf({ cwd, sandbox }: EffectivePolicy): readonly string[] | null {
  if (sandbox.type === "readOnly") return [cwd];
  return sandbox.type === "workspaceWrite" ? [cwd, ...sandbox.writableRoots ?? []] : null;
}

/** On Windows codex has a sandbox only where it was set up; until then it lets no command run, or none inside. */
async function withWindowsNote(
  core: RuntimeCore,
  policy: EffectivePolicy,
): Promise<EffectivePolicy> {
  const { type } = policy.sandbox;
  if (!isWindows(core) || type === "dangerFullAccess") return policy;
  const status = await core.callNow("windowsSandbox/readiness", {}).then(
    (result) => isJsonObject(result) ? result["status"] : undefined,
    () => undefined,
  );
  if (status === undefined || status === "ready") return policy;
  const note = `Codex's sandbox for Windows is not ready (${JSON.stringify(status)}): ` +
    "commands are refused, or run without it once accepted. Set `windows.sandbox` in codex's configuration.";
  return { ...policy, narrowed: [...policy.narrowed, note] };
}

/**
 * Rules files let commands run that no hook, no approval and no permission of this script has seen. Where one of these was
 * meant to hold, that is an error.
 */
function refuseRulesFiles(
  policy: EffectivePolicy,
  profile: ResolvedProfile,
  watched: boolean,
): void {
  const { rulesFiles, readRoots } = policy;
  if (rulesFiles.length === 0 || profile.allowRulesFiles || !(watched || readRoots !== "all")) {
    return;
  }
  const told = rulesFiles.slice(0, 3).map(({ path, allows }) =>
    allows.length === 0
      ? `${path} (not readable for this script)`
      : `${path} (${allows.slice(0, 3).join(", ")})`
  );
  throw new PolicyError(
    `Codex's own rules let commands run outside the sandbox, unseen by hooks, approvals and permissions: ${
      told.join("; ")
    }. ` +
      "Remove them, use another CODEX_HOME, let the script read them, or set `allowRulesFiles: true`.",
    { data: { rulesFiles: rulesFiles.map(({ path }) => path) } },
  );
}

/** Decides what one turn may do; permissions may have changed since the session began. */
export function decideTurnPolicy(
  core: RuntimeCore,
  session: DecidedPolicy,
  profile: ResolvedProfile,
  hooks: Hooks,
): DecidedPolicy {
  // What has been revoked since would still be granted by the thread.
  if (!isRemote(core.config)) recheckPolicy(session.effective, hostProbe(), facts(core));
  const { thread, files, effective: { cwd, readRoots, acceptedCommands } } = session;
  const decided = decide(core, cwd, profile, hooks, acceptedCommands === "sandboxed");
  const effective = usesProfile(session.effective) ? { ...decided, readRoots } : decided;
  if (effective.sandbox.type === "workspaceWrite") refuseRoots(session.strayRoots ?? []);
  const started = { policy: session.effective, params: thread };
  const turnProfiles = supports(core.server.version, "turnProfiles");
  const turn = turnPolicyParams(effective, started, { files, turnProfiles });
  if (turn === null) {
    throw new PolicyError(
      "A turn can't have this sandbox in a session whose reads are limited, or whose accepted commands are kept in the sandbox. " +
        "Start another session for it.",
    );
  }
  return { effective, thread, turn, files, terminals: session.terminals };
}

/**
 * Compares the server's echo with what was asked. Throws `PolicyMismatchError` when it is wider. What only turns bring is not
 * in the echo of a thread that starts read-only: such a policy is confirmed by what the server says of the first turn, see
 * {@linkcode confirmTurn}.
 */
export function confirmDecided(
  core: RuntimeCore,
  decided: DecidedPolicy,
  result: JsonValue,
): EffectivePolicy {
  const echo: JsonObject = isJsonObject(result) ? result : {};
  const { effective, thread, turn } = decided;
  checkRoots(core, decided, echo);
  const active = echo["activePermissionProfile"];
  const said = isJsonObject(echo["sandbox"]) ? echo["sandbox"] : {};
  // A thread that runs already, on a shared server or taken up again, tells what its last turn brought.
  const startedReadOnly = thread.profileId === null
    ? thread.sandbox === "read-only" && said["type"] === "readOnly" &&
      said["networkAccess"] !== true
    : turn["permissions"] !== undefined && turn["permissions"] !== thread.profileId &&
      !(isJsonObject(active) && active["id"] === turn["permissions"]);
  if (!startedReadOnly) return confirmTurn(core, decided, echo);
  const confirmed = confirmPolicy(
    {
      policy: { ...effective, sandbox: { type: "readOnly" } },
      profileId: thread.profileId,
      realPath: realPathOf,
      ownRoots: ownRoots(core, echo),
    },
    echo,
  );
  return {
    ...confirmed,
    sandbox: effective.sandbox,
    confirmed: effective.sandbox.type === "readOnly",
  };
}

/** A thread that brings more roots than were asked for is good for reading everything, and for nothing else. */
function checkRoots(core: RuntimeCore, decided: DecidedPolicy, echo: JsonObject): void {
  const { effective, thread } = decided;
  const stray = workspaceRootsBeyond({
    policy: effective,
    profileId: thread.profileId,
    realPath: realPathOf,
    ownRoots: ownRoots(core, echo),
  }, echo["runtimeWorkspaceRoots"]);
  if (echo["runtimeWorkspaceRoots"] !== undefined) decided.strayRoots = stray;
  if (effective.sandbox.type !== "readOnly" || effective.readRoots !== "all") refuseRoots(stray);
}

function refuseRoots(stray: string[]): void {
  if (stray.length === 0) return;
  throw new PolicyMismatchError([{
    field: "runtimeWorkspaceRoots",
    asked: "none beside the cwd and the writable roots",
    confirmed: stray.join(", "),
  }]);
}

/** Compares what the server says of a thread with what was asked of it. Throws `PolicyMismatchError` when it is wider. */
function confirmTurn(
  core: RuntimeCore,
  { effective, thread, turn }: DecidedPolicy,
  echo: JsonObject,
): EffectivePolicy {
  const named = turn["permissions"];
  return confirmPolicy(
    {
      policy: effective,
      profileId: typeof named === "string"
        ? named
        : turn["sandboxPolicy"] === undefined
        ? thread.profileId
        : null,
      realPath: realPathOf,
      ownRoots: ownRoots(core, echo),
    },
    echo,
  );
}

/**
 * The session's policy after the server told a thread's settings (`thread/settings/updated`, codex 0.136 and later), which it
 * does when a turn changes them. `asked`: what the last turn asked for. Throws `PolicyMismatchError` when it is wider.
 */
export function confirmSettings(
  core: RuntimeCore,
  policy: EffectivePolicy,
  session: DecidedPolicy,
  asked: DecidedPolicy,
  params: JsonObject,
): EffectivePolicy {
  const settings = params["threadSettings"];
  if (!isJsonObject(settings)) return policy;
  const echo = { ...settings, sandbox: settings["sandboxPolicy"] ?? null };
  const { sandbox, acceptedCommands, confirmed } = confirmDecided(core, asked, echo);
  // A turn with a sandbox of its own says nothing of the others, and neither does a thread before its first turn.
  const own = JSON.stringify(asked.turn) === JSON.stringify(session.turn) &&
    JSON.stringify(sandbox) === JSON.stringify(asked.effective.sandbox);
  return own && confirmed ? { ...policy, acceptedCommands, confirmed } : policy;
}

/** Why a question is declined at once in a session that is kept to its workspace, or `null`. */
export function refusalByWorkspace(
  core: RuntimeCore,
  policy: EffectivePolicy,
  request: Parameters<typeof leavesWorkspace>[0],
): string | null {
  const os = serverSystem(core);
  const why = leavesWorkspace(request, policy, os, realPathOf);
  return why === null ? null : `The session is kept to its workspace: ${why}.`;
}

function decide(
  core: RuntimeCore,
  cwd: string,
  profile: ResolvedProfile,
  hooks: Hooks,
  contain = false,
): EffectivePolicy {
  const refusal = privilegeRefusal(profile.sandbox, profile.approvalPolicy, { ...profile, cwd });
  if (refusal !== null) throw refusal;
  // A remote server works on another machine: this script's permissions say nothing about it.
  const probe = isRemote(core.config) ? unrestrictedProbe : hostProbe();
  return effectivePolicy(
    {
      cwd,
      sandbox: profile.sandbox,
      reads: profile.reads,
      approvalPolicy: profile.approvalPolicy,
      toolHooks: hasToolHooks(hooks),
      contain,
      attachments: [
        ...attachmentPaths(profile.attachments, cwd),
        ...profile.additionalDirectories,
      ],
      config: settingsWithOptions(profile),
    },
    probe,
    facts(core),
    core.config.permissions ?? "refuse",
  );
}

function facts(core: RuntimeCore): PolicyFacts {
  return {
    realPath: realPathOf,
    ...temporaries(isWindows(core)),
    serverVersion: core.server.version,
    platform: serverSystem(core),
    ...(addsOwnRoot(core.server.version) ? { ownRoot: ownRoot(core) } : {}),
  };
}

/** Where codex lets commands write temporary files: Windows has three variables for it. */
function temporaries(windows: boolean): Pick<PolicyFacts, "tmpdir" | "moreTmpdirs" | "windows"> {
  const value = (name: string) => canReadEnv(name) ? readEnv(name) ?? null : null;
  if (!windows) return { tmpdir: value("TMPDIR") };
  const all = ["TEMP", "TMP", "TMPDIR"].filter((name) =>
    !canReadEnv(name) || readEnv(name) !== undefined
  );
  // One that can't be read may lead anywhere.
  const unknown = all.some((name) => value(name) === null);
  const known = all.flatMap((name) => value(name) ?? []);
  return { tmpdir: unknown ? null : known[0] ?? null, moreTmpdirs: known.slice(1), windows };
}

/** Whether the server runs on Windows, by its own word where it gives one. */
function isWindows(core: RuntimeCore): boolean {
  const { platformFamily } = core.server;
  if (platformFamily !== undefined) return platformFamily === "windows";
  return !isRemote(core.config) && platformName() === "win32";
}

/** The server's operating system, as codex names it. */
function serverSystem(core: RuntimeCore): string | null {
  const { platformOs } = core.server;
  if (platformOs !== undefined) return platformOs;
  // Old servers do not tell.
  if (isRemote(core.config)) return null;
  const here = platformName();
  return here === "win32" ? "windows" : here === "darwin" ? "macos" : here;
}

/** Where codex makes a directory of its own writable, as far as it is known before a thread is. */
function ownRoot(core: RuntimeCore): string | null {
  const { set = {}, inherit = "all" } = core.config.env ?? {};
  const value = (name: string): string | undefined =>
    set[name] ??
      (typeof inherit === "string" || inherit.includes(name) ? readEnv(name) : undefined);
  const home = core.server.codexHome ?? codexHomeIn(platformName(), value);
  return home === undefined ? null : ownRootIn(home);
}

/** The same, with the home that the thread's file lies in: codex 0.110 to 0.115 tell it nowhere else. */
function ownRoots(core: RuntimeCore, echo: JsonObject): string[] {
  if (!addsOwnRoot(core.server.version)) return [];
  const path = isJsonObject(echo["thread"]) ? echo["thread"]["path"] : null;
  const told = typeof path === "string" ? codexHomeOfThread(path) : null;
  return [ownRoot(core), told === null ? null : ownRootIn(told)].filter((root) => root !== null);
}

function filesOf(core: RuntimeCore): Promise<ServerFiles | null> {
  let asked = serverFiles.get(core);
  if (asked === undefined) {
    const { method, params, read } = findServerFiles;
    asked = core.callNow(method, params).then(read, () => null);
    serverFiles.set(core, asked);
  }
  return asked;
}
