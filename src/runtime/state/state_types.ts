/**
 * What a connection has seen of threads, turns and items.
 * @module
 */
import type { JsonValue } from "../../json.ts";
import type { ThreadStatus, ThreadTokenUsage, Turn, TurnPlanStep } from "../../protocol/mod.ts";

/** Threads, turns and items as far as a connection has seen them. A snapshot: it never changes. */
export interface RuntimeState {
  /** Threads by id, least recently used first. */
  readonly threads: Readonly<Record<string, ThreadState>>;
  /** Threads that were forgotten because of the limit. */
  readonly threadsDropped: number;
}

/** One conversation. A field is `null` until the server has told it. */
export interface ThreadState {
  /** The thread's id. */
  readonly id: string;
  /** Its working directory. */
  readonly cwd: string | null;
  /** The model that answers. */
  readonly model: string | null;
  /** Who runs the model. */
  readonly modelProvider: string | null;
  /** How much the model thinks. */
  readonly reasoningEffort: string | null;
  /** When codex asks, as the server confirmed it. */
  readonly approvalPolicy: JsonValue;
  /** What commands may do, as the server confirmed it. */
  readonly sandbox: JsonValue;
  /** The name a user gave it. */
  readonly name: string | null;
  /** The beginning of its first prompt. */
  readonly preview: string | null;
  /** The file that holds it on the server's machine; `null` for ephemeral threads too. */
  readonly path: string | null;
  /** Whether it is kept in memory only; codex 0.104 does not tell. */
  readonly ephemeral: boolean | null;
  /** The thread that it was forked from. */
  readonly forkedFromId: string | null;
  /** What it is doing, in the server's words; codex 0.104 does not tell. */
  readonly status: ThreadStatus | null;
  /** Whether it was archived on this connection. */
  readonly archived: boolean;
  /** The turn that is running. */
  readonly activeTurnId: string | null;
  /** Tokens of the newest answer, and of the whole thread. */
  readonly usage: ThreadTokenUsage | null;
  /** Turns, oldest first. */
  readonly turns: readonly TurnState[];
  /** Turns that were forgotten because of the limit. */
  readonly turnsDropped: number;
}

/** One prompt and everything that came of it. */
export interface TurnState {
  /** The turn's id. */
  readonly id: string;
  /** How it stands. Final once it is not `"inProgress"`. */
  // deno-lint-ignore ban-types
  readonly status: "inProgress" | "completed" | "interrupted" | "failed" | (string & {});
  /** Why it failed. */
  readonly error: Turn["error"];
  /** When it began, in seconds since 1970; codex 0.104 does not tell. */
  readonly startedAt: number | null;
  /** When it ended, in seconds since 1970; codex 0.104 does not tell. */
  readonly completedAt: number | null;
  /** How long it took, in milliseconds; codex 0.104 does not tell. */
  readonly durationMs: number | null;
  /** Items, oldest first. */
  readonly items: readonly ItemState[];
  /** Items that were forgotten because of the limit. */
  readonly itemsDropped: number;
  /** All file changes of the turn as one diff. */
  readonly diff: string | null;
  /** The model's plan. */
  readonly plan: readonly TurnPlanStep[] | null;
  /** Tokens of the newest answer of this turn, and of the thread up to it. */
  readonly usage: ThreadTokenUsage | null;
  /** Whether the diff or the plan was cut to the limit. */
  readonly truncated: boolean;
}

/**
 * A message, a command, a file change … with the server's own fields, into which deltas are folded until the server
 * sends the final item.
 */
export interface ItemState {
  /** The item's id. */
  readonly id: string;
  /** What it is: `agentMessage`, `commandExecution`, `fileChange` … or a type this library does not know. */
  readonly type: string;
  /** `open` while it runs, `completed` when the server said so, `closed` when its turn ended first. */
  readonly state: "open" | "completed" | "closed";
  /** Whether its texts were cut to the limit. */
  readonly truncated: boolean;
  /** The text of a message or plan. */
  readonly text?: string;
  /** The output of a command. Deltas are lossy: only the output of a completed command is whole. */
  readonly aggregatedOutput?: string | null;
  /** How a command, file change or tool call stands. */
  readonly status?: string;
  /** Text that was streamed for an item of a kind this library does not know. */
  readonly deltaText?: string;
  /** Every other field, as the server spells it. */
  readonly [field: string]: JsonValue | undefined;
}

/** The limits that a state keeps. */
export interface StateBounds {
  /** Threads. */
  readonly threads: number;
  /** Turns a thread. */
  readonly turns: number;
  /** Items a turn. */
  readonly items: number;
  /** Bytes of text an item. */
  readonly textBytes: number;
}
