/**
 * What the policies of options may be.
 * @module
 */
import {
  either,
  flag,
  type Kind,
  list,
  name,
  object,
  oneOf,
  required,
  shape,
  variants,
} from "../check/mod.ts";
import type {
  ExternalSandboxPolicy,
  GranularApprovalPolicy,
  ReadOnlyPolicy,
  SandboxPolicy,
  WorkspaceWritePolicy,
} from "./types.ts";

const MODES = ["read-only", "workspace-write", "danger-full-access"] as const;

/** A sandbox: a mode's word, or a policy. */
export const sandboxKind: Kind = either(
  oneOf(MODES),
  variants<SandboxPolicy>({
    readOnly: shape<Omit<ReadOnlyPolicy, "type">>({ networkAccess: flag }),
    workspaceWrite: shape<Omit<WorkspaceWritePolicy, "type">>({
      writableRoots: list(name),
      networkAccess: flag,
      excludeTmpdirEnvVar: flag,
      excludeSlashTmp: flag,
    }, { writable_roots: "writableRoots", network_access: "networkAccess" }),
    dangerFullAccess: shape<Record<never, never>>({}),
    externalSandbox: shape<Omit<ExternalSandboxPolicy, "type">>({
      networkAccess: oneOf(["restricted", "enabled"]),
    }),
  }, (value) => {
    const { type, mode } = Object(value) as { type?: unknown; mode?: unknown };
    const word = MODES.find((each) => each === type || each === mode);
    return word === undefined ? undefined : `Did you mean \`sandbox: "${word}"\`?`;
  }),
);

/** When the server asks. */
export const approvalPolicyKind: Kind = either(
  oneOf(["untrusted", "on-request", "on-failure", "never"]),
  object(shape<GranularApprovalPolicy>({
    granular: required(object(shape<GranularApprovalPolicy["granular"]>({
      sandbox_approval: required(flag),
      rules: required(flag),
      mcp_elicitations: required(flag),
      skill_approval: flag,
      request_permissions: flag,
    }))),
  })),
);
