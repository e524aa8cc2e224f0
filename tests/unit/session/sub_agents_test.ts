/** Whose turns an agent's turns are: those of what it was asked for, stopped with it, and free when it is asked again. */
import assert from "node:assert/strict";
import type { ThreadGate } from "../../../src/approvals/mod.ts";
import { ConnectionClosedError } from "../../../src/errors/mod.ts";
import type { JsonObject } from "../../../src/json.ts";
import type { EffectivePolicy } from "../../../src/permissions/mod.ts";
import { HookRun } from "../../../src/plugin/hook_run.ts";
import type { HookAction, PreHook } from "../../../src/plugin/types.ts";
import { mergeHooks } from "../../../src/plugin/validate.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { ThreadRoutes } from "../../../src/runtime/thread_routes.ts";
import { SessionEvents } from "../../../src/session/events/session_events.ts";
import { SessionGate } from "../../../src/session/policy/session_gate.ts";
import { agentsStarted, SubAgents } from "../../../src/session/policy/sub_agents.ts";
import type { Turn } from "../../../src/session/turn/turn.ts";
import { RunMeter } from "../../../src/session/turn/turn_usage.ts";
import { test } from "../../_harness.ts";
import { COMMAND, requestOf } from "../approvals/_requests.ts";

/** A session's agents, their server played by the test: an interrupt ends the turn that it names. */
class Stage {
  readonly interrupted: string[] = [];
  /** Threads whose commands were ended. */
  readonly cleaned: string[] = [];
  readonly counted: (Turn | null)[] = [];
  readonly routes = new ThreadRoutes();
  agents: SubAgents;
  /** The connection; each new one has a server of its own. */
  readonly core: RuntimeCore & { server: RuntimeCore["server"] };
  /** Makes those of another session on the same connection. */
  readonly make: () => SubAgents;
  readonly events = new SessionEvents();
  readonly resumed: string[] = [];
  parent: Turn | null = null;
  timeoutMs = 60_000;
  /** What the server says of every thread, and of the turns that it has recorded. */
  status = "idle";
  record: JsonObject[] = [];
  /** Which thread has started which, by the server's record. */
  starters: Record<string, string> = {};

  constructor({ attached = false } = {}) {
    const call = (method: string, { threadId, turnId }: Record<string, string>) => {
      if (method === "thread/read") {
        const parent_thread_id = this.starters[threadId!] ?? null;
        const source = { subAgent: { thread_spawn: { parent_thread_id } } };
        return Promise.resolve({ thread: { status: { type: this.status }, source } });
      }
      if (method === "thread/turns/list") return Promise.resolve({ data: this.record });
      if (method === "thread/resume") this.resumed.push(threadId!);
      if (method === "thread/backgroundTerminals/clean") this.cleaned.push(threadId!);
      if (method !== "turn/interrupt") return Promise.resolve({});
      this.interrupted.push(turnId!);
      this.say(threadId!, "turn/completed", { turn: { id: turnId!, status: "interrupted" } });
      return Promise.resolve({});
    };
    const core = this.core = {
      call,
      callNow: call,
      routes: this.routes,
      state: "running",
      config: attached ? { transport: { type: "websocket", url: "ws://127.0.0.1:1" } } : {},
      server: { version: "0.169.0" },
      approvals: { pending: () => [], registerThread: () => () => {}, toolsEnd: () => {} },
      endOrphans: () => {},
      alive: { over: () => {} },
    } as unknown as Stage["core"];
    const timeoutMs = () => this.timeoutMs;
    this.make = () =>
      new SubAgents(core, {
        gateOf: () => ({}) as never,
        made: () => "its sandbox",
        itemStarted: (item, threadId) => this.agents.learn(item, threadId),
        itemCompleted: (item, threadId) => this.agents.learn(item, threadId),
        activeTurn: () => this.parent,
        span: () => null,
        count: (_, turn) => void this.counted.push(turn),
        get timeoutMs() {
          return timeoutMs();
        },
        goalActive: false,
        events: this.events,
      });
    this.agents = this.make();
  }

  say(threadId: string, method: string, params: JsonObject): void {
    this.routes.notify(threadId, { kind: "notification", method, params, raw: {} } as never, 1);
  }

