/**
 * The thread of one session: who has it, its turns, its connection, and its end. What its messages mean and which turn they
 * belong to is in `ThreadTurns`, what it runs with in `SessionSettings`.
 * @module
 */
import { checkArgument } from "../check/mod.ts";
import {
  type ConnectionClosedError,
  messageOf,
  PolicyMismatchError,
  SessionClosedError,
  ThreadInUseError,
} from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import { hasToolHooks, HookRun } from "../plugin/mod.ts";
import type { OversizeMessage, RpcNotification } from "../rpc/mod.ts";
import { Latch } from "../async.ts";
import { prepareInput } from "./prompt/prepare_input.ts";
import { failedMcpServer, lateCommand, SessionEvents } from "./events/session_events.ts";
import type { ResolvedProfile } from "./profile.ts";
import { promptKind } from "./profile_shape.ts";
import { overlayProfile, profileOf } from "./policy/thread_params.ts";
import { rememberTools } from "./mcp/begun_with.ts";
import { ForeignTurns } from "./thread/foreign_turns.ts";
import { type ThreadHolder, type ThreadHost, TurnQueue } from "./thread/thread_host.ts";
import type { Prompt } from "../prompt.ts";
import type { PromptHost, TurnRequest } from "./prompt/prompt_run.ts";
import { assertNotWaitedFor } from "./prompt/waiting.ts";
import { mayLeaveSandbox, refusalByWorkspace, workspaceOf } from "./policy/session_policy.ts";
import { isAttached } from "../runtime/mod.ts";
import { SessionGate } from "./policy/session_gate.ts";
import { ThreadTurns } from "./turn/thread_turns.ts";
import { assertStopped } from "./turn/stop_turn.ts";
import { isConnectionLoss } from "./turn/thread_stop.ts";
import type { OtelContext } from "../telemetry.ts";
import type { TurnRun } from "./turn/turn_run.ts";
import { UsageLedger } from "./turn/turn_usage.ts";
import { type SessionParts, SessionSettings } from "./session_settings.ts";
import { whenClosed } from "./client/threads.ts";

type Closing = "open" | "closing" | "archived" | "released";

/** The thread of one session. */
export class SessionThread {
  /** What the session is made of. */
  readonly parts: SessionParts;
  /** The thread; one that was never used is another one after its server was started again. */
  threadId: string;
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
  readonly #unroute: (() => void)[] = [];
  /** Aborted when the server lets a turn do more than it was asked to. */
  readonly #refused = new AbortController();
  /** Why the connection to a server that goes on was lost. */
  #lostBy: ConnectionClosedError | null = null;
  #state: Closing = "open";
  #closing: Promise<void> | null = null;
  /** The trace of who has the thread for something else than a prompt. */
  #heldIn: OtelContext | null = null;
  readonly #ready = new Latch();

