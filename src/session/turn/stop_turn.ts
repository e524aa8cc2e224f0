/** Stopping a turn on the server, so that it has really stopped. */
import { RequestTimeoutError, RpcError, SessionClosedError } from "../../errors/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { supports } from "../../protocol/mod.ts";
import type { TurnOutcome } from "./turn_outcome.ts";

/** What stopping needs to know of a turn. */
export interface StopTurnOptions {
  core: RuntimeCore;
  threadId: string;
  /** The turn's id, once it has one; rejects when it never gets one. */
  turnId: Promise<string>;
  /** Settles when the server has begun the turn: before that it answers "no active turn" and runs it all the same. */
  begun: Promise<void>;
  /** Settles when the turn has ended. */
  ended: Promise<void>;
  outcome: () => TurnOutcome | null;
}

/** Milliseconds that stopping waits for the server. */
export interface StopLimits {
  /** An answer; codex up to 0.125 does not answer an interrupt that finds nothing to interrupt. */
  call: number;
  /** The turn's beginning, before it is interrupted all the same. */
  begin: number;
  /** The end of an interrupted turn. */
  end: number;
  /** How long the server may refuse or ignore interrupts before we give up. */
  patience: number;
}

const LIMITS: StopLimits = { call: 2_000, begin: 5_000, end: 4_000, patience: 10_000 };

/**
 * Interrupts the turn and waits for its end. `false` when the server would not stop it. How long a turn takes to get its
 * id is limited by the call that starts it. Never rejects.
 */
export async function stopTurn(
  options: StopTurnOptions,
  limits: StopLimits = LIMITS,
): Promise<boolean> {
  const turnId = await options.turnId.catch(() => null);
  if (turnId === null) return false;
  const ended = options.ended.then((): true => true);
  await within(Promise.race([options.begun, ended]), limits.begin, false);
  const stopped = await interrupt(options, turnId, ended, limits);
  await endCommands(options, limits);
  return stopped;
}

async function interrupt(
  { core, threadId }: StopTurnOptions,
  turnId: string,
  ended: Promise<true>,
  limits: StopLimits,
): Promise<boolean> {
  let stopped = await within(ended, 0, false);
  const deadline = performance.now() + limits.patience;
  for (let tries = 1; !stopped && performance.now() < deadline; tries++) {
    // An old server does not answer at all when the turn ends meanwhile: then nobody waits for the answer.
    const unwanted = new AbortController();
    const call = core.callNow("turn/interrupt", { threadId, turnId }, {
      timeoutMs: limits.call,
      signal: unwanted.signal,
    });
    try {
      await Promise.race([call, ended]);
      stopped = await within(ended, limits.end, false);
    } catch (error) {
      // Anything else is the end of the connection, and of the turn with it.
      if (!(error instanceof RpcError || error instanceof RequestTimeoutError)) return true;
      stopped = await within(ended, Math.min(50 * tries, 500), false);
    } finally {
      unwanted.abort();
    }
  }
  return stopped;
}

/** The turn has ended, its command may not have. */
async function endCommands(
  { core, threadId, outcome }: StopTurnOptions,
  limits: StopLimits,
): Promise<void> {
  if (core.state !== "running" || outcome()?.items.open("commandExecution") !== true) return;
  if (!supports(core.server.version, "commandsOutliveTurns")) return;
  const call = core.callNow("thread/backgroundTerminals/clean", { threadId }, {
    timeoutMs: limits.call,
  });
  await call.catch(() => {});
}

async function within<T, U>(promise: Promise<T>, ms: number, otherwise: U): Promise<T | U> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<U>((resolve) => timer = setTimeout(() => resolve(otherwise), ms));
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** The error of a prompt behind a turn that could not be stopped. */
export function stuckError(): SessionClosedError {
  return new SessionClosedError(
    "The server did not stop the last turn, and another prompt would become part of it. " +
      "Ask again later, or resume the thread on another client.",
  );
}
