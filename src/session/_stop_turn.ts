/** Stopping a turn on the server, so that it has really stopped. */
import { RpcError } from "../errors.ts";
import { RequestTimeoutError } from "../errors.ts";
import type { RuntimeCore } from "../runtime/_core.ts";
import { compareVersions } from "../runtime/version.ts";
import type { TurnOutcome } from "./turn_outcome.ts";

/** What stopping needs to know of a turn. */
export interface StopTurnOptions {
  core: RuntimeCore;
  threadId: string;
  /** The turn's id, once it has one. */
  turnId: Promise<string>;
  /** Settles when the server has begun the turn: before that it answers "no active turn" and runs it all the same. */
  begun: Promise<void>;
  /** Settles when the turn is over. */
  over: Promise<boolean>;
  outcome: () => TurnOutcome | null;
}

/** Codex up to this version does not answer an interrupt that finds nothing to interrupt, so calls are short. */
const CALL_MS = 2_000;
/** How long a turn may take to begin or to stop before we give up. */
const PATIENCE_MS = 8_000;
const ATTEMPTS = 6;
/** From this version on an interrupted turn leaves its command running. */
const COMMANDS_LIVE_ON_SINCE = "0.105.0";

/** Interrupts the turn and waits for its end. `false` when the server would not stop it. */
export async function stopTurn(options: StopTurnOptions): Promise<boolean> {
  const { core, threadId, over } = options;
  const turnId = await within(options.turnId.catch(() => null), PATIENCE_MS, null);
  if (turnId === null) return true;
  await within(Promise.race([options.begun, over]), PATIENCE_MS, undefined);
  let stopped = await within(over, 0, false);
  for (let attempt = 1; !stopped && attempt <= ATTEMPTS; attempt++) {
    try {
      await Promise.race([
        core.callNow("turn/interrupt", { threadId, turnId }, { timeoutMs: CALL_MS }),
        over,
      ]);
      stopped = await within(over, PATIENCE_MS / 2, false);
    } catch (error) {
      if (!(error instanceof RpcError || error instanceof RequestTimeoutError)) return true;
      stopped = await within(over, 50 * attempt, false);
    }
  }
  const running = options.outcome()?.items.open("commandExecution") ?? false;
  if (running && compareVersions(core.server.version, COMMANDS_LIVE_ON_SINCE) >= 0) {
    // The turn has ended, its command has not.
    await core.callNow("thread/backgroundTerminals/clean", { threadId }, { timeoutMs: CALL_MS })
      .catch(() => {});
  }
  return stopped;
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
