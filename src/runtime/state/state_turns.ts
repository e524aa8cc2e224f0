/**
 * What one event makes of one turn and of its items, kept within a number of bytes. Pure: nothing is changed in place.
 * @module
 */
import {
  type JsonObject,
  type JsonValue,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from "../../json.ts";
import {
  DELTAS,
  type DeltaTarget,
  type ThreadTokenUsage,
  type TurnError,
  type TurnPlanStep,
} from "../../protocol/mod.ts";
import { useOf } from "../../thread_item.ts";
import { utf8Length } from "../../rpc/mod.ts";
import type { ItemState, StateBounds, ThreadState, TurnState } from "./state_types.ts";

/** A turn of which nothing is known but its id. */
export function newTurn(id: string): TurnState {
  return {
    id,
    status: "inProgress",
    error: null,
    startedAt: null,
    completedAt: null,
    durationMs: null,
    items: [],
    itemsDropped: 0,
    diff: null,
    plan: null,
    usage: null,
    truncated: false,
  };
}

/** Changes one turn of a thread, which is added when it is not there. */
export function changeTurn(
  thread: ThreadState,
  turnId: string,
  bounds: StateBounds,
  change: (turn: TurnState) => TurnState,
): ThreadState {
  const at = thread.turns.findLastIndex((turn) => turn.id === turnId);
  const before = at < 0 ? newTurn(turnId) : thread.turns[at]!;
  const after = change(before);
  if (after === before && at >= 0) return thread;
  const turns = thread.turns.slice();
  if (at < 0) turns.push(after);
  else turns[at] = after;
  return keepTurns({ ...thread, turns }, bounds);
}

/** Forgets the oldest turns beyond the limit; the active one stays. */
export function keepTurns(thread: ThreadState, bounds: StateBounds): ThreadState {
  const excess = thread.turns.length - bounds.turns;
  if (excess <= 0) return thread;
  const turns = withoutOldest(thread.turns, excess, (turn) => turn.id === thread.activeTurnId);
  return { ...thread, turns, turnsDropped: thread.turnsDropped + excess };
}

const ANY = { anew: false, type: null, use: null };

/** Changes one item of a turn, which is added when it is not there. */
export function changeItem(
  turn: TurnState,
  itemId: string,
  bounds: StateBounds,
  change: (item: ItemState | undefined) => ItemState,
  wire: { anew: boolean; type: string | null; use: string | null } = ANY,
): TurnState {
  const { anew, type, use } = wire;
  const isIt = (item: ItemState) =>
    item.id === itemId && (type === null || item.type === type || item.type === "unknown");
  const isSame = (item: ItemState) => {
    const known = useOf(item as unknown as JsonObject);
    return isIt(item) && (item.truncated || use === null || known === null || known === use);
  };
  const isOpen = (item: ItemState) => item.state !== "completed";
  let at = turn.items.findLastIndex((item) => isOpen(item) && isSame(item));
  // Models use ids again: what starts under the id of an item that has ended, or does something else, is another one.
  if (at < 0 && !anew) {
    at = turn.items.findLastIndex((item) => isOpen(item) && isIt(item));
    if (at < 0) at = turn.items.findLastIndex(isSame);
  }
  const before = at < 0 ? undefined : turn.items[at]!;
  const after = change(before);
  if (after === before) return turn;
  const items = turn.items.slice();
  if (at < 0) items.push(after);
  else items[at] = after;
  const excess = items.length - bounds.items;
  if (excess <= 0) return { ...turn, items };
  return {
    ...turn,
    items: withoutOldest(items, excess, (item) => item.state === "open"),
    itemsDropped: turn.itemsDropped + excess,
  };
}

/** Leaves out the oldest entries that need not stay; when all of them should, the very oldest. */
function withoutOldest<T>(
  entries: readonly T[],
  excess: number,
  stays: (entry: T) => boolean,
): readonly T[] {
  let left = excess;
  const kept = entries.filter((entry) => stays(entry) || left-- <= 0);
  return kept.slice(Math.max(0, kept.length - (entries.length - excess)));
}

/** The server says how a turn stands. A final status is not taken back. */
export function mergeTurn(
  turn: TurnState,
  wire: JsonObject,
  bounds: StateBounds,
  source: "started" | "completed" | "history",
): TurnState {
  const status = stringOf(wire, "status");
  const final = turn.status !== "inProgress" && source !== "completed";
  const error = objectOf(wire, "error");
  let after: TurnState = {
    ...turn,
    status: final || status === null ? turn.status : status,
    error: final || error === null ? turn.error : toError(error, bounds),
    startedAt: numberOf(wire, "startedAt") ?? turn.startedAt,
    completedAt: numberOf(wire, "completedAt") ?? turn.completedAt,
    durationMs: numberOf(wire, "durationMs") ?? turn.durationMs,
  };
  // Old servers number the items of their history anew, so history fills only turns that were not seen live.
  if (source !== "history" || turn.items.length === 0) {
    for (const item of objectsOf(wire, "items")) {
      const id = stringOf(item, "id");
      if (id === null) continue;
      after = changeItem(
        after,
        id,
        bounds,
        (before) => completeItem(before, item, bounds.textBytes),
      );
    }
  }
  return after.status === "inProgress" ? after : closeItems(after);
}

/** Nothing of a turn runs any more. */
export function closeItems(turn: TurnState): TurnState {
  return turn.items.some((item) => item.state === "open")
    ? { ...turn, items: turn.items.map(closeItem) }
    : turn;
}

/** The turn's diff so far. */
export function setDiff(turn: TurnState, diff: string, bounds: StateBounds): TurnState {
  if (turn.diff === diff) return turn;
  const fitted = fitText(diff, bounds.textBytes);
  return { ...turn, diff: fitted.value, truncated: turn.truncated || fitted.cut };
}

/** The model's plan so far. */
export function setPlan(turn: TurnState, params: JsonObject, bounds: StateBounds): TurnState {
  const fitted = fitObject({ plan: objectsOf(params, "plan") }, bounds.textBytes);
  const plan = fitted.value["plan"] as unknown as TurnPlanStep[];
  return { ...turn, plan, truncated: turn.truncated || fitted.cut };
}

/** The tokens so far. */
export function setUsage(turn: TurnState, usage: JsonObject): TurnState {
  return { ...turn, usage: usage as unknown as ThreadTokenUsage };
}

/** What went wrong, within the limit. */
export function toError(error: JsonObject, bounds: StateBounds): TurnError {
  return fitObject(error, bounds.textBytes).value as unknown as TurnError;
}

// What one event makes of one item. Pure: items are replaced, never changed.

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
function closeItem(before: ItemState): ItemState {
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

// Keeping values within a number of bytes.

/** A value that fits, and whether something had to go. */
export interface Fitted<T> {
  /** The value; the very one that was given when nothing had to go. */
  readonly value: T;
  /** Whether something was cut. */
  readonly cut: boolean;
}

/** Values below this are not looked into: nothing the server sends means anything there. */
const MAX_DEPTH = 64;
/** What an array element costs beside its text, so that a million numbers are bounded too. */
const ELEMENT_BYTES = 8;

/** The longest beginning of a text with at most `maxBytes` bytes of UTF-8, never half a character. */
export function fitText(text: string, maxBytes: number): Fitted<string> {
  if (text.length * 3 <= maxBytes) return { value: text, cut: false };
  const end = endWithin(text, maxBytes);
  return end === text.length
    ? { value: text, cut: false }
    : { value: text.slice(0, end), cut: true };
}

/** Adds to a text that must stay within `maxBytes`. */
function appendText(text: string, more: string, maxBytes: number): Fitted<string> {
  // A full text is not read again for every piece that does not fit any more.
  if (text.length >= maxBytes && more !== "") return { value: text, cut: true };
  return fitText(text + more, maxBytes);
}

/** A JSON object whose texts together have at most `maxBytes` bytes; what comes first is kept. */
export function fitObject(object: JsonObject, maxBytes: number): Fitted<JsonObject> {
  if (isSmall(object, { left: maxBytes }, 0)) return { value: object, cut: false };
  const budget = { left: maxBytes, cut: false };
  const value = cutValue(object, budget, 0) as JsonObject;
  return budget.cut ? { value, cut: true } : { value: object, cut: false };
}

/** A cheap overestimate that most items pass. */
function isSmall(value: JsonValue | undefined, budget: { left: number }, depth: number): boolean {
  if (typeof value === "string") return (budget.left -= value.length * 3) >= 0;
  if (typeof value !== "object" || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) {
    budget.left -= value.length * ELEMENT_BYTES;
    return budget.left >= 0 && value.every((element) => isSmall(element, budget, depth + 1));
  }
  for (const key in value) if (!isSmall(value[key], budget, depth + 1)) return false;
  return true;
}

function cutValue(
  value: JsonValue,
  budget: { left: number; cut: boolean },
  depth: number,
): JsonValue {
  if (typeof value === "string") {
    const end = endWithin(value, budget.left);
    const text = end === value.length ? value : value.slice(0, end);
    budget.left -= utf8Length(text);
    if (end < value.length) {
      budget.cut = true;
      budget.left = 0;
    }
    return text;
  }
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) {
    budget.cut = true;
    return null;
  }
  if (Array.isArray(value)) {
    const kept: JsonValue[] = [];
    for (const element of value) {
      budget.left -= ELEMENT_BYTES;
      if (budget.left < 0) {
        budget.left = 0;
        budget.cut = true;
        break;
      }
      kept.push(cutValue(element, budget, depth + 1));
    }
    return kept;
  }
  const kept: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined && key !== "__proto__") {
      kept[key] = cutValue(member, budget, depth + 1);
    }
  }
  return kept;
}

const encoder = new TextEncoder();

/** Where a text must be cut to have at most `maxBytes` bytes of UTF-8; never in the middle of a character. */
function endWithin(text: string, maxBytes: number): number {
  return encoder.encodeInto(text, new Uint8Array(Math.min(maxBytes, text.length * 3))).read;
}
