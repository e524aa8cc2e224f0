/**
 * Where a message belongs (thread, turn, item), and who listens there.
 * @module
 */
import type { ConnectionClosedError } from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type {
  DeltaHead,
  Deltas,
  DeltaTaker,
  OversizeMessage,
  RpcNotification,
} from "../rpc/mod.ts";
import type { RecordHead } from "./log/event_log.ts";

/** Listens to one thread. Methods run on the read loop: they must be quick, and must not throw. */
export interface ThreadRoute {
  /** Who takes the texts of an item, until {@linkcode ThreadRoutes.changed} says that it may be another one. */
  taker(head: DeltaHead): DeltaTaker | null;
  /** Any other notification of the thread. */
  notification(message: RpcNotification): void;
  /** A notification of the thread was too large to be read. */
  oversize(message: OversizeMessage): void;
  /** A raw request about the thread was sent, which is no session's. */
  asked?(method: string, params: JsonObject, answer: Promise<JsonValue>): void;
  /** The server is gone; `restarting` tells whether another one is about to be started. */
  connectionLost(error: ConnectionClosedError, restarting: boolean): void;
  /** Another server is there: resume the thread on it. Rejects when that fails. */
  connectionRestored(): Promise<void>;
}

/** What codex may say of a thread before it answers the call that opens it (0.160): whether its MCP servers started. */
const EARLY: ReadonlySet<string> = new Set([
  "mcpServer/startupStatus/updated",
  "codex/event/mcp_startup_update",
]);
/** What an agent's thread says before the item that names it (0.125), or while nobody listens to the thread of that item. */
const EARLY_WORK: ReadonlySet<string> = new Set([
  "turn/started",
  "turn/completed",
  "item/started",
  "item/completed",
  "thread/tokenUsage/updated",
  "error",
]);
/** How many of them are kept, of each kind, and how many bytes of work; the oldest go first. */
const MAX_EARLY = 128;
const MAX_EARLY_WORK = 512;
const MAX_EARLY_BYTES = 4 * 1024 * 1024;

/** One look-up a message, however many threads are open. */
export class ThreadRoutes {
  readonly #routes: Map<string, ThreadRoute> = new Map();
  readonly #starts = new EarlyMessages(MAX_EARLY, MAX_EARLY_BYTES);
  readonly #work = new EarlyMessages(MAX_EARLY_WORK, MAX_EARLY_BYTES);
  /** Items whose taker is known. */
  readonly #taken: Set<DeltaHead> = new Set();

  /** A moment, for `add()`. */
  get now(): number {
    return this.#work.count;
  }

