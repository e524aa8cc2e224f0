/**
 * What {@linkcode diagnose} finds out.
 * @module
 */
import type { RulesFile } from "../../permissions/mod.ts";

/** Everything a bug report needs, and nothing secret: no keys, names, prompts or values of variables. */
export interface Diagnosis {
  /** Whether codex could be started and would take a prompt: `problems` is empty. */
  readonly ok: boolean;
  /** What stands in the way, the most important first. */
  readonly problems: readonly DiagnosedProblem[];
  /** Version of this library. */
  readonly library: string;
  /** Where this script runs. */
  readonly host: DiagnosedHost;
  /** The codex that was found and what it said of itself. */
  readonly codex: DiagnosedCodex;
  /** Environment variables that matter, without their values. */
  readonly environment: Readonly<Record<string, "set" | "unset" | "unreadable">>;
  /** What this script may do. */
  readonly permissions: DiagnosedPermissions;
  /** Whether codex is logged in; `null` when it could not be asked. */
  readonly login: DiagnosedLogin | null;
  /**
   * Codex's own rules files in its home, by which commands run outside the sandbox with nobody asked; `null` when codex could
   * not be asked.
   */
  readonly rulesFiles: readonly RulesFile[] | null;
  /** With `isolation: "hermetic"`: whose login is used, and what of the user's is left out; `null` otherwise. */
  readonly hermetic: DiagnosedHermetic | null;
  /** How the server's methods differ from those of this library; `null` when it did not tell them. */
  readonly drift: DiagnosedDrift | null;
}

/** Something that stands in the way. */
export interface DiagnosedProblem {
  /** The code of the error, such as `"spawn"`; `"notLoggedIn"` and `"processLeft"` are not errors elsewhere. */
  readonly code: string;
  /** What is wrong and what to do about it. */
  readonly message: string;
}

/** Where a script runs. */
export interface DiagnosedHost {
  /** The runtime. */
  readonly runtime: "deno" | "bun" | "node" | "workerd" | "browser";
  /** Its version; `null` when it tells none. */
  readonly runtimeVersion: string | null;
  /** Operating system in Node's spelling. */
  readonly os: string;
  /** Processor in Node's spelling. */
  readonly arch: string;
}

/** A codex and how it was reached. */
export interface DiagnosedCodex {
  /** How it is reached. */
  readonly transport: "stdio" | "websocket" | "unix" | "daemon" | "command" | "custom";
  /** The program; `null` when none was found or it is not started here. */
  readonly path: string | null;
  /** Whether the program is codex itself and not npm's launcher; `null` when unknown. */
  readonly native: boolean | null;
  /** The places that were looked at, in order. */
  readonly looked: readonly string[];
  /** Its version; `null` when it did not answer. */
  readonly version: string | null;
  /** The oldest version that the configuration accepts; `null` when any. */
  readonly required: string | null;
  /** Its description of itself. */
  readonly userAgent: string | null;
  /** Its home directory; `null` when it did not tell. */
  readonly home: string | null;
  /** Milliseconds from the start of the process until it had introduced itself. */
  readonly startMs: number | null;
}

/** What a script may do. */
export interface DiagnosedPermissions {
  /** Who holds the script to it; `"none"`: everything is granted. */
  readonly enforcedBy: "deno" | "node" | "probe" | "none";
  /** Deno flags and whether they are granted. Missing ones matter only to sessions that need them. */
  readonly flags: readonly DiagnosedFlag[];
}

/** One permission. */
export interface DiagnosedFlag {
  /** The flag that grants it, such as `--allow-run=codex`. */
  readonly flag: string;
  /** What it is for. */
  readonly purpose: string;
  /** Whether it is granted. */
  readonly granted: boolean;
}

/** How codex is logged in. */
export interface DiagnosedLogin {
  /** `"apiKey"`, `"chatgpt"` and the like; `null` when not logged in. */
  readonly type: string | null;
  /** The plan of the account, when there is one. */
  readonly plan: string | null;
  /** Whether the configured model provider needs a login. */
  readonly required: boolean;
}

/** How a codex with `isolation: "hermetic"` is apart from the user's. */
export interface DiagnosedHermetic {
  /** Its login: the user's own, the `apiKey` of the client, or none. */
  readonly login: "user" | "apiKey" | "none";
  /** What is left out, by name. */
  readonly leftOut: readonly DiagnosedLeftOut[];
}

/** A file or directory of the user's that a hermetic codex does not see. */
export interface DiagnosedLeftOut {
  /** Its path from the user's codex home, such as `config.toml`, `rules`, `AGENTS.md`; or `~/.agents/…`. */
  readonly path: string;
  /** The names in a directory, or of the settings in `config.toml`, such as `mcp_servers.docs`; never a value. */
  readonly holds: readonly string[];
}

/** How a server's methods differ from those that this library knows. Normal between versions. */
export interface DiagnosedDrift {
  /** Methods that this library knows and the server lacks. */
  readonly missing: readonly string[];
  /** Methods that the server has and this library does not know. */
  readonly unknown: readonly string[];
}
