/**
 * What spans say: names, tokens, kinds of errors, and content without secrets.
 * @module
 */
import { CodexError, TurnFailedError } from "../../errors/mod.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import { redact, redactText } from "../../redact.ts";
import type { OtelAttributes } from "../../telemetry.ts";
import type { TokenCount, TurnStatus } from "../turn/turn_result.ts";

const MAX_NAME = 128;
const MAX_CONTENT = 32_768;

/** The tokens of a call, or of a turn. */
export function usageOf(tokens: TokenCount): OtelAttributes {
  return {
    "gen_ai.usage.input_tokens": tokens.inputTokens,
    "gen_ai.usage.cache_read.input_tokens": tokens.cachedInputTokens,
    "gen_ai.usage.output_tokens": tokens.outputTokens,
    "gen_ai.usage.reasoning.output_tokens": tokens.reasoningOutputTokens,
  };
}

/** One of few words: the kind of a turn's failure, the name of another error; what is no error, such as a text, is not told. */
export function errorType(error: unknown, status: TurnStatus): string {
  if (error instanceof TurnFailedError) return error.kind;
  if (error instanceof CodexError) return error.name;
  if (!(error instanceof Error)) return status;
  return /^[A-Za-z]{1,40}$/.test(error.name) ? error.name : "Error";
}

/** A name that may be a model's. */
export function short(name: string): string {
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME - 1)}…`;
}

/** JSON without secrets; what is too long is cut. */
export function content(value: JsonValue): string {
  return cut(JSON.stringify(redact(value)));
}

function cut(text: string): string {
  return text.length <= MAX_CONTENT ? text : `${text.slice(0, MAX_CONTENT - 1)}…`;
}

/** What was asked, as the conventions want messages. */
export function inputMessages(input: readonly JsonObject[]): string {
  const parts = input.map(({ type, text }) =>
    typeof text === "string"
      ? { type: "text", content: redactText(text) }
      : { type: String(type ?? "unknown") }
  );
  return cut(JSON.stringify([{ role: "user", parts }]));
}

/** What was answered. */
export function outputMessages(text: string): string {
  const parts = [{ type: "text", content: redactText(text) }];
  return cut(JSON.stringify([{ role: "assistant", parts, finish_reason: "stop" }]));
}
