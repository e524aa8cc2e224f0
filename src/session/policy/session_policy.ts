/**
 * What a session may do: asked by its profile, cut by this script's permissions, confirmed by the server.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { type JsonValue, plainSettings } from "../../json.ts";
import {
  type ConfigJudge,
  containmentAdvice,
  type EffectivePolicy,
  effectivePolicy,
  hasSetting,
  hostProbe,
  loadAcceptanceGuard,
  loadConfigJudge,
  privilegeRefusal,
  recheckPolicy,
  type ServerFiles,
  sessionSettings,
  threadPolicyParams,
  trustOf,
  turnPolicyParams,
  unrestrictedProbe,
  usesProfile,
  withoutTerminals,
  type WorkspaceRequest,
} from "../../permissions/mod.ts";
import { entryKind, isEndless, projectFolders } from "../../platform/mod.ts";
import { hasToolHooks, type Hooks } from "../../plugin/mod.ts";
import { isRemote, readRulesFiles, type RuntimeCore } from "../../runtime/mod.ts";
import { supports } from "../../protocol/mod.ts";
import { attachmentPaths } from "../prompt/input_text.ts";
import type { SessionTools } from "../mcp/offered_tools.ts";
import type { ResolvedProfile } from "../profile.ts";
import type { SessionAnswerers } from "./answerers.ts";
import type { KeptGrants } from "./codex_setup.ts";
import { type DecidedPolicy, refuseRoots } from "./confirm_policy.ts";
import {
  filesOf,
  isWindows,
  policyFacts,
  reachesNetwork,
  realPathFor,
  serverSystem,
} from "./policy_facts.ts";

/** How long the first turn waits for the session's MCP servers: codex gives each 10 s to start, 30 s in later versions. */
const MCP_GRACE_MS = 60_000;

