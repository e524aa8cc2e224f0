/**
 * When a turn falls silent: has its end been lost?
 * @module
 */
import { RpcError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject } from "../../json.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { supports } from "../../protocol/mod.ts";
import type { TurnOutcome } from "./turn_outcome.ts";

/** How often a turn is looked at; it counts as silent after one interval without any message. */
export const IDLE_CHECK_MS: number = 20_000;

const CALL_MS = 10_000;

/** Items that may work for long without a word. */
const SILENT_WORKERS = [
  "commandExecution",
  "mcpToolCall",
  "dynamicToolCall",
  "collabAgentToolCall",
  "webSearch",
];

/** What the server says a thread is doing. */
export type ThreadStatus =
  | "idle"
  | "active"
  /** A server that does not say; codex 0.104 does not. */
  | "unknown"
  /** A server that does not answer. */
  | "unanswered";

/** Asks the server what a thread is doing. Never rejects. */
export async function threadStatus(core: RuntimeCore, threadId: string): Promise<ThreadStatus> {
  let read;
  try {
    read = await core.callNow("thread/read", { threadId }, { timeoutMs: CALL_MS });
  } catch (error) {
    // A thread that the server refuses to read is not at work.
    return error instanceof RpcError ? "idle" : "unanswered";
  }
  const thread = isJsonObject(read) ? read["thread"] : undefined;
  const status = isJsonObject(thread) ? thread["status"] : undefined;
  if (!isJsonObject(status)) return "unknown";
  return status["type"] === "active" ? "active" : "idle";
}

/** The turn that the server works on, by its own record; `null` when it names none. Never rejects. */
export async function activeTurnId(core: RuntimeCore, threadId: string): Promise<string | null> {
  const turn = (await latestTurns(core, threadId)).find((each) => each["status"] === "inProgress");
  return turn !== undefined && typeof turn["id"] === "string" ? turn["id"] : null;
}

/**
 * Asks the server about a silent turn. Returns the parameters that `turn/completed` should have had when the server
 * says that the turn is over, else `null`.
 */
export async function lostTurn(
  core: RuntimeCore,
  threadId: string,
  outcome: TurnOutcome,
  started = true,
): Promise<JsonObject | null> {
  if (core.state !== "running") return null;
  if (SILENT_WORKERS.some((type) => outcome.items.open(type))) return null;
  if (core.approvals.pending().some(({ request }) => request.threadId === threadId)) return null;
  if (started && !supports(core.server.version, "truthfulTurnRecord")) return null;
  const status = await threadStatus(core, threadId);
  if (status === "active" || status === "unanswered") return null;
  // A turn that has an id and never started: the server dropped it.
  if (!started) return { threadId, turn: { id: outcome.turnId, status: "interrupted" } };
  const turn = (await latestTurns(core, threadId)).find((each) => each["id"] === outcome.turnId);
  return turn !== undefined && turn["status"] !== "inProgress" ? { threadId, turn } : null;
}

/** The last turns in the server's record; none of an ephemeral thread, which has no record, or of a busy server. */
async function latestTurns(core: RuntimeCore, threadId: string): Promise<JsonObject[]> {
  try {
    const list = await core.callNow("thread/turns/list", { threadId, limit: 5 }, {
      timeoutMs: CALL_MS,
    });
    const turns = isJsonObject(list) && Array.isArray(list["data"]) ? list["data"] : [];
    return turns.filter(isJsonObject);
  } catch {
    return [];
  }
}
