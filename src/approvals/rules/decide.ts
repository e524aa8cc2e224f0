/**
 * Rules and a request in, a decision out. Pure.
 * @module
 */
import type { PlainPath } from "../../platform/mod.ts";
import {
  analyzeCommand,
  type CommandAnalysis,
  joinWords,
  mayBegin,
  mayStart,
  programName,
  type ShellWord,
} from "../../shell/mod.ts";
import { isBareName } from "./check_rules.ts";
import { type Facts, factsOf, type RealPath, type TouchedPaths } from "../request/facts.ts";
import type { ApprovalRequest } from "../request/types.ts";
import { coversHost, coversPath, liesIn, mayLieBelow, spellingsOf } from "./match_path.ts";
import type { ApprovalRule, ApprovalRules, CommandMatcher } from "./rule_types.ts";

/** What the rules say about a request. */
export type RuleDecision =
  | {
    /** Discriminator. */
    effect: "allow";
    /** The rule's name. */
    rule: string;
    /** Only this time, or for the rest of the session. */
    scope: "once" | "session";
  }
  | {
    /** Discriminator. */
    effect: "deny" | "ask";
    /** The rule's name; `null` when no rule matched. */
    rule: string | null;
  };

interface Case {
  request: ApprovalRequest;
  facts: Facts;
  line: CommandAnalysis | null;
  realPath: RealPath | undefined;
  /** Whether accepting it may let a command out of its sandbox. */
  mayLeave: boolean;
  /** Where files may change without leaving the sandbox; `null` without one. */
  workspace: readonly string[] | null;
}

/** Where the request would take effect. */
export interface DecidePlace {
  /** Follows the links of paths; without it they are taken as spelled. */
  realPath?: RealPath;
  /** Whether commands have a sandbox that they could leave. Default `true`. */
  sandboxed?: boolean;
  /**
   * The directories that the agent works in, absolute; `null` where nothing holds it. What lies elsewhere is changed only by
   * rules that say so. Default: none is known.
   */
  workspace?: readonly string[] | null;
}

/**
 * Decides a request by rules: any matching `deny`, else any `ask`, else `allow`, else the default. Pure but for
 * `realPath`. Never throws.
 */
export function decide(
  rules: ApprovalRules,
  request: ApprovalRequest,
  { realPath, sandboxed = true, workspace = [] }: DecidePlace = {},
): RuleDecision {
  const subject: Case = {
    request,
    realPath,
    facts: factsOf(request, realPath),
    line: request.type === "command" && request.command !== null
      ? analyzeCommand(request.command)
      : null,
    mayLeave: sandboxed && startsCommand(request),
    workspace: workspace?.flatMap((root) => spellingsOf(root, realPath)) ?? null,
  };
  for (const effect of ["deny", "ask"] as const) {
    const index = rules.rules.findIndex((rule) =>
      rule.effect === effect && mayMatch(rule, subject)
    );
    if (index !== -1) return { effect, rule: nameOf(rules, index) };
  }
  return allowance(rules, subject) ??
    { effect: rules.default === "decline" ? "deny" : "ask", rule: null };
}

/** Whether accepting it starts a command, which codex may do outside the sandbox. */
function startsCommand(request: ApprovalRequest): boolean {
  if (request.type !== "command") return false;
  // A question about a host only lets a command reach it that runs already; then it names no command (0.169).
  return request.network === null || request.command !== null ||
    request.additionalPermissions !== null;
}

function nameOf(rules: ApprovalRules, index: number): string {
  return rules.rules[index]?.name ?? `rule ${index + 1}`;
}

function list<T extends string>(value: T | readonly T[]): readonly T[] {
  return typeof value === "string" ? [value] : value;
}

function isKind(rule: ApprovalRule, request: ApprovalRequest): boolean {
  return rule.kind === undefined || (list(rule.kind) as readonly string[]).includes(request.type);
}

/**
 * Whether permissions would have codex no longer ask about what the rule is about: changes of files where they let the agent
 * write, hosts where they open the network (0.125 to 0.169).
 */
function isUnaskedBy({ kind = [], host }: ApprovalRule, { request, facts }: Case): boolean {
  if (request.type !== "permissions") return false;
  return (facts.opensWrites && list(kind).includes("fileChange")) ||
    (facts.widensNetwork && host !== undefined && list(kind).includes("command"));
}

