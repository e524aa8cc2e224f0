/**
 * What a session may do: asked by its profile, cut by this script's permissions, confirmed by the server.
 * @module
 */
import {
  type ApprovalHandler,
  type ApprovalRules,
  heldInside,
  unheardApprovals,
} from "../../approvals/mod.ts";
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, plainSettings } from "../../json.ts";
import {
  addsOwnRoot,
  codexHomeOfThread,
  configRefusal,
  confirmPolicy,
  type EffectivePolicy,
  effectivePolicy,
  findCodexExecutable,
  hostProbe,
  leavesWorkspace,
  ownRootIn,
  type PolicyFacts,
  privilegeRefusal,
  realPathOf,
  recheckPolicy,
  sessionSettings,
  type ThreadPolicyParams,
  threadPolicyParams,
  trustOf,
  turnSandboxPolicy,
  unrestrictedProbe,
  usesProfile,
} from "../../permissions/mod.ts";
import { hasToolHooks, type Hooks } from "../../plugin/mod.ts";
import { isRemote, readRulesFiles, type RuntimeCore } from "../../runtime/mod.ts";
import { supports } from "../../protocol/mod.ts";
import { canReadEnv, platformName, readEnv } from "../../platform/mod.ts";
import { attachmentPaths } from "../prompt/attachments.ts";
import type { ResolvedProfile } from "../profile.ts";

/** A policy, and how it is said to the server. */
export interface DecidedPolicy {
  /** The policy. */
  effective: EffectivePolicy;
  /** Its part of `thread/start`, `thread/resume` and `thread/fork`. */
  thread: ThreadPolicyParams;
  /** Its `sandboxPolicy` of `turn/start`; `null` where a permission profile is in force instead. */
  turnSandbox: JsonObject | null;
}

/** The place of codex's program, asked for once a connection. */
const executables: WeakMap<RuntimeCore, Promise<string | null>> = new WeakMap();

