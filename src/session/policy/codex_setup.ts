/**
 * What of codex's own setup a session is refused for, or told of: rules files, and the sandbox on Windows.
 * @module
 */
import type { Grant } from "../../approvals/mod.ts";
import { PermissionDeniedError, PolicyError } from "../../errors/mod.ts";
import { type JsonValue, memberOf } from "../../json.ts";
import {
  compareEcho,
  type EffectivePolicy,
  hostProbe,
  loadAcceptanceGuard,
  realPathOf,
  rootAroundHome,
  temporaryRoots,
} from "../../permissions/mod.ts";
import { ownUid } from "../../platform/fs.ts";
import { type FileStat, isEndless, isInside, parentPath, statOf } from "../../platform/mod.ts";
import { supports } from "../../protocol/mod.ts";
import { isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import { endCommands, STATUS_MS } from "../turn/stop_turn.ts";
import { refuseOtherAnswers } from "./over_users.ts";
import {
  codexHomeOf,
  endsLeft,
  isWindows,
  keptOf,
  policyFacts,
  reachesNetwork,
  reachOf,
} from "./policy_facts.ts";

/**
 * Rules files let commands run that no hook, no approval and no permission of this script has seen. Where one of these was
 * meant to hold, that is an error.
 */
export function rulesFilesRefusal(rulesFiles: EffectivePolicy["rulesFiles"]): PolicyError {
  const told = rulesFiles.slice(0, 3).map(({ path, allows }) =>
    allows.length === 0
      ? `${path} (not readable for this script)`
      : `${path} (${allows.slice(0, 3).join(", ")})`
  );
  return new PolicyError(
    `Codex's own rules let commands run outside the sandbox or reach hosts, unseen by hooks, approvals and permissions: ${
      told.join("; ")
    }. ` +
      "Remove them, use another CODEX_HOME, let the script read them, or set `allowRulesFiles: true`.",
    { data: { rulesFiles: rulesFiles.map(({ path }) => path) } },
  );
}

/**
 * Throws `PolicyError` when the agent may write codex's home, and with it what later threads are allowed, or where codex would
 * take all memory or wait for ever: wherever the agent may write it reads a file called `.git` to its end (0.104 to 0.169).
 */
export function refusePlaces(
  core: RuntimeCore,
  policy: EffectivePolicy,
  consent: { dangerouslyAllowUnattendedFullAccess?: boolean | undefined },
): void {
  const facts = policyFacts(core);
  const { sandbox } = policy;
  if (sandbox.type === "workspaceWrite" && !isRemote(core.config)) {
    const stray = [...sandbox.writableRoots ?? [], ...temporaryRoots(sandbox, facts)]
      .map((root) => `${root}/.git`).find(isEndless);
    if (stray !== undefined) {
      const data = { reason: "endlessFile" };
      throw new PolicyError(`Codex would read ${stray}, which has no end.`, { data });
    }
  }
  const home = codexHomeOf(core);
  if (home === undefined || consent.dangerouslyAllowUnattendedFullAccess === true) return;
  const root = rootAroundHome(policy, home, facts);
  if (root === null) return;
  throw new PolicyError(
    `The agent may write ${root}, where codex's own home lies: what is written there starts programs outside the sandbox. ` +
      "Choose another directory, `excludeSlashTmp` and `excludeTmpdirEnvVar` for a home among temporary files, " +
      "or `dangerouslyAllowUnattendedFullAccess: true`.",
    { data: { reason: "ownHome" } },
  );
}

/**
 * The policy with the directories between a writable one and the cwd as roots of their own. Codex keeps the agent out of the
 * `.git` of roots only, and runs outside the sandbox what the repository around the cwd names (0.136 to 0.169). Where a root
 * has no `.git`, codex makes one for each command to mount over, and no command runs where that can't be made: so not where
 * somebody else alone may write, such as in a directory of the system's, where the agent can't make one either.
 */
export function withBetween(core: RuntimeCore, policy: EffectivePolicy): EffectivePolicy {
  const { cwd, sandbox } = policy;
  const { version } = core.server;
  // Who owns what on another machine is not known.
  const elsewhere = isWindows(core) || isRemote(core.config);
  if (sandbox.type !== "workspaceWrite" || elsewhere || !supports(version, "keepsRoots")) {
    return policy;
  }
  const facts = policyFacts(core);
  const own = statOf(cwd);
  const roots = sandbox.writableRoots ?? [];
  const outer = [...roots, ...temporaryRoots(sandbox, facts)]
    .flatMap((root) => [root, facts.realPath(root) ?? root]);
  const between = above(cwd).filter((path) =>
    outer.some((root) => isInside(path, root) && !isInside(root, path)) &&
    mayWriteIn(statOf(path), own, ownUid())
  );
  if (between.length === 0) return policy;
  const writableRoots = [...new Set([...roots, ...between])];
  return { ...policy, sandbox: { ...sandbox, writableRoots } };
}

/** Whether the agent may make something in a directory, as far as its owner and that of the `cwd` tell; yes where they do not. */
export function mayWriteIn(
  directory: FileStat | null,
  cwd: FileStat | null,
  uid: number | null,
): boolean {
  if (directory === null || cwd === null || directory.uid === cwd.uid || uid === 0) return true;
  const mode = directory.mode ?? 0o777;
  return (mode & 0o002) !== 0 || (mode & 0o020) !== 0 && directory.gid === cwd.gid;
}

/** The directories above a path, the nearest first. */
function above(path: string): string[] {
  const parent = parentPath(path);
  return parent === null ? [] : [parent, ...above(parent)];
}

/**
 * Throws `PolicyError` for a turn that may do less than what was `kept`, or asks about more, as JSON. An agent keeps the sandbox
 * and the approval policy of the turn that started it, whatever the turn has that sets it to work again (0.145 to 0.169). And
 * codex keeps what was accepted for the session, in a sandbox: the agent of a read-only turn wrote where one that could write had
 * been granted more, and ran what had been accepted there (0.104 to 0.169).
 */
export function refuseNarrower(policy: EffectivePolicy, kept: Iterable<string>): void {
  for (const reach of kept) if (reach !== "" && isNarrower(policy, reach)) throw tooNarrow(policy);
}

function tooNarrow({ sandbox, approvalPolicy }: EffectivePolicy): PolicyError {
  return new PolicyError(
    `A turn can't have the sandbox ${sandbox.type} and the approval policy ${
      JSON.stringify(approvalPolicy)
    } once something was accepted for the session, or an agent, a goal, a command or a script is left of a turn that could do ` +
      "more or asked less: codex lets these go on. Use another thread.",
    { data: { reason: "keptAnswers" } },
  );
}

function isNarrower(policy: EffectivePolicy, reach: string): boolean {
  const asked = { policy, profileId: null, realPath: (path: string) => path };
  const told = JSON.parse(reach);
  // What asks nobody stays in its sandbox, which "on-request" asks nobody about either.
  if (told.approvalPolicy === "never" && policy.approvalPolicy === "on-request") {
    delete told.approvalPolicy;
  }
  const { sandbox = told, approvalPolicy = policy.approvalPolicy, readRoots = [] } = told;
  const echo = { cwd: policy.cwd, approvalPolicy: approvalPolicy as JsonValue, sandbox };
  return compareEcho(asked, echo).length > 0 || readsMore(readRoots, policy.readRoots);
}

/** A turn that is to begin. */
export interface NextTurn {
  /** Its thread. */
  threadId: string;
  /** What it may do. */
  effective: EffectivePolicy;
  /** What its caller consents to. */
  consent: { dangerouslyAllowUnattendedFullAccess?: boolean | undefined };
  /** What its session may do. */
  session: EffectivePolicy;
  /** Whether hooks are to see all that it does. */
  watched: boolean;
  /** Whether the one before it has left commands. */
  left: boolean;
}

/**
 * Rejects where a turn would get further than it says. What may do more and was left by the turns before it is ended: codex
 * lets the agent type into it in the sandbox that it has (0.104 to 0.150), or can't end it (0.104).
 */
export async function admitTurn(
  core: RuntimeCore,
  settings: KeptGrants & {
    profile: { config: Readonly<Record<string, JsonValue>> };
    sent: EffectivePolicy;
    agents: Set<string>;
    renew: (refusal: () => Error) => Promise<void>;
  },
  { threadId, effective, consent, session, watched, left }: NextTurn,
): Promise<void> {
  const { kept, agents, sent } = settings;
  refusePlaces(core, effective, consent);
  if (watched && effective.rulesFiles.length > 0) throw rulesFilesRefusal(effective.rulesFiles);
  const ends = endsLeft(core);
  if (left && !ends) agents.add(reachOf(sent));
  refuseNarrower(effective, [...kept, ...agents]);
  await refuseRevoked(core, settings);
  if (ends && isNarrower(effective, reachOf(sent))) {
    await endCommands(core, threadId, STATUS_MS, (error) => {
      throw error;
    });
  }
  if (supports(core.server.version, "scriptsKeepTurns") && isNarrower(effective, keptOf(sent))) {
    await settings.renew(() => tooNarrow(effective));
  }
  if (session.approvalPolicy === "never" && effective.approvalPolicy !== "never") {
    await refuseOtherAnswers(core, effective.cwd);
  }
  if (!reachesNetwork(effective.sandbox)) return;
  const { refusePastProxy } = await import("./network_proxy.ts");
  await refusePastProxy(core, session, effective, settings.profile.config);
}

/** What codex keeps of the answers that it got on a thread. */
export interface KeptGrants {
  /** What the session may do. */
  readonly policy: EffectivePolicy;
  /** What codex was given and keeps, with the sandbox of the turn, as JSON; `""` for what none holds. */
  readonly kept: ReadonlySet<string>;
}

/**
 * Rejects with `PermissionDeniedError` when this script may no longer do itself what codex keeps of its answers: codex asks
 * about that no more.
 */
export async function refuseRevoked(
  core: RuntimeCore,
  { policy, kept }: KeptGrants,
): Promise<void> {
  if (isRemote(core.config)) return;
  const { guardAcceptance } = await loadAcceptanceGuard();
  const contained = policy.acceptedCommands === "sandboxed";
  for (const one of kept) {
    const { grant = null }: { grant?: Grant | null } = one === "" ? {} : JSON.parse(one);
    if (grant === null) continue;
    const denied = guardAcceptance(grant, hostProbe(), realPathOf, contained);
    if (denied === null) continue;
    throw new PermissionDeniedError("What was accepted for the session", denied.missing);
  }
}

function readsMore(
  kept: EffectivePolicy["readRoots"],
  now: EffectivePolicy["readRoots"],
): boolean {
  if (now === "all") return false;
  return kept === "all" || kept.some((root) => !now.some((one) => isInside(root, one)));
}

/** On Windows codex has a sandbox only where it was set up; until then it lets no command run, or none inside. */
export async function withWindowsNote(
  core: RuntimeCore,
  policy: EffectivePolicy,
): Promise<EffectivePolicy> {
  const { type } = policy.sandbox;
  if (type === "dangerFullAccess") return policy;
  const status = await core.callNow("windowsSandbox/readiness", {}).then(
    (result) => memberOf(result, "status"),
    () => undefined,
  );
  if (status === undefined || status === "ready") return policy;
  const note = `Codex's sandbox for Windows is not ready (${JSON.stringify(status)}): ` +
    "commands are refused, or run without it once accepted. Set `windows.sandbox` in codex's configuration.";
  return { ...policy, narrowed: [...policy.narrowed, note] };
}
