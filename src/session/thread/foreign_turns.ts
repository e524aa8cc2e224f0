/**
 * Turns that no prompt of ours began, and those who wait for them: a goal, a compaction, a caller of `nextTurn`.
 * @module
 */
import { longTimeout } from "../../async.ts";
import { type ExceededLimit, messageOf } from "../../errors/mod.ts";
import { type JsonObject, objectOf } from "../../json.ts";
import { EventQueue } from "../events/session_events.ts";
import type { RunLimits } from "../profile.ts";
import { RunMeter } from "../turn/turn_usage.ts";
import type { Turn, TurnOwner } from "../turn/turn.ts";
import type { EmitTurnEvent, TurnOutcome } from "../turn/turn_outcome.ts";
import type { TokenCount } from "../turn/turn_result.ts";
import { type SettledTurn, turnError } from "../turn/turn_run.ts";

/** Takes a turn, or leaves it to the next who may want it. */
export type Claim = (turn: Turn) => ForeignTurn | null;

/** Hears of the thread between turns. */
export interface ThreadWatcher {
  /** The goal has changed; `null`: there is none any more. */
  goal(goal: JsonObject | null): void;
  /** The server is gone; `willResume`: it works on without us, and its turns are resumed. */
  lost(error: unknown, willResume: boolean): void;
  /** Turns of which nothing was heard have used tokens. */
  unheard?(tokens: TokenCount): void;
}

/** What the foreign turns of a thread need. */
export interface ForeignTurnsHost {
  /** What a turn that nobody waits for may use. */
  readonly limits: RunLimits;
  /** Milliseconds that such a turn may take. */
  readonly timeoutMs: number;
  /** The account's limits as last told, for reset times. */
  readonly rateLimits: JsonObject | undefined;
  /** Counts tokens that were used on the thread. */
  count(tokens: TokenCount): void;
  /**
   * Rejects when this script may no longer do itself what a turn has that begins now, or when a goal would go on with more than
   * the session may (`goal`).
   */
  recheck(goal: boolean): Promise<void>;
  /** Stops everything on the thread, and what makes the server start more. */
  stopAll(): Promise<unknown>;
}

/** The foreign turns of one thread. */
export class ForeignTurns {
  readonly #host: ForeignTurnsHost;
  #claims: Claim[] = [];
  readonly #watchers: Set<ThreadWatcher> = new Set();
  /** Turns for whoever takes one after the other, and asks for the next in a moment; `null`: nobody does. */
  #following: HeldTurn[] | null = null;
  /** Whether the thread has a goal that makes codex start turns. */
  #goalActive = false;
  /** Counts what all turns use that begin while such a goal is active. */
  #goalMeter: RunMeter | null = null;
  /** The last of them. */
  #goalTurn: Turn | null = null;

  /** Begins without anybody who waits. */
  constructor(host: ForeignTurnsHost) {
    this.#host = host;
  }

  /**
   * Asked about every foreign turn, the longest waiting one first, until the returned function is called. `asked`: the server
   * was asked for it, which goes before those who wait for any.
   */
  claim(claim: Claim, asked = false): () => void {
    this.#claims = asked ? [claim, ...this.#claims] : [...this.#claims, claim];
    return () => this.#claims = this.#claims.filter((each) => each !== claim);
  }

  /**
   * A turn begins: gives it to who wants it, and says how many milliseconds it may take. `alone`: the active goal is not what began
   * it.
   */
  adopt(turn: Turn, alone = false): number {
    this.#host.recheck(this.#goalActive && !alone).catch((error) => this.#refuse(turn, error));
    return this.#give(turn, alone);
  }

