/** Going on with a turn whose server worked on while the connection to it was down. */
import { isJsonObject, type JsonObject } from "../../json.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { supports } from "../../protocol/mod.ts";

const CALL_MS = 10_000;

/** What the server recorded of a turn that runs or has ended by itself, else `null`. */
export async function recordedTurn(
  core: RuntimeCore,
  threadId: string,
  turnId: string,
): Promise<JsonObject | null> {
  if (!supports(core.server.version, "truthfulTurnRecord")) return null;
  const params = { threadId, limit: 5, itemsView: "full" };
  let list;
  try {
    list = await core.callNow("thread/turns/list", params, { timeoutMs: CALL_MS });
  } catch {
    return null;
  }
  const turns = isJsonObject(list) && Array.isArray(list["data"]) ? list["data"] : [];
  const turn = turns.find((each) => isJsonObject(each) && each["id"] === turnId);
  // A server that was started anew calls the turns of the one before interrupted.
  if (!isJsonObject(turn) || turn["status"] === "interrupted") return null;
  return turn;
}
