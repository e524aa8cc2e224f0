/**
 * Recurring prompts on one prepared session.
 * @module
 */
import {
  callback,
  checkArgument,
  count,
  date,
  flag,
  having,
  type Kind,
  kind,
  required,
  type Shape,
  shape,
  takeOptions,
  text,
} from "../check/mod.ts";
import { limitsKind } from "../session/profile_shape.ts";
import { Runner, systemClock } from "./runner.ts";
import type {
  AutomationRun,
  AutomationSession,
  AutomationSpec,
  AutomationStatus,
} from "./types.ts";

export type * from "./types.ts";

const pace = kind(
  "a number of milliseconds, at least 1",
  ["number"],
  (value: number) => Number.isFinite(value) && value >= 1,
);

/** What a spec may be. */
const AUTOMATION_SPEC: Shape = shape<AutomationSpec>({
  prompt: required(text),
  every: required(pace),
  startAt: date,
  stopAt: date,
  maxRuns: count(0),
  goal: flag,
  limits: limitsKind,
  onRun: callback,
}, {
  interval: "every",
  everyMs: "every",
  cron: "There is no cron: give `every` in milliseconds.",
});

const SESSION: Kind = required(
  having("a session { threadId, ask, interrupt }", {
    threadId: required(text),
    ask: required(callback),
    interrupt: required(callback),
  }),
);

const GOAL_SESSION: Kind = required(
  having("a session with startGoal", { startGoal: required(callback) }),
);

/**
 * Asks the same prompt on one session again and again, at a fixed pace.
 *
 * Throws `InvalidArgumentError` for a mistake in the spec (`every` below 1, an invalid date, a `maxRuns` that is no
 * count). A closed session gives a handle whose state is `failed` at once, with the error in `lastError`; a `maxRuns` of 0
 * or a `stopAt` that has passed give one that is `stopped`.
 *
 * ```ts ignore
 * await using backlog = automation.spawn(session, {
 *   prompt: "Close one item of the backlog",
 *   every: 30 * 60_000,
 *   stopAt: new Date(Date.now() + 8 * 3_600_000),
 * });
 * for await (const run of backlog) console.log(run.result?.assistantText ?? run.error);
 * ```
 */
export function spawn(session: AutomationSession, spec: AutomationSpec): AutomationHandle {
  checkArgument("automation.spawn", "session", session, SESSION);
  const given = takeOptions("automation.spawn", spec, AUTOMATION_SPEC);
  if (given.goal === true) {
    checkArgument("automation.spawn", "session", session, GOAL_SESSION);
  }
  return new AutomationHandle(new Runner(session, given, systemClock));
}

// The caller's end of an automation.

/** What an {@linkcode AutomationHandle} shows and controls. */
interface RunningAutomation {
  /** What was run. */
  readonly runs: { next(): Promise<AutomationRun | null> };
  /** Settles, with the last status, when the automation is over. Never rejects. */
  readonly finished: Promise<AutomationStatus>;
  /** How far it is. */
  status(): AutomationStatus;
  /** Ends it. */
  stop(): Promise<AutomationStatus>;
}

/**
 * A running automation; {@linkcode spawn} makes one.
 *
 * Iterating gives each run once, in order, and ends when the automation is over; a failed run is given with its error,
 * it does not throw. Runs are kept until they are read, the latest 1,000 of them (`status().runsDropped` counts the
 * others). Leaving the loop early stops the automation, like {@linkcode stop}. Releasing the handle does not stop the automation, and its
 * timer keeps the script alive: call {@linkcode stop}, or hold it with `await using`.
 *
 * ```ts
 * import { automation, Client } from "@codex/runtime";
 *
 * await using client = await Client.connect();
 * const session = await client.startSession({ cwd: "/srv/app" });
 * await using handle = automation.spawn(session, { prompt: "Tidy up", every: 3_600_000 });
 * for await (const { index, result, error } of handle) {
 *   console.log(index, result?.assistantText ?? error);
 *   if (index === 7) break; // stops it
 * }
 * ```
 */
export class AutomationHandle implements AsyncIterable<AutomationRun>, AsyncDisposable {
  readonly #runner: RunningAutomation;

  /** The runs, as they end. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncIterator]: () => AsyncIterator<AutomationRun, undefined>;
  /** Same as {@linkcode stop}. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** Made by {@linkcode spawn}. */
  constructor(runner: RunningAutomation) {
    this.#runner = runner;
    this[Symbol.asyncIterator] = () => this.#runs();
    this[Symbol.asyncDispose] = async () => void await runner.stop();
  }

  /** How far the automation is, as a snapshot. */
  status(): AutomationStatus {
    return this.#runner.status();
  }

  /**
   * Starts no more runs, interrupts the running turn and waits for its end; that run is delivered with its error.
   * Resolves with the final status and never rejects. Stopping what is over changes nothing.
   */
  stop(): Promise<AutomationStatus> {
    return this.#runner.stop();
  }

  /** Waits until the automation is over. Resolves with the final status, a failure's included; never rejects. */
  wait(): Promise<AutomationStatus> {
    return this.#runner.finished;
  }

  // No generator: one would stop the automation only when the run that its reader waits for is over.
  #runs(): AsyncIterator<AutomationRun, undefined> {
    const over = { done: true, value: undefined } as const;
    let left = false;
    return {
      next: async () => {
        const value = left ? null : await this.#runner.runs.next();
        return value === null ? over : { done: false, value };
      },
      return: async () => {
        left = true;
        await this.#runner.stop();
        return over;
      },
    };
  }
}
