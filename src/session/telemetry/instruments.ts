/**
 * The metrics of turns, under the names of the GenAI semantic conventions 0.1.0; what spans say (names, tokens,
 * kinds of errors, and content without secrets), and the contexts in which they begin.
 * @module
 */
import {
  type OtelAttributes,
  type OtelContext,
  type OtelMeter,
  type OtelSpan,
  quietly,
  SPAN,
} from "../../telemetry.ts";
import { CodexError, TurnFailedError } from "../../errors/mod.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import { redact, redactText } from "../../redact.ts";
import type { TokenCount, TurnStatus } from "../turn/turn_result.ts";

/** Each is a time series of its own. */
const MAX_TOOL_NAMES = 200;

const SECONDS = [
  ...[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
];
const AGENT_SECONDS = [
  ...[0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6],
];
const CALLS = [1, 2, 4, 8, 16, 32, 64, 128];

type Histogram = ReturnType<OtelMeter["createHistogram"]>;
type Counter = ReturnType<OtelMeter["createCounter"]>;

/** The instruments of one meter. Nothing that they do throws. */
export class Instruments {
  static readonly #made: WeakMap<OtelMeter, Instruments> = new WeakMap();
  readonly #chat: Histogram;
  readonly #agent: Histogram;
  readonly #tool: Histogram;
  readonly #inferenceCalls: Histogram;
  readonly #toolCalls: Histogram;
  readonly #tokens: readonly (readonly [keyof TokenCount, Counter])[];
  readonly #toolNames: Set<string> = new Set();

  private constructor(meter: OtelMeter) {
    const histogram = (name: string, unit: string, description: string, bounds: number[]) => {
      const advice = { explicitBucketBoundaries: bounds };
      return meter.createHistogram(`gen_ai.${name}`, { unit, description, advice });
    };
    const tokens = (name: string, description: string) =>
      meter.createCounter(`gen_ai.client.inference.usage.${name}`, {
        unit: "{token}",
        description,
      });
    this.#chat = histogram("client.inference.duration", "s", "Calls of the model.", SECONDS);
    this.#agent = histogram("invoke_agent.duration", "s", "Turns of the agent.", AGENT_SECONDS);
    this.#tool = histogram("execute_tool.duration", "s", "Uses of tools.", SECONDS);
    this.#inferenceCalls = histogram(
      "invoke_agent.inference_calls",
      "{inference_call}",
      "Calls of the model a turn.",
      CALLS,
    );
    this.#toolCalls = histogram(
      "invoke_agent.tool_calls",
      "{tool_call}",
      "Uses of tools a turn.",
      CALLS,
    );
    this.#tokens = [
      ["inputTokens", tokens("input_tokens", "Tokens in prompts, cached ones included.")],
      ["outputTokens", tokens("output_tokens", "Tokens in answers, reasoning included.")],
      ["cachedInputTokens", tokens("cache_read.input_tokens", "Input tokens from the cache.")],
      ["reasoningOutputTokens", tokens("reasoning.output_tokens", "Output that was reasoning.")],
    ];
  }

  /** Those of a meter, made once; `null` where it makes none. */
  static of(meter: OtelMeter): Instruments | null {
    return quietly(() => {
      const known = Instruments.#made.get(meter) ?? new Instruments(meter);
      Instruments.#made.set(meter, known);
      return known;
    }, null);
  }

  /** A call of the model has ended. */
  chat(seconds: number, attributes: OtelAttributes): void {
    quietly(() => this.#chat.record(seconds, attributes));
  }

  /** Tokens were used. */
  tokens(count: TokenCount, attributes: OtelAttributes): void {
    for (const [name, counter] of this.#tokens) {
      if (count[name] > 0) quietly(() => counter.add(count[name], attributes));
    }
  }

  /** A use of a tool has ended. */
  tool(seconds: number, attributes: OtelAttributes): void {
    const name = String(attributes["gen_ai.tool.name"]);
    if (this.#toolNames.size < MAX_TOOL_NAMES) this.#toolNames.add(name);
    const known = this.#toolNames.has(name) ? {} : { "gen_ai.tool.name": "_OTHER" };
    quietly(() => this.#tool.record(seconds, { ...attributes, ...known }));
  }

  /** A turn has ended. */
  agent(
    seconds: number,
    modelCalls: number,
    toolCalls: number,
    attributes: OtelAttributes,
    failed: OtelAttributes,
  ): void {
    quietly(() => this.#agent.record(seconds, { ...attributes, ...failed }));
    quietly(() => this.#inferenceCalls.record(modelCalls, attributes));
    quietly(() => this.#toolCalls.record(toolCalls, attributes));
  }
}

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

/** A context of nobody's. */
class PlainContext implements OtelContext {
  readonly #values: ReadonlyMap<symbol, unknown>;

  constructor(values: ReadonlyMap<symbol, unknown> = new Map()) {
    this.#values = values;
  }

  getValue(key: symbol): unknown {
    return this.#values.get(key);
  }

  setValue(key: symbol, value: unknown): OtelContext {
    return new PlainContext(new Map([...this.#values, [key, value]]));
  }

  deleteValue(key: symbol): OtelContext {
    return new PlainContext(new Map([...this.#values].filter(([each]) => each !== key)));
  }
}

/** The context of what belongs to no trace: without one, a tracer takes the one that is active, such as the reader's. */
export const NO_CONTEXT: OtelContext = new PlainContext();

/** The context in which a span's children begin. */
export function contextOf(span: OtelSpan, parent: OtelContext): OtelContext {
  return quietly(() => parent.setValue(SPAN, span), NO_CONTEXT.setValue(SPAN, span));
}