/** For `deny` and `ask`: nothing that the rule names is certainly absent. */
function mayMatch(rule: ApprovalRule, subject: Case): boolean {
  const { request, facts, line, realPath } = subject;
  if (!isKind(rule, request) && !isUnaskedBy(rule, subject)) return false;
  if (rule.command !== undefined) {
    if (request.type !== "command") return false;
    // A question about typing into a command, or one that is not told, may be about anything.
    if (
      line !== null && request.command !== null &&
      !mayMean(rule.command, line, request.command, request) && request.action !== "writeStdin"
    ) return false;
  }
  if (rule.cwd !== undefined) {
    const { cwd } = facts;
    if (cwd === undefined) return false;
    const mayBe = (one: string) => cwd?.some((path) => coversPath(one, path, true)) ?? true;
    if (
      !mayMove(line) && !list(rule.cwd).some((one) => spellingsOf(one, realPath).some(mayBe))
    ) return false;
  }
  if (rule.paths !== undefined) {
    const { paths } = facts;
    if (paths === undefined) return false;
    const mayBe = (one: string) => mayTouch(one, paths);
    if (!list(rule.paths).some((one) => spellingsOf(one, realPath).some(mayBe))) return false;
  }
  if (rule.host !== undefined) {
    const { hosts } = facts;
    if (hosts === undefined) return false;
    const patterns = list(rule.host);
    const match = hosts.some((host) =>
      host === null || host === "*" || patterns.some((one) => coversHost(one, host))
    );
    if (!match) return false;
  }
  if (rule.tool !== undefined) {
    const { tools } = facts;
    if (tools === undefined) return false;
    if (tools.length > 0 && !list(rule.tool).some((one) => tools.includes(one))) return false;
  }
  return isOfServer(rule, facts);
}

function isOfServer({ mcpServer }: ApprovalRule, facts: Facts): boolean {
  return mcpServer === undefined ||
    (facts.mcpServer !== undefined && list(mcpServer).includes(facts.mcpServer));
}

/** `cd /etc && …` does not work where the request says. */
function mayMove(line: CommandAnalysis | null): boolean {
  return line !== null && (line.moves || line.broken !== null);
}

function mayTouch(pattern: string, paths: TouchedPaths): boolean {
  return paths.unknown || paths.files.some((path) => coversPath(pattern, path, true)) ||
    paths.trees.some((path) => coversPath(pattern, path, true) || mayLieBelow(pattern, path));
}

/** The rules that together certainly mean all of the request. */
function allowance(rules: ApprovalRules, subject: Case): RuleDecision | null {
  if (!subject.facts.consentable) return null;
  const candidates = [...rules.rules.entries()].filter(([, rule]) =>
    rule.effect === "allow" && certainlyMatches(rule, subject)
  );
  const whole = candidates.find(([, rule]) => rule.command === undefined);
  const used = whole !== undefined ? [whole] : commandRules(candidates, subject);
  const first = used?.[0];
  if (used === null || first === undefined) return null;
  const session = used.every(([, rule]) => rule.scope === "session");
  return {
    effect: "allow",
    rule: nameOf(rules, first[0]),
    scope: session ? "session" : "once",
  };
}

/** For each simple command the rule that allows it; `null` when one has none. */
function commandRules(
  candidates: [number, ApprovalRule][],
  { request, line }: Case,
): [number, ApprovalRule][] | null {
  if (request.type !== "command" || line === null) return null;
  if (request.action !== "command" && request.action !== "humanCommand") return null;
  if (line.broken !== null || line.problem !== null || line.commands.length === 0) return null;
  const used: [number, ApprovalRule][] = [];
  for (const words of line.commands) {
    const match = candidates.find(([, rule]) =>
      rule.command !== undefined && certainlyMeans(rule.command, words, request)
    );
    if (match === undefined) return null;
    used.push(match);
  }
  return used;
}

/** For `allow`: everything that the rule names is certainly meant, its command aside. */
function certainlyMatches(rule: ApprovalRule, subject: Case): boolean {
  const { request, facts, line, mayLeave } = subject;
  if (!isKind(rule, request)) return false;
  if (mayLeave && rule.outsideSandbox !== true) return false;
  if (facts.widensFiles && rule.paths === undefined) return false;
  if (facts.widensNetwork && rule.host === undefined) return false;
  if (rule.cwd !== undefined) {
    if (mayMove(line) || !facts.cwd || !coveredBy(rule.cwd, facts.cwd)) return false;
  }
  if (rule.paths !== undefined) {
    const { paths } = facts;
    if (paths === undefined || paths.unknown) return false;
    if (!namesAll(rule.paths, rule, [...paths.files, ...paths.trees], subject)) return false;
  } else if (request.type === "fileChange" && !staysInside(rule, subject)) return false;
  if (rule.host !== undefined) {
    const { hosts } = facts;
    if (hosts === undefined || hosts.length === 0) return false;
    const patterns = list(rule.host);
    const covered = hosts.every((host) =>
      host !== null &&
      patterns.some((one) => host === "*" ? one === "*" : coversHost(one, host))
    );
    if (!covered) return false;
  }
  if (rule.tool !== undefined) {
    if (!facts.tools?.some((name) => list(rule.tool as string).includes(name))) return false;
  }
  return isOfServer(rule, facts);
}

