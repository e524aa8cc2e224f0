/**
 * What becomes of a thread's turns when the connection to a server that works on was lost and made anew. What the server can't
 * tell of is over for its caller, so it is stopped there. Loaded when a connection is lost, or a goal is paused.
 * @module
 */
import { ConnectionClosedError, RpcError } from "../../errors/mod.ts";
import {
  asList,
  type JsonObject,
  type JsonValue,
  memberOf,
  objectsOf,
  stringOf,
} from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { CALL_MS, endCommands, STATUS_MS, type ThreadStatus, threadStatus } from "./stop_turn.ts";
import { whenClosed } from "../thread/when_closed.ts";
import type { Turn } from "./turn.ts";

const PAUSE_MS = 5_000;

/** The thread, and what has to be done with it. */
export interface ThreadOfTurns {
  /** The connection. */
  readonly core: RuntimeCore;
  /** The thread. */
  readonly threadId: string;
  /** An item of which only the server's record tells. */
  missed(item: JsonObject): void;
}

/** The thread that is there again. */
export interface ResumedThread {
  readonly host: ThreadOfTurns;
  /** Whether it was asked for a turn, and the connection was lost before the answer. */
  readonly inDoubt: boolean;
  /** Its turns that are not released. */
  all(): Turn[];
  /** Those of them that were known when the connection was lost. */
  readonly before: readonly Turn[];
  /** The connection was lost again before it was certain that nothing runs: the next one is asked. */
  doubt(): void;
  /** Looks for a turn of which nothing was heard, and stops it. */
  findActive(): Promise<ThreadStatus>;
}

/**
 * Goes on with what the server recorded of the turns, or ends them. Rejects when the connection is lost again, and the turns wait
 * for the next one.
 */
export async function resumeTurns(
  { host, inDoubt, all, before, doubt, findActive }: ResumedThread,
  error: ConnectionClosedError,
): Promise<void> {
  const { core, threadId } = host;
  const doubtful = (again: unknown) => {
    doubt();
    throw again;
  };
  const stop = (turnId: string) => interrupt(core, threadId, turnId).catch(doubtful);
  for (const turn of all()) {
    if (await repairTurn(host, turn, false)) continue;
    turn.connectionLost(error);
    await stop(turn.activeId);
  }
  if (!inDoubt) return;
  // Whoever asked was told that it failed. Codex 0.104 does not say what it does, and interrupts it by any id.
  const status = await findActive();
  if (
    status === "unknown" || status === "unanswered" || (status === "active" && all().length === 0)
  ) {
    await stop("");
  } else if (status === "idle") {
    // It may have been stopped when the connection was lost, and its commands work on.
    await endCommands(core, threadId, STATUS_MS, unlessLost(null)).catch(doubtful);
  }
  // It may have been heard of already, as soon as the thread was there again.
  for (const turn of all()) if (!before.includes(turn)) void turn.stop();
}

/** What a refusal stands for. A lost connection is none: whatever was asked, the next connection is asked again. */
function unlessLost<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof ConnectionClosedError) throw error;
    return instead;
  };
}

/** Whether the server told how the turn is; `sameServer`: it is the one that began it. Rejects when the connection is lost. */
export async function repairTurn(
  { core, threadId, missed }: ThreadOfTurns,
  turn: Turn,
  sameServer: boolean,
): Promise<boolean> {
  const record = await recordedTurn(core, threadId, turn.turnId);
  if (record === null) return false;
  const told = tellsState(core, record, sameServer);
  if (told && turn.phase !== "released") turn.resumed(record);
  for (const item of objectsOf(record, "items")) missed(item);
  return told;
}

/** Before 0.169 it can't be told how a turn went on, and nobody would hear of what it still does. */
async function interrupt(core: RuntimeCore, threadId: string, turnId: string): Promise<void> {
  const status = await threadStatus(core, threadId, STATUS_MS);
  if (status !== "idle" && status !== "refused") await stopUnheard(core, threadId, turnId);
  if (!supports(core.server.version, "listsTurns")) await stopAgents(core, threadId);
}

/** Interrupts the agents that the thread's agent has started: one that was started unheard is in no record (0.104). */
async function stopAgents(core: RuntimeCore, threadId: string): Promise<void> {
  const list = await core.callNow("thread/loaded/list", {}, { timeoutMs: STATUS_MS })
    .catch(unlessLost(null));
  await Promise.all(
    asList(memberOf(list, "data")).filter((each) => typeof each === "string").map(async (agent) => {
      const read = await core.callNow("thread/read", { threadId: agent }, { timeoutMs: STATUS_MS })
        .catch(unlessLost(null));
      if (starterOf(read) === threadId) await stopUnheard(core, agent, "");
    }),
  );
}

/** What the server recorded of a turn, whatever it says of its end; `null` when it does not tell. Rejects when the connection is lost. */
export async function recordedTurn(
  core: RuntimeCore,
  threadId: string,
  turnId: string,
): Promise<JsonObject | null> {
  if (!supports(core.server.version, "listsTurns")) return null;
  const params = { threadId, limit: 5, itemsView: "full" };
  const list = await core.callNow("thread/turns/list", params, { timeoutMs: CALL_MS }).catch(
    unlessLost(null),
  );
  return objectsOf(list, "data").find((each) => each["id"] === turnId) ?? null;
}

