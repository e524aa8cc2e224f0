/**
 * The words of a model script: each function makes one step of a {@linkcode ModelTurn}.
 *
 * ```ts
 * import { testing } from "@codex/runtime";
 *
 * const { script } = testing;
 * const turns: testing.Script = [
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
  flag,
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
import type { ModelStep, ModelTurn, SayOptions, ToolCallOptions, Usage } from "./script_types.ts";

export type * from "./script_types.ts";

const USAGE: Shape = shape<Usage>({
  inputTokens: count(0),
  cachedInputTokens: count(0),
  outputTokens: count(0),
  reasoningTokens: count(0),
  totalTokens: count(0),
});

const SAY: Shape = shape<SayOptions>({
  phase: string,
  delayMs: pauseMilliseconds,
  chunkSize: count(1),
  open: flag,
});

const CALL: Shape = shape<ToolCallOptions>({ namespace: string, callId: string });

const promise: Kind = having("a promise", { then: required(callback) });

function check(name: string, given: Parameters<typeof checkArguments>[1]): void {
  checkArguments(`script.${name}`, given);
}

/**
 * An assistant message; an array is streamed delta by delta.
 *
 * ```ts ignore
 * [script.say(["Hel", "lo."], { delayMs: 20 })],
 * ```
 */
export function say(text: string | readonly string[], options: SayOptions = {}): ModelStep {
  check("say", {
    text: [text, required(either(string, list(string)))],
    options: [options, object(SAY)],
  });
  return { type: "message", text, ...options };
}

/**
 * Reasoning with a summary, and raw text if given.
 *
 * ```ts ignore
 * [script.reason("I look first."), script.exec("ls")],
 * ```
 */
export function reason(text: string, content?: string): ModelStep {
  check("reason", { text: [text, required(string)], content: [content, string] });
  return { type: "reasoning", text, ...defined({ content }) };
}

/**
 * Runs a shell command (`exec_command`); `args` adds arguments such as `sandbox_permissions` or `yield_time_ms`.
 *
 * ```ts ignore
 * [script.exec("npm test", { yield_time_ms: 10_000 })],
 * ```
 */
export function exec(cmd: string, args: JsonObject = {}, options: ToolCallOptions = {}): ModelStep {
  check("exec", { cmd: [cmd, required(string)], args: [args, jsonObject] });
  return toolCall("exec_command", { cmd, ...args }, options);
}

/**
 * Applies a patch (`*** Begin Patch … *** End Patch`), in the one form that every codex version turns into a file change.
 *
 * ```ts ignore
 * [
 *   script.applyPatch("*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch"),
 * ],
 * ```
 */
export function applyPatch(patch: string, options: ToolCallOptions = {}): ModelStep {
  check("applyPatch", { patch: [patch, required(string)] });
  return exec(`apply_patch <<'EOF'\n${patch.replace(/\n$/, "")}\nEOF`, {}, options);
}

/**
 * Calls a function; several in one turn are parallel calls.
 *
 * ```ts ignore
 * [script.toolCall("lookup_ticket", { id: "T-1" })],
 * ```
 */
export function toolCall(
  name: string,
  args: JsonValue = {},
  options: ToolCallOptions = {},
): ModelStep {
  check("toolCall", {
    name: [name, required(string)],
    args: [args, json],
    options: [options, object(CALL)],
  });
  return { type: "toolCall", name, args, ...options };
}

/**
 * Calls a freeform tool.
 *
 * ```ts ignore
 * [script.customToolCall("apply_patch", "*** Begin Patch …")],
 * ```
 */
export function customToolCall(
  name: string,
  input: string,
  options: Pick<ToolCallOptions, "callId"> = {},
): ModelStep {
  check("customToolCall", {
    name: [name, required(string)],
    input: [input, required(string)],
    options: [options, object(shape<Pick<ToolCallOptions, "callId">>({ callId: string }))],
  });
  return { type: "customToolCall", name, input, ...options };
}

/**
 * Sets the token counts of this response.
 *
 * ```ts ignore
 * [script.say("Hi."), script.usage({ inputTokens: 9, outputTokens: 1 })],
 * ```
 */
export function usage(counts: Usage): ModelStep {
  check("usage", { counts: [counts, required(object(USAGE))] });
  return { type: "usage", usage: counts };
}

/**
 * Adds response headers, such as `x-codex-primary-used-percent`.
 *
 * ```ts ignore
 * [script.headers({ "x-request-id": "7" }), script.say("Hi.")],
 * ```
 */
