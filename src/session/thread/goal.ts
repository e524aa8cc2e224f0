/**
 * A goal: codex works on it in turns of its own until it is reached. Measured on 0.145 and 0.169:
 * - A goal that is set starts turns by itself, one after the other, only where the thread was opened with goals.
 * - A turn that is interrupted is followed by another one unless the goal was paused before.
 * - A turn that codex is about to begin begins although the goal is paused or cleared meanwhile.
 * - A goal that has ended keeps its status when a new objective is set: it has to be cleared first.
 * @module
 */
import {
  type ExceededLimit,
  PolicyError,
  SessionClosedError,
  ThreadInUseError,
} from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, objectsOf } from "../../json.ts";
import { longTimeout, within } from "../../async.ts";
import type { HookReport, HookRun } from "../../plugin/mod.ts";
import { EventQueue } from "../events/session_events.ts";
import type { GoalOptions, GoalResult } from "../profile.ts";
import { toResult } from "../prompt/prompt_run.ts";
import { isAttached, type RuntimeCore } from "../../runtime/mod.ts";
import { assertStopped, reconnected } from "../turn/stop_turn.ts";
import { addTokens, NO_TOKENS, RunMeter } from "../turn/turn_usage.ts";
import type { Turn } from "../turn/turn.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { PromptRunResult, TokenCount } from "../turn/turn_result.ts";
import type { ForeignTurn } from "./foreign_turns.ts";
import type { StartedGoal } from "./goal_run.ts";
import type { ThreadHost } from "./thread_host.ts";

/** Milliseconds that a goal may take by default. */
const DEFAULT_TIMEOUT_MS = 3_600_000;
/** Milliseconds for a word to the server about the goal. */
export const CALL_MS = 5_000;
/** Pages of codex's features that are asked for. */
const MAX_PAGES = 8;
/** Milliseconds that codex may take to begin the next turn of a goal that is being stopped. */
const BEGIN_MS = 2_000;

type Status = GoalResult["status"];

/** What the server calls the end of a goal. */
const ENDS: Readonly<Record<string, Status>> = {
  complete: "complete",
  blocked: "blocked",
  budgetLimited: "budgetLimited",
  usageLimited: "usageLimited",
};

/** How a goal ends when the server says this of it, or `null`; `asked`: we paused it ourselves. */
export function goalEnd(goal: JsonObject | null, asked: boolean): Status | null {
  if (goal === null) return "stopped";
  const { status } = goal;
  if (status === "paused") return asked ? null : "stopped";
  return typeof status === "string" && Object.hasOwn(ENDS, status) ? ENDS[status]! : null;
}

/**
 * Whether the first item of a turn shows that codex did not begin it for a goal: a prompt, somebody's command, a review. What codex says to
 * itself for a goal is no item. A prompt that becomes part of a goal's turn before its first item looks the same; what that turn
 * says answers the prompt (0.169).
 */
export function beganOtherwise({ type, source }: JsonObject): boolean {
  return type === "userMessage" || type === "enteredReviewMode" ||
    type === "commandExecution" && source === "userShell";
}

/** A goal that codex works on; what its {@linkcode GoalRun} does. */
export class Goal implements StartedGoal {
  readonly threadId: string;
  readonly objective: string;
  readonly #host: ThreadHost;
  readonly #hooks: HookRun;
  readonly #meter: RunMeter;
  readonly queue: EventQueue = new EventQueue();
  readonly #runs: ForeignTurn[] = [];
  /** Turns that others began meanwhile. */
  readonly #others: WeakSet<Turn> = new WeakSet();
  readonly #result = Promise.withResolvers<GoalResult>();
  readonly #release: () => void;
  readonly #reopened: boolean;
  readonly #leave: (() => void)[] = [];
  #active: ForeignTurn | null = null;
  #pausing = false;
  /** Settles when codex begins the turn that it is about to begin, or is refused; `null`: it is about to begin none. */
  #next: PromiseWithResolvers<void> | null = null;
  /** The objective, as the server has told it first; `null` before: what is cleared then was another goal. */
  #told: JsonValue | undefined = null;
  /** Tokens of turns of which nothing was heard. */
  #unheard = NO_TOKENS;
  #end: { status: Status } | { error: unknown } | null = null;
  #closing = false;

