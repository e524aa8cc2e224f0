/**
 * Refuses rules that could not mean what they say, and those that are never asked under a session's policy: they protect nobody.
 * @module
 */
import { defined } from "../../json.ts";
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

/** A handler, or rules. A misspelt field of an `allow` rule would make it wider, and an unknown effect would make a `deny` vanish. */
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

/** Throws `InvalidArgumentError` when `approvals` is neither a function nor well-formed rules. */
export function checkApprovals(approvals: ApprovalHandler | ApprovalRules | undefined): void {
  checkArgument("approvals", "approvals", approvals, approvalsKind);
}

/** What a session sends, as far as approvals care. */
export interface ApprovalPlace {
  /** When the server asks: a word, or codex's granular object. */
  approvalPolicy: unknown;
  /** Whether there is a sandbox that a command could leave. */
  sandboxed: boolean;
  /** Whether the agent asks about its plans, which it does under every policy. Default `false`. */
  planning?: boolean;
  /** Where codex could keep accepted commands in the sandbox, as a sentence. Default: here. */
  containment?: string | null;
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
  { approvalPolicy, planning = false }: ApprovalPlace,
): string | null {
  if (approvals === undefined || approvalPolicy === "untrusted") return null;
  const shown = JSON.stringify(approvalPolicy);
  if (typeof approvals === "function") {
    return approvalPolicy === "never" && !planning
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
  { sandboxed, approvalPolicy, containment = null }: ApprovalPlace,
): string | null {
  if (!sandboxed || typeof approvals !== "object" || !approvals.rules.some(isHeld)) return null;
  const advice = containment ??
    (approvalPolicy === "untrusted"
      ? wantsContainment(approvals)
        ? null
        : "Without a rule that lets commands leave, codex keeps them in."
      : 'With approvalPolicy "untrusted" codex keeps them in.');
  return "Rules that allow without `outsideSandbox: true` accept no command here: codex may run what is accepted outside the sandbox." +
    (advice === null ? "" : ` ${advice}`);
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
    ...defined({ ask }),
    ...(strict ? { default: "decline" as const } : {}),
  };
}
