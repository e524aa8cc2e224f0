/**
 * One turn on the server, whoever began it: what its messages mean, how far it is, how it is stopped.
 * @module
 */
import {
  type ConnectionClosedError,
  MessageTooLargeError,
  type PartialTurn,
} from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, objectsOf } from "../../json.ts";
import type { Deltas, DeltaTaker, OversizeMessage } from "../../rpc/mod.ts";
import { activeInstead } from "../../protocol/mod.ts";
import { DEFAULTS, type RuntimeCore } from "../../runtime/mod.ts";
import { FAILED_CHECK_MS, findLostEnd, IDLE_CHECK_MS, stopTurn } from "./stop_turn.ts";
import type { AgentSpan } from "../telemetry/agent_span.ts";
import { addTokens, type RunMeter, subtractTokens, TurnTally } from "./turn_usage.ts";
import type { TurnEvent } from "./turn_event.ts";
import { type EmitTurnEvent, type ThreadListeners, TurnOutcome } from "./turn_outcome.ts";
import type { TokenCount, TurnStatus } from "./turn_result.ts";

/**
 * How far a turn is on the server, in the server's words:
 *
 * | phase        | entered when                                                     | who waits for it             |
 * | ------------ | ---------------------------------------------------------------- | ---------------------------- |
 * | `identified` | its id is known: `turn/start` was answered, or it was first seen | `askStream`                  |
 * | `started`    | `turn/started`, or its first item                                | steering, interrupting       |
 * | `completed`  | `turn/completed`                                                 | the caller, the interruption |
 * | `released`   | nothing of it is left to stop                                    | the next prompt              |
 *
 * A phase is never left backwards, and reaching one reaches those before it. When the *caller* is told (`settled`) is
 * the matter of `TurnRun`: a caller who gives up does not wait for the server.
 */
export type TurnPhase = "identified" | "started" | "completed" | "released";

const PHASES: readonly TurnPhase[] = ["identified", "started", "completed", "released"];

/** The prompt that a turn belongs to. */
export interface TurnOwner {
  /** Who listens to it now. */
  readonly emit: EmitTurnEvent;
  /** Counts what it uses. */
  readonly meter: RunMeter;
  /** Hears of an item before it is told: it may show that the turn is not its own. */
  shows?(item: JsonObject): void;
  /** The server told the end. */
  completed(): void;
  /** The end can't be known. */
  failed(error: unknown): void;
}

/** What a turn needs of its thread. */
export interface TurnHost {
  /** The connection. */
  readonly core: RuntimeCore;
  /** The thread. */
  readonly threadId: string;
  /** Who listens to everything on the thread. */
  readonly listeners: ThreadListeners;
  /** The error of the turn before when the server has not told its end. */
  staleError?(): JsonValue | undefined;
  /** More tokens were used; `null`: by turns of which nothing was heard. */
  count(tokens: TokenCount, turn: Turn | null): void;
  /** The turn is being stopped. */
  stopping(turn: Turn): void;
  /** Stops what the turn's agent started beside it. */
  stopSubAgents(): Promise<unknown>;
  /** The same for an agent that was being started: this is the item of the call, which does not name it any more. */
  stopStarting(item: JsonObject): Promise<boolean>;
  /** Asks the server about a turn that could not be stopped: whether it is over all the same. */
  isOver(turn: Turn): Promise<boolean>;
  /** Whether a turn of this id was heard of. */
  isKnown(turnId: string): boolean;
  /** The turn is released. */
  released(turn: Turn): void;
}

