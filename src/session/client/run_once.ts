/**
 * One prompt on a thread of its own, and one on a codex of its own.
 * @module
 */
import { defined } from "../../json.ts";
import { mergeHooks } from "../../plugin/mod.ts";
import { type ClientConfig, coreOf, type RuntimeCore, spawnCore } from "../../runtime/mod.ts";
import type { InferOutput, StandardSchemaV1 } from "../output/standard_schema.ts";
import { layerProfile } from "../policy/thread_params.ts";
import type { AskOptions, RunOptions, RunProfile, SessionConfig } from "../profile.ts";
import { PromptRun } from "../prompt/prompt_run.ts";
import type { SessionParts } from "../session_settings.ts";
import { SessionThread } from "../session_thread.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";
import { UsageLedger } from "../turn/turn_usage.ts";
import { type OpenedThread, SessionOpener } from "./open_session.ts";
import { takePrewarmed } from "./prewarm.ts";

/** Asks once, on a fresh thread that leaves nothing in the history. */
export async function runOnce<Schema extends object = StandardSchemaV1>(
  opener: SessionOpener<OpenedThread>,
  cwd: string,
  prompt: string,
  options: RunOptions<Schema>,
): Promise<PromptRunResult<InferOutput<Schema>>> {
  const { signal, onEvent, retry, repair, output, hooks, ...profile } = options;
  signal?.throwIfAborted();
  const config: SessionConfig = {
    ephemeral: true,
    ...profile,
    ...defined({ hooks, signal }),
    cwd,
  };
  const session = await opener.open({ method: "thread/start" }, config, true);
  try {
    const asked = { ...defined({ signal, onEvent, retry, repair, output }) };
    const result = await session.ask(prompt, asked as AskOptions);
    return result as PromptRunResult<InferOutput<Schema>>;
  } finally {
    // The thread's end must not cost the caller the answer, nor hold up who gave up waiting.
    const closed = session.close().catch(() => {});
    if (signal?.aborted !== true) await closed;
  }
}

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