export function headers(values: Record<string, string>): ModelStep {
  check("headers", { values: [values, required(record(string))] });
  return { type: "headers", headers: values };
}

/**
 * Answers with an HTTP status instead of a stream; an object body is sent as JSON.
 *
 * ```ts ignore
 * [script.httpError(429, "slow down"), "The second try."],
 * ```
 */
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

/**
 * Fails the response with an error code and message.
 *
 * ```ts ignore
 * [script.failed("rate_limit_exceeded", "slow down")],
 * ```
 */
export function failed(code: string, message: string): ModelStep {
  check("failed", { code: [code, required(string)], message: [message, required(string)] });
  return { type: "failed", code, message };
}

/**
 * Ends the response as incomplete.
 *
 * ```ts ignore
 * [script.say("It is"), script.incomplete()],
 * ```
 */
export function incomplete(reason = "max_output_tokens"): ModelStep {
  check("incomplete", { reason: [reason, string] });
  return { type: "incomplete", reason };
}

/**
 * Drops the connection in the middle of the stream.
 *
 * ```ts ignore
 * [script.say("It is", { open: true }), script.cut()],
 * ```
 */
export function cut(): ModelStep {
  return { type: "cut" };
}

/**
 * Ends the stream properly but without `response.completed`.
 *
 * ```ts ignore
 * [script.say("It is"), script.end()],
 * ```
 */
export function end(): ModelStep {
  return { type: "end" };
}

/**
 * Never finishes, until the client goes away or the model is closed.
 *
 * ```ts ignore
 * [script.hang()], // for tests of timeouts
 * ```
 */
export function hang(): ModelStep {
  return { type: "hang" };
}

/**
 * Waits `ms` milliseconds; prefer {@linkcode gate} in tests.
 *
 * ```ts ignore
 * [script.delay(50), script.say("Late.")],
 * ```
 */
export function delay(ms: number): ModelStep {
  check("delay", { ms: [ms, required(pauseMilliseconds)] });
  return { type: "delay", ms };
}

/**
 * Waits until `until` resolves; a rejection breaks the stream.
 *
 * ```ts ignore
 * const asked = Promise.withResolvers<void>();
 * const turn = [script.gate(asked.promise), script.say("Now.")];
 * asked.resolve(); // when the test has seen what it waits for
 * ```
 */
export function gate(until: PromiseLike<unknown>): ModelStep {
  check("gate", { until: [until, required(promise)] });
  // Looked at when the script comes to it; a rejection before that must not count as unhandled.
  until.then(undefined, () => {});
  return { type: "gate", until };
}

/**
 * One message of `times` deltas with `size` characters each.
 *
 * ```ts ignore
 * [script.flood(20_000, 8)],
 * ```
 */
export function flood(times: number, size = 1): ModelStep {
  check("flood", { count: [times, required(count(0))], size: [size, count(0)] });
  return { type: "flood", count: times, size };
}

/**
 * Any server-sent event, named by its `type`.
 *
 * ```ts ignore
 * [script.event({ type: "response.something_new" }), script.say("Hi.")],
 * ```
 */
export function event(data: JsonObject): ModelStep {
  check("event", { data: [data, required(jsonObject)] });
  return { type: "event", event: data };
}

/**
 * Raw text in the stream, well-formed or not.
 *
 * ```ts ignore
 * [script.raw("data: {not json\\n\\n"), script.say("Hi.")],
 * ```
 */
export function raw(text: string): ModelStep {
  check("raw", { text: [text, required(string)] });
  return { type: "raw", text };
}

/**
 * Writes turns into a prompt, for a model started without a script: any client can drive it through its public
 * API alone. Steps must be JSON, so no {@linkcode gate}.
 *
 * ```ts ignore
 * const model = await testing.ScriptedModel.start();
 * console.log(script.inPrompt([[script.exec("ls")], "Done."], "Look around")); // what to type
 * await model.close();
 * ```
 */
export function inPrompt(turns: readonly ModelTurn[], text = ""): string {
  check("inPrompt", { turns: [turns, required(list(json))], text: [text, string] });
  return `${text}<<model:${JSON.stringify(turns)}>>`;
}

/**
 * The turns that {@linkcode inPrompt} wrote into `text`, or `null`.
 *
 * ```ts ignore
 * console.log(script.fromPrompt(script.inPrompt(["Hello."]))); // ["Hello."]
 * ```
 */
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
