/**
 * A conversation with the agent.
 * @module
 */
import {
  checkArgument,
  checkOptions,
  name as nonEmpty,
  object,
  required,
  takeArgument,
  takeOptions,
  text,
} from "../check/mod.ts";
import { defined, type JsonObject } from "../json.ts";
import type { EffectivePolicy } from "../permissions/mod.ts";
import type { HookReport } from "../plugin/mod.ts";
import type { SessionParts } from "./session_settings.ts";
import type * as internals from "./internals.ts";
import type {
  AskOptions,
  CompactResult,
  ForkConfig,
  GoalOptions,
  ResolvedProfile,
  ReviewOptions,
  ReviewResult,
  ReviewTarget,
  RewindOptions,
  RewindPlan,
  RunProfile,
  WaitOptions,
} from "./profile.ts";
import {
  FORK_CONFIG,
  GOAL_OPTIONS,
  itemsKind,
  REVIEW_OPTIONS,
  reviewTargetKind,
  REWIND_OPTIONS,
  RUN_PROFILE,
  SAMPLE_OPTIONS,
  SESSION_EVENTS,
  SETTINGS,
  steering,
  takeAsk,
  turnOptionsOf,
  WAIT_OPTIONS,
} from "./profile_shape.ts";
import { GoalRun } from "./thread/goal_run.ts";
import type { SampleOptions, SampleResult } from "./thread/sample.ts";
import type { Prompt } from "../prompt.ts";
import { PromptRunStream } from "./prompt/prompt_run_stream.ts";
import type { InferOutput, StandardSchemaV1 } from "./output/standard_schema.ts";
import type { SessionEvent } from "./events/session_event.ts";
import type { ContextUsage, PromptRunResult, UsageCount } from "./turn/turn_result.ts";
import type { SessionMcp } from "./mcp/session_mcp.ts";
import type { SessionThread } from "./session_thread.ts";

/** Makes a session; for {@linkcode Client}. */
export let makeSession: (parts: SessionParts, loaded: typeof internals) => Session;

/**
 * A conversation with the agent: turns that remember each other. One turn runs at a time; further calls wait in line.
 *
 * ```ts ignore
 * const session = await client.startSession({ cwd: "/srv/app" });
 * const { assistantText } = await session.ask("What does this project do?");
 * await session.close();
 * ```
 */
export class Session implements AsyncDisposable {
  /** Where the agent works. */
  readonly cwd: string;
  /** What the hooks of its start did. */
  readonly startHooks: HookReport;
  /** Its MCP servers: how they are, their tools and resources. */
  readonly mcp: SessionMcp;
  readonly #internals: typeof internals;
  readonly #thread: SessionThread;

  static {
    makeSession = (parts, loaded) => new Session(parts, loaded);
  }

