/**
 * One prompt, one line.
 * @module
 */
import { promptKind } from "./prompt.ts";
import { defined } from "./json.ts";
import {
  callback,
  checkArgument,
  checkOptions,
  elsewhere,
  object,
  type Shape,
  shape,
  signal as signalKind,
} from "./check/mod.ts";
import { QuickRunError } from "./errors/mod.ts";
import { type ClientConfig, isRemote, RUNTIME_CONFIG } from "./runtime/mod.ts";
import {
  type PromptRunResult,
  RUN_PROFILE,
  type RunProfile,
  SingleRun,
  type TurnEvent,
  workingDirectory,
} from "./session/mod.ts";

/** Options of {@linkcode quickRun}. */
export interface QuickRunOptions {
  /** How codex is started and answered. Default: the safe defaults of {@linkcode Client.connect}. */
  client?: ClientConfig;
  /** Stops the run; it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called with every event of the turn, in order. */
  onEvent?: (event: TurnEvent) => void;
}

/** What the options may be. */
export const QUICK_RUN_OPTIONS: Shape = shape<QuickRunOptions>({
  client: object(RUNTIME_CONFIG),
  signal: signalKind,
  onEvent: callback,
}, {
  ...RUN_PROFILE.meant,
  ...elsewhere(RUN_PROFILE, "The profile: call `quickRunWithProfile(cwd, prompt, { … })`."),
  ...elsewhere(RUNTIME_CONFIG, "It belongs to the client: write `client: { … }`."),
});

/**
 * Starts codex, asks, and ends codex again.
 *
 * The agent may read and not write, is not asked for approvals, and has two minutes. Rejects with
 * {@linkcode QuickRunError}, whose `cause` is the run's own error, or with the signal's reason.
 *
 * ```ts ignore
 * const { assistantText } = await quickRun("/srv/app", "Summarize this repo in 3 bullets");
 * console.log(assistantText);
 * ```
 */
export function quickRun(
  cwd: string,
  prompt: string,
  options: QuickRunOptions = {},
): Promise<PromptRunResult> {
  return quickRunWithProfile(cwd, prompt, {}, options);
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
  options: QuickRunOptions = {},
): Promise<PromptRunResult> {
  checkOptions("quickRun", options, QUICK_RUN_OPTIONS);
  checkArgument("quickRun", "prompt", prompt, promptKind);
  checkOptions("quickRun", profile, RUN_PROFILE, true);
  const { client: config = {}, signal, onEvent } = options;
  signal?.throwIfAborted();
  let codex: SingleRun | null = null;
  let result: PromptRunResult;
  try {
    // What is wrong with the call is told before a process is started for it.
    workingDirectory(cwd, isRemote(config));
    codex = await SingleRun.connect({ ...config, ...defined({ signal }) });
    result = await codex.run(cwd, prompt, profile, {
      ...defined({ signal, onEvent }),
    });
  } catch (error) {
    const shutdownError = await codex?.shutdown().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (signal?.aborted === true && error === signal.reason) throw error;
    throw new QuickRunError(error, shutdownError);
  }
  // A shutdown that fails must not cost the caller the answer.
  await codex.shutdown().catch(() => {});
  return result;
}
