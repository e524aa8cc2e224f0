/**
 * The thread of one session: who has it, what is asked of it, and its end. What its messages mean and which turn they belong
 * to is in `ThreadTurns`, how it is lost and resumed in `ThreadConnection`, what it runs with in `SessionSettings`.
 * @module
 */
import { CodexError, messageOf, SessionClosedError, ThreadInUseError } from "../errors/mod.ts";
import { defined, type JsonObject, present } from "../json.ts";
import { hasToolHooks, HookRun } from "../plugin/mod.ts";
import { prepareInput } from "./prompt/prepare_input.ts";
import { SessionEvents } from "./events/session_events.ts";
import type { ResolvedProfile } from "./profile.ts";
import { overlayProfile, profileOf } from "./policy/thread_params.ts";
import { ForeignTurns } from "./thread/foreign_turns.ts";
import { ThreadConnection } from "./thread/thread_connection.ts";
import { type ThreadHolder, type ThreadHost, TurnQueue } from "./thread/thread_host.ts";
import type { Prompt } from "../prompt.ts";
import type { PromptHost, TurnRequest } from "./prompt/prompt_run.ts";
import { assertNotWaitedFor } from "./prompt/waiting.ts";
import { mayLeaveSandbox, recheckForeign, refusalByWorkspace } from "./policy/session_policy.ts";
import { SessionGate } from "./policy/session_gate.ts";
import { ThreadTurns } from "./turn/thread_turns.ts";
import { assertStopped } from "./turn/stop_turn.ts";
import type { OtelContext } from "../telemetry.ts";
import type { TurnRun } from "./turn/turn_run.ts";
import { UsageLedger } from "./turn/turn_usage.ts";
import { type LastingParts, type SessionParts, SessionSettings } from "./session_settings.ts";

/** What opens a thread anew; few sessions need it. */
const anew = () => import("./thread/reopen.ts");

/** `unstored`: released until all of it is stored, since what is archived can't be. */
type Closing = "open" | "closing" | "archived" | "released" | "unstored";

/** The thread of one session. */
export class SessionThread {
  /** What the session is made of. */
  readonly parts: LastingParts;
  /** The thread on its server. */
  readonly connection: ThreadConnection;
  /** What it runs with. */
  readonly settings: SessionSettings;
  /** Who has the thread, and who waits for it. */
  readonly queue: TurnQueue<ThreadHolder>;
  /** Its tokens. */
  readonly ledger: UsageLedger;
  /** Its turns. */
  readonly turns: ThreadTurns;
  /** Those that no prompt began. */
  readonly foreign: ForeignTurns;
  /** Its part in approvals, hooks and tools. */
  readonly gate: SessionGate;
  /** Who listens to it. */
  readonly events: SessionEvents = new SessionEvents();
  /** Aborted when the session takes no more prompts. */
  readonly ended: AbortController = new AbortController();
  /** What prompts are offered. */
  readonly prompts: PromptHost;
  /** What is offered to what happens beside prompts. */
  readonly host: ThreadHost;
  /** Whether the thread has had a turn. */
  used = false;
  #state: Closing = "open";
  #closing: Promise<void> | null = null;
  /** 1 while who had the thread last has done with it, and it is being stored. */
  #leaving: 0 | 1 = 0;
  /** The trace of who has the thread for something else than a prompt. */
  #heldIn: OtelContext | null = null;

  /** Takes a thread that the server has opened. */
  constructor(parts: SessionParts) {
    this.parts = parts;
    this.queue = new TurnQueue(() => parts.core.alive.hold());
    this.settings = new SessionSettings(parts);
    this.connection = new ThreadConnection(this, parts.threadId);
    const { settings } = this;
    settings.renew = async (refusal) => (await anew()).renew(this.connection, this, refusal);
    this.ledger = new UsageLedger(parts.ledger);
    this.turns = this.#makeTurns();
    this.foreign = this.#makeForeign();
    this.gate = new SessionGate({
      core: parts.core,
      turns: this.turns,
      // An agent's agent may have another model, which is not told.
      subAgentSpan: (threadId, turn) =>
        settings.span(threadId, {}, turn?.span?.context ?? null, null),
      countSubAgent: (tokens, turn) => {
        this.ledger.add(tokens, true);
        turn?.addSubAgentTokens(tokens);
      },
      events: this.events,
      tools: parts.profile.tools,
      toolsServer: parts.served?.name ?? null,
      approvals: parts.answerers.all,
      hooked: () => hasToolHooks(settings.hooksOf(settings.profile)),
      refuses: (request) => refusalByWorkspace(parts.core, settings.policy, request),
      settings,
    });
    this.prompts = this.#makePrompts();
    this.host = this.#makeHost();
    const warn = (message: string) => this.turns.warn(message);
    parts.checkpoints?.join({
      isBusy: () => this.#isBusy || this.gate.agents.some(({ busy }) => busy),
      warn,
    });
    parts.served?.bind((call, signal) => this.gate.serve(call, signal));
    this.ended.signal.addEventListener("abort", () => void parts.served?.end(), { once: true });
    this.connection.route();
    parts.onOpened(this.host, warn);
  }