/** Whether the rule's paths cover all of these; a name says nothing of the place, so it means the workspace. */
function namesAll(
  paths: string | readonly string[],
  { outsideSandbox }: ApprovalRule,
  touched: PlainPath[],
  { workspace }: Case,
): boolean {
  const anywhere = outsideSandbox === true || workspace === null;
  return touched.length > 0 &&
    touched.every((path) =>
      list(paths).some((one) =>
        coversPath(one, path, false) &&
        (anywhere || !isBareName(one) || workspace.some((root) => liesIn(root, path, one)))
      )
    );
}

/** Whether a change of files that no path of the rule names stays where commands may write. */
function staysInside({ outsideSandbox }: ApprovalRule, { facts, workspace }: Case): boolean {
  const { paths } = facts;
  if (outsideSandbox === true || workspace === null) return true;
  return paths !== undefined && !paths.unknown && paths.files.length + paths.trees.length > 0 &&
    [...paths.files, ...paths.trees].every((path) => workspace.some((root) => liesIn(root, path)));
}

function coveredBy(patterns: string | readonly string[], paths: PlainPath[]): boolean {
  return paths.length > 0 &&
    paths.every((path) => list(patterns).some((one) => coversPath(one, path, false)));
}

// Does a rule's command matcher mean this command?

function isWords(matcher: CommandMatcher): matcher is readonly string[] {
  return Array.isArray(matcher);
}

/** Whether the matcher certainly means this simple command. */
function certainlyMeans(
  matcher: CommandMatcher,
  words: readonly ShellWord[],
  request: ApprovalRequest,
): boolean {
  if (isWords(matcher)) {
    return matcher.length > 0 && words.length >= matcher.length &&
      matcher.every((text, i) => words[i]?.literal === true && words[i]?.text === text);
  }
  // Patterns and functions judge words, and what the shell puts in their place is not known: `cat {/etc/shadow,x}`.
  if (!words.every((word) => word.literal)) return false;
  if (matcher instanceof RegExp) return stateless(matcher).exec(joinWords(words))?.index === 0;
  try {
    return matcher(words.map((word) => word.text), request) === true;
  } catch {
    return false;
  }
}

/** Whether the matcher may mean any part of the command line. */
function mayMean(
  matcher: CommandMatcher,
  line: CommandAnalysis,
  source: string,
  request: ApprovalRequest,
): boolean {
  if (isWords(matcher)) return mayBegin(line, matcher);
  if (line.broken !== null) return true;
  const all = [...line.commands, ...line.extras];
  // An empty line can't be judged, nor a program that only the shell knows: `$CMD x`.
  if (all.length === 0 || all.some(([head]) => head?.literal !== true)) return true;
  const meant = meaning(matcher, request);
  const left = { words: MAX_LOOKED };
  try {
    return meant(source) || (line.script !== null && meant(line.script)) || all.some(meant) ||
      mayStart(line, (words, start) => meansProgram(meant, words, start, left));
  } catch {
    return true;
  }
}

/** Whether the matcher may mean a command, or a whole line. */
function meaning(
  matcher: Exclude<CommandMatcher, readonly string[]>,
  request: ApprovalRequest,
): (subject: readonly ShellWord[] | string) => boolean {
  if (!(matcher instanceof RegExp)) {
    return (words) =>
      typeof words !== "string" && matcher(words.map((word) => word.text), request) !== false;
  }
  const pattern = stateless(matcher);
  return (subject) =>
    typeof subject === "string" ? pattern.test(subject) : pattern.test(joinWords(subject)) ||
      pattern.test(subject.map((word) => word.text).join(" "));
}

/** How many words of what another program starts are looked at, all that it may be taken together; then of each one so many. */
const MAX_LOOKED = 40_000;
const MAX_STARTED = 16;
const NO_PROGRAM: ShellWord = { text: "\0", literal: true };

/**
 * Whether it means what begins at this word because of the program there: `rm` of `sudo rm x` and of `/bin/rm x`. Who means
 * all but some programs means the others by what stands first.
 */
function meansProgram(
  meant: (words: readonly ShellWord[]) => boolean,
  words: readonly ShellWord[],
  start: number,
  left: { words: number },
): boolean {
  const { text, literal } = words[start] as ShellWord;
  left.words -= words.length - start;
  const rest = words.slice(start + 1, left.words < 0 ? start + MAX_STARTED : undefined);
  return literal && meant([{ text: programName(text), literal }, ...rest]) &&
    !meant([NO_PROGRAM, ...rest]);
}

/** `g` and `y` make a pattern remember its last use. */
function stateless(pattern: RegExp): RegExp {
  return pattern.global || pattern.sticky
    ? new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""))
    : pattern;
}
