/**
 * From a session's thread to those who listen to all of it.
 * @module
 */
import { isJsonObject, type JsonObject, objectOf, stringOf } from "../../json.ts";
import { mcpFailure } from "../../protocol/mod.ts";
import { redactText } from "../../redact.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import { threadItem } from "../turn/turn_items.ts";
import type { EmitTurnEvent } from "../turn/turn_outcome.ts";
import type { SessionEvent } from "./session_event.ts";

/** What is kept for a listener that has stopped reading. */
const KEPT = { events: 16_384, characters: 16_777_216 };

/** The listeners of one session. */
export class SessionEvents {
  readonly #queues: Map<EventQueue<SessionEvent>, { subAgents: boolean }> = new Map();
  #ended = false;

  /** Who takes events of turns; `null` when nobody listens. */
  emit: EmitTurnEvent = null;

  /** Whether somebody wants to know what the agent's agents do. */
  get wantsSubAgents(): boolean {
    for (const { subAgents } of this.#queues.values()) if (subAgents) return true;
    return false;
  }

  /** Adds a listener, which hears what happens from now on. */
  listen(
    threadId: string,
    options: { subAgents?: boolean } = {},
  ): AsyncIterableIterator<SessionEvent> {
    const queue = new EventQueue<SessionEvent>({
      ...KEPT,
      lagged: (missed) => ({ type: "lagged", threadId, missed }),
    });
    if (this.#ended) queue.end();
    else this.#queues.set(queue, { subAgents: options.subAgents ?? false });
    this.#changed();
    return {
      next: () => queue.read(),
      return: () => {
        this.#queues.delete(queue);
        this.#changed();
        queue.discard();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Tells everyone. */
  push(event: SessionEvent): void {
    for (const [queue, { subAgents }] of this.#queues) {
      if (event.type !== "subAgent" || subAgents) queue.push(event);
    }
  }

  /** Tells what a message says of the thread itself. */
  notification(threadId: string, method: string, params: JsonObject): void {
    if (this.#queues.size === 0) return;
    const event = threadEvent(threadId, method, params);
    if (event !== null) this.push(event);
  }

  /** Nothing more will happen. */
  end(): void {
    this.#ended = true;
    for (const queue of this.#queues.keys()) queue.end();
    this.#queues.clear();
    this.#changed();
  }

  /** Looked at for every text: that nobody listens must be seen at a glance. */
  #changed(): void {
    this.emit = this.#queues.size === 0 ? null : this.#emit;
  }

  readonly #emit = (event: TurnEvent): void => this.push(event);
}

/** What a message says of the thread itself, or `null`. */
function threadEvent(
  threadId: string,
  method: string,
  params: JsonObject,
): SessionEvent | null {
  switch (method) {
    case "thread/name/updated":
      return { type: "nameChanged", threadId, name: stringOf(params, "threadName") };
    case "thread/status/changed":
      return { type: "statusChanged", threadId, status: stringOf(params, "status", "type") ?? "" };
    case "thread/goal/updated":
      return { type: "goalUpdated", threadId, goal: objectOf(params, "goal") };
    case "thread/goal/cleared":
      return { type: "goalUpdated", threadId, goal: null };
    case "item/completed": {
      const { item, turnId } = params;
      // Every version completes such an item; old ones send `thread/compacted` as well.
      if (!isJsonObject(item) || item["type"] !== "contextCompaction") return null;
      return { type: "compacted", threadId, turnId: String(turnId ?? "") };
    }
    default:
      return null;
  }
}

/** A command that has ended after its turn, or `null` when the message tells of none. */
export function lateCommand(
  threadId: string,
  method: string,
  params: JsonObject,
): SessionEvent | null {
  const { item, turnId } = params;
  if (method !== "item/completed" || !isJsonObject(item)) return null;
  if (item["type"] !== "commandExecution" || typeof turnId !== "string") return null;
  return { type: "commandFinished", threadId, turnId, item: threadItem(item) };
}

/** What a person should know of an MCP server that did not start, or `null`. Told by 0.104 in a form of its own. */
export function failedMcpServer(method: string, params: JsonObject): string | null {
  let { name, status, error } = params;
  if (method === "codex/event/mcp_startup_update") {
    const { msg } = params;
    if (!isJsonObject(msg) || !isJsonObject(msg["status"])) return null;
    name = msg["server"];
    status = msg["status"]["state"];
    error = msg["status"]["error"];
  } else if (method !== "mcpServer/startupStatus/updated") return null;
  if (status !== "failed") return null;
  // What a server says of itself may repeat what it was given.
  const reason = typeof error === "string" ? mcpFailure(redactText(error)) : "no reason was told";
  return `The MCP server ${String(name)} did not start, so its tools are missing: ${reason}`;
}

// From a turn to its reader, without loss and without growing beyond the text itself.

/** Events behind which a reader gets adjacent deltas merged; one chunk of the pipe holds fewer. */
const BEHIND = 1024;
/** Pieces of a merged delta before they are joined. */
const JOIN_AT = 256;

/** Whatever can be queued. */
interface Queued {
  readonly type: string;
}
type DeltaEvent = Extract<TurnEvent, { delta: string }>;
type Result<Event> = IteratorResult<Event, undefined>;

/** What a queue keeps for a reader that has stopped reading. */
export interface QueueBounds<Event> {
  /** Events kept. */
  events: number;
  /** Characters of deltas and items kept. */
  characters: number;
  /** Stands for the oldest ones that are gone. */
  lagged: (missed: number) => Event;
}

/**
 * A queue with one reader. A reader that falls behind gets adjacent deltas of an item as one. With bounds, the oldest events
 * of a reader that stops reading go, and it is told how many; nothing else changes.
 */
export class EventQueue<Event extends Queued = TurnEvent> {
  readonly #bounds: QueueBounds<Event> | null;
  /** Oldest events that are gone. */
  #missed = 0;
  /** Characters of all queued deltas, and of items where they are bounded. */
  #characters = 0;
  #events: Event[] = [];
  /** What each of them was counted for: who has it as well may change it. */
  #sizes: number[] = [];
  #head = 0;
  /** More text for the last queued event, which is a delta that nobody has seen yet. */
  #text = "";
  #pieces: string[] = [];
  #ended = false;
  /** Who waits for the next event, and those who asked after that one. */
  #reader: ((result: Result<Event>) => void) | null = null;
  #readers: ((result: Result<Event>) => void)[] = [];

  /** Keeps everything, or what the bounds allow. */
  constructor(bounds: QueueBounds<Event> | null = null) {
    this.#bounds = bounds;
  }

  /** Adds an event. */
  push(event: Event): void {
    if (this.#ended) return;
    const reader = this.#reader;
    if (reader !== null) {
      this.#reader = this.#readers.length === 0 ? null : this.#readers.shift()!;
      return reader({ done: false, value: event });
    }
    const size = this.#bounds === null ? 0 : sizeOf(event);
    this.#characters += size;
    if (this.#length > BEHIND && isDelta(event) && this.#merge(event)) {
      this.#sizes[this.#sizes.length - 1]! += size;
      return this.#bound();
    }
    if (this.#pieces.length > 0 || this.#text !== "") this.#settleTail();
    this.#events.push(event);
    this.#sizes.push(size);
    this.#bound();
  }

  /** No more events will come. */
  end(): void {
    this.#ended = true;
    const reader = this.#reader;
    this.#reader = null;
    for (const each of [reader, ...this.#readers.splice(0)]) {
      each?.({ done: true, value: undefined });
    }
  }

  /** Forgets what is queued, and ends. */
  discard(): void {
    this.#events = [];
    this.#head = 0;
    this.#text = "";
    this.#pieces = [];
    this.#missed = 0;
    this.end();
  }

  /** The next event; `null` after the last. */
  async next(): Promise<Event | null> {
    return (await this.read()).value ?? null;
  }

  /** The next event, for iterators. */
  read(): Promise<Result<Event>> {
    if (this.#missed > 0) {
      const value = this.#bounds!.lagged(this.#missed);
      this.#missed = 0;
      return Promise.resolve({ done: false, value });
    }
    if (this.#head < this.#events.length) {
      return Promise.resolve({ done: false, value: this.#take() });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      if (this.#reader === null) this.#reader = resolve;
      else this.#readers.push(resolve);
    });
  }

  get #length(): number {
    return this.#events.length - this.#head;
  }

  /** Drops the oldest events until the rest is within bounds. */
  #bound(): void {
    if (this.#bounds === null) return;
    const { events, characters } = this.#bounds;
    while (this.#length > events || this.#characters > characters && this.#length > 0) {
      this.#take();
      this.#missed++;
    }
  }

  #take(): Event {
    if (this.#head === this.#events.length - 1) this.#settleTail();
    this.#characters -= this.#sizes[this.#head]!;
    const event = this.#events[this.#head++]!;
    if (this.#head === this.#events.length) {
      this.#events = [];
      this.#sizes = [];
      this.#head = 0;
    } else if (this.#head > BEHIND && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
    return event;
  }

  #merge(event: DeltaEvent): boolean {
    const last: Queued = this.#events[this.#events.length - 1]!;
    if (!isDelta(last) || last.type !== event.type || last.itemId !== event.itemId) return false;
    if (
      last.type === "reasoningDelta" && event.type === "reasoningDelta" && last.part !== event.part
    ) return false;
    if (this.#pieces.push(event.delta) >= JOIN_AT) this.#join();
    return true;
  }

  /** Joining makes flat text; adding up would keep a node for every piece. */
  #join(): void {
    this.#text += this.#pieces.join("");
    this.#pieces = [];
  }

  #settleTail(): void {
    if (this.#pieces.length > 0) this.#join();
    if (this.#text === "") return;
    const index = this.#events.length - 1;
    const last = this.#events[index] as Event & DeltaEvent;
    this.#events[index] = { ...last, delta: last.delta + this.#text };
    this.#text = "";
  }
}

function sizeOf(event: Queued): number {
  if (isDelta(event)) return event.delta.length;
  const { item, event: inner } = event as { item?: object; event?: Queued };
  if (inner !== undefined) return sizeOf(inner);
  try {
    return item === undefined ? 0 : JSON.stringify(item).length;
  } catch {
    // Whoever was told before may have put into it what is no JSON.
    return 0;
  }
}

function isDelta(event: Queued): event is DeltaEvent {
  return "delta" in event;
}