  /** Takes a thread that the server has opened. */
  constructor(parts: SessionParts) {
    this.parts = parts;
    this.queue = new TurnQueue(() => parts.core.alive.hold());
    this.threadId = parts.threadId;
    this.settings = new SessionSettings(parts);
    const { settings } = this;
    this.ledger = new UsageLedger(parts.ledger);
    this.turns = this.#makeTurns();
    this.foreign = this.#makeForeign();
    this.gate = new SessionGate({
      core: parts.core,
      turns: () => this.turns,
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
      contained: () => settings.policy.acceptedCommands === "sandboxed",
      workspace: () => workspaceOf(settings.sent),
    });
    this.prompts = this.#makePrompts();
    this.host = this.#makeHost();
    const warn = (message: string) => this.turns.warn(message);
    parts.checkpoints?.join({ isBusy: () => this.#isBusy, warn });
    parts.served?.bind((call, signal) => this.gate.serve(call, signal));
    this.ended.signal.addEventListener("abort", () => void parts.served?.end(), { once: true });
    this.#route();
    parts.onOpened(this.host, warn);
  }

  /** Ends the session: archives the thread, or lets it go to be resumed later. Idempotent; retryable when it fails. */
  end(archive: boolean): Promise<void> {
    if (this.#state === "archived" || this.#state === "released") return Promise.resolve();
    this.#closing ??= this.#letGo(archive).finally(() => this.#closing = null);
    return this.#closing;
  }

  async #letGo(archive: boolean): Promise<void> {
    this.#state = "closing";
    const closed = new SessionClosedError();
    this.ended.abort(closed);
    const atWork = this.queue.holder;
    this.queue.close(closed);
    atWork?.cancel(closed);
    const stopped = await this.turns.rest.stopAll() && await this.gate.stopSubAgents();
    // What is archived has ended; what is only released would go on without anybody.
    if (!archive) assertStopped(stopped || this.parts.core.state === "closed");
    // While the thread is where it was; what the store says of it is told when all else is done.
    const { portable } = this.parts;
    const unstored = portable !== null && this.#isUsed && this.parts.core.state !== "closed"
      ? await portable.flush().then(() => null, (error: unknown) => error)
      : null;
    await this.turns.rest.leave(archive && !this.settings.profile.ephemeral);
    this.#state = archive ? "archived" : "released";
    for (const leave of this.#unroute.splice(0)) leave();
    this.turns.close();
    this.events.end();
    this.parts.checkpoints?.leave();
    await this.parts.served?.end();
    this.parts.onClosed();
    if (unstored !== null) throw unstored;
  }

  /** Throws when nothing more may be asked, here or by who asks. */
  assertAskable(): void {
    this.assertOpen();
    assertNotWaitedFor(this.gate);
  }

  /** Throws when the session is over. */
  assertOpen(): void {
    if (this.#state !== "open") throw new SessionClosedError();
  }

  /** The input items of what a running turn is asked in addition. */
  async prepareSteer(input: Prompt): Promise<JsonObject[]> {
    checkArgument("steer", "input", input, promptKind);
    const { text, attachments = [] } = typeof input === "string" ? { text: input } : input;
    const { attachments: all } = overlayProfile({ ...this.settings.profile, attachments: [] }, {
      attachments,
    });
    return await prepareInput(this.parts.core, this.parts.cwd, text, all);
  }

  #makePrompts(): PromptHost {
    const { core } = this.parts;
    const profile = () => this.settings.profile;
    return {
      threadId: () => this.threadId,
      get profile() {
        return profile();
      },
      callerContext: () => core.telemetry?.active() ?? null,
      hookRun: (profile, signal) => this.#hookRun(profile, signal),
      acquire: (owner, signal) => this.#acquire(owner, signal),
      idle: (signal, timeoutMs) => this.turns.rest.idle(signal, timeoutMs),
      prepareInput: (text, attachments, signal) =>
        prepareInput(core, this.parts.cwd, text, attachments, signal),
      checkpoint: async (profile, signal) => {
        const { checkpoints } = this.parts;
        if (checkpoints === null) return null;
        return await checkpoints.before(this.settings.effective(profile), signal);
      },
      startTurn: (turn) => this.#startTurn(turn),
      get rateLimits() {
        return core.rateLimits;
      },
      toolHooksDone: () => this.gate.postsDone,
      stored: () => this.#store(),
    };
  }

  async #acquire(
    owner: ThreadHolder,
    signal: AbortSignal,
    begin?: () => Promise<void>,
  ): Promise<() => void> {
    const release = await this.queue.acquire(owner, signal);
    try {
      await this.#ready.wait(signal);
      this.assertOpen();
      const stores = this.parts.portable !== null;
      if (stores) {
        await this.#claim(signal);
        this.assertOpen();
      }
      const loading = this.settings.readyToTrace();
      if (loading !== null) await loading;
      await begin?.();
      return stores ? () => void this.#store().catch(() => {}).then(release) : release;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Makes sure that nobody else goes on with the thread, where a store tells. */
  async #claim(signal: AbortSignal): Promise<void> {
    try {
      await this.parts.portable?.claim(signal);
    } catch (error) {
      if (error instanceof ThreadInUseError) this.#fail(error);
      throw error;
    }
  }

  /** Stores what the turns left; when that fails, the next turn tries again, unless somebody else has the thread. */
  async #store(): Promise<void> {
    const { portable } = this.parts;
    if (portable === null || this.parts.core.state !== "running") return;
    try {
      await portable.flush();
    } catch (error) {
      if (error instanceof ThreadInUseError) {
        this.#fail(error);
        throw error;
      }
      this.turns.warn(
        `The thread could not be stored, and will be with the next turn: ${messageOf(error)}`,
      );
    }
  }

  /** What happens on the thread beside prompts is in files of its own. */
  #makeHost(): ThreadHost {
    const { core, openCopy, answerers, checkpoints } = this.parts;
    const [turns, foreign] = [this.turns, this.foreign];
    const now = {
      busy: () => this.#isBusy,
      threadId: () => this.threadId,
      profile: () => this.settings.profile,
      used: () => this.#isUsed,
    };
    return {
      core,
      turns,
      foreign,
      checkpoints,
      get threadId() {
        return now.threadId();
      },
      get profile() {
        return now.profile();
      },
      get used() {
        return now.used();
      },
      get busy() {
        return now.busy();
      },
      checkpoint: async (signal) => {
        const { settings } = this;
        await checkpoints?.beforeOwnTurn(settings.effective(settings.profile), signal);
      },
      reverted: () => turns.reverted(),
      take: async (holder, signal) => {
        this.assertAskable();
        const caller = core.telemetry?.active() ?? null;
        const release = await this.#acquire(holder, signal, async () => {
          await turns.rest.idle(signal, this.settings.profile.timeoutMs);
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
      settle: (what, profile) => this.settings.settle(this.threadId, what, profile),
      reopen: (goals) => this.#reopen(goals),
      count: (tokens) => this.ledger.add(tokens),
      openCopy: (opening, config, counted) =>
        openCopy(
          opening.method === "thread/start" ? opening : { ...opening, threadId: this.threadId },
          {
            ...profileOf(this.settings.profile),
            ...(answerers.own === undefined ? {} : { approvals: answerers.own }),
            cwd: this.parts.cwd,
            ...config,
          },
          counted ? this.ledger : undefined,
        ),
    };
  }

  #makeForeign(): ForeignTurns {
    const { core } = this.parts;
    const profile = () => this.settings.profile;
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
      count: (tokens) => this.ledger.add(tokens),
      adopted: (turn) => {
        this.used = true;
        this.parts.checkpoints?.adopted(
          turn,
          this.settings.effective(this.settings.profile),
        );
        // The hooks of a prompt hear of what happens while it is active.
        if (this.queue.holder === null) this.#beginTurns();
        return this.foreign.adopt(turn);
      },
      span: (params, parent) => this.settings.span(this.threadId, params, parent ?? this.#heldIn),
      stopSubAgents: () => this.gate.stopSubAgents(),
      missed: (item) => this.gate.learn(item),
      resumeThread: () => this.#resumeThread(),
    });
  }

