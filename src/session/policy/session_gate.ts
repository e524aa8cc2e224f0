/**
 * What a session answers when the server asks about one of its turns: its hooks, its tools, its items.
 * @module
 */
import {
  type ApprovalAudit,
  type ApprovalHandler,
  type ApprovalRequest,
  type ApprovalRules,
  type GateToolCall,
  type Grant,
  isToolItem,
  type ThreadGate,
  toolFacts,
  toolOutcome,
} from "../../approvals/mod.ts";
import { defined, type JsonObject, type JsonValue } from "../../json.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import type { HookRun, HookToolInput, HookVerdict } from "../../plugin/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { useOf } from "../../thread_item.ts";
import type { ServedCall } from "../mcp/tool_server.ts";
import type { SessionEvents } from "../events/session_events.ts";
import type { DynamicTool } from "../prompt/tools.ts";
import { type Context, contextHere, whileWaiting } from "../prompt/waiting.ts";
import type { ThreadTurns } from "../turn/thread_turns.ts";
import type { AgentSpan } from "../telemetry/agent_span.ts";
import type { Turn } from "../turn/turn.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { TokenCount } from "../turn/turn_result.ts";
import { keptOf } from "./policy_facts.ts";
import { recheck, workspaceOf } from "./session_policy.ts";
import { type AgentThread, type SubAgentOwner, SubAgents } from "./sub_agents.ts";

/** What a gate knows of its session. */
export interface SessionGateHost {
  /** The connection. */
  core: RuntimeCore;
  /** The turns of the session's thread. */
  turns: ThreadTurns;
  /** More tokens of an agent that the session's agent started; `turn`: the session's turn that it works for. */
  countSubAgent: (tokens: TokenCount, turn: Turn | null) => void;
  /** Begins the span of a turn of such an agent, below that of the session's turn; `null` where nobody traces. */
  subAgentSpan?: (threadId: string, turn: Turn | null) => AgentSpan | null;
  /** Who listens to all of the session. */
  events: SessionEvents;
  /** The session's tools. */
  tools: Readonly<Record<string, DynamicTool>>;
  /** The MCP server by which codex calls some of them, or `null`. */
  toolsServer: string | null;
  /** Who answers the session's questions; `undefined`: whoever answers for the client. */
  approvals: ApprovalHandler | ApprovalRules | undefined;
  /** Whether the session has hooks that want a say in tool use. */
  hooked: () => boolean;
  /** Why a question is declined whatever anybody would answer, or `null`. */
  refuses: (request: ApprovalRequest) => Promise<string | null>;
  /** What its turns run with. */
  settings: {
    /** How it runs; a turn that nobody waits for may take this long. */
    readonly profile: { readonly timeoutMs: number };
    /** What it may do; codex may keep accepted commands in the sandbox. */
    readonly policy: Pick<EffectivePolicy, "acceptedCommands">;
    /** What the last turn may do. */
    readonly sent: EffectivePolicy;
    /** What codex was given and keeps, with the sandbox of the turn, as JSON; `""` for what none holds. */
    readonly kept: Set<string>;
    /** What agents keep of the turns that have started them, as JSON. */
    readonly agents: Set<string>;
  };
}

/** One session's part in approvals. It answers for its own thread, and for those that its agent starts. */
export class SessionGate implements ThreadGate {
  /** The asynchronous context of who has begun the turn. */
  #context: Context = contextHere(null);
  /** Who answers this session's questions. */
  declare readonly approvals?: ApprovalHandler | ApprovalRules;
  readonly #host: SessionGateHost;
  readonly #subAgents: SubAgents;
  #hooks: HookRun | null = null;
  /** The hooks of the runs that have started agents, by the agents' threads. */
  readonly #runs: Map<string, HookRun | null> = new Map();
  #sandboxed = true;
  #posts: Promise<void> = Promise.resolve();
  /** What post-hooks have heard of, by thread and item; some servers complete an item twice. */
  #told: Map<string, Set<string | null>> = new Map();

