/**
 * The part of a client that {@linkcode ArtifactSessionManager} uses. `Client` fits it.
 * @module
 */
import type { AskOptions, PromptRunResult, SessionConfig } from "../session/mod.ts";

/** A thread that works on one artifact; `Session` fits it. */
export interface ArtifactThread {
  /** The thread's id. */
  readonly threadId: string;
  /** Asks, and waits for the answer. */
  ask(prompt: string, options?: AskOptions): Promise<PromptRunResult>;
  /** Releases the thread and archives it. */
  close(): Promise<void>;
  /** Releases the thread, which can be resumed later. */
  release(): Promise<void>;
}

/** Starts and resumes threads. */
export interface ArtifactClient {
  /** Starts a thread. */
  startSession(config: SessionConfig): Promise<ArtifactThread>;
  /** Takes up a thread again. */
  resumeSession(threadId: string, config: SessionConfig): Promise<ArtifactThread>;
}
