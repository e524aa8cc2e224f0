/**
 * What a session looks like, from its events: a bounded reducer.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, keepNewest } from "../../json.ts";
import {
  type SessionEvent,
  type TokenUsage,
  type TurnEvent,
  TurnItems,
  type TurnSnapshot,
} from "../../session/mod.ts";
import type { ThreadItem } from "../../thread_item.ts";
import type { WebAgent, WebSessionEvent, WebThreadEvent, WebTurn } from "../types.ts";

/** Turns kept at most. */
const MAX_TURNS = 500;

/** The type of the item that a delta is of. */
const GROWS = {
  assistantMessageDelta: "agentMessage",
  planDelta: "plan",
  reasoningDelta: "reasoning",
  commandOutputDelta: "commandExecution",
} as const;

interface Turn {
  turnId: string;
  status: string;
  items: TurnItems;
  diff: string | null;
  usage: TokenUsage | null;
  error: WebTurn["error"];
  /** Characters, once it has ended. */
  size: number;
  /** Characters that came since the items were last cut to size. */
  grown: number;
  /** Items that were left out or cut. */
  omitted: number;
}

/** The turns of a session, in step with its log. */
export class Transcript {
  readonly #maxBytes: number;
  #turns: Turn[] = [];
  #bytes = 0;
  #omitted = 0;

  /** Begins with what the thread's history holds. */
  constructor(history: readonly TurnSnapshot[], maxBytes: number) {
    this.#maxBytes = maxBytes;
    for (const { turnId, status, items } of history) {
      const turn = this.#begin(turnId);
      // What ran when its server ended does not run any more.
      turn.status = status === "inProgress" ? "interrupted" : status;
      for (const item of items) {
        turn.grown += JSON.stringify(item).length;
        add(turn.items, this.#short(turn, itemForTenants(item) as unknown as JsonObject));
      }
      if (turn.grown > maxBytes) this.#cut(turn);
      this.#settle(turn);
    }
  }

  /** Older turns that were left out. */
  get omitted(): number {
    return this.#omitted;
  }

  /** The turns as they stand. */
  turns(): WebTurn[] {
    return this.#turns.map(view);
  }

  /** Takes the next event. */
  apply(event: TurnEvent): void {
    // Notifications before the turn has an id are for the log alone.
    if (event.turnId === "") return;
    const turn = this.#turns.find(({ turnId }) => turnId === event.turnId) ??
      this.#begin(event.turnId);
    this.#grow(turn, event);
    switch (event.type) {
      case "itemStarted":
        turn.items.begin(event.item as unknown as JsonObject);
        break;
      case "itemCompleted":
        turn.items.complete(this.#short(turn, event.item as unknown as JsonObject));
        break;
      case "assistantMessageDelta":
      case "planDelta":
      case "reasoningDelta":
      case "commandOutputDelta":
        turn.items.grow(event.itemId, GROWS[event.type], event.delta);
        break;
      case "diffUpdated":
        turn.diff = event.diff.slice(0, this.#maxBytes);
        break;
      case "tokenUsage":
        turn.usage = event.usage;
        break;
      case "turnCompleted":
        turn.status = event.status;
        turn.error = event.error;
        this.#settle(turn);
        break;
    }
  }

  /** A command has ended after its turn. */
  finished(turnId: string, item: JsonObject): void {
    const turn = this.#turns.find((each) => each.turnId === turnId);
    if (turn === undefined) return;
    turn.items.complete(this.#short(turn, item));
    if (turn.status !== "inProgress") this.#settle(turn);
  }

  /**
   * Takes the events that an earlier owner told. Turns that have ended since are as codex remembers them; the names of the
   * others are given back, since they do not run any more.
   */
  replay(events: readonly WebSessionEvent[], threadId: string): string[] {
    const ended = new Set(
      events.flatMap((event) => event.type === "turnCompleted" ? [event.turnId] : []),
    );
    const open = new Set<string>();
    for (const event of events) {
      if (!isTurnEvent(event)) continue;
      if (event.threadId !== threadId || event.turnId === "" || ended.has(event.turnId)) continue;
      if (!open.has(event.turnId)) {
        // Codex keeps no unfinished text, and may name the items otherwise.
        this.#drop(event.turnId);
        open.add(event.turnId);
      }
      this.apply(event);
    }
    return [...open];
  }

  #drop(turnId: string): void {
    const at = this.#turns.findIndex((turn) => turn.turnId === turnId);
    if (at >= 0) this.#bytes -= this.#turns.splice(at, 1)[0]!.size;
  }

  /** One turn has no more room than all of them. */
  #grow(turn: Turn, event: TurnEvent): void {
    turn.grown += "delta" in event
      ? event.delta.length
      : event.type === "itemCompleted" || event.type === "itemStarted"
      ? JSON.stringify(event.item).length
      : 0;
    if (turn.grown > this.#maxBytes) this.#cut(turn);
  }

  /** Keeps the newest items that fit into half of the room. */
  #cut(turn: Turn): void {
    const before = turn.items;
    const items = before.all();
    turn.items = new TurnItems();
    turn.grown = 0;
    let from = items.length;
    while (from > 0) {
      const size = JSON.stringify(items[from - 1]).length;
      if (turn.grown + size > this.#maxBytes / 2) break;
      turn.grown += size;
      from--;
    }
    turn.omitted += from;
    for (const item of items.slice(from)) {
      const { type } = item;
      const isLast = items.findLast((each) => each.type === type) === item;
      const goesOn = "status" in item ? item.status === "inProgress" : isLast && before.open(type);
      add(turn.items, item as unknown as JsonObject, goesOn);
    }
  }

  /** An item that is larger than half of the room has its texts cut. */
  #short(turn: Turn, item: JsonObject): JsonObject {
    const room = Math.floor(this.#maxBytes / 2);
    if (JSON.stringify(item).length <= room) return item;
    turn.omitted++;
    const cut = shorten(item, Math.floor(room / 8)) as JsonObject;
    return JSON.stringify(cut).length <= room ? cut : { id: item["id"]!, type: item["type"]! };
  }

  #begin(turnId: string): Turn {
    const turn: Turn = {
      turnId,
      status: "inProgress",
      items: new TurnItems(),
      diff: null,
      usage: null,
      error: null,
      size: 0,
      grown: 0,
      omitted: 0,
    };
    this.#turns.push(turn);
    return turn;
  }

  #settle(turn: Turn): void {
    this.#bytes -= turn.size;
    turn.size = JSON.stringify(view(turn)).length;
    this.#bytes += turn.size;
    while (
      this.#turns.length > 1 &&
      (this.#bytes > this.#maxBytes || this.#turns.length > MAX_TURNS)
    ) {
      this.#bytes -= this.#turns.shift()!.size;
      this.#omitted++;
    }
  }
}

/** Adds an item behind the others, whichever of them has its id: ids are made by models, and recur. */
function add(items: TurnItems, item: JsonObject, goesOn = false): void {
  items.begin(item);
  if (!goesOn) items.complete(item);
}

const OTHERS: ReadonlySet<string> = new Set([
  "lagged",
  "sessionClosed",
  "nameChanged",
  "goalUpdated",
  "compacted",
  "commandFinished",
  "subAgent",
]);

/** Whether it tells of a turn as it goes on. */
function isTurnEvent(event: WebSessionEvent): event is KnownTurnEvent {
  return !OTHERS.has(event.type);
}

function view(turn: Turn): WebTurn {
  const { turnId, status, diff, usage, error, omitted } = turn;
  const cut = omitted === 0 ? {} : { omittedItems: omitted };
  return { turnId, status, items: turn.items.all(), diff, usage, error, ...cut };
}

/** The same with every text cut to so many characters. */
function shorten(value: JsonValue, max: number): JsonValue {
  if (typeof value === "string") return value.length <= max ? value : `${value.slice(0, max)}…`;
  if (Array.isArray(value)) return value.map((each) => shorten(each, max));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, shorten(each as JsonValue, max)]),
  );
}

