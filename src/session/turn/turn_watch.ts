/**
 * When a turn falls silent: has its end been lost?
 * @module
 */
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

/**
 * Asks the server about a silent turn. Returns the parameters that `turn/completed` should have had when the server
 * says that the turn is over, else `null`.
 */
export async function lostTurn(
  core: RuntimeCore,
  threadId: string,
  outcome: TurnOutcome,
): Promise<JsonObject | null> {
  if (core.state !== "running" || !supports(core.server.version, "truthfulTurnRecord")) {
    return null;
  }
  if (SILENT_WORKERS.some((type) => outcome.items.open(type))) return null;
  if (core.approvals.pending().some(({ request }) => request.threadId === threadId)) return null;
  try {
    const read = await core.callNow("thread/read", { threadId }, { timeoutMs: CALL_MS });
    const thread = isJsonObject(read) ? read["thread"] : undefined;
    const status = isJsonObject(thread) ? thread["status"] : undefined;
    if (!isJsonObject(status) || status["type"] === "active") return null;
    const list = await core.callNow("thread/turns/list", { threadId, limit: 5 }, {
      timeoutMs: CALL_MS,
    });
    const turns = isJsonObject(list) && Array.isArray(list["data"]) ? list["data"] : [];
    const turn = turns.find((each) => isJsonObject(each) && each["id"] === outcome.turnId);
    return isJsonObject(turn) && turn["status"] !== "inProgress" ? { threadId, turn } : null;
  } catch {
    // An ephemeral thread has no record, a busy server no time: the turn's own limit still holds.
    return null;
  }
}