  constructor(
    host: ThreadHost,
    parts: {
      objective: string;
      options: GoalOptions;
      hooks: HookRun;
      reopened: boolean;
      release: () => void;
    },
  ) {
    const { objective, options, hooks, reopened, release } = parts;
    this.#host = host;
    this.threadId = host.threadId;
    this.objective = objective;
    this.#hooks = hooks;
    this.#reopened = reopened;
    this.#release = release;
    this.#meter = new RunMeter(
      options.limits ?? host.profile.limits,
      (exceeded) => this.#exceeded(exceeded),
    );
    this.#result.promise.catch(() => {});
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const aborted = () => this.#close({ error: signal!.reason });
    signal?.addEventListener("abort", aborted);
    this.#leave.push(
      host.foreign.claim((turn) => this.#take(turn), true),
      host.foreign.watch({
        goal: (goal) => this.#goal(goal),
        lost: (error, willResume) => willResume || this.#close({ error }),
        unheard: (tokens) => {
          this.#unheard = addTokens(this.#unheard, tokens);
          this.#meter.spend(tokens.totalTokens);
        },
      }),
      longTimeout(() => this.#close({ status: "timedOut" }), timeoutMs),
      () => signal?.removeEventListener("abort", aborted),
    );
    if (signal?.aborted) aborted();
  }

  /** Gives the thread the goal. */
  begin(): Promise<void> {
    const { threadId, objective } = this;
    const params = { threadId, objective, status: "active" };
    return this.#activate(this.#host.core.call("thread/goal/set", params));
  }

