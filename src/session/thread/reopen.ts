/**
 * A thread that is opened anew: on a new server, or on the same one, which has closed it, does not say what it does with it, or
 * shall offer goals to the model. Loaded when that happens first.
 * @module
 */
import { PolicyMismatchError, SessionClosedError } from "../../errors/mod.ts";
import { type JsonValue, stringOf } from "../../json.ts";
import { type Feature, isRefusal, supports } from "../../protocol/mod.ts";
import { isAttached } from "../../runtime/mod.ts";
import { rememberTools } from "../mcp/begun_with.ts";
import { resumeWithoutGoal, stopLeft } from "../turn/resume_turns.ts";
import { isConnectionLoss } from "../turn/thread_stop.ts";
import type { ConnectedSession, ThreadConnection } from "./thread_connection.ts";
import { whenClosed } from "./when_closed.ts";

const LEFT_SCRIPTS =
  "A script of a turn that was stopped or taken back may go on with this one: it ends with its thread, and no server resumes an ephemeral one.";

/** Starts or resumes the thread with the session's settings. */
async function attach(
  connection: ThreadConnection,
  session: ConnectedSession,
  method: "thread/start" | "thread/resume",
  goals: boolean = connection.goals || session.settings.profile.goals,
): Promise<void> {
  const result = await session.settings.open(method, connection.threadId, goals);
  if (method === "thread/start") adopt(connection, session, result);
  connection.isClosed = false;
}

/** A thread that was never used is simply started anew. */
function adopt(connection: ThreadConnection, session: ConnectedSession, result: JsonValue): void {
  const threadId = stringOf(result, "thread", "id");
  if (threadId === null) return;
  connection.unroute();
  connection.threadId = threadId;
  const { core, toolSpecs, portable } = session.parts;
  rememberTools(core, threadId, toolSpecs);
  connection.route();
  void portable?.opened(threadId);
}

function lostEphemeral(what: string): SessionClosedError {
  return new SessionClosedError(`${what}, and no server resumes an ephemeral thread.`);
}

/** Resumes a thread that the server has closed. */
export async function resumeClosed(
  connection: ThreadConnection,
  session: ConnectedSession,
): Promise<void> {
  const { isUsed, settings, ended, turns } = session;
  if (isUsed && settings.profile.ephemeral) throw lostEphemeral("The thread was closed");
  const method = isUsed ? "thread/resume" : "thread/start";
  try {
    await whenClosed(() => attach(connection, session, method), ended.signal);
    await turns.rest.reopened();
  } catch (error) {
    if (error instanceof PolicyMismatchError) session.fail(error);
    if (!isRefusal(error, "threadGone")) throw error;
  }
}

/** Resumes the thread on a server that does not say what it does with it, or does not end it. */
export async function resumeThread(
  connection: ThreadConnection,
  session: ConnectedSession,
): Promise<void> {
  const { core } = session.parts;
  if (session.settings.profile.ephemeral || core.state !== "running") return;
  // Old servers do not know the first call; that they refuse the second one changes nothing.
  await core.callNow("thread/unsubscribe", { threadId: connection.threadId })
    .then(() => connection.isClosed = true, () => {});
  try {
    await attach(connection, session, "thread/resume");
    await session.turns.rest.repair();
  } catch (error) {
    if (error instanceof PolicyMismatchError) session.fail(error);
  }
}

/**
 * Ends all that the turns of the thread have left in codex, which nothing else does: the thread is closed and resumed (codex
 * does so with one that nobody else has open). Throws `refusal` where that can't be. Without one it is about what a turn that was
 * stopped or taken back may have left, where codex does not end that.
 */
export async function renew(
  connection: ThreadConnection,
  session: ConnectedSession,
  refusal?: () => Error,
): Promise<void> {
  const { parts: { core }, settings: { profile }, turns, used } = session;
  // Whoever ends the session leaves the thread to others.
  if (turns.asked === 0 && !used || !session.isOpen) return;
  if (!refusal && turns.active !== null) return;
  turns.wasStopped = false;
  const has = (feature: Feature) => supports(core.server.version, feature);
  // Where interrupts end scripts, turns that are taken back by their files alone leave theirs.
  const ended = turns.last?.status === "interrupted" || !has("scriptsKeepTurns");
  if (!refusal && ended && !has("scriptsOutliveStops")) return;
  if (profile.ephemeral) {
    if (refusal) throw refusal();
    // Codex begins the ids of what scripts do so.
    if (turns.last?.items.all().some(({ id }) => id.startsWith("exec-"))) turns.warn(LEFT_SCRIPTS);
    return;
  }
  const renewed = closeAndResume(connection, session);
  connection.reopened = renewed.catch(() => {});
  await renewed;
}

