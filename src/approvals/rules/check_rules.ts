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

const KINDS = [
  "command",
  "fileChange",
  "permissions",
  "userInput",
  "elicitation",
  "toolCall",
  "authTokenRefresh",
  "attestation",
] as const;

/** A list with something in it, of what is not empty. */
function some(of: Kind): Kind {
  const each = list(of);
  return {
    ...each,
    misfit: (value, path) =>
      Array.isArray(value) && value.length === 0
        ? { path, received: "an empty list", accepts: each.accepts }
        : each.misfit(value, path),
  };
}

/** One, or a list. */
const oneOrMore = (of: Kind): Kind => either(of, some(of));

const names: Kind = oneOrMore(name);
const places: Kind = oneOrMore(
  kind(
    "an absolute path or a bare name",
    ["string"],
    (text: string) => text !== "" && isPathPattern(text),
  ),
);
const command: Kind = hinted(
  either(
    some(name),
    callback,
    kind("a RegExp", ["object"], (value: object) => value instanceof RegExp),
  ),
  (value) => typeof value === "string" ? "For one word write `[word]`." : undefined,
);

const RULE: Kind = object(
  shape<ApprovalRule>({
    name: text,
    effect: required(oneOf(["deny", "ask", "allow"])),
    kind: oneOrMore(oneOf(KINDS)),
    command,
    cwd: places,
    paths: places,
    host: names,
    tool: names,
    mcpServer: names,
    outsideSandbox: flag,
    scope: oneOf(["once", "session"]),
  }, { action: "effect", decision: "effect", path: "paths", commands: "command", tools: "tool" }),
);

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
    if (misfit !== null || given["outsideSandbox"] !== true || given["effect"] === "allow") {
      return misfit;
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
