/**
 * Codex's own permission profiles: the only way to keep its commands from reading the whole disk, and accepted ones inside.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject } from "../../json.ts";
import { isInside, isSamePath } from "../../platform/mod.ts";
import { type Feature, featureSince, supports } from "../../protocol/mod.ts";
import { sandboxMode } from "../need.ts";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy, WorkspaceWritePolicy } from "../types.ts";
import { isPattern } from "./effective_policy.ts";
import type { EffectivePolicy, PolicyFacts } from "./policy.ts";

/** Whether a policy is sent as a permission profile instead of a sandbox. */
export function usesProfile(policy: EffectivePolicy): boolean {
  return policy.readRoots !== "all" && policy.readsEnforced ||
    policy.acceptedCommands === "sandboxed";
}

/** Where codex could keep the accepted commands of such a sandbox in it, as a sentence; `null` when this one can. */
export function containmentAdvice(
  sandbox: SandboxPolicy,
  { version, platform }: { version: string | null; platform: string | null },
): string | null {
  const { type } = sandbox;
  if (type !== "readOnly" && type !== "workspaceWrite") return null;
  if (platform !== "linux") return "Codex can keep them in on Linux.";
  const since = (feature: Feature) => `Codex ${featureSince(feature)} or newer keeps them in.`;
  if (!supports(version, "deniedRootHolds")) {
    return since(type === "readOnly" ? "deniedRootHolds" : "turnProfiles");
  }
  if (type === "readOnly" || supports(version, "turnProfiles")) return null;
  // Its threads would have to start with a profile that writes, and give up AGENTS.md for that.
  if (supports(version, "docsNeedTrust")) return since("turnProfiles");
  return sandbox.excludeSlashTmp === true || supports(version, "slashTmpInProfiles")
    ? null
    : `This codex keeps them in with \`excludeSlashTmp: true\`, and ${
      featureSince("turnProfiles")
    } or newer without.`;
}

/** The fields of `thread/start`, `thread/resume` and `thread/fork` that carry a policy. */
export interface ThreadPolicyParams {
  /** When the server asks. */
  approvalPolicy: ApprovalPolicy;
  /** The sandbox; absent when a profile is sent, since codex drops the profile for it. */
  sandbox?: SandboxMode;
  /** Settings of the thread; merge the caller's own below them. */
  config: JsonObject;
  /** What the server should confirm as the active profile; `null` without one. Not to be sent. */
  profileId: string | null;
}

/** How a thread takes its policy. */
export interface ThreadPolicyOptions {
  /** The server's files; `null` where they are not known: then commands in a read-limited thread fail to start on Linux. */
  files?: ServerFiles | null;
  /** Whether turns can name the profile that they run with. Default `false`. */
  turnProfiles?: boolean;
  /** Whether the thread starts read-only, and its turns bring what they may do. Default `false`. */
  startReadOnly?: boolean;
}

/**
 * How a policy is said to `thread/start`, `thread/resume` and `thread/fork`.
 *
 * Always send it on resume, too: a thread resumed without it falls back to the user's configuration.
 */
export function threadPolicyParams(
  policy: EffectivePolicy,
  { files = null, turnProfiles = false, startReadOnly = false }: ThreadPolicyOptions = {},
): ThreadPolicyParams {
  const { approvalPolicy, sandbox } = policy;
  if (!usesProfile(policy)) {
    return {
      approvalPolicy,
      sandbox: startReadOnly ? "read-only" : sandboxMode(sandbox),
      config: workspaceConfig(sandbox, startReadOnly),
      profileId: null,
    };
  }
  const own = profileOf(policy, files);
  const readOnly = profileOf({ ...policy, sandbox: { type: "readOnly" } }, files);
  const others = !turnProfiles
    ? []
    : policy.readRoots === "all"
    ? [readOnly, profileOf({ ...policy, sandbox: { type: "workspaceWrite" } }, files)]
    : [readOnly];
  const { id: profileId } = turnProfiles && startReadOnly ? readOnly : own;
  return {
    approvalPolicy,
    config: {
      default_permissions: profileId,
      permissions: Object.fromEntries([...others, own].map(({ id, profile }) => [id, profile])),
      // Codex itself reads AGENTS.md, and 0.145 follows a link that the agent put there to wherever it leads.
      // Its memories tell each session what was said in all others.
      ...(policy.reads === "workspace"
        ? {
          project_doc_max_bytes: 0,
          "features.memories": false,
          // Where the user switched them on by an older name.
          "memories.use_memories": false,
        }
        : {}),
    },
    profileId,
  };
}

