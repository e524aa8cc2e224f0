/**
 * From a session's thread to those who listen to all of it.
 * @module
 */
import { isJsonObject, type JsonObject } from "../../json.ts";
import { EventQueue } from "./event_queue.ts";
import type { SessionEvent } from "./session_event.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { EmitTurnEvent } from "../turn/turn_outcome.ts";
import { threadItem } from "../turn/turn_items.ts";

/** What is kept for a listener that has stopped reading. */
const KEPT = { events: 16_384, characters: 16_777_216 };

/** The listeners of one session. */
export class SessionEvents {
  readonly #queues: Map<EventQueue<SessionEvent>, { subAgents: boolean }> = new Map();
  #ended = false;

  /** Who takes events of turns; `null` when nobody listens. */
  get emit(): EmitTurnEvent {
    return this.#queues.size === 0 ? null : this.#emit;
  }

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
    return {
      next: () => queue.read(),
      return: () => {
        this.#queues.delete(queue);
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
    case "thread/name/updated": {
      const name = params["threadName"];
      return { type: "nameChanged", threadId, name: typeof name === "string" ? name : null };
    }
    case "thread/status/changed": {
      const { status } = params;
      const type = isJsonObject(status) ? status["type"] : undefined;
      return { type: "statusChanged", threadId, status: typeof type === "string" ? type : "" };
    }
    case "thread/goal/updated": {
      const { goal } = params;
      return { type: "goalUpdated", threadId, goal: isJsonObject(goal) ? goal : null };
    }
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
  const reason = typeof error === "string" ? error : "no reason was told";
  return `The MCP server ${String(name)} did not start, so its tools are missing: ${reason}`;
}