/** Whether the record says how the turn is: that it runs, or how it has ended. */
export function tellsState(core: RuntimeCore, record: JsonObject, sameServer: boolean): boolean {
  if (!supports(core.server.version, "truthfulTurnRecord")) return false;
  // A server that was started anew calls the turns of the one before interrupted.
  return sameServer || record["status"] !== "interrupted";
}

/** Interrupts a turn of which nothing is heard any more, once, and ends its commands. Rejects when the connection is lost. */
export async function stopUnheard(
  core: RuntimeCore,
  threadId: string,
  turnId: string,
): Promise<void> {
  await core.callNow("turn/interrupt", { threadId, turnId }, { timeoutMs: STATUS_MS })
    .catch(unlessLost(null));
  await endCommands(core, threadId, STATUS_MS, unlessLost(null));
}

/**
 * Stops what the server works on and nobody goes on with: the active turn of a thread that can't be resumed (`left`), or one
 * that was asked for before the connection was lost, and may have begun since (`gone`: the thread is not resumed). Rejects when
 * the connection is lost.
 */
export async function stopLeft(
  { parts: { core }, settings: { profile }, turns: { rest }, isOpen }: {
    readonly parts: { readonly core: RuntimeCore };
    readonly settings: { readonly profile: { readonly ephemeral: boolean } };
    readonly turns: { readonly rest: { readonly inDoubt: boolean } };
    readonly isOpen: boolean;
  },
  threadId: string,
  left: string | null,
  gone: boolean = profile.ephemeral || !isOpen,
): Promise<void> {
  const unnamed = rest.inDoubt && gone ? "" : null;
  if (left !== null || unnamed !== null) await stopUnheard(core, threadId, left ?? unnamed!);
}

/** Whether a turn that could not be stopped is over all the same. */
export async function isOver(
  host: ThreadOfTurns & { resumeThread(): Promise<void> },
  turn: Turn,
): Promise<boolean> {
  const { core, threadId } = host;
  let status = await threadStatus(core, threadId, STATUS_MS);
  if (status === "active") {
    await host.resumeThread();
    status = await threadStatus(core, threadId, STATUS_MS);
  }
  if (turn.phase === "released") return true;
  // Servers without a status leave interrupts unanswered that find nothing to interrupt; a thread that can't be read
  // works on nothing.
  return status !== "active" && status !== "unanswered";
}

/** Stops the turns of a thread on which the server works on nothing. */
export async function stopIdle(
  { core, threadId }: ThreadOfTurns,
  all: () => Turn[],
): Promise<void> {
  const left = all();
  if (left.length === 0 || await threadStatus(core, threadId, STATUS_MS) !== "idle") return;
  await Promise.all(left.map((turn) => turn.stop()));
}

/**
 * Pauses the goal; `false` when the server did not confirm it. One that is started anew goes on with the goal, and is told
 * then. Never rejects.
 */
export async function pauseGoal(
  host: { readonly core: RuntimeCore; readonly threadId: string },
): Promise<boolean> {
  const { core } = host;
  for (;;) {
    const params = { threadId: host.threadId, status: "paused" };
    const error = await core.call("thread/goal/set", params, { timeoutMs: PAUSE_MS })
      .then(() => null, (error) => error);
    if (error instanceof ConnectionClosedError && error.retryable) continue;
    // What is refused is no goal.
    return error === null || error instanceof RpcError || core.state === "closed";
  }
}

/** The goal is over for whoever started it: the new server must not go on with it, nor whoever takes the thread up later. */
export async function resumeWithoutGoal(
  core: RuntimeCore,
  threadId: string,
  attach: (goals?: boolean) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  await attach(false);
  await core.callNow("thread/goal/clear", { threadId });
  await core.callNow("thread/unsubscribe", { threadId });
  await whenClosed(() => attach(), signal);
}

/** Whether the server has the thread in memory, as far as it says. Rejects when the connection is lost. */
export async function isLoaded(core: RuntimeCore, threadId: string): Promise<boolean> {
  const read = await core.callNow("thread/read", { threadId }, { timeoutMs: CALL_MS }).catch(
    unlessLost(null),
  );
  const status = memberOf(read, "thread", "status", "type");
  return status === "active" || status === "idle";
}

/** Threads that this one's agent has started since, of which no item tells. */
export async function unnamedAgents(
  core: RuntimeCore,
  since: number,
  by: string,
): Promise<string[]> {
  const found: string[] = [];
  for (const threadId of core.routes.unheard(since)) {
    const read = await core.callNow("thread/read", { threadId }, { timeoutMs: STATUS_MS })
      .catch(() => null);
    if (starterOf(read) === by) found.push(threadId);
  }
  return found;
}

/** The thread whose agent has started this one, by its own record, or `null`. */
function starterOf(read: JsonValue): string | null {
  return stringOf(read, "thread", "source", "subAgent", "thread_spawn", "parent_thread_id");
}
