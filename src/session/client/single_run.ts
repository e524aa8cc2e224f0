/**
 * One prompt on a codex of its own: all of `quickRun`, which loads it when it is called.
 * @module
 */
import {
  callback,
  checkArgument,
  checkOptions,
  elsewhere,
  object,
  type Shape,
  shape,
  signal as signalKind,
} from "../../check/mod.ts";
import { QuickRunError } from "../../errors/mod.ts";
import { defined } from "../../json.ts";
import { mergeHooks } from "../../plugin/validate.ts";
import { promptKind } from "../../prompt.ts";
import { RUNTIME_CONFIG } from "../../runtime/config_shape.ts";
import {
  type ClientConfig,
  coreOf,
  isRemote,
  type RuntimeCore,
  spawnCore,
} from "../../runtime/mod.ts";
import { layerProfile, workingDirectory } from "../policy/thread_params.ts";
import type { RunProfile } from "../profile.ts";
import { RUN_PROFILE } from "../profile_shape.ts";
import { PromptRun } from "../prompt/prompt_run.ts";
import type { SessionParts } from "../session_settings.ts";
import { SessionThread } from "../session_thread.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";
import { UsageLedger } from "../turn/turn_usage.ts";
import { type OpenedThread, SessionOpener } from "./open_session.ts";
import { takePrewarmed } from "./prewarm.ts";
import { runOnce } from "./run_once.ts";

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
class SingleRun {
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
    options: QuickRunOptions,
  ): Promise<PromptRunResult> {
    const { signal, onEvent } = options;
    const told = layerProfile(profile, defined({ signal, onEvent }));
    return await runOnce(this.#opener, cwd, prompt, told);
  }

  /** Like `Client.shutdown`. */
  async shutdown(): Promise<void> {
    await this.#core.shutdown();
    await this.#opener.toolsGone();
  }
}

/** What `quickRunWithProfile` does. */
export async function runAlone(
  cwd: string,
  prompt: string,
  profile: RunProfile,
  options: QuickRunOptions,
): Promise<PromptRunResult> {
  checkOptions("quickRun", options, QUICK_RUN_OPTIONS);
  checkArgument("quickRun", "prompt", prompt, promptKind);
  checkOptions("quickRun", profile, RUN_PROFILE, true);
  const { client: config = {}, signal } = options;
  signal?.throwIfAborted();
  let codex: SingleRun | null = null;
  let result: PromptRunResult;
  try {
    // What is wrong with the call is told before a process is started for it.
    workingDirectory(cwd, isRemote(config));
    codex = await SingleRun.connect({ ...config, ...defined({ signal }) });
    result = await codex.run(cwd, prompt, profile, options);
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
