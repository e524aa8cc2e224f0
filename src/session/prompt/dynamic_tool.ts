/**
 * Tools that run in this process when the model calls them.
 * @module
 */
import type { JsonSchema, JsonValue } from "../../json.ts";

/** A tool that runs in this process. */
export interface DynamicTool {
  /** What it does, for the model. */
  description: string;
  /** JSON Schema of its arguments. */
  inputSchema: JsonSchema;
  /**
   * Runs the tool. A string is shown to the model as it is, other JSON as its text, content parts as such.
   * A throw tells the model that the tool failed.
   */
  run(
    // deno-lint-ignore no-explicit-any
    args: any,
    context: ToolContext,
  ): ToolOutput | Promise<ToolOutput>;
}

/** What a running tool knows. */
export interface ToolContext {
  /** Aborted when the turn ends before the tool does. */
  signal: AbortSignal;
  /** The thread whose model called. */
  threadId: string;
  /** The turn whose model called. */
  turnId: string;
  /** The call. */
  callId: string;
}

/** What a tool gives back. */
export type ToolOutput = JsonValue | undefined | void | {
  content: ToolContent[];
  success?: boolean;
};

/** One part of a tool's answer. */
export type ToolContent =
  | {
    /** Discriminator. */
    type: "text";
    /** The text. */
    text: string;
  }
  | {
    /** Discriminator. */
    type: "image";
    /** A `data:` URL. */
    url: string;
  };
