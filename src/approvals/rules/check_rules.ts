/**
 * Refuses rules that could not mean what they say.
 * @module
 */
import {
  callback,
  either,
  type Kind,
  kind,
  list,
  object,
  oneOf,
  required,
  shape,
} from "../../check/mod.ts";
import { InvalidArgumentError } from "../../errors/mod.ts";
import type { ApprovalHandler } from "../request/types.ts";
import { isPathPattern } from "./match_path.ts";
import type { ApprovalRules } from "./rule_types.ts";

const RULE_KEYS: ReadonlySet<string> = new Set([
  "name",
  "effect",
  "kind",
  "command",
  "cwd",
  "paths",
  "host",
  "tool",
  "mcpServer",
  "scope",
  "outsideSandbox",
]);
const KINDS: ReadonlySet<unknown> = new Set([
  "command",
  "fileChange",
  "permissions",
  "userInput",
  "elicitation",
  "toolCall",
  "authTokenRefresh",
  "attestation",
]);

/**
 * Throws {@linkcode InvalidArgumentError} when `approvals` is neither a function nor well-formed rules. A misspelt field of an
 * `allow` rule would otherwise make it wider, and an unknown effect would make a `deny` vanish.
 */
export function checkApprovals(approvals: ApprovalHandler | ApprovalRules | undefined): void {
  if (approvals === undefined || typeof approvals === "function") return;
  const fail = (problem: string): never => {
    throw new InvalidArgumentError("approvals", {
      argument: "approvals",
      received: "rules that can't mean what they say",
      accepts: "a function or { rules: [...] }",
      sentence: problem,
    });
  };
  if (typeof approvals !== "object" || approvals === null || !Array.isArray(approvals.rules)) {
    fail("expected a function or { rules: [...] }");
  }
  for (const key of Object.keys(approvals)) {
    if (!["rules", "ask", "default"].includes(key)) fail(`unknown field "${key}"`);
  }
  if (approvals.ask !== undefined && typeof approvals.ask !== "function") {
    fail("ask must be a function");
  }
  if (approvals.default !== undefined && !["ask", "decline"].includes(approvals.default)) {
    fail('default must be "ask" or "decline"');
  }
  for (const [index, rule] of approvals.rules.entries()) {
    const problem = ruleProblem(rule);
    if (problem !== null) fail(`rule ${index + 1}: ${problem}`);
  }
}

function ruleProblem(value: unknown): string | null {
  if (typeof value !== "object" || value === null) return "expected an object";
  const rule = value as Record<string, unknown>;
  for (const [key, field] of Object.entries(rule)) {
    if (!RULE_KEYS.has(key)) return `unknown field "${key}"`;
    // A condition that was computed and came out undefined must not silently widen the rule.
    if (field === undefined) return `${key} is undefined; leave it out instead`;
  }
  const { effect, kind, command, scope, name } = rule as {
    [key in "effect" | "kind" | "command" | "scope" | "name"]: unknown;
  };
  if (!["deny", "ask", "allow"].includes(effect as string)) {
    return 'effect must be "deny", "ask" or "allow"';
  }
  if (name !== undefined && typeof name !== "string") return "name must be a string";
  const { outsideSandbox } = rule;
  if (outsideSandbox !== undefined && typeof outsideSandbox !== "boolean") {
    return "outsideSandbox must be true or false";
  }
  if (outsideSandbox === true && effect !== "allow") {
    return "outsideSandbox is for rules that allow";
  }
  if (scope !== undefined && !["once", "session"].includes(scope as string)) {
    return 'scope must be "once" or "session"';
  }
  if (kind !== undefined) {
    const kinds = Array.isArray(kind) ? kind : [kind];
    if (kinds.length === 0 || !kinds.every((one) => KINDS.has(one))) return "kind is not known";
  }
  if (command !== undefined && typeof command !== "function" && !(command instanceof RegExp)) {
    if (!isTextList(command)) {
      return "command must be a list of words, a RegExp or a function; for one word write [word]";
    }
  }
  for (const key of ["cwd", "paths", "host", "tool", "mcpServer"]) {
    const field = rule[key];
    if (field === undefined) continue;
    const list = Array.isArray(field) ? field : [field];
    if (!isTextList(list)) return `${key} must be a text or a list of texts, none of them empty`;
    if ((key === "cwd" || key === "paths") && !(list as string[]).every(isPathPattern)) {
      return `${key} must hold absolute paths or bare names`;
    }
  }
  return null;
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 &&
    value.every((text) => typeof text === "string" && text !== "");
}

// What the approvals of options may be.

const AS_RULES = 'Write `approvals: { rules: [{ effect: "allow", … }] }`.';

const rule: Kind = kind("a rule { effect, … }", ["object"]);

/** A handler, or rules; `checkApprovals` looks at each rule. */
export const approvalsKind: Kind = either(
  callback,
  object(
    shape<ApprovalRules>({
      rules: required(list(rule)),
      ask: callback,
      default: oneOf(["ask", "decline"]),
    }, { allow: AS_RULES, deny: AS_RULES, handler: "ask" }),
    (value) => Array.isArray(value) ? "Write `approvals: { rules: [ … ] }`." : undefined,
  ),
);
