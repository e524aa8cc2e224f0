/**
 * Threads that a session's agent starts by itself. They answer to the session: its hooks, its rules, its listeners. Their
 * turns are the session's: counted, told, and stopped with it.
 *
 * Measured on 0.104 and 0.169: the server announces such a thread only by the item of the call that made it, which comes
 * before the new agent's first request to its model.
 */
import type { ThreadGate } from "../../approvals/mod.ts";
import { isJsonObject, type JsonObject } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import type { SessionEvents } from "../events/session_events.ts";
import type { AgentSpan } from "../telemetry/agent_span.ts";
import { ThreadTurns } from "../turn/thread_turns.ts";
import type { Turn } from "../turn/turn.ts";
import type { TokenCount } from "../turn/turn_result.ts";

/** How long after an agent was named its first turn may begin. */
const BEGIN_MS = 1_000;

/** What the session does for a thread of its agent's. */
export interface SubAgentOwner {
  /** Makes the thread's part in approvals; `item` finds its items. */
  gateOf(item: (itemId: string) => JsonObject | undefined): ThreadGate;
  /** An item of the thread begins. */
  itemStarted(item: JsonObject, threadId: string): void;
  /** An item of the thread ended. */
  itemCompleted(item: JsonObject, threadId: string, turnId: string | null): void;
  /** The session's own active turn, or `null`. */
  activeTurn(): Turn | null;
  /** Begins the span of a turn of an agent; `turn`: the session's turn that it works for, or `null`. */
  span(threadId: string, turn: Turn | null): AgentSpan | null;
  /** An agent used tokens; `turn`: the session's turn that it works for, or `null`. */
  count(tokens: TokenCount, turn: Turn | null): void;
  /** Who listens to the session. */
  readonly events: SessionEvents;
}

/** One agent's thread. */
interface SubAgent {
  turns: ThreadTurns;
  /** The session's turn that it works for. */
  parent: Turn | null;
  /** Whether what it works for was stopped: it does nothing more until it is asked again. */
  stopped: boolean;
  leave: () => void;
}

/** The threads of one session's agents, until the session ends. */
export class SubAgents {
  readonly #core: RuntimeCore;
  readonly #owner: SubAgentOwner;
  readonly #agents: Map<string, SubAgent> = new Map();

  constructor(core: RuntimeCore, owner: SubAgentOwner) {
    this.#core = core;
    this.#owner = owner;
  }

  /** Whether the thread is one of them. */
  has(threadId: string): boolean {
    return this.#agents.has(threadId);
  }

  /** Takes in the threads that an item of this thread names. */
  learn(item: JsonObject, by: string): void {
    for (const threadId of threadsOf(item)) {
      // A thread that somebody has opened as a session is that session's.
      if (!this.#agents.has(threadId) && this.#core.routes.get(threadId) !== undefined) continue;
      const agent = this.#agents.get(threadId) ?? this.#adopt(threadId, item);
      this.#agents.set(threadId, agent);
      const parent = this.#owner.activeTurn();
      agent.parent = parent ?? agent.parent;
      agent.stopped = this.#agents.get(by)?.stopped ?? parent?.isStopping ?? agent.stopped;
    }
  }

  /** Stops all that they work on; `false` when the server did not confirm it. Never rejects. */
  async stop(): Promise<boolean> {
    const agents = [...this.#agents.values()];
    for (const agent of agents) agent.stopped = true;
    const stopped = agents.map(({ turns }) => turns.rest.stopAll());
    return !(await Promise.all(stopped)).includes(false);
  }

  /** Lets all of them go. */
  close(): void {
    for (const { leave } of this.#agents.values()) leave();
    this.#agents.clear();
  }

  #adopt(threadId: string, by: JsonObject): SubAgent {
    const core = this.#core;
    const owner = this.#owner;
    const parentItemId = typeof by["id"] === "string" ? by["id"] : null;
    const emit = (event: Parameters<SessionEvents["push"]>[0] & { turnId: string }) =>
      owner.events.push({ type: "subAgent", threadId, parentItemId, event } as never);
    const turns = new ThreadTurns({
      core,
      threadId,
      listeners: {
        get emit() {
          return owner.events.wantsSubAgents ? emit : null;
        },
      },
      count: (tokens) => owner.count(tokens, agent.parent),
      span: () => owner.span(threadId, agent.parent),
      adopted: (turn) => {
        const meter = agent.parent?.meter ?? null;
        if (meter !== null) turn.measure(meter);
        begin();
        // It was started while its parent was being stopped.
        if (agent.stopped) turn.stop();
        return Infinity;
      },
      isNew: supports(core.server.version, "repeatsTokenCounts"),
      stopSubAgents: () => Promise.resolve(),
      missed: () => {},
      resumeThread: () => Promise.resolve(),
    });
    const unroute = core.routes.add(threadId, {
      deltas: (run) => turns.deltas(run),
      notification: (message) => {
        turns.notification(message);
        const { method, params } = message;
        const { item, turnId } = params;
        if (!isJsonObject(item)) return;
        if (method === "item/started") owner.itemStarted(item, threadId);
        if (method !== "item/completed") return;
        owner.itemCompleted(item, threadId, typeof turnId === "string" ? turnId : null);
      },
      oversize: (message) => turns.oversize(message),
      connectionLost: (error) => {
        turns.connectionLost(error, false);
        this.#drop(threadId);
      },
      connectionRestored: () => Promise.resolve(),
    });
    const find = (itemId: string) =>
      turns.active?.outcome.items.get(itemId) as unknown as JsonObject | undefined;
    const unregister = core.approvals.registerThread(threadId, owner.gateOf(find));
    // Whoever stops it before its first turn has begun stops that turn.
    const begun = Promise.withResolvers<void>();
    const timer = setTimeout(begun.resolve, BEGIN_MS);
    const begin = () => {
      clearTimeout(timer);
      begun.resolve();
    };
    turns.rest.expect(begun.promise);
    const agent: SubAgent = {
      turns,
      parent: null,
      stopped: false,
      leave: () => {
        begin();
        unroute();
        unregister();
        turns.close();
      },
    };
    return agent;
  }

  #drop(threadId: string): void {
    this.#agents.get(threadId)?.leave();
    this.#agents.delete(threadId);
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
