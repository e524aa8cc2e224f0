/**
 * Which hooks of a run are called: all of them in one list, and those that see only what a matcher says.
 * @module
 */
import {
  checkArgument,
  checkOptions,
  either,
  list as listOf,
  required,
  shape,
  text as textKind,
} from "../check/mod.ts";
import { realPathOf } from "../permissions/probe.ts";
import { isWindowsPath, plainPath, relation } from "../platform/paths.ts";
import { canSpawn, platformName } from "../platform/runtime.ts";
import { analyzeCommand, type CommandAnalysis, mayBegin, mayRun } from "../shell/mod.ts";
import type {
  HookAction,
  HookCallOptions,
  HookContext,
  HookPhase,
  PostHook,
  PreHook,
} from "./types.ts";
import { contextKind, hookKind } from "./hook_kind.ts";
import { ALL_PHASES, HOOK_FILES, invalidHook } from "./validate.ts";

/** What must hold for a hook to be called: all the fields that are given. */
export interface HookMatcherOptions {
  /** The phases. Default: all. */
  phases?: readonly HookPhase[];
  /**
   * The tool's name, or several. An asterisk at the end stands for any ending: `"github/*"` is every tool of that MCP
   * server. Each program in a command counts (`cd x && git push` is `git`, too), and so does one that it may start. Only tool
   * use has a name. Default: any call.
   */
  toolName?: string | readonly string[];
  /**
   * The words a command begins with, or several such beginnings: `"git push"`. Whole words, programs by their bare
   * name, options and their values left out (`git -C x push`). It is read as approval rules read it: each command of a
   * script counts (`cd x && git push`), and so does whatever may become one, such as what a variable stands for or a
   * script that can't be read. What a script file or a program does by itself is not seen, so leave this out for a guard
   * that must miss nothing. Default: any call.
   */
  commandPrefix?: string | readonly string[];
  /**
   * A directory: the context's cwd must be it or lie below it, as spelled or where links lead. Where a link can't be
   * followed, the hook is called. Absolute, POSIX or Windows; whole segments are compared. Default: any directory.
   */
  cwdPrefix?: string;
}

const MATCHER = shape<HookMatcherOptions>({
  phases: listOf(textKind),
  toolName: either(textKind, listOf(textKind)),
  commandPrefix: either(textKind, listOf(textKind)),
  cwdPrefix: textKind,
}, { tool: "toolName", toolNames: "toolName", matcher: "toolName", command: "commandPrefix" });

/**
 * Decides by phase, tool, command and directory whether a hook is called.
 *
 * ```ts ignore
 * const pushes = new HookMatcher({ phases: ["preToolUse"], commandPrefix: "git push" });
 * new FilteredPreHook(askOnCall, pushes);
 * ```
 */
export class HookMatcher {
  /** The phases; empty means all. */
  readonly phases: readonly HookPhase[];
  /** The tools' names; empty means any call. */
  readonly toolNames: readonly string[];
  /** The beginnings of commands; empty means any call. */
  readonly commandPrefixes: readonly string[];
  /** The directory, or `null` for any. */
  readonly cwdPrefix: string | null;
  readonly #prefixes: readonly (readonly string[])[];

  /** Creates a matcher. Throws `InvalidArgumentError` for an unknown phase, or an empty name, command or directory. */
  constructor(options: HookMatcherOptions = {}) {
    checkOptions("HookMatcher", options, MATCHER);
    this.phases = options.phases ?? [];
    this.toolNames = list(options.toolName);
    this.commandPrefixes = list(options.commandPrefix);
    this.cwdPrefix = options.cwdPrefix ?? null;
    this.#prefixes = this.commandPrefixes.map((text) => text.split(/\s+/).filter((w) => w !== ""));
    const unknown = this.phases.find((phase) => !ALL_PHASES.includes(phase));
    if (unknown !== undefined) {
      throw invalidHook(`HookMatcher: unknown phase ${JSON.stringify(unknown)}`);
    }
    // An empty prefix would match everything or nothing; a filter must not leave that to a guess.
    if (this.toolNames.includes("")) throw invalidHook("HookMatcher: toolName is empty");
    if (this.cwdPrefix !== null && plainPath(this.cwdPrefix) === null) {
      throw invalidHook("HookMatcher: expected an absolute path for cwdPrefix");
    }
    if (this.#prefixes.some((words) => words.length === 0)) {
      throw invalidHook("HookMatcher: commandPrefix is empty");
    }
    // What can't match anything would leave its author unguarded.
    if (this.toolNames.some((name) => name.slice(0, -1).includes("*"))) {
      throw invalidHook("HookMatcher: an asterisk stands only at the end of toolName");
    }
    if (this.#prefixes.some(([program = ""]) => /[*?]/.test(program))) {
      throw invalidHook("HookMatcher: commandPrefix holds whole words, no patterns");
    }
    checkTools(this, this.phases.length > 0 ? this.phases : undefined);
  }

