/**
 * What one event makes of one turn, and how turns are kept within a thread. Pure.
 * @module
 */
import { type JsonObject, numberOf, objectOf, objectsOf, stringOf } from "../../json.ts";
import type { ThreadTokenUsage, TurnError, TurnPlanStep } from "../../protocol/mod.ts";
import { closeItem, completeItem } from "./state_items.ts";
import { fitObject, fitText } from "./state_text.ts";
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

/** Changes one item of a turn, which is added when it is not there. */
export function changeItem(
  turn: TurnState,
  itemId: string,
  bounds: StateBounds,
  change: (item: ItemState | undefined) => ItemState,
  anew = false,
): TurnState {
  let at = turn.items.findLastIndex((item) => item.id === itemId);
  // Models use ids again: what starts under the id of an item that has ended is another one.
  if (anew && at >= 0 && turn.items[at]!.state === "completed") at = -1;
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