/** Decides what a session with these hooks, approvals and served tools may do. Rejects with `PolicyError` or `PermissionDeniedError`. */
export async function decideSessionPolicy(
  core: RuntimeCore,
  cwd: string,
  profile: ResolvedProfile,
  hooks: Hooks,
  answerers: SessionAnswerers,
  served: SessionTools | null,
): Promise<DecidedPolicy> {
  if (!isRemote(core.config)) await refuseEndless(cwd);
  const settings = settingsWithOptions(profile);
  const judge = Object.keys(settings).length === 0 ? null : await loadConfigJudge();
  const refusal = judge?.configRefusal(settings, cwd, profile) ?? null;
  if (refusal !== null) throw refusal;
  const servers = () => import("../mcp/server_settings.ts");
  const bringsSome = Object.keys(profile.mcpServers).length > 0;
  const mcpServers = bringsSome ? await (await servers()).mcpServersOf(core, cwd, profile) : {};
  let [policy, files] = await contained(core, cwd, profile, hooks, answerers, judge);
  let between: DecidedPolicy["between"];
  if (policy.sandbox.type === "workspaceWrite") {
    const setup = await import("./codex_setup.ts");
    between = setup.withBetween;
    policy = between(core, policy);
    setup.refusePlaces(core, policy, profile);
  }
  const decided = isWindows(core)
    ? await (await import("./codex_setup.ts")).withWindowsNote(core, policy)
    : policy;
  const turnProfiles = supports(core.server.version, "turnProfiles");
  const docsNeedTrust = supports(core.server.version, "docsNeedTrust");
  const proxied = reachesNetwork(decided.sandbox) &&
    await (await import("./network_proxy.ts")).isProxied(core, decided, settings, docsNeedTrust);
  const trust = trustOf({
    writes: decided.sandbox.type !== "readOnly",
    profile: usesProfile(decided),
    docsNeedTrust,
    turnProfiles,
    proxied,
  });
  const ownTrust = Object.keys(settings).some((key) => /^project(?:s|_root_markers)\b/.test(key));
  const rulesOff = trust.distrust && !ownTrust && supports(core.server.version, "rulesNeedTrust");
  const rulesFiles = await readRulesFiles(core, rulesOff ? null : decided.cwd, ownTrust);
  const own = settings["project_doc_fallback_filenames"];
  const docs = decided.readRoots === "all" || isRemote(core.config)
    ? { config: {}, note: null }
    : (await import("./project_files.ts")).keepReads(core.server.version, decided, own);
  const narrowed = [...decided.narrowed, ...trust.notes, ...docs.note === null ? [] : [docs.note]];
  const effective = { ...decided, rulesFiles, narrowed };
  const answered = answerers.all !== undefined || core.config.approvals !== undefined;
  const watched = answered || hasToolHooks(hooks) || effective.readRoots !== "all";
  if (watched && rulesFiles.length > 0 && !profile.allowRulesFiles) {
    throw (await import("./codex_setup.ts")).rulesFilesRefusal(rulesFiles);
  }
  const asks = effective.approvalPolicy !== "never";
  const { startReadOnly } = trust;
  const thread = threadPolicyParams(effective, { files, turnProfiles, startReadOnly });
  const config = {
    // A released thread is free for another process at once, not after a minute (0.145, 0.169). On a server that others
    // attach to, a lost connection must not unload what works on.
    ...(isRemote(core.config) ? {} : { thread_unload_delay_secs: 0 }),
    // Or the first turn would begin without the tools of a server that is still starting (0.169), and nobody would be told.
    ...(bringsSome ? { mcp_optional_startup_grace_ms: MCP_GRACE_MS } : {}),
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
  };
  const guarded = asks &&
    (hasToolHooks(hooks) || answerers.rules?.guardsTools(answerers.all) === true);
  const brings = bringsSome || hasSetting(settings, "mcp_servers");
  thread.config = brings || served !== null
    ? (await servers()).threadWithServers(config, mcpServers, { served, guarded })
    : config;
  if (asks || effective.reads !== "all" || supports(core.server.version, "profilesWin")) {
    const { overUsers } = await import("./over_users.ts");
    const { goals } = profile;
    thread.config = await overUsers(core, effective, thread.config, { goals, guarded, narrowed });
  }
  // A rule may mean a tool of the session's own, where it has some.
  const unheard = !asks && Object.keys(profile.tools).length === 0 &&
    answerers.rules?.guardsTools(answerers.all) === true &&
    (await (await servers()).configuredMcpServers(core, cwd)).size > 0;
  const started = { policy: effective, params: thread };
  return {
    effective,
    thread,
    turn: turnPolicyParams(effective, started, { files, turnProfiles }) ?? {},
    files,
    containment: advice(core, effective),
    judge,
    terminals: !asks || withoutTerminals(core.server.version) === null,
    believesServers: unheard || brings && !guarded,
    between,
  };
}

/** What codex reads of a project, or something in it. */
const READS = [".agents", ".codex", "AGENTS.md", "AGENTS.override.md"];

