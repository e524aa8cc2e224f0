/**
 * What a hook must look like to be registered, and all the hooks of a run in one list.
 * @module
 */
import { InvalidArgumentError } from "../errors/mod.ts";
import type { HookPhase, Hooks, PostHook, PostHookPhase, PreHook, PreHookPhase } from "./types.ts";

/** Where a hook's program runs, and the files that it may be made of. */
export const HOOK_FILES: WeakMap<object, readonly string[]> = new WeakMap();

/** The phases of pre-hooks. */
const PRE_PHASES: readonly PreHookPhase[] = [
  "preRun",
  "preSessionStart",
  "preTurn",
  "preToolUse",
];

/** The phases of post-hooks. */
const POST_PHASES: readonly PostHookPhase[] = [
  "postRun",
  "postSessionStart",
  "postTurn",
  "postToolUse",
];

/** All phases. */
export const ALL_PHASES: readonly HookPhase[] = [...PRE_PHASES, ...POST_PHASES];

/** Milliseconds a hook may take when it does not say. */
export const DEFAULT_TIMEOUT_MS = 5_000;

/** The error for a hook that can't be registered: nothing was started. */
export function invalidHook(message: string): InvalidArgumentError {
  return new InvalidArgumentError("hooks", {
    argument: "hooks",
    received: "a hook that can't be registered",
    accepts: "hooks { name, call, phases, timeoutMs, onError }",
    sentence: `${message}. Nothing was started`,
  }, { data: { reason: "invalidHook" } });
}

/** Throws `InvalidArgumentError` when a hook can't be registered, before it could be missed at run time. */
function checkHook(kind: "pre" | "post", hook: PreHook | PostHook): void {
  const name: unknown = hook?.name;
  if (typeof name !== "string" || name === "") {
    throw invalidHook(`A ${kind}-hook needs a name that is not empty`);
  }
  const label = `The ${kind}-hook ${JSON.stringify(name)}`;
  if (typeof hook.call !== "function") throw invalidHook(`${label} has no call function`);
  checkTimeout(label, hook.timeoutMs);
  if (hook.phases !== undefined) {
    // A hook with a misspelt phase would never run, and its author would feel guarded.
    const own: readonly HookPhase[] = kind === "pre" ? PRE_PHASES : POST_PHASES;
    if (!Array.isArray(hook.phases)) throw invalidHook(`${label}: phases must be a list`);
    const unknown = hook.phases.find((phase) => !ALL_PHASES.includes(phase));
    if (unknown !== undefined) {
      throw invalidHook(`${label} names the unknown phase ${JSON.stringify(unknown)}`);
    }
    if (!hook.phases.some((phase) => own.includes(phase))) {
      throw invalidHook(`${label} names no ${kind} phase, so it would never run`);
    }
  }
  const onError: unknown = (hook as PreHook).onError;
  if (kind === "pre" && onError !== undefined && onError !== "block" && onError !== "continue") {
    throw invalidHook(`${label}: onError must be "block" or "continue"`);
  }
}

/** Throws `InvalidArgumentError` when a time limit is not a positive number. */
export function checkTimeout(label: string, timeoutMs: number | undefined): void {
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs !== "number" || !(timeoutMs > 0)) {
    throw invalidHook(`${label}: timeoutMs must be a positive number of milliseconds`);
  }
}

// All the hooks of a run in one list.

/**
 * Joins the hooks of the client, the session and the call, in that order.
 *
 * Throws `InvalidArgumentError` when two pre-hooks or two post-hooks have the same name (dropping one silently would leave its
 * author unguarded), or when a hook has no name, an unknown phase or a bad time limit. One object may be a pre-hook
 * and a post-hook at once.
 */
export function mergeHooks(...layers: readonly (Hooks | undefined)[]): Required<Hooks> {
  const hooks = joinHooks(...layers);
  checkAll("pre", hooks.pre);
  checkAll("post", hooks.post);
  return hooks;
}

/** Joins hooks without a look at them: whoever runs them merges them with all others, once. */
export function joinHooks(...layers: readonly (Hooks | undefined)[]): Required<Hooks> {
  return {
    pre: layers.flatMap((layer) => layer?.pre ?? []),
    post: layers.flatMap((layer) => layer?.post ?? []),
  };
}

function checkAll(kind: "pre" | "post", hooks: readonly (PreHook | PostHook)[]): void {
  const names = new Set<string>();
  for (const hook of hooks) {
    checkHook(kind, hook);
    if (names.has(hook.name)) {
      throw invalidHook(
        `Two ${kind}-hooks are named ${JSON.stringify(hook.name)}; names are unique among the ` +
          `hooks of the client, the session and the call`,
      );
    }
    names.add(hook.name);
  }
}

/**
 * Whether any pre-hook wants a say in tool use, so that the server must ask before each. A post-hook hears of tools
 * that nobody was asked about as well, so it needs no asking.
 */
export function hasToolHooks(hooks: Hooks): boolean {
  return hooks.pre?.some((hook) => isFor(hook, "preToolUse")) ?? false;
}

/** Whether a hook is called in this phase. */
export function isFor(hook: PreHook | PostHook, phase: HookPhase): boolean {
  return hook.phases === undefined || hook.phases.includes(phase);
}
