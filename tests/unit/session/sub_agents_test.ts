/** Whose turns an agent's turns are: those of what it was asked for, stopped with it, and free when it is asked again. */
import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { ThreadRoutes } from "../../../src/runtime/thread_routes.ts";
import { SessionEvents } from "../../../src/session/events/session_events.ts";
import { SubAgents } from "../../../src/session/policy/sub_agents.ts";
import type { Turn } from "../../../src/session/turn/turn.ts";
import { test } from "../../_harness.ts";

/** A session's agents, their server played by the test: an interrupt ends the turn that it names. */
class Stage {
  readonly interrupted: string[] = [];
  readonly counted: (Turn | null)[] = [];
  readonly routes = new ThreadRoutes();
  readonly agents: SubAgents;
  parent: Turn | null = null;

  constructor() {
    const call = (method: string, { threadId, turnId }: Record<string, string>) => {
      if (method === "thread/read") {
        return Promise.resolve({ thread: { status: { type: "idle" } } });
      }
      if (method !== "turn/interrupt") return Promise.resolve({});
      this.interrupted.push(turnId!);
      this.say(threadId!, "turn/completed", { turn: { id: turnId!, status: "interrupted" } });
      return Promise.resolve({});
    };
    const core = {
      call,
      callNow: call,
      routes: this.routes,
      state: "running",
      config: {},
      server: { version: "0.169.0" },
      approvals: { pending: () => [], registerThread: () => () => {} },
    } as unknown as RuntimeCore;
    this.agents = new SubAgents(core, {
      gateOf: () => ({}) as never,
      itemStarted: (item, threadId) => this.agents.learn(item, threadId),
      itemCompleted: (item, threadId) => this.agents.learn(item, threadId),
      activeTurn: () => this.parent,
      span: () => null,
      count: (_, turn) => void this.counted.push(turn),
      events: new SessionEvents(),
    });
  }

  say(threadId: string, method: string, params: JsonObject): void {
    this.routes.notify(threadId, { kind: "notification", method, params, raw: {} } as never);
  }

  begins(threadId: string, turnId: string): void {
    this.say(threadId, "turn/started", { turn: { id: turnId } });
  }
}

/** Stopping a turn looks once whether it has ended by itself. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve));
}

const naming = (...receiverThreadIds: string[]): JsonObject => ({
  type: "collabAgentToolCall",
  id: "call",
  receiverThreadIds,
});

const turn = (isStopping: boolean) => ({ isStopping, meter: null }) as unknown as Turn;

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
  assert.deepEqual([it.agents.has("S"), it.agents.has("")], [false, false]);
  it.agents.learn({ type: "subAgentActivity", id: "x", agentThreadId: "A" }, "session");
  assert.equal(it.agents.has("A"), true);
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