  // Public, it would draw all that a session is made of into the types that every user's check reads.
  private constructor(parts: SessionParts, loaded: typeof internals) {
    this.#internals = loaded;
    this.cwd = parts.cwd;
    this.startHooks = parts.startHooks.report;
    this.#thread = new loaded.SessionThread(parts);
    this.mcp = new loaded.McpCalls(this.#thread);
  }

  /** The thread. */
  get threadId(): string {
    return this.#thread.threadId;
  }

  /**
   * How it runs, with every default filled in; {@linkcode update} changes it. Tokens, variables and headers of its MCP servers
   * are `"[redacted]"`, and so are secrets in `config`.
   */
  get profile(): ResolvedProfile {
    return this.#internals.toldProfile(this.#thread.settings.profile);
  }

  /** What the agent may do: what the server confirmed, not what was asked. */
  get policy(): EffectivePolicy {
    return this.#thread.settings.policy;
  }

  /** Whether the session takes no more prompts. */
  get closed(): boolean {
    return this.#thread.ended.signal.aborted;
  }

  /** Aborted, with the reason, when the session takes no more prompts. */
  get closeSignal(): AbortSignal {
    return this.#thread.ended.signal;
  }

  /** The tokens of all turns on this session's thread since the session began, and of the agents that its agent started. */
  get usage(): UsageCount {
    return this.#thread.ledger.total;
  }

  /**
   * How full the model's context is, as the server told it last; `null` before it did.
   *
   * ```ts ignore
   * if ((session.context?.percent ?? 0) > 80) await session.compact();
   * ```
   */
  get context(): ContextUsage | null {
    return this.#thread.turns.context;
  }

  /**
   * Asks, and waits for the answer. Calls on one session run one after the other, in order.
   *
   * Rejects with `TurnFailedError`, `TurnInterruptedError`, `TurnTimeoutError`, `BudgetExceededError`, `EmptyAnswerError`,
   * `OutputValidationError`, `ConnectionClosedError` (all with what there was), or the signal's reason; before a turn begins with
   * `InvalidArgumentError` (from within the session's own tools, hooks and handlers as well: it would wait for itself), `PolicyError`,
   * `SessionClosedError`, `PermissionDeniedError`, `HookBlockedError`, `AttachmentNotFoundError`, `CheckpointError`, `RpcError`.
   */
  async ask<Schema extends object = StandardSchemaV1>(
    prompt: Prompt,
    options: AskOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    const asked = takeAsk("ask", prompt, options);
    this.#thread.assertAskable();
    const run = new this.#internals.PromptRun(this.#thread.prompts, ...asked, null);
    return await run.result as PromptRunResult<InferOutput<Schema>>;
  }

  /**
   * Asks with a profile of its own for this turn; what the profile leaves out is the session's. What belongs to the whole
   * thread (tools, instructions, directories, config, ephemeral) stays the session's as well; other `reads` or another
   * `webSearch` than the session's is an `InvalidArgumentError`.
   */
  async askWithProfile<Schema extends object = StandardSchemaV1>(
    prompt: Prompt,
    profile: RunProfile,
    options: AskOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    const { layerProfile, turnReach } = this.#internals;
    const taken = takeOptions("askWithProfile", profile, RUN_PROFILE, true);
    const [asked, given] = takeAsk("askWithProfile", prompt, options);
    const base = { ...turnOptionsOf(taken), ...turnReach(taken, this.profile) };
    return await this.ask<Schema>(asked, layerProfile(base, given) as AskOptions<Schema>);
  }

  /** Asks, and hands out the events as they come. Settles when the server has started the turn, or rejects like {@linkcode ask}. */
  async askStream<Schema extends object = StandardSchemaV1>(
    prompt: Prompt,
    options: AskOptions<Schema> = {},
  ): Promise<PromptRunStream<InferOutput<Schema>>> {
    const asked = takeAsk("askStream", prompt, options);
    this.#thread.assertAskable();
    const queue = new this.#internals.EventQueue();
    const run = new this.#internals.PromptRun(
      this.#thread.prompts,
      ...asked,
      (event) => queue.push(event),
    );
    const turn = await run.identified;
    return new PromptRunStream(
      this.threadId,
      turn.turnId,
      {
        result: run.result,
        interrupt: () => run.interrupt(),
        steer: async (input) =>
          await run.current!.steer(await this.#thread.prepareSteer(steering(input))),
      },
      queue,
    );
  }

  /** Asks by way of a stream, and waits for the result: `(await askStream(…)).finish()`. */
  async askWait<Schema extends object = StandardSchemaV1>(
    prompt: Prompt,
    options: AskOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    return await (await this.askStream(prompt, options)).finish();
  }

  /**
   * What happens on the thread from now on: the events of all its turns, those that something else began included, and
   * of the thread itself. Ends with the session. A reader that falls behind gets adjacent text deltas merged; for one
   * that stops reading, 16,384 events and 16 MiB of text are kept, and a `lagged` event says how many older ones are gone.
   *
   * ```ts ignore
   * for await (const event of session.events({ subAgents: true })) {
   *   if (event.type === "turnStarted") console.log("started:", event.turnId);
   * }
   * ```
   */
  events(options: {
    /** Tells as well what the agents do that the agent starts, as `subAgent` events. Default `false`. */
    subAgents?: boolean;
  } = {}): AsyncIterableIterator<SessionEvent> {
    checkOptions("events", options, SESSION_EVENTS);
    return this.#thread.parts.core.alive.reading(
      this.#thread.events.listen(this.threadId, options),
    );
  }

