/**
 * The words of a model script: each function makes one step of a {@linkcode ModelTurn}.
 *
 * ```ts
 * import { script } from "../mod.ts";
 *
 * const turns: script.Script = [
 *   [script.reason("I look first."), script.exec("ls")],
 *   script.say("Done."),
 * ];
 * ```
 * @module
 */
import {
  callback,
  checkArguments,
  count,
  either,
  having,
  json,
  jsonObject,
  type Kind,
  list,
  object,
  pauseMilliseconds,
  record,
  required,
  type Shape,
  shape,
  text as string,
} from "../../check/mod.ts";
import { InvalidArgumentError } from "../../errors/mod.ts";
import { defined, type JsonObject, type JsonValue } from "../../json.ts";
import type { ModelRequest } from "./model_request_types.ts";

/** One thing that the scripted model does. Steps are plain data; make them with the functions of this module. */
export type ModelStep =
  | {
    /** An assistant message. */
    type: "message";
    /** The text, or the deltas it is streamed in. */
    text: string | string[];
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

const USAGE: Shape = shape<Usage>({
  inputTokens: count(0),
  cachedInputTokens: count(0),
  outputTokens: count(0),
  reasoningTokens: count(0),
  totalTokens: count(0),
});

const promise: Kind = having("a promise", { then: required(callback) });

function check(name: string, given: Parameters<typeof checkArguments>[1]): void {
  checkArguments(`script.${name}`, given);
}

/** How {@linkcode say} streams its text. */
export type SayOptions = Omit<Extract<ModelStep, { type: "message" }>, "type" | "text">;

/** How {@linkcode toolCall} is sent. */
export type ToolCallOptions = Pick<
  Extract<ModelStep, { type: "toolCall" }>,
  "namespace" | "callId"
>;

/** An assistant message; an array is streamed delta by delta. */
export function say(text: string | string[], options: SayOptions = {}): ModelStep {
  check("say", {
    text: [text, required(either(string, list(string)))],
    options: [options, jsonObject],
  });
  return { type: "message", text, ...options };
}

/** Reasoning with a summary, and raw text if given. */
export function reason(text: string, content?: string): ModelStep {
  check("reason", { text: [text, required(string)], content: [content, string] });
  return { type: "reasoning", text, ...defined({ content }) };
}

/** Runs a shell command (`exec_command`); `args` adds arguments such as `sandbox_permissions` or `yield_time_ms`. */
export function exec(cmd: string, args: JsonObject = {}, options: ToolCallOptions = {}): ModelStep {
  check("exec", { cmd: [cmd, required(string)], args: [args, jsonObject] });
  return toolCall("exec_command", { cmd, ...args }, options);
}

/** Applies a patch (`*** Begin Patch … *** End Patch`), in the one form that every codex version turns into a file change. */
export function applyPatch(patch: string, options: ToolCallOptions = {}): ModelStep {
  check("applyPatch", { patch: [patch, required(string)] });
  return exec(`apply_patch <<'EOF'\n${patch.replace(/\n$/, "")}\nEOF`, {}, options);
}

/** Calls a function; several in one turn are parallel calls. */
export function toolCall(
  name: string,
  args: JsonValue = {},
  options: ToolCallOptions = {},
): ModelStep {
  check("toolCall", {
    name: [name, required(string)],
    args: [args, json],
    options: [options, jsonObject],
  });
  return { type: "toolCall", name, args, ...options };
}

/** Calls a freeform tool. */
export function customToolCall(
  name: string,
  input: string,
  options: Pick<ToolCallOptions, "callId"> = {},
): ModelStep {
  check("customToolCall", {
    name: [name, required(string)],
    input: [input, required(string)],
    options: [options, jsonObject],
  });
  return { type: "customToolCall", name, input, ...options };
}

/** Sets the token counts of this response. */
export function usage(counts: Usage): ModelStep {
  check("usage", { counts: [counts, required(object(USAGE))] });
  return { type: "usage", usage: counts };
}

/** Adds response headers, such as `x-codex-primary-used-percent`. */
export function headers(values: Record<string, string>): ModelStep {
  check("headers", { values: [values, required(record(string))] });
  return { type: "headers", headers: values };
}

/** Answers with an HTTP status instead of a stream; an object body is sent as JSON. */
export function httpError(
  status: number,
  body?: JsonValue,
  responseHeaders: Record<string, string> = {},
): ModelStep {
  check("httpError", {
    status: [status, required(count(100))],
    body: [body, json],
    responseHeaders: [responseHeaders, record(string)],
  });
  const sent = body ?? {
    error: { message: `scripted ${status}`, type: "scripted", code: null },
  };
  const isText = typeof sent === "string";
  return {
    type: "http",
    status,
    body: isText ? sent : JSON.stringify(sent),
    headers: { "content-type": isText ? "text/plain" : "application/json", ...responseHeaders },
  };
}

/** Fails the response with an error code and message. */
export function failed(code: string, message: string): ModelStep {
  check("failed", { code: [code, required(string)], message: [message, required(string)] });
  return { type: "failed", code, message };
}

/** Ends the response as incomplete. */
export function incomplete(reason = "max_output_tokens"): ModelStep {
  check("incomplete", { reason: [reason, string] });
  return { type: "incomplete", reason };
}

/** Drops the connection in the middle of the stream. */
export function cut(): ModelStep {
  return { type: "cut" };
}

/** Ends the stream properly but without `response.completed`. */
export function end(): ModelStep {
  return { type: "end" };
}

/** Never finishes, until the client goes away or the model is closed. */
export function hang(): ModelStep {
  return { type: "hang" };
}

/** Waits `ms` milliseconds; prefer {@linkcode gate} in tests. */
export function delay(ms: number): ModelStep {
  check("delay", { ms: [ms, required(pauseMilliseconds)] });
  return { type: "delay", ms };
}

/** Waits until `until` resolves; a rejection breaks the stream. */
export function gate(until: PromiseLike<unknown>): ModelStep {
  check("gate", { until: [until, required(promise)] });
  // Looked at when the script comes to it; a rejection before that must not count as unhandled.
  until.then(undefined, () => {});
  return { type: "gate", until };
}

/** One message of `times` deltas with `size` characters each. */
export function flood(times: number, size = 1): ModelStep {
  check("flood", { count: [times, required(count(0))], size: [size, count(0)] });
  return { type: "flood", count: times, size };
}

/** Any server-sent event, named by its `type`. */
export function event(data: JsonObject): ModelStep {
  check("event", { data: [data, required(jsonObject)] });
  return { type: "event", event: data };
}

/** Raw text in the stream, well-formed or not. */
export function raw(text: string): ModelStep {
  check("raw", { text: [text, required(string)] });
  return { type: "raw", text };
}

/**
 * Writes turns into a prompt, for a model started without a script: any client can drive it through its public
 * API alone. Steps must be JSON, so no {@linkcode gate}.
 */
export function inPrompt(turns: readonly ModelTurn[], text = ""): string {
  check("inPrompt", { turns: [turns, required(list(json))], text: [text, string] });
  return `${text}<<model:${JSON.stringify(turns)}>>`;
}

/** The turns that {@linkcode inPrompt} wrote into `text`, or `null`. */
export function fromPrompt(text: string): readonly ModelTurn[] | null {
  check("fromPrompt", { text: [text, required(string)] });
  const found = /<<model:([\s\S]*)>>/.exec(text);
  if (found === null) return null;
  try {
    return JSON.parse(found[1]!);
  } catch (cause) {
    throw new InvalidArgumentError("script.fromPrompt", {
      argument: "text",
      received: "turns that are not JSON",
      accepts: "a text that `script.inPrompt` made",
    }, { cause });
  }
}
