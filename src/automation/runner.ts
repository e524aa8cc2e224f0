/**
 * The loop of one automation (it waits, asks and records), its decisions (pure, over times in milliseconds since the epoch),
 * and its finished runs.
 * @module
 */
import { defined } from "../json.ts";
import { abortable } from "../async.ts";
import { InvalidArgumentError, SessionClosedError } from "../errors/mod.ts";
import type { PromptRunResult, RunLimits } from "../session/mod.ts";
import type {
  AutomationRun,
  AutomationSession,
  AutomationSpec,
  AutomationStatus,
} from "./types.ts";

/** How long a stop waits for its turn to begin, since only a begun turn can be interrupted and waited for. */
const BEGIN_MS = 2_000;
/** How long a stop waits for an interrupted turn to end before it gives up the wait. */
const END_MS = 10_000;

/** The turn that runs now. */
interface Turn {
  /** Gives the ask up, wherever it is. */
  abort: AbortController;
  /** Settles when the server has begun the turn, or the ask is over. */
  begun: PromiseWithResolvers<void>;
  /** Whether the turn itself is over, though the ask may still be at its hooks. */
  ended: boolean;
  /** Settles when the ask is over. */
  over: PromiseWithResolvers<void>;
}

/** A running automation. */
export class Runner {
  /** What was run. */
  readonly runs: Runs = new Runs();
  /** Settles, with the last status, when the automation is over. Never rejects. */
  readonly finished: Promise<AutomationStatus>;
  readonly #session: AutomationSession;
  readonly #spec: AutomationSpec;
  readonly #clock: AutomationClock;
  readonly #stop = new AbortController();
  #status: AutomationStatus;
  #turn: Turn | undefined;
  #started = 0;