  /**
   * Lets codex work on a goal until it is reached, its limits are used up, it is stopped, or another one is set in its place;
   * prompts wait. Needs codex 0.145 and a thread that is kept. Rejects with `PolicyError` where codex's requirements turn
   * goals off, and with `ThreadInUseError` where another client has the thread open on the server without them.
   *
   * ```ts ignore
   * const goal = await session.startGoal("All tests pass", { limits: { tokens: 500_000 } });
   * const { status, turns, usage } = await goal.finish();
   * ```
   */
  async startGoal(objective: string, options: GoalOptions = {}): Promise<GoalRun> {
    checkArgument("startGoal", "objective", objective, required(nonEmpty));
    const given = takeOptions("startGoal", options, GOAL_OPTIONS);
    return new GoalRun(await this.#internals.startGoal(this.#thread.host, objective, given));
  }

  /**
   * Lets the model sum up the conversation, so that its context has room again.
   *
   * ```ts ignore
   * const { tokensBefore, tokensAfter } = await session.compact();
   * ```
   */
  async compact(options: WaitOptions = {}): Promise<CompactResult> {
    checkOptions("compact", options, WAIT_OPTIONS);
    return await this.#internals.compact(this.#thread.host, options);
  }

  /**
   * Lets codex's reviewer look at changes. With a schema the findings are asked for in a second turn, as `output`. Codex tells
   * no tokens of a review: `limits.toolCalls` and `timeoutMs` bound it, the other limits the second turn only.
   *
   * ```ts ignore
   * const { reviewText } = await session.review({ type: "baseBranch", branch: "main" });
   * ```
   */
  async review<Schema extends object = StandardSchemaV1>(
    target: ReviewTarget,
    options: ReviewOptions<Schema> = {},
  ): Promise<ReviewResult<InferOutput<Schema>>> {
    const what = takeArgument("review", "target", target, reviewTargetKind);
    const given = takeOptions("review", options, REVIEW_OPTIONS) as ReviewOptions;
    const { host, prompts } = this.#thread;
    const ask = (prompt: string, more: AskOptions) =>
      new this.#internals.PromptRun(prompts, prompt, more, null, true).result;
    const result = await this.#internals.review(host, what, given, ask);
    return result as ReviewResult<InferOutput<Schema>>;
  }

  /**
   * Waits for the next turn on this thread that is not one of our prompts, such as another client's, and hands it out as
   * a stream. Such a turn has the session's `timeoutMs` and `limits`.
   *
   * ```ts ignore
   * const turn = await session.nextTurn({ signal: AbortSignal.timeout(60_000) });
   * console.log(turn.turnId, (await turn.finish()).assistantText);
   * ```
   */
  async nextTurn(options: WaitOptions = {}): Promise<PromptRunStream> {
    checkOptions("nextTurn", options, WAIT_OPTIONS);
    this.#thread.assertOpen();
    const begun = this.#internals.nextTurn(
      this.#thread.host,
      this.closeSignal,
      (input) => this.#thread.prepareSteer(steering(input)),
      options.signal,
    );
    const { turnId, run, queue } = await this.#thread.parts.core.alive.while(begun);
    return new PromptRunStream(this.threadId, turnId, run, queue);
  }

  /**
   * Asks beside the conversation, such as for a title: the thread does not remember it. Codex 0.169 answers by itself, and gives
   * up after 30 s. It can't be stopped earlier: when `signal` or `timeoutMs` ends the wait, the model may go on, and those
   * tokens are not counted. Before 0.169, before the first turn, and for a prompt of more than 4,000 bytes, an ephemeral copy
   * of the thread that may only read is asked. An `ephemeral` thread that has had a turn can't be sampled: `InvalidArgumentError`.
   *
   * ```ts ignore
   * const { text } = await session.sample("A title for this conversation, in three words");
   * ```
   */
  async sample(prompt: string, options: SampleOptions = {}): Promise<SampleResult> {
    checkArgument("sample", "prompt", prompt, required(text));
    const given = takeOptions("sample", options, SAMPLE_OPTIONS);
    return await this.#internals.sample(this.#thread.host, prompt, given);
  }

  /**
   * Starts a session on a copy of the thread, with this session's settings where `config` has no others. `after` names
   * the last turn that the copy has, `before` the first one that it has not; without them it has all.
   *
   * ```ts ignore
   * const { turnId } = await session.ask("Draft the plan");
   * const other = await session.fork({ before: turnId });
   * ```
   */
  async fork(config: ForkConfig = {}): Promise<Session> {
    const { after, before, ...rest } = takeOptions("fork", config, FORK_CONFIG);
    const at = defined({ after, before });
    const { host } = this.#thread;
    const open = () => host.openCopy({ method: "thread/fork", at }, rest, false);
    const { alone } = this.#internals;
    const undo = (copy: { close(): Promise<void> }) => copy.close().catch(() => {});
    return await alone(host, rest.signal, open, undefined, undo) as Session;
  }

