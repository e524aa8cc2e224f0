/**
 * Codex's own permission profiles: the only way to keep its commands from reading the whole disk, and accepted ones inside.
 * @module
 */
import { isJsonObject, type JsonObject } from "../../json.ts";
import type { EffectivePolicy } from "./policy.ts";
import type { ServerFiles } from "./server_files.ts";
import { sandboxMode } from "../guard/gate.ts";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "../types.ts";

/** Whether a policy is sent as a permission profile instead of a sandbox. */
export function usesProfile(policy: EffectivePolicy): boolean {
  return policy.readRoots !== "all" && policy.readsEnforced ||
    policy.acceptedCommands === "sandboxed";
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
      config: workspaceConfig(sandbox),
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
      ...(policy.reads === "workspace" ? { project_doc_max_bytes: 0 } : {}),
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
  const profile: JsonObject = {
    filesystem: fileEntries(policy, files),
    network: { enabled: networkOf(policy.sandbox) },
  };
  return { id: `runtime-${hash(JSON.stringify(profile))}`, profile };
}

/** `sandbox_workspace_write` settings: what the mode's word alone leaves out. */
function workspaceConfig(sandbox: SandboxPolicy): JsonObject {
  if (sandbox.type !== "workspaceWrite") return {};
  return {
    sandbox_workspace_write: {
      writable_roots: sandbox.writableRoots ?? [],
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