// What a tenant hears of an event: nothing about the inside, such as the provider's address, its keys or codex's stderr.

type KnownTurnEvent = Exclude<TurnEvent, { type: "unknown" }>;

/** What is said about a failure of each kind; the provider's own words are for the operator. */
const FAILURES: Readonly<Record<string, string>> = {
  rateLimit: "The model's provider limits the requests. Try again later.",
  quotaExceeded: "The quota of this server is used up.",
  auth: "This server could not sign in to the model's provider.",
  contextWindow: "The conversation has become too long for the model.",
  overloaded: "The model's provider is overloaded. Try again later.",
  network: "The model's provider could not be reached. Try again later.",
  badRequest: "The model's provider refused the request.",
  sandbox: "The sandbox refused something.",
  budgetExceeded: "The turn needed more than this server allows.",
};

/** The event as a tenant hears it. */
export function forTenants(event: KnownTurnEvent): KnownTurnEvent {
  switch (event.type) {
    case "warning":
      return { ...event, message: "Codex gave a warning." };
    case "retrying":
      return { ...event, message: "The model could not be reached; trying again." };
    case "turnCompleted":
      return event.error === null ? event : {
        ...event,
        error: { kind: event.error.kind, message: failureMessage(event.status, event.error.kind) },
      };
    case "itemStarted":
    case "itemCompleted":
      return { ...event, item: itemForTenants(event.item) };
    case "approvalResolved":
      // What this script lacks names places of its machine.
      return event.audit.decidedBy !== "library" ? event : {
        ...event,
        audit: { ...event.audit, reason: "This server does not allow it." },
      };
    default:
      return event;
  }
}

/** Of the agents that a call is about, only what they said: why one failed is told in the provider's words. */
function itemForTenants(item: ThreadItem): ThreadItem {
  const { type, agentsStates: states } = item as unknown as JsonObject;
  if (type !== "collabAgentToolCall" || !isJsonObject(states)) return item;
  const told = Object.entries(states).map(([threadId, state]) => {
    const { status = null, message = null } = isJsonObject(state) ? state : {};
    return [threadId, { status, message: status === "completed" ? message : null }];
  });
  return { ...item, agentsStates: Object.fromEntries(told) } as ThreadItem;
}

