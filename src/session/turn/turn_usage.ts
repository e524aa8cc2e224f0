/**
 * Tokens of a turn and of its thread, out of the server's running counts; and the limits of a run.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, numberOf, objectOf } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import type { ContextUsage, TokenCount, TokenUsage, UsageCount } from "./turn_result.ts";
import type { ExceededLimit } from "../../errors/mod.ts";
import type { RunLimits } from "../profile.ts";

/** A count, each number of it by its name. */
function countOf(number: (name: keyof TokenCount) => number): TokenCount {
  return {
    inputTokens: number("inputTokens"),
    cachedInputTokens: number("cachedInputTokens"),
    outputTokens: number("outputTokens"),
    reasoningOutputTokens: number("reasoningOutputTokens"),
    totalTokens: number("totalTokens"),
  };
}

/** No tokens. */
export const NO_TOKENS: Readonly<TokenCount> = /* @__PURE__ */ Object.freeze(countOf(() => 0));

/** The sum of two counts. */
export function addTokens(a: TokenCount, b: TokenCount): TokenCount {
  return countOf((name) => a[name] + b[name]);
}

/** What was added to a count since it was `before`. */
export function subtractTokens(count: TokenCount | null, before: TokenCount | null): TokenCount {
  return countOf((name) => (count?.[name] ?? 0) - (before?.[name] ?? 0));
}

/**
 * Takes the next `tokenUsage`. What the thread's total has grown by is the turn's: old servers tell the same count several
 * times, and whoever joins in the middle of a turn hears one count for several calls of the model. `last`, one call's,
 * stands in where the total before is not known, or was higher: a server that died has not written all of it down. One that is
 * more than the total is no call's: it is the estimate of what a compaction has left.
 */
export function nextUsage(
  before: TokenUsage | null,
  threadTotal: TokenCount | null,
  tokenUsage: JsonValue | undefined,
): TokenUsage | null {
  if (!isJsonObject(tokenUsage)) return before;
  const total = readCount(tokenUsage["total"]);
  const last = readCount(tokenUsage["last"]);
  const previous = before?.thread ?? threadTotal;
  const own = last.totalTokens > total.totalTokens ? NO_TOKENS : last;
  const grown = previous === null ? own : growth(previous, total) ?? own;
  return {
    ...addTokens(before ?? NO_TOKENS, grown),
    subAgents: NO_TOKENS,
    thread: total,
    contextWindow: numberOf(tokenUsage, "modelContextWindow"),
  };
}

/** What a total has grown by; `null` when it has not. */
function growth(previous: TokenCount, total: TokenCount): TokenCount | null {
  const grown = subtractTokens(total, previous);
  return Object.values(grown).every((count) => count >= 0) ? grown : null;
}

/** What a thread has used, and which of its counts are its turns'. */
export class ThreadUsage {
  /** What it has used; `null` while that is not known: nothing was told since it was resumed. */
  total: TokenCount | null;
  /** How full the model's context is. */
  context: ContextUsage | null = null;
  /** A count that may be that of the call before a compaction; the next one tells. */
  #held: { turn: unknown; total: TokenCount; last: TokenCount } | null = null;
  readonly #unheard: (tokens: TokenCount) => void;

  /** Begins with what is known. `unheard` is told what turns have used that began and ended while the connection was down. */
  constructor(total: TokenCount | null, unheard: (tokens: TokenCount) => void = () => {}) {
    this.total = total;
    this.#unheard = unheard;
  }

  /** The server was started anew, and counts on from what it has written down. */
  forget(): void {
    this.total = null;
    this.#held = null;
  }

  /** Turns were taken back; `recounts`: the server counts what is left of the thread from anew. */
  revert(recounts: boolean): void {
    this.context = null;
    if (recounts) this.forget();
  }