/**
 * The fields of `turn/start` that carry a policy on a thread that was started with `thread`; `null` when the turn can't have
 * it. A profile is dropped by codex as soon as a turn brings a sandbox, and a turn can name none but those of its thread.
 */
export function turnPolicyParams(
  policy: EffectivePolicy,
  thread: { policy: EffectivePolicy; params: ThreadPolicyParams },
  { files = null, turnProfiles = false }: ThreadPolicyOptions = {},
): JsonObject | null {
  const sandboxPolicy = { ...policy.sandbox } as JsonObject;
  if (!usesProfile(thread.policy)) return { sandboxPolicy };
  if (!turnProfiles) {
    return JSON.stringify(policy.sandbox) === JSON.stringify(thread.policy.sandbox) ? {} : null;
  }
  const { type } = policy.sandbox;
  if (type !== "readOnly" && type !== "workspaceWrite") {
    // The next turn names its profile again.
    return thread.policy.readRoots === "all" ? { sandboxPolicy } : null;
  }
  const { readRoots, acceptedCommands } = thread.policy;
  const { id } = profileOf({ ...policy, readRoots, acceptedCommands }, files);
  return isJsonObject(thread.params.config["permissions"]) &&
      Object.hasOwn(thread.params.config["permissions"], id)
    ? { permissions: id }
    : null;
}

/** The profile that says a policy. Its name tells the content, so that an echo of the name confirms the content. */
function profileOf(
  policy: EffectivePolicy,
  files: ServerFiles | null,
): { id: string; profile: JsonObject } {
  const filesystem = fileEntries(policy, files);
  refusePatterns(filesystem);
  const profile: JsonObject = {
    filesystem,
    network: { enabled: networkOf(policy.sandbox) },
  };
  return { id: `runtime-${hash(JSON.stringify(profile))}`, profile };
}

/**
 * `sandbox_workspace_write` settings: what the mode's word alone leaves out. The roots with which a thread starts are those of all
 * its turns, also of one with less (0.136 to 0.169): where turns bring the sandbox, they bring the roots.
 */
function workspaceConfig(sandbox: SandboxPolicy, turnsBring: boolean): JsonObject {
  // The user's own would be those of a turn that writes.
  if (sandbox.type !== "workspaceWrite") return { sandbox_workspace_write: { writable_roots: [] } };
  return {
    sandbox_workspace_write: {
      writable_roots: turnsBring ? [] : [...sandbox.writableRoots ?? []],
      network_access: sandbox.networkAccess ?? false,
      exclude_tmpdir_env_var: sandbox.excludeTmpdirEnvVar ?? false,
      exclude_slash_tmp: sandbox.excludeSlashTmp ?? false,
    },
  };
}

function fileEntries(policy: EffectivePolicy, files: ServerFiles | null): JsonObject {
  const { sandbox } = policy;
  const tmp = sandbox.type === "workspaceWrite" && sandbox.excludeSlashTmp !== true;
  const entries: JsonObject = {
    // A denied path stays denied for a command that leaves the sandbox with a person's consent (0.145, 0.169); a path
    // that is merely not granted does not. Nothing but the root will do: of any other denied path codex keeps the denial
    // and gives up the sandbox (0.169).
    ...(policy.reads === "workspace" || policy.acceptedCommands === "sandboxed"
      ? { ":root": "deny" }
      : {}),
    ":minimal": "read",
  };
  if (files !== null && files.executable !== null) {
    for (const path of installPaths(files.executable)) entries[path] = "read";
  }
  // `:minimal` brings these two as a sandbox needs them, and the entry for temporary files this one.
  const own = ["/dev", "/proc", ...(tmp ? ["/tmp"] : [])];
  const readable = policy.readRoots === "all"
    ? (files?.root ?? []).filter((path) => !own.includes(path))
    : policy.readRoots;
  for (const path of readable) entries[path] = "read";
  if (sandbox.type !== "workspaceWrite") return entries;
  entries[policy.cwd] = "write";
  for (const root of sandbox.writableRoots ?? []) entries[root] = "write";
  if (sandbox.excludeTmpdirEnvVar !== true) entries[":tmpdir"] = "write";
  if (tmp) entries[":slash_tmp"] = "write";
  return entries;
}

/**
 * Codex takes such names in a profile for patterns: of a directory called `**` it opened all that lies beside it, and it refuses
 * the others (0.136 to 0.169).
 */