/** One turn on the server. */
export class Turn implements DeltaTaker {
  /** What its messages mean. */
  readonly outcome: TurnOutcome;
  /** The prompt that it belongs to; `null` for a turn that something else began. */
  owner: TurnOwner | null = null;
  /** How its end is told instead of in the server's words: a turn that was stopped for its time did time out. */
  endsAs: TurnStatus | null = null;
  /** The id by which the server interrupts and steers it; a review begins under another one than it was answered with. */
  activeId: string;
  /** Its span, where somebody traces. */
  span: AgentSpan | null = null;
  /** The run that pays for it, once that is known. */
  meter: RunMeter | null = null;
  /** What it has used. */
  readonly tally: TurnTally = new TurnTally();
  /** Who took it before a prompt became part of it, and hears of it to its end. */
  #taker: TurnOwner | null = null;
  readonly #host: TurnHost;
  readonly #listeners: ThreadListeners;
  readonly #waits = PHASES.map(() => Promise.withResolvers<void>());
  #phase = 0;
  #stopping: Promise<boolean> | null = null;
  /** Settles when an attempt to stop it has failed. */
  #unstopped = Promise.withResolvers<void>();
  /** Whether the server did not tell its end, and had to be asked. */
  endFound = false;
  /** Whether a server that works on nothing may begin it yet. */
  #mayBegin = true;
  /** Whether the server worked on it unheard: its record does not tell of commands that run (0.169). */
  #missed = false;
  /** While the connection is lost: its end, which is told after what was missed. */
  lateEnd: JsonObject[] | null = null;
  /** Whether its end was told although the server did not tell it. */
  #failed = false;
  readonly #watch: ReturnType<typeof setInterval>;
  #failedCheck: ReturnType<typeof setTimeout> | undefined;
  /** Whether anything was heard of it since it was last looked at. */
  #heard = true;
  /** Events since its beginning, while it is not known whose it is. */
  #kept: TurnEvent[] | null = null;
  /** Who hears of it whoever it belongs to. */
  #observer: EmitTurnEvent = null;

  /** Begins with a turn that has an id. `provisional`: it may turn out to be a prompt's own. */
  constructor(host: TurnHost, turnId: string, threadTotal: TokenCount | null, provisional = false) {
    this.#host = host;
    this.#listeners = host.listeners;
    this.outcome = new TurnOutcome(host.threadId, turnId, threadTotal, host.staleError?.());
    this.activeId = turnId;
    if (provisional) this.#kept = [];
    this.#watch = setInterval(() => this.#checkIdle(), IDLE_CHECK_MS);
  }

  /** The turn's id. */
  get turnId(): string {
    return this.outcome.turnId;
  }

