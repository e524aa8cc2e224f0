/**
 * One prompt on a codex of its own: all of `quickRun`, which loads it when it is called.
 * @module
 */
import { QuickRunError } from "../../errors/mod.ts";
import { defined } from "../../json.ts";
import { mergeHooks } from "../../plugin/validate.ts";
import {
  type ClientConfig,
  coreOf,
  isRemote,
  type RuntimeCore,
  spawnCore,
} from "../../runtime/mod.ts";
import { layerProfile, workingDirectory } from "../policy/thread_params.ts";
import type { RunOptions, RunProfile } from "../profile.ts";
import { PromptRun } from "../prompt/prompt_run.ts";
import type { SessionParts } from "../session_settings.ts";
import { SessionThread } from "../session_thread.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";
import { UsageLedger } from "../turn/turn_usage.ts";
import { type OpeningCheck, SessionOpener } from "./open_session.ts";
import type { OpenedThread } from "./open_threads.ts";
import { takePrewarmed } from "./prewarm.ts";
import type { QuickRunOptions } from "./quick_options.ts";
import { runOnce } from "./run_once.ts";

export type { QuickRunOptions } from "./quick_options.ts";

/** What a `Session` does to ask, and to end. */
function askedOnce(parts: SessionParts): OpenedThread {
  const thread = new SessionThread({ ...parts, last: true });
  return {
    get threadId() {
      return thread.threadId;
    },
    get closed() {
      return thread.ended.signal.aborted;
    },
    ask: async (prompt, options) =>
      await new PromptRun(thread.prompts, prompt, options, null).result,
    close: () => thread.end(true),
  };
}

/** A codex for one prompt: nobody sees its state, and it has no client, so that programs which only ask load neither. */
class SingleRun {
  readonly #core: RuntimeCore;
  readonly #opener: SessionOpener<OpenedThread>;

  private constructor(core: RuntimeCore, config: ClientConfig, check: OpeningCheck) {
    this.#core = core;
    this.#opener = new SessionOpener(core, config, new UsageLedger(), askedOnce, check);
  }

  /** Like `Client.connect`, with options that were checked. */
  static async connect(
    config: ClientConfig & { signal?: AbortSignal },
    check: OpeningCheck,
  ): Promise<SingleRun> {
    config.signal?.throwIfAborted();
    // Hooks that can't work together are told before anything is started.
    mergeHooks(config.hooks);
    const warm = await takePrewarmed(config);
    const core = warm === null ? await spawnCore(config, false) : coreOf(warm);
    // The caller has no way to read what the server says; only what the configuration names does.
    const { approvals, hooks, eventLog } = config;
    if ((approvals ?? hooks ?? eventLog) === undefined) core.log.keepNothing();
    return new SingleRun(core, config, check);
  }

  /** Like `Client.runWithProfile`. */
  async run(
    cwd: string,
    prompt: string,
    options: RunOptions,
  ): Promise<PromptRunResult> {
    return await runOnce(this.#opener, cwd, prompt, options);
  }

  /** Like `Client.shutdown`. */
  async shutdown(): Promise<void> {
    await this.#core.shutdown();
    await this.#opener.toolsGone();
  }
}

/** What `quickRun` does, and `quickRunWithProfile` when a profile is `given`. */
export async function runAlone(
  cwd: string,
  prompt: string,
  options: QuickRunOptions | undefined,
  given?: { profile: RunProfile },
): Promise<PromptRunResult> {
  // In a text alone there is nothing to be checked.
  const plain = typeof prompt === "string" && given === undefined && options === undefined;
  const checks = plain ? null : await import("./quick_options.ts");
  const { profile = {}, client: config = {}, signal, onEvent } =
    checks?.checkQuickRun(prompt, options, given) ?? {};
  signal?.throwIfAborted();
  let codex: SingleRun | null = null;
  let result: PromptRunResult;
  try {
    // What is wrong with the call is told before a process is started for it.
    workingDirectory(cwd, isRemote(config));
    codex = await SingleRun.connect(
      { ...config, ...defined({ signal }) },
      (...asked) => checks?.checkOpening(...asked),
    );
    result = await codex.run(cwd, prompt, layerProfile(profile, defined({ signal, onEvent })));
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
