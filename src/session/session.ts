/**
 * A conversation with the agent.
 * @module
 */
import {
  checkArgument,
  checkOptions,
  jsonObject,
  list,
  name as nonEmpty,
  object,
  required,
  text,
} from "../check/mod.ts";
import {
  type ConnectionClosedError,
  InvalidArgumentError,
  PolicyMismatchError,
  SessionClosedError,
} from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import { type EffectivePolicy, hostProbe, unrestrictedProbe } from "../permissions/mod.ts";
import { hasToolHooks, type HookReport, HookRun, type Hooks, mergeHooks } from "../plugin/mod.ts";
import { isRefusal, supports } from "../protocol/mod.ts";
import type { OversizeMessage, RpcNotification } from "../rpc/mod.ts";
import { Latch } from "../async.ts";
import type { SessionParts } from "./session_parts.ts";
import { buildInput, filesOf, withSkills } from "./prompt/attachments.ts";
import {
  EventQueue,
  failedMcpServer,
  lateCommand,
  SessionEvents,
} from "./events/session_events.ts";
import type {
  AskOptions,
  CompactResult,
  ForkConfig,
  GoalOptions,
  ReasoningEffort,
  ResolvedProfile,
  ReviewOptions,
  ReviewResult,
  ReviewTarget,
  RunProfile,
  WaitOptions,
} from "./profile.ts";
import {
  checkAsk,
  FORK_CONFIG,
  GOAL_OPTIONS,
  promptKind,
  REVIEW_OPTIONS,
  reviewTargetKind,
  RUN_PROFILE,
  SAMPLE_OPTIONS,
  SESSION_EVENTS,
  SETTINGS,
  WAIT_OPTIONS,
} from "./profile_shape.ts";
import { compact, review } from "./thread/server_turns.ts";
import { type GoalRun, startGoal } from "./thread/goal_run.ts";
import {
  layerProfile,
  overlayProfile,
  profileOf,
  settingsOf,
  threadAttachParams,
  threadStartParams,
  turnOptionsOf,
  turnStartParams,
  whenClosed,
} from "./policy/thread_params.ts";
import { ForeignTurns } from "./thread/foreign_turns.ts";
import { sample, type SampleOptions, type SampleResult } from "./thread/sample.ts";
import {
  alone,
  assertSupported,
  type ThreadHolder,
  type ThreadHost,
} from "./thread/thread_host.ts";
import type { Attachment, Prompt } from "../prompt.ts";
import {
  isConnectionLoss,
  type PromptHost,
  PromptRun,
  type TurnRequest,
} from "./prompt/prompt_run.ts";
import { isInTool } from "./prompt/tools.ts";
import { nextTurn, PromptRunStream } from "./prompt/prompt_run_stream.ts";
import {
  confirmDecided,
  confirmSettings,
  type DecidedPolicy,
  decideSessionPolicy,
  decideTurnPolicy,
  mayLeaveSandbox,
  refusalByWorkspace,
  withApprovals,
  workspaceOf,
} from "./policy/session_policy.ts";
import { isAttached, isRemote } from "../runtime/mod.ts";
import { SessionGate } from "./policy/session_gate.ts";
import type { InferOutput, StandardSchemaV1 } from "./output/standard_schema.ts";
import type { SessionEvent } from "./events/session_event.ts";
import { ThreadTurns } from "./turn/thread_turns.ts";
import { assertStopped } from "./turn/stop_turn.ts";
import type { EmitTurnEvent } from "./turn/turn_outcome.ts";
import type { ContextUsage, PromptRunResult, UsageCount } from "./turn/turn_result.ts";
import { TurnQueue } from "./turn/turn_queue.ts";
import type { TurnRun } from "./turn/turn_run.ts";
import { UsageLedger } from "./turn/turn_usage.ts";

/** How often a session that ends stops turns that somebody starts meanwhile. */
const LEAVE_ROUNDS = 3;