  async pause(): Promise<void> {
    if (this.#end !== null) return;
    this.#pausing = true;
    await this.#nextTurn();
    await this.#set("paused");
    assertStopped(await this.#stopAll());
  }

  async resume(): Promise<void> {
    if (this.#end !== null) throw new SessionClosedError("The goal is over; start another one.");
    if (!this.#pausing) return;
    await this.#activate(this.#set("active"));
    this.#pausing = false;
  }

  async stop(): Promise<GoalResult> {
    this.#close({ status: "stopped" });
    return await this.finish();
  }

  finish(): Promise<GoalResult> {
    return this.#result.promise;
  }

  /** The session takes the thread back. */
  cancel(reason: unknown): void {
    this.#close({ error: reason });
  }

  #take(turn: Turn): ForeignTurn | null {
    if (this.#others.has(turn)) return null;
    this.#settleNext();
    const { foreign, turns } = this.#host;
    /** What was told before it is known whose the turn is. */
    let early: TurnEvent[] | null = [];
    const own = () => {
      if (early === null) return;
      this.#runs.push(run);
      for (const event of early) this.queue.push(event);
      early = null;
    };
    const emit = (event: TurnEvent) => {
      if (event.type === "turnCompleted") own();
      if (early === null) this.queue.push(event);
      else early.push(event);
    };
    const run = foreign.take(turn, emit, { meter: this.#meter, timeoutMs: Infinity });
    run.shows = (item: JsonObject) => {
      if (early === null || !beganOtherwise(item)) return own();
      this.#others.add(turn);
      turn.owner = null;
      turns.rest.limit(turn, foreign.adopt(turn, true));
      if (this.#active === run) this.#active = null;
      this.#endIfTold();
    };
    this.#active = run;
    run.ended.then(() => {
      own();
      this.#turnEnded(run);
    });
    return run;
  }

  /** A turn is over, or not the goal's: ends the goal where the server said so meanwhile. */
  #endIfTold(): void {
    if (this.#end !== null) this.#close(this.#end);
  }

  #turnEnded(run: ForeignTurn): void {
    if (this.#active === run) this.#active = null;
    const { status } = run.outcome;
    // Codex calls a goal blocked when a turn of it has failed; the failure says more.
    if (status === "failed" || status === null || run.refusal !== null) {
      run.ended.then((error) => this.#close({ error }));
    } else {
      this.#endIfTold();
      // The next one may have begun by now.
      if (this.#end === null && !this.#pausing && this.#active === null) this.#expect();
    }
  }

  #goal(goal: JsonObject | null): void {
    if (this.#told === null && goal !== null) this.#told = goal["objective"];
    if (this.#told === null) return;
    // Somebody has set another one in its place.
    const replaced = goal !== null && goal["objective"] !== this.#told;
    const status = replaced ? "stopped" : goalEnd(goal, this.#pausing);
    if (status === null) return;
    if (status !== "stopped") this.#settleNext();
    if (this.#end !== null) return;
    // The turn that reached it says its last words.
    if (this.#active === null || replaced) this.#close({ status });
    else this.#end = { status };
  }

  #exceeded(exceeded: ExceededLimit): void {
    const { limit, allowed } = exceeded;
    this.#active?.turn.outcome.exceeds(exceeded);
    this.warn(`The goal needs more than its limits.${limit} of ${allowed} and is being stopped.`);
    this.#close({ status: "budgetLimited" });
  }

  /** Tells who reads the goal's events, and who listens to the session. */
  warn(message: string): void {
    const turnId = this.#active?.turn.turnId ?? "";
    const event: TurnEvent = { type: "warning", threadId: this.threadId, turnId, message };
    this.queue.push(event);
    this.#host.listeners.emit?.(event);
  }

  #close(end: { status: Status } | { error: unknown }): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#end = end;
    void this.#endGoal(end);
  }

  async #endGoal(end: { status: Status } | { error: unknown }): Promise<void> {
    const { core, turns } = this.#host;
    this.#pausing = true;
    let stopped = true;
    // A server that was only attached to works on while the connection is down.
    if (core.state === "running" || await reconnected(core, this.threadId)) {
      await this.#nextTurn();
      if (this.#active !== null) await this.#set("paused").catch(() => {});
      const reached = "status" in end && end.status === "complete";
      stopped = reached ? await turns.rest.stopAll() : await this.#stopAll();
      await core.call("thread/goal/clear", { threadId: this.threadId }, { timeoutMs: CALL_MS })
        .catch(() => this.#host.goalLost());
      // A turn that began before the goal was gone.
      stopped &&= await turns.rest.stopAll();
      if (this.#reopened) await this.#host.reopen(false).catch(() => {});
      if (this.#active !== null) stopped &&= await turns.rest.stopAll();
    } else this.#host.goalLost();
    this.#settleNext();
    for (const leave of this.#leave.splice(0)) leave();
    this.queue.end();
    const told = "error" in end
      ? { status: "error" as const, error: end.error }
      : { status: "ok" as const };
    await this.#host.toolHooksDone();
    await this.#hooks.post("postRun", { prompt: this.objective, ...told }).catch(() => {});
    if ("error" in end) {
      this.#release();
      return this.#result.reject(end.error);
    }
    const unstored = await this.#host.stored().then(() => null, (error: unknown) => ({ error }));
    this.#release();
    try {
      if (unstored !== null) throw unstored.error;
      assertStopped(stopped || core.state === "closed");
      this.#result.resolve(this.#resultAs(end.status));
    } catch (error) {
      this.#result.reject(error);
    }
  }

  /** Between its turns nothing but its agents may be at work. */
  async #stopAll(): Promise<boolean> {
    const stopped = await this.#host.turns.rest.stopAll();
    return await this.#host.stopAgents() && stopped;
  }

  #resultAs(status: Status): GoalResult {
    const report: HookReport = structuredClone(this.#hooks.report);
    const turns: PromptRunResult[] = this.#runs.map(({ outcome }) => toResult(outcome, report));
    const usage = turns.reduce<TokenCount>(
      (sum, turn) => turn.usage === null ? sum : addTokens(sum, turn.usage),
      this.#unheard,
    );
    return { status, turns, usage };
  }

  async #set(status: "paused" | "active"): Promise<void> {
    const params = { threadId: this.threadId, status };
    await this.#host.core.call("thread/goal/set", params, { timeoutMs: CALL_MS });
  }

  /** Codex begins a turn a moment after it has answered this. */
  async #activate(answer: Promise<unknown>): Promise<void> {
    this.#expect();
    try {
      await answer;
    } catch (error) {
      this.#settleNext();
      throw error;
    }
  }

  /** Waits for the turn that codex is about to begin: before that it can't be stopped. */
  async #nextTurn(): Promise<void> {
    if (this.#next !== null) await within(this.#next.promise, BEGIN_MS, undefined);
    this.#settleNext();
  }

  /** Codex is about to begin a turn: whoever ends the session has to wait for it, since it would go on unheard. */
  #expect(): void {
    this.#settleNext();
    this.#next = Promise.withResolvers();
    this.#host.turns.rest.expect(this.#next.promise);
  }

  #settleNext(): void {
    this.#next?.resolve();
    this.#next = null;
  }
}

/**
 * Throws when codex takes a goal of this thread and does nothing: an administrator has turned goals off, or somebody else has
 * the thread open on the same server, which then stays as it was opened.
 */
export async function assertWorksOnGoals({ core, threadId }: ThreadHost): Promise<void> {
  if (await offersGoals(core, threadId) !== false) return;
  if (!isAttached(core.config)) {
    throw new PolicyError(
      "Codex works on no goals here: `features.goals` is turned off by its requirements.",
    );
  }
  throw new ThreadInUseError(
    threadId,
    {},
    "Another client has the thread open on this server, without goals: they can't be turned on for it. Ask again when that " +
      "client has released it, or start the session with `goals: true`.",
  );
}

/** Whether codex offers goals on this thread; `null`: it does not say. */
async function offersGoals(core: RuntimeCore, threadId: string): Promise<boolean | null> {
  let cursor: JsonValue | undefined = null;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params: JsonObject = { threadId, limit: 1_000, cursor };
    const list: JsonValue = await core.call("experimentalFeature/list", params, {
      timeoutMs: CALL_MS,
    }).catch(() => null);
    if (!isJsonObject(list)) return null;
    const goals = objectsOf(list, "data").find(({ name }) => name === "goals");
    if (goals !== undefined) return goals["enabled"] === true;
    cursor = list["nextCursor"];
    if (typeof cursor !== "string") break;
  }
  return null;
}