  /**
   * Routes a thread's notifications; returns the end of it. The thread's work since the moment `since` is told as well; without
   * it, only how its start went.
   */
  add(threadId: string, route: ThreadRoute, since: number = Infinity): () => void {
    this.#routes.set(threadId, route);
    this.changed();
    const early = [...this.#starts.take(threadId, 0), ...this.#work.take(threadId, since)];
    for (const message of early) route.notification(message);
    return () => {
      if (this.#routes.get(threadId) === route) this.#routes.delete(threadId);
      this.changed();
    };
  }

  /** Hands the texts of an item, which are some of these deltas, to whoever takes them. */
  deltas(deltas: Deltas, from: number, to: number): void {
    const head = deltas.head(from);
    if (head.taker?.takes(deltas, from, to) === true) return;
    const taker = this.#routes.get(head.threadId)?.taker(head) ?? null;
    head.taker = taker;
    if (taker === null) return;
    this.#taken.add(head);
    taker.takes(deltas, from, to);
  }

  /**
   * Who took an item's texts may take them no longer: every item's taker is looked for anew. The heads outlive the turns that
   * took them by thousands, and must hold none of them.
   */
  changed(): void {
    for (const head of this.#taken) head.taker = null;
    this.#taken.clear();
  }

  /** Hands a notification of so many bytes to the thread's listener, or keeps what one that is about to come must know. */
  notify(threadId: string, message: RpcNotification, size: number): void {
    const route = this.#routes.get(threadId);
    if (route !== undefined) return route.notification(message);
    if (EARLY.has(message.method)) this.#starts.keep(threadId, message, size);
    else if (EARLY_WORK.has(message.method)) this.#work.keep(threadId, message, size);
  }

  /**
   * 0.125 does not say for which thread it could not start an MCP server: everybody hears of it, or else whoever comes next,
   * since it may say so before it answers the call that opens the thread.
   */
  notifyAll(message: RpcNotification, size: number): void {
    if (!EARLY.has(message.method)) return;
    if (this.#routes.size === 0) this.#starts.keep("", message, size);
    for (const route of this.#routes.values()) route.notification(message);
  }

  /** Threads that have worked since the moment `since`, and to which nobody listens. */
  unheard(since: number): string[] {
    return this.#work.threads(since);
  }

  /** The server is gone, and nothing of what it said goes on. */
  forget(): void {
    this.#starts.clear();
    this.#work.clear();
  }

  /** The listener of a thread. */
  get(threadId: string): ThreadRoute | undefined {
    return this.#routes.get(threadId);
  }

  /** The threads that somebody listens to. */
  threadIds(): string[] {
    return [...this.#routes.keys()];
  }

  /** Every listener. */
  all(): ThreadRoute[] {
    return [...this.#routes.values()];
  }
}

/** The newest messages of threads to which nobody listens. */
class EarlyMessages {
  /** How many there were. */
  count = 0;
  readonly #max: number;
  readonly #maxBytes: number;
  #bytes = 0;
  #kept: { threadId: string; message: RpcNotification; size: number; at: number }[] = [];

  constructor(max: number, maxBytes: number) {
    this.#max = max;
    this.#maxBytes = maxBytes;
  }

  keep(threadId: string, message: RpcNotification, size: number): void {
    this.#kept.push({ threadId, message, size, at: this.count++ });
    this.#bytes += size;
    while (this.#kept.length > this.#max || this.#bytes > this.#maxBytes) {
      this.#bytes -= this.#kept.shift()!.size;
    }
  }

  clear(): void {
    this.#kept = [];
    this.#bytes = 0;
  }

  /** Whose messages there are since some moment. */
  threads(since: number): string[] {
    const kept = this.#kept.filter(({ at }) => at >= since);
    return [...new Set(kept.map(({ threadId }) => threadId))];
  }

  /** A thread's messages since some moment, and those of no thread; none of them are kept any longer. */
  take(threadId: string, since: number): RpcNotification[] {
    const isTaken = (kept: { threadId: string }) => ["", threadId].includes(kept.threadId);
    const taken = this.#kept.filter(isTaken);
    this.#kept = this.#kept.filter((kept) => !isTaken(kept));
    this.#bytes = this.#kept.reduce((sum, { size }) => sum + size, 0);
    return taken.filter(({ at }) => at >= since).map(({ message }) => message);
  }
}

// Where a message belongs: its thread, turn and item.

/** The ids that a message names, looked for when somebody asks, in the places where the versions of codex put them. */
export class MessageHead implements RecordHead {
  readonly method: string | undefined;
  readonly rpcId: number | string | undefined;
  readonly #body: JsonObject | null;

  /** Begins with the parameters or the result of a message. */
  constructor(
    method: string | undefined,
    rpcId: number | string | undefined,
    body: JsonValue | undefined,
  ) {
    this.method = method;
    this.rpcId = rpcId;
    this.#body = isJsonObject(body) ? body : null;
  }

  get threadId(): string | undefined {
    const body = this.#body;
    if (body === null) return undefined;
    return text(body, "threadId") ?? idOf(body, "thread") ?? text(body, "conversationId");
  }

  get turnId(): string | undefined {
    const body = this.#body;
    return body === null ? undefined : text(body, "turnId") ?? idOf(body, "turn");
  }

  get itemId(): string | undefined {
    const body = this.#body;
    if (body === null) return undefined;
    return text(body, "itemId") ?? idOf(body, "item") ?? text(body, "callId");
  }
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