type Closing = "open" | "closing" | "archived" | "released";

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
  readonly #parts: SessionParts;
  #profile: ResolvedProfile;
  readonly #queue: TurnQueue<ThreadHolder>;
  readonly #ledger: UsageLedger;
  readonly #host: PromptHost;
  readonly #gate: SessionGate;
  readonly #unroute: (() => void)[] = [];
  #threadId: string;
  #policy: EffectivePolicy;
  #decided: DecidedPolicy;
  /** What the last turn was sent. */
  #sent: DecidedPolicy;
  /** Aborted when the server lets a turn do more than it was asked to. */
  readonly #refused = new AbortController();
  readonly #turns: ThreadTurns;
  readonly #foreign: ForeignTurns;
  readonly #thread: ThreadHost;
  /** What the thread runs with, as sent with its last turn. */
  #settings: JsonObject | null = null;
  readonly #events = new SessionEvents();
  /** Why the connection to a server that goes on was lost. */
  #lostBy: ConnectionClosedError | null = null;
  /** Whether the thread has had a turn. */
  #used = false;
  #state: Closing = "open";
  #closing: Promise<void> | null = null;
  readonly #ready = new Latch();
  readonly #ended = new AbortController();
  /** What turns have been warned of: once a session is enough. */
  readonly #warned: Set<string> = new Set();

  /** Made by {@linkcode Client}. */
  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#queue = new TurnQueue(() => parts.core.alive.hold());
    this.#threadId = parts.threadId;
    this.cwd = parts.cwd;
    this.#profile = parts.profile;
    this.startHooks = parts.startHooks.report;
    this.#policy = parts.policy;
    this.#decided = parts.decided;
    this.#sent = parts.decided;
    this.#ledger = new UsageLedger(parts.ledger);
    this.#turns = this.#makeTurns();
    this.#foreign = this.#makeForeign();
    this.#gate = new SessionGate({
      core: parts.core,
      turns: () => this.#turns,
      countSubAgent: (tokens, turn) => {
        this.#ledger.add(tokens, true);
        turn?.addSubAgentTokens(tokens);
      },
      events: this.#events,
      tools: parts.profile.tools,
      approvals: parts.answerers.all,
      hooked: () => hasToolHooks(this.#hooksOf(this.profile)),
      refuses: (request) => refusalByWorkspace(parts.core, this.#policy, request),
      contained: () => this.#policy.acceptedCommands === "sandboxed",
      workspace: () => workspaceOf(this.#sent.effective),
    });
    this.#host = this.#makeHost();
    this.#thread = this.#makeThread();
    this.#route();
  }

  /** The thread. */
  get threadId(): string {
    return this.#threadId;
  }

  /** How it runs, with every default filled in; {@linkcode update} changes it. */
  get profile(): ResolvedProfile {
    return this.#profile;
  }

  /** What the agent may do: what the server confirmed, not what was asked. */
  get policy(): EffectivePolicy {
    return this.#policy;
  }

  /** Whether the session takes no more prompts. */
  get closed(): boolean {
    return this.#ended.signal.aborted;
  }

  /** Aborted, with the reason, when the session takes no more prompts. */
  get closeSignal(): AbortSignal {
    return this.#ended.signal;
  }

  /** The tokens of all turns on this session's thread since the session began, and of the agents that its agent started. */
  get usage(): UsageCount {
    return this.#ledger.total;
  }

  /**
   * How full the model's context is, as the server told it last; `null` before it did.
   *
   * ```ts ignore
   * if ((session.context?.percent ?? 0) > 80) await session.compact();
   * ```
   */
  get context(): ContextUsage | null {
    return this.#turns.context;
  }

  /**
   * Asks, and waits for the answer. Calls on one session run one after the other, in order.
   *
   * Rejects with `TurnFailedError`, `TurnInterruptedError`, `TurnTimeoutError`, `BudgetExceededError`,
   * `EmptyAnswerError`, `OutputValidationError` (all with what there was), `ConnectionClosedError`, `HookBlockedError`,
   * `AttachmentNotFoundError`, `InvalidArgumentError` (from within one of the session's own tools as well: it would wait for
   * itself), `PermissionDeniedError`, `RpcValidationError`, or the signal's reason.
   */
  async ask<Schema extends StandardSchemaV1 = StandardSchemaV1>(
    prompt: Prompt,
    options: AskOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    checkAsk("ask", prompt, options);
    this.#assertAskable();
    const run = new PromptRun(this.#host, prompt, options, null);
    return await run.result as PromptRunResult<InferOutput<Schema>>;
  }

  /**
   * Asks with a profile of its own for this turn; what the profile leaves out is the session's. What belongs to the whole
   * thread (tools, instructions, config, ephemeral) stays the session's as well.
   */
  async askWithProfile<Schema extends StandardSchemaV1 = StandardSchemaV1>(
    prompt: Prompt,
    profile: RunProfile,
    options: AskOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    checkOptions("askWithProfile", profile, RUN_PROFILE, true);
    checkAsk("askWithProfile", prompt, options);
    return await this.ask(prompt, { ...options, ...layerProfile(turnOptionsOf(profile), options) });
  }

  /** Asks, and hands out the events as they come. Settles when the server has started the turn. */
  async askStream<Schema extends StandardSchemaV1 = StandardSchemaV1>(
    prompt: Prompt,
    options: AskOptions<Schema> = {},
  ): Promise<PromptRunStream<InferOutput<Schema>>> {
    checkAsk("askStream", prompt, options);
    this.#assertAskable();
    const queue = new EventQueue();
    const run = new PromptRun(this.#host, prompt, options, (event) => queue.push(event));
    const turn = await run.identified;
    return new PromptRunStream(
      this.#threadId,
      turn.turnId,
      {
        result: run.result,
        interrupt: () => run.interrupt(),
        steer: async (input) => await run.current!.steer(await this.#prepareSteer(input)),
      },
      queue,
    );
  }

  /** Asks by way of a stream, and waits for the result: `(await askStream(…)).finish()`. */
  async askWait<Schema extends StandardSchemaV1 = StandardSchemaV1>(
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
   *   if (event.type === "turnStarted") console.log("at work:", event.turnId);
   * }
   * ```
   */
  events(options: {
    /** Tells as well what the agents do that the agent starts, as `subAgent` events. Default `false`. */
    subAgents?: boolean;
  } = {}): AsyncIterableIterator<SessionEvent> {
    checkOptions("events", options, SESSION_EVENTS);
    return this.#parts.core.alive.reading(this.#events.listen(this.#threadId, options));
  }

  /**
   * Lets codex work on a goal, turn after turn, until it is reached, its limits are used up or it is stopped. Works on a
   * session with `goals: false` too: the thread is taken up again with goals, and without them when the goal is over. Needs
   * codex 0.145 and a thread that is kept (`ephemeral: false`). Prompts wait until the goal is over.
   *
   * ```ts ignore
   * const goal = await session.startGoal("All tests pass", { limits: { tokens: 500_000 } });
   * const { status, turns, usage } = await goal.finish();
   * ```
   */
  async startGoal(objective: string, options: GoalOptions = {}): Promise<GoalRun> {
    checkArgument("startGoal", "objective", objective, required(nonEmpty));
    checkOptions("startGoal", options, GOAL_OPTIONS);
    return await startGoal(this.#thread, objective, options);
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
    return await compact(this.#thread, options);
  }

  /**
   * Lets codex's reviewer look at changes. With a schema the findings are asked for in a second turn, as `output`.
   *
   * ```ts ignore
   * const { reviewText } = await session.review({ type: "baseBranch", branch: "main" });
   * ```
   */
  async review<Schema extends StandardSchemaV1 = StandardSchemaV1>(
    target: ReviewTarget,
    options: ReviewOptions<Schema> = {},
  ): Promise<ReviewResult<InferOutput<Schema>>> {
    checkArgument("review", "target", target, reviewTargetKind);
    checkOptions("review", options, REVIEW_OPTIONS);
    const ask = (prompt: string, more: AskOptions) => this.ask(prompt, more);
    return await review(this.#thread, target, options, ask) as ReviewResult<InferOutput<Schema>>;
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
    this.#assertOpen();
    const prepare = (input: Prompt) => this.#prepareSteer(input);
    const turn = nextTurn(this.#thread, this.closeSignal, prepare, options.signal);
    return await this.#parts.core.alive.while(turn);
  }

  /**
   * Asks beside the conversation, such as for a title: the thread does not remember it. Codex before 0.169 is asked on an
   * ephemeral copy of the thread that may only read.
   *
   * ```ts ignore
   * const { text } = await session.sample("A title for this conversation, in three words");
   * ```
   */
  async sample(prompt: string, options: SampleOptions = {}): Promise<SampleResult> {
    checkArgument("sample", "prompt", prompt, required(text));
    checkOptions("sample", options, SAMPLE_OPTIONS);
    return await sample(this.#thread, prompt, options);
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
    checkOptions("fork", config, FORK_CONFIG);
    const { after, before, ...rest } = config;
    const at = {
      ...(after === undefined ? {} : { after }),
      ...(before === undefined ? {} : { before }),
    };
    const open = () => this.#thread.openCopy({ method: "thread/fork", at }, rest, false);
    return await alone(this.#thread, config.signal, open) as Session;
  }

  /**
   * Adds items to the thread without a turn, as the model's API spells them: the next turn sees them. Needs codex 0.125.
   *
   * ```ts ignore
   * const content = [{ type: "input_text", text: "The build is green again." }];
   * await session.inject([{ type: "message", role: "user", content }]);
   * ```
   */
  async inject(items: JsonObject[], options: WaitOptions = {}): Promise<void> {
    checkArgument("inject", "items", items, required(list(jsonObject)));
    checkOptions("inject", options, WAIT_OPTIONS);
    const { core } = this.#parts;
    assertSupported(core, "inject", "injectItems");
    await alone(this.#thread, options.signal, async (signal) => {
      await core.call("thread/inject_items", { threadId: this.#threadId, items }, { signal });
      this.#used = true;
    });
  }

  /**
   * Changes the model or the effort of all later turns of this session.
   *
   * ```ts ignore
   * await session.update({ effort: "high" });
   * ```
   */
  async update(settings: { model?: string; effort?: ReasoningEffort }): Promise<void> {
    checkOptions("update", settings, SETTINGS);
    checkArgument("update", "settings", settings, required(object(SETTINGS)));
    await alone(this.#thread, undefined, () => {
      const { model = this.#profile.model, effort = this.#profile.effort } = settings;
      // Every turn says what it runs with; the turns that codex begins are told before they begin.
      this.#profile = { ...this.#profile, model, effort };
      return Promise.resolve();
    });
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
    this.#assertOpen();
    const { core } = this.#parts;
    await core.call("thread/name/set", { threadId: this.#threadId, name }, options);
  }

  /**
   * Stops what is active on the thread, whoever began it, and the agents that its agent started; settles when it has
   * stopped. Prompts in line go on. Rejects with `RequestTimeoutError` when the server did not confirm it: then it may
   * still be at work.
   */
  async interrupt(): Promise<void> {
    const [, stopped] = await Promise.all([this.#queue.holder?.interrupt(), this.#turns.stopAll()]);
    assertStopped(stopped && await this.#gate.stopSubAgents());
  }

  /**
   * Ends the session: sends waiting prompts away, stops the running turn and archives the thread, so that it leaves the
   * user's history. Idempotent; when the archive fails, call it again.
   */
  close(): Promise<void> {
    return this.#end(true);
  }

  /**
   * Ends the session and leaves the thread in the history, to be resumed later. Idempotent. Rejects with
   * `RequestTimeoutError` when the server did not confirm that nothing works on the thread any more; call it again then.
   */
  release(): Promise<void> {
    return this.#end(false);
  }

  /** Like {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #end(archive: boolean): Promise<void> {
    if (this.#state === "archived" || this.#state === "released") return Promise.resolve();
    this.#closing ??= this.#letGo(archive).finally(() => this.#closing = null);
    return this.#closing;
  }

  async #letGo(archive: boolean): Promise<void> {
    this.#state = "closing";
    const closed = new SessionClosedError();
    this.#ended.abort(closed);
    const atWork = this.#queue.holder;
    this.#queue.close(closed);
    atWork?.cancel(closed);
    const stopped = await this.#turns.stopAll() && await this.#gate.stopSubAgents();
    // What is archived has ended; what is only released would go on without anybody.
    if (!archive) assertStopped(stopped || this.#parts.core.state === "closed");
    await this.#leave(archive && !this.profile.ephemeral);
    this.#state = archive ? "archived" : "released";
    for (const leave of this.#unroute.splice(0)) leave();
    this.#turns.close();
    this.#events.end();
    this.#parts.onClosed();
  }

  async #leave(archive: boolean): Promise<void> {
    const { core } = this.#parts;
    for (let round = 0; round < LEAVE_ROUNDS && core.state !== "closed"; round++) {
      if (archive && await this.#archive()) return;
      if (!archive) await this.#unsubscribe();
      // Somebody may have started a turn since all were stopped.
      if (this.#turns.active === null || core.state !== "running") return;
      if (!archive) await this.#resumeThread();
      await this.#turns.stopAll();
    }
  }

  /** Whether there was something to archive: then the server has ended all that worked on it. */
  async #archive(): Promise<boolean> {
    const { core } = this.#parts;
    for (;;) {
      try {
        await core.call("thread/archive", { threadId: this.#threadId });
        return true;
      } catch (error) {
        // What is archived, deleted or was never used is out of the history, as was wanted.
        if (isRefusal(error, "threadGone") || core.state === "closed") return false;
        // Where codex is started again, the next one archives it.
        if (!isConnectionLoss(error)) throw error;
      }
    }
  }

  /** Old servers do not know the call, and a thread that is gone needs none. */
  async #unsubscribe(): Promise<void> {
    const params = { threadId: this.#threadId };
    await this.#parts.core.call("thread/unsubscribe", params, { timeoutMs: 5_000 }).catch(() => {});
  }

  /** A prompt from within one of the session's own tools would wait for its turn, which waits for the tool. */
  #assertAskable(): void {
    this.#assertOpen();
    if (!isInTool(this.#gate)) return;
    throw new InvalidArgumentError("ask", {
      argument: "session",
      received: "the one whose model called the tool",
      accepts: "another session",
      sentence: "a tool asked the session whose model called it, which waits for the tool",
      hint: "Ask another session, or answer first.",
    }, { data: { reason: "askInOwnTool" } });
  }

  #assertOpen(): void {
    if (this.#state !== "open") throw new SessionClosedError();
  }

  #makeHost(): PromptHost {
    const { core } = this.#parts;
    const profile = () => this.#profile;
    return {
      threadId: () => this.#threadId,
      get profile() {
        return profile();
      },
      hookRun: (profile, signal) => this.#hookRun(profile, signal),
      acquire: (owner, signal) => this.#acquire(owner, signal),
      idle: (signal, timeoutMs) => this.#turns.idle(signal, timeoutMs),
      prepareInput: (text, attachments, signal) => this.#prepare(text, attachments, signal),
      startTurn: (turn) => this.#startTurn(turn),
      get rateLimits() {
        return core.rateLimits;
      },
      toolHooksDone: () => this.#gate.postsDone,
    };
  }

  async #acquire(owner: ThreadHolder, signal: AbortSignal): Promise<() => void> {
    const release = await this.#queue.acquire(owner, signal);
    try {
      await this.#ready.wait(signal);
      this.#assertOpen();
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }

  #makeForeign(): ForeignTurns {
    const { core } = this.#parts;
    const profile = () => this.#profile;
    return new ForeignTurns({
      get limits() {
        return profile().limits;
      },
      get timeoutMs() {
        return profile().timeoutMs;
      },
      get rateLimits() {
        return core.rateLimits;
      },
      stopAll: () => this.#turns.stopAll(),
    });
  }

  /** What happens on the thread beside prompts is in files of its own. */
  #makeThread(): ThreadHost {
    const { core, openCopy, answerers } = this.#parts;
    const [turns, foreign] = [this.#turns, this.#foreign];
    const now = {
      threadId: () => this.#threadId,
      profile: () => this.#profile,
      used: () => this.#isUsed,
    };
    return {
      core,
      turns,
      foreign,
      get threadId() {
        return now.threadId();
      },
      get profile() {
        return now.profile();
      },
      get used() {
        return now.used();
      },
      take: async (holder, signal) => {
        this.#assertAskable();
        const release = await this.#acquire(holder, signal);
        try {
          await turns.idle(signal, this.#profile.timeoutMs);
          this.#gate.begin(this.#hookRun(this.#profile), mayLeaveSandbox(this.#policy));
          return release;
        } catch (error) {
          release();
          throw error;
        }
      },
      hookRun: (profile, signal) => this.#hookRun(profile, signal),
      begin: (hooks) => this.#gate.begin(hooks, mayLeaveSandbox(this.#policy)),
      settle: (what, profile) => this.#settle(what, profile),
      reopen: (goals) => this.#reopen(goals),
      count: (tokens) => this.#ledger.add(tokens),
      openCopy: (opening, config, counted) =>
        openCopy(
          opening.method === "thread/start" ? opening : { ...opening, threadId: this.#threadId },
          {
            ...profileOf(this.#profile),
            ...(answerers.own === undefined ? {} : { approvals: answerers.own }),
            cwd: this.cwd,
            ...config,
          },
          counted ? this.#ledger : undefined,
        ),
    };
  }

  /** Whether the thread has had a turn, or anything else that makes it one to go on with. */
  get #isUsed(): boolean {
    return this.#used || this.#parts.attached;
  }

  async #prepare(
    text: string,
    attachments: readonly Attachment[],
    signal?: AbortSignal,
  ): Promise<JsonObject[]> {
    const { core } = this.#parts;
    const remote = isRemote(core.config);
    const files = filesOf(remote);
    const input = await buildInput({ text, attachments: [...attachments] }, {
      cwd: this.cwd,
      serverVersion: core.server.version,
      probe: remote ? unrestrictedProbe : hostProbe(),
      files,
    });
    return await withSkills(input, core, this.cwd, files, signal);
  }

  async #prepareSteer(input: Prompt): Promise<JsonObject[]> {
    checkArgument("steer", "input", input, promptKind);
    const { text, attachments = [] } = typeof input === "string" ? { text: input } : input;
    const { attachments: all } = overlayProfile({ ...this.profile, attachments: [] }, {
      attachments,
    });
    return await this.#prepare(text, all);
  }

  #makeTurns(): ThreadTurns {
    const { core } = this.#parts;
    const [threadId, events] = [() => this.#threadId, this.#events];
    return new ThreadTurns({
      core,
      get threadId() {
        return threadId();
      },
      get emit() {
        return events.emit;
      },
      isNew: !this.#parts.attached,
      count: (tokens) => this.#ledger.add(tokens),
      adopted: (turn) => {
        this.#used = true;
        // The hooks of a prompt hear of what happens while it is active.
        if (this.#queue.holder === null) {
          this.#gate.begin(this.#hookRun(this.profile), mayLeaveSandbox(this.#policy));
        }
        return this.#foreign.adopt(turn);
      },
      stopSubAgents: () => this.#gate.stopSubAgents(),
      resumeThread: () => this.#resumeThread(),
    });
  }

  #hookRun(profile: ResolvedProfile, signal?: AbortSignal): HookRun {
    return new HookRun(this.#hooksOf(profile), {
      threadId: this.#threadId,
      cwd: this.cwd,
      ...(profile.model === null ? {} : { model: profile.model }),
      ...(this.#parts.single ? { continues: this.#parts.startHooks } : {}),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #startTurn(turn: TurnRequest): TurnRun {
    const { core } = this.#parts;
    const { profile } = turn;
    this.#assertOpen();
    const decided = withApprovals(
      decideTurnPolicy(core, this.#decided, profile, this.#hooksOf(profile)),
      this.#parts.answerers,
    );
    this.#warn(decided.effective, turn.emit);
    this.#used = true;
    this.#sent = decided;
    const { acceptedCommands } = this.#policy;
    this.#gate.begin(turn.hooks, mayLeaveSandbox({ ...decided.effective, acceptedCommands }));
    const params = turnStartParams(this.#threadId, turn.input, profile, decided, turn.outputSchema);
    this.#settings = settingsOf(params);
    return this.#turns.start({
      params,
      timeoutMs: profile.timeoutMs,
      emit: turn.emit,
      signal: turn.signal === undefined
        ? this.#refused.signal
        : AbortSignal.any([turn.signal, this.#refused.signal]),
      meter: turn.meter,
    });
  }

  /** Gives the thread the settings of this profile: those of the last turn stick to it. */
  async #settle(what: string, profile: ResolvedProfile): Promise<void> {
    const { core, answerers } = this.#parts;
    const decide = (own: ResolvedProfile) =>
      withApprovals(decideTurnPolicy(core, this.#decided, own, this.#hooksOf(own)), answerers);
    const sent = (own: ResolvedProfile, decided: DecidedPolicy) =>
      settingsOf(turnStartParams(this.#threadId, [], own, decided, null));
    const decided = decide(profile);
    const settings = sent(profile, decided);
    const same = (other: JsonObject) => JSON.stringify(other) === JSON.stringify(settings);
    if (this.#settings !== null && same(this.#settings)) return;
    if (!supports(core.server.version, "threadSettings")) {
      // A thread without a turn runs with what it was started with.
      if (this.#settings === null && same(sent(this.#profile, decide(this.#profile)))) return;
      assertSupported(core, what, "threadSettings");
    }
    this.#sent = decided;
    await core.call("thread/settings/update", { threadId: this.#threadId, ...settings });
    this.#settings = settings;
  }

  /** Takes the thread up again on the same server, which then offers goals to the model or does not. */
  async #reopen(goals: boolean): Promise<void> {
    const { core } = this.#parts;
    await core.call("thread/unsubscribe", { threadId: this.#threadId });
    // A thread without a turn has no file to be resumed from.
    if (!this.#isUsed) await this.#attach("thread/start", goals);
    else await whenClosed(() => this.#attach("thread/resume", goals), this.closeSignal);
    this.#settings = null;
  }

  /** Says what the agent may do that the caller may not expect. */
  #warn(policy: EffectivePolicy, emit: EmitTurnEvent): void {
    const sentences = [...this.#policy.narrowed, ...policy.narrowed];
    if (policy.approvalsNote !== null) sentences.push(policy.approvalsNote);
    // A guard that is not asked; where it is asked, the note is news for the curious only.
    if (policy.toolHooksNote !== null && !policy.toolHooks) sentences.push(policy.toolHooksNote);
    if (!this.#policy.readsEnforced) {
      sentences.push(
        "This codex can't limit what commands read: they may read more than this script may.",
      );
    }
    if (policy.toolHooks && this.#parts.answerers.all === undefined) {
      sentences.push(
        "Tool-use hooks make codex ask about everything it does, and nobody is there to accept it: all of it is declined. " +
          "Give the session or the client `approvals`, or leave the hooks away.",
      );
    }
    for (const message of sentences) {
      if (this.#warned.has(message)) continue;
      this.#warned.add(message);
      emit?.({ type: "warning", threadId: this.#threadId, turnId: "", message });
    }
  }

  #hooksOf(profile: ResolvedProfile): Required<Hooks> {
    return mergeHooks(this.#parts.clientHooks, profile.hooks);
  }

  #route(): void {
    const { core } = this.#parts;
    const threadId = this.#threadId;
    this.#unroute.push(
      core.routes.add(threadId, {
        deltas: (run) => this.#turns.deltas(run),
        notification: (message: RpcNotification) => this.#notification(message),
        oversize: (message: OversizeMessage) => this.#turns.oversize(message),
        connectionLost: (error, restarting) => this.#lost(error, restarting),
        connectionRestored: () => this.#restore(),
      }),
      this.#gate.register(threadId),
    );
  }

  #notification(message: RpcNotification): void {
    const { method, params } = message;
    const { item, turnId } = params;
    const late = this.#turns.get(typeof turnId === "string" ? turnId : null) === undefined
      ? lateCommand(this.#threadId, method, params)
      : null;
    this.#turns.notification(message);
    if (method === "thread/settings/updated") this.#settingsUpdated(params);
    const failed = failedMcpServer(method, params);
    if (failed !== null) this.#turns.warn(failed);
    if (late !== null) this.#events.push(late);
    this.#events.notification(this.#threadId, method, params);
    this.#foreign.notification(method, params);
    if (method === "item/started" && isJsonObject(item)) {
      this.#gate.itemStarted(item, this.#threadId);
    }
    if (method === "item/completed" && isJsonObject(item)) {
      this.#gate.itemCompleted(item, this.#threadId, typeof turnId === "string" ? turnId : null);
    }
  }

  /** The server tells what the thread may do now: it must not be more than the turn was sent with. */
  #settingsUpdated(params: JsonObject): void {
    const { core } = this.#parts;
    try {
      this.#policy = confirmSettings(core, this.#policy, this.#decided, this.#sent, params);
    } catch (error) {
      const { active } = this.#turns;
      if (active === null || active.phase === "identified") {
        // Until the next turn of this session says it all again, if it is not on its way already.
        this.#policy = { ...this.#policy, acceptedCommands: "mayLeave", confirmed: false };
        const what = error instanceof Error ? error.message : String(error);
        return this.#turns.warn(`Something else changed the thread's settings. ${what}`);
      }
      this.#refused.abort(error);
      this.#fail(error);
    }
  }

  #lost(error: ConnectionClosedError, restarting: boolean): void {
    // A server that was only attached to works on; ephemeral threads can't be taken up again.
    const goesOn = restarting && isAttached(this.#parts.core.config) && !this.profile.ephemeral;
    this.#lostBy = error;
    this.#turns.connectionLost(error, goesOn);
    if (!goesOn) this.#foreign.connectionLost(error);
    if (restarting) this.#ready.close();
    else this.#fail(error);
  }

  /** Takes the thread up again on a new server, with its settings, and checks what that server confirms. */
  async #restore(): Promise<void> {
    const lostBy = this.#lostBy!;
    if (this.#state !== "open") return this.#turns.connectionLost(lostBy, false);
    const { profile } = this;
    const unused = !this.#isUsed;
    try {
      if (profile.ephemeral && !unused) {
        throw new SessionClosedError(
          "The connection was made anew, and no server takes an ephemeral thread up again.",
        );
      }
      await this.#attach(unused ? "thread/start" : "thread/resume");
      await this.#turns.resume(lostBy);
    } catch (error) {
      // When this server ended as well, the next one is tried, or the end is told to everyone.
      if (!isConnectionLoss(error)) {
        this.#turns.connectionLost(lostBy, false);
        this.#fail(error);
      }
      throw error;
    }
    this.#ready.open();
  }

  /** Starts or resumes the thread with the session's settings, and checks what the server confirms. */
  async #attach(
    method: "thread/start" | "thread/resume",
    goals: boolean = this.#profile.goals,
  ): Promise<void> {
    const { core } = this.#parts;
    const { cwd } = this;
    const profile = { ...this.#profile, goals };
    const { answerers } = this.#parts;
    const hooks = this.#hooksOf(profile);
    const decided = withApprovals(
      await decideSessionPolicy(core, cwd, profile, hooks, answerers.all),
      answerers,
    );
    const params = method === "thread/start"
      ? threadStartParams(cwd, profile, decided)
      : threadAttachParams(this.#threadId, cwd, profile, decided);
    const result = await core.callNow(method, params);
    this.#policy = confirmDecided(core, decided, result);
    this.#decided = decided;
    this.#sent = decided;
    if (method === "thread/start") this.#adopt(result);
  }

  /** Takes the thread up again on a server that does not say what it does with it, or does not end it. */
  async #resumeThread(): Promise<void> {
    const { core } = this.#parts;
    if (this.profile.ephemeral || core.state !== "running") return;
    // Old servers do not know the first call; that they refuse the second one changes nothing.
    await core.callNow("thread/unsubscribe", { threadId: this.#threadId }).catch(() => {});
    await this.#attach("thread/resume").catch((error) => {
      if (error instanceof PolicyMismatchError) this.#fail(error);
    });
  }

  /** A thread that was never used is simply started anew. */
  #adopt(result: JsonValue): void {
    const thread = isJsonObject(result) ? result["thread"] : undefined;
    if (!isJsonObject(thread) || typeof thread["id"] !== "string") return;
    for (const leave of this.#unroute.splice(0)) leave();
    this.#threadId = thread["id"];
    this.#route();
  }

  /** The thread can't be used any more; everyone is told why. */
  #fail(error: unknown): void {
    this.#ready.fail(error);
    this.#queue.close(error);
    this.#ended.abort(error);
    this.#events.end();
  }
}