  /** Ends the session: archives the thread, or releases it to be resumed later. Idempotent; retryable when it fails. */
  end(archive: boolean): Promise<void> {
    if (this.#closing !== null) return this.#closing;
    if (this.#state === "archived") return Promise.resolve();
    const ended = this.#state === "released" || this.#state === "unstored";
    const ending = ended ? this.#endStored(archive) : this.#end(archive);
    return this.#closing = ending.finally(() => this.#closing = null);
  }

  /** What could not be stored when the session ended is on this machine still. */
  async #endStored(archive: boolean): Promise<void> {
    await this.#flush();
    if (!archive || this.#state !== "unstored") return;
    await this.turns.rest.leave(true);
    this.#state = "archived";
  }

  async #end(archive: boolean): Promise<void> {
    this.#state = "closing";
    const closed = new SessionClosedError();
    this.ended.abort(closed);
    this.queue.close(closed);
    this.queue.holder?.cancel(closed);
    const stopped = await this.turns.rest.stopAll(true) && await this.gate.stopSubAgents();
    // What is archived has ended; what is only released would go on without anybody.
    if (!archive) assertStopped(stopped || this.parts.core.state === "closed");
    await this.connection.reopened;
    // While the thread is where it was; what the store says of it is told when all else is done.
    const { last } = this.parts;
    const unstored = await this.#flush().then(() => null, (error: unknown) => error);
    const again = archive && unstored instanceof CodexError && unstored.retryable;
    await this.turns.rest.leave(archive && !again && !this.settings.profile.ephemeral, last);
    // Codex 0.125 ends an archived thread, and not the agent that a turn of it was just starting.
    await this.gate.leaveSubAgents(last);
    this.parts.core.endOrphans();
    this.#state = again ? "unstored" : archive ? "archived" : "released";
    this.connection.unroute();
    this.turns.close();
    this.events.end();
    await this.parts.checkpoints?.leave();
    await this.parts.served?.end();
    this.parts.onClosed();
    if (unstored !== null) throw unstored;
  }

  async #flush(): Promise<void> {
    if (this.isUsed) await this.parts.portable?.flush();
  }

  /** The thread; one that was never used is another one after its server was started again. */
  get threadId(): string {
    return this.connection.threadId;
  }

  /** Whether nobody has begun to end the session. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Throws when nothing more may be asked, here or by who asks. */
  assertAskable(): void {
    this.assertOpen();
    assertNotWaitedFor(this.gate);
  }

  /** Throws when the session is over. */
  assertOpen(): void {
    if (!this.isOpen) throw new SessionClosedError();
  }

  /** Takes the thread up anew: on a new server when the old one is `lost`, else on the one that has closed it. */
  async openAnew(lost: boolean): Promise<void> {
    const { restoreThread, resumeClosed } = await anew();
    await (lost ? restoreThread : resumeClosed)(this.connection, this);
  }

  /** The input items of what a running turn is asked in addition. */
  async prepareSteer(input: Prompt): Promise<JsonObject[]> {
    const { text, attachments = [] } = typeof input === "string" ? { text: input } : input;
    const { attachments: all } = overlayProfile({ ...this.settings.profile, attachments: [] }, {
      attachments,
    });
    const { parts: { core, cwd }, settings } = this;
    return await prepareInput(core, cwd, text, all, settings.modelOf(settings.profile.model));
  }

