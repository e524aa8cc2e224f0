/**
 * What a session may do after everyone had a say.
 * @module
 */
import type { JsonValue } from "../../json.ts";
import type { PermissionProbe } from "../probe.ts";
import type { ApprovalPolicy, SandboxPolicy } from "../types.ts";

/** A file with rules by which codex runs commands outside the sandbox, with nobody asked. */
export interface RulesFile {
  /** The file, or the directory that could not be looked into. */
  readonly path: string;
  /** The patterns of its rules, as they are written; empty when they could not be read. */
  readonly allows: readonly string[];
}

/** What a session may do: what was asked, cut down to what this script may do itself. */
export interface EffectivePolicy {
  /** The directory the agent works in: its real path, as sent. */
  readonly cwd: string;
  /** When the server asks before it acts, as sent. */
  readonly approvalPolicy: ApprovalPolicy;
  /** How far commands may reach: as sent, and once {@linkcode confirmed}, as the server made it. */
  readonly sandbox: SandboxPolicy;
  /** What commands may read: everything, or these directories and files (real paths) and what the system needs to run. */
  readonly readRoots: "all" | readonly string[];
  /** `"workspace"` when nothing the agent does may leave `cwd` and the roots, not even what a person accepts. */
  readonly reads: "all" | "workspace";
  /** Whether codex holds commands to {@linkcode readRoots}; `true` when that is everything. Codex before 0.125 can't. */
  readonly readsEnforced: boolean;
  /**
   * Where a command runs that codex asked about and that was accepted: `"sandboxed"` like any other, or `"mayLeave"` when
   * codex may repeat it outside of the sandbox. The first needs Linux, codex 0.136 (0.140 to 0.149 or 0.160 for a sandbox
   * that writes while everything may be read), and a script with scoped permissions or rules that allow commands without
   * `outsideSandbox`.
   */
  readonly acceptedCommands: "sandboxed" | "mayLeave";
  /** Whose word this script's own permissions are; `"none"`: the runtime has no permissions. */
  readonly enforcedBy: PermissionProbe["enforcedBy"];
  /** What was taken away from what was asked, here or by the server, a sentence each. */
  readonly narrowed: readonly string[];
  /** Whether tool-use hooks see commands and file changes before they happen; see {@linkcode toolHooksNote}. */
  readonly toolHooks: boolean;
  /** What tool-use hooks changed about the approval policy, or what they do not see; else `null`. */
  readonly toolHooksNote: string | null;
  /** Which approval rules and handlers can't take effect under this policy, and why; else `null`. */
  readonly approvalsNote: string | null;
  /**
   * Codex's own rules files by which commands run outside the sandbox, whatever the policy, with nobody asked. A file or
   * directory that could not be looked into has no patterns. Empty before a session has looked.
   */
  readonly rulesFiles: readonly RulesFile[];
  /**
   * Whether the server confirmed this policy. Codex 0.150 and later do so with the first turn where the sandbox writes: their
   * threads start read-only, and each turn brings what it may do.
   */
  readonly confirmed: boolean;
}

/** What a session asks for. */
export interface PolicyRequest {
  /** The directory the agent works in, absolute. */
  cwd: string;
  /** How far commands may reach. */
  sandbox: SandboxPolicy;
  /** When the server asks. */
  approvalPolicy: ApprovalPolicy;
  /**
   * What commands may read: all that this script may, or only `cwd`, the writable roots and the attachments. `"workspace"`
   * leaves out shared temporary directories as well. Default `"all"`.
   */
  reads?: "all" | "workspace";
  /** Absolute paths sent along with every prompt. Default none. */
  attachments?: readonly string[];
  /** The caller's own codex settings of the thread. Default none. */
  config?: Readonly<Record<string, JsonValue>>;
  /** Whether accepted commands have to stay in the sandbox, where codex can hold them. Default: where reads are scoped. */
  contain?: boolean;
  /** Whether the session has tool-use hooks. Default `false`. */
  toolHooks?: boolean;
}

/** What the decision needs to know about this machine and the server. */
export interface PolicyFacts {
  /** A path with all links followed, or `null` when that can't be told; see {@linkcode realPathOf}. */
  realPath(path: string): string | null;
  /** The value of `TMPDIR`, or `null` when it is not set or may not be read. */
  tmpdir: string | null;
  /** Other directories that codex takes for temporary ones: those in TEMP and TMP on Windows. Default none. */
  moreTmpdirs?: readonly string[];
  /** Whether the server runs on Windows, where no codex can keep commands from reading. Default `false`. */
  windows?: boolean;
  /** The server's version, or `null` when unknown. */
  serverVersion: string | null;
  /** The server's operating system as codex names it: `linux`, `macos`, `windows`. Default: not known. */
  platform?: string | null;
  /** A directory that this codex makes writable by itself; `null`: one that is not known. Default: it has none. */
  ownRoot?: string | null;
}
