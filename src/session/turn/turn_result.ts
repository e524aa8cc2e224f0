/**
 * What a turn produced.
 * @module
 */
import type { HookReport } from "../../plugin/mod.ts";
import type { ProposedChange, ThreadItem } from "../../thread_item.ts";

/** One changed file. */
export interface FileChange extends ProposedChange {
  /** The change as a unified diff, whatever its kind. */
  unified: string;
}

/** How a turn ended. */
export type TurnStatus =
  | "completed"
  | "interrupted"
  | "failed"
  | "timedOut"
  | "connectionClosed";

/** One step of the agent's plan. */
export interface PlanStep {
  /** What to do. */
  step: string;
  /** How far it is. */
  status: "pending" | "inProgress" | "completed" | (string & Record<never, never>);
}

/** Tokens, as the model's provider counts them. */
export interface TokenCount {
  /** Tokens in the prompt, cached ones included. */
  inputTokens: number;
  /** The part of `inputTokens` that was read from the cache. */
  cachedInputTokens: number;
  /** Tokens in the answer, reasoning included. */
  outputTokens: number;
  /** The part of `outputTokens` that was reasoning. */
  reasoningOutputTokens: number;
  /** Input and output together. */
  totalTokens: number;
}

/** Tokens, those of the agents that the agent started included. */
export interface UsageCount extends TokenCount {
  /** The part of the other numbers that agents used which the agent started. */
  subAgents: TokenCount;
}

/** The tokens of a turn, and of its thread. */
export interface TokenUsage extends UsageCount {
  /** The thread's tokens since it began, as the server counts them: without those of agents that its agent started. */
  thread: TokenCount;
  /** The model's context window in tokens, or `null` when it is not known. */
  contextWindow: number | null;
}

/** How full the model's context is. */
export interface ContextUsage {
  /** Tokens of the last call of the model: what the next one starts with. */
  usedTokens: number;
  /** The model's context window in tokens, or `null` when it is not known. */
  windowTokens: number | null;
  /** How much of the window is used, 0 to 100, or `null` when the window is not known. */
  percent: number | null;
}

/** What a turn produced. */
export interface PromptRunResult<Output = unknown> {
  /** The thread. */
  threadId: string;
  /** The turn. */
  turnId: string;
  /** The final answer; commentary messages are in `items`. Where there is nothing but a proposed plan, the plan. */
  assistantText: string;
  /** Messages, reasoning, commands, file changes and tool calls, in order. */
  items: ThreadItem[];
  /** This turn's tokens and the thread's total, or `null` when the model told none. */
  usage: TokenUsage | null;
  /** The server's own measure of the turn in milliseconds, or `null` on servers that tell none. */
  durationMs: number | null;
  /** Unified diff of the files the agent changed, or `null`. */
  diff: string | null;
  /** The agent's last list of steps, or `null`. */
  plan: PlanStep[] | null;
  /** The plan that the agent proposes in the mode `"plan"`, as Markdown; `null` when it proposed none. */
  proposedPlan: string | null;
  /** The answer, parsed and validated, when a schema was given; else `undefined`. */
  output: Output;
  /** What the hooks of this run reported; empty without hooks. */
  hooks: HookReport;
}
