/**
 * The strictest wins: what was asked for, cut down to what this script may do itself.
 * @module
 */
import { PermissionDeniedError, PolicyError } from "../../errors/mod.ts";
import { isInside, isSamePath, parentPath } from "../../platform/paths.ts";
import {
  dedupe,
  EVERYTHING,
  flagsFor,
  letsCodexAsk,
  missingNeeds,
  type PermissionNeed,
  Scope,
} from "../need.ts";
import type { configNeeds } from "../config/config_needs.ts";
import type { EffectivePolicy, PolicyFacts, PolicyRequest } from "./policy.ts";
import type { PermissionProbe } from "../probe.ts";
import { featureSince, supports } from "../../protocol/dialect.ts";
import type { ApprovalPolicy, SandboxPolicy, WorkspaceWritePolicy } from "../types.ts";

/** What was decided: the widest policy that both sides allow, and what it lacks of what was asked. */
export interface PolicyDecision {
  /** The policy. */
  policy: EffectivePolicy;
  /** The needs of the request that this script does not have; empty when it got all it asked for. */
  denied: PermissionNeed[];
  /** The missing needs of the caller's own codex settings, which can't be narrowed. */
  deniedConfig: PermissionNeed[];
  /** What the server can't hold its commands to, which can't be narrowed either. */
  deniedReads: PermissionNeed[];
}

/**
 * Decides by `mode`: `"refuse"` throws a `PermissionDeniedError` that names the missing flags when anything asked for
 * is not granted, `"narrow"` takes what is granted and says so in {@linkcode EffectivePolicy.narrowed}.
 *
 * Codex settings of the caller's own that need more than is granted are refused in both modes.
 *
 * Temporary directories are no part of what is asked: without permission for them they are left out in both modes.
 *
 * `needsOf` tells what such settings need, and is loaded by who has some; without it they need everything.
 */
export function effectivePolicy(
  request: PolicyRequest,
  probe: PermissionProbe,
  facts: PolicyFacts,
  mode: "refuse" | "narrow" = "refuse",
  needsOf?: typeof configNeeds,
): EffectivePolicy {
  if (request.reads === "workspace") {
    const refusal = workspaceReadsRefusal(request.sandbox, facts.serverVersion) ??
      (facts.windows === true ? "codex on Windows can't limit reads." : null);
    if (refusal !== null) throw new PolicyError(`Reads can't be kept to the workspace: ${refusal}`);
  }
  const { policy, denied, deniedConfig, deniedReads } = decidePolicy(
    request,
    probe,
    facts,
    needsOf,
  );
  const roots = [policy.cwd, ...writableRoots(policy.sandbox)];
  for (const outer of supports(facts.serverVersion, "keepsRoots") ? [] : roots) {
    const root = rootIn(outer, roots);
    if (root === undefined) continue;
    throw new PolicyError(
      `${root} lies in ${outer}: codex before ${
        featureSince("keepsRoots")
      } lets the agent put a link in its place. Leave one of them out.`,
    );
  }
  if (deniedReads.length > 0) {
    throw new PermissionDeniedError(
      "A session on Windows, where codex can't keep its commands from reading the whole disk,",
      flagsFor(deniedReads, probe.enforcedBy),
    );
  }
  if (deniedConfig.length > 0) {
    const flags = flagsFor(deniedConfig, probe.enforcedBy);
    throw new PermissionDeniedError("The session's `config`", flags);
  }
  if (mode === "refuse" && denied.length > 0) throw denial(request.sandbox, denied, probe);
  return policy;
}

/** Why reads can't be kept to the workspace, or `null` when they can. `versionKnown`: the version is to be judged. */
export function workspaceReadsRefusal(
  { type }: SandboxPolicy,
  version: string | null,
  versionKnown = true,
): string | null {
  if (type !== "readOnly" && type !== "workspaceWrite") {
    return `the sandbox ${type} has no limits on reads. Use read-only or workspace-write.`;
  }
  if (!versionKnown || supports(version, "workspaceReads")) return null;
  return `codex ${version ?? "of unknown version"} can't. Use ${
    featureSince("workspaceReads")
  } or newer.`;
}

