/**
 * One prompt, one line.
 * @module
 */
import type { QuickRunOptions } from "./session/client/single_run.ts";
import type { PromptRunResult, RunProfile } from "./session/mod.ts";

export type { QuickRunOptions } from "./session/client/single_run.ts";

/**
 * Starts codex, asks, and ends codex again.
 *
 * The agent may read and not write, nobody is asked for an approval, and the turn has two minutes. Rejects with
 * {@linkcode QuickRunError}, whose `cause` is the run's own error, or with the signal's reason.
 *
 * ```ts ignore
 * const { assistantText } = await quickRun("/srv/app", "Summarize this repo in 3 bullets");
 * console.log(assistantText);
 * ```
 */
export async function quickRun(
  cwd: string,
  prompt: string,
  options?: QuickRunOptions,
): Promise<PromptRunResult> {
  const { runAlone } = await import("./session/client/single_run.ts");
  return await runAlone(cwd, prompt, options);
}

/**
 * Like {@linkcode quickRun}, with a profile.
 *
 * ```ts
 * import { quickRunWithProfile } from "@codex/runtime";
 *
 * const { diff } = await quickRunWithProfile("/srv/app", "Fix the tests", {
 *   sandbox: "workspace-write",
 *   allowPrivilegedEscalation: true,
 *   timeoutMs: 600_000,
 * });
 * console.log(diff);
 * ```
 */
export async function quickRunWithProfile(
  cwd: string,
  prompt: string,
  profile: RunProfile,
  options?: QuickRunOptions,
): Promise<PromptRunResult> {
  const { runAlone } = await import("./session/client/single_run.ts");
  return await runAlone(cwd, prompt, options, { profile });
}
