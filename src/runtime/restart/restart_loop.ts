/** Starting another server after a crash, until one stays or there have been too many. */
import { ConnectionClosedError } from "../../errors/mod.ts";
import { delay } from "../../async.ts";
import type { RestartPolicy } from "../config.ts";
import { decideRestart, type RestartDecision } from "./restart.ts";

/** A restart that was decided on. */
export type PlannedRestart = Extract<RestartDecision, { restart: true }>;

/** What the loop needs of the machine around it. */
export interface RestartSteps {
  /** When it is over, nothing is started any more. */
  signal: AbortSignal;
  /** Starts a server and says hello. */
  connect(): Promise<void>;
  /** Takes up what was open; rejects when the server ends meanwhile. */
  restore(): Promise<void>;
  /** A server ended before everything was taken up; another one follows. */
  failed(error: unknown, next: PlannedRestart): void;
  /** Too many servers ended. */
  gaveUp(error: unknown): void;
}

/** Counts restarts, and does them. */
export class RestartLoop {
  readonly #policy: RestartPolicy | undefined;
  #count = 0;

  constructor(policy: RestartPolicy | undefined) {
    this.#policy = policy;
  }

  /** Whether a server that was healthy for so long is followed by another one. */
  plan(healthyMs: number): PlannedRestart | null {
    const history = { count: this.#count, healthyMs };
    const decision = decideRestart(this.#policy, history, Math.random());
    if (!decision.restart) return null;
    this.#count = decision.attempt;
    return decision;
  }

  /** Carries a plan out, and those that follow from its failures. Settles when a server is there, or none will be. */
  async run(first: PlannedRestart, steps: RestartSteps): Promise<void> {
    let next: PlannedRestart | null = first;
    while (next !== null) {
      await delay(next.delayMs, steps.signal).catch(() => {});
      if (steps.signal.aborted) return;
      try {
        await steps.connect();
        return await steps.restore();
      } catch (error) {
        if (steps.signal.aborted) return;
        next = this.plan(0);
        if (next === null) steps.gaveUp(error);
        else steps.failed(error, next);
      }
    }
  }
}

/** The error of whoever waits for a server that could not be started. */
export function closedBecause(error: unknown): ConnectionClosedError {
  return error instanceof ConnectionClosedError
    ? error
    : new ConnectionClosedError("codex could not be started.", { cause: error });
}
