/**
 * One prompt, from the caller's words to the result: hooks, a place in line, a turn, perhaps another try.
 * @module
 */
import { abortable, delay } from "../../async.ts";
import {
  BudgetExceededError,
  type CodexError,
  EmptyAnswerError,
  messageOf,
  OutputValidationError,
  type PartialTurn,
  TurnFailedError,
  TurnInterruptedError,
  unnamedTurn,
} from "../../errors/mod.ts";
import { defined, type JsonObject, present } from "../../json.ts";
import type { HookReport, HookRun, PatchedInput } from "../../plugin/mod.ts";
import type { Attachment, Prompt } from "../../prompt.ts";
import { redactText } from "../../redact.ts";
import type { OutputRequest, ResolvedOutput } from "../output/structured_output.ts";
import { overlayProfile } from "../policy/thread_params.ts";
import type { AskOptions, ResolvedProfile, RetryOptions } from "../profile.ts";
import { addTokens, NO_TOKENS, RunMeter, unheldLimits } from "../turn/turn_usage.ts";
import type { Turn } from "../turn/turn.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { EmitTurnEvent, ThreadListeners, TurnOutcome } from "../turn/turn_outcome.ts";
import type { PromptRunResult, TokenCount, TokenUsage } from "../turn/turn_result.ts";
import type { OtelContext } from "../../telemetry.ts";
import { assertStopped } from "../turn/stop_turn.ts";
import { turnError, type TurnRun } from "../turn/turn_run.ts";

/** What a session offers to the prompts that run on it. */
export interface PromptHost {
  /** The thread. */
  threadId(): string;
  /** The session's profile. */
  readonly profile: ResolvedProfile;
  /** The caller's trace. */
  callerContext(): OtelContext | null;
  /** Begins the hooks of one run. */
  hookRun(profile: ResolvedProfile, signal: AbortSignal): HookRun;
  /** Takes a place in line, at once, and waits for the turn; settles with the function that gives it back. */
  acquire(owner: PromptRun, signal: AbortSignal): Promise<() => void>;
  /** Waits until nothing is active on the thread. */
  idle(signal: AbortSignal, timeoutMs: number): Promise<void>;
  /** Turns text and attachments into input items for this model (`null`: the thread's); rejects when a file is missing. */
  prepareInput(
    text: string,
    attachments: readonly Attachment[],
    model: string | null,
    signal: AbortSignal,
  ): Promise<JsonObject[]>;
  /**
   * Rejects when the turn may not begin; records the workspace, where the session does, and settles with who has to be told
   * which turn it was for.
   */
  checkpoint(
    profile: ResolvedProfile,
    signal: AbortSignal,
  ): Promise<((turnId: string) => void) | null>;
  /** Who listens to the session. */
  readonly listeners: ThreadListeners;
  /** Starts a turn. */
  startTurn(turn: TurnRequest): TurnRun;
  /** The account's limits as last told, for reset times. */
  readonly rateLimits: JsonObject | undefined;
  /** Settles when the post-hooks of the turn's tool uses have ended. */
  toolHooksDone(): Promise<void>;
  /** Settles when the thread's store has the turn; rejects when the store says that the thread is somebody else's now. */
  stored(): Promise<void>;
}

/** One turn to start. */
export interface TurnRequest {
  /** What is asked. */
  input: JsonObject[];
  /** How it runs. */
  profile: ResolvedProfile;
  /** The answer's schema, or `null`. */
  outputSchema: JsonObject | null;
  /** Who listens. */
  emit: EmitTurnEvent;
  /** The caller's signal. */
  signal: AbortSignal | undefined;
  /** Counts what the prompt uses. */
  meter: RunMeter;
  /** The hooks of this run. */
  hooks: HookRun;
  /** The caller's trace. */
  parent: OtelContext | null;
}

/** Drives one prompt. `result` settles once, whether or not anyone looks. */
export class PromptRun {
  /** Settles with the result, or rejects with the reason that there is none. */
  readonly result: Promise<PromptRunResult>;
  /** Settles when the first turn has an id; rejects when it never gets one. */
  readonly identified: Promise<Turn>;
  /** The turn that is running, or was last. */
  current: TurnRun | null = null;
  /** Whether it goes before the prompts that wait. */
  readonly first: boolean;
  readonly #host: PromptHost;
  #options: AskOptions;
  readonly #emit: EmitTurnEvent;
  readonly #stopped = new AbortController();
  readonly #identified = Promise.withResolvers<Turn>();
  /** Turns of this prompt, tries and repairs included. */
  readonly #outcomes: Set<TurnOutcome> = new Set();
  /** The trace of who asked. */
  readonly #parent: OtelContext | null;
  #meter = new RunMeter({}, () => {});