  /**
   * Takes the server's next count, in the middle of `turn` or of none. Returns what the thread had used before the turn,
   * where that turns out now (`null`: nothing new), and `"before"` when the count is not the turn's.
   *
   * While what was used is not known, a call of the model may begin with the count of the one before:
   * - a compaction's does, on 0.104 to 0.169. Where no call was ever counted there is none; then the next count, an
   *   estimate of what the compaction leaves, has the same total.
   * - any call does where the server repeats counts (`repeats`). In a thread of which no call was ever counted, one that
   *   comes before anything that the model made is missed so.
   */
  take(
    tokenUsage: JsonObject,
    turn: { id: unknown; items: readonly { type: string }[] } | null,
    repeats: boolean,
  ): TokenCount | "before" | null {
    const total = readCount(tokenUsage["total"]);
    const last = readCount(tokenUsage["last"]);
    const known = this.total !== null;
    const grown = turn === null && known ? growth(this.total!, total) : null;
    if (grown !== null && grown.totalTokens > 0) this.#unheard(grown);
    this.total = total;
    this.context = readContext(tokenUsage);
    const held = this.#held;
    this.#held = null;
    if (turn === null) return null;
    if (held !== null && held.turn === turn.id) {
      const wasItsOwn = sameCount(total, held.total) && !sameCount(last, held.last);
      return wasItsOwn ? subtractTokens(held.total, held.last) : held.total;
    }
    if (known || !turn.items.every(({ type }) => BEFORE_CALLS.has(type))) return null;
    const compacts = turn.items.some(({ type }) => type === "contextCompaction");
    if (compacts) this.#held = { turn: turn.id, total, last };
    return compacts || repeats ? "before" : null;
  }

  /** The same for the message that tells it; what the thread had used so far, where nothing new turns out. */
  count(
    params: JsonObject,
    turn: { outcome: { items: { all(): readonly { type: string }[] } } } | null,
    version: string | null,
  ): TokenCount | "before" | null {
    const known = this.total;
    const tokenUsage = objectOf(params, "tokenUsage");
    if (tokenUsage === null) return known;
    const about = turn && { id: turn, items: turn.outcome.items.all() };
    return this.take(tokenUsage, about, supports(version, "repeatsTokenCounts")) ?? known;
  }
}

/** Items that are there before the model's first call has ended. */
const BEFORE_CALLS: ReadonlySet<string> = new Set(["userMessage", "contextCompaction"]);

function sameCount(a: TokenCount, b: TokenCount): boolean {
  return Object.values(subtractTokens(a, b)).every((count) => count === 0);
}

/** How full the context is after the last call of the model, out of the server's `tokenUsage`. */
export function readContext(tokenUsage: JsonObject): ContextUsage {
  const usedTokens = readCount(tokenUsage["last"]).totalTokens;
  const window = numberOf(tokenUsage, "modelContextWindow") ?? 0;
  const windowTokens = window > 0 ? window : null;
  const percent = windowTokens === null
    ? null
    : Math.min(100, Math.round(usedTokens / windowTokens * 1000) / 10);
  return { usedTokens, windowTokens, percent };
}

