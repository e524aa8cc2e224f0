/**
 * What a model script is made of.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import type { ModelRequest } from "./model_request_types.ts";

/** One thing that the scripted model does. Steps are plain data; make them with the functions of this module. */
export type ModelStep =
  | {
    /** An assistant message. */
    type: "message";
    /** The text, or the deltas it is streamed in. */
    text: string | readonly string[];
    /** Kind of message, such as `"commentary"` or `"final_answer"`. Default: not sent. */
    phase?: string;
    /** Milliseconds between two deltas. Default 0. */
    delayMs?: number;
    /** Characters in a delta when `text` is one string. Default: all in one. */
    chunkSize?: number;
    /** Streams the deltas and leaves the message unfinished. Default `false`. */
    open?: boolean;
  }
  | {
    /** Reasoning: a summary, and the raw text if given. */
    type: "reasoning";
    /** The summary. */
    text: string;
    /** Raw reasoning text. Default: none. */
    content?: string;
  }
  | {
    /** A function call. */
    type: "toolCall";
    /** Function name. */
    name: string;
    /** Arguments; a string is sent as it is, even when it is not JSON. */
    args: JsonValue;
    /** Namespace of the function, such as `"mcp__server"`. Default: none. */
    namespace?: string;
    /** Id of the call. Default: a fresh one. */
    callId?: string;
  }
  | {
    /** A call of a freeform tool. */
    type: "customToolCall";
    /** Tool name. */
    name: string;
    /** Input text. */
    input: string;
    /** Id of the call. Default: a fresh one. */
    callId?: string;
  }
  | {
    /** Token counts of this response. */
    type: "usage";
    /** The counts. */
    usage: Usage;
  }
  | {
    /** Response headers; must come before anything that is streamed. */
    type: "headers";
    /** Values by name. */
    headers: Record<string, string>;
  }
  | {
    /** A plain HTTP answer instead of a stream; nothing may be streamed before it. */
    type: "http";
    /** Status code. */
    status: number;
    /** Body text. */
    body: string;
    /** Response headers. */
    headers: Record<string, string>;
  }
  | {
    /** `response.failed`, which ends the response. */
    type: "failed";
    /** Error code, such as `"rate_limit_exceeded"`. */
    code: string;
    /** Error message. */
    message: string;
  }
  | {
    /** `response.incomplete`, which ends the response. */
    type: "incomplete";
    /** Why, such as `"max_output_tokens"`. */
    reason: string;
  }
  | {
    /** Drops the connection in the middle of the stream. */
    type: "cut";
  }
  | {
    /** Ends the stream without `response.completed`. */
    type: "end";
  }
  | {
    /** Leaves the stream open until the client goes away or the model is closed. */
    type: "hang";
  }
  | {
    /** Waits. */
    type: "delay";
    /** Milliseconds. */
    ms: number;
  }
  | {
    /** Waits until the test opens the gate. */
    type: "gate";
    /** Settles when the script may go on. */
    until: PromiseLike<unknown>;
  }
  | {
    /** One message of many deltas. */
    type: "flood";
    /** Number of deltas. */
    count: number;
    /** Characters in each. */
    size: number;
  }
  | {
    /** Any server-sent event; its `type` member names it. */
    type: "event";
    /** Its data. */
    event: JsonObject;
  }
  | {
    /** Raw bytes in the stream. */
    type: "raw";
    /** The text. */
    text: string;
  };

/** What the model does for one request: steps in order. A string stands for {@linkcode say}. */
export type ModelTurn = string | ModelStep | readonly (string | ModelStep)[];

/**
 * What the model does: a list, of which each request consumes the next turn, or a function of the request,
 * which serves any number of threads.
 */
export type Script =
  | readonly ModelTurn[]
  | ((request: ModelRequest) => ModelTurn | Promise<ModelTurn>);

/** Token counts of one response; the total is their sum unless given. */
export interface Usage {
  /** Input tokens, cached ones included. Default 10. */
  inputTokens?: number;
  /** Cached input tokens. Default 0. */
  cachedInputTokens?: number;
  /** Output tokens, reasoning included. Default 3. */
  outputTokens?: number;
  /** Reasoning tokens. Default 0. */
  reasoningTokens?: number;
  /** Default: input + output. */
  totalTokens?: number;
}

/** How {@linkcode say} streams its text. */
export type SayOptions = Omit<Extract<ModelStep, { type: "message" }>, "type" | "text">;

/** How {@linkcode toolCall} is sent. */
export type ToolCallOptions = Pick<
  Extract<ModelStep, { type: "toolCall" }>,
  "namespace" | "callId"
>;
