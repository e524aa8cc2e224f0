/**
 * What one message makes of one thread. Pure: `reduceThread` is the whole meaning of the state projection.
 * @module
 */
import {
  isJsonObject,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from "../../json.ts";
import type { ThreadStatus, ThreadTokenUsage } from "../../protocol/mod.ts";
import { useOf } from "../../thread_item.ts";
import {
  addSummaryPart,
  changeItem,
  changeTurn,
  closeItems,
  completeItem,
  fitText,
  growItem,
  keepTurns,
  mergeTurn,
  newTurn,
  patchItem,
  setDiff,
  setPlan,
  setUsage,
  startItem,
  toError,
} from "./state_turns.ts";
import type { ItemState, StateBounds, ThreadState } from "./state_types.ts";

/** A thread of which nothing is known but its id. */
export function newThread(id: string): ThreadState {
  return {
    id,
    cwd: null,
    model: null,
    modelProvider: null,
    reasoningEffort: null,
    approvalPolicy: null,
    sandbox: null,
    name: null,
    preview: null,
    path: null,
    ephemeral: null,
    forkedFromId: null,
    status: null,
    archived: false,
    activeTurnId: null,
    usage: null,
    turns: [],
    turnsDropped: 0,
  };
}

/** Calls whose results tell of a thread, and whether what they leave out is gone. */
const RESULTS: Readonly<Record<string, "adds" | "replaces">> = {
  "thread/start": "adds",
  "thread/resume": "adds",
  "thread/fork": "adds",
  "thread/read": "adds",
  "thread/unarchive": "adds",
  "thread/metadata/update": "adds",
  "thread/rollback": "replaces",
  "thread/revert": "replaces",
};

/** Notifications that change a thread only when it is known; the server tells every client of every thread. */
const ONLY_KNOWN: ReadonlySet<string> = new Set([
  "thread/status/changed",
  "thread/archived",
  "thread/unarchived",
  "thread/deleted",
  "thread/closed",
  "thread/name/updated",
  "thread/settings/updated",
  "error",
]);
const TURN_NEWS: ReadonlySet<string> = new Set([
  "turn/started",
  "turn/completed",
  "turn/diff/updated",
  "turn/plan/updated",
  "thread/tokenUsage/updated",
  "item/started",
  "item/completed",
  "item/reasoning/summaryPartAdded",
  "item/fileChange/patchUpdated",
]);

/** The thread that a notification changes, and whether it may be a new one; `null` when it changes none. */
export function threadOfNotification(
  method: string,
  params: JsonObject,
): { id: string; create: boolean } | null {
  if (method === "thread/started") {
    const id = stringOf(params, "thread", "id");
    return id === null ? null : { id, create: true };
  }
  const delta = isDelta(method, params);
  if (!delta && !ONLY_KNOWN.has(method) && !TURN_NEWS.has(method)) return null;
  const id = stringOf(params, "threadId");
  return id === null ? null : { id, create: !ONLY_KNOWN.has(method) };
}

/** The thread that the result of a call tells of. */
export function threadOfResult(method: string, result: JsonObject): string | null {
  if (!Object.hasOwn(RESULTS, method)) return null;
  return stringOf(result, "thread", "id");
}

/** What a notification makes of its thread; `null` when the thread is gone. */
export function reduceThread(
  thread: ThreadState,
  method: string,
  params: JsonObject,
  bounds: StateBounds,
): ThreadState | null {
  switch (method) {
    case "thread/started":
      return mergeThread(thread, objectOf(params, "thread")!, "adds", bounds);
    case "thread/status/changed": {
      const status = objectOf(params, "status");
      return status === null ? thread : { ...thread, status: status as unknown as ThreadStatus };
    }
    case "thread/archived":
      return { ...thread, archived: true };
    case "thread/unarchived":
      return { ...thread, archived: false };
    case "thread/deleted":
      return null;
    case "thread/closed":
      return interruptThread({ ...thread, status: { type: "notLoaded" } });
    case "thread/name/updated":
      return { ...thread, name: shortText(stringOf(params, "threadName"), bounds) };
    case "thread/settings/updated":
      return mergeSettings(thread, objectOf(params, "threadSettings") ?? {});
  }
  const turnId = stringOf(params, "turnId") ?? stringOf(params, "turn", "id");
  if (turnId === null) return thread;
  return reduceTurn(thread, turnId, method, params, bounds);
}

function reduceTurn(
  thread: ThreadState,
  turnId: string,
  method: string,
  params: JsonObject,
  bounds: StateBounds,
): ThreadState {
  const change = (how: Parameters<typeof changeTurn>[3], base = thread) =>
    changeTurn(base, turnId, bounds, how);
  const item = (
    id: string | null,
    how: (item: ItemState | undefined) => ItemState,
    wire?: Parameters<typeof changeItem>[4],
  ) => id === null ? thread : change((turn) => changeItem(turn, id, bounds, how, wire));
  const wireItem = objectOf(params, "item") ?? {};
  const itemId = stringOf(params, "itemId");

  switch (method) {
    case "turn/started": {
      const wire = objectOf(params, "turn") ?? {};
      const known = thread.turns.find((turn) => turn.id === turnId);
      const over = known !== undefined && known.status !== "inProgress";
      const base = over ? thread : { ...thread, activeTurnId: turnId };
      return change((turn) => mergeTurn(turn, wire, bounds, "started"), base);
    }
    case "turn/completed": {
      const wire = objectOf(params, "turn") ?? {};
      const ended = change((turn) => mergeTurn(turn, wire, bounds, "completed"));
      return ended.activeTurnId === turnId ? { ...ended, activeTurnId: null } : ended;
    }
    case "turn/diff/updated":
      return change((turn) => setDiff(turn, stringOf(params, "diff") ?? "", bounds));
    case "turn/plan/updated":
      return change((turn) => setPlan(turn, params, bounds));
    case "thread/tokenUsage/updated": {
      const usage = objectOf(params, "tokenUsage");
      if (usage === null) return thread;
      const base = { ...thread, usage: usage as unknown as ThreadTokenUsage };
      // After a resume the server repeats the usage of a turn that has long ended.
      const known = thread.turns.some((turn) => turn.id === turnId);
      return known ? change((turn) => setUsage(turn, usage), base) : base;
    }
    case "error": {
      const error = objectOf(params, "error");
      // An error that is retried is progress; the verdict comes with the turn's end.
      if (error === null || params["willRetry"] === true) return thread;
      const known = thread.turns.some((turn) => turn.id === turnId);
      return known ? change((turn) => ({ ...turn, error: toError(error, bounds) })) : thread;
    }
    case "item/started":
      return item(
        stringOf(wireItem, "id"),
        (before) => startItem(before, wireItem, bounds.textBytes),
        { anew: true, type: stringOf(wireItem, "type"), use: useOf(wireItem) },
      );
    case "item/completed":
      if (wireItem["type"] === "commandExecution" && isGone(thread, turnId)) return thread;
      return item(
        stringOf(wireItem, "id"),
        (before) => completeItem(before, wireItem, bounds.textBytes),
        { anew: false, type: stringOf(wireItem, "type"), use: useOf(wireItem) },
      );
    case "item/reasoning/summaryPartAdded":
      return item(
        itemId,
        (before) => addSummaryPart(before, itemId!, numberOf(params, "summaryIndex")),
      );
    case "item/fileChange/patchUpdated":
      return item(
        itemId,
        (before) => patchItem(before, itemId!, params["changes"], bounds.textBytes),
      );
  }
  if (!isDelta(method, params)) return thread;
  const index = numberOf(params, "summaryIndex") ?? numberOf(params, "contentIndex");
  return growThread(thread, {
    method,
    turnId,
    itemId: itemId!,
    delta: params["delta"] as string,
    index,
  }, bounds);
}

/** Commands that were ended with their turn, since that was taken back, are told of after it. */
function isGone(thread: ThreadState, turnId: string): boolean {
  return !thread.turns.some(({ id }) => id === turnId);
}

/** The next text of one item. */
export function growThread(
  thread: ThreadState,
  delta: { method: string; turnId: string; itemId: string; delta: string; index: number | null },
  bounds: StateBounds,
): ThreadState {
  const isOutput = delta.method === "item/commandExecution/outputDelta";
  if (isOutput && isGone(thread, delta.turnId)) return thread;
  return changeTurn(
    thread,
    delta.turnId,
    bounds,
    (turn) =>
      changeItem(
        turn,
        delta.itemId,
        bounds,
        (before) =>
          growItem(before, delta.itemId, delta.method, delta.delta, delta.index, bounds.textBytes),
      ),
  );
}

/** What the result of a call makes of the thread that it tells of. */
export function reduceResult(
  thread: ThreadState,
  method: string,
  result: JsonObject,
  bounds: StateBounds,
): ThreadState {
  const wire = objectOf(result, "thread") ?? {};
  // Its answer tells all turns that are left, none included.
  const rolledBack = method === "thread/rollback" && Array.isArray(wire["turns"]);
  const after = mergeThread(thread, wire, RESULTS[method] ?? "adds", bounds, rolledBack);
  const unarchived = method === "thread/unarchive" ? { ...after, archived: false } : after;
  return mergeSettings(unarchived, result);
}

/** A turn and all after it were taken back. */
export function withoutTurns(thread: ThreadState, before: string): ThreadState {
  const at = thread.turns.findIndex(({ id }) => id === before);
  // One that is not known is older than all that are.
  return { ...thread, turns: thread.turns.slice(0, Math.max(at, 0)) };
}

/** The server is gone, or has released the thread: nothing in it runs any more. */
export function interruptThread(thread: ThreadState): ThreadState {
  const open = thread.turns.some((turn) => turn.items.some((item) => item.state === "open"));
  if (!open && thread.activeTurnId === null) return thread;
  return { ...thread, activeTurnId: null, turns: thread.turns.map(closeItems) };
}

function mergeThread(
  thread: ThreadState,
  wire: JsonObject,
  mode: "adds" | "replaces",
  bounds: StateBounds,
  rolledBack = false,
): ThreadState {
  const text = (key: string) => shortText(stringOf(wire, key), bounds);
  const ephemeral = wire["ephemeral"];
  const history = objectsOf(wire, "turns").filter((turn) => stringOf(turn, "id") !== null);
  let turns = thread.turns;
  // A server that pages its history sends no turns here, which says nothing about them.
  if (mode === "replaces" && (history.length > 0 || rolledBack)) {
    const left = new Set(history.map((turn) => turn["id"]));
    turns = turns.filter((turn) => left.has(turn.id));
  }
  let active = thread.activeTurnId;
  // What a turn comes before may be known already, as that of a thread which is read after it went on.
  let next = turns.length;
  for (const wireTurn of history.slice(-bounds.turns).reverse()) {
    const id = stringOf(wireTurn, "id")!;
    const at = turns.findLastIndex((turn) => turn.id === id);
    const before = at < 0 ? newTurn(id) : turns[at]!;
    const merged = mergeTurn(before, wireTurn, bounds, "history");
    if (at >= 0) next = at;
    turns = turns.toSpliced(next, at < 0 ? 0 : 1, merged);
    if (merged.status === "inProgress" && id === history.at(-1)!["id"]) active = id;
  }
  if (!turns.some((turn) => turn.id === active && turn.status === "inProgress")) active = null;
  return keepTurns({
    ...thread,
    cwd: text("cwd") ?? thread.cwd,
    model: text("model") ?? thread.model,
    modelProvider: text("modelProvider") ?? thread.modelProvider,
    reasoningEffort: text("reasoningEffort") ?? thread.reasoningEffort,
    name: text("name") ?? thread.name,
    preview: text("preview") ?? thread.preview,
    path: text("path") ?? thread.path,
    ephemeral: typeof ephemeral === "boolean" ? ephemeral : thread.ephemeral,
    forkedFromId: text("forkedFromId") ?? thread.forkedFromId,
    status: objectOf(wire, "status") as unknown as ThreadStatus | null ?? thread.status,
    activeTurnId: active,
    turns,
  }, bounds);
}

/** Settings come with the results of start, resume and fork, and when they change. */
function mergeSettings(thread: ThreadState, settings: JsonObject): ThreadState {
  return {
    ...thread,
    cwd: stringOf(settings, "cwd") ?? thread.cwd,
    model: stringOf(settings, "model") ?? thread.model,
    modelProvider: stringOf(settings, "modelProvider") ?? thread.modelProvider,
    reasoningEffort: stringOf(settings, "reasoningEffort") ?? stringOf(settings, "effort") ??
      thread.reasoningEffort,
    approvalPolicy: settings["approvalPolicy"] ?? thread.approvalPolicy,
    sandbox: settings["sandbox"] ?? settings["sandboxPolicy"] ?? thread.sandbox,
  };
}

/** Any stream of texts of an item, known or not. */
function isDelta(method: string, params: JsonObject): boolean {
  return method.startsWith("item/") && typeof params["delta"] === "string" &&
    typeof params["itemId"] === "string";
}

function shortText(text: string | null, bounds: StateBounds): string | null {
  return text === null ? null : fitText(text, bounds.textBytes).value;
}

/** The parameters of a notification. */
export function paramsOf(message: JsonObject): JsonObject {
  const params = message["params"];
  return isJsonObject(params) ? params : {};
}
