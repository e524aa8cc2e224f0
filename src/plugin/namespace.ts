/**
 * Hooks: your code before and after runs, session starts, turns and tool uses.
 *
 * Pre-hooks may change a prompt, a model or the attachments, or block; post-hooks watch. Hooks of the client run first,
 * then those of the session, then those of the call; names are unique. Each has a time limit (5 s by default), and a
 * pre-hook that fails, hangs or answers nonsense blocks unless its `onError` is `"continue"`. What went wrong is in the
 * result's `hooks` report.
 *
 * Tool-use hooks run inside approval handling, for their own session only. They can refuse a command or a file change
 * and never grant what the approval policy would not: after their "continue" the approval rules decide. Because codex
 * must ask before hooks can be asked, a session with `preToolUse` hooks runs with the approval policy `untrusted` where
 * it would be `never`; `session.policy` says so. A hook without `phases` is called in all of them, tool use included.
 *
 * ```ts ignore
 * const hooks: plugin.Hooks = {
 *   pre: [{
 *     name: "no-network-tools",
 *     phases: ["preToolUse"],
 *     call: ({ toolName }) =>
 *       toolName === "curl" ? { type: "block", reason: "no downloads" } : { type: "continue" },
 *   }],
 * };
 * const session = await client.startSession({ cwd, hooks });
 * ```
 * @module
 */
export * from "./filtered_hook.ts";
export * from "./matcher.ts";
export * from "./shell_command_hook.ts";
export * from "./types.ts";
