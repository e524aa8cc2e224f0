/**
 * Every turn of one thread: those that were asked for, and those that something else began, which are adopted.
 *
 * Who a turn belongs to is told by order and by ids that this client or the server made: by the id in the answer to
 * `turn/start`, and by the mark on the prompt (`clientUserMessageId`) where the server repeats it. Until the answer is
 * there, every turn that begins may be the prompt's own, and is kept for it from its beginning.
 *
 * Measured on 0.104, 0.125, 0.145 and 0.169:
 * - A prompt that finds another active turn becomes part of it. 0.169 answers with that turn's id. The others answer
 *   with an id of which nothing is heard again (0.104 says `turn/started` for it); the prompt is an item of the active turn.
 * - A thread works on one turn at a time: `turn/started` in the middle of one names no other in a review, else its end was lost.
 * - A review joins no other turn: 0.104 ends the active one for it. It starts compactions without `turn/started`.
 * @module
 */
import { type ConnectionClosedError, RequestTimeoutError } from "../../errors/mod.ts";
import { type JsonObject, type JsonValue, keepNewest, objectOf, stringOf } from "../../json.ts";
import type { DeltaHead, OversizeMessage, RpcNotification } from "../../rpc/mod.ts";
import { isRefusal, supports } from "../../protocol/mod.ts";
import type { OtelContext, TraceContext } from "../../telemetry.ts";
import type { AgentSpan } from "../telemetry/agent_span.ts";
import { PromisedTurns, UnansweredPrompts } from "./promised_turns.ts";
import { type RestingThread, ThreadStop } from "./thread_stop.ts";
import { Turn, type TurnHost } from "./turn.ts";
import type { TurnOutcome } from "./turn_outcome.ts";
import type { ContextUsage } from "./turn_result.ts";
import { begins, UnheardEnds, works } from "./unheard_ends.ts";
import { noTurnId, showsPrompt, turnIdOf, TurnRun, type TurnRunOptions } from "./turn_run.ts";
import { NO_TOKENS, ThreadUsage } from "./turn_usage.ts";

/** Ids of ended turns that are remembered, so that late messages of theirs begin no turn; and warnings that wait for a prompt. */
const MAX_KEPT = 256;

/** What the turns of a thread need of whoever owns the thread. */
export interface ThreadTurnsHost
  extends RestingThread, Pick<TurnHost, "listeners" | "count" | "stopSubAgents" | "stopStarting"> {
  /** Whether the thread has no past. Default `false`. */
  readonly isNew?: boolean;
  /** A turn that nobody here asked for is active; returns the milliseconds that it may take. */
  adopted(turn: Turn): number;
  /** Begins the span of a turn that is asked for with these parameters, or that something else began. Default none. */
  span?(params: JsonObject, parent: OtelContext | null): AgentSpan | null;
}

/** Every turn of one thread. */
export class ThreadTurns {
  readonly #host: ThreadTurnsHost;
  readonly #turnHost: TurnHost;
  /** Waits for the end of all of them, and stops them. */
  readonly rest: ThreadStop;
  /** Those that raw requests asked for. */
  readonly promised: PromisedTurns;
  /** Active turns by id; one may have several. */
  readonly #turns: Map<string, Turn> = new Map();
  readonly #past: Set<string> = new Set();
  /** The prompt whose `turn/start` has not been answered yet. */
  #pending: TurnRun | null = null;
  /** The last prompt whose `turn/start` was answered. */
  #asked: TurnRun | null = null;
  /** A prompt whose answer names a turn that has not started, while another one is active. */
  #steered: TurnRun | null = null;
  readonly #unanswered = new UnansweredPrompts();
  /** Messages of the thread that came while the first turn had no id. */
  #early: { method: string; params: JsonObject }[] = [];
  readonly #unheard: UnheardEnds;
  /** What the next prompt's listeners are warned of. */
  readonly #warnings: string[] = [];
  #closed = false;
  /** Whether a turn that nobody asked for was seen. */
  #adopted = false;
  /** Whether the thread has a goal that makes codex start turns; `null`: it may, and the server will tell. */
  goalActive: boolean | null = false;
  readonly #usage: ThreadUsage;
  #last: TurnOutcome | null = null;
  /** Whether commands of turns go on, since somebody has looked. What 0.104 interrupts takes them with it. */
  leftCommands = false;
  /** Whether a turn was stopped or taken back since somebody has looked: codex may let its scripts go on. */
  wasStopped = false;
  #staleError: JsonValue | undefined;
  /** How many turns this client has asked for. */
  asked = 0;