function failureMessage(status: string, kind: string): string {
  if (status === "connectionClosed") return "The connection to codex was lost.";
  if (status === "timedOut") return "The turn took too long.";
  if (Object.hasOwn(FAILURES, kind)) return FAILURES[kind]!;
  return status === "interrupted" ? "The turn was stopped." : "The turn failed.";
}

/** What tenants are told of it; turns of the thread itself come with their streams. */
export function threadEvent(event: SessionEvent): WebThreadEvent | null {
  switch (event.type) {
    case "nameChanged":
    case "goalUpdated":
    case "compacted":
    case "commandFinished":
      return event;
    case "subAgent": {
      const { threadId, parentItemId } = event;
      if (event.event.type === "unknown") return null;
      return { type: "subAgent", threadId, parentItemId, event: forTenants(event.event) };
    }
    default:
      return null;
  }
}

/** Turns whose owner told of them, and could not write down that codex has completed them. */
export function completedUntold(
  events: readonly WebSessionEvent[],
  history: readonly TurnSnapshot[],
): string[] {
  const told = new Map<string, boolean>();
  for (const event of events) {
    if ("turnId" in event) {
      told.set(event.turnId, told.get(event.turnId) || event.type === "turnCompleted");
    }
  }
  return history.flatMap(({ turnId, status }) =>
    status === "completed" && told.get(turnId) === false ? [turnId] : []
  );
}

/** Whether codex has had a turn since these events: its owner could not write down what happened in it. */
export function misses(
  events: readonly WebSessionEvent[],
  history: readonly TurnSnapshot[],
): boolean {
  const told = history.filter(({ turnId }) =>
    events.some((event) => "turnId" in event && event.turnId === turnId)
  );
  // Codex before 0.169 may name them otherwise.
  return told.length > 0 && told.at(-1) !== history.at(-1);
}

/** The ends of the questions that nobody will tell of: they died with the server that asked. */
export function endsOfQuestions(
  events: readonly WebSessionEvent[],
  now: number,
): QuestionEnd[] {
  const told = new Set(
    events.flatMap((event) => event.type === "approvalResolved" ? [event.audit.id] : []),
  );
  return events.flatMap((event): QuestionEnd[] => {
    if (event.type !== "approvalRequested" || told.has(event.request.id)) return [];
    const { threadId, turnId, request: { id, method, type, itemId, ...request } } = event;
    const requestedAt = new Date(request.requestedAt);
    const audit = {
      ...{ id, method, type, itemId, threadId: request.threadId, turnId: request.turnId },
      ...{ decision: "none", decidedBy: "failClosed", rule: null, reason: "closed" } as const,
      ...{ requestedAt, durationMs: Math.max(0, now - requestedAt.getTime()) },
    };
    return [{ type: "approvalResolved", threadId, turnId, audit }];
  });
}

type QuestionEnd = Extract<WebSessionEvent, { type: "approvalResolved" }>;

/** Agents whose turns are kept. */
const MAX_AGENTS = 16;

/** The goal of a thread and the turns of its agents, from its events. */
export class ThreadState {
  /** The goal, or `null`. */
  goal: JsonObject | null = null;
  readonly #maxBytes: number;
  readonly #agents: Map<string, { parentItemId: string | null; transcript: Transcript }> =
    new Map();

  /** All agents together have as much room as the session's own turns. */
  constructor(maxBytes: number) {
    this.#maxBytes = Math.ceil(maxBytes / MAX_AGENTS);
  }

  /** The agents that were heard of last, oldest first. */
  agents(): WebAgent[] {
    return [...this.#agents].map(([threadId, { parentItemId, transcript }]) => ({
      threadId,
      parentItemId,
      turns: transcript.turns(),
    }));
  }

  /** Takes the next event. */
  apply(event: WebSessionEvent): void {
    if (event.type === "goalUpdated") this.goal = event.goal;
    if (event.type !== "subAgent") return;
    const { threadId, parentItemId } = event;
    const known = this.#agents.get(threadId) ??
      { parentItemId, transcript: new Transcript([], this.#maxBytes) };
    // The last one that was heard of is the last one to go.
    this.#agents.delete(threadId);
    this.#agents.set(threadId, known);
    keepNewest(this.#agents, MAX_AGENTS);
    known.transcript.apply(event.event);
  }

  /** The ends of the turns that nobody will tell of: their server is gone. */
  ends(error: { kind: string; message: string }): WebThreadEvent[] {
    return this.agents().flatMap(({ threadId, parentItemId, turns }) =>
      turns.filter(({ status }) => status === "inProgress").map(({ turnId }): WebThreadEvent => ({
        type: "subAgent",
        threadId,
        parentItemId,
        event: { type: "turnCompleted", threadId, turnId, status: "interrupted", error },
      }))
    );
  }
}