  /** Begins. `emit` is `null` when nobody listens. `first`: who has the thread now asks. */
  constructor(
    host: PromptHost,
    prompt: Prompt,
    options: AskOptions,
    emit: EmitTurnEvent,
    first = false,
  ) {
    this.first = first;
    this.#host = host;
    this.#options = { ...options };
    this.#parent = host.callerContext();
    this.#emit = guardEmit(emit, options.onEvent, host.listeners);
    const { signal } = options;
    const forward = () => this.cancel(signal!.reason);
    if (signal?.aborted) forward();
    else signal?.addEventListener("abort", forward, { once: true });
    this.identified = this.#identified.promise;
    this.identified.catch(() => {});
    this.result = this.#drive(prompt).finally(() => signal?.removeEventListener("abort", forward));
    this.result.catch((error) => this.#identified.reject(error));
  }

  /** Gives up: waiting in line, hooks, the pause before another try, and a turn also when it has no name yet. */
  cancel(reason: unknown): void {
    this.#stopped.abort(reason);
    void this.current?.stop();
  }

  /** Stops the running turn, or what there is instead of it; settles when it has stopped, rejects when it has not. */
  async interrupt(): Promise<void> {
    const { current } = this;
    if (current === null || current.isSettled) {
      this.cancel(new TurnInterruptedError(this.#partial()));
    }
    // However it ends, no other try and no repair follows it.
    this.#options = {};
    // One that was given up may be without a name yet.
    if (current !== null) assertStopped(await current.stop() || current.turn === null);
  }

  #partial(): PartialTurn {
    return this.current?.partial() ?? unnamedTurn(this.#host.threadId());
  }

  get #signal(): AbortSignal {
    return this.#stopped.signal;
  }

  async #drive(prompt: Prompt): Promise<PromptRunResult> {
    this.#signal.throwIfAborted();
    const options = this.#options;
    const { text, attachments = [] } = typeof prompt === "string" ? { text: prompt } : prompt;
    const profile = overlayProfile(this.#host.profile, {
      ...options,
      attachments: [...(options.attachments ?? []), ...attachments],
    });
    this.#meter = new RunMeter(profile.limits, (exceeded) => void this.current?.exceed(exceeded));
    const hooks = this.#host.hookRun(profile, this.#signal);
    // Before anything that waits: prompts run in the order in which they were asked.
    const place = this.#host.acquire(this, this.#signal);
    // It may be taken away while a hook is asked, when nobody waits for it yet.
    place.catch(() => {});
    let output: ResolvedOutput | null;
    let asked: PatchedInput;
    try {
      output = await outputOf({
        outputSchema: profile.outputSchema,
        ...defined({ output: options.output }),
        signal: this.#signal,
        timeoutMs: profile.timeoutMs,
      });
      asked = await hooks.pre("preRun", { prompt: text, attachments: profile.attachments });
    } catch (error) {
      this.#giveBack(place);
      throw error;
    }
    const facts = {
      prompt: asked.prompt ?? text,
      ...present({ model: asked.model ?? profile.model }),
    };
    try {
      const patchedProfile = patched(profile, asked);
      const result = await this.#turns(facts.prompt, patchedProfile, output, hooks, place);
      await hooks.post("postRun", { ...facts, turnId: result.turnId, status: "ok" });
      // What the agents' tools have the hooks do later is none of the result's.
      return { ...result, hooks: structuredClone(result.hooks) };
    } catch (error) {
      const posted = hooks.post("postRun", { ...facts, status: "error", error });
      if (options.signal?.aborted !== true) await posted;
      throw error;
    }
  }