  /** Whether all the constraints hold. A constraint on something that the context lacks does not hold. */
  matches(context: HookContext): boolean {
    checkArgument("HookMatcher.matches", "context", context, contextKind);
    return this.#phase(context) && this.#tool(context) && this.#command(context) &&
      this.#cwd(context);
  }

  #phase({ phase }: HookContext): boolean {
    return this.phases.length === 0 || this.phases.includes(phase);
  }

  #tool(context: HookContext): boolean {
    if (this.toolNames.length === 0) return true;
    const { toolName } = context;
    if (toolName === undefined) return false;
    if (this.toolNames.some((name) => isNamed(toolName, name))) return true;
    // Of one that is not told it is only known whose it is.
    if (context.toolKind === "mcpTool" && !toolName.includes("/")) {
      return this.toolNames.some((name) => name.startsWith(`${toolName}/`));
    }
    if (context.toolKind !== "command") return false;
    const names = this.toolNames.map((name) => name.toLowerCase());
    return commandLines(context).some((line) =>
      mayRun(line, (program) => names.some((name) => isNamed(program, name)))
    );
  }

  #command(context: HookContext): boolean {
    if (this.#prefixes.length === 0) return true;
    return commandLines(context).some((line) =>
      this.#prefixes.some((prefix) => mayBegin(line, prefix))
    );
  }

  #cwd({ cwd }: HookContext): boolean {
    if (this.cwdPrefix === null) return true;
    return cwd !== undefined && mayLieBelow(cwd, this.cwdPrefix);
  }
}

/** What the context tells of its command; the whole of it, or the part that is known. One that is not told may be any. */
function commandLines({ command, script, argv, toolKind }: HookContext): CommandAnalysis[] {
  const known = command ?? script ?? argv ?? "";
  return known.length === 0 && toolKind !== "command" ? [] : [analyzeCommand(known)];
}

function mayLieBelow(cwd: string, prefix: string): boolean {
  if (relation(cwd, prefix) !== "outside") return true;
  // Where there are no files to look at, or those of another system, the spelling is all there is.
  if (!canSpawn() || isWindowsPath(cwd) !== (platformName() === "win32")) return false;
  const [real, outer] = [realPathOf(cwd), realPathOf(prefix)];
  return real === null || outer === null ||
    relation(cwd, outer) !== "outside" || relation(real, outer) !== "outside";
}

function isNamed(toolName: string, name: string): boolean {
  return name.endsWith("*") ? toolName.startsWith(name.slice(0, -1)) : toolName === name;
}

function list(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === "string" ? [value] : value;
}

// Hooks that are called only where a matcher says so.

/**
 * A pre-hook behind a matcher: where the matcher says no, it continues without asking the hook.
 *
 * ```ts
 * import { FilteredPreHook, HookMatcher, type PreHook } from "@codex/runtime";
 *
 * const noGit: PreHook = {
 *   name: "no git",
 *   phases: ["preToolUse"],
 *   call: () => ({ type: "block", reason: "git is not used here" }),
 * };
 * const hook = new FilteredPreHook(noGit, new HookMatcher({ toolName: "git" }));
 * console.log(hook.name);
 * ```
 */
