/**
 * Threads that a session's agent starts by itself. They answer to the session: its hooks, its rules, its listeners.
 *
 * Measured on 0.104 and 0.169: the server announces such a thread only by the item of the call that made it, which comes
 * before the new agent's first request to its model.
 */
import type { ThreadGate } from "../../approvals/mod.ts";
import { isJsonObject, type JsonObject } from "../../json.ts";
import type { RpcNotification } from "../../rpc/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";

/** What the session does for a thread of its agent's. */
export interface SubAgentOwner {
  /** Makes the thread's part in approvals; `item` finds its items. */
  gateOf(item: (itemId: string) => JsonObject | undefined): ThreadGate;
  /** An item of the thread ended. */
  itemCompleted(item: JsonObject, threadId: string, turnId: string | null): void;
}

/** The threads of one session's agents, until the session ends. */
export class SubAgents {
  readonly #core: RuntimeCore;
  readonly #owner: SubAgentOwner;
  readonly #leave: Map<string, () => void> = new Map();

  constructor(core: RuntimeCore, owner: SubAgentOwner) {
    this.#core = core;
    this.#owner = owner;
  }

  /** Takes in the threads that an item names. */
  learn(item: JsonObject): void {
    for (const threadId of threadsOf(item)) {
      // A thread that somebody has opened as a session is that session's.
      if (this.#leave.has(threadId) || this.#core.routes.get(threadId) !== undefined) continue;
      this.#leave.set(threadId, this.#adopt(threadId));
    }
  }

  /** Lets all of them go. */
  close(): void {
    for (const leave of this.#leave.values()) leave();
    this.#leave.clear();
  }

  #adopt(threadId: string): () => void {
    const core = this.#core;
    // The items at work, for the diffs of file changes.
    const open: Map<string, JsonObject> = new Map();
    const unroute = core.routes.add(threadId, {
      deltas: () => {},
      notification: (message) => this.#notification(threadId, open, message),
      oversize: () => {},
      connectionLost: () => this.#drop(threadId),
      connectionRestored: () => Promise.resolve(),
    });
    const gate = this.#owner.gateOf((itemId) => open.get(itemId));
    const unregister = core.approvals.registerThread(threadId, gate);
    return () => {
      unroute();
      unregister();
    };
  }

  #drop(threadId: string): void {
    this.#leave.get(threadId)?.();
    this.#leave.delete(threadId);
  }

  #notification(threadId: string, open: Map<string, JsonObject>, message: RpcNotification): void {
    const { method, params } = message;
    const { item, turnId } = params;
    if (method === "turn/completed") open.clear();
    if (!isJsonObject(item) || typeof item["id"] !== "string") return;
    if (method === "item/started") open.set(item["id"], item);
    if (method !== "item/completed") return;
    open.delete(item["id"]);
    this.#owner.itemCompleted(item, threadId, typeof turnId === "string" ? turnId : null);
  }
}

/** The threads that an item started or took up. */
function threadsOf(item: JsonObject): string[] {
  const named = item["type"] === "collabAgentToolCall"
    ? item["receiverThreadIds"]
    : item["type"] === "subAgentActivity"
    ? [item["agentThreadId"] ?? null]
    : [];
  return Array.isArray(named)
    ? named.filter((id): id is string => typeof id === "string" && id !== "")
    : [];
}
