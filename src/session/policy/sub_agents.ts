/**
 * Threads that a session's agent starts by itself. They answer to the session: its hooks, its rules, its listeners. Their
 * turns are the session's: counted, told, and stopped with it.
 *
 * Measured from 0.104 to 0.169: the server announces such a thread only by the item of the call that made it, which comes
 * before the new agent's first request to its model. The thread's first messages may come before that (0.125), and the item
 * is not told at all while the session's own thread is being resumed: they are kept until the thread is known. The item
 * names the thread at its end, which is not told of a call that was interrupted: then the agent's own record is looked at.
 */
import type { ThreadGate } from "../../approvals/mod.ts";
import { delay, within } from "../../async.ts";
import type { ConnectionClosedError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, stringOf } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import { isAttached, type RuntimeCore, type ThreadRoute } from "../../runtime/mod.ts";
import type { SessionEvents } from "../events/session_events.ts";
import type { AgentSpan } from "../telemetry/agent_span.ts";
import { endCommands, STATUS_MS } from "../turn/stop_turn.ts";
import { isConnectionLoss } from "../turn/thread_stop.ts";
import { ThreadTurns } from "../turn/thread_turns.ts";
import type { Turn } from "../turn/turn.ts";
import type { TokenCount } from "../turn/turn_result.ts";

/** How long after an agent was named its first turn may begin. */
const BEGIN_MS = 1_000;
/** How often it is looked for meanwhile. */
const BEGIN_ROUND_MS = 50;

/** By server and thread, what agents keep of the turns that have started them, as JSON. */
const STARTED: WeakMap<object, Map<string, Set<string>>> = new WeakMap();

/**
 * What agents of a thread keep of the turns that have started them, on the server that runs now. The thread's next session may
 * find them as they were; another server gives them what the session has (0.145, 0.169).
 */
export function agentsStarted(core: RuntimeCore, threadId: string): ReadonlySet<string> {
  return STARTED.get(serverOf(core))?.get(threadId) ?? new Set();
}

/** What stands for the server: one that is attached to goes on when the connection to it is made anew. */
function serverOf(core: RuntimeCore): object {
  return isAttached(core.config) ? core : core.server;
}

function agentStarted(core: RuntimeCore, threadId: string, reach: string): void {
  const all = STARTED.get(serverOf(core)) ?? new Map<string, Set<string>>();
  STARTED.set(serverOf(core), all);
  all.set(threadId, new Set(all.get(threadId)).add(reach));
}

/** What the session does for a thread of its agent's. */
export interface SubAgentOwner {
  /** Makes the part in approvals of a thread that the agent of another one (`by`) has started; `item` finds its items. */
  gateOf(
    item: (itemId: string) => JsonObject | undefined,
    threadId: string,
    by: string,
  ): ThreadGate;
  /** An agent was started: what it keeps of the turn that started it, as JSON. */
  made(): string;
  /** An item of the thread begins. */
  itemStarted(item: JsonObject, threadId: string): void;
  /** An item of the thread ended. */
  itemCompleted(item: JsonObject, threadId: string, turnId: string | null): void;
  /** The session's own active turn, or `null`. */
  activeTurn(): Turn | null;
  /** Begins the span of a turn of an agent; `turn`: the session's turn that it works for, or `null`. */
  span(threadId: string, turn: Turn | null): AgentSpan | null;
  /** Milliseconds that an agent may work on when what it works for has ended. */
  readonly timeoutMs: number;
  /** Whether codex goes on with a goal, whose next turn may wait for what the one before began. */
  readonly goalActive: boolean;
  /** An agent used tokens; `turn`: the session's turn that it works for, or `null`. */
  count(tokens: TokenCount, turn: Turn | null): void;
  /** Who listens to the session. */
  readonly events: SessionEvents;
}

/** The thread of an agent that the session's agent has started. */
export interface AgentThread {
  /** The thread. */
  readonly threadId: string;
  /** Whether a turn is active on it, or about to start. */
  readonly busy: boolean;
}

/** One agent's thread. */
interface SubAgent {
  readonly turns: ThreadTurns;
  /** Takes what the thread says. */
  readonly route: ThreadRoute;
  /** The thread whose agent has started it. */
  readonly by: string;
  /** Whether its first turn may begin any moment. */
  starting: boolean;
  /** Whether it has run commands, which outlive the turns that they were begun in. */
  ran: boolean;
  /** The session's turn that it works for. */
  parent: Turn | null;
  /** Whether what it works for was stopped: it does nothing more until it is asked again. */
  stopped: boolean;
  leave: () => void;
  /** Why the connection to a server that goes on was lost. */
  lostBy: ConnectionClosedError | null;
}