  /** What listeners hear of turns, from now on. */
  listen(): string[] {
    const told: string[] = [];
    void (async () => {
      for await (const event of this.events.listen("session", { subAgents: true })) {
        if (event.type !== "subAgent" || !event.event.type.startsWith("turn")) continue;
        const { type, turnId, status } = event.event as unknown as Record<string, string>;
        told.push([type, turnId, status].filter(Boolean).join(" "));
      }
    })();
    return told;
  }

  begins(threadId: string, turnId: string): void {
    this.say(threadId, "turn/started", { turn: { id: turnId } });
  }
}

/** Stopping a turn looks once whether it has ended by itself. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve));
}

async function until(look: () => boolean): Promise<void> {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 1));
}

const naming = (...receiverThreadIds: string[]): JsonObject => ({
  type: "collabAgentToolCall",
  id: "call",
  receiverThreadIds,
});

function isAgent(agents: SubAgents, id: string): boolean {
  return agents.threads().some(({ threadId }) => threadId === id);
}

/** A turn of the session's, until it is `over`. */
function turn(isStopping: boolean, meter: RunMeter | null = null, over = new Promise(() => {})) {
  return { isStopping, meter, reached: () => over } as unknown as Turn;
}

test("the sandboxes of a thread's agents are known as long as their server runs", () => {
  for (const attached of [true, false]) {
    const it = new Stage({ attached });
    const known = (threadId: string) => [...agentsStarted(it.core, threadId)];
    it.agents.learn(naming("A"), "session");
    assert.deepEqual([known("session"), known("another")], [["its sandbox"], []]);
    // Another connection: to the same server where that is not ours, else to another one.
    it.core.server = { ...it.core.server };
    assert.deepEqual(known("session"), attached ? ["its sandbox"] : []);
    it.agents.close();
  }
});

test("an agent that is named while its parent is being stopped is stopped with its first turn", async () => {
  const it = new Stage();
  it.parent = turn(true);
  it.agents.learn(naming("A"), "session");
  it.begins("A", "a1");
  await settle();
  assert.deepEqual(it.interrupted, ["a1"]);
  // Asked again by a turn that goes on, it works; its parent's last words change nothing.
  it.parent = turn(false);
  it.agents.learn(naming("A"), "session");
  it.parent = null;
  it.agents.learn(naming("A"), "session");
  it.begins("A", "a2");
  await settle();
  assert.deepEqual(it.interrupted, ["a1"]);
  it.agents.close();
});

test("what an agent does is told under the call that began it", async () => {
  const it = new Stage();
  const told: unknown[] = [];
  void (async () => {
    for await (const event of it.events.listen("session", { subAgents: true })) {
      if (event.type === "subAgent") told.push([event.threadId, event.parentItemId]);
    }
  })();
  it.agents.learn(naming("A"), "session");
  it.agents.learn({ ...naming("B"), id: 7 }, "session");
  it.begins("A", "a1");
  it.begins("B", "b1");
  await settle();
  assert.deepEqual(told, [["A", "call"], ["B", null]]);
  it.agents.close();
});

test("an agent that was being started by an interrupted call is found by its own record, and stopped", async () => {
  const it = new Stage();
  const told = it.listen();
  it.starters = { A: "session", B: "another", C: "A" };
  for (const threadId of ["A", "B"]) it.begins(threadId, threadId.toLowerCase() + 1);
  assert.equal(await it.agents.stopStarting(naming(), "session"), true);
  assert.deepEqual(it.interrupted, ["a1"]);
  assert.deepEqual(it.agents.threads().map(({ threadId }) => threadId), ["A"]);
  assert.deepEqual(told, ["turnStarted a1", "turnCompleted a1 interrupted"]);
  // One that begins a moment later, and one that never does.
  const starting = it.agents.stopStarting(naming(), "A");
  await settle();
  it.begins("C", "c1");
  assert.equal(await starting, true);
  assert.deepEqual(it.interrupted, ["a1", "c1"]);
  assert.equal(await it.agents.stopStarting(naming(), "session"), true);
  assert.deepEqual(it.interrupted, ["a1", "c1"]);
  it.agents.close();
});