/** Decides without throwing. Pure, as far as the probe and the facts are. */
export function decidePolicy(
  request: PolicyRequest,
  probe: PermissionProbe,
  facts: PolicyFacts,
  needsOf: typeof configNeeds = () => [...EVERYTHING],
): PolicyDecision {
  const scope = new Scope(probe, facts);
  const denied: PermissionNeed[] = [];
  const narrowed: string[] = [];
  // Real paths are what is sent: a link may lead elsewhere by the time codex follows it.
  const cwd = scope.real(request.cwd) ?? request.cwd;
  const sandbox = withoutTemporary(request, fitSandbox(request, scope, denied, narrowed));
  const readRoots = fitReads(request, sandbox, scope, denied, narrowed);
  const readsEnforced = readRoots === "all" || supports(facts.serverVersion, "readProfiles");
  const scoped = readRoots !== "all" && readsEnforced;
  const holds = facts.platform === "linux" && supports(facts.serverVersion, "deniedRootHolds") &&
    (scoped || request.contain === true && holdsWithAllReads(cwd, sandbox, facts.serverVersion));
  const approvalPolicy = fitApproval(request.approvalPolicy, sandbox, facts, narrowed);
  const hooked = hookedApproval({ ...request, approvalPolicy }, facts.serverVersion);
  return {
    policy: {
      cwd,
      approvalPolicy: hooked.approvalPolicy,
      sandbox,
      readRoots,
      reads: request.reads ?? "all",
      readsEnforced,
      acceptedCommands: holds ? "sandboxed" : "mayLeave",
      enforcedBy: probe.enforcedBy,
      narrowed,
      toolHooks: hooked.sees,
      toolHooksNote: hooked.note,
      approvalsNote: holds ? null : acceptanceNote(hooked.approvalPolicy, probe),
      rulesFiles: [],
      confirmed: false,
    },
    denied: dedupe(denied),
    deniedReads: facts.windows === true && readRoots !== "all" ? [{ kind: "read" }] : [],
    deniedConfig: hasSettings(request.config)
      ? dedupe(missingNeeds(needsOf(request.config, cwd), probe))
      : [],
  };
}

function hasSettings(config: PolicyRequest["config"]): config is NonNullable<typeof config> {
  return config !== undefined && Object.keys(config).length > 0;
}

/** Whether a profile that denies the root can say the same as this sandbox does while everything may be read. */
function holdsWithAllReads(cwd: string, sandbox: SandboxPolicy, version: string | null): boolean {
  if (sandbox.type === "readOnly") return true;
  if (sandbox.type !== "workspaceWrite") return false;
  const roots = [cwd, ...sandbox.writableRoots ?? []];
  if (roots.includes("/") || roots.some(isPattern)) return false;
  return (sandbox.excludeSlashTmp === true || supports(version, "slashTmpInProfiles")) &&
    // Such a thread would have to start with a profile that writes, and give up either AGENTS.md or the distrust.
    (!supports(version, "docsNeedTrust") || supports(version, "turnProfiles"));
}

/** Why this script can't accept commands that codex asks about, or `null`. */
function acceptanceNote(approvalPolicy: ApprovalPolicy, probe: PermissionProbe): string | null {
  if (approvalPolicy === "never") return null;
  const missing = missingNeeds(EVERYTHING, probe);
  if (missing.length === 0) return null;
  return "This script can't accept commands, and nobody is asked about them: an accepted command may leave the sandbox. " +
    `Run it with: ${flagsFor(missing, probe.enforcedBy).join(" ")}`;
}

/**
 * Checks anew what a session was given, since permissions can be revoked while it runs. Throws a
 * `PermissionDeniedError` when this script no longer has what the policy grants, and a `PolicyError` when one of its
 * directories leads elsewhere by now: the agent can put a link in the place of one that lies where it may write, and codex
 * follows it with the next turn (0.104 to 0.169).
 */
export function recheckPolicy(
  policy: EffectivePolicy,
  probe: PermissionProbe,
  facts: PolicyFacts,
): void {
  const scope = new Scope(probe, facts);
  const denied: PermissionNeed[] = [];
  for (const root of rootsOf(policy)) {
    const real = scope.real(root) ?? root;
    if (real === root || isSamePath(real, root)) continue;
    throw new PolicyError(`${root} leads elsewhere than when the session began.`);
  }
  fitSandbox(policy, scope, denied, [], true);
  if (policy.readRoots === "all") denied.push(...missingNeeds([{ kind: "read" }], probe));
  else for (const root of policy.readRoots) denied.push(...scope.missing("read", root));
  if (denied.length > 0) throw denial(policy.sandbox, dedupe(denied), probe);
}

/** Where the agent works, and what it reads where that is limited. */
function rootsOf({ cwd, sandbox, readRoots }: EffectivePolicy): string[] {
  return [cwd, ...writableRoots(sandbox), ...(readRoots === "all" ? [] : readRoots)];
}

/** The root that lies below the directory. */
function rootIn(directory: string, roots: readonly string[]): string | undefined {
  return roots.find((root) => isInside(root, directory) && !isInside(directory, root));
}

