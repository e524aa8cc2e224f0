/**
 * What a model needs of a client.
 * @module
 */
import type { Prompt } from "../../prompt.ts";
import type { AskOptions, PromptRunResult, SessionConfig, TurnEvent } from "../../session/mod.ts";

/** A running prompt; `PromptRunStream` fits it. */
export interface ModelTurn extends AsyncIterable<TurnEvent>, AsyncDisposable {
  /** The thread. */
  readonly threadId: string;
  /** The turn. */
  readonly turnId: string;
  /** The result. */
  finish(): Promise<PromptRunResult>;
}

/** A session that a model talks to; `Session` fits it. */
export interface ModelSession {
  /** The thread. */
  readonly threadId: string;
  /** Whether it takes no more prompts. */
  readonly closed: boolean;
  /** Starts a turn. */
  askStream(prompt: Prompt, options?: AskOptions): Promise<ModelTurn>;
  /** Releases the thread. */
  release(): Promise<void>;
}

/** Who starts the sessions; `Client` fits it. */
export interface ModelClient {
  /** Starts a thread. */
  startSession(config: SessionConfig): Promise<ModelSession>;
}