test(
  "agents that were starting others when all were stopped are stopped with those, and what those have started",
  async () => {
    const it = new Stage();
    const starts = (by: string) =>
      it.say(by, "item/started", {
        turnId: by.toLowerCase() + 1,
        item: {
          type: "collabAgentToolCall",
          id: "call",
          tool: "spawnAgent",
          receiverThreadIds: [],
        },
      });
    it.agents.learn(naming("A", "B"), "session");
    for (const agent of ["A", "B"]) it.begins(agent, agent.toLowerCase() + 1);
    it.starters = { C: "A", D: "B", E: "C", F: "E" };
    for (const by of ["A", "B"]) starts(by);
    // Nobody has named these: one starts another that it has named, and that one another that it has not.
    for (const agent of ["C", "D", "E", "F"]) it.begins(agent, agent.toLowerCase() + 1);
    it.say("C", "item/completed", { turnId: "c1", item: naming("E") });
    starts("E");
    assert.equal(await it.agents.stop(), true);
    assert.deepEqual(it.interrupted.toSorted(), ["a1", "b1", "c1", "d1", "e1", "f1"]);
    it.agents.close();
  },
);

test("an agent of an agent that was stopped is stopped, one of another is not", async () => {
  const it = new Stage();
  it.parent = turn(false);
  it.agents.learn(naming("A"), "session");
  it.begins("A", "a1");
  it.parent = null;
  assert.equal(await it.agents.stop(), true);
  it.parent = turn(false);
  it.agents.learn(naming("B"), "session");
  it.begins("B", "b1");
  it.say("A", "item/completed", { turnId: "a1", item: naming("C") });
  it.say("B", "item/completed", { turnId: "b1", item: naming("D") });
  it.begins("C", "c1");
  it.begins("D", "d1");
  await settle();
  assert.deepEqual(it.interrupted, ["a1", "c1"]);
  it.agents.close();
});

test("what an agent did before it was named is told, counted and stopped as if it had been known", async () => {
  const it = new Stage();
  const told = it.listen();
  const uses = (threadId: string, turnId: string) =>
    it.say(threadId, "thread/tokenUsage/updated", {
      turnId,
      tokenUsage: { total: { totalTokens: 13 }, last: { totalTokens: 13 } },
    });
  it.begins("A", "a1");
  uses("A", "a1");
  it.say("A", "item/started", { turnId: "a1", item: naming("B") });
  it.begins("B", "b1");
  it.say("A", "turn/completed", { turn: { id: "a1", status: "completed" } });
  it.parent = turn(true);
  it.agents.learn(naming("A"), "session");
  await settle();
  assert.equal(isAgent(it.agents, "B"), true);
  assert.deepEqual(it.counted, [it.parent]);
  assert.deepEqual(it.interrupted, ["b1"]);
  assert.deepEqual(told, [
    "turnStarted a1",
    "turnStarted b1",
    "turnCompleted a1 completed",
    "turnCompleted b1 interrupted",
  ]);
  it.agents.close();
});

test("what an agent did before its session was there is not told, nor what one did on a server that has ended", async () => {
  const it = new Stage();
  const told = it.listen();
  it.begins("A", "before");
  it.agents = it.make();
  it.begins("B", "b1");
  it.agents.learn(naming("A", "B"), "session");
  // A server of our own is started again, and its agents are not.
  it.routes.get("B")!.connectionLost(new ConnectionClosedError("It died."), true);
  assert.equal(isAgent(it.agents, "B"), false);
  await settle();
  assert.deepEqual(told, ["turnStarted b1", "turnCompleted b1 connectionClosed"]);
  it.agents.close();
});

test("an agent goes on with the connection to a server that went on, and is told once", async () => {
  const it = new Stage({ attached: true });
  const told = it.listen();
  for (const [agent, turnId] of [["A", "a1"], ["B", "b1"]] as const) {
    it.agents.learn(naming(agent), "session");
    it.begins(agent, turnId);
  }
  const lost = new ConnectionClosedError("The socket was dropped.");
  const [a, b] = [it.routes.get("A")!, it.routes.get("B")!];
  a.connectionLost(lost, true);
  b.connectionLost(lost, true);
  assert.equal(isAgent(it.agents, "A"), true);
  // It is told what happened meanwhile.
  it.status = "active";
  it.record = [{
    id: "a1",
    status: "inProgress",
    items: [{ ...naming("C"), status: "completed" }],
  }];
  await a.connectionRestored();
  assert.equal(isAgent(it.agents, "C"), true);
  it.say("A", "turn/completed", { turn: { id: "a1", status: "completed" } });
  // The server has no such thread any more.
  it.status = "notLoaded";
  await b.connectionRestored();
  assert.equal(isAgent(it.agents, "B"), false);
  assert.deepEqual(it.resumed, ["A"]);
  // A server of our own ends with its connection.
  it.begins("A", "a2");
  a.connectionLost(lost, false);
  assert.equal(isAgent(it.agents, "A"), false);
  await settle();
  assert.deepEqual(told, [
    "turnStarted a1",
    "turnStarted b1",
    "turnCompleted a1 completed",
    "turnCompleted b1 connectionClosed",
    "turnStarted a2",
    "turnCompleted a2 connectionClosed",
  ]);
  it.agents.close();
});