  /** The turns of one prompt: the first, the tries after failures, the repair of an answer. */
  async #turns(
    text: string,
    profile: ResolvedProfile,
    output: ResolvedOutput | null,
    hooks: HookRun,
    place: Promise<() => void>,
  ): Promise<PromptRunResult> {
    try {
      // What can be wrong with the input is told before the prompt waits for its turn.
      await this.#host.prepareInput(text, profile.attachments, profile.model, this.#signal);
      await place;
      await this.#host.idle(this.#signal, profile.timeoutMs);
      for (let tries = 1;; tries++) {
        try {
          const { run, result } = await this.#turn(text, profile, output, hooks);
          return await this.#withOutput(run, result, profile, output, hooks);
        } catch (error) {
          const waitMs = retryDelayMs(error, tries, this.#options.retry, new Date(), Math.random());
          if (waitMs === null) throw error;
          const { message } = error as CodexError;
          const { threadId, turnId } = this.#partial();
          this.#emit?.({ type: "retrying", threadId, turnId: turnId ?? "", message, by: "client" });
          await delay(waitMs, this.#signal);
        }
      }
    } finally {
      this.#giveBack(place);
    }
  }

  /** The next in line may start only when the server has really released this prompt's last turn. */
  #giveBack(place: Promise<() => void>): void {
    place.then(async (release) => {
      await this.current?.over();
      release();
    }, () => {});
  }

  async #turn(
    text: string,
    profile: ResolvedProfile,
    output: ResolvedOutput | null,
    hooks: HookRun,
  ): Promise<{ run: TurnRun; result: PromptRunResult }> {
    const asked = await hooks.pre("preTurn", {
      prompt: text,
      attachments: profile.attachments,
      ...present({ model: profile.model }),
    });
    const turnProfile = patched(profile, asked);
    const prompt = asked.prompt ?? text;
    const input = await this.#host.prepareInput(
      prompt,
      turnProfile.attachments,
      turnProfile.model,
      this.#signal,
    );
    const looked = this.#host.checkpoint(turnProfile, this.#signal);
    const recorded = await abortable(looked, this.#signal);
    this.#signal.throwIfAborted();
    const { spent } = this.#meter;
    if (spent !== null) throw new BudgetExceededError(spent, this.#partial(), { stopped: true });
    const run = this.#host.startTurn({
      input,
      profile: turnProfile,
      outputSchema: output?.schema ?? null,
      emit: this.#emit,
      signal: this.#options.signal,
      meter: this.#meter,
      hooks,
      parent: this.#parent,
    });
    this.current = run;
    run.identified.then((turn) => {
      recorded?.(turn.turnId);
      this.#identified.resolve(turn);
    }, () => {});
    const settled = await run.settled;
    const outcome = run.turn?.outcome ?? null;
    if (outcome !== null) this.#outcomes.add(outcome);
    if (settled.by === "server" && outcome!.usage === null) this.#warnUncounted(turnProfile, run);
    const error = await run.explain(
      turnError(settled, outcome, run.partial(), this.#host.rateLimits),
      outcome?.failure?.message ?? "",
    );
    // The caller gets the rejection at once; the hooks run after it, and nobody waits for them.
    const told = settled.by === "abort" ? () => {} : (ended: Promise<void>) => ended;
    await told(this.#host.toolHooksDone());
    if (settled.by === "abort") this.#host.stored().catch(() => {});
    else await abortable(this.#host.stored(), this.#signal);
    const facts = {
      prompt,
      ...present({ model: turnProfile.model, turnId: run.turnId }),
    };
    // Whoever gives it up may do so for `null`.
    if (error !== null || settled.by === "abort") {
      await told(hooks.post("postTurn", { ...facts, status: "error", error }));
      throw error;
    }
    await hooks.post("postTurn", { ...facts, status: "ok" });
    return { run, result: { ...toResult(outcome!, hooks.report), usage: this.#usage() } };
  }

  /** Limits that can't be held are told. */
  #warnUncounted({ limits }: ResolvedProfile, { turnId }: TurnRun): void {
    const message = unheldLimits(limits, "The model's provider tells no token counts");
    if (message === null) return;
    const threadId = this.#host.threadId();
    this.#emit?.({ type: "warning", threadId, turnId: turnId ?? "", message });
  }

  /** Tokens of all turns of the prompt; the thread's total is the one that was told last. */
  #usage(): TokenUsage | null {
    const all = [...this.#outcomes].flatMap(({ usage }) => usage ?? []);
    const last = all.at(-1);
    return last === undefined ? null : {
      ...last,
      ...all.reduce<TokenCount>(addTokens, NO_TOKENS),
      subAgents: all.map(({ subAgents }) => subAgents).reduce(addTokens, NO_TOKENS),
    };
  }

  /** Parses the answer; asks once more for a better one when the caller wants that. */
  async #withOutput(
    run: TurnRun,
    result: PromptRunResult,
    profile: ResolvedProfile,
    output: ResolvedOutput | null,
    hooks: HookRun,
  ): Promise<PromptRunResult> {
    if (output === null) return result;
    const parsed = await abortable(output.parse(result.assistantText), this.#signal);
    if (parsed.ok) return { ...result, output: parsed.value };
    const error = new OutputValidationError(parsed.issues, run.partial());
    if (this.#options.repair !== true) throw error;
    await run.over();
    const bare = { ...profile, attachments: [] };
    const { repairPrompt } = await import("../output/structured_output.ts");
    const again = await this.#turn(repairPrompt(parsed.issues), bare, output, hooks).catch(
      (cause) => {
        throw cause instanceof EmptyAnswerError ? error : cause;
      },
    );
    const repaired = await abortable(output.parse(again.result.assistantText), this.#signal);
    if (!repaired.ok) throw new OutputValidationError(repaired.issues, again.run.partial());
    return { ...again.result, output: repaired.value };
  }
}

/** How the answer is asked for and read, where it is to be data: loaded with the first of these. */
async function outputOf(request: OutputRequest): Promise<ResolvedOutput | null> {
  if (request.output === undefined && request.outputSchema === null) return null;
  const { resolveOutputSchema } = await import("../output/structured_output.ts");
  return resolveOutputSchema(request);
}

/** The result of a completed turn. */
export function toResult(outcome: TurnOutcome, hooks: HookReport): PromptRunResult {
  return {
    threadId: outcome.threadId,
    turnId: outcome.turnId,
    assistantText: outcome.answer,
    items: outcome.items.all(),
    usage: outcome.usage,
    durationMs: outcome.durationMs,
    diff: outcome.diff,
    plan: outcome.plan,
    proposedPlan: outcome.items.plan(),
    output: undefined,
    hooks,
  };
}

function patched(
  profile: ResolvedProfile,
  patch: { model?: string; attachments?: readonly (string | Attachment)[] },
): ResolvedProfile {
  return {
    ...profile,
    ...defined({
      model: patch.model,
      attachments: patch.attachments?.map((each): Attachment =>
        typeof each === "string" ? { type: "path", path: each } : each
      ),
    }),
  };
}

/** A caller's listener that throws must not disturb the turn: its error becomes an event for all the others. */
export function guardEmit(
  emit: EmitTurnEvent,
  onEvent: ((event: TurnEvent) => void) | undefined,
  listeners: ThreadListeners,
): EmitTurnEvent {
  if (onEvent === undefined) return emit;
  return (event) => {
    emit?.(event);
    const failed = (error: unknown): void => {
      const { threadId, turnId } = event;
      const message = `onEvent threw: ${redactText(messageOf(error))}`;
      for (const tell of [emit, listeners.emit]) {
        tell?.({ type: "warning", threadId, turnId, message });
      }
    };
    try {
      const told: unknown = onEvent(event);
      if (told instanceof Promise) told.catch(failed);
    } catch (error) {
      failed(error);
    }
  };
}

// When a failed turn is tried again.

/**
 * Milliseconds to wait before the next try, or `null` for none. Only failures of the model's provider that may pass are
 * tried again; a reset time that is further away than `maxDelayMs` ends it. `random` is in [0, 1).
 */
export function retryDelayMs(
  error: unknown,
  tries: number,
  options: RetryOptions | undefined,
  now: Date,
  random: number,
): number | null {
  if (options === undefined) return null;
  const { attempts = 2, baseDelayMs = 1_000, maxDelayMs = 60_000 } = options;
  if (tries > attempts || !(error instanceof TurnFailedError) || !error.retryable) return null;
  if (error.resetsAt !== null) {
    const wait = error.resetsAt.getTime() - now.getTime();
    if (wait > maxDelayMs) return null;
    if (wait > 0) return wait;
  }
  return Math.min(maxDelayMs, baseDelayMs * 2 ** (tries - 1)) * (0.75 + random * 0.5);
}