  constructor(session: AutomationSession, spec: AutomationSpec, clock: AutomationClock) {
    this.#session = session;
    // A copy: later changes of the caller's object must not change the plan.
    const { startAt, stopAt } = spec;
    this.#spec = {
      ...spec,
      ...defined({
        startAt: startAt && new Date(startAt),
        stopAt: stopAt && new Date(stopAt),
      }),
    };
    this.#clock = clock;
    this.#status = {
      threadId: session.threadId,
      state: "waiting",
      runsCompleted: 0,
      nextDueAt: null,
      lastStartedAt: null,
      lastFinishedAt: null,
      runsDropped: 0,
    };
    const first = firstStep(this.#spec, clock.now(), this.#closed);
    this.#enter(first);
    this.finished = this.#loop(first);
  }

  status(): AutomationStatus {
    // A thread that was never used is another one when it was opened anew.
    const { threadId } = this.#session;
    return { ...this.#status, threadId, runsDropped: this.runs.dropped };
  }

  /** Starts no more runs, interrupts the running turn and waits for it. */
  async stop(): Promise<AutomationStatus> {
    if (!this.#stop.signal.aborted) {
      this.#stop.abort();
      if (this.#turn !== undefined) await this.#interrupt(this.#turn);
    }
    return await this.finished;
  }

  get #closed(): boolean {
    return this.#session.closed === true || this.#session.closeSignal?.aborted === true;
  }

  async #loop(first: AutomationStep): Promise<AutomationStatus> {
    const wake = this.#wakeSignal();
    try {
      let step = first;
      while (step.type === "wait") {
        await sleepUntil(step.dueAt, this.#longest, this.#clock, wake.signal);
        step = await this.#due(step.dueAt);
      }
    } finally {
      wake.release();
      this.runs.end();
    }
    return this.status();
  }

  /** How far away the next run can be: the first one begins when its date says, the others are never further than their pace. */
  get #longest(): number {
    return this.#started === 0 ? Infinity : this.#spec.every * 1.5;
  }

  /** Aborted by a stop and by the session's end; neither has happened yet where there is something to wait for. */
  #wakeSignal(): { signal: AbortSignal; release: () => void } {
    const wake = new AbortController();
    const abort = (): void => wake.abort();
    this.#stop.signal.addEventListener("abort", abort);
    this.#session.closeSignal?.addEventListener("abort", abort);
    return {
      signal: wake.signal,
      // The session outlives this automation and must not hold on to it.
      release: () => this.#session.closeSignal?.removeEventListener("abort", abort),
    };
  }

  /** Does what is due, which may be a run, and enters the next step. */
  async #due(dueAt: number): Promise<AutomationStep> {
    const instead: AutomationStep | null = this.#stop.signal.aborted
      ? { type: "stop" }
      : stepAtDue(this.#spec, dueAt, this.#clock.now(), this.#closed);
    if (instead !== null) {
      this.#enter(instead);
      return instead;
    }
    const run = await this.#run(dueAt);
    const step = this.#after(run);
    // The status is up to date before anyone hears of the run.
    this.#enter(step);
    this.#tell(run);
    return step;
  }

  #after(run: AutomationRun): AutomationStep {
    if (this.#stop.signal.aborted) return { type: "stop" };
    if ("error" in run) return { type: "fail", error: run.error };
    // A goal that was not reached is a run all the same, and uses tokens.
    return nextStep(this.#spec, run.dueAt.getTime(), this.#clock.now(), this.#started);
  }

  /** Runs one turn. */
  async #run(dueAt: number): Promise<AutomationRun> {
    const turn: Turn = {
      abort: new AbortController(),
      begun: Promise.withResolvers(),
      ended: false,
      over: Promise.withResolvers(),
    };
    this.#turn = turn;
    const startedAt = new Date(this.#clock.now());
    this.#update({ state: "running", nextDueAt: null, lastStartedAt: startedAt });
    let ending: Pick<AutomationRun, "result" | "goal"> | { error: unknown };
    try {
      ending = this.#spec.goal === true
        ? await this.#reach(turn)
        : { result: await this.#ask(turn) };
    } catch (error) {
      ending = { error };
    }
    this.#turn = undefined;
    turn.begun.resolve();
    turn.over.resolve();
    const finishedAt = new Date(this.#clock.now());
    const succeeded = !("error" in ending) &&
      (ending.goal === undefined || ending.goal.status === "complete");
    const completed = this.#status.runsCompleted + (succeeded ? 1 : 0);
    this.#update({ lastFinishedAt: finishedAt, runsCompleted: completed });
    return { index: this.#started++, dueAt: new Date(dueAt), startedAt, finishedAt, ...ending };
  }

  get #options(): { limits?: RunLimits } {
    const { limits } = this.#spec;
    return defined({ limits });
  }

  #ask(turn: Turn): Promise<PromptRunResult> {
    return this.#session.ask(this.#spec.prompt, {
      signal: turn.abort.signal,
      ...this.#options,
      onEvent: (event) => {
        if (event.type === "turnStarted") {
          turn.begun.resolve();
          turn.ended = false;
        } else if (event.type === "turnCompleted") turn.ended = true;
      },
    });
  }

  async #reach(turn: Turn): Promise<Pick<AutomationRun, "result" | "goal">> {
    const { signal } = turn.abort;
    const goal = await this.#session.startGoal!(this.#spec.prompt, { signal, ...this.#options });
    // From here on the session's interrupt stops it, between its turns as well.
    turn.begun.resolve();
    // Events that nobody takes would be kept.
    for await (const event of goal) void event;
    const result = await goal.finish();
    const last = result.turns.at(-1);
    return { goal: result, ...defined({ result: last }) };
  }

  #tell(run: AutomationRun): void {
    this.runs.push(run);
    const failed = (error: unknown): void => this.#update({ onRunError: error });
    try {
      // An async callback is not waited for, but its failure must not end the script.
      const returned: unknown = this.#spec.onRun?.(run);
      if (returned instanceof Promise) returned.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Interrupts the turn, so that it stops on the server too. */
  async #interrupt(turn: Turn): Promise<void> {
    // An ask in the session's queue has no turn yet: interrupting now would hit somebody else's.
    if (!await this.#settles(turn.begun.promise, BEGIN_MS)) turn.abort.abort(stopReason());
    else if (this.#turn === turn && !turn.ended) this.#session.interrupt().catch(() => {});
    // The ask's own end tells that the turn has stopped; giving it up would only tell that nobody waits.
    if (!await this.#settles(turn.over.promise, END_MS)) turn.abort.abort(stopReason());
  }

  /** Whether the promise settles in time. */
  async #settles(promise: Promise<void>, ms: number): Promise<boolean> {
    const limit = Promise.withResolvers<boolean>();
    const cancel = this.#clock.after(ms, () => limit.resolve(false));
    const settled = await Promise.race([promise.then(() => true), limit.promise]);
    cancel();
    return settled;
  }

  /** Shows the step in the status. */
  #enter(step: AutomationStep): void {
    switch (step.type) {
      case "wait":
        this.#update({ state: "waiting", nextDueAt: new Date(step.dueAt) });
        break;
      case "stop":
        this.#update({ state: "stopped", nextDueAt: null });
        break;
      case "fail":
        this.#update({ state: "failed", nextDueAt: null, lastError: step.error });
    }
  }

  #update(change: Partial<AutomationStatus>): void {
    this.#status = { ...this.#status, ...change };
  }
}

function stopReason(): DOMException {
  return new DOMException("The automation was stopped.", "AbortError");
}

// Finished runs on their way to whoever reads them.

/** How many unread runs are kept. */
export const KEPT_RUNS = 1_000;

