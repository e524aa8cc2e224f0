/**
 * Leaving a thread and resuming it on the same server, which then offers goals to the model or does not. Loaded with the first goal.
 * @module
 */
import type { ConnectedSession, ThreadConnection } from "./thread_connection.ts";
import { threadIdOf } from "./thread_connection.ts";
import { whenClosed } from "./when_closed.ts";

/** Resumes the thread with goals, or without. */
export function reopen(
  connection: ThreadConnection,
  session: ConnectedSession,
  goals: boolean,
): Promise<void> {
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
    await whenClosed(() => connection.attach("thread/resume", goals), session.ended.signal);
  }
  session.settings.forget();
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
    connection.adopt(opened);
    return true;
  }
  const threadId = threadIdOf(opened);
  if (threadId !== null) await session.parts.core.call("thread/unsubscribe", { threadId });
  return false;
}
