/**
 * Refuses rules that could not mean what they say, finds those that would never be asked, and adds a session's to its client's.
 * @module
 */
import {
  callback,
  checkArgument,
  copied,
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
import { defined } from "../../json.ts";
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

// The rules of a session: those that are never asked under its policy protect nobody.

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
  /** Whether codex takes MCP servers of the session at their word that a tool only reads. Default `false`. */
  believesServers?: boolean;
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
  { approvalPolicy, planning = false, believesServers = false }: ApprovalPlace,
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
    isUnheard(rule, approvalPolicy, believesServers) ? [`"${rule.name ?? `rule ${i + 1}`}"`] : []
  );
  if (unheard.length === 0) return null;
  return `With the approval policy ${shown} codex does not ask about ${
    approvalPolicy === "never"
      ? "commands, file changes and tools of MCP servers"
      : "what stays in the sandbox"
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

/** Whether some rules guard MCP tools, so that codex has to ask about each call. */
export function guardsTools(approvals: ApprovalHandler | ApprovalRules | undefined): boolean {
  return typeof approvals === "object" && approvals.rules.some(guardsTool);
}

function guardsTool(rule: ApprovalRule): boolean {
  return rule.effect !== "allow" &&
    (rule.kind === undefined
      ? rule.tool !== undefined || rule.mcpServer !== undefined
      : kindsOf(rule).includes("elicitation"));
}

function isUnheard(rule: ApprovalRule, policy: unknown, believesServers: boolean): boolean {
  // Tools of which a server says that they only read run unasked then. A name may be that of a tool of this process, too.
  if (policy === "never" && guardsTool(rule) && (believesServers || rule.mcpServer !== undefined)) {
    return true;
  }
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
 * A session's handler is asked in place of the client's. `session`: the client's, where it has nobody of its own. What becomes
 * of a caller's list afterwards counts for no session that has begun.
 */
export function sessionApprovals(
  client: ApprovalHandler | ApprovalRules | undefined,
  session: ApprovalHandler | ApprovalRules,
): ApprovalHandler | ApprovalRules {
  const lists = [client, session].filter((each) => typeof each === "object");
  if (lists.length === 0) return session;
  const own = typeof session === "function" ? session : session.ask;
  const ask = own ?? lists[0]?.ask;
  // Whoever declines what no rule names is not overruled by the other.
  const strict = lists.some((each) => each.default === "decline");
  return {
    rules: [...new Set(lists.flatMap(({ rules }) => rules))].map(copied),
    ...defined({ ask }),
    ...(strict ? { default: "decline" as const } : {}),
  };
}
