/**
 * Where a message belongs: its thread, turn and item.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { DeltaHead } from "../rpc/delta_reader.ts";
import type { RpcNotification } from "../rpc/envelope.ts";
import type { RecordHead } from "./event_log.ts";

/** Finds the ids that a message names, in the places where the versions of codex put them. */
export function headOf(
  method: string | undefined,
  rpcId: number | string | undefined,
  body: JsonValue | undefined,
): RecordHead {
  if (!isJsonObject(body)) return { method, rpcId };
  return {
    method,
    rpcId,
    threadId: text(body, "threadId") ?? idOf(body, "thread") ?? text(body, "conversationId"),
    turnId: text(body, "turnId") ?? idOf(body, "turn"),
    itemId: text(body, "itemId") ?? idOf(body, "item") ?? text(body, "callId"),
  };
}

/** A delta that had to be decoded merges like the others, unless it tells more than its text. */
export function deltaOf({ method, params }: RpcNotification, head: RecordHead): DeltaHead | null {
  const { threadId, turnId, itemId } = head;
  if (typeof params["delta"] !== "string" || Object.keys(params).length > 4) return null;
  if (threadId === undefined || turnId === undefined || itemId === undefined) return null;
  return { method, threadId, turnId, itemId, text: "" };
}

function text(object: JsonObject, key: string): string | undefined {
  const value = object[key];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function idOf(object: JsonObject, key: string): string | undefined {
  const inner = object[key];
  return isJsonObject(inner) ? text(inner, "id") : undefined;
}
