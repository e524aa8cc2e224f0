/**
 * Tokens of a turn and of its thread, out of the server's running counts.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { ContextUsage, TokenCount, TokenUsage, UsageCount } from "./turn_result.ts";

/** No tokens. */
export const NO_TOKENS: Readonly<TokenCount> = Object.freeze({
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  reasoningOutputTokens: 0,
  totalTokens: 0,
});

/** The sum of two counts. */
export function addTokens(a: TokenCount, b: TokenCount): TokenCount {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + b.cachedInputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    reasoningOutputTokens: a.reasoningOutputTokens + b.reasoningOutputTokens,
    totalTokens: a.totalTokens + b.totalTokens,
  };
}

/** What was added to a count since it was `before`. */
export function subtractTokens(count: TokenCount | null, before: TokenCount | null): TokenCount {
  const [a, b] = [count ?? NO_TOKENS, before ?? NO_TOKENS];
  return {
    inputTokens: a.inputTokens - b.inputTokens,
    cachedInputTokens: a.cachedInputTokens - b.cachedInputTokens,
    outputTokens: a.outputTokens - b.outputTokens,
    reasoningOutputTokens: a.reasoningOutputTokens - b.reasoningOutputTokens,
    totalTokens: a.totalTokens - b.totalTokens,
  };
}

/**
 * Takes the next `tokenUsage`. What the thread's total has grown by is the turn's: old servers tell the same count several
 * times, and whoever joins in the middle of a turn hears one count for several calls of the model. `last`, one call's,
 * stands in where the total before is not known, or was higher: a server that died has not written all of it down.
 */
export function nextUsage(
  before: TokenUsage | null,
  threadTotal: TokenCount | null,
  tokenUsage: JsonValue | undefined,
): TokenUsage | null {
  if (!isJsonObject(tokenUsage)) return before;
  const total = readCount(tokenUsage["total"]);
  const last = readCount(tokenUsage["last"]);
  const window = tokenUsage["modelContextWindow"];
  const previous = before?.thread ?? threadTotal;
  const grown = previous === null ? last : growth(previous, total) ?? last;
  return {
    ...addTokens(before ?? NO_TOKENS, grown),
    subAgents: NO_TOKENS,
    thread: total,
    contextWindow: typeof window === "number" ? window : null,
  };
}

/** What a total has grown by; `null` when it has not. */
function growth(previous: TokenCount, total: TokenCount): TokenCount | null {
  const grown = subtractTokens(total, previous);
  return Object.values(grown).every((count) => count >= 0) ? grown : null;
}

/** How full the context is after the last call of the model, out of the server's `tokenUsage`. */
export function readContext(tokenUsage: JsonObject): ContextUsage {
  const usedTokens = readCount(tokenUsage["last"]).totalTokens;
  const window = tokenUsage["modelContextWindow"];
  const windowTokens = typeof window === "number" && window > 0 ? window : null;
  const percent = windowTokens === null
    ? null
    : Math.min(100, Math.round(usedTokens / windowTokens * 1000) / 10);
  return { usedTokens, windowTokens, percent };
}

/** Reads one of the server's counts; missing numbers are 0. */
export function readCount(value: JsonValue | undefined): TokenCount {
  const object: JsonObject = isJsonObject(value) ? value : {};
  const number = (key: string): number =>
    typeof object[key] === "number" ? object[key] as number : 0;
  return {
    inputTokens: number("inputTokens"),
    cachedInputTokens: number("cachedInputTokens"),
    outputTokens: number("outputTokens"),
    reasoningOutputTokens: number("reasoningOutputTokens"),
    totalTokens: number("totalTokens"),
  };
}

// Tokens added up over turns.

/** Adds up the tokens of turns, each counted once, the cached part of the input included once. */
export class UsageLedger {
  #sum: TokenCount = NO_TOKENS;
  #subAgents: TokenCount = NO_TOKENS;
  readonly #parent: UsageLedger | null;

  /** Creates a ledger whose entries also count in `parent`. */
  constructor(parent: UsageLedger | null = null) {
    this.#parent = parent;
  }

  /** Adds tokens; `bySubAgent`: of an agent that the agent started. */
  add(tokens: TokenCount, bySubAgent = false): void {
    this.#sum = addTokens(this.#sum, tokens);
    if (bySubAgent) this.#subAgents = addTokens(this.#subAgents, tokens);
    this.#parent?.add(tokens, bySubAgent);
  }

  /** The sum so far. */
  get total(): UsageCount {
    return { ...this.#sum, subAgents: { ...this.#subAgents } };
  }
}
