/**
 * Whether a result fits the server's request that it answers.
 * @module
 */
import { isJsonObject } from "../../json.ts";
import { validateServerRequestResult } from "../../protocol/mod.ts";

/** Fields that the protocol lets a result leave out, though not every server takes it without them. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  "item/permissions/requestApproval": ["scope"],
  "mcpServer/elicitation/request": ["content", "_meta"],
  "account/chatgptAuthTokens/refresh": ["chatgptPlanType"],
};

/** Requests of the first protocol, which older servers want to hear a plain `"denied"` for. */
const FIRST_PROTOCOL = new Set(["execCommandApproval", "applyPatchApproval"]);

/**
 * Says what is wrong with a result for one of the server's requests, without its values; `null` when it fits, or when
 * the method is not known.
 */
export function checkServerRequestResult(method: string, result: unknown): string | null {
  if (FIRST_PROTOCOL.has(method) && isJsonObject(result) && result["decision"] === "denied") {
    return Object.keys(result).length === 1
      ? null
      : "$: has a field that this answer does not know";
  }
  const issue = validateServerRequestResult(method, result);
  if (issue !== null) return `${issue.path}: ${issue.expectation}`;
  const needed = Object.hasOwn(NEEDED, method) ? NEEDED[method]! : [];
  const missing = needed.find((name) => isJsonObject(result) && result[name] === undefined);
  return missing === undefined ? null : `$.${missing}: missing`;
}
