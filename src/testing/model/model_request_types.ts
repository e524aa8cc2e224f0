/**
 * What codex asked the scripted model, as data.
 * @module
 */
import type { JsonObject } from "../../json.ts";

/** A tool's answer, as the model gets it. */
export interface ToolOutput {
  /** Id of the call that it answers. */
  callId: string;
  /** The text of the output. */
  text: string;
}

/** One HTTP request that the scripted model got, with the parts that scripts and tests look at. */
export interface ModelRequest {
  /** 0 for the first request to this model. */
  readonly index: number;
  /** When it arrived. */
  readonly at: Date;
  /** HTTP method. */
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Header values by lower-case name. */
  readonly headers: Record<string, string>;
  /** The JSON body; `{}` when there was none. */
  readonly body: JsonObject;
  /** The thread that asks, or `""` when the request does not tell. */
  readonly threadId: string;
  /** The turn that asks; codex 0.104 does not tell. */
  readonly turnId: string | null;
  /** Model name. */
  readonly model: string;
  /** Text of the last user message: the prompt, or what steered the turn. */
  readonly text: string;
  /** Texts of all user messages, those that codex adds included. */
  readonly userTexts: readonly string[];
  /** Outputs of the tools called since the last user message, oldest first. */
  readonly toolOutputs: readonly ToolOutput[];
  /** Names of the tools offered. */
  readonly tools: readonly string[];
  /** System prompt and developer messages, joined. */
  readonly instructions: string;
  /** Aborts when codex goes away before the answer is complete, as it does for an interrupt. */
  readonly signal: AbortSignal;
}

/** What {@linkcode ScriptedModel.requests} holds. */
export type RecordedRequest = ModelRequest;