  get #isBusy(): boolean {
    return this.queue.length > 0 || this.turns.active !== null;
  }

  /** Whether the thread has had a turn, or anything else that makes it one to go on with. */
  get #isUsed(): boolean {
    return this.used || this.parts.attached;
  }

  /** Turns begin that are no prompt's. */
  #beginTurns(): void {
    const { profile, policy } = this.settings;
    this.gate.begin(this.#hookRun(profile), mayLeaveSandbox(policy));
  }

  #hookRun(profile: ResolvedProfile, signal?: AbortSignal): HookRun {
    return new HookRun(this.settings.hooksOf(profile), {
      within: (call) => this.gate.within(call),
      threadId: this.threadId,
      cwd: this.parts.cwd,
      ...(profile.model === null ? {} : { model: profile.model }),
      ...(this.parts.single ? { continues: this.parts.startHooks } : {}),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #startTurn(turn: TurnRequest): TurnRun {
    const { profile } = turn;
    this.assertOpen();
    const { params, leaves, accepted } = this.settings.turn(this.threadId, turn);
    this.used = true;
    this.gate.begin(turn.hooks, leaves);
    const run = this.turns.start({
      params,
      timeoutMs: profile.timeoutMs,
      emit: turn.emit,
      signal: turn.signal === undefined
        ? this.#refused.signal
        : AbortSignal.any([turn.signal, this.#refused.signal]),
      meter: turn.meter,
      parent: turn.parent,
    });
    run.identified.then(accepted, () => {});
    return run;
  }

  /** Takes the thread up again on the same server, which then offers goals to the model or does not. */
  async #reopen(goals: boolean): Promise<void> {
    const { core } = this.parts;
    await core.call("thread/unsubscribe", { threadId: this.threadId });
    // A thread without a turn has no file to be resumed from.
    if (!this.#isUsed) await this.#attach("thread/start", goals);
    else await whenClosed(() => this.#attach("thread/resume", goals), this.ended.signal);
    this.settings.forget();
    // Somebody else may have started a turn meanwhile.
    await this.turns.rest.repair();
  }

  #route(): void {
    const { core } = this.parts;
    const threadId = this.threadId;
    this.#unroute.push(
      core.routes.add(threadId, {
        deltas: (run) => this.turns.deltas(run),
        notification: (message: RpcNotification) => this.#notification(message),
        oversize: (message: OversizeMessage) => this.turns.oversize(message),
        connectionLost: (error, restarting) => this.#lost(error, restarting),
        connectionRestored: () => this.#restore(),
      }),
      this.gate.register(threadId),
    );
  }

  #notification(message: RpcNotification): void {
    const { method, params } = message;
    const { item, turnId } = params;
    const late = this.turns.get(typeof turnId === "string" ? turnId : null) === undefined
      ? lateCommand(this.threadId, method, params)
      : null;
    // Before the turn hears of its end, so that its caller is told.
    const doubt = method === "turn/completed" ? this.settings.unconfirmed() : null;
    if (doubt !== null) this.turns.warn(doubt);
    this.turns.notification(message);
    if (method === "turn/completed") {
      this.parts.portable?.touch();
      // Whoever has the thread stores it when that is over.
      if (this.queue.holder === null) this.#store().catch(() => {});
    }
    if (method === "thread/name/updated") this.parts.portable?.touch();
    if (method === "thread/settings/updated") this.#settingsUpdated(params);
    const failed = failedMcpServer(method, params);
    if (failed !== null) this.turns.warn(failed);
    if (late !== null) this.events.push(late);
    this.events.notification(this.threadId, method, params);
    this.foreign.notification(method, params);
    if (method === "item/started" && isJsonObject(item)) {
      this.gate.itemStarted(item, this.threadId);
    }
    if (method === "item/completed" && isJsonObject(item)) {
      this.gate.itemCompleted(item, this.threadId, typeof turnId === "string" ? turnId : null);
    }
  }

  /** The server tells what the thread may do now: it must not be more than the turn was sent with. */
  #settingsUpdated(params: JsonObject): void {
    try {
      this.settings.confirm(params);
    } catch (error) {
      const { active } = this.turns;
      if (active === null || active.phase === "identified") {
        this.settings.distrust();
        const what = messageOf(error);
        return this.turns.warn(`Something else changed the thread's settings. ${what}`);
      }
      this.#refused.abort(error);
      this.#fail(error);
    }
  }

  #lost(error: ConnectionClosedError, restarting: boolean): void {
    // A server that was only attached to works on; ephemeral threads can't be taken up again.
    const goesOn = restarting && isAttached(this.parts.core.config) &&
      !this.settings.profile.ephemeral;
    this.#lostBy = error;
    this.turns.connectionLost(error, goesOn);
    if (!goesOn) this.foreign.connectionLost(error);
    if (restarting) this.#ready.close();
    else this.#fail(error);
  }

  /** Takes the thread up again on a new server, with its settings, and checks what that server confirms. */
  async #restore(): Promise<void> {
    const lostBy = this.#lostBy!;
    if (this.#state !== "open") return this.turns.connectionLost(lostBy, false);
    const { profile } = this.settings;
    const unused = !this.#isUsed;
    try {
      if (profile.ephemeral && !unused) {
        throw new SessionClosedError(
          "The connection was made anew, and no server takes an ephemeral thread up again.",
        );
      }
      await this.#attach(unused ? "thread/start" : "thread/resume");
      await this.turns.rest.resume(lostBy);
    } catch (error) {
      // When this server ended as well, the next one is tried, or the end is told to everyone.
      if (!isConnectionLoss(error)) {
        this.turns.connectionLost(lostBy, false);
        this.#fail(error);
      }
      throw error;
    }
    this.#ready.open();
  }

  /** Starts or resumes the thread with the session's settings. */
  async #attach(
    method: "thread/start" | "thread/resume",
    goals: boolean = this.settings.profile.goals,
  ): Promise<void> {
    const result = await this.settings.open(method, this.threadId, goals);
    if (method === "thread/start") this.#adopt(result);
  }

  /** Takes the thread up again on a server that does not say what it does with it, or does not end it. */
  async #resumeThread(): Promise<void> {
    const { core } = this.parts;
    if (this.settings.profile.ephemeral || core.state !== "running") return;
    // Old servers do not know the first call; that they refuse the second one changes nothing.
    await core.callNow("thread/unsubscribe", { threadId: this.threadId }).catch(() => {});
    try {
      await this.#attach("thread/resume");
      await this.turns.rest.repair();
    } catch (error) {
      if (error instanceof PolicyMismatchError) this.#fail(error);
    }
  }

  /** A thread that was never used is simply started anew. */
  #adopt(result: JsonValue): void {
    const thread = isJsonObject(result) ? result["thread"] : undefined;
    if (!isJsonObject(thread) || typeof thread["id"] !== "string") return;
    for (const leave of this.#unroute.splice(0)) leave();
    this.threadId = thread["id"];
    rememberTools(this.parts.core, this.threadId, this.parts.profile);
    this.#route();
    void this.parts.portable?.opened(this.threadId);
  }

  /** The thread can't be used any more; everyone is told why, and how what was at work has ended. */
  #fail(error: unknown): void {
    this.#ready.fail(error);
    this.parts.checkpoints?.leave();
    this.queue.close(error);
    this.ended.abort(error);
    void Promise.all([this.turns.rest.stopAll(), this.gate.stopSubAgents()])
      .then(() => this.events.end());
  }
}