  #makePrompts(): PromptHost {
    const { parts: { core }, settings } = this;
    return {
      threadId: () => this.threadId,
      get profile() {
        return settings.next;
      },
      callerContext: () => core.telemetry?.active() ?? null,
      hookRun: (profile, signal) => this.#hookRun(profile, signal),
      acquire: (owner, signal) => this.#acquire(owner, signal),
      idle: (signal, timeoutMs) => this.turns.rest.idle(signal, timeoutMs),
      prepareInput: (text, attachments, model, signal) =>
        prepareInput(core, this.parts.cwd, text, attachments, this.settings.modelOf(model), signal),
      checkpoint: async (profile, signal) => {
        // Hooks, and the pause before another try, may have taken long.
        await this.connection.resumeIfClosed(signal);
        await this.settings.admit(this.threadId, profile, this.turns.leftCommands);
        this.turns.leftCommands = false;
        const made = await this.parts.checkpoints?.before(this.settings.effective(profile), signal);
        // A thread that was never used is another one on the next server.
        await this.connection.ready.wait(signal);
        return made ?? null;
      },
      startTurn: (turn) => this.#startTurn(turn),
      listeners: this.events,
      get rateLimits() {
        return core.rateLimits;
      },
      toolHooksDone: () => this.gate.postsDone,
      stored: () => this.store(),
    };
  }

  async #acquire(
    owner: ThreadHolder,
    signal: AbortSignal,
    begin?: () => Promise<void>,
  ): Promise<() => void> {
    const release = await this.queue.acquire(owner, signal, owner.first);
    try {
      await this.connection.ready.wait(signal);
      this.assertOpen();
      // Nobody else goes on with the thread, where a store tells.
      await this.parts.portable?.claim(signal).catch((error) => this.#throwUnstored(error));
      this.assertOpen();
      await this.connection.resumeIfClosed(signal);
      await this.settings.readyToTrace();
      await begin?.();
      if (this.parts.portable === null) return release;
      return () => {
        this.#leaving = 1;
        void this.store().catch(() => {}).then(() => {
          this.#leaving = 0;
          release();
        });
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Stores what the turns left; when that fails, the next turn tries again, unless somebody else has the thread. */
  async store(): Promise<void> {
    const { portable } = this.parts;
    if (portable === null || this.parts.core.state !== "running") return;
    try {
      await portable.flush();
    } catch (error) {
      if (error instanceof ThreadInUseError) this.#throwUnstored(error);
      this.turns.warn(
        `The thread could not be stored, and will be with the next turn: ${messageOf(error)}`,
      );
    }
  }

  #throwUnstored(error: unknown): never {
    if (error instanceof ThreadInUseError) this.fail(error);
    throw error;
  }

  /** What happens on the thread beside prompts is in files of its own. */
  #makeHost(): ThreadHost {
    const { core, openCopy, answerers, checkpoints, portable } = this.parts;
    const [turns, foreign] = [this.turns, this.foreign];
    const thread = () => this;
    return {
      core,
      turns,
      foreign,
      checkpoints,
      listeners: this.events,
      get threadId() {
        return thread().threadId;
      },
      get profile() {
        return thread().settings.profile;
      },
      get used() {
        return thread().isUsed;
      },
      get busy() {
        return thread().#isBusy && !(turns.active?.isStopping && thread().queue.length < 2);
      },
      get agents() {
        return thread().gate.agents;
      },
      checkpoint: async (signal) => {
        await checkpoints?.beforeOwnTurn(this.settings.sent, signal);
      },
      stored: () => this.store(),
      reverted: () => turns.reverted(),
      take: async (holder, signal) => {
        this.assertAskable();
        const caller = core.telemetry?.active() ?? null;
        const release = await this.#acquire(holder, signal, async () => {
          await turns.rest.free(signal, this.settings.profile.timeoutMs);
          await this.connection.resumeIfClosed(signal);
          this.#beginTurns();
        });
        this.#heldIn = caller;
        return () => {
          this.#heldIn = null;
          release();
        };
      },
      span: (params) => this.settings.span(this.threadId, params, this.#heldIn),
      hookRun: (profile, signal) => this.#hookRun(profile, signal),
      begin: (hooks) => this.gate.begin(hooks, mayLeaveSandbox(this.settings.policy)),
      toolHooksDone: () => this.gate.postsDone,
      answerers,
      effective: (profile) => this.settings.effective(profile),
      settle: (what, profile) => this.settings.settle(this.threadId, what, profile),
      reopen: async (goals) => (await anew()).reopen(this.connection, this, goals),
      stopAgents: () => this.gate.stopSubAgents(),
      goalLost: () => void Object.assign(this.connection, { goalLost: true, goals: false }),
      count: (tokens) => this.ledger.add(tokens),
      openCopy: (opening, config, counted) =>
        openCopy(
          opening.method === "thread/start" ? opening : { ...opening, threadId: this.threadId },
          {
            ...profileOf(this.settings.profile, config),
            ...defined({ approvals: answerers.own }),
            ...(portable === null || config.ephemeral ? {} : { store: portable.store }),
            cwd: this.settings.cwd,
            ...config,
          },
          counted ? this.ledger : undefined,
        ),
    };
  }

  #makeForeign(): ForeignTurns {
    const { parts: { core }, settings } = this;
    return new ForeignTurns({
      get limits() {
        return settings.profile.limits;
      },
      get timeoutMs() {
        return settings.profile.timeoutMs;
      },
      get rateLimits() {
        return core.rateLimits;
      },
      count: (tokens) => this.ledger.add(tokens),
      recheck: async (goal) =>
        await recheckForeign(core, settings, goal ? settings.effective(settings.profile) : null),
      stopAll: () => this.turns.rest.stopAll(),
    });
  }

  #makeTurns(): ThreadTurns {
    const threadId = () => this.threadId;
    return new ThreadTurns({
      core: this.parts.core,
      get threadId() {
        return threadId();
      },
      listeners: this.events,
      isNew: !this.parts.attached,
      count: (tokens, turn) => this.foreign.count(tokens, turn),
      adopted: (turn) => {
        this.used = true;
        const { settings } = this;
        // It has the settings of the last prompt.
        this.parts.checkpoints?.adopted(turn, () => ({ ...settings.sent, cwd: settings.cwd }));
        // The hooks of a prompt hear of what happens while it is active.
        if (this.queue.holder === null) this.#beginTurns();
        return this.foreign.adopt(turn);
      },
      span: (params, parent) => this.settings.span(this.threadId, params, parent ?? this.#heldIn),
      stopSubAgents: () => this.gate.stopSubAgents(),
      stopStarting: (item) => this.gate.stopStarting(item),
      missed: (item) => this.gate.learn(item),
      resumeThread: async () => (await anew()).resumeThread(this.connection, this),
    });
  }

  get #isBusy(): boolean {
    return this.queue.length > this.#leaving || this.turns.active !== null;
  }

  /** Whether the thread has had a turn, or anything else that makes it one to go on with. */
  get isUsed(): boolean {
    return this.used || this.turns.asked > 0 || this.parts.attached;
  }

  /** Turns begin that are no prompt's. */
  #beginTurns(): void {
    const { profile, policy } = this.settings;
    this.gate.begin(this.#hookRun(profile), mayLeaveSandbox(policy));
  }

  #hookRun(profile: ResolvedProfile, signal?: AbortSignal): HookRun {
    const hooks = this.settings.hooksOf(profile);
    return new HookRun(hooks, {
      within: this.gate.waiter(hooks.pre[0] ?? hooks.post[0]),
      threadId: this.threadId,
      cwd: this.parts.cwd,
      ...present({ model: profile.model }),
      ...(this.parts.single ? { continues: this.parts.startHooks } : {}),
      ...defined({ signal }),
    });
  }

  #startTurn(turn: TurnRequest): TurnRun {
    this.assertOpen();
    const { params, leaves, accepted } = this.settings.turn(this.threadId, turn);
    this.gate.begin(turn.hooks, leaves);
    const run = this.turns.start({
      params,
      timeoutMs: turn.profile.timeoutMs,
      emit: turn.emit,
      signal: turn.signal === undefined
        ? this.connection.refused.signal
        : AbortSignal.any([turn.signal, this.connection.refused.signal]),
      meter: turn.meter,
      parent: turn.parent,
    });
    run.identified.then(accepted, () => {});
    return run;
  }

  /** The thread can't be used any more; everyone is told why, and how what was active has ended. */
  fail(error: unknown): void {
    this.connection.ready.fail(error);
    void this.parts.checkpoints?.leave();
    this.queue.close(error);
    this.queue.holder?.cancel(error);
    this.ended.abort(error);
    void Promise.all([this.turns.rest.stopAll(true), this.gate.stopSubAgents()])
      .then(() => this.events.end());
  }
}