test("an agent that works on when what it works for has ended has the session's time from then on", async () => {
  const it = new Stage();
  const told = it.listen();
  const warned: string[] = [];
  void (async () => {
    for await (const event of it.events.listen("session", {})) {
      if (event.type === "warning") warned.push(event.turnId);
    }
  })();
  it.timeoutMs = 1;
  const [first, second] = [Promise.withResolvers(), Promise.withResolvers()];
  it.parent = turn(false, null, first.promise);
  it.agents.learn(naming("A", "B"), "session");
  it.begins("A", "a1");
  it.begins("B", "b1");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(it.interrupted, [], "somebody waits for them");
  // Another prompt asks for one of them again.
  it.parent = turn(false, null, second.promise);
  it.agents.learn(naming("B"), "session");
  first.resolve(null);
  await until(() => told.length === 3);
  assert.deepEqual([it.interrupted, warned], [["a1"], ["a1"]]);
  second.resolve(null);
  await until(() => told.length === 4);
  assert.deepEqual([it.interrupted, warned], [["a1", "b1"], ["a1", "b1"]]);
  assert.deepEqual(told.slice(2), ["turnCompleted a1 timedOut", "turnCompleted b1 timedOut"]);
  it.agents.close();
});

test("an agent that works on when its prompt has been answered has what is left of the prompt's limits", async () => {
  const it = new Stage();
  const told = it.listen();
  const exceeded: number[] = [];
  const meter = new RunMeter({ modelCalls: 2 }, ({ used }) => exceeded.push(used));
  it.parent = turn(false, meter, Promise.resolve());
  it.agents.learn(naming("A"), "session");
  it.parent = null;
  it.begins("A", "a1");
  for (const totalTokens of [13, 26]) {
    await settle();
    assert.deepEqual(it.interrupted, []);
    it.say("A", "item/started", { turnId: "a1", item: { type: "commandExecution", id: "x" } });
    it.say("A", "thread/tokenUsage/updated", {
      turnId: "a1",
      tokenUsage: { total: { totalTokens }, last: { totalTokens: 13 } },
    });
  }
  await settle();
  assert.deepEqual([it.interrupted, exceeded], [["a1"], [2]]);
  assert.deepEqual(told, ["turnStarted a1", "turnCompleted a1 interrupted"]);
  it.agents.close();
});

test("the commands of agents that are stopped are ended, those of turns before as well", async () => {
  const it = new Stage();
  it.agents.learn(naming("A", "B"), "session");
  for (const agent of ["A", "B"]) {
    const turnId = agent.toLowerCase() + 1;
    it.begins(agent, turnId);
    if (agent === "A") {
      it.say(agent, "item/started", { turnId, item: { type: "commandExecution", id: "x" } });
    }
    it.say(agent, "turn/completed", { turn: { id: turnId, status: "completed" } });
  }
  assert.equal(await it.agents.stop(), true);
  assert.deepEqual([it.interrupted, it.cleaned], [[], ["A"]]);
  it.agents.close();
});

test("whoever stops an agent before its first turn stops that turn", async () => {
  const it = new Stage();
  it.agents.learn(naming("A"), "session");
  let stopped: boolean | null = null;
  const stopping = it.agents.stop().then((value) => stopped = value);
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(stopped, null);
  it.begins("A", "a1");
  await stopping;
  assert.deepEqual([stopped, it.interrupted], [true, ["a1"]]);
  it.agents.close();
});

