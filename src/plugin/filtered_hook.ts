/**
 * Hooks that are called only where a matcher says so.
 * @module
 */
import { HookMatcher, type HookMatcherOptions } from "./matcher.ts";
import type {
  HookAction,
  HookCallOptions,
  HookContext,
  HookPhase,
  PostHook,
  PreHook,
} from "./types.ts";

/** A pre-hook behind a matcher: where the matcher says no, it continues without asking the hook. */
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
    this.name = hook.name;
    if (hook.onError !== undefined) this.onError = hook.onError;
    if (hook.timeoutMs !== undefined) this.timeoutMs = hook.timeoutMs;
    this.matcher = matcher instanceof HookMatcher ? matcher : new HookMatcher(matcher);
    const phases = commonPhases(hook.phases, this.matcher.phases);
    if (phases !== undefined) this.phases = phases;
    this.#hook = hook;
  }

  /** Asks the hook inside when the matcher says so. */
  call(context: HookContext, options: HookCallOptions): HookAction | Promise<HookAction> {
    return this.matcher.matches(context) ? this.#hook.call(context, options) : { type: "continue" };
  }
}

/** A post-hook behind a matcher: where the matcher says no, it is not called. */
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
    this.name = hook.name;
    if (hook.timeoutMs !== undefined) this.timeoutMs = hook.timeoutMs;
    this.matcher = matcher instanceof HookMatcher ? matcher : new HookMatcher(matcher);
    const phases = commonPhases(hook.phases, this.matcher.phases);
    if (phases !== undefined) this.phases = phases;
    this.#hook = hook;
  }

  /** Calls the hook inside when the matcher says so. */
  call(context: HookContext, options: HookCallOptions): unknown {
    return this.matcher.matches(context) ? this.#hook.call(context, options) : undefined;
  }
}

/** Told up front, so that a hook that never sees tool use does not make the server ask about it. */
function commonPhases(
  own: readonly HookPhase[] | undefined,
  matched: readonly HookPhase[],
): readonly HookPhase[] | undefined {
  if (own === undefined || matched.length === 0) return matched.length === 0 ? own : matched;
  return own.filter((phase) => matched.includes(phase));
}
