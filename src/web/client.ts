/**
 * The part of a client that the web room uses. `Client` fits it.
 * @module
 */
import type {
  AskOptions,
  PendingApprovals,
  SessionConfig,
  SessionEvent,
  ThreadSnapshot,
  TurnEvent,
  TurnSnapshot,
} from "../session/mod.ts";
import type { Prompt } from "../prompt.ts";

/** A running turn; `PromptRunStream` fits it. */
export interface WebTurnStream {
  /** The turn. */
  readonly turnId: string;
  /** The next event; `null` after the last. */
  recv(): Promise<TurnEvent | null>;
  /** Adds to what the running turn has been asked. */
  steer(input: Prompt): Promise<void>;
  /** Stops the turn; settles when it has stopped. */
  interrupt(): Promise<void>;
}

/** A thread that a web session talks to; `Session` fits it. */
export interface WebThread {
  /** The thread's id; changes when an unused thread is started anew. */
  readonly threadId: string;
  /** Starts a turn; settles when it has an id. */
  askStream(prompt: Prompt, options?: AskOptions): Promise<WebTurnStream>;
  /**
   * The next turn on the thread that nobody asked for here, such as one of a goal. Default: such turns are not told, and
   * not counted.
   */
  nextTurn?(options: { signal: AbortSignal }): Promise<WebTurnStream>;
  /** What happens on the thread. Default: what its agents do and what becomes of its goal is not told. */
  events?(options: { subAgents: boolean }): AsyncIterableIterator<SessionEvent>;
  /** Releases the thread and archives it. */
  close(): Promise<void>;
  /** Releases the thread, which can be resumed later. */
  release(): Promise<void>;
}

/** Starts, resumes and reads threads. */
export interface WebClient {
  /** The questions of the server that wait for an answer. */
  readonly approvals: PendingApprovals;
  /** The connection, whose state is the bridge's health. Default: taken for running. */
  readonly runtime?: {
    /** What the connection is doing. */
    readonly connection: "starting" | "running" | "restarting" | "closed";
  };
  /** The server. Default: unknown; whether it keeps tenants apart is found out by the first session. */
  readonly server?: {
    /** Its version, or `null` when it does not tell. */
    readonly version: string | null;
  };
  /** Starts a thread. */
  startSession(config: SessionConfig): Promise<WebThread>;
  /** Takes up a thread again. */
  resumeSession(threadId: string, config: SessionConfig): Promise<WebThread>;
  /** Goes on with a copy of a thread; for threads that another codex keeps. Default: they are refused as in use. */
  forkSession?(threadId: string, config: SessionConfig): Promise<WebThread>;
  /** Reads a thread's history. */
  readThread(threadId: string, options?: {
    /** Whether to read its turns. */
    includeTurns?: boolean;
  }): Promise<ThreadSnapshot>;
  /** A thread's turns one by one. Default: a history that is too large for one message can't be read. */
  turns?(threadId: string, options: { newestFirst: boolean }): AsyncIterable<TurnSnapshot>;
  /** Takes a thread out of the history. */
  archiveThread(threadId: string): Promise<void>;
}
