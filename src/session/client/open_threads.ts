/**
 * Which threads the sessions of one client have: a thread is one session's at a time, from the moment that codex is asked for
 * it until codex was told that it is left. A run on a thread of its own loads none of this.
 * @module
 */
import { abortable } from "../../async.ts";
import { ThreadInUseError } from "../../errors/mod.ts";
import type { AskOptions } from "../profile.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";

/** What is made of a thread: a `Session`, or what asks it once. */
export interface OpenedThread {
  /** The thread. */
  readonly threadId: string;
  /** Whether it takes no more prompts. */
  readonly closed: boolean;
  /** Asks it. */
  ask(prompt: string, options: AskOptions): Promise<PromptRunResult>;
  /** Ends it. */
  close(): Promise<void>;
  /** Ends it, and leaves it in the history. Default: none was there before. */
  release?(): Promise<void>;
}

/** The threads of one client's sessions. */
export interface OpenThreads<Opened extends OpenedThread> {
  /** The sessions that are there, and those that have ended and are leaving their thread. */
  readonly sessions: Set<Opened>;
  /** Threads that are being taken up: settles when the last of who asked for it has it, or has left it. */
  readonly taken: Map<string, Promise<unknown>>;
}

/** Two sessions on one thread would take each other's hooks, rules and notifications away. */
export function assertNotOpen(threads: OpenThreads<OpenedThread>, threadId: string): void {
  if (isOpen(threads, threadId)) throw new ThreadInUseError(threadId, {}, true);
}

function isOpen({ sessions }: OpenThreads<OpenedThread>, threadId: string): boolean {
  return [...sessions].some((each) => !each.closed && each.threadId === threadId);
}

/**
 * Settles when no session has the thread any more: what the one before says of it last would count for the next one. One that
 * has failed, and that nobody has ended, leaves it now.
 */
async function left(
  threads: OpenThreads<OpenedThread>,
  threadId: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  assertNotOpen(threads, threadId);
  for (const session of threads.sessions) {
    if (session.threadId !== threadId) continue;
    const released = session.release?.() ?? Promise.resolve();
    await abortable(released, signal).catch((error) => {
      if (threads.sessions.has(session)) throw error;
    });
  }
  signal?.throwIfAborted();
}

/**
 * Opens the thread, or puts its files in place, when those who asked for it before have it or have left it. `open` is told whether
 * somebody has taken it meanwhile.
 */
export function takeUp<T>(
  threads: OpenThreads<OpenedThread>,
  threadId: string,
  signal: AbortSignal | undefined,
  open: (isTaken: () => boolean) => Promise<T>,
): Promise<T> {
  const isTaken = () => threads.taken.has(threadId) || isOpen(threads, threadId);
  const before = Promise.resolve(threads.taken.get(threadId));
  const opened = before.then(() => left(threads, threadId, signal)).then(() => open(isTaken));
  const over: Promise<unknown> = opened.catch(() => {}).then(() => {
    if (threads.taken.get(threadId) === over) threads.taken.delete(threadId);
  });
  threads.taken.set(threadId, over);
  return opened;
}
