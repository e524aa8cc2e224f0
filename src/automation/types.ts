/**
 * What an automation is told and what it tells.
 * @module
 */
import type { GoalResult, PromptRunResult, RunLimits, TurnEvent } from "../session/mod.ts";

/** What an automation needs of a session; `Session` has it. */
export interface AutomationSession {
  /** The thread. */
  readonly threadId: string;
  /** Whether the session was closed. */
  readonly closed?: boolean;
  /** Aborted when the session closes, so that a waiting automation ends at once and not when its next run is due. */
  readonly closeSignal?: AbortSignal;
  /** Runs one turn. */
  ask(
    prompt: string,
    options: { signal: AbortSignal; onEvent: (event: TurnEvent) => void; limits?: RunLimits },
  ): Promise<PromptRunResult>;
  /** Works on a goal; needed for {@linkcode AutomationSpec.goal} only. */
  startGoal?(
    objective: string,
    options: { signal: AbortSignal; limits?: RunLimits },
  ): Promise<AutomationGoal>;
  /** Interrupts the active turn and waits until it has stopped. */
  interrupt(): Promise<void>;
}

/** An active goal; `GoalRun` is one. */
export interface AutomationGoal extends AsyncIterable<TurnEvent> {
  /** How it ended. */
  finish(): Promise<GoalResult>;
}

/** What to ask, and when. */
export interface AutomationSpec {
  /** What to ask each time. */
  prompt: string;
  /** Milliseconds from one start to the next; at least 1. */
  every: number;
  /** The first run; a time in the past is at once. Default: at once. */
  startAt?: Date;
  /** No run starts at or after this time; one that runs then is not cut off. Default: never. */
  stopAt?: Date;
  /** Ends after this many runs, goals that were not reached included. Default: no limit. */
  maxRuns?: number;
  /**
   * Makes each run a goal instead of a turn: `prompt` is what is to be reached. A run whose goal ends in any other way than
   * `complete` is a run all the same; {@linkcode AutomationRun.goal} says how it ended. Default `false`.
   */
  goal?: boolean;
  /** What each run may use. Default: the session's limits. */
  limits?: RunLimits;
  /**
   * Called with each run when it is over, the failed or interrupted one included. What it throws ends nothing and is
   * kept in {@linkcode AutomationStatus.onRunError}.
   */
  onRun?: (run: AutomationRun) => void;
}

/** One run. */
export interface AutomationRun {
  /** Counts from 0. */
  index: number;
  /** When it was due. */
  dueAt: Date;
  /** When it started. */
  startedAt: Date;
  /** When it was over. */
  finishedAt: Date;
  /** What the turn produced, when it went well; of a goal its last turn. */
  result?: PromptRunResult;
  /** How the goal ended, when the run was one and did not fail. */
  goal?: GoalResult;
  /** Why it did not go well. */
  error?: unknown;
}

/**
 * How far an automation is: `waiting` for its next run, `running` one, or over: `stopped` as planned or asked,
 * `failed` by {@linkcode AutomationStatus.lastError}.
 */
export type AutomationState = "waiting" | "running" | "stopped" | "failed";

/** A snapshot of an automation. */
export interface AutomationStatus {
  /** The session's thread. */
  threadId: string;
  /** How far it is. */
  state: AutomationState;
  /** Successful runs so far: prompts that were answered, goals that were reached. */
  runsCompleted: number;
  /** When the next run is due; `null` while one runs and when it is over. */
  nextDueAt: Date | null;
  /** When the last run started, or `null`. */
  lastStartedAt: Date | null;
  /** When the last run was over, or `null`. */
  lastFinishedAt: Date | null;
  /** Why it failed, when it did: the error of the prompt, of the goal, or of the closed session. */
  lastError?: unknown;
  /** What `onRun` threw last, when it did. */
  onRunError?: unknown;
  /** Runs that nobody read and that are no longer kept; see `AutomationHandle`. */
  runsDropped: number;
}