/** Keeps runs until they are read; the oldest go when there are too many. */
export class Runs {
  /** Runs that were never read and are gone. */
  dropped = 0;
  #kept: AutomationRun[] = [];
  #ended = false;
  #readers: (() => void)[] = [];

  /** Adds a run. */
  push(run: AutomationRun): void {
    this.#kept.push(run);
    if (this.#kept.length > KEPT_RUNS) {
      this.#kept.shift();
      this.dropped++;
    }
    this.#readers.shift()?.();
  }

  /** No more runs will come. */
  end(): void {
    this.#ended = true;
    for (const wake of this.#readers.splice(0)) wake();
  }

  /** The next run, or `null` after the last one. */
  async next(): Promise<AutomationRun | null> {
    for (;;) {
      const run = this.#kept.shift();
      if (run !== undefined) return run;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#readers.push(resolve));
    }
  }
}

// When an automation runs, pure, over times in milliseconds since the epoch; and the clock that tells them.

/** The last moment that a `Date` can hold. */
const LAST_MOMENT = 8.64e15;

/** What an automation does next. */
export type AutomationStep =
  | { type: "wait"; dueAt: number }
  | { type: "stop" }
  | { type: "fail"; error: unknown };

/** The first step of an automation. */
export function firstStep(spec: AutomationSpec, now: number, closed: boolean): AutomationStep {
  if (closed) return { type: "fail", error: closedError() };
  if (spec.maxRuns === 0) return { type: "stop" };
  const dueAt = Math.max(spec.startAt?.getTime() ?? now, now);
  return dueAt >= stopTime(spec) ? { type: "stop" } : { type: "wait", dueAt };
}

/** Whether the run that is due at `dueAt` may start now: `null`, or what happens instead. */
export function stepAtDue(
  spec: AutomationSpec,
  dueAt: number,
  now: number,
  closed: boolean,
): AutomationStep | null {
  if (closed) return { type: "fail", error: closedError() };
  if (now >= stopTime(spec)) return { type: "stop" };
  // The clock was set back while it waited.
  return dueAt > now ? { type: "wait", dueAt: nextDue(dueAt, spec.every, now) } : null;
}

/** The step after a run that did not fail and was due at `lastDue`; `runs` were made so far. */
export function nextStep(
  spec: AutomationSpec,
  lastDue: number,
  now: number,
  runs: number,
): AutomationStep {
  if (runs >= (spec.maxRuns ?? Infinity)) return { type: "stop" };
  const dueAt = nextDue(lastDue, spec.every, now);
  if (dueAt >= stopTime(spec)) return { type: "stop" };
  if (dueAt <= LAST_MOMENT) return { type: "wait", dueAt };
  return {
    type: "fail",
    error: new InvalidArgumentError("automation", {
      argument: "every",
      received: "a pace whose next run is later than a Date can tell",
      accepts: "a number of milliseconds that a Date can hold",
    }),
  };
}

/** From when on nothing begins. */
function stopTime({ stopAt }: AutomationSpec): number {
  return stopAt?.getTime() ?? Infinity;
}

function closedError(): SessionClosedError {
  return new SessionClosedError("The session was closed before the automation ended.");
}

/**
 * The first tick after `now` on the grid that `lastDue` is on: ticks that passed meanwhile collapse into the one run
 * that just ended, and the grid never shifts. A clock that was set back goes over ticks once more: the next one is between half
 * a period and one and a half away, so that none comes twice for a clock that was corrected by a little.
 */
export function nextDue(lastDue: number, every: number, now: number): number {
  const passed = Math.floor((now - lastDue) / every);
  const later = lastDue + every * (passed + 1);
  const twice = later <= lastDue && later - now < every / 2;
  // Fractions of milliseconds round; the promise is a tick after now.
  return later > now && !twice ? later : lastDue + every * (passed + 2);
}

// Time, as an automation sees it. Tests bring their own.

/** Tells the time and calls back. */
export interface AutomationClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back after some milliseconds; the result cancels that. */
  after(ms: number, callback: () => void): () => void;
}

/** The real time. Its timers keep the script alive, as an automation should. */
export const systemClock: AutomationClock = {
  now: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * The longest single timer. Timers overflow at 2^31 ms and stand still while a machine sleeps; looking at the clock
 * each minute makes both harmless.
 */
const LONGEST_TIMER_MS = 60_000;

/** Waits until the time has come, the clock was set so far back that it is further away than `longest`, or the signal aborts. */
async function sleepUntil(
  time: number,
  longest: number,
  clock: AutomationClock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const left = time - clock.now();
    if (left <= 0 || left > longest) return;
    const woken = Promise.withResolvers<void>();
    const cancel = clock.after(Math.min(Math.ceil(left), LONGEST_TIMER_MS), woken.resolve);
    await abortable(woken.promise, signal).catch(() => {});
    cancel();
  }
}
