/**
 * The words of codex's own policies, as the server spells them.
 * @module
 */

/** How far the agent's commands may reach, as `thread/start` names it. */
export type SandboxMode = "read-only" | "workspace-write" | "danger-full-access";

/** How far the agent's commands may reach, with details, as `turn/start` names it. */
export type SandboxPolicy =
  | ReadOnlyPolicy
  | WorkspaceWritePolicy
  | DangerFullAccessPolicy
  | ExternalSandboxPolicy;

/** Commands read files and change nothing. */
export interface ReadOnlyPolicy {
  /** Discriminator. */
  type: "readOnly";
  /** Whether commands may use the network. Default `false`. */
  networkAccess?: boolean;
}

/** Commands write in the session's cwd, the temporary directories and the writable roots. */
export interface WorkspaceWritePolicy {
  /** Discriminator. */
  type: "workspaceWrite";
  /** More directories that commands may write to, absolute. Default none. */
  writableRoots?: readonly string[];
  /** Whether commands may use the network. Default `false`. */
  networkAccess?: boolean;
  /** Leaves `$TMPDIR` read-only. Default `false`. */
  excludeTmpdirEnvVar?: boolean;
  /** Leaves `/tmp` read-only. Default `false`. */
  excludeSlashTmp?: boolean;
}

/** Commands run without any sandbox. */
export interface DangerFullAccessPolicy {
  /** Discriminator. */
  type: "dangerFullAccess";
}

/** Codex already runs inside a sandbox of the caller's own. */
export interface ExternalSandboxPolicy {
  /** Discriminator. */
  type: "externalSandbox";
  /** Whether that sandbox reaches the network. Default `"restricted"`. */
  networkAccess?: "restricted" | "enabled";
}

/** When the server asks before it runs a command or changes a file. */
export type ApprovalPolicy =
  /** Asks for everything that is not known to be safe. */
  | "untrusted"
  /** Asks when the model wants to leave the sandbox. */
  | "on-request"
  /** Asks when a command failed in the sandbox; codex 0.143 and later refuse it. */
  | "on-failure"
  /** Never asks; what the sandbox refuses, fails. */
  | "never"
  /** Asks by kind; codex 0.125 and later with `experimentalApi`. */
  | GranularApprovalPolicy;

/** Which kinds of requests the server may ask about. */
export interface GranularApprovalPolicy {
  /** One switch a kind. */
  granular: {
    /** Commands that want to leave the sandbox. */
    sandbox_approval: boolean;
    /** Commands that a rule file asks about. */
    rules: boolean;
    /** Questions of MCP servers. */
    mcp_elicitations: boolean;
    /** Skills that need consent. Default `false`. */
    skill_approval?: boolean;
    /** Permissions the model asks for. Default `false`. */
    request_permissions?: boolean;
  };
}
