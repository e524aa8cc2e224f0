/**
 * Where a message belongs (thread, turn, item), and who listens there.
 * @module
 */
import type { ConnectionClosedError } from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { DeltaHead, DeltaRun, OversizeMessage, RpcNotification } from "../rpc/mod.ts";
import type { RecordHead } from "./log/event_log.ts";

/** Listens to one thread. Methods run on the read loop: they must be quick, and must not throw. */
export interface ThreadRoute {
  /** The next texts of an item. */
  deltas(run: DeltaRun): void;
  /** Any other notification of the thread. */
  notification(message: RpcNotification): void;
  /** A notification of the thread was too large to be read. */
  oversize(message: OversizeMessage): void;
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
/** Early words that are kept; those of threads that nobody listens to go. */
const MAX_EARLY = 128;

/** One look-up a message, however many threads are open. */
export class ThreadRoutes {
  readonly #routes: Map<string, ThreadRoute> = new Map();
  #early: { threadId: string; message: RpcNotification }[] = [];

  /** Routes a thread's notifications; returns the end of it. */
  add(threadId: string, route: ThreadRoute): () => void {
    this.#routes.set(threadId, route);
    const early = this.#early.filter((each) => each.threadId === threadId);
    if (early.length > 0) this.#early = this.#early.filter((each) => !early.includes(each));
    for (const { message } of early) route.notification(message);
    return () => {
      if (this.#routes.get(threadId) === route) this.#routes.delete(threadId);
    };
  }

  /** Hands a notification to the thread's listener, or keeps what one that is about to come must know. */
  notify(threadId: string, message: RpcNotification): void {
    const route = this.#routes.get(threadId);
    if (route !== undefined) return route.notification(message);
    if (!EARLY.has(message.method)) return;
    if (this.#early.push({ threadId, message }) > MAX_EARLY) this.#early.shift();
  }

  /** The listener of a thread. */
  get(threadId: string): ThreadRoute | undefined {
    return this.#routes.get(threadId);
  }

  /** Every listener. */
  all(): ThreadRoute[] {
    return [...this.#routes.values()];
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