  /** Begins with a thread on which nothing is known to work. */
  constructor(host: ThreadTurnsHost) {
    this.#host = host;
    const isKnown = (turnId: string) => this.#turns.has(turnId) || this.#past.has(turnId);
    this.#usage = new ThreadUsage(host.isNew ? NO_TOKENS : null, (some) => host.count(some, null));
    this.#turnHost = {
      core: host.core,
      get threadId() {
        return host.threadId;
      },
      listeners: host.listeners,
      staleError: () => this.#staleError,
      count: (tokens, turn) => host.count(tokens, turn),
      stopping: (turn) => this.#stopping(turn),
      stopSubAgents: () => host.stopSubAgents(),
      stopStarting: (item) => host.stopStarting(item),
      isOver: (turn) => this.rest.isOver(turn),
      isKnown,
      released: (turn) => this.#released(turn),
    };
    this.rest = new ThreadStop(host, {
      all: () => this.#all(),
      active: () => this.active,
      asked: (turn) => turn.owner instanceof TurnRun || turn.provisional,
      adopted: () => this.#adopted,
      goalActive: () => this.goalActive !== false,
      begin: (turnId) => this.#turns.get(turnId) ?? this.#begin(turnId),
    });
    this.#unheard = new UnheardEnds(host.core, () => this.#all(), (m) => this.notification(m));
    const isBusy = () => this.active !== null;
    this.promised = new PromisedTurns((begins) => this.rest.expect(begins), isKnown, isBusy);
  }

  /** The thread. */
  get threadId(): string {
    return this.#host.threadId;
  }

  /** The active turn, or `null`. */
  get active(): Turn | null {
    return [...this.#turns.values()].findLast((turn) => turn.outcome.status === null) ?? null;
  }

  /** How full the model's context is. */
  get context(): ContextUsage | null {
    return this.#usage.context;
  }

  /** What the last turn that has ended produced, or `null`. */
  get last(): TurnOutcome | null {
    return this.#last;
  }

  /** An active turn by its id. */
  get(turnId: string | null): Turn | undefined {
    return turnId === null ? undefined : this.#turns.get(turnId);
  }

  /** Whether a turn of this id has ended. */
  isOver(turnId: string | null): boolean {
    return this.#past.has(turnId ?? "") || (this.get(turnId)?.outcome.status ?? null) !== null;
  }

  /** Starts a turn for a prompt, unless it was given up before: throws the signal's reason then. */
  start(options: TurnRunOptions): TurnRun {
    options.signal?.throwIfAborted();
    const { core, threadId } = this.#host;
    const clientId = `${crypto.randomUUID()}:${++this.asked}`;
    const span = this.#host.span?.(options.params, options.parent ?? null) ?? null;
    const run = this.#pending = new TurnRun(core, threadId, clientId, options, span);
    this.rest.expect(run.identified.catch(() => {}));
    const { method = "turn/start", params } = options;
    const mark = method === "turn/start" ? { clientUserMessageId: clientId } : {};
    this.#send(run, method, { ...params, ...mark }, span?.trace);
    return run;
  }

  /** The turn that takes the texts of an item. */
  taker({ turnId, method, itemId }: DeltaHead): Turn | null {
    this.#unheard.flush();
    return this.#find(turnId, method, itemId);
  }

  /** Takes any other message of the thread; gives the turn that it is about. */
  notification(message: RpcNotification): Turn | null {
    const { method, params } = message;
    const turnId = turnIdOf(params);
    const isPast = this.#past.has(turnId ?? "");
    if (this.#unheard.keeps(message, isPast ? null : turnId)) return this.get(turnId) ?? null;
    const itemId = stringOf(params, "item", "id") ?? stringOf(params, "itemId");
    const turn = turnId === null ? this.active : this.#find(turnId, method, itemId);
    const counts = method === "thread/tokenUsage/updated";
    const before = counts ? this.#usage.count(params, turn, this.#host.core.server.version) : null;
    if (turn === null) {
      if (turnId === null && this.#pending !== null) this.#early.push({ method, params });
    } else if (before !== "before") {
      if (before !== null) turn.outcome.countFrom(before);
      this.#apply(turn, turnId, method, params);
    }
    if (method.startsWith("thread/goal/")) {
      this.goalActive = stringOf(params, "goal", "status") === "active";
    }
    return turn;
  }

  /** Warns the listeners of the active turn; of the next one where there is none. */
  warn(message: string): void {
    const event = { type: "warning" as const, threadId: this.threadId, message };
    const turn = this.active;
    if (turn !== null) return turn.tell({ ...event, turnId: turn.turnId });
    this.#host.listeners.emit?.({ ...event, turnId: "" });
    if (this.#warnings.push(message) > MAX_KEPT) this.#warnings.shift();
  }

  /** The server has taken turns back; newer ones count what is left from anew (since 0.152). */
  reverted(): void {
    this.#usage.revert(supports(this.#host.core.server.version, "revert"));
  }

  /** A notification of the thread was too large to be read. */
  oversize(message: OversizeMessage): void {
    this.#unheard.flush();
    this.active?.oversize(message);
  }

  /** The server is gone; `willResume`: it works on without us, and its turns are resumed. */
  connectionLost(error: ConnectionClosedError, willResume: boolean): void {
    this.#unheard.flush();
    for (const turn of this.#all()) {
      turn.connectionLost(willResume ? null : error);
      if (willResume && turn.isStopping) this.#stopping(turn);
    }
    if (!willResume) this.#usage.forget();
    this.rest.inDoubt &&= willResume;
    this.#unanswered.clear();
    this.promised.clear();
  }

  /** Nobody listens any more: nothing is watched, and no timer holds the script. */
  close(): void {
    this.#closed = true;
    this.#unheard.flush();
    this.promised.clear();
    this.#pending?.stop();
    for (const turn of this.#all()) turn.release();
  }

  async #send(
    run: TurnRun,
    method: "turn/start" | "review/start",
    params: JsonObject,
    trace: TraceContext | undefined,
  ): Promise<void> {
    try {
      const result = await this.#host.core.call(method, params, {
        trace,
        onResult: (value) => {
          const turnId = stringOf(value, "turn", "id");
          // One that comes too late is of a prompt that is not waited for any more, as what its turn shows tells.
          if (this.#pending === run && turnId !== null) this.#identify(run, turnId);
        },
      });
      if (run.turn === null) this.#refused(run, noTurnId(result));
    } catch (error) {
      if (run.turn !== null) {
        // The answer was lost in part, and the turn runs.
        run.failed(error);
        run.stop();
      } else if (error instanceof RequestTimeoutError) this.#notAnswered(run, error);
      else if (isRefusal(error, "turnTakesNone") && await this.#waitsFor(run)) {
        await this.#send(run, method, params, trace);
      } else this.#refused(run, error);
    }
  }

  /** Waits for a turn that takes no prompts, and has begun before this one's; `false` when nobody waits for it any more. */
  async #waitsFor(run: TurnRun): Promise<boolean> {
    this.#leavePending(run);
    this.rest.inDoubt = true;
    const over = new AbortController();
    run.ending.then(() => over.abort());
    await this.rest.idle(over.signal, Infinity).catch(() => {});
    if (run.isEnding || this.#closed) return false;
    this.#pending = run;
    return true;
  }

  /** The answer to `turn/start` names the turn. */
  #identify(run: TurnRun, turnId: string): void {
    if (run.turn !== null) return;
    const active = this.active;
    let turn = this.#turns.get(turnId);
    if (turn === undefined || turn.turnId !== turnId) {
      turn = new Turn(this.#turnHost, turnId, this.#usage.total);
      this.#know(turnId, turn);
    }
    if (run.mayJoin && active !== null && active !== turn) this.#steered = run;
    const early = this.#early.splice(0);
    this.#pending = null;
    this.#asked = run;
    this.rest.inDoubt = false;
    this.rest.limit(turn, Infinity);
    run.identify(turn);
    for (const message of this.#warnings.splice(0)) {
      run.emit?.({ type: "warning", threadId: this.threadId, turnId, message });
    }
    for (const { method, params } of early) turn.notification(method, params);
    this.#settleProvisional();
  }

  /** The server did not start a turn. */
  #refused(run: TurnRun, error: unknown): void {
    this.rest.refused(error);
    run.refused(error);
    this.#leavePending(run);
  }

  #leavePending(run: TurnRun): void {
    if (this.#pending === run) this.#pending = null;
    this.#early = [];
    this.#settleProvisional();
  }

  /** Unanswered, it may run all the same. */
  #notAnswered(run: TurnRun, error: RequestTimeoutError): void {
    this.#unanswered.add(run);
    this.rest.unanswered();
    this.#refused(run, error);
    for (const turn of this.#all()) {
      for (const item of turn.outcome.items.all()) this.#unanswered.stop(turn, item);
    }
  }

  /** A prompt that became part of another turn is stopped with it. */
  #stopping(turn: Turn): void {
    this.rest.toolsEnd(turn);
    if (this.#steered?.turn !== turn) return;
    for (const other of this.#all()) if (other !== turn) other.stop();
  }

  #settleProvisional(): void {
    for (const turn of this.#all().filter((each) => each.provisional)) {
      this.#adopt(turn);
      if (turn.provisional) turn.disown();
    }
  }

  /** The turn that a message with this id is about; one that begins with it, if it may. */
  #find(turnId: string, method: string, itemId: string | null): Turn | null {
    const known = this.#turns.get(turnId) ?? this.#turns.get(turnId + itemId);
    if (known === undefined) return begins(method) ? this.#begin(turnId, method, itemId) : null;
    // What went under the name of a turn that has ended works on by itself: a prompt that came too late for it (0.104).
    if (known.turnId === turnId || known.outcome.status === null || !works(method)) return known;
    this.#turns.delete(turnId);
    return this.#begin(turnId, method, itemId);
  }

  #know(turnId: string, turn: Turn): void {
    this.#turns.set(turnId, turn);
    this.#host.core.routes.changed();
  }

  /** A turn that is heard of for the first time. */
  #begin(turnId: string, method = "", itemId: string | null = null): Turn | null {
    // Nothing ends what begins after the end of the connection: its last messages may be read after that.
    if (this.#closed || this.#host.core.state === "closed") return null;
    const active = this.active;
    if (this.#past.has(turnId)) {
      if (active === null || method !== "item/started") return null;
      // What a script does that a turn has left is the next one's: codex tells it under the id of the one that is over.
      this.#know(turnId + itemId, active);
      return active;
    }
    if (active !== null && active.phase !== "identified" && method === "turn/started") {
      this.#know(turnId, active);
      this.promised.began(turnId);
      active.activeId = turnId;
      return active;
    }
    // Another turn begins before the prompt's own: the prompt may have become part of it.
    const asked = this.#asked;
    if (asked?.mayJoin && active !== null && active === asked.turn) this.#steered = asked;
    const turn = new Turn(this.#turnHost, turnId, this.#usage.total, this.#pending !== null);
    this.promised.began(turnId);
    this.#know(turnId, turn);
    if (!turn.provisional) this.#adopt(turn);
    return turn;
  }

  #adopt(turn: Turn): void {
    this.#adopted = true;
    if (turn.phase === "released") return;
    this.#host.span?.({}, null)?.watch(turn);
    this.rest.limit(turn, this.#host.adopted(turn));
  }

  #released(turn: Turn): void {
    this.rest.limit(turn, Infinity);
    this.#host.core.alive.over(this.threadId, turn);
    if (turn.phase === "released" && turn.outcome.started) {
      this.#last = turn.outcome;
      const { status, items } = turn.outcome;
      if (status === "interrupted") this.wasStopped = true;
      else this.leftCommands ||= items.open("commandExecution");
    }
    this.#staleError = turn.endFound ? turn.outcome.finalError : undefined;
    const steered = this.#steered;
    // One that came too late for this turn begins now, or was dropped.
    if (steered?.isSettled === false && steered.turn !== turn) steered.turn!.checkSoon();
    this.#host.core.routes.changed();
    for (const [id, each] of this.#turns) {
      if (each === turn && this.#turns.delete(id)) this.rest.toolsEnd(turn, id);
    }
    this.#past.add(turn.turnId);
    if (steered?.isSettled) this.#giveUp(steered);
    keepNewest(this.#past, MAX_KEPT);
  }

  /** Nobody waits for a prompt that may have become part of the turn before; if it did not, its own turn is to be stopped. */
  #giveUp(run: TurnRun): void {
    this.#steered = null;
    const turn = run.turn!;
    turn.release();
    if (supports(this.#host.core.server.version, "startsJoinedTurns")) return;
    this.#past.delete(turn.turnId);
    this.#unanswered.add(run);
  }

  #apply(turn: Turn, turnId: string | null, method: string, params: JsonObject): void {
    // The beginning of what goes under several names is told once.
    if (turnId !== null && turnId !== turn.turnId && method === "turn/started") return;
    // 0.104 says so of a turn that never works, because the prompt became part of another one.
    if (turnId !== null && this.#steered?.turn === turn) {
      if (method === "turn/started") return;
      // It works after all.
      this.#steered = null;
    }
    const item = method === "item/started" ? objectOf(params, "item") : null;
    if (item !== null) {
      this.promised.item(item);
      this.#findPrompt(turn, item);
    }
    turn.notification(method, params);
    if (item === null) return;
    // Servers before 0.145 repeat the text only, which may be the same as that of one that was not answered.
    const own = this.#pending !== null && showsPrompt(item, this.#pending);
    if (!own) this.#unanswered.stop(turn, item);
  }

  /** A turn that shows the mark of this client's prompt is the prompt's, with or without an answer; or one that it was added to. */
  #findPrompt(turn: Turn, item: JsonObject): void {
    const run = this.#pending;
    if (run !== null && item["clientId"] === run.clientId) {
      return this.#identify(run, turn.turnId);
    }
    const steered = this.#steered;
    if (steered === null || !showsPrompt(item, steered)) return;
    this.#steered = null;
    const empty = steered.turn!;
    empty.owner = null;
    empty.release();
    this.rest.limit(turn, Infinity);
    steered.identify(turn);
  }

  #all(): Turn[] {
    return [...new Set(this.#turns.values())];
  }
}
