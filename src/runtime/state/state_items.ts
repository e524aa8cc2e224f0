/**
 * What one event makes of one item. Pure: items are replaced, never changed.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import { DELTAS, type DeltaTarget } from "../../protocol/mod.ts";
import { utf8Length } from "../../rpc/mod.ts";
import { appendText, fitObject } from "./state_text.ts";
import type { ItemState } from "./state_types.ts";

const UNKNOWN: DeltaTarget = { type: "unknown", field: "deltaText", list: false };
/** Fields that deltas fill before the server does. */
const STREAMED = ["text", "aggregatedOutput", "summary", "content", "deltaText"] as const;

/** The server announced the item; of one that is complete it says nothing new. */
export function startItem(
  before: ItemState | undefined,
  wire: JsonObject,
  textBytes: number,
): ItemState {
  if (before?.state === "completed") return before;
  return merged(before, wire, "open", textBytes);
}

/** The server sent the final item; it wins over what was streamed. */
export function completeItem(
  before: ItemState | undefined,
  wire: JsonObject,
  textBytes: number,
): ItemState {
  return merged(before, wire, "completed", textBytes);
}

/** The turn ended before the item did. */
export function closeItem(before: ItemState): ItemState {
  return before.state === "open" ? { ...before, state: "closed" } : before;
}

/** The next text of an item. A complete item takes none. */
export function growItem(
  before: ItemState | undefined,
  id: string,
  method: string,
  delta: string,
  index: number | null,
  textBytes: number,
): ItemState {
  const target = DELTAS[method] ?? UNKNOWN;
  const item = before ?? { id, type: target.type, state: "open" as const, truncated: false };
  if (item.state === "completed" || item.truncated) return item;
  const room = textBytes - otherText(item, target.field);
  if (!target.list) {
    const fitted = appendText(textIn(item[target.field]), delta, room);
    return { ...item, [target.field]: fitted.value, truncated: fitted.cut };
  }
  const parts = partsIn(item[target.field]);
  const at = Math.min(index ?? Math.max(0, parts.length - 1), parts.length);
  const others = parts.reduce((sum, part, i) => i === at ? sum : sum + utf8Length(part), 0);
  const fitted = appendText(parts[at] ?? "", delta, room - others);
  const grown = parts.slice();
  grown[at] = fitted.value;
  return { ...item, [target.field]: grown, truncated: fitted.cut };
}

/** The model began another paragraph of its reasoning's summary. */
export function addSummaryPart(
  before: ItemState | undefined,
  id: string,
  index: number | null,
): ItemState {
  const item = before ?? { id, type: "reasoning", state: "open" as const, truncated: false };
  const parts = partsIn(item["summary"]);
  if (item.state === "completed" || item.truncated || (index ?? parts.length) < parts.length) {
    return item;
  }
  return { ...item, summary: [...parts, ""] };
}

/** The changes of a running file change grew. */
export function patchItem(
  before: ItemState | undefined,
  id: string,
  changes: JsonValue | undefined,
  textBytes: number,
): ItemState {
  if (before?.state === "completed") return before;
  return merged(before, { type: "fileChange", id, changes: changes ?? [] }, "open", textBytes);
}

function merged(
  before: ItemState | undefined,
  wire: JsonObject,
  state: ItemState["state"],
  textBytes: number,
): ItemState {
  const fitted = fitObject(wire, textBytes);
  const { id, type, status } = wire;
  const item: ItemState = {
    ...(state === "open" ? before : {}),
    ...fitted.value,
    // These name the item, so no limit on its texts may cut them.
    ...(typeof status === "string" ? { status } : {}),
    id: String(id),
    type: typeof type === "string" ? type : before?.type ?? "unknown",
    state,
    truncated: fitted.cut || (state === "open" && before?.truncated === true),
  };
  if (before === undefined) return item;
  // An interrupted or old server leaves the final field empty; then what was streamed is all there is.
  const kept: Record<string, JsonValue> = {};
  for (const field of STREAMED) {
    // The streamed output of a file change is superseded by the change itself.
    if (field === "deltaText" && state === "completed") continue;
    const streamed = before[field];
    if (isEmpty(item[field]) && !isEmpty(streamed)) kept[field] = streamed!;
  }
  if (Object.keys(kept).length === 0) return item;
  return { ...item, ...kept, truncated: item.truncated || before.truncated };
}

function isEmpty(value: JsonValue | undefined): boolean {
  return value === undefined || value === null || value === "" ||
    (Array.isArray(value) && value.length === 0);
}

/** Bytes that the item's other streamed texts may take. */
function otherText(item: ItemState, field: string): number {
  let bytes = 0;
  for (const other of STREAMED) {
    if (other === field) continue;
    const value = item[other];
    if (typeof value === "string") bytes += utf8Length(value);
    else for (const part of partsIn(value)) bytes += utf8Length(part);
  }
  return bytes;
}

function textIn(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function partsIn(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value)
    ? value.filter((part): part is string => typeof part === "string")
    : [];
}
