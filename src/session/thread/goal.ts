/**
 * A goal: codex works on it in turns of its own until it is reached. Measured on 0.145 and 0.169:
 * - A goal that is set starts turns by itself, one after the other, only where the thread was opened with goals.
 * - A turn that is interrupted is followed by another one unless the goal was paused before.
 * - A goal that has ended keeps its status when a new objective is set: it has to be cleared first.
 * @module
 */
import {
  type ExceededLimit,
  InvalidArgumentError,
  RequestTimeoutError,
  SessionClosedError,
} from "../../errors/mod.ts";
import type { JsonObject } from "../../json.ts";
import { abortable, longTimeout } from "../../async.ts";
import type { HookReport, HookRun } from "../../plugin/mod.ts";
import { EventQueue } from "../events/session_events.ts";
import type { GoalOptions, GoalResult } from "../profile.ts";
import { toResult } from "../prompt/prompt_run.ts";
import { assertStopped, reconnected } from "../turn/stop_turn.ts";
import { addTokens, NO_TOKENS, RunMeter } from "../turn/turn_usage.ts";
import type { Turn } from "../turn/turn.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { PromptRunResult, TokenCount } from "../turn/turn_result.ts";
import type { ForeignTurn } from "./foreign_turns.ts";
import type { StartedGoal } from "./goal_run.ts";
import { assertSupported, type ThreadHost } from "./thread_host.ts";

/** Milliseconds that a goal may take by default. */
const DEFAULT_TIMEOUT_MS = 3_600_000;
/** Milliseconds for a word to the server about the goal. */
const CALL_MS = 5_000;

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
  /** Whether the server has told of this goal: what is cleared before was another one. */
  #known = false;
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
        lost: (error) => this.#close({ error }),
      }),
      longTimeout(() => this.#close({ status: "timedOut" }), timeoutMs),
      () => signal?.removeEventListener("abort", aborted),
    );
    if (signal?.aborted) aborted();
  }

  async pause(): Promise<void> {
    if (this.#end !== null) return;
    this.#pausing = true;
    await this.#set("paused");
    assertStopped(await this.#stopAll());
  }

  async resume(): Promise<void> {
    if (this.#end !== null) throw new SessionClosedError("The goal is over; start another one.");
    if (!this.#pausing) return;
    await this.#set("active");
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
      turns.limit(turn, foreign.adopt(turn, true));
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
    if (status === "failed" || status === null) run.ended.then((error) => this.#close({ error }));
    else this.#endIfTold();
  }

  #goal(goal: JsonObject | null): void {
    this.#known ||= goal !== null;
    if (!this.#known) return;
    const status = goalEnd(goal, this.#pausing);
    if (status === null || this.#end !== null) return;
    // The turn that reached it says its last words.
    if (this.#active === null) this.#close({ status });
    else this.#end = { status };
  }

  #exceeded({ limit, allowed }: ExceededLimit): void {
    const turnId = this.#active?.turn.turnId ?? "";
    const message =
      `The goal needs more than its limits.${limit} of ${allowed} and is being stopped.`;
    this.queue.push({ type: "warning", threadId: this.threadId, turnId, message });
    this.#close({ status: "budgetLimited" });
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
      if (this.#active !== null) await this.#set("paused").catch(() => {});
      const reached = "status" in end && end.status === "complete";
      stopped = reached ? await turns.rest.stopAll() : await this.#stopAll();
      await core.call("thread/goal/clear", { threadId: this.threadId }, { timeoutMs: CALL_MS })
        .catch(() => this.#host.goalLost());
      // A turn that began before the goal was gone.
      stopped &&= await turns.rest.stopAll();
      if (this.#reopened) await this.#host.reopen(false).catch(() => {});
    } else this.#host.goalLost();
    for (const leave of this.#leave.splice(0)) leave();
    this.queue.end();
    const told = "error" in end
      ? { status: "error" as const, error: end.error }
      : { status: "ok" as const };
    await this.#hooks.post("postRun", { prompt: this.objective, ...told }).catch(() => {});
    this.#release();
    if ("error" in end) return this.#result.reject(end.error);
    try {
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
    const report: HookReport = this.#hooks.report;
    const turns: PromptRunResult[] = this.#runs.map(({ outcome }) => toResult(outcome, report));
    const usage = turns.reduce<TokenCount>(
      (sum, turn) => turn.usage === null ? sum : addTokens(sum, turn.usage),
      NO_TOKENS,
    );
    return { status, turns, usage };
  }

  async #set(status: "paused" | "active"): Promise<void> {
    const params = { threadId: this.threadId, status };
    await this.#host.core.call("thread/goal/set", params, { timeoutMs: CALL_MS });
  }
}

/** Starts a goal on a thread that has none. */
export async function startGoal(
  host: ThreadHost,
  objective: string,
  options: GoalOptions,
): Promise<Goal> {
  const { core } = host;
  assertSupported(core, "startGoal", "goals");
  if (host.profile.ephemeral) {
    throw new InvalidArgumentError("startGoal", {
      argument: "ephemeral",
      received: "true",
      accepts: "false for a session with goals: codex works on them only on threads that it keeps",
    });
  }
  const { signal } = options;
  signal?.throwIfAborted();
  const given = new AbortController();
  const forward = () => given.abort(signal!.reason);
  signal?.addEventListener("abort", forward, { once: true });
  let run: Goal | null = null;
  const holder = {
    interrupt: async () => {
      if (run === null) given.abort(new SessionClosedError("The goal was stopped."));
      else {
        await run.stop().catch((error) => {
          if (error instanceof RequestTimeoutError) throw error;
        });
      }
    },
    cancel: (reason: unknown) => run === null ? given.abort(reason) : run.cancel(reason),
  };
  try {
    const release = await host.take(holder, given.signal);
    // Whoever gives it up does not wait until it is undone; whoever has the thread next does.
    return await abortable(begin(release), given.signal);
  } finally {
    signal?.removeEventListener("abort", forward);
  }

  async function begin(release: () => void): Promise<Goal> {
    const { profile } = host;
    const hooks = host.hookRun(profile, given.signal);
    let reopened = false;
    try {
      const asked = await hooks.pre("preRun", { prompt: objective });
      const final = asked.prompt ?? objective;
      // A goal that was left on the thread would go on.
      await core.call("thread/goal/clear", { threadId: host.threadId }, { timeoutMs: CALL_MS });
      // On a thread without goals codex takes the goal and does nothing.
      if (!profile.goals) {
        // What somebody was promised meanwhile goes first: it would be left on a thread that is started anew.
        await host.turns.rest.begun();
        await host.turns.rest.idle(given.signal, profile.timeoutMs);
        await host.reopen(true);
        reopened = true;
      }
      await host.settle("startGoal", { ...profile, model: asked.model ?? profile.model });
      host.begin(hooks);
      await host.checkpoint(given.signal);
      given.signal.throwIfAborted();
      run = new Goal(host, { objective: final, options, hooks, reopened, release });
      const { threadId } = host;
      await core.call("thread/goal/set", { threadId, objective: final, status: "active" });
      return run;
    } catch (error) {
      if (run !== null) {
        run.cancel(error);
        await run.finish().catch(() => {});
      } else {
        if (reopened) await host.reopen(false).catch(() => {});
        await hooks.post("postRun", { prompt: objective, status: "error", error });
        release();
      }
      throw error;
    }
  }
}
