/** Stopping a turn on the server, so that it has really stopped. */
import { delay, within } from "../../async.ts";
import { RequestTimeoutError, RpcError } from "../../errors/mod.ts";
import { type JsonObject, objectOf, objectsOf, stringOf } from "../../json.ts";
import { isRefusal, supports } from "../../protocol/mod.ts";
import { isAttached, type RuntimeCore } from "../../runtime/mod.ts";
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
  /** The server would not interrupt it, and does not end it. */
  refused: (error: unknown) => void;
  /** Whether some of its messages were missed meanwhile: it may have commands of which nothing is known. */
  missed: () => boolean;
}

/** Throws when the server did not confirm that nothing runs any more. */
export function assertStopped(stopped: boolean): void {
  if (stopped) return;
  const note = "What runs was told to stop and may still be active";
  throw new RequestTimeoutError("turn/interrupt", LIMITS.patience, { note });
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

/** What time it is, and waiting. */
export interface StopClock {
  /** Milliseconds since some moment. */
  now(): number;
  /** What the promise settles with, or `otherwise` after so many milliseconds. */
  within<T>(promise: Promise<T>, ms: number, otherwise: T): Promise<T>;
}

const CLOCK: StopClock = { now: () => performance.now(), within };

const LIMITS: StopLimits = { call: 2_000, begin: 5_000, end: 4_000, patience: 10_000 };

/** Interrupts the turn and waits for its end. `false` when the server would not stop it. Never rejects. */
export async function stopTurn(
  options: StopTurnOptions,
  limits: StopLimits = LIMITS,
  clock: StopClock = CLOCK,
): Promise<boolean> {
  const ended = options.completed.then(() => true);
  const begun = Promise.race([options.started, ended]).then(() => true);
  const hasBegun = await clock.within(begun, limits.begin, false);
  const stopped = await interrupt(options, ended, hasBegun, limits, clock);
  const { core, threadId, outcome } = options;
  if (options.missed() || outcome.items.open("commandExecution")) {
    await endCommands(core, threadId, limits.call);
  }
  return stopped;
}

async function interrupt(
  options: StopTurnOptions,
  ended: Promise<boolean>,
  begun: boolean,
  limits: StopLimits,
  clock: StopClock,
): Promise<boolean> {
  const { core, threadId } = options;
  let stopped = await clock.within(ended, 0, false);
  let deadline = clock.now() + limits.patience;
  for (let tries = 1; !stopped && clock.now() < deadline; tries++) {
    // An old server does not answer at all when the turn ends meanwhile: then nobody waits for the answer.
    const unwanted = new AbortController();
    const call = core.callNow("turn/interrupt", { threadId, turnId: options.turnId }, {
      timeoutMs: limits.call,
      signal: unwanted.signal,
    });
    try {
      await Promise.race([call, ended]);
      stopped = await clock.within(ended, limits.end, false);
    } catch (error) {
      if (!(error instanceof RpcError || error instanceof RequestTimeoutError)) {
        // The end of the connection, and of the turn with it where the server does not work on.
        if (!await reconnected(core, threadId)) return true;
        // Or its prompt has been told that it is lost: an old server would interrupt whichever turn is next.
        stopped = await clock.within(ended, 0, false);
        deadline = clock.now() + limits.patience;
        continue;
      }
      stopped = await clock.within(ended, Math.min(50 * tries, 500), false) ||
        begun && await isOver(core, threadId, error instanceof RequestTimeoutError && tries > 1);
      if (!stopped) options.refused(error);
    } finally {
      unwanted.abort();
    }
  }
  return stopped;
}

/** Waits for a new connection to a server that works on without one; `false` when there will be none. Never rejects. */
export async function reconnected(core: RuntimeCore, threadId: string): Promise<boolean> {
  if (!isAttached(core.config) || core.state === "closed") return false;
  const error = await core.call("thread/read", { threadId }).then(() => null, (error) => error);
  return error === null || error instanceof RpcError;
}

/**
 * Whether the server works on nothing, so that the end of the turn was lost. One that does not say so, and answers this
 * but no interrupt (`ignored`), has nothing to interrupt.
 */
async function isOver(core: RuntimeCore, threadId: string, ignored: boolean): Promise<boolean> {
  const status = await threadStatus(core, threadId, STATUS_MS);
  return status === "idle" || status === "unknown" && ignored;
}

/** Ends the commands of a thread whose turns have ended. Rejects as `failed` does, by default never. */
export async function endCommands(
  core: RuntimeCore,
  threadId: string,
  timeoutMs: number,
  failed: (error: unknown) => unknown = () => {},
): Promise<void> {
  if (core.state === "closed" || !supports(core.server.version, "commandsOutliveTurns")) return;
  await core.callNow("thread/backgroundTerminals/clean", { threadId }, { timeoutMs })
    .catch(failed);
}

// When a turn falls silent: has its end been lost?

/** How often a turn is looked at; it counts as silent after one interval without any message. */
export const IDLE_CHECK_MS: number = 20_000;

/** How long after an error that ends a turn its end may be told; a review that can't begin has an error and no end. */
export const FAILED_CHECK_MS: number = 500;

/** How long an answer may take that nobody waits for. */
export const CALL_MS: number = 10_000;

/** How long somebody who stops a turn waits to hear what the server does. */
export const STATUS_MS: number = 3_000;

/** Items that may work for long without a word. */
const SILENT_WORKERS = [
  "commandExecution",
  "mcpToolCall",
  "dynamicToolCall",
  "collabAgentToolCall",
  "webSearch",
];

/** What the server says a thread is doing. */
export type ThreadStatus =
  | "idle"
  | "active"
  /** A server that does not say; codex 0.104 does not. */
  | "unknown"
  /** A server that refuses to say: it knows no such thread, or none that can be read. */
  | "refused"
  /** A server that does not answer. */
  | "unanswered";

/** Asks the server what a thread is doing. Never rejects. */
export async function threadStatus(
  core: RuntimeCore,
  threadId: string,
  timeoutMs: number = CALL_MS,
): Promise<ThreadStatus> {
  let read;
  try {
    read = await core.callNow("thread/read", { threadId }, { timeoutMs });
  } catch (error) {
    return error instanceof RpcError ? "refused" : "unanswered";
  }
  const status = objectOf(read, "thread", "status");
  return status === null ? "unknown" : status["type"] === "active" ? "active" : "idle";
}

/** The turn that the server works on, by its own record; `null` when it names none. Never rejects. */
export async function activeTurnId(core: RuntimeCore, threadId: string): Promise<string | null> {
  const turn = (await latestTurns(core, threadId)).find((each) => each["status"] === "inProgress");
  return stringOf(turn, "id");
}

/**
 * Asks the server about a silent turn. Returns the parameters that `turn/completed` should have had when the server
 * says that the turn is over, else `null`.
 */
export async function findLostEnd(
  core: RuntimeCore,
  threadId: string,
  outcome: TurnOutcome,
  started = true,
  pause: () => Promise<void> = () => delay(FAILED_CHECK_MS),
): Promise<JsonObject | null> {
  if (core.state !== "running") return null;
  if (SILENT_WORKERS.some((type) => outcome.items.open(type))) return null;
  if (core.approvals.pending().some(({ request }) => request.threadId === threadId)) return null;
  const recorded = supports(core.server.version, "truthfulTurnRecord");
  if (recorded || !started) {
    const status = await threadStatus(core, threadId);
    if (status === "active" || status === "unanswered") return null;
  }
  // A turn that has an id and never started: the server dropped it.
  if (!started) {
    const ended = outcome.finalError === undefined ? "interrupted" : "failed";
    return { threadId, turn: { id: outcome.turnId, status: ended } };
  }
  const turns = recorded ? await latestTurns(core, threadId) : [];
  const turn = turns.find((each) => each["id"] === outcome.turnId);
  if (turn !== undefined) return turn["status"] !== "inProgress" ? { threadId, turn } : null;
  if (!await worksOnNothing(core, threadId)) return null;
  // An end that is on its way comes first.
  await pause();
  return endOf(outcome);
}

/**
 * Whether the server works on no turn of the thread, asked by steering one that is none: a server that works on one names
 * it, and takes nothing in. So it is with 0.104, which may say nothing of the end of a long answer and tells no status, up
 * to 0.169. Never rejects.
 */
async function worksOnNothing(core: RuntimeCore, threadId: string): Promise<boolean> {
  const input = [{ type: "text", text: "", text_elements: [] }];
  const params = { threadId, expectedTurnId: "none", input };
  return await core.callNow("turn/steer", params, { timeoutMs: CALL_MS })
    .then(() => false, (error) => isRefusal(error, "worksOnNothing"));
}

/**
 * The end of a turn that nobody recorded, by what was heard of it: a failure is told before it, and an answer is whole and
 * comes last. What the model says before it uses its tools is none.
 */
export function endOf({ threadId, turnId, finalError, answer, items }: TurnOutcome): JsonObject {
  const answered = answer !== "" && items.saidLast;
  const status = finalError !== undefined ? "failed" : answered ? "completed" : "interrupted";
  return { threadId, turn: { id: turnId, status } };
}

/** The last turns in the server's record; none of an ephemeral thread, which has no record, or of a busy server. */
async function latestTurns(core: RuntimeCore, threadId: string): Promise<JsonObject[]> {
  try {
    const list = await core.callNow("thread/turns/list", { threadId, limit: 5 }, {
      timeoutMs: CALL_MS,
    });
    return objectsOf(list, "data");
  } catch {
    return [];
  }
}

/** What `turn/completed` of a turn that is over should have said: by the record where that is right, else by what was heard. Never rejects. */
export async function unheardEnd(core: RuntimeCore, outcome: TurnOutcome): Promise<JsonObject> {
  const { threadId, turnId } = outcome;
  const turn = (await latestTurns(core, threadId)).find(({ id }) => id === turnId);
  return turn === undefined || turn["status"] === "inProgress"
    ? endOf(outcome)
    : { threadId, turn };
}