  /** How far it is. */
  get phase(): TurnPhase {
    return PHASES[this.#phase]!;
  }

  /** Whether it is being stopped, or was. */
  get isStopping(): boolean {
    return this.#stopping !== null;
  }

  /** Settles when the phase is reached; never rejects. */
  reached(phase: TurnPhase): Promise<void> {
    return this.#waits[PHASES.indexOf(phase)]!.promise;
  }

  /** Whether it may still be a prompt's own. */
  get provisional(): boolean {
    return this.#kept !== null;
  }

  /** Tells everything from its beginning to somebody more. */
  observe(observer: (event: TurnEvent) => void): void {
    const { threadId, turnId } = this.outcome;
    this.#observer = observer;
    if (this.#kept !== null) this.#kept.forEach(observer);
    else if (this.phase === "started") observer({ type: "turnStarted", threadId, turnId });
  }

  /** It belongs to this prompt, which hears of it from its beginning. */
  give(owner: TurnOwner): void {
    const kept = this.#kept;
    this.#kept = null;
    this.#taker = this.owner;
    this.owner = owner;
    this.measure(owner.meter);
    if (kept === null && this.phase === "started") {
      const { threadId, turnId } = this.outcome;
      owner.emit?.({ type: "turnStarted", threadId, turnId });
    }
    for (const event of kept ?? []) owner.emit?.(event);
    if (this.outcome.status !== null) this.#completed();
  }

  /** It belongs to no prompt. */
  disown(): void {
    this.#kept = null;
    if (this.outcome.status !== null) this.#completed();
  }

  /** This run pays for it, from its beginning, and no other one. */
  measure(meter: RunMeter): void {
    this.meter?.remove(this.tally);
    this.meter = meter;
    meter.add(this.tally);
  }

  /** What it has produced so far. */
  partial(): PartialTurn {
    const { threadId, turnId, items } = this.outcome;
    return { threadId, turnId, assistantText: items.partialAnswer(), items: items.all() };
  }

  /** Tells the listeners what does not come from the turn's own messages; nothing after its end. */
  tell(event: TurnEvent): void {
    if (this.outcome.status === null) this.#emit?.(event);
  }

  /** An agent that its agent started used tokens. */
  addSubAgentTokens(tokens: TokenCount): void {
    this.outcome.subAgentTokens = addTokens(this.outcome.subAgentTokens, tokens);
  }

  /** Takes the next texts of an item. */
  takes(deltas: Deltas, from: number, to: number): boolean {
    this.#heard = true;
    if (this.outcome.status !== null) return false;
    this.#start(deltas.head(from).method);
    this.outcome.deltas(deltas, from, to, this.#emit);
    return true;
  }

  /** Takes any other message of the turn or its thread. */
  notification(method: string, params: JsonObject): void {
    this.#heard = true;
    const { outcome } = this;
    // What has ended is handed out, and does not change any more.
    if (outcome.status !== null) return;
    if (method === "turn/completed" && !this.endFound && this.lateEnd?.push(params)) return;
    this.#start(method);
    const { item } = params;
    if (isJsonObject(item)) this.owner?.shows?.(item);
    const before = outcome.ownTokens;
    const items = outcome.items.count;
    outcome.apply(method, params, this.#emit);
    const tokens = subtractTokens(outcome.ownTokens, before);
    if (tokens.totalTokens !== 0) {
      this.#host.count(tokens, this);
      this.tally.called(tokens.totalTokens);
    }
    if (isJsonObject(item) && outcome.items.count > items) this.tally.item(String(item["type"]));
    if (outcome.status !== null) this.tally.ended();
    this.meter?.check();
    if (outcome.status !== null) this.#completed();
    else if (method === "error" && outcome.finalError !== undefined) this.checkSoon();
  }

  /** Part of it was too large to be read: its end, or its content, can't be known. */
  oversize(message: OversizeMessage): void {
    const limit = this.#host.core.config.maxMessageBytes ?? DEFAULTS.maxMessageBytes;
    const what = `${message.method ?? "A message"} of the turn`;
    this.#fail(new MessageTooLargeError(what, message.bytes, limit), "failed");
    if (message.method === "turn/completed") this.release();
    else this.stop();
  }

  /** The server is gone, and the turn with it; or (`null`) it works on, and tells later what is missed meanwhile. */
  connectionLost(error: ConnectionClosedError | null): void {
    this.lateEnd ??= [];
    if (error === null) return;
    this.#fail(error.withPartial(this.partial()), "connectionClosed");
    this.release();
  }

  /** The server worked on without us; this is its record of the turn. What was told before is not told again. */
  resumed(record: JsonObject): void {
    const running = record["status"] === "inProgress";
    const end = running ? this.lateEnd?.[0] : { turn: record };
    this.lateEnd = null;
    this.#missed = true;
    for (const item of objectsOf(record, "items")) {
      const open = running && item["completedAtMs"] === null;
      this.notification(open ? "item/started" : "item/completed", { turnId: this.turnId, item });
    }
    if (end !== undefined) this.notification("turn/completed", end);
  }

  /** Stops it on the server, with all that its agent started; `false` when the server would not. Never rejects. */
  stop(): Promise<boolean> {
    if (this.phase === "released") return Promise.resolve(true);
    this.#stopping ??= this.#stop().then((stopped) => {
      if (stopped) this.release();
      else {
        // Later attempts try anew.
        this.#stopping = null;
        this.#unstopped.resolve();
        this.#unstopped = Promise.withResolvers();
      }
      return stopped;
    });
    return this.#stopping;
  }

  /** Settles when it is released, or when an attempt to stop it has failed. */
  async over(): Promise<void> {
    await Promise.race([this.reached("released"), this.#unstopped.promise]);
  }

  /** Nothing of it is left on the server. One whose end the server did not tell was interrupted. */
  release(): void {
    if (this.phase === "released") return;
    this.tally.ended();
    clearInterval(this.#watch);
    clearTimeout(this.#failedCheck);
    const { outcome } = this;
    if (outcome.status === null && !this.#failed && (outcome.started || this.owner !== null)) {
      const turn = { id: this.turnId, status: "interrupted" };
      // Only its prompt has heard of a turn that never started.
      const emit = outcome.started ? this.#emit : this.owner?.emit ?? null;
      outcome.apply("turn/completed", { turn }, emit);
      this.#ended();
    }
    this.#advance("released");
    this.#endOrphans();
    this.#host.released(this);
  }

  /** A command that was killed while it started its sandbox may have left it behind, untold: codex names the thread to it. */
  #endOrphans(): void {
    const { outcome } = this;
    if (outcome.status === "completed" || !outcome.started) return;
    this.#host.core.endOrphans(outcome.threadId);
  }

  /** Whom its events are for; `null` when nobody listens, so that none is made. */
  get #emit(): EmitTurnEvent {
    const heard = (this.owner?.emit ?? this.#taker ?? this.#listeners.emit ?? this.#kept ??
      this.#observer) !== null;
    return heard ? this.#deliver : null;
  }

  /** Looks anew for each event: a listener may end the turn in the middle of many. */
  readonly #deliver = (event: TurnEvent): void => {
    const told = event.type === "turnCompleted" && this.endsAs !== null
      ? { ...event, status: this.endsAs }
      : event;
    this.#kept?.push(told);
    this.#observer?.(told);
    this.#taker?.emit?.(told);
    this.owner?.emit?.(told);
    this.#listeners.emit?.(told);
  };

  /** Not every turn is said to have started: 0.104 does not say so of compactions. */
  #start(method: string): void {
    if (this.#phase > 0 || !(method.startsWith("item/") || method.startsWith("turn/"))) return;
    this.#missed ||= method !== "turn/started";
    this.outcome.apply("turn/started", {}, this.#emit);
    this.#advance("started");
  }

  #completed(): void {
    this.#advance("completed");
    // As long as it may be a prompt's own, it waits for its owner.
    if (this.#kept !== null) return;
    this.#ended();
    if (this.#stopping === null) this.release();
  }

  #ended(): void {
    this.#taker?.completed();
    this.owner?.completed();
  }

  /** The end that the server will not tell. */
  #fail(error: Error, status: "failed" | "connectionClosed"): void {
    if (this.outcome.status !== null || this.#failed) return;
    this.#failed = true;
    const { threadId, turnId } = this.outcome;
    const { message } = error;
    // The owner tells its own listeners; nobody else has heard of a turn that never started.
    this.#taker?.failed(error);
    this.owner?.failed(error);
    if (!this.outcome.started) return;
    this.#listeners.emit?.({
      type: "turnCompleted",
      threadId,
      turnId,
      status: this.endsAs ?? status,
      error: status === "failed" ? { kind: "other", message } : null,
    });
  }

  async #stop(): Promise<boolean> {
    const { core, threadId } = this.#host;
    const activeId = () => this.activeId;
    this.#host.stopping(this);
    const [stopped] = await Promise.all([
      stopTurn({
        core,
        threadId,
        get turnId() {
          return activeId();
        },
        started: this.reached("started"),
        completed: this.reached("completed"),
        outcome: this.outcome,
        // Who joins in the middle of a review knows it by another id than it is stopped by (0.145, 0.169).
        refused: (error) => {
          const id = activeInstead(error);
          if (id !== null && !this.#host.isKnown(id)) this.activeId = id;
        },
        missed: () => this.#missed,
      }),
      this.#host.stopSubAgents(),
    ]);
    if (!stopped && !await this.#host.isOver(this)) return false;
    const starting = this.outcome.items.starting();
    const ended = starting.map((item) => this.#host.stopStarting(item));
    return !(await Promise.all(ended)).includes(false);
  }

  /** Asks the server about it in a moment: its end, or its beginning, is due. */
  checkSoon(): void {
    if (this.phase === "released") return;
    this.#failedCheck ??= setTimeout(() => {
      this.#failedCheck = undefined;
      void this.findEnd();
    }, FAILED_CHECK_MS);
  }

  async #checkIdle(): Promise<void> {
    const isSilent = !this.#heard && this.phase !== "released";
    this.#heard = false;
    if (isSilent) await this.findEnd();
  }

  /** Asks the server whether it is over, and its end was lost or is never told. */
  async findEnd(): Promise<void> {
    this.#heard = false;
    const { core, threadId } = this.#host;
    const { finalError, items } = this.outcome;
    const begun = this.phase !== "identified" && !(finalError !== undefined && items.count === 0);
    const lost = await findLostEnd(core, threadId, this.outcome, begun);
    if (lost === null || this.phase === "released") return;
    if (!this.#heard) {
      if (this.phase === "identified" && finalError === undefined) {
        // It was dropped, or begins just now. Only its prompt has heard of it.
        if (this.#mayBegin) this.checkSoon();
        else this.release();
        this.#mayBegin = false;
        return;
      }
      this.endFound = true;
      return this.notification("turn/completed", lost);
    }
    // What came meanwhile may be about the turn, or about the thread only.
    if (finalError !== undefined || this.phase === "identified") this.checkSoon();
  }

  #advance(phase: TurnPhase): void {
    const to = PHASES.indexOf(phase);
    while (this.#phase < to) this.#waits[++this.#phase]!.resolve();
  }
}
