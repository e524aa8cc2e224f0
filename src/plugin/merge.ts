/**
 * All the hooks of a run in one list.
 * @module
 */
import { checkHook, invalidHook } from "./validate.ts";
import type { HookPhase, Hooks, PostHook, PreHook } from "./types.ts";

/**
 * Joins the hooks of the client, the session and the call, in that order.
 *
 * Throws `InvalidArgumentError` when two pre-hooks or two post-hooks have the same name (dropping one silently would leave its
 * author unguarded), or when a hook has no name, an unknown phase or a bad time limit. One object may be a pre-hook
 * and a post-hook at once.
 */
export function mergeHooks(...layers: readonly (Hooks | undefined)[]): Required<Hooks> {
  const pre = layers.flatMap((layer) => layer?.pre ?? []);
  const post = layers.flatMap((layer) => layer?.post ?? []);
  checkAll("pre", pre);
  checkAll("post", post);
  return { pre, post };
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
