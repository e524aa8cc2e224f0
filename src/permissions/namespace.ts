/**
 * What the agent may do: what was asked, cut down to what this script may do itself.
 *
 * **What this guards.** Under Deno's permissions, or Node's permission model, a session never gets more than the script
 * has: `workspace-write` needs write permission on the cwd and each writable root, network access needs unscoped
 * `--allow-net`, full access needs every permission unscoped, and with scoped reads codex 0.125 and later keeps the
 * agent's commands from reading anything else. Paths count only when both their spelling and where they lead are
 * granted, and only whole grants count. Raw requests pass the same gate. Nothing ever prompts. `permissions: "refuse"`
 * (the default) rejects and names the missing flags, `permissions: "narrow"` takes what is granted and says what it took
 * away in {@linkcode EffectivePolicy.narrowed}.
 *
 * **What it does not guard.** It is a rail, not a wall. The codex process itself runs without a sandbox:
 * `--allow-run=codex` lets a script start it by hand with any settings. Write permission that covers the codex program
 * (such as a `node_modules` in the cwd) lets the agent replace it. MCP servers and hooks that the user configured run
 * without a sandbox. Between the check of a path and its use, someone else may change what it leads to. Codex before
 * 0.125 lets commands read the whole disk ({@linkcode EffectivePolicy.readsEnforced} is then `false`). An accepted
 * command may run outside the sandbox. On Bun and browsers there are no permissions, and `enforcedBy` is `"none"`.
 *
 * @module
 */
export { effectivePolicy } from "./policy/effective_policy.ts";
export type { NamedNeed, NetNeed, PathNeed, PermissionNeed } from "./need.ts";
export type { EffectivePolicy, PolicyFacts, PolicyRequest } from "./policy/policy.ts";
export { hostProbe, unrestrictedProbe } from "./probe.ts";
export type { PermissionProbe } from "./probe.ts";
export { SECRET_VARIABLES } from "../secret_names.ts";
export type * from "./types.ts";
