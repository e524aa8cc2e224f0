/**
 * Refuses rules that could not mean what they say, and those that are never asked under a session's policy: they protect nobody.
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
import type { ApprovalRule, ApprovalRules } from "./rule_types.ts";

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

/** What a session sends, as far as approvals care. */
export interface ApprovalPlace {
  /** When the server asks: a word, or codex's granular object. */
  approvalPolicy: unknown;
  /** Whether there is a sandbox that a command could leave. */
  sandboxed: boolean;
}

/** What codex asks about under every policy. */
const ALWAYS_ASKED: ReadonlySet<string> = new Set([
  "userInput",
  "elicitation",
  "toolCall",
  "authTokenRefresh",
  "attestation",
]);

/** Why some of the approvals can't take effect, and which policy they need; `null` when all can. */
export function unheardApprovals(
  approvals: ApprovalHandler | ApprovalRules | undefined,
  { approvalPolicy }: ApprovalPlace,
): string | null {
  if (approvals === undefined || approvalPolicy === "untrusted") return null;
  const shown = JSON.stringify(approvalPolicy);
  if (typeof approvals === "function") {
    return approvalPolicy === "never"
      ? `With the approval policy ${shown} nobody is asked, so \`approvals\` decides nothing. ` +
        'Choose approvalPolicy "untrusted" to be asked before commands and file changes, ' +
        'or "on-request" to be asked about what leaves the sandbox.'
      : null;
  }
  const unheard = approvals.rules.flatMap((rule, i) =>
    isUnheard(rule, approvalPolicy) ? [`"${rule.name ?? `rule ${i + 1}`}"`] : []
  );
  if (unheard.length === 0) return null;
  return `With the approval policy ${shown} codex does not ask about ${
    approvalPolicy === "never" ? "commands and file changes" : "what stays in the sandbox"
  }, so ${unheard.length === 1 ? "the rule" : "the rules"} ${
    unheard.join(", ")
  } can't hold. Choose approvalPolicy "untrusted".`;
}

/** Why some `allow` rules accept no command; `null` when that is so for none. */
export function heldInside(
  approvals: ApprovalHandler | ApprovalRules | undefined,
  { sandboxed }: ApprovalPlace,
): string | null {
  if (!sandboxed || typeof approvals !== "object") return null;
  return approvals.rules.some(isHeld)
    ? "Rules that allow without `outsideSandbox: true` accept no command here: codex may run what is accepted outside the sandbox."
    : null;
}

/**
 * Whether some `allow` rules accept commands only where those stay in the sandbox, and none lets them leave: then nothing is
 * lost when all are kept there.
 */
export function wantsContainment(approvals: ApprovalHandler | ApprovalRules | undefined): boolean {
  return typeof approvals === "object" && approvals.rules.some(isHeld) &&
    !approvals.rules.some((rule) => rule.outsideSandbox === true && allowsCommands(rule));
}

/** Whether it allows commands, but none that leave the sandbox. */
function isHeld(rule: ApprovalRule): boolean {
  return rule.outsideSandbox !== true && allowsCommands(rule);
}

/** A rule about paths means no command. */
function allowsCommands(rule: ApprovalRule): boolean {
  return rule.effect === "allow" && rule.paths === undefined && isAboutWork(rule) &&
    kindsOf(rule).includes("command");
}

function isUnheard(rule: ApprovalRule, policy: unknown): boolean {
  if (policy === "never") return kindsOf(rule).some((kind) => !ALWAYS_ASKED.has(kind));
  return rule.effect !== "allow" && isAboutWork(rule);
}

/** Whether it is about commands or file changes, and not only about what they reach or who is asked for. */
function isAboutWork(rule: ApprovalRule): boolean {
  if (rule.host !== undefined || rule.tool !== undefined || rule.mcpServer !== undefined) {
    return false;
  }
  return kindsOf(rule).some((kind) => kind === "command" || kind === "fileChange");
}

function kindsOf({ kind, tool, mcpServer }: ApprovalRule): readonly string[] {
  if (kind !== undefined) return typeof kind === "string" ? [kind] : kind;
  return tool !== undefined || mcpServer !== undefined
    ? ["toolCall"]
    : ["command", "fileChange", "permissions"];
}

/**
 * The client's rules hold for every session, and a session's rules are added to them: `deny` still wins wherever it stands.
 * A session's handler is asked in place of the client's. `undefined` when the session has nobody of its own.
 */
export function sessionApprovals(
  client: ApprovalHandler | ApprovalRules | undefined,
  session: ApprovalHandler | ApprovalRules | undefined,
): ApprovalHandler | ApprovalRules | undefined {
  if (session === undefined || typeof client !== "object") return session;
  if (typeof session === "function") return { ...client, ask: session };
  const ask = session.ask ?? client.ask;
  // Whoever declines what no rule names is not overruled by the other.
  const strict = client.default === "decline" || session.default === "decline";
  return {
    rules: [...client.rules, ...session.rules],
    ...(ask === undefined ? {} : { ask }),
    ...(strict ? { default: "decline" as const } : {}),
  };
}
