/**
 * Tokens added up over turns.
 * @module
 */
import type { TokenCount } from "./turn_result.ts";
import { addTokens, NO_TOKENS } from "./turn_usage.ts";

/** Adds up the tokens of turns, each counted once, the cached part of the input included once. */
export class UsageLedger {
  #sum: TokenCount = { ...NO_TOKENS };
  #turns = 0;
  readonly #parent: UsageLedger | null;

  /** Creates a ledger whose entries also count in `parent`. */
  constructor(parent: UsageLedger | null = null) {
    this.#parent = parent;
  }

  /** Adds one turn. */
  add(turn: TokenCount): void {
    this.#sum = addTokens(this.#sum, turn);
    this.#turns++;
    this.#parent?.add(turn);
  }

  /** The sum so far. */
  get total(): TokenCount {
    return { ...this.#sum };
  }

  /** Turns counted. */
  get turns(): number {
    return this.#turns;
  }
}
