/**
 * Rules that answer the server's questions without a person.
 * @module
 */
import type { ApprovalHandler, ApprovalRequest } from "../request/types.ts";

/** The requests that rules can match. */
export type ApprovalKind =
  | "command"
  | "fileChange"
  | "permissions"
  | "userInput"
  | "elicitation"
  | "toolCall"
  | "authTokenRefresh"
  | "attestation";

/**
 * Which commands a rule means. A word list is a prefix: `["git", "status"]` matches `git status --short`.
 * A RegExp is tried on each simple command, for `allow` from its first character. A function gets the words of each. For
 * `deny` and `ask` a RegExp and a function are tried on what another program may start as well (`rm x` of `sudo rm x`), with
 * programs by their bare name, and the rule matches where only the shell knows the program (`$CMD x`). Other words that the
 * shell fills in are given as they are written.
 */
export type CommandMatcher =
  | readonly string[]
  | RegExp
  | ((argv: string[], request: ApprovalRequest) => boolean);

/**
 * One rule. It matches when everything it names matches; what it leaves out does not matter. One that no question could match,
 * such as `kind: "fileChange"` with a `command`, is an `InvalidArgumentError`.
 *
 * Matching leans to the safe side. `deny` and `ask` match when any part of the request may be meant: a command anywhere
 * in a script, one of many paths, text that can't be parsed. `allow` matches only when every part is certainly meant:
 * each command of a simple script, all its words literal for a RegExp or a function, each path, and each widening (network access, more permissions, a writable root)
 * named by `host` or `paths`.
 */
export interface ApprovalRule {
  /** Its name in audits. Default `rule 1`, `rule 2` … by position. */
  name?: string;
  /** What happens on a match. `deny` wins over `ask`, which wins over `allow`. */
  effect: "deny" | "ask" | "allow";
  /** The kinds of request it is about. Default: all that have what it names. */
  kind?: ApprovalKind | readonly ApprovalKind[];
  /** The commands it is about. */
  command?: CommandMatcher;
  /** Directories: the command or permission request works in one of them or below. Spelled like `paths`. */
  cwd?: string | readonly string[];
  /**
   * Files and directories (with all below) that a change or a permission request touches: an absolute path, or a bare
   * name such as `.env` or `*.pem` for any place; an `allow` takes a name for one in the session's workspace. `*` stands for a part of a name, `**` for any number of directories.
   * Commands are not searched for paths.
   */
  paths?: string | readonly string[];
  /** Network hosts, without scheme and port: a name, `*.example.com` for all below it, or `*` for any. */
  host?: string | readonly string[];
  /** Whole tool names, of MCP servers or of this process; with the kind `"toolCall"`, of this process alone. */
  tool?: string | readonly string[];
  /** MCP server names. */
  mcpServer?: string | readonly string[];
  /**
   * For `allow`: whether it may accept a command that leaves the sandbox. Codex runs an accepted command outside of it when
   * the agent asked for that, and once more outside, without another question, when the sandbox made it fail at once
   * (`untrusted`, seen on 0.104 to 0.169); the question tells neither. So without this, the rule accepts commands only where
   * codex keeps them in: `session.policy.acceptedCommands` is `"sandboxed"`, which rules bring about where codex can, as long
   * as none of them says `true` here. Elsewhere the command is asked about, or declined, as if the rule were not there.
   * A change of files is held the same way: without this, and without `paths` that say where, only in the session's cwd and
   * writable roots, and not in `.git`, `.codex` or `.agents` there. Default `false`.
   */
  outsideSandbox?: boolean;
  /**
   * For `allow` of permissions and MCP tools: only this time, or for the rest of the session. Commands and file changes are
   * judged each time, whatever stands here. Default `"once"`.
   */
  scope?: "once" | "session";
}

/** Rules that answer without a person, and who is asked otherwise. */
export interface ApprovalRules {
  /** The rules. Any matching `deny` wins over any `ask`, which wins over `allow`; their order does not matter. */
  rules: readonly ApprovalRule[];
  /** Asked when a rule says `ask`, or none matches. Default: decline. */
  ask?: ApprovalHandler;
  /** What happens when no rule matches. Default `"ask"`. */
  default?: "ask" | "decline";
}