/** Reads one of the server's counts; missing numbers are 0. */
export function readCount(value: JsonValue | undefined): TokenCount {
  return countOf((name) => numberOf(value, name) ?? 0);
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

// How much a run may use: counted over all its turns, those of the agents included that its agent starts.
//
// A model call is counted when the server tells its tokens, which is at its end. What it asks for (a tool) or the lack of
// an answer says that another call follows; without either, the next item does. So a run is stopped before the call that
// goes beyond its limits, or within it. Codex tells the tokens of a call when its tools have ended (0.145, 0.169), which is
// late where agents work side by side: what each of them needs at least is set aside for it.

/** What a run has used. */
export interface RunCounts {
  /** Input and output tokens. */
  tokens: number;
  /** Answers of the model. */
  modelCalls: number;
  /** Commands, file changes, searches and calls of tools. */
  toolCalls: number;
}

const NAMES = ["tokens", "modelCalls", "toolCalls"] as const;

/** Items that a model's message does not make: something was done for it. */
const TOOL_ITEMS: ReadonlySet<string> = new Set([
  "commandExecution",
  "fileChange",
  "mcpToolCall",
  "dynamicToolCall",
  "collabAgentToolCall",
  "webSearch",
  "imageView",
  "imageGeneration",
  "sleep",
]);

/** The limits as they are: the caller's object may be changed later, and no spread copies the accessors of a class. */
export function limitsNow(limits: RunLimits | undefined): RunLimits {
  const now: RunLimits = {};
  for (const name of NAMES) if (limits?.[name] !== undefined) now[name] = limits[name];
  return now;
}

/**
 * The limit that ends the run now, or `null`. `more`: how many model calls follow for certain, or have begun: one for each of
 * its turns that is not done. What was used up by a run that has ended by itself ends nothing.
 */
export function crossedLimit(
  limits: RunLimits,
  counts: RunCounts,
  more: number,
): ExceededLimit | null {
  for (const name of NAMES) {
    const allowed = limits[name];
    if (allowed === undefined) continue;
    const used = counts[name];
    const needed = name === "toolCalls" ? 0 : more;
    if (used + needed > allowed) return { limit: name, allowed, used };
  }
  return null;
}

/** What to warn of after a turn that told no tokens, or `null`. */
export function unheldLimits(limits: RunLimits, why: string): string | null {
  if (limits.tokens === undefined && limits.modelCalls === undefined) return null;
  return `${why}: limits.tokens and limits.modelCalls can't be held.`;
}

/** What one turn has used so far, from its messages. */
export class TurnTally {
  /** What it has used. */
  readonly counts: RunCounts = { tokens: 0, modelCalls: 0, toolCalls: 0 };
  #more = true;
  #ended = false;
  /** Whether the last that came from the model is words, or a summary: a turn may end by them. */
  #said = false;

  /** Whether another model call follows, or has begun. */
  get more(): boolean {
    return this.#more && !this.#ended;
  }

  /** An item is seen for the first time. */
  item(type: string): void {
    // The prompt, and what steers the turn, are no work of the model.
    if (type === "userMessage") return;
    this.#more = true;
    if (/^(agentMessage|contextCompaction)$/.test(type)) this.#said = true;
    if (!TOOL_ITEMS.has(type)) return;
    this.#said = false;
    this.counts.toolCalls++;
  }

  /** A model call has ended. On 0.104 its tools may be told after that: what counts is what came last, not in which call. */
  called(tokens: number): void {
    this.counts.tokens += tokens;
    this.counts.modelCalls++;
    this.#more = !this.#said;
    this.#said = false;
  }

  /** The turn has ended. */
  ended(): void {
    this.#ended = true;
  }
}

/** Watches what a run uses over all its turns. */
export class RunMeter {
  /** The limit that ended the run, or `null`. */
  exceeded: ExceededLimit | null = null;
  readonly #limits: RunLimits;
  readonly #tallies: Set<TurnTally> = new Set();
  readonly #stop: (exceeded: ExceededLimit) => void;
  /** Settles when the run has to end, if it ever has to. */
  readonly over: PromiseWithResolvers<void> = Promise.withResolvers();

  /** `stop` is called once, when the run has to end. */
  constructor(limits: RunLimits, stop: (exceeded: ExceededLimit) => void) {
    this.#limits = limitsNow(limits);
    this.#stop = stop;
  }

  /** What the run has used. */
  get counts(): RunCounts {
    const sum: RunCounts = { tokens: 0, modelCalls: 0, toolCalls: 0 };
    for (const { counts } of this.#tallies) {
      for (const name of NAMES) sum[name] += counts[name];
    }
    return sum;
  }

  /** Counts another turn, from its beginning. */
  add(tally: TurnTally): void {
    this.#tallies.add(tally);
    this.check();
  }

  /** Counts a call of the model of which only the tokens are known. */
  spend(tokens: number): void {
    const tally = new TurnTally();
    tally.called(tokens);
    tally.ended();
    this.add(tally);
  }

  /** Another run pays for it. */
  remove(tally: TurnTally): void {
    this.#tallies.delete(tally);
  }

  /** One of the turns has used more. */
  check(): void {
    if (this.exceeded !== null) return;
    let more = 0;
    for (const tally of this.#tallies) if (tally.more) more++;
    this.exceeded = crossedLimit(this.#limits, this.counts, more);
    if (this.exceeded === null) return;
    this.over.resolve();
    this.#stop(this.exceeded);
  }

  /** Why no further turn may begin, or `null`. */
  get spent(): ExceededLimit | null {
    return this.exceeded ?? crossedLimit(this.#limits, this.counts, 1);
  }
}
