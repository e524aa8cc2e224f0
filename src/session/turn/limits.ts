/**
 * How much a run may use: counted over all its turns, those of the agents included that its agent starts.
 *
 * A model call is counted when the server tells its tokens, which is at its end. What it asks for (a tool) or the lack of
 * an answer says that another call follows; without either, the next item does. So a run is stopped before the call that
 * goes beyond its limits, or within it.
 * @module
 */
import type { ExceededLimit } from "../../errors/mod.ts";
import type { RunLimits } from "../profile.ts";

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

/**
 * The limit that ends the run now, or `null`. `more`: another model call follows, or has begun. What was used up by a run
 * that has ended by itself ends nothing.
 */
export function crossedLimit(
  limits: RunLimits,
  counts: RunCounts,
  more: boolean,
): ExceededLimit | null {
  for (const name of NAMES) {
    const allowed = limits[name];
    if (allowed === undefined) continue;
    const used = counts[name];
    const needed = name !== "toolCalls" && more ? 1 : 0;
    if (used + needed > allowed) return { limit: name, allowed, used };
  }
  return null;
}

/** What one turn has used so far, from its messages. */
export class TurnTally {
  /** What it has used. */
  readonly counts: RunCounts = { tokens: 0, modelCalls: 0, toolCalls: 0 };
  #more = true;
  #ended = false;
  /** What the running model call has produced. */
  #usedTool = false;
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
    if (type === "agentMessage") this.#said = true;
    if (!TOOL_ITEMS.has(type)) return;
    this.#usedTool = true;
    this.counts.toolCalls++;
  }

  /** A model call has ended. */
  called(tokens: number): void {
    this.counts.tokens += tokens;
    this.counts.modelCalls++;
    this.#more = this.#usedTool || !this.#said;
    this.#usedTool = false;
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

  /** `stop` is called once, when the run has to end. */
  constructor(limits: RunLimits, stop: (exceeded: ExceededLimit) => void) {
    this.#limits = limits;
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

  /** One of the turns has used more. */
  check(): void {
    if (this.exceeded !== null) return;
    const more = [...this.#tallies].some((tally) => tally.more);
    this.exceeded = crossedLimit(this.#limits, this.counts, more);
    if (this.exceeded !== null) this.#stop(this.exceeded);
  }

  /** Why no further turn may begin, or `null`. */
  get spent(): ExceededLimit | null {
    return this.exceeded ?? crossedLimit(this.#limits, this.counts, true);
  }
}
