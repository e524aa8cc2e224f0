/**
 * The metrics of turns, under the names of the GenAI semantic conventions 0.1.0.
 * @module
 */
import { type OtelAttributes, type OtelMeter, quietly } from "../../telemetry.ts";
import type { TokenCount } from "../turn/turn_result.ts";

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
    const seconds = (name: string, description: string, explicitBucketBoundaries: number[]) =>
      meter.createHistogram(name, { unit: "s", description, advice: { explicitBucketBoundaries } });
    const calls = (name: string, unit: string, description: string) =>
      meter.createHistogram(name, {
        unit,
        description,
        advice: { explicitBucketBoundaries: CALLS },
      });
    const tokens = (name: string, description: string) =>
      meter.createCounter(`gen_ai.client.inference.usage.${name}`, {
        unit: "{token}",
        description,
      });
    this.#chat = seconds("gen_ai.client.inference.duration", "Calls of the model.", SECONDS);
    this.#agent = seconds("gen_ai.invoke_agent.duration", "Turns of the agent.", AGENT_SECONDS);
    this.#tool = seconds("gen_ai.execute_tool.duration", "Uses of tools.", SECONDS);
    this.#inferenceCalls = calls(
      "gen_ai.invoke_agent.inference_calls",
      "{inference_call}",
      "Calls of the model a turn.",
    );
    this.#toolCalls = calls(
      "gen_ai.invoke_agent.tool_calls",
      "{tool_call}",
      "Uses of tools a turn.",
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
    quietly(() => this.#chat.record(seconds, attributes), undefined);
  }

  /** Tokens were used. */
  tokens(count: TokenCount, attributes: OtelAttributes): void {
    for (const [name, counter] of this.#tokens) {
      if (count[name] > 0) quietly(() => counter.add(count[name], attributes), undefined);
    }
  }

  /** A use of a tool has ended. */
  tool(seconds: number, attributes: OtelAttributes): void {
    const name = String(attributes["gen_ai.tool.name"]);
    if (this.#toolNames.size < MAX_TOOL_NAMES) this.#toolNames.add(name);
    const known = this.#toolNames.has(name) ? {} : { "gen_ai.tool.name": "_OTHER" };
    quietly(() => this.#tool.record(seconds, { ...attributes, ...known }), undefined);
  }

  /** A turn has ended. */
  agent(
    seconds: number,
    modelCalls: number,
    toolCalls: number,
    attributes: OtelAttributes,
    failed: OtelAttributes,
  ): void {
    quietly(() => this.#agent.record(seconds, { ...attributes, ...failed }), undefined);
    quietly(() => this.#inferenceCalls.record(modelCalls, attributes), undefined);
    quietly(() => this.#toolCalls.record(toolCalls, attributes), undefined);
  }
}
