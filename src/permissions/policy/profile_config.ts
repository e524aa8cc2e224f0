/**
 * Codex's own permission profiles: the only way to keep its commands from reading the whole disk.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import { isAbsolutePath } from "../../platform/mod.ts";
import type { EffectivePolicy } from "./policy.ts";
import { sandboxMode } from "../guard/gate.ts";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "../types.ts";

/** Whether a policy is sent as a permission profile instead of a sandbox. */
export function usesProfile(policy: EffectivePolicy): boolean {
  return policy.readRoots !== "all" && policy.readsEnforced;
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

/**
 * How a policy is said to `thread/start`, `thread/resume` and `thread/fork`.
 *
 * Always send it on resume, too: a thread resumed without it falls back to the user's configuration. `codexExecutable`
 * is where the codex program is (see {@linkcode findCodexExecutable}); without it commands in a read-limited thread
 * fail to start on Linux.
 */
export function threadPolicyParams(
  policy: EffectivePolicy,
  codexExecutable: string | null = null,
): ThreadPolicyParams {
  const { approvalPolicy, sandbox } = policy;
  if (!usesProfile(policy)) {
    return {
      approvalPolicy,
      sandbox: sandboxMode(sandbox),
      config: workspaceConfig(sandbox),
      profileId: null,
    };
  }
  const profile: JsonObject = {
    filesystem: fileEntries(policy, codexExecutable),
    network: { enabled: networkOf(sandbox) },
  };
  // The name tells the content, so that an echo of the name confirms the content.
  const profileId = `runtime-${hash(JSON.stringify(profile))}`;
  return {
    approvalPolicy,
    config: {
      default_permissions: profileId,
      permissions: { [profileId]: profile },
      // Codex itself reads AGENTS.md, and 0.145 follows a link that the agent put there to wherever it leads.
      ...(policy.reads === "workspace" ? { project_doc_max_bytes: 0 } : {}),
    },
    profileId,
  };
}

/**
 * The `sandboxPolicy` of `turn/start`, or `null` when none may be sent because a profile is in force, which codex would
 * drop for it.
 */
export function turnSandboxPolicy(policy: EffectivePolicy): JsonObject | null {
  return usesProfile(policy) ? null : { ...policy.sandbox } as JsonObject;
}

/** A question to codex itself where its program is: a request, and how to read its result. */
export interface ExecutableQuestion {
  /** The method to call. */
  method: "command/exec";
  /** Its params. */
  params: JsonObject;
  /** The path in the result, or `null` when there is none. */
  read(result: JsonValue): string | null;
}

/**
 * Asks codex where its program is, which a script with scoped permissions could not look up: in a read-only sandbox,
 * where links lead that codex puts on its own PATH. For Linux, where codex starts itself inside the sandbox.
 */
export const findCodexExecutable: ExecutableQuestion = {
  method: "command/exec",
  params: {
    command: [
      "/bin/sh",
      "-c",
      'for n in codex-linux-sandbox apply_patch; do p=$(command -v "$n") && readlink -f "$p" && exit; done; exit 1',
    ],
    cwd: "/",
    timeoutMs: 10_000,
    sandboxPolicy: { type: "readOnly" },
  },
  read(result) {
    if (typeof result !== "object" || result === null || Array.isArray(result)) return null;
    const { exitCode, stdout } = result;
    if (exitCode !== 0 || typeof stdout !== "string") return null;
    const path = stdout.split("\n")[0]!.trim();
    return isAbsolutePath(path) ? path : null;
  },
};

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

function fileEntries(policy: EffectivePolicy, codexExecutable: string | null): JsonObject {
  const entries: JsonObject = {
    // A denied path stays denied for a command that leaves the sandbox with a person's consent (0.145, 0.169); a path
    // that is merely not granted does not.
    ...(policy.reads === "workspace" || policy.acceptedCommands === "sandboxed"
      ? { ":root": "deny" }
      : {}),
    ":minimal": "read",
  };
  if (codexExecutable !== null) {
    for (const path of installPaths(codexExecutable)) entries[path] = "read";
  }
  if (policy.readRoots !== "all") { for (const root of policy.readRoots) entries[root] = "read"; }
  const { sandbox } = policy;
  if (sandbox.type !== "workspaceWrite") return entries;
  entries[policy.cwd] = "write";
  for (const root of sandbox.writableRoots ?? []) entries[root] = "write";
  if (sandbox.excludeTmpdirEnvVar !== true) entries[":tmpdir"] = "write";
  if (sandbox.excludeSlashTmp !== true) entries[":slash_tmp"] = "write";
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