/** The threads of one session's agents, until the session ends. */
export class SubAgents {
  readonly #core: RuntimeCore;
  readonly #owner: SubAgentOwner;
  readonly #agents: Map<string, SubAgent> = new Map();
  /** What came before is not the session's. */
  readonly #since: number;

  constructor(core: RuntimeCore, owner: SubAgentOwner) {
    this.#core = core;
    this.#owner = owner;
    this.#since = core.routes.now;
  }

  /** Their threads, and whether a turn is active there. */
  threads(): AgentThread[] {
    return Array.from(this.#agents, ([threadId, { turns, starting }]) => ({
      threadId,
      busy: starting || turns.active !== null,
    }));
  }

  /** Whether it is a turn of theirs that has ended. */
  isOver(turnId: string | null): boolean {
    return [...this.#agents.values()].some(({ turns }) => turns.isOver(turnId));
  }

  /** Takes in the threads that an item of this thread names; `stopped`: they do nothing more. */
  learn(item: JsonObject, by: string, stopped = false): void {
    const parent = this.#owner.activeTurn();
    // A prompt that waits for its agents: the newer ones are not named there, nor are those that work for them.
    const { type, tool } = item;
    if (
      parent !== null && type === "collabAgentToolCall" && tool === "wait" && !this.#agents.has(by)
    ) {
      for (const agent of this.#agents.values()) agent.parent = parent;
    }
    for (const threadId of threadsOf(item)) {
      // A thread that somebody has opened as a session is that session's.
      if (!this.#agents.has(threadId) && this.#core.routes.get(threadId) !== undefined) continue;
      const known = this.#agents.get(threadId);
      const agent = known ?? this.#make(threadId, item, by);
      this.#agents.set(threadId, agent);
      agent.parent = parent ?? agent.parent;
      agent.stopped = stopped ||
        (this.#agents.get(by)?.stopped ?? parent?.isStopping ?? agent.stopped);
      if (known !== undefined) continue;
      agentStarted(this.#core, by, this.#owner.made());
      this.#join(threadId, agent);
    }
  }

  /** Stops all that they work on; `false` when the server did not confirm it. Never rejects. */
  stop(): Promise<boolean> {
    return this.#stop([...this.#agents.values()]);
  }

  async #stop(agents: readonly SubAgent[]): Promise<boolean> {
    for (const agent of agents) agent.stopped = true;
    const stopped = agents.map(async (agent) => {
      const { rest, threadId } = agent.turns;
      const done = await rest.stopAll();
      if (agent.ran && done) {
        agent.ran = false;
        await endCommands(this.#core, threadId, STATUS_MS);
      }
      return done;
    });
    return !(await Promise.all(stopped)).includes(false);
  }

  /**
   * Stops the agent that a call was starting when its turn was interrupted: the item, which names it at its end, has none. The
   * agent may begin a moment later, or never. Stops with it what it has started, and no others: their stop may wait for this.
   */
  async stopStarting(item: JsonObject, by: string): Promise<boolean> {
    const core = this.#core;
    const { unnamedAgents } = await import("../turn/resume_turns.ts");
    const deadline = performance.now() + BEGIN_MS;
    while (core.state === "running") {
      const found = await unnamedAgents(core, this.#since, by);
      if (found.length > 0) {
        this.learn({ ...item, receiverThreadIds: found }, by, true);
        return await this.#stop(this.#familyOf(found));
      }
      if (performance.now() > deadline) break;
      await delay(BEGIN_ROUND_MS);
    }
    return true;
  }

  /** These agents, and those that they have started. */
  #familyOf(threadIds: readonly string[]): SubAgent[] {
    const family = new Set(threadIds);
    // Who starts another one was known before it.
    for (const [threadId, { by }] of this.#agents) if (family.has(by)) family.add(threadId);
    return [...family].flatMap((threadId) => this.#agents.get(threadId) ?? []);
  }

  /** Nobody here listens to their threads any more: codex drops them, and what was accepted for them (0.169). Never rejects. */
  async leave(): Promise<void> {
    const all = [...this.#agents.values()];
    await Promise.all(all.map(({ turns }) => turns.rest.leave(false).catch(() => {})));
  }

  /** Lets all of them go. */
  close(): void {
    for (const { leave } of this.#agents.values()) leave();
    this.#agents.clear();
  }

  #make(threadId: string, item: JsonObject, by: string): SubAgent {
    const core = this.#core;
    const owner = this.#owner;
    const parentItemId = stringOf(item, "id");
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
        if (meter !== null) {
          turn.measure(meter);
          void meter.over.promise.then(() => this.#end(turn, "needs more than its prompt may use"));
        }
        begin();
        // It was started while its parent was being stopped.
        if (agent.stopped) turn.stop();
        void this.#limitTime(agent, turn);
        return Infinity;
      },
      isNew: supports(core.server.version, "repeatsTokenCounts"),
      stopSubAgents: () => Promise.resolve(),
      stopStarting: (item) => this.stopStarting(item, threadId),
      missed: (item) => this.learn(item, threadId),
      resumeThread: () => Promise.resolve(),
    });
    const route: ThreadRoute = {
      taker: (head) => turns.taker(head),
      notification: (message) => {
        turns.notification(message);
        const { method, params } = message;
        const { item } = params;
        if (!isJsonObject(item)) return;
        agent.ran ||= item["type"] === "commandExecution";
        if (method === "item/started") owner.itemStarted(item, threadId);
        if (method !== "item/completed") return;
        owner.itemCompleted(item, threadId, stringOf(params, "turnId"));
      },
      oversize: (message) => turns.oversize(message),
      asked: (method, params, answer) => void turns.promised.asked(method, params, answer),
      connectionLost: (error, restarting) => {
        // A server that was only attached to works on.
        const willResume = restarting && isAttached(core.config);
        turns.connectionLost(error, willResume);
        if (willResume) agent.lostBy = error;
        else this.#drop(threadId);
      },
      connectionRestored: async () => {
        const heard = await this.#resume(threadId);
        // What can't be told of any more is stopped there.
        await turns.rest.resume(agent.lostBy!, turns.rest.turns);
        if (!heard) this.#drop(threadId);
      },
    };
    // Whoever stops it before its first turn has begun stops that turn.
    const begun = Promise.withResolvers<void>();
    const timer = setTimeout(() => begin(), BEGIN_MS);
    const begin = () => {
      clearTimeout(timer);
      agent.starting = false;
      begun.resolve();
    };
    turns.rest.expect(begun.promise);
    const leave = () => {
      begin();
      turns.close();
    };
    const agent: SubAgent = {
      turns,
      route,
      by,
      starting: true,
      ran: false,
      parent: null,
      stopped: false,
      leave,
      lostBy: null,
    };
    return agent;
  }

  /** Nobody waits any more for an agent that works on when what it works for has ended: it has the session's time from then on. */
  async #limitTime(agent: SubAgent, turn: Turn): Promise<void> {
    const owner = this.#owner;
    const released = turn.reached("released");
    while (turn.phase !== "released") {
      const { parent } = agent;
      await Promise.race([parent?.reached("released"), released]);
      await within(released, owner.timeoutMs, null);
      // Somebody has asked for it again, or may.
      if (agent.parent === parent && !owner.goalActive) break;
    }
    turn.endsAs = "timedOut";
    this.#end(turn, `works on ${owner.timeoutMs} ms after its prompt`);
  }

  #end(turn: Turn, why: string): void {
    if (turn.isStopping || turn.phase === "released") return;
    const { threadId, turnId } = turn.outcome;
    const message = `An agent ${why}: interrupted.`;
    this.#owner.events.push({ type: "warning", threadId, turnId, message });
    void turn.stop();
  }

  /** Listens, to what was said before as well. */
  #join(threadId: string, agent: SubAgent): void {
    const { turns, route, by, leave } = agent;
    const find = (itemId: string) =>
      turns.active?.outcome.items.get(itemId) as unknown as JsonObject | undefined;
    const gate = this.#owner.gateOf(find, threadId, by);
    const unregister = this.#core.approvals.registerThread(threadId, gate);
    const unroute = this.#core.routes.add(threadId, route, this.#since);
    agent.leave = () => {
      leave();
      unroute();
      unregister();
    };
  }

  /** Hears of the thread on a new connection to the same server; `false` when the server has it no more. */
  async #resume(threadId: string): Promise<boolean> {
    const core = this.#core;
    const { isLoaded } = await import("../turn/resume_turns.ts");
    // One that is not loaded would be opened with whatever codex is configured for.
    if (!await isLoaded(core, threadId)) return false;
    return await core.callNow("thread/resume", { threadId }).then(() => true, (error) => {
      if (isConnectionLoss(error)) throw error;
      return false;
    });
  }

  #drop(threadId: string): void {
    this.#agents.get(threadId)?.leave();
    this.#agents.delete(threadId);
  }
}

/** The threads that an item started or resumed. */
function threadsOf(item: JsonObject): string[] {
  const named = item["type"] === "collabAgentToolCall"
    ? item["receiverThreadIds"]
    : item["type"] === "subAgentActivity" && item["agentThreadId"];
  return [named].flat().filter((id): id is string => typeof id === "string" && id !== "");
}