function writableRoots(sandbox: SandboxPolicy): readonly string[] {
  return sandbox.type === "workspaceWrite" ? sandbox.writableRoots ?? [] : [];
}

function denial(
  sandbox: SandboxPolicy,
  denied: readonly PermissionNeed[],
  probe: PermissionProbe,
): PermissionDeniedError {
  return new PermissionDeniedError(
    `A session with the sandbox ${sandbox.type}`,
    flagsFor(denied, probe.enforcedBy),
    { data: { sandbox: sandbox.type, enforcedBy: probe.enforcedBy } },
  );
}

function fitSandbox(
  request: { sandbox: SandboxPolicy; cwd: string },
  scope: Scope,
  denied: PermissionNeed[],
  narrowed: string[],
  temporaryToo = false,
): SandboxPolicy {
  const asked = request.sandbox;
  if (asked.type === "readOnly") {
    return fitNetwork(asked, scope, denied, narrowed);
  }
  if (asked.type === "workspaceWrite") {
    return fitWorkspace(asked, request.cwd, scope, denied, narrowed, temporaryToo);
  }
  const missing = missingNeeds(EVERYTHING, scope.probe);
  if (missing.length === 0) return asked;
  denied.push(...missing);
  if (asked.type !== "dangerFullAccess" && asked.type !== "externalSandbox") {
    // Its meaning is not known here, so nothing but the least can be sure not to be wider.
    narrowed.push("The sandbox became readOnly, since its type is not known here.");
    return { type: "readOnly" };
  }
  narrowed.push(`${asked.type} became a sandbox, since this script may not do everything.`);
  const widest: WorkspaceWritePolicy = {
    type: "workspaceWrite",
    networkAccess: asked.type === "dangerFullAccess" || asked.networkAccess === "enabled",
  };
  return fitWorkspace(widest, request.cwd, scope, [], narrowed, temporaryToo);
}

function fitWorkspace(
  asked: WorkspaceWritePolicy,
  cwd: string,
  scope: Scope,
  denied: PermissionNeed[],
  narrowed: string[],
  temporaryToo: boolean,
): SandboxPolicy {
  const writableRoots = (asked.writableRoots ?? []).flatMap((root) => {
    const missing = scope.missingForWrites(root);
    if (missing.length === 0) return [scope.real(root) ?? root];
    denied.push(...missing);
    narrowed.push(`${root} is not writable.`);
    return [];
  });
  const forCwd = scope.missingForWrites(cwd);
  if (forCwd.length > 0) {
    return readOnly(forCwd, `${cwd} is not writable.`);
  }
  const forOwn = scope.missingForOwnRoot();
  if (forOwn.length > 0) {
    return readOnly(
      forOwn,
      "this codex adds a directory of its own that this script may not write.",
    );
  }
  const roots = [scope.real(cwd) ?? cwd, ...writableRoots];
  const tmp = scope.slashTmp ? temporary("/tmp", asked.excludeSlashTmp) : true;
  // One of them that may not be written leaves all of them out: codex has one switch for them.
  const own = scope.tmpdirs.map((path) =>
    temporary(path, asked.excludeTmpdirEnvVar, "The directory in TMPDIR")
  ).some((left) => left);
  return fitNetwork(
    { ...asked, writableRoots, excludeSlashTmp: tmp, excludeTmpdirEnvVar: own },
    scope,
    denied,
    narrowed,
  );

  function readOnly(missing: PermissionNeed[], why: string): SandboxPolicy {
    denied.push(...missing);
    narrowed.push(`workspaceWrite became readOnly, since ${why}`);
    const { networkAccess = false } = asked;
    return fitNetwork({ type: "readOnly" as const, networkAccess }, scope, denied, narrowed);
  }

  /** Whether a temporary directory has to be left out. */
  function temporary(path: string | null, exclude = false, name = path): boolean {
    if (exclude) return true;
    if (path === null) {
      // Codex sees its own TMPDIR, which this script may not know; without limits on writing it does not matter.
      return !scope.probe.write() || !scope.readsAll;
    }
    const missing = scope.missingForWrites(path);
    const replaceable = !scope.keepsRoots && rootIn(scope.real(path) ?? path, roots) !== undefined;
    if (missing.length === 0 && !replaceable) return false;
    if (temporaryToo) denied.push(...missing);
    else {narrowed.push(
        `${name} is not writable${replaceable ? ": the session works below it" : ""}.`,
      );}
    return true;
  }
}

