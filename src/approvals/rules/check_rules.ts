/**
 * Refuses rules that could not mean what they say.
 * @module
 */
import {
  callback,
  checkArgument,
  either,
  flag,
  hinted,
  type Kind,
  kind,
  list,
  name,
  object,
  oneOf,
  required,
  shape,
  text,
} from "../../check/mod.ts";
import { plainPath } from "../../platform/paths.ts";
import type { ApprovalHandler } from "../request/types.ts";
import type { ApprovalRule, ApprovalRules } from "./rule_types.ts";

/** Whether a pattern of a rule can be understood: an absolute path or a bare name. */
function isPathPattern(pattern: string): boolean {
  return isBareName(pattern) || plainPath(pattern) !== null;
}

/** Whether a pattern is a name, wherever it lies. */
export function isBareName(pattern: string): boolean {
  return /^[^\\/\0]+$/.test(pattern) && pattern !== "." && pattern !== ".." && pattern !== "**";
}

// What the approvals of options may be.

const AS_RULES = 'Write `approvals: { rules: [{ effect: "allow", … }] }`.';

/** What a question of each kind has that a rule can name, of `command cwd paths host tool mcpServer`. */
const NAMED = {
  command: "command cwd paths host",
  fileChange: "paths",
  permissions: "cwd paths host",
  userInput: "",
  elicitation: "host tool mcpServer",
  toolCall: "tool",
  authTokenRefresh: "",
  attestation: "",
} as const;
const KINDS = Object.keys(NAMED) as (keyof typeof NAMED)[];

/** A list with something in it, of what is not empty. */
function some(of: Kind): Kind {
  const each = list(of);
  return {
    ...each,
    misfit: (value, path) =>
      Array.isArray(value) && value.length === 0
        ? { path, received: "an empty list", accepts: each.accepts() }
        : each.misfit(value, path),
  };
}

/** One, or a list. */
const oneOrMore = (of: Kind): Kind => either(of, some(of));

const places: Kind = oneOrMore(
  kind(
    "an absolute path or a bare name",
    ["string"],
    (text: string) => text !== "" && isPathPattern(text),
  ),
);
/** Questions hold names of hosts, not addresses of pages; a port is no part of what is asked. */
const hosts: Kind = oneOrMore(
  kind(
    "a host's name, `*.name` or `*`",
    ["string"],
    (text: string) =>
      /^(?:\*|\*\.[^\s*/:@]+|[^\s*/:@]+|\[?[\da-f:.]*:[\da-f:.]*:[\da-f:.]*\]?)$/i.test(text),
  ),
);
const called: Kind = oneOrMore(
  kind("a whole name, without stars", ["string"], (text: string) => /^[^*]+$/.test(text)),
);
const program: Kind = kind(
  "one program, the other words of the command by themselves",
  ["string"],
  (text: string) => !/[*?]/.test(text) && (/[\\/]/.test(text) || !/\s/.test(text)),
);
const words: Kind = some(name);
const command: Kind = hinted(
  either(
    {
      ...words,
      misfit: (value, path) =>
        words.misfit(value, path) ?? program.misfit((value as string[])[0], `${path}[0]`),
    },
    callback,
    kind("a RegExp", ["object"], (value: object) => value instanceof RegExp),
  ),
  (value) => typeof value === "string" ? 'Write its words: `["git", "status"]`.' : undefined,
);

const RULE: Kind = object(
  shape<ApprovalRule>({
    name: text,
    effect: required(oneOf(["deny", "ask", "allow"])),
    kind: oneOrMore(oneOf(KINDS)),
    command,
    cwd: places,
    paths: places,
    host: hosts,
    tool: called,
    mcpServer: called,
    outsideSandbox: flag,
    scope: oneOf(["once", "session"]),
  }, { action: "effect", decision: "effect", path: "paths", commands: "command", tools: "tool" }),
);

/** Why no question can match the rule, or `null`: nobody would be guarded by it, nor anything accepted. */
function unmatched(
  given: Readonly<Record<string, unknown>>,
  path: string,
): ReturnType<Kind["misfit"]> {
  const { kind = KINDS, effect } = given as { kind?: string | string[]; effect: unknown };
  const kinds = (typeof kind === "string" ? [kind] : kind) as typeof KINDS;
  const fields = ["command", "cwd", "paths", "host", "tool", "mcpServer"]
    .filter((field) => given[field] !== undefined);
  const fits = kinds.some((one) =>
    // The last ones need an answer, not a yes.
    (effect !== "allow" || NAMED[one] !== "") &&
    fields.every((field) => NAMED[one].split(" ").includes(field))
  );
  if (fits) return null;
  const received = `a rule with ${
    ["kind", ...fields].filter((field) => field in given).join(", ")
  }`;
  return { path, received, accepts: "what one kind of question can have together" };
}

const rule: Kind = {
  ...RULE,
  misfit: (value, path) => {
    const given = Object(value) as Readonly<Record<string, unknown>>;
    // A condition that was computed and came out undefined must not silently widen the rule.
    for (const key of Object.keys(given)) {
      if (given[key] !== undefined) continue;
      const accepts = "left out, or set";
      return { path: `${path}.${key}`, received: "undefined", accepts };
    }
    const misfit = RULE.misfit(value, path);
    if (misfit !== null) return misfit;
    if (given["outsideSandbox"] !== true || given["effect"] === "allow") {
      return unmatched(given, path);
    }
    const accepts = "left out of rules that do not allow";
    return { path: `${path}.outsideSandbox`, received: "true", accepts };
  },
};

/** Rules by themselves. */
export const rulesKind: Kind = list(rule);

/** A handler, or rules. A misspelt field of an `allow` rule would make it wider, and an unknown effect would make a `deny` vanish. */
export const approvalsKind: Kind = either(
  callback,
  object(
    shape<ApprovalRules>({
      rules: required(rulesKind),
      ask: callback,
      default: oneOf(["ask", "decline"]),
    }, { allow: AS_RULES, deny: AS_RULES, handler: "ask" }),
    (value) => Array.isArray(value) ? "Write `approvals: { rules: [ … ] }`." : undefined,
  ),
);

/** Throws `InvalidArgumentError` when `approvals` is neither a function nor well-formed rules. */
export function checkApprovals(approvals: ApprovalHandler | ApprovalRules | undefined): void {
  checkArgument("approvals", "approvals", approvals, approvalsKind);
}
