/**
 * Consent: anything but read-only is run only for callers who said so.
 * @module
 */
import { kindOf, plain } from "../../json.ts";
import { InvalidArgumentError, PolicyError } from "../../errors/mod.ts";
import { isAbsolutePath } from "../../platform/paths.ts";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "../types.ts";

/** What the caller agreed to. */
export interface PrivilegeConsent {
  /** Consent to anything but read-only. Default `false`. */
  allowPrivilegedEscalation?: boolean | undefined;
  /** Consent to full access with nobody asked. Default `false`. */
  dangerouslyAllowUnattendedFullAccess?: boolean | undefined;
  /** The directory the caller named; absent or blank when none was. */
  cwd?: string | undefined;
}

/** A sandbox as a policy object of its own; a mode's word stands for the policy with all defaults. Throws `InvalidArgumentError` for anything else. */
export function normalizeSandbox(sandbox: SandboxMode | SandboxPolicy): SandboxPolicy {
  if (typeof sandbox === "string") {
    if (sandbox === "read-only") return { type: "readOnly" };
    if (sandbox === "workspace-write") return { type: "workspaceWrite" };
    if (sandbox === "danger-full-access") return { type: "dangerFullAccess" };
    throw notASandbox("another string");
  }
  const policy = typeof sandbox === "object" && sandbox !== null ? plain(sandbox) : undefined;
  if (typeof policy?.type !== "string") throw notASandbox(kindOf(sandbox));
  if (policy.type === "workspaceWrite") {
    const roots: unknown = policy.writableRoots ?? [];
    if (
      !Array.isArray(roots) ||
      roots.some((root) => typeof root !== "string" || !isAbsolutePath(root))
    ) {
      throw new InvalidArgumentError("sandbox", {
        argument: "sandbox.writableRoots",
        received: "something else",
        accepts: "a list of absolute paths",
      });
    }
  }
  return policy;
}

function notASandbox(received: string): InvalidArgumentError {
  return new InvalidArgumentError("sandbox", {
    argument: "sandbox",
    received,
    accepts: '"read-only", "workspace-write", "danger-full-access", or a policy with a `type`',
  });
}

/**
 * A policy as the mode that `thread/start` takes, never wider than the policy itself: what only `turn/start` can
 * express starts as read-only.
 */
export function sandboxMode(policy: SandboxPolicy): SandboxMode {
  if (policy.type === "workspaceWrite") return "workspace-write";
  return policy.type === "dangerFullAccess" ? "danger-full-access" : "read-only";
}

/** Whether a policy lets commands do more than read. With the network they send, too; unknown types may do anything. */
function isPrivileged(policy: SandboxPolicy): boolean {
  return policy.type !== "readOnly" ||
    (policy.networkAccess !== undefined && policy.networkAccess !== false);
}

/** Whether a policy leaves commands without a sandbox of codex's: there the question is all that holds them. */
function isUnconfined({ type }: SandboxPolicy): boolean {
  return type !== "readOnly" && type !== "workspaceWrite";
}

/** Why the caller's consent does not cover the policy, or `null` when it does. */
export function privilegeRefusal(
  policy: SandboxPolicy,
  approvalPolicy: ApprovalPolicy,
  consent: PrivilegeConsent,
): PolicyError | InvalidArgumentError | null {
  if (!isPrivileged(policy)) return null;
  const data = { sandbox: policy.type };
  if (consent.allowPrivilegedEscalation !== true) {
    const what = policy.type === "readOnly" ? "Network access" : `The sandbox ${policy.type}`;
    return new PolicyError(
      `${what} lets the agent do more than read. Set \`allowPrivilegedEscalation: true\` to allow it, or use plain "read-only".`,
      { data },
    );
  }
  if (consent.cwd === undefined || consent.cwd.trim() === "") {
    return new InvalidArgumentError("sandbox", {
      argument: "cwd",
      received: "nothing",
      accepts: "a directory, with a sandbox that lets the agent do more than read",
    }, { data });
  }
  if (
    isUnconfined(policy) && asksNobody(approvalPolicy, policy.type) &&
    consent.dangerouslyAllowUnattendedFullAccess !== true
  ) {
    return new PolicyError(
      `Full access with an approval policy that asks nobody lets the agent do anything unseen. ` +
        `Set \`dangerouslyAllowUnattendedFullAccess: true\` to allow it, or ask with another \`approvalPolicy\`.`,
      { data },
    );
  }
  return null;
}

/**
 * Whether commands run unasked. Outside of a sandbox only `untrusted` asks: the other policies ask for what would leave
 * the sandbox, and there is none to leave.
 */
export function asksNobody(policy: ApprovalPolicy, sandbox: SandboxPolicy["type"]): boolean {
  if (sandbox === "readOnly" || sandbox === "workspaceWrite") return policy === "never";
  return policy !== "untrusted";
}

/**
 * Whether the policy leaves to codex which commands it asks about before they leave the sandbox. One before 0.136 lets some of
 * them leave unasked.
 */
export function letsCodexAsk(policy: ApprovalPolicy): boolean {
  return !/^(?:never|untrusted|on-failure)$/.test(String(policy));
}
