/**
 * A goal in the hands of who set it.
 * @module
 */
import type { GoalResult } from "../profile.ts";
import type { StreamedEvents } from "../prompt/prompt_run_stream.ts";
import type { TurnEvent } from "../turn/turn_event.ts";

/** What a {@linkcode GoalRun} needs of its goal. */
export interface StartedGoal {
  /** The thread. */
  readonly threadId: string;
  /** What is to be reached. */
  readonly objective: string;
  /** The events of its turns. */
  readonly queue: StreamedEvents;
  /** Lets no further turn begin, and interrupts the active one. */
  pause(): Promise<void>;
  /** Lets turns begin again. */
  resume(): Promise<void>;
  /** Ends the goal. */
  stop(): Promise<GoalResult>;
  /** How it ended. */
  finish(): Promise<GoalResult>;
}

/**
 * An active goal. Iterate it for the events of its turns, call {@linkcode finish} for the result. Leaving the loop early,
 * or disposing it, stops the goal. Prompts of the session wait until it is over.
 *
 * ```ts ignore
 * const goal = await session.startGoal("All tests pass", { limits: { tokens: 500_000 } });
 * for await (const event of goal) if (event.type === "itemCompleted") console.log(event.item.type);
 * const { status, turns, usage } = await goal.finish();
 * ```
 */
export class GoalRun implements AsyncIterable<TurnEvent>, AsyncDisposable {
  readonly #goal: StartedGoal;

  /** Made by {@linkcode Session.startGoal}. */
  constructor(goal: StartedGoal) {
    this.#goal = goal;
  }

  /** The thread. */
  get threadId(): string {
    return this.#goal.threadId;
  }

  /** What is to be reached. */
  get objective(): string {
    return this.#goal.objective;
  }

  /** Lets no further turn begin, and interrupts the active one; settles when nothing works any more. */
  pause(): Promise<void> {
    return this.#goal.pause();
  }

  /** Goes on after {@linkcode pause}. */
  resume(): Promise<void> {
    return this.#goal.resume();
  }

  /**
   * Ends the goal, whatever is active; settles with what there was. Rejects with `RequestTimeoutError` when the server did
   * not confirm that nothing works any more.
   */
  stop(): Promise<GoalResult> {
    return this.#goal.stop();
  }

  /**
   * How the goal ended. Rejects with the error of a turn that failed, with the signal's reason, and with
   * `ConnectionClosedError`. May be called at any time, and more than once.
   */
  finish(): Promise<GoalResult> {
    return this.#goal.finish();
  }

  /** Iterates the events of the goal's turns. Leaving the loop early stops the goal. */
  [Symbol.asyncIterator](): AsyncIterator<TurnEvent> {
    return {
      next: () => this.#goal.queue.read(),
      return: async () => {
        await this[Symbol.asyncDispose]();
        return { done: true, value: undefined };
      },
    };
  }

  /** Stops the goal if it is active still, and releases the events. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#goal.queue.discard();
    await this.stop().catch(() => {});
  }
}