  /** Creates the gate of a session. */
  constructor(host: SessionGateHost) {
    if (host.approvals !== undefined) this.approvals = host.approvals;
    this.#host = host;
    this.#subAgents = new SubAgents(host.core, {
      gateOf: (...about) => this.#gateWith(...about),
      made: () => {
        const made = keptOf(host.settings.sent);
        host.settings.agents.add(made);
        return made;
      },
      itemStarted: (item, threadId) => this.itemStarted(item, threadId),
      itemCompleted: (item, threadId, turnId) => this.itemCompleted(item, threadId, turnId),
      activeTurn: () => host.turns.active,
      span: (threadId, turn) => host.subAgentSpan?.(threadId, turn) ?? null,
      get timeoutMs() {
        return host.settings.profile.timeoutMs;
      },
      get goalActive() {
        return host.turns.goalActive === true;
      },
      count: host.countSubAgent,
      events: host.events,
    });
  }

  /** Stops what the session's agent started beside its own turns; `false` when that was not confirmed. Never rejects. */
  stopSubAgents(): Promise<boolean> {
    return this.#subAgents.stop();
  }

  /** The same, and leaves their threads to a codex that goes on (not `last`). Never rejects. */
  async leaveSubAgents(last = false): Promise<void> {
    await this.#subAgents.stop();
    if (!last) await this.#subAgents.leave();
  }

  /** Stops an agent that was being started by a call of which this is the item. */
  stopStarting(item: JsonObject): Promise<boolean> {
    return this.#subAgents.stopStarting(item, this.#host.turns.threadId);
  }

  /** The threads of the agents that the session's agent has started. */
  get agents(): AgentThread[] {
    return this.#subAgents.threads();
  }

  /** Joins in for the thread, until the returned function is called. */
  register(threadId: string): () => void {
    const leave = this.#host.core.approvals.registerThread(threadId, this);
    return () => {
      leave();
      this.#subAgents.close();
    };
  }

  /** A turn begins, with these hooks. */
  begin(hooks: HookRun, sandboxed: boolean): void {
    this.#hooks = hooks;
    this.#sandboxed = sandboxed;
    this.#told = new Map();
    this.#context = contextHere(this.approvals ?? Object.keys(this.#host.tools)[0]);
  }

  /** Asks the hooks; they may refuse, and never grant. */
  preToolUse(request: ApprovalRequest, options: { signal: AbortSignal }): Promise<HookVerdict> {
    return this.#judge(request, this.item(request.itemId), options);
  }

  /** Whether hooks see each use; `more`: those that do beside the current ones. */
  watches(more: HookRun | null = null): boolean {
    return more?.has("preToolUse") || (this.#hooks?.has("preToolUse") ?? this.#host.hooked());
  }

  /** Whether the turn's commands have a sandbox that they could leave. */
  sandboxed(): boolean {
    return this.#sandboxed;
  }

  /** Where files may change without leaving the sandbox. */
  workspace(): readonly string[] | null {
    return workspaceOf(this.#host.settings.sent);
  }

  /** The sandbox of the last turn, as JSON. */
  reach(): string {
    return JSON.stringify(this.#host.settings.sent.sandbox);
  }

  async #judge(
    request: ApprovalRequest,
    item: JsonObject | undefined,
    options: { signal: AbortSignal },
    more: HookRun | null = null,
  ): Promise<HookVerdict> {
    const hooks = this.#hooks;
    const why = await this.#host.refuses(request);
    if (why !== null) return { type: "block", hookName: "", reason: why };
    if (hooks !== null) {
      if (!this.watches(more)) return { type: "continue" };
      const facts = await toolFacts(request, item);
      const verdict = await hooks.toolPre(facts, options);
      if (verdict.type === "block" || more === null) return verdict;
      return await more.toolPre(facts, options, hooks);
    }
    if (!this.#host.hooked()) return { type: "continue" };
    // Somebody else's turn on this thread: the hooks of no run of ours can be asked about it.
    return { type: "block", hookName: "", reason: "no turn of this session is active" };
  }

  /** An item begins: under the id of one that has ended it is another use. */
  itemStarted(item: JsonObject, threadId: string): void {
    // The end of the call that made an agent may not have been heard; what waits for it names it as well.
    this.#subAgents.learn(item, threadId);
    this.#told.get(keyOf(threadId, item["id"]))?.delete(useOf(item));
  }

  /** An item ended: post-hooks hear of every tool use, asked about or not. */
  itemCompleted(item: JsonObject, threadId: string, turnId: string | null): void {
    this.#subAgents.learn(item, threadId);
    if (!this.#hooks?.has("postToolUse")) return;
    if (!isToolItem(item)) return;
    const place = { threadId, turnId };
    this.#tell(
      keyOf(threadId, item["id"]),
      useOf(item),
      () => toolOutcome(item, place, this.#host.toolsServer),
    );
  }

  /** Takes in the agents that an item names which only the server's record tells of. */
  learn(item: JsonObject): void {
    this.#subAgents.learn(item, this.#host.turns.threadId);
  }

  /** Settles when the post-hooks of the tool uses so far have ended. */
  get postsDone(): Promise<void> {
    return this.#posts;
  }

  /** Runs what the session waits for, in the asynchronous context of the turn: a prompt that it asks of the session is refused. */
  within<T>(call: () => T | Promise<T>): Promise<T> {
    return this.#wait(this.#context, call);
  }

  /**
   * The same in the context of who calls this, for hooks: those around a prompt are called beside another one's turn. `called`:
   * one of them, if any.
   */
  waiter(called: unknown): <T>(call: () => T | Promise<T>) => Promise<T> {
    const context = contextHere(called);
    return (call) => this.#wait(context, call);
  }

  #wait<T>(context: Context, call: () => T | Promise<T>): Promise<T> {
    const span = this.#host.turns.active?.span;
    return context(() => whileWaiting(this, span ? () => span.within(call) : call));
  }

  /** Runs a tool of this process. */
  async runTool(
    call: GateToolCall,
    { signal }: { signal: AbortSignal },
  ): Promise<JsonObject | undefined> {
    const { tools } = this.#host;
    if (!Object.hasOwn(tools, call.tool)) return undefined;
    const { threadId, turnId, callId } = call;
    const { runCall } = await import("../prompt/run_tool.ts");
    return await runCall(tools, call, signal, {
      within: (run) => this.within(run),
      warn: (message) => this.#emit({ type: "warning", threadId, turnId, message }),
      ran: (facts) => {
        // Of those that are served, the item tells, whose id old versions do not say here.
        const served = call.namespace !== null && call.namespace === this.#host.toolsServer;
        if (!this.#hooks?.has("postToolUse") || served || this.item(callId) !== undefined) return;
        this.#tell(keyOf(threadId, callId), null, () => facts);
      },
    });
  }

  /**
   * Runs a tool for a call that came over MCP, judged as `item/tool/call` is. Settles with the answer to that, at the latest
   * when nobody waits for it any more.
   */
  async serve(call: ServedCall, signal: AbortSignal): Promise<JsonValue> {
    const { turns } = this.#host;
    const { threadId, turnId } = call;
    // A call of an interrupted turn may come after its end (0.104 to 0.145); 0.104 says of none where it comes from.
    const isOver = threadId === null && turnId === null
      ? turns.active === null && !this.agents.some(({ busy }) => busy)
      : turns.isOver(turnId) || this.#subAgents.isOver(turnId);
    if (isOver) return null;
    const { serveCall } = await import("../mcp/tool_server.ts");
    // The token says whose call it is, and not which agent of the session's has made it.
    const by = this.agents.find((agent) => agent.threadId === threadId) ?? turns;
    return await serveCall(this.#host, call, signal, by.threadId);
  }

  /** The item a question is about. */
  item(itemId: string | null): JsonObject | undefined {
    if (itemId === null) return undefined;
    const { turns } = this.#host;
    const item = turns.active?.outcome.items.get(itemId) ?? turns.last?.items.get(itemId);
    return item as unknown as JsonObject | undefined;
  }

  /** A question arrived. */
  onRequested(request: ApprovalRequest): void {
    const { threadId, turnId } = request;
    if (request.type === "toolCall") {
      const { active } = this.#host.turns;
      void import("../prompt/run_tool.ts").then((tools) =>
        tools.countUntold(request, active, this.#host.core)
      );
    }
    if (threadId === null || this.#isOwnCall(request)) return;
    this.#emit({ type: "approvalRequested", threadId, turnId: turnId ?? "", request });
  }

  /** Codex will not ask again. What MCP servers do no sandbox holds, whatever a turn has. */
  onKept({ type }: ApprovalRequest, grant: Grant | null, reach: string = this.reach()): void {
    const kept = `{"sandbox":${reach},"grant":${JSON.stringify(grant)}}`;
    this.#host.settings.kept.add(type === "elicitation" ? "" : kept);
  }

  /** A question was answered. */
  onResolved(audit: ApprovalAudit): void {
    const { threadId, turnId } = audit;
    if (threadId === null || audit.decidedBy === "tool" || audit.type === "currentTime") return;
    this.#emit({ type: "approvalResolved", threadId, turnId: turnId ?? "", audit });
    if (audit.decidedBy !== "library") return;
    const message = `A ${audit.type} request was declined by this library: ${audit.reason}`;
    this.#emit({ type: "warning", threadId, turnId: turnId ?? "", message });
  }

  /** Whoever answers failed at it. */
  onProblem({ type, threadId, turnId }: ApprovalRequest, sentence: string): void {
    if (threadId === null) return;
    const message = `The ${type} request was declined. ${sentence}`;
    this.#emit({ type: "warning", threadId, turnId: turnId ?? "", message });
  }

  /** Whether accepted commands of the session's own thread stay in its sandbox. */
  contained(): boolean {
    const { core, settings } = this.#host;
    if (settings.policy.acceptedCommands !== "sandboxed") return false;
    try {
      // What this script may no longer do itself, the sandbox would let them do.
      recheck(core, settings.sent);
      return true;
    } catch {
      return false;
    }
  }

  /** The same for an agent's thread. It keeps the sandbox and the hooks of the turn that has started it, whatever begins next. */
  #gateWith(...[item, threadId, by]: Parameters<SubAgentOwner["gateOf"]>): ThreadGate {
    const { approvals } = this;
    const hooks = this.#runs.get(by) ?? this.#hooks;
    this.#runs.set(threadId, hooks);
    const [sandboxed, workspace, reach] = [this.#sandboxed, this.workspace(), this.reach()];
    return {
      ...defined({ approvals }),
      item,
      watches: () => this.watches(hooks),
      sandboxed: () => sandboxed,
      workspace: () => workspace,
      reach: () => reach,
      onKept: (request, grant) => this.onKept(request, grant, reach),
      preToolUse: (request, options) => {
        const about = request.itemId === null ? undefined : item(request.itemId);
        return this.#judge(request, about, options, hooks);
      },
      within: (call) => this.within(call),
      runTool: (call, options) => this.runTool(call, options),
      onProblem: (request, sentence) => this.onProblem(request, sentence),
      onRequested: (request) => this.onRequested(request),
      onResolved: (audit) => this.onResolved(audit),
    };
  }

  /** A call to a tool of this session is no question to anybody; its item tells of it. */
  #isOwnCall(request: ApprovalRequest): boolean {
    return request.type === "currentTime" ||
      (request.type === "toolCall" && Object.hasOwn(this.#host.tools, request.tool));
  }

  #emit(event: TurnEvent): void {
    const { turns, events } = this.#host;
    // A question of an agent's agent is told to whoever waits for the turn that it works for.
    const turn = turns.get(event.turnId) ?? turns.active;
    if (turn === null) events.push(event);
    else turn.tell(event);
  }

  /** Off the read loop, one after the other. */
  #tell(
    key: string,
    use: string | null,
    facts: () => HookToolInput | Promise<HookToolInput>,
  ): void {
    const hooks = this.#hooks;
    const told = this.#told.get(key) ?? new Set();
    if (hooks === null || told.has(use)) return;
    this.#told.set(key, told.add(use));
    this.#posts = this.#posts.then(async () => hooks.toolPost(await facts()));
  }
}

/** Models make the ids of items: those of an agent's agent are those of another model. */
function keyOf(threadId: string, itemId: unknown): string {
  return JSON.stringify([threadId, itemId]);
}