  #refuse(turn: Turn, error: unknown): void {
    if (turn.phase === "released") return;
    const { threadId, turnId } = turn.outcome;
    const message = `The turn is stopped: ${messageOf(error)}`;
    turn.tell({ type: "warning", threadId, turnId, message });
    if (turn.owner instanceof ForeignTurn) turn.owner.refusal = error;
    void this.#host.stopAll();
  }

  #give(turn: Turn, alone: boolean): number {
    for (const claim of this.#claims) {
      const owner = claim(turn);
      if (owner === null) continue;
      turn.give(owner);
      return owner.timeoutMs;
    }
    if (this.#following !== null) {
      const held = this.hold(turn);
      this.#following.push(held);
      turn.give(held.run);
      return held.run.timeoutMs;
    }
    turn.measure(this.#meterOf(turn, alone));
    return this.#host.timeoutMs;
  }

  /** Takes a turn for a caller who reads its events at leisure, and keeps those that begin before the caller can ask for the next. */
  hold(turn: Turn): HeldTurn {
    if (this.#following === null) {
      this.#following = [];
      longTimeout(() => this.#following = null, 0);
    }
    const queue = new EventQueue();
    return { queue, run: this.take(turn, (event) => queue.push(event)) };
  }

  /** The first of those that were kept. */
  next(): HeldTurn | undefined {
    return this.#following?.shift();
  }

  /** Tells what happens to the thread's goal, and that the turns to come are lost, until the returned function is called. */
  watch(watcher: ThreadWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** A message of the thread itself. */
  notification(method: string, params: JsonObject): void {
    if (!method.startsWith("thread/goal/")) return;
    const goal = objectOf(params, "goal");
    const active = goal?.["status"] === "active";
    // Another goal that a turn of the last one has made is paid for with it.
    const goesOn = this.#goalTurn !== null && this.#goalTurn.phase !== "released";
    if (active !== this.#goalActive && !goesOn) this.#goalMeter = null;
    this.#goalActive = active;
    for (const { goal: told } of this.#watchers) told(goal);
  }

  /** A turn has used tokens; `null`: one that began and ended unheard, which is the goal's where there is one. */
  count(tokens: TokenCount, turn: Turn | null): void {
    this.#host.count(tokens);
    if (turn !== null) return;
    this.#goalMeter?.spend(tokens.totalTokens);
    for (const { unheard } of this.#watchers) unheard?.(tokens);
  }

  /** The server is gone. */
  connectionLost(error: unknown, willResume = false): void {
    for (const { lost } of this.#watchers) lost(error, willResume);
  }

  /** Takes a turn for a caller who hears of it by `emit`. */
  take(turn: Turn, emit: EmitTurnEvent, options: ForeignTurnOptions = {}): ForeignTurn {
    const { timeoutMs, rateLimits } = this.#host;
    const { meter = this.#meterOf(turn) } = options;
    return new ForeignTurn(turn, emit, meter, options.timeoutMs ?? timeoutMs, rateLimits);
  }

  /** What nobody asked for has the session's limits: a turn by itself, those of a goal together. */
  #meterOf(turn: Turn, alone = false): RunMeter {
    if (!this.#goalActive || alone) return this.#sessionMeter(() => turn);
    this.#goalTurn = turn;
    return this.#goalMeter ??= this.#sessionMeter(() => this.#goalTurn!);
  }

  #sessionMeter(last: () => Turn): RunMeter {
    const meter: RunMeter = new RunMeter(this.#host.limits, (exceeded) => {
      const turn = last();
      // An agent that outlived it: what is active on the thread by now is somebody else's.
      if (turn.phase === "released" && meter !== this.#goalMeter) return;
      const { threadId, turnId } = turn.outcome;
      const { limit, allowed } = exceeded;
      const message = `The turn needs more than the session's limits.${limit} of ${allowed}.`;
      turn.tell({ type: "warning", threadId, turnId, message });
      turn.outcome.exceeds(exceeded);
      if (turn.owner instanceof ForeignTurn) turn.owner.exceed(exceeded);
      void this.#host.stopAll();
    });
    return meter;
  }
}

/** A foreign turn, and its events from its beginning. */
export interface HeldTurn {
  /** The turn. */
  run: ForeignTurn;
  /** Its events. */
  queue: EventQueue;
}

/** How a foreign turn is taken. */
export interface ForeignTurnOptions {
  /** Counts what it uses. Default: a meter of its own, with the session's limits. */
  meter?: RunMeter;
  /** Milliseconds that it may take. Default: the session's. */
  timeoutMs?: number;
}

/** A foreign turn that somebody waits for. */
export class ForeignTurn implements TurnOwner {
  /** Settles once, when the turn has ended, with why it gave no answer, or `null`. Never rejects. */
  readonly ended: Promise<unknown>;
  /** The turn. */
  readonly turn: Turn;
  /** Who hears of it. */
  readonly emit: EmitTurnEvent;
  /** Counts what it uses. */
  readonly meter: RunMeter;
  /** Milliseconds that it may take. */
  readonly timeoutMs: number;
  /** Hears of each item before it is told. */
  shows?: (item: JsonObject) => void;
  readonly #rateLimits: JsonObject | undefined;
  readonly #ended = Promise.withResolvers<unknown>();
  /** Why it may not go on, and is being stopped, or `null`. */
  refusal: unknown = null;
  #exceeded: ExceededLimit | null = null;

  /** Made by {@linkcode ForeignTurns}. */
  constructor(
    turn: Turn,
    emit: EmitTurnEvent,
    meter: RunMeter,
    timeoutMs: number,
    rateLimits: JsonObject | undefined,
  ) {
    this.turn = turn;
    this.emit = emit;
    this.meter = meter;
    this.timeoutMs = timeoutMs;
    this.#rateLimits = rateLimits;
    this.ended = this.#ended.promise;
  }

  /** What it has produced. */
  get outcome(): TurnOutcome {
    return this.turn.outcome;
  }

  /** It needs more than it may use, and is being stopped. */
  exceed(exceeded: ExceededLimit): void {
    this.#exceeded = exceeded;
  }

  /** The server told the end. */
  completed(): void {
    this.#ended.resolve(
      this.refusal ??
        turnError(this.#settled(), this.outcome, this.turn.partial(), this.#rateLimits),
    );
  }

  /** The end can't be known. */
  failed(error: unknown): void {
    this.#ended.resolve(error);
  }

  #settled(): SettledTurn {
    if (this.outcome.status === "completed") return { by: "server" };
    if (this.#exceeded !== null) return { by: "limit", exceeded: this.#exceeded, stopped: true };
    if (this.turn.endsAs !== "timedOut") return { by: "server" };
    return { by: "timeout", timeoutMs: this.timeoutMs, stopped: true };
  }
}
