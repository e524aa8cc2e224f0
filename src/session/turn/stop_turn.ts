/** Stopping a turn on the server, so that it has really stopped. */
import { within } from "../../async.ts";
import { RequestTimeoutError, RpcError } from "../../errors/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { supports } from "../../protocol/mod.ts";
import type { TurnOutcome } from "./turn_outcome.ts";

/** What stopping needs to know of a turn. */
export interface StopTurnOptions {
  core: RuntimeCore;
  threadId: string;
  /** The id that the server interrupts it by; looked at anew for each try. */
  readonly turnId: string;
  /** Settles when the server has started the turn: before that it answers "no active turn" and runs it all the same. */
  started: Promise<void>;
  /** Settles when the turn has ended. */
  completed: Promise<void>;
  outcome: TurnOutcome;
}

/** Milliseconds that stopping waits for the server. */
export interface StopLimits {
  /** An answer; codex up to 0.125 does not answer an interrupt that finds nothing to interrupt. */
  call: number;
  /** The turn's start, before it is interrupted all the same. */
  begin: number;
  /** The end of an interrupted turn. */
  end: number;
  /** How long the server may refuse or ignore interrupts before we give up. */
  patience: number;
}

const LIMITS: StopLimits = { call: 2_000, begin: 5_000, end: 4_000, patience: 10_000 };

/** Interrupts the turn and waits for its end. `false` when the server would not stop it. Never rejects. */
export async function stopTurn(
  options: StopTurnOptions,
  limits: StopLimits = LIMITS,
): Promise<boolean> {
  const ended = options.completed.then((): true => true);
  await within(Promise.race([options.started, ended]), limits.begin, false);
  const stopped = await interrupt(options, ended, limits);
  await endCommands(options, limits);
  return stopped;
}

async function interrupt(
  options: StopTurnOptions,
  ended: Promise<true>,
  limits: StopLimits,
): Promise<boolean> {
  const { core, threadId } = options;
  let stopped = await within(ended, 0, false);
  const deadline = performance.now() + limits.patience;
  for (let tries = 1; !stopped && performance.now() < deadline; tries++) {
    // An old server does not answer at all when the turn ends meanwhile: then nobody waits for the answer.
    const unwanted = new AbortController();
    const call = core.callNow("turn/interrupt", { threadId, turnId: options.turnId }, {
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
  if (core.state !== "running" || !outcome.items.open("commandExecution")) return;
  if (!supports(core.server.version, "commandsOutliveTurns")) return;
  const call = core.callNow("thread/backgroundTerminals/clean", { threadId }, {
    timeoutMs: limits.call,
  });
  await call.catch(() => {});
}