export class FilteredPreHook implements PreHook {
  /** The name of the hook inside. */
  readonly name: string;
  /** The phases that both the hook inside and the matcher name, when one of them names any. */
  readonly phases?: readonly HookPhase[];
  /** What the hook inside says about errors. */
  readonly onError?: "block" | "continue";
  /** The time limit of the hook inside. */
  readonly timeoutMs?: number;
  /** Where the hook is called. */
  readonly matcher: HookMatcher;
  readonly #hook: PreHook;

  /** Puts the hook behind the matcher. */
  constructor(hook: PreHook, matcher: HookMatcher | HookMatcherOptions) {
    checkArgument("filtered hook", "hook", hook, required(hookKind));
    this.name = hook.name;
    if (hook.onError !== undefined) this.onError = hook.onError;
    if (hook.timeoutMs !== undefined) this.timeoutMs = hook.timeoutMs;
    this.matcher = matcher instanceof HookMatcher ? matcher : new HookMatcher(matcher);
    const phases = commonPhases(hook.phases, this.matcher);
    if (phases !== undefined) this.phases = phases;
    this.#hook = hook;
    HOOK_FILES.set(this, HOOK_FILES.get(hook) ?? []);
  }

  /** Asks the hook inside when the matcher says so. */
  call(context: HookContext, options: HookCallOptions): HookAction | Promise<HookAction> {
    return this.matcher.matches(context) ? this.#hook.call(context, options) : { type: "continue" };
  }
}

/**
 * A post-hook behind a matcher: where the matcher says no, it is not called.
 *
 * ```ts
 * import { FilteredPostHook, HookMatcher, type PostHook } from "@codex/runtime";
 *
 * const journal: PostHook = {
 *   name: "journal",
 *   phases: ["postToolUse"],
 *   call: ({ script }) => console.log(script),
 * };
 * const hook = new FilteredPostHook(journal, new HookMatcher({ toolName: "git" }));
 * console.log(hook.name);
 * ```
 */
export class FilteredPostHook implements PostHook {
  /** The name of the hook inside. */
  readonly name: string;
  /** The phases that both the hook inside and the matcher name, when one of them names any. */
  readonly phases?: readonly HookPhase[];
  /** The time limit of the hook inside. */
  readonly timeoutMs?: number;
  /** Where the hook is called. */
  readonly matcher: HookMatcher;
  readonly #hook: PostHook;

  /** Puts the hook behind the matcher. */
  constructor(hook: PostHook, matcher: HookMatcher | HookMatcherOptions) {
    checkArgument("filtered hook", "hook", hook, required(hookKind));
    this.name = hook.name;
    if (hook.timeoutMs !== undefined) this.timeoutMs = hook.timeoutMs;
    this.matcher = matcher instanceof HookMatcher ? matcher : new HookMatcher(matcher);
    const phases = commonPhases(hook.phases, this.matcher);
    if (phases !== undefined) this.phases = phases;
    this.#hook = hook;
    HOOK_FILES.set(this, HOOK_FILES.get(hook) ?? []);
  }

  /** Calls the hook inside when the matcher says so. */
  call(context: HookContext, options: HookCallOptions): unknown {
    return this.matcher.matches(context) ? this.#hook.call(context, options) : undefined;
  }
}

/** Told up front, so that a hook that never sees tool use does not make the server ask about it. */
function commonPhases(
  own: readonly HookPhase[] | undefined,
  matcher: HookMatcher,
): readonly HookPhase[] | undefined {
  const matched = matcher.phases.length > 0 ? matcher.phases : undefined;
  const common = own === undefined || matched === undefined
    ? own ?? matched
    : own.filter((phase) => matched.includes(phase));
  checkTools(matcher, common);
  return common;
}

/** Throws where a tool or a command is asked for in phases that have none. */
function checkTools(matcher: HookMatcher, phases: readonly HookPhase[] | undefined): void {
  if (matcher.toolNames.length + matcher.commandPrefixes.length === 0) return;
  if (phases !== undefined && !phases.some((phase) => phase.endsWith("ToolUse"))) {
    throw invalidHook("HookMatcher: only preToolUse and postToolUse have a tool or a command");
  }
}