  /**
   * Takes back a turn and all after it: the files of the workspace as they were before it, what commands wrote included, and
   * what the model remembers. Needs `checkpoints` for the files. Changes that somebody else has made there since are taken
   * back as well: look at the plan first. Ends the agent's background commands; refused with `CheckpointError` while a turn
   * is active that is not being stopped, or when the workspace was not recorded then. Cut off by a crash, it is finished when
   * the next session with `checkpoints` starts there.
   *
   * Not taken back: ignored files, repositories' own (`.git`: commits stay), what lies outside of `cwd`, links under a Deno that
   * may not make them, modification times. A conversation of an ephemeral thread can't be taken back.
   *
   * ```ts ignore
   * const plan = await session.rewind({ before: turnId, dryRun: true });
   * if (plan.skipped.length === 0) await session.rewind({ before: turnId });
   * ```
   */
  async rewind(options: RewindOptions): Promise<RewindPlan> {
    const given = takeOptions("rewind", options, REWIND_OPTIONS);
    this.#thread.assertAskable();
    const { rewind } = await import("./history/rewind/rewind.ts");
    return await rewind(this.#thread.host, given);
  }

  /**
   * Adds items to the thread without a turn, as the model's API spells them: the next turn sees them. Needs codex 0.125.
   *
   * ```ts ignore
   * const content = [{ type: "input_text", text: "The build is green again." }];
   * await session.inject([{ type: "message", role: "user", content }]);
   * ```
   */
  async inject(items: readonly object[], options: WaitOptions = {}): Promise<void> {
    const given = takeArgument("inject", "items", items as JsonObject[], itemsKind);
    checkOptions("inject", options, WAIT_OPTIONS);
    const { core } = this.#thread.parts;
    this.#internals.assertSupported(core, "inject", "injectItems");
    await this.#internals.alone(this.#thread.host, options.signal, async (signal) => {
      await core.call("thread/inject_items", { threadId: this.threadId, items: given }, { signal });
      this.#thread.used = true;
    });
  }

  /**
   * Changes the model, the effort or the mode of all later turns of this session.
   *
   * ```ts ignore
   * await session.update({ effort: "high" });
   * ```
   */
  async update(settings: Pick<RunProfile, "model" | "effort" | "mode">): Promise<void> {
    const given = takeOptions("update", settings, SETTINGS);
    checkArgument("update", "settings", given, required(object(SETTINGS)));
    this.#thread.assertAskable();
    const now = this.#thread.settings;
    // Every turn says what it runs with; the turns that codex begins are told before they begin.
    const change: Partial<ResolvedProfile> = defined(given);
    now.next = { ...now.next, ...change };
    now.changes++;
    try {
      await this.#internals.alone(this.#thread.host, undefined, () => {
        now.profile = { ...now.profile, ...change };
        return Promise.resolve();
      });
    } finally {
      if (--now.changes === 0) now.next = now.profile;
    }
  }

  /**
   * Names the thread in the history.
   *
   * ```ts ignore
   * await session.rename("Fix the login");
   * ```
   */
  async rename(name: string, options: WaitOptions = {}): Promise<void> {
    checkArgument("rename", "name", name, required(nonEmpty));
    checkOptions("rename", options, WAIT_OPTIONS);
    this.#thread.assertOpen();
    const { core } = this.#thread.parts;
    await core.call("thread/name/set", { threadId: this.threadId, name }, options);
  }

  /**
   * Stops what is active on the thread, whoever began it, and the agents that its agent started; settles when it has
   * stopped. The prompt at the head of the line ends with it, also while it waits for a turn that something else began; those
   * after it go on. Rejects with `RequestTimeoutError` when the server did not confirm it: then the turn may still be active.
   */
  async interrupt(): Promise<void> {
    const { queue, turns, gate } = this.#thread;
    const [, stopped] = await Promise.all([queue.holder?.interrupt(), turns.rest.stopAll()]);
    this.#internals.assertStopped(stopped && await gate.stopSubAgents());
  }

  /**
   * Ends the session: sends waiting prompts away, stops the running turn and archives the thread, so that it leaves the
   * user's history. Idempotent. Call it again when the archive fails, or the `store` did not take all: it is archived after.
   */
  close(): Promise<void> {
    return this.#thread.end(true);
  }

  /**
   * Ends the session and leaves the thread in the history, to be resumed later. Idempotent. Rejects with
   * `RequestTimeoutError` when the server did not confirm that nothing works on the thread any more, and with the error of the
   * `store` that did not take all of it; call it again then.
   */
  release(): Promise<void> {
    return this.#thread.end(false);
  }

  /** Like {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