/** Decides what a session with these hooks and approvals may do. Rejects with `PolicyError` or `PermissionDeniedError`. */
export async function decideSessionPolicy(
  core: RuntimeCore,
  cwd: string,
  profile: ResolvedProfile,
  hooks: Hooks,
  approvals: SessionAnswerers["all"],
): Promise<DecidedPolicy> {
  const refusal = configRefusal(profile.config, cwd, profile);
  if (refusal !== null) throw refusal;
  const decided = await withWindowsNote(core, decide(core, cwd, profile, hooks));
  const trust = trustOf({
    writes: decided.sandbox.type !== "readOnly",
    profile: usesProfile(decided),
    docsNeedTrust: supports(core.server.version, "docsNeedTrust"),
  });
  // Of a project that is not trusted, codex reads no rules.
  const rulesFiles = await readRulesFiles(core, trust.distrust ? null : decided.cwd);
  const narrowed = [...decided.narrowed, ...trust.notes];
  const effective = { ...decided, rulesFiles, narrowed };
  const asks = approvals !== undefined || core.config.approvals !== undefined;
  refuseRulesFiles(effective, profile, asks || hasToolHooks(hooks));
  const needed = usesProfile(effective) && serverSystem(core) === "linux";
  const thread = threadPolicyParams(effective, needed ? await codexExecutable(core) : null);
  if (trust.startReadOnly) thread.sandbox = "read-only";
  thread.config = {
    // A released thread is free for another process at once, not after a minute (0.145, 0.169). On a server that others
    // attach to, a lost connection must not unload what works on.
    ...(isRemote(core.config) ? {} : { thread_unload_delay_secs: 0 }),
    ...sessionSettings(profile.config, {
      cwd: effective.cwd,
      commands: core.config.env?.commands,
      started: plainSettings(core.config.configOverrides),
      distrust: trust.distrust,
    }),
    ...thread.config,
  };
  return { effective, thread, turnSandbox: turnSandboxPolicy(effective) };
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
 * would never be asked: whoever writes a rule for a session takes it for a guard.
 */
export function withApprovals(
  decided: DecidedPolicy,
  { own, all }: SessionAnswerers,
): DecidedPolicy {
  const { effective } = decided;
  const place = {
    approvalPolicy: effective.approvalPolicy,
    sandboxed: mayLeaveSandbox(effective),
  };
  const refusal = unheardApprovals(own, place);
  if (refusal !== null) {
    throw new PolicyError(`${refusal} Nothing was started.`, {
      data: { reason: "unheardApprovals" },
    });
  }
  const notes = [effective.approvalsNote, unheardApprovals(all, place), heldInside(all, place)]
    .filter((note) => note !== null);
  const approvalsNote = notes.length === 0 ? null : notes.join(" ");
  return { ...decided, effective: { ...effective, approvalsNote } };
}

/** Whether codex keeps commands in a sandbox that accepted ones could leave. */
export function mayLeaveSandbox({ sandbox, acceptedCommands }: EffectivePolicy): boolean {
  const { type } = sandbox;
  return type !== "dangerFullAccess" && type !== "externalSandbox" &&
    acceptedCommands === "mayLeave";
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
  const effective = decide(core, session.effective.cwd, profile, hooks);
  if (!usesProfile(session.effective)) {
    return {
      effective,
      thread: session.thread,
      turnSandbox: { ...effective.sandbox } as unknown as JsonObject,
    };
  }
  // Codex drops the profile, and with it the limit on reads, as soon as a turn brings a sandbox of its own.
  if (JSON.stringify(effective.sandbox) !== JSON.stringify(session.effective.sandbox)) {
    throw new PolicyError(
      "A turn can't have another sandbox in a session whose reads are limited. Start another session for it.",
    );
  }
  return {
    effective: { ...effective, readRoots: session.effective.readRoots },
    thread: session.thread,
    turnSandbox: null,
  };
}

/** Compares the server's echo with what was asked. Throws `PolicyMismatchError` when it is wider. */
export function confirmDecided(
  core: RuntimeCore,
  decided: DecidedPolicy,
  result: JsonValue,
): EffectivePolicy {
  const echo: JsonObject = isJsonObject(result) ? result : {};
  const { effective, thread } = decided;
  const said = isJsonObject(echo["sandbox"]) ? echo["sandbox"] : {};
  // What only turns bring is not in the echo of a thread that starts read-only; one that runs already, on a shared server or
  // taken up again, tells what its last turn brought.
  const started = thread.sandbox === "read-only" && said["type"] === "readOnly" &&
      said["networkAccess"] !== true
    ? { type: "readOnly" as const }
    : null;
  const confirmed = confirmPolicy(
    {
      policy: started === null ? effective : { ...effective, sandbox: started },
      profileId: decided.thread.profileId,
      realPath: realPathOf,
      ownRoots: ownRoots(core, echo),
    },
    {
      cwd: echo["cwd"],
      approvalPolicy: echo["approvalPolicy"],
      sandbox: echo["sandbox"],
      activePermissionProfile: echo["activePermissionProfile"],
      approvalsReviewer: echo["approvalsReviewer"],
    },
  );
  return started === null ? confirmed : { ...confirmed, sandbox: effective.sandbox };
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
      attachments: attachmentPaths(profile.attachments, cwd),
      config: profile.config,
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
  const userHome = value("HOME");
  const home = core.server.codexHome ?? value("CODEX_HOME") ??
    (userHome === undefined ? undefined : `${userHome}/.codex`);
  return home === undefined ? null : ownRootIn(home);
}

/** The same, with the home that the thread's file lies in: codex 0.110 to 0.115 tell it nowhere else. */
function ownRoots(core: RuntimeCore, echo: JsonObject): string[] {
  if (!addsOwnRoot(core.server.version)) return [];
  const path = isJsonObject(echo["thread"]) ? echo["thread"]["path"] : null;
  const told = typeof path === "string" ? codexHomeOfThread(path) : null;
  return [ownRoot(core), told === null ? null : ownRootIn(told)].filter((root) => root !== null);
}

function codexExecutable(core: RuntimeCore): Promise<string | null> {
  let asked = executables.get(core);
  if (asked === undefined) {
    const { method, params, read } = findCodexExecutable;
    asked = core.callNow(method, params).then(read, () => null);
    executables.set(core, asked);
  }
  return asked;
}