/** Rejects with `PolicyError` where codex would read what has no end, in the directory or above it up to the project's root. */
async function refuseEndless(cwd: string): Promise<void> {
  const isThere = (path: string) => entryKind(path) !== "missing";
  const folders = projectFolders(cwd, isThere);
  const reads = folders.some((at) => READS.some((name) => isThere(`${at}/${name}`)));
  if (reads || isEndless(`${folders.at(-1)}/.git`)) {
    (await import("./project_files.ts")).refuseEndless(folders);
  }
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
  answerers: SessionAnswerers,
  judge: ConfigJudge | null,
): Promise<[EffectivePolicy, ServerFiles | null]> {
  const plain = decide(core, cwd, profile, hooks, judge);
  const { approvalPolicy } = plain;
  // What may not leave by anybody's word, or by that of no rule.
  const contain = approvalPolicy !== "never" && plain.approvalsNote !== null ||
    approvalPolicy === "untrusted" && answerers.rules?.wantsContainment(answerers.all) === true;
  const policy = contain ? decide(core, cwd, profile, hooks, judge, contain) : plain;
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

/**
 * Says in the policy what its approvals can't do under it. Throws `PolicyError` when those that the session itself brought
 * would never be asked: whoever writes a rule for a session takes it for a guard. `planning`: whether the agent asks about
 * its plans, under every policy.
 */
export function withApprovals(
  decided: DecidedPolicy,
  { own, all, rules }: SessionAnswerers,
  planning: boolean,
): DecidedPolicy {
  const { effective, containment, terminals, believesServers } = decided;
  const place = {
    approvalPolicy: effective.approvalPolicy,
    sandboxed: mayLeaveSandbox(effective),
    planning,
    believesServers,
  };
  const refusal = rules?.unheardApprovals(own, place) ?? null;
  if (refusal !== null) {
    throw new PolicyError(`${refusal} Nothing was started.`, {
      data: { reason: "unheardApprovals" },
    });
  }
  const asked = effective.approvalPolicy !== "never" && (all !== undefined || effective.toolHooks);
  const notes = [
    effective.approvalsNote,
    rules?.unheardApprovals(all, place) ?? null,
    rules?.heldInside(all, { ...place, containment }) ?? null,
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

function advice(core: RuntimeCore, { sandbox }: EffectivePolicy): string | null {
  return containmentAdvice(sandbox, {
    version: core.server.version,
    platform: serverSystem(core),
  });
}

/** Rejects what a session was given when this script may no longer give it, or when its directories lead elsewhere. */
export function recheck(core: RuntimeCore, policy: EffectivePolicy): void {
  if (!isRemote(core.config)) recheckPolicy(policy, hostProbe(), policyFacts(core));
}

/**
 * The same for a turn that codex has begun by itself, with the settings of the last one. `most`: what it may do at most; a goal
 * has not what the prompt that made it was given for itself.
 */
export async function recheckForeign(
  core: RuntimeCore,
  settings: KeptGrants & { sent: EffectivePolicy },
  most: EffectivePolicy | null,
): Promise<void> {
  const { sent } = settings;
  recheck(core, sent);
  const { refuseNarrower, refuseRevoked } = await import("./codex_setup.ts");
  if (most !== null) refuseNarrower(most, [JSON.stringify(sent)]);
  await refuseRevoked(core, settings);
}

/** Decides what one turn may do; permissions may have changed since the session began. */
export function decideTurnPolicy(
  core: RuntimeCore,
  session: DecidedPolicy,
  profile: ResolvedProfile,
  hooks: Hooks,
): DecidedPolicy {
  // What has been revoked since would still be granted by the thread.
  recheck(core, session.effective);
  const { thread, files, effective: { cwd, readRoots, acceptedCommands, rulesFiles } } = session;
  const decided = decide(
    core,
    cwd,
    profile,
    hooks,
    session.judge,
    acceptedCommands === "sandboxed",
  );
  const effective = { ...session.between?.(core, decided) ?? decided, rulesFiles };
  if (usesProfile(session.effective)) effective.readRoots = readRoots;
  if (effective.sandbox.type === "workspaceWrite") {
    refuseRoots(session.strayRoots?.(effective) ?? []);
  }
  const started = { policy: session.effective, params: thread };
  const turnProfiles = supports(core.server.version, "turnProfiles");
  const turn = turnPolicyParams(effective, started, { files, turnProfiles });
  if (turn === null) {
    throw new PolicyError(
      "A turn can't have this sandbox in a session whose reads are limited, or whose accepted commands stay in the sandbox. " +
        "Start another session.",
    );
  }
  const containment = advice(core, effective);
  return { ...session, effective, turn, containment };
}

/** Why a question is declined at once in a session that is kept to its workspace, or `null`. */
export async function refusalByWorkspace(
  core: RuntimeCore,
  policy: EffectivePolicy,
  request: WorkspaceRequest,
): Promise<string | null> {
  const { leavesWorkspace } = await loadAcceptanceGuard();
  const os = serverSystem(core);
  const why = leavesWorkspace(request, policy, os, realPathFor(core));
  return why === null ? null : `The session is kept to its workspace: ${why}.`;
}

function decide(
  core: RuntimeCore,
  cwd: string,
  profile: ResolvedProfile,
  hooks: Hooks,
  judge: ConfigJudge | null,
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
    policyFacts(core),
    core.config.permissions ?? "refuse",
    judge?.configNeeds,
  );
}
