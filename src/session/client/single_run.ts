/**
 * One prompt on a codex of its own.
 * @module
 */
import { mergeHooks } from "../../plugin/mod.ts";
import { type ClientConfig, coreOf, type RuntimeCore, spawnCore } from "../../runtime/mod.ts";
import { layerProfile } from "../policy/thread_params.ts";
import type { RunOptions, RunProfile } from "../profile.ts";
import { PromptRun } from "../prompt/prompt_run.ts";
import type { SessionParts } from "../session_settings.ts";
import { SessionThread } from "../session_thread.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";
import { UsageLedger } from "../turn/turn_usage.ts";
import { type OpenedThread, SessionOpener } from "./open_session.ts";
import { takePrewarmed } from "./prewarm.ts";
import { runOnce } from "./run_once.ts";

/** What a `Session` does to ask, and to end. */
function askedOnce(parts: SessionParts): OpenedThread {
  const thread = new SessionThread(parts);
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
export class SingleRun {
  readonly #core: RuntimeCore;
  readonly #opener: SessionOpener<OpenedThread>;

  private constructor(core: RuntimeCore, config: ClientConfig) {
    this.#core = core;
    this.#opener = new SessionOpener(core, config, new UsageLedger(), askedOnce);
  }

  /** Like `Client.connect`, with options that were checked. */
  static async connect(config: ClientConfig & { signal?: AbortSignal }): Promise<SingleRun> {
    config.signal?.throwIfAborted();
    // Hooks that can't work together are told before anything is started.
    mergeHooks(config.hooks);
    const warm = await takePrewarmed(config);
    const core = warm === null ? await spawnCore(config, false) : coreOf(warm);
    return new SingleRun(core, config);
  }

  /** Like `Client.runWithProfile`. */
  async run(
    cwd: string,
    prompt: string,
    profile: RunProfile,
    options: RunOptions,
  ): Promise<PromptRunResult> {
    return await runOnce(this.#opener, cwd, prompt, layerProfile(profile, options));
  }

  /** Like `Client.shutdown`. */
  async shutdown(): Promise<void> {
    await this.#core.shutdown();
    await this.#opener.toolsGone();
  }
}