function refusePatterns(entries: JsonObject): void {
  const pattern = Object.keys(entries).find(isPattern);
  if (pattern === undefined) return;
  throw new PolicyError(
    `Codex can't keep commands to ${pattern}: it takes the name for a pattern. Use a path without \`*\`, \`?\` and \`[\`.`,
    { data: { reason: "pattern" } },
  );
}

/** The program, and of the npm package the directory with the tools that it brings, such as ripgrep. */
function installPaths(codexExecutable: string): string[] {
  const vendor = /^(.*[\\/]vendor[\\/][^\\/]+)[\\/](?:bin|codex)[\\/]codex[^\\/]*$/
    .exec(codexExecutable);
  return [vendor?.[1] ?? codexExecutable];
}

function networkOf(sandbox: SandboxPolicy): boolean {
  if (sandbox.type === "dangerFullAccess") return true;
  return sandbox.networkAccess === true || sandbox.networkAccess === "enabled";
}

/** FNV-1a over UTF-16 units, twice with different starts: a name, not a secret. */
function hash(text: string): string {
  let [a, b] = [0x811c9dc5, 0x01234567];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x01000193) + 0x9e3779b9;
  }
  return [a, b].map((part) => (part >>> 0).toString(16).padStart(8, "0")).join("");
}

// What has to be known of the server's file system: for permission profiles, and for the directory that some versions of codex
// make writable in every `workspace-write` session, asked or not.

/** The files of the machine that codex runs on. */
export interface ServerFiles {
  /** Codex's own program, which starts itself inside the sandbox; `null` when it was not found. */
  executable: string | null;
  /** What lies in the root directory, as absolute paths; `null` when it could not be listed. */
  root: readonly string[] | null;
  /** Links in the root directory to other places than the system's own: a profile shows where they lead, not them. */
  rootLinks: readonly string[];
}

/** The directory in codex's home that some versions make writable by themselves: an absolute path on the server's machine. */
export function ownRootIn(codexHome: string): string {
  const separator = codexHome.includes("\\") ? "\\" : "/";
  return `${codexHome.replace(/[\\/]+$/, "")}${separator}memories`;
}

/** Codex's home as the place of a thread's file tells it, or `null`. */
export function codexHomeOfThread(threadPath: string): string | null {
  return /^(.+)[\\/](?:archived_)?sessions[\\/]/.exec(threadPath)?.[1] ?? null;
}

/**
 * The directory that the agent may write and codex's home lies in, or `null`. Whoever writes codex's home has it start programs
 * without a sandbox with the next thread: `config.toml`, `.env`, `rules` (0.104 to 0.169).
 */
export function rootAroundHome(
  { cwd, sandbox }: Pick<EffectivePolicy, "cwd" | "sandbox">,
  codexHome: string,
  facts: Pick<PolicyFacts, "realPath" | "tmpdir" | "moreTmpdirs" | "windows" | "serverVersion">,
): string | null {
  if (sandbox.type !== "workspaceWrite") return null;
  const spellings = (path: string) => [path, facts.realPath(path) ?? path];
  const keepsDotCodex = supports(facts.serverVersion, "keepsDotCodex");
  const homes = spellings(codexHome);
  const holds = (root: string, kept: boolean) =>
    spellings(root).some((outer) =>
      homes.some((home) =>
        isInside(home, outer) && !(kept && homes.every((one) => isDotCodexOf(one, spellings(root))))
      )
    );
  return [cwd, ...sandbox.writableRoots ?? []].find((root) => holds(root, keepsDotCodex)) ??
    temporaryRoots(sandbox, facts).find((root) => holds(root, false)) ?? null;
}

/** The directories for temporary files that a sandbox leaves writable, as far as they are known. */
export function temporaryRoots(
  { excludeSlashTmp, excludeTmpdirEnvVar }: WorkspaceWritePolicy,
  { tmpdir, moreTmpdirs = [], windows }: Pick<PolicyFacts, "tmpdir" | "moreTmpdirs" | "windows">,
): string[] {
  return [
    excludeSlashTmp === true || windows === true ? null : "/tmp",
    ...(excludeTmpdirEnvVar === true ? [] : [tmpdir, ...moreTmpdirs]),
  ].filter((root) => root !== null && root !== "") as string[];
}

function isDotCodexOf(home: string, roots: readonly string[]): boolean {
  return roots.some((root) => isSamePath(home, `${root.replace(/[\\/]+$/, "")}/.codex`));
}