function fitNetwork<Policy extends { networkAccess?: boolean }>(
  policy: Policy,
  scope: Scope,
  denied: PermissionNeed[],
  narrowed: string[],
): Policy {
  if (policy.networkAccess !== true || scope.probe.net()) return policy;
  denied.push({ kind: "net" });
  narrowed.push("Commands have no network.");
  return { ...policy, networkAccess: false };
}

/** Temporary directories are shared by all sessions; a workspace's own reads and writes end at its border. */
function withoutTemporary(request: PolicyRequest, sandbox: SandboxPolicy): SandboxPolicy {
  if (request.reads !== "workspace" || sandbox.type !== "workspaceWrite") return sandbox;
  return { ...sandbox, excludeSlashTmp: true, excludeTmpdirEnvVar: true };
}

function fitReads(
  request: PolicyRequest,
  sandbox: SandboxPolicy,
  scope: Scope,
  denied: PermissionNeed[],
  narrowed: string[],
): "all" | string[] {
  const workspace = request.reads === "workspace";
  if (scope.readsAll && !workspace) return "all";
  const real = (path: string): string => scope.real(path) ?? path;
  const mayRead = (path: string): boolean => {
    const missing = scope.missing("read", path);
    denied.push(...missing);
    if (missing.length > 0) narrowed.push(`Commands can't read ${path}.`);
    return missing.length === 0;
  };
  const { cwd, attachments = [] } = request;
  const more = [...writableRoots(sandbox), ...attachments];
  const roots = mayRead(cwd) ? [workspace ? real(cwd) : highestGranted(cwd, scope)] : [];
  roots.push(...more.filter(mayRead).map(real));
  return roots.filter((root, at) =>
    !roots.some((other, where) =>
      where !== at && isInside(root, other) && (root !== other || where < at)
    )
  );
}

/** Permissions can't be listed, only asked for: the repository above a granted cwd is found by asking upwards. */
function highestGranted(cwd: string, scope: Scope): string {
  let highest = scope.real(cwd)!;
  for (let above = parentPath(highest); above !== null; above = parentPath(above)) {
    if (!scope.probe.read(above)) break;
    highest = above;
  }
  return highest;
}

/** Who is to be asked about what leaves the sandbox has to be asked about more, where codex lets some of it leave unasked. */
function fitApproval(
  asked: ApprovalPolicy,
  { type }: SandboxPolicy,
  { serverVersion }: PolicyFacts,
  narrowed: string[],
): ApprovalPolicy {
  if (
    !letsCodexAsk(asked) ||
    !/^(?:readOnly|workspaceWrite)$/.test(type) || supports(serverVersion, "asksBeforeLeaving")
  ) return asked;
  narrowed.push(
    'The approval policy became "untrusted": this codex lets what looks safe leave the sandbox unasked.',
  );
  return "untrusted";
}

/** What tool-use hooks do to the approval policy, and whether they see everything under it. */
function hookedApproval(
  request: PolicyRequest,
  version: string | null,
): { approvalPolicy: ApprovalPolicy; note: string | null; sees: boolean } {
  const { approvalPolicy, toolHooks } = request;
  if (toolHooks !== true) return { approvalPolicy, note: null, sees: false };
  if (approvalPolicy !== "never" && approvalPolicy !== "untrusted") {
    return {
      approvalPolicy,
      note:
        `With the approval policy ${
          JSON.stringify(approvalPolicy)
        } codex does not ask about what stays in the sandbox, ` +
        `so tool-use hooks do not see it. Choose "untrusted" for hooks that see everything.`,
      sees: false,
    };
  }
  const notes: string[] = [];
  if (approvalPolicy === "never") {
    notes.push(
      `The approval policy "never" was sent as "untrusted", so that tool-use hooks see what the agent wants to do. ` +
        `Codex may run what is accepted outside the sandbox.`,
    );
  }
  if (!supports(version, "asksAboutReads")) {
    notes.push(
      "This codex does not ask about reads that it takes for safe, so tool-use hooks do not see those.",
    );
  }
  if (!supports(version, "asksAboutMcpTools")) {
    notes.push(
      "Nor does it ask for consent to calls of MCP tools: they run although a tool-use hook would block them.",
    );
  } else if (!supports(version, "asksAboutReadingTools")) {
    notes.push(
      "Nor does it ask about MCP tools of which their server says that they only read.",
    );
  }
  return {
    approvalPolicy: "untrusted",
    note: notes.length === 0 ? null : notes.join(" "),
    sees: true,
  };
}

/** Whether a permission profile of codex takes the path for a pattern. */
export function isPattern(path: string): boolean {
  return /[*?[]/.test(path);
}