async function closeAndResume(
  connection: ThreadConnection,
  { parts: { core }, ended: { signal } }: ConnectedSession,
): Promise<void> {
  connection.isClosed = true;
  await core.call("thread/unsubscribe", { threadId: connection.threadId });
  if (!signal.aborted) await connection.resumeIfClosed(signal);
}

/** Resumes the thread with goals, or without. */
export function reopen(
  connection: ThreadConnection,
  session: ConnectedSession,
  goals: boolean,
): Promise<void> {
  connection.goals = goals;
  const reopened = leaveAndResume(connection, session, goals);
  connection.reopened = reopened.catch(() => {});
  return reopened;
}

async function leaveAndResume(
  connection: ThreadConnection,
  session: ConnectedSession,
  goals: boolean,
): Promise<void> {
  const { core } = session.parts;
  const { rest } = session.turns;
  const { threadId } = connection;
  await rest.begun();
  // Whoever ends the session leaves the thread to others.
  if (!session.isOpen) return;
  while (!session.isUsed && !await startAnew(connection, session, goals)) await rest.begun();
  // Where it can't be resumed, whoever has it next does that: nothing more is told of it.
  if (threadId === connection.threadId) connection.isClosed = true;
  await core.call("thread/unsubscribe", { threadId });
  if (threadId === connection.threadId && session.isOpen) {
    await whenClosed(
      () => attach(connection, session, "thread/resume", goals),
      session.ended.signal,
    );
  }
  // Somebody else may have started a turn meanwhile.
  await rest.reopened();
}

/** A thread without a turn has no file to be resumed from. `false` when somebody has asked it for a turn meanwhile. */
async function startAnew(
  connection: ThreadConnection,
  session: ConnectedSession,
  goals: boolean,
): Promise<boolean> {
  const opened = await session.settings.open("thread/start", connection.threadId, goals);
  if (!session.isUsed && session.turns.promised.size === 0) {
    adopt(connection, session, opened);
    return true;
  }
  const threadId = stringOf(opened, "thread", "id");
  if (threadId !== null) await session.parts.core.call("thread/unsubscribe", { threadId });
  return false;
}

/** Resumes a thread on a new server, with its settings, and checks what that server confirms. */
export async function restoreThread(
  connection: ThreadConnection,
  session: ConnectedSession,
): Promise<void> {
  const { threadId } = connection;
  const lostBy = connection.lostBy!;
  await stopLeft(session, threadId, connection.left);
  connection.left = null;
  const { parts, settings: { profile, kept, agents }, turns } = session;
  if (!session.isOpen) return turns.connectionLost(lostBy, false);
  // Another server has nothing of what the last one was given.
  if (!isAttached(parts.core.config)) {
    [kept, agents].forEach((each) => each.clear());
    turns.leftCommands = turns.wasStopped = false;
  }
  const unused = !session.isUsed;
  const before = turns.rest.turns;
  try {
    if (profile.ephemeral && !unused) throw lostEphemeral("The connection was made anew");
    if (connection.goalLost && !unused) {
      const resume = (goals?: boolean) => attach(connection, session, "thread/resume", goals);
      await resumeWithoutGoal(parts.core, threadId, resume, session.ended.signal);
      connection.goalLost = false;
    } else {
      const method = unused ? "thread/start" : "thread/resume";
      // A server that works on closes it when nobody is connected.
      await whenClosed(() => attach(connection, session, method), session.ended.signal).catch(
        async (error) => {
          // Its only turns were sent to a server that was dead, or tells of them in no history yet.
          if (connection.hadTurn || parts.attached || !isRefusal(error, "threadGone")) throw error;
          await stopLeft(session, threadId, null, true);
          return await attach(connection, session, "thread/start");
        },
      );
    }
    // Who waits for a turn of the last one waits for nothing.
    if (threadId !== connection.threadId) session.foreign.connectionLost(lostBy);
    await turns.rest.resume(lostBy, before);
  } catch (error) {
    // When this server ended as well, the next one is tried, or the end is told to everyone.
    if (!isConnectionLoss(error)) {
      // A server that has gone on with a turn would do so unheard.
      if (isAttached(parts.core.config)) {
        const active = turns.active?.activeId ?? null;
        await stopLeft(session, threadId, active, true).catch(() => {});
      }
      turns.connectionLost(lostBy, false);
      session.fail(error);
    }
    throw error;
  }
  connection.ready.open();
}