test("a thread that somebody has opened as a session is no agent, and what names none makes none", () => {
  const it = new Stage();
  it.routes.add("S", {} as never);
  it.agents.learn(naming("S", ""), "session");
  it.agents.learn({ type: "commandExecution", id: "x" }, "session");
  it.agents.learn({ type: "subAgentActivity", id: "x" }, "session");
  assert.deepEqual([isAgent(it.agents, "S"), isAgent(it.agents, "")], [false, false]);
  it.agents.learn({ type: "subAgentActivity", id: "x", agentThreadId: "A" }, "session");
  assert.equal(isAgent(it.agents, "A"), true);
  it.agents.close();
});

test("what an agent uses is counted for the turn that asked last", () => {
  const it = new Stage();
  const [first, second] = [turn(false), turn(false)];
  const uses = (total: number) =>
    it.say("A", "thread/tokenUsage/updated", {
      turnId: "a1",
      tokenUsage: { total: { totalTokens: total }, last: { totalTokens: 13 } },
    });
  it.parent = first;
  it.agents.learn(naming("A"), "session");
  it.begins("A", "a1");
  uses(13);
  it.parent = null;
  uses(26);
  it.parent = second;
  it.agents.learn(naming("A"), "session");
  uses(39);
  assert.deepEqual(it.counted.map((each) => each === first ? 1 : each === second ? 2 : 0), [
    1,
    1,
    2,
  ]);
  it.agents.close();
});

test("an agent is judged by the hooks and the sandbox of the turn that has started it", async () => {
  const stage = new Stage();
  const gates = new Map<string, ThreadGate>();
  Object.assign(stage.core.approvals, {
    registerThread: (threadId: string, gate: ThreadGate) => (gates.set(threadId, gate), () => {}),
  });
  const settings = {
    profile: { timeoutMs: 60_000 },
    policy: { acceptedCommands: "mayLeave" as const },
    sent: { cwd: "/w", sandbox: { type: "workspaceWrite" } } as EffectivePolicy,
    kept: new Set<string>(),
    agents: new Set<string>(),
  };
  const own = new SessionGate({
    core: stage.core,
    turns: { threadId: "T", active: null, last: null, get: () => undefined } as never,
    countSubAgent: () => {},
    events: stage.events,
    toolsServer: null,
    tools: {},
    approvals: undefined,
    hooked: () => false,
    refuses: () => Promise.resolve(null),
    settings,
  });
  const asked: string[] = [];
  const hook = (name: string, verdict: HookAction) => ({
    name,
    phases: ["preToolUse" as const],
    call: () => (asked.push(name), verdict),
  });
  const passes = hook("passes", { type: "continue" });
  const watch = hook("watch", { type: "block", reason: "no" });
  const leave = own.register("T");
  own.begin(new HookRun(mergeHooks({ pre: [passes, watch] })), true);
  const started = { type: "collabAgentToolCall", id: "s", receiverThreadIds: ["A"] };
  own.itemStarted(started, "T");
  settings.sent = { cwd: "/other", sandbox: { type: "readOnly" } } as EffectivePolicy;
  own.begin(new HookRun(mergeHooks({})), false);
  const knows = (gate: ThreadGate) =>
    [gate.watches!(), gate.sandboxed!(), gate.workspace!(), gate.reach!()] as const;
  assert.deepEqual(knows(own), [false, false, ["/other"], '{"type":"readOnly"}']);
  assert.deepEqual(knows(gates.get("A")!), [true, true, ["/w"], '{"type":"workspaceWrite"}']);
  // What it starts is its own, whoever asks by then.
  own.itemStarted({ ...started, id: "t", receiverThreadIds: ["B"] }, "A");
  assert.equal(gates.get("B")!.watches!(), true);
  // The hooks of the turn that goes on by then are asked as well, each once, until one refuses.
  const judged = async (...pre: PreHook[]) => {
    own.begin(new HookRun(mergeHooks({ pre })), false);
    const request = requestOf(COMMAND, { threadId: "A" });
    const { signal } = new AbortController();
    return [(await gates.get("A")!.preToolUse!(request, { signal })).type, ...asked.splice(0)];
  };
  const [other, stops] = [
    hook("other", { type: "continue" }),
    hook("stops", { type: "block", reason: "" }),
  ];
  assert.deepEqual(await judged(), ["block", "passes", "watch"]);
  assert.deepEqual(await judged(passes), ["block", "passes", "watch"]);
  assert.deepEqual(await judged(other), ["block", "other", "passes", "watch"]);
  assert.deepEqual(await judged(stops), ["block", "stops"]);
  leave();
});
