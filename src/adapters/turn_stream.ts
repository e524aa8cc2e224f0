/**
 * What adapters read: a running prompt.
 * @module
 */
import type { TurnEvent } from "../session/mod.ts";

/** A running prompt; `PromptRunStream` fits it. */
export interface TurnStream extends AsyncIterable<TurnEvent>, AsyncDisposable {
  /** The thread. */
  readonly threadId: string;
  /** The turn. */
  readonly turnId: string;
  /** Rejects with the turn's error. */
  finish(): Promise<unknown>;
}
