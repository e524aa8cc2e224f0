/**
 * Tokens added up over turns.
 * @module
 */
import type { TokenCount, UsageCount } from "./turn_result.ts";
import { addTokens, NO_TOKENS } from "./turn_usage.ts";

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
