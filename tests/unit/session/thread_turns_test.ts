import assert from "node:assert/strict";
import {
  ConnectionClosedError,
  RequestTimeoutError,
  RpcError,
  TurnInterruptedError,
  TurnTimeoutError,
} from "../../../src/errors/mod.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { ThreadRoutes } from "../../../src/runtime/thread_routes.ts";
import { deltaBatch, deltaHead } from "../../_delta_run.ts";
import { RunMeter } from "../../../src/session/turn/turn_usage.ts";
import { ThreadTurns } from "../../../src/session/turn/thread_turns.ts";
import type { TurnEvent } from "../../../src/session/turn/turn_event.ts";
import type { TurnRun } from "../../../src/session/turn/turn_run.ts";
import { test } from "../../_harness.ts";
import { withoutTime } from "../../_time.ts";

/** One thread, its server played by the test. */
class Stage {
  readonly routes = new ThreadRoutes();
  /** Calls that wait for an answer. */
  readonly calls: {
    method: string;
    params: JsonObject;
    answer: (result: JsonValue) => void;
    refuse: (error: unknown) => void;
  }[] = [];
  /** What listeners of the whole thread heard. */
  readonly all: TurnEvent[] = [];
  /** What the prompt's own listener heard. */
  readonly own: TurnEvent[] = [];
  readonly adopted: string[] = [];
  /** What was said of calls of tools. */
  readonly tools: unknown[][] = [];
  /** Items of calls whose agents were asked to be stopped. */
  readonly starting: unknown[] = [];
  readonly turns: ThreadTurns;
  readonly core: { state: string };
  tokens = 0;

  constructor({ timeoutMs = Infinity, version = "0.169.0", isNew = false } = {}) {
    const call = (
      method: string,
      params: JsonObject,
      options: { onResult?: (value: JsonValue) => void } = {},
    ) =>
      new Promise<JsonValue>((resolve, reject) =>
        this.calls.push({
          method,
          params,
          answer: (result) => {
            options.onResult?.(result);
            resolve(result);
          },
          refuse: reject,
        })
      );
    const core = this.core = {
      call,
      callNow: call,
      endOrphans: () => {},
      alive: { over: () => {} },
      routes: this.routes,
      state: "running",
      config: {},
      server: { version },
      approvals: { pending: () => [], toolsEnd: (...about: unknown[]) => this.tools.push(about) },
    } as unknown as RuntimeCore;
    this.turns = new ThreadTurns({
      core,
      threadId: "T",
      isNew,
      listeners: { emit: (event) => this.all.push(event) },
      count: ({ totalTokens }) => this.tokens += totalTokens,
      adopted: ({ turnId }) => {
        this.adopted.push(turnId);
        return timeoutMs;
      },
      stopSubAgents: () => Promise.resolve(),
      stopStarting: (item) => {
        this.starting.push(item["id"]);
        return Promise.resolve(item["id"] !== "goes on");
      },
      missed: () => {},
      resumeThread: () => Promise.resolve(),
    });
    this.routes.add("T", {
      taker: (head) => this.turns.taker(head),
      notification: (message) => this.turns.notification(message),
      oversize: (message) => this.turns.oversize(message),
      connectionLost: (error) => this.turns.connectionLost(error, false),
      connectionRestored: () => Promise.resolve(),
    });
  }

  start(
    text = "hello",
    method: "turn/start" | "review/start" = "turn/start",
    options: { signal?: AbortSignal; timeoutMs?: number } = {},
  ): TurnRun {
    return this.turns.start({
      method,
      params: { threadId: "T", input: [{ type: "text", text }] },
      timeoutMs: Infinity,
      emit: (event) => this.own.push(event),
      meter: new RunMeter({}, () => {}),
      signal: undefined,
      ...options,
    });
  }

  /** A prompt whose turn has begun. */
  begun(turnId: string): TurnRun {
    const run = this.start();
    this.answer(turnId);
    this.started(turnId);
    return run;
  }

  answer(turnId: string): void {
    this.calls.findLast(({ method }) => method.endsWith("/start"))!.answer({
      turn: { id: turnId },
    });
  }

  /** Waits for a call of the client's. */
  async called(method: string): Promise<{ params: JsonObject }> {
    for (;;) {
      const call = this.calls.find((each) => each.method === method);
      if (call !== undefined) return call;
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  /** Answers the next call of this method. */
  async reply(method: string, result: JsonValue): Promise<void> {
    const call = await this.called(method) as typeof this.calls[0];
    this.calls.splice(this.calls.indexOf(call), 1);
    call.answer(result);
  }

  /** Refuses the last prompt. */
  refuse(error: unknown): void {
    const call = this.calls.findLast(({ method }) => method.endsWith("/start"))!;
    this.calls.splice(this.calls.indexOf(call), 1);
    call.refuse(error);
  }

  say(method: string, params: JsonObject): void {
    this.turns.notification({ kind: "notification", method, params, raw: {} } as never);
  }

  started(id: string): void {
    this.say("turn/started", { threadId: "T", turn: { id } });
  }

  prompt(turnId: string, item: JsonObject): void {
    this.say("item/started", { turnId, item: { type: "userMessage", id: "u", ...item } });
  }

  ended(id: string, text: string): void {
    const item = { type: "agentMessage", id: "m", text };
    this.say("item/completed", { turnId: id, item });
    this.say("thread/tokenUsage/updated", {
      turnId: id,
      tokenUsage: { total: { totalTokens: this.tokens + 7 }, last: { totalTokens: 7 } },
    });
    this.say("turn/completed", { turn: { id, status: "completed" } });
  }

  heard(which: TurnEvent[]): string[] {
    return which.filter(({ type }) => type === "turnStarted" || type === "turnCompleted")
      .map(({ type, turnId }) => `${type} ${turnId}`);
  }
}

const clientId = (run: TurnRun): JsonObject => ({ clientId: run.clientId });

test("a turn that begins before the answer is the prompt's only if the answer says so", async () => {
  const it = new Stage();
  const run = it.start();
  it.started("foreign");
  it.ended("foreign", "not mine");
  assert.deepEqual(it.own, []);
  it.answer("mine");
  // What is over already may have been waited for.
  assert.deepEqual(it.adopted, ["foreign"]);
  it.started("mine");
  it.ended("mine", "mine");
  assert.deepEqual(await run.settled, { by: "server" });
  assert.equal(run.turn!.outcome.answer, "mine");
  assert.deepEqual(it.heard(it.own), ["turnStarted mine", "turnCompleted mine"]);
  assert.deepEqual(it.heard(it.all), [
    "turnStarted foreign",
    "turnCompleted foreign",
    "turnStarted mine",
    "turnCompleted mine",
  ]);
  assert.equal(it.tokens, 14);
  assert.equal(it.turns.active, null);
});

test("a turn that began before the answer is told to its prompt from the beginning", async () => {
  const it = new Stage();
  const run = it.start();
  it.started("mine");
  it.ended("mine", "early");
  it.answer("mine");
  assert.deepEqual(await run.settled, { by: "server" });
  assert.deepEqual(it.heard(it.own), ["turnStarted mine", "turnCompleted mine"]);
  assert.deepEqual(it.adopted, []);
  assert.equal(it.tokens, 7);
});

test("a guess is dropped when the server refuses: the turn is somebody else's, and goes on", async () => {
  const it = new Stage();
  const run = it.start();
  it.started("review");
  it.calls[0]!.refuse(new RpcError("turn/start", -32603, "no"));
  assert.equal((await run.settled).by, "error");
  await Promise.resolve();
  assert.deepEqual(it.adopted, ["review"]);
  assert.deepEqual(it.calls.map(({ method }) => method), ["turn/start"]);
  assert.equal(it.turns.active!.turnId, "review");
  it.ended("review", "done");
  assert.deepEqual(it.heard(it.own), ["turnCompleted "]);
});

test("the mark on the prompt names its turn, with or without an answer", async () => {
  const it = new Stage();
  const run = it.start();
  it.started("mine");
  it.prompt("mine", clientId(run));
  it.ended("mine", "marked");
  assert.deepEqual(await run.settled, { by: "server" });
  assert.equal(run.turn!.outcome.answer, "marked");
});

for (const mark of [true, false]) {
  test(`a prompt follows the turn that it became part of, by its ${mark ? "mark" : "text"}`, async () => {
    const it = new Stage({ version: "0.104.0" });
    it.started("foreign");
    const run = it.start();
    it.answer("empty");
    // 0.104 says that the empty one has started.
    it.started("empty");
    it.prompt("foreign", mark ? clientId(run) : { content: [{ type: "text", text: "hello" }] });
    it.ended("foreign", "answered there");
    assert.deepEqual(await run.settled, { by: "server" });
    assert.equal(run.turn!.turnId, "foreign");
    assert.deepEqual(it.heard(it.all), ["turnStarted foreign", "turnCompleted foreign"]);
    assert.equal(it.turns.active, null);
    assert.equal(it.tokens, 7);
  });
}

test("a prompt that came too late for the turn at work has a turn of its own", async () => {
  const it = new Stage();
  it.started("foreign");
  const run = it.start();
  it.answer("mine");
  it.ended("foreign", "not mine");
  assert.equal(run.isSettled, false);
  it.started("mine");
  it.prompt("mine", clientId(run));
  it.ended("mine", "mine");
  assert.deepEqual(await run.settled, { by: "server" });
  assert.equal(run.turn!.outcome.answer, "mine");
  assert.deepEqual(it.heard(it.own), ["turnStarted mine", "turnCompleted mine"]);
});

test("turn/started in the middle of a turn names no other; late messages begin none", () => {
  const it = new Stage();
  it.say("item/started", { turnId: "root", item: { type: "enteredReviewMode", id: "r" } });
  it.started("inner");
  it.ended("root", "reviewed");
  assert.equal(it.turns.active, null);
  assert.deepEqual(it.adopted, ["root"]);
  const command = { type: "commandExecution", id: "c", status: "completed" };
  it.say("item/completed", { turnId: "root", item: command });
  it.say("item/completed", { turnId: "long ago", item: command });
  it.say("thread/tokenUsage/updated", { turnId: "long ago", tokenUsage: {} });
  assert.equal(it.turns.active, null);
});

test("turn/started of another turn ends the one before, whose end was not heard", async () => {
  const it = new Stage();
  it.started("first");
  it.say("item/completed", { turnId: "first", item: { type: "agentMessage", id: "m", text: "x" } });
  it.started("second");
  assert.deepEqual(it.heard(it.all), ["turnStarted first"]);
  const record = { id: "first", status: "interrupted" };
  await it.reply("thread/turns/list", { data: [record] });
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(it.heard(it.all).slice(1), ["turnCompleted first", "turnStarted second"]);
  // Texts do not wait for the record.
  it.started("third");
  it.routes.deltas(deltaBatch([[deltaHead({ turnId: "third" }), "text"]]), 0, 1);
  assert.equal(it.turns.active?.turnId, "third");
  assert.equal(it.turns.active.outcome.items.partialAnswer(), "text");
  // Nor does the end of the connection, with which they are gone.
  it.started("fourth");
  it.turns.connectionLost(new ConnectionClosedError("gone"), false);
  assert.equal(it.turns.active, null);
  const ends = it.all.flatMap((event) =>
    event.type === "turnCompleted" ? [`${event.turnId} ${event.status}`] : []
  );
  assert.deepEqual(ends, [
    "first interrupted",
    "second interrupted",
    "third interrupted",
    "fourth connectionClosed",
  ]);
  assert.deepEqual(it.adopted, ["first", "second", "third", "fourth"]);
});

test("the texts of an item go to the turn that has its name now", async () => {
  const it = new Stage({ version: "0.104.0" });
  const texts = (turn: { outcome: { items: { partialAnswer(): string } } } | null | undefined) =>
    turn?.outcome.items.partialAnswer();
  // Kept by the reader of lines, with who took the last text.
  const head = deltaHead({ turnId: "other" });
  const say = (text: string) => it.routes.deltas(deltaBatch([[head, text]]), 0, 1);
  it.started("first");
  it.say("item/started", { turnId: "first", item: { type: "agentMessage", id: "m", text: "" } });
  const first = it.turns.active;
  const run = it.start();
  // In the middle of a turn, another name is that turn's as well.
  it.started("other");
  say("a");
  say("b");
  assert.equal(texts(first), "ab");
  // Until the answer gives the name to the prompt's own.
  it.answer("other");
  say("c");
  say("d");
  assert.equal(texts(first), "ab");
  assert.equal(texts(run.turn), "cd");
  it.say("turn/completed", { turn: { id: "other", status: "completed" } });
  say("late");
  assert.equal(texts(run.turn), "cd");
  it.ended("first", "done");
  await run.settled;
  assert.equal(it.turns.active, null);
});

test("nothing holds a turn that has ended for the texts that it has had", () => {
  const it = new Stage();
  const head = deltaHead({ turnId: "one" });
  it.start();
  it.answer("one");
  it.started("one");
  it.routes.deltas(deltaBatch([[head, "text"]]), 0, 1);
  assert.equal(head.taker, it.turns.get("one"));
  it.ended("one", "text");
  assert.equal(head.taker, null);
});

test("the turn of a prompt without an answer is stopped when it shows itself", async () => {
  const it = new Stage();
  const run = it.start();
  it.calls[0]!.refuse(new RequestTimeoutError("turn/start", 30));
  assert.equal((await run.settled).by, "error");
  await Promise.resolve();
  it.started("late");
  it.prompt("late", clientId(run));
  const interrupt = await it.called("turn/interrupt");
  assert.deepEqual(interrupt.params, { threadId: "T", turnId: "late" });
  it.say("turn/completed", { turn: { id: "late", status: "interrupted" } });
  assert.equal(it.turns.active, null);
  await run.over();
});

test("a turn that is over without an end was interrupted, and its prompt hears so", async () => {
  const it = new Stage();
  const run = it.begun("mine");
  it.turns.close();
  assert.deepEqual(await run.settled, { by: "server" });
  assert.equal(run.turn!.outcome.status, "interrupted");
  assert.deepEqual(it.heard(it.own), ["turnStarted mine", "turnCompleted mine"]);
  assert.deepEqual(it.heard(it.all), ["turnStarted mine", "turnCompleted mine"]);
});

test("what was named in the middle of a turn works by itself once that turn has ended", () => {
  const it = new Stage({ version: "0.104.0" });
  it.started("first");
  it.started("second");
  // As long as it is being stopped, the first one is not released.
  it.turns.rest.stopAll();
  it.say("turn/completed", { turn: { id: "first", status: "interrupted" } });
  it.prompt("second", { content: [] });
  assert.equal(it.turns.active?.turnId, "second");
  it.ended("second", "late");
  assert.equal(it.tokens, 7);
  assert.deepEqual(it.heard(it.all), [
    "turnStarted first",
    "turnCompleted first",
    "turnStarted second",
    "turnCompleted second",
  ]);
});

test("a turn that nobody asked for is stopped after its time, and has timed out", async () => {
  const it = new Stage({ timeoutMs: 5 });
  it.started("foreign");
  const interrupt = await it.called("turn/interrupt");
  assert.equal(interrupt.params["turnId"], "foreign");
  it.say("turn/completed", { turn: { id: "foreign", status: "interrupted" } });
  const end = it.all.findLast(({ type }) => type === "turnCompleted");
  assert.equal(end?.type === "turnCompleted" && end.status, "timedOut");
});

for (const by of ["everything", "this turn", "its time"]) {
  test(`a goal that would start the next turn is paused before the one at work is stopped: ${by}`, async () => {
    for (const status of ["active", "paused"]) {
      const it = new Stage({ timeoutMs: by === "its time" ? 5 : Infinity });
      it.say("thread/goal/updated", { goal: { status } });
      it.started("foreign");
      if (by === "everything") void it.turns.rest.stopAll();
      if (by === "this turn") void it.turns.rest.stopForeign(it.turns.active!);
      if (status === "active") {
        const { params } = await it.called("thread/goal/set");
        assert.equal(params["status"], "paused");
        assert.deepEqual(it.calls.map(({ method }) => method), ["thread/goal/set"]);
        it.calls[0]!.answer({});
      }
      await it.called("turn/interrupt");
      assert.equal(it.calls.length, status === "active" ? 2 : 1);
      it.say("turn/completed", { turn: { id: "foreign", status: "interrupted" } });
    }
  });
}

/** What stopping everything comes to, once the goal's pause was answered in these ways, one after the other. */
async function pausedWith(it: Stage, ...answers: (JsonValue | Error)[]): Promise<boolean> {
  const stopped = it.turns.rest.stopAll();
  for (const answer of answers) {
    const call = await it.called("thread/goal/set") as typeof it.calls[0];
    it.calls.splice(it.calls.indexOf(call), 1);
    if (answer instanceof Error) call.refuse(answer);
    else call.answer(answer);
  }
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  return await stopped;
}

test("a goal is paused on the next server where the connection was lost before it was", async () => {
  const it = new Stage();
  it.say("thread/goal/updated", { goal: { status: "active" } });
  assert.equal(await pausedWith(it, new ConnectionClosedError("gone"), {}), true);
});

test("a goal that may be there is paused; that there is none is no failure", async () => {
  const it = new Stage();
  it.turns.goalActive = null;
  assert.equal(
    await pausedWith(it, new RpcError("thread/goal/set", -32600, "no goal exists")),
    true,
  );
  it.say("thread/goal/cleared", {});
  assert.equal(await it.turns.rest.stopAll(), true);
  assert.deepEqual(it.calls, []);
});

test("whoever stops everything is not told that it has stopped when the goal's pause was not answered", async () => {
  const it = new Stage();
  it.say("thread/goal/updated", { goal: { status: "active" } });
  const stopped = it.turns.rest.stopAll();
  await it.called("thread/goal/set");
  it.calls[0]!.refuse(new RequestTimeoutError("thread/goal/set", 5_000));
  assert.equal(await stopped, false);
});

test("whoever stops one turn is not told that it has stopped when the goal may begin the next one", async () => {
  const it = new Stage();
  it.say("thread/goal/updated", { goal: { status: "active" } });
  it.started("foreign");
  const stopped = it.turns.rest.stopForeign(it.turns.active!);
  await it.called("thread/goal/set");
  it.calls[0]!.refuse(new RequestTimeoutError("thread/goal/set", 5_000));
  await it.called("turn/interrupt");
  it.say("turn/completed", { turn: { id: "foreign", status: "interrupted" } });
  assert.equal(await stopped, false);
});

test("nothing is active any more where the server ends while it is asked what it works on", async () => {
  for (const state of ["running", "restarting", "closed"]) {
    const it = new Stage();
    it.started("foreign");
    it.say("turn/completed", { turn: { id: "foreign", status: "completed" } });
    const stopped = it.turns.rest.stopAll();
    await it.called("thread/read");
    it.core.state = state;
    it.calls[0]!.refuse(new ConnectionClosedError("gone"));
    assert.equal(await stopped, state !== "running", state);
  }
});

test("a goal that the turn makes which is just being stopped is paused as well", async () => {
  const it = new Stage();
  it.started("foreign");
  const stopped = it.turns.rest.stopAll();
  await it.called("turn/interrupt");
  it.say("thread/goal/updated", { goal: { status: "active" } });
  it.say("turn/completed", { turn: { id: "foreign", status: "interrupted" } });
  await it.reply("thread/goal/set", {});
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  assert.equal(await stopped, true);
});

test("tokens of turns that began and ended unheard are counted, once", () => {
  const it = new Stage({ isNew: true });
  const tell = (turnId: string, total: number) =>
    it.say("thread/tokenUsage/updated", {
      turnId,
      tokenUsage: { total: { totalTokens: total }, last: { totalTokens: 10 } },
    });
  it.started("heard");
  tell("heard", 10);
  it.say("turn/completed", { turn: { id: "heard", status: "completed" } });
  // The connection was down meanwhile; what is told when it is there again names the last turn.
  tell("unheard", 40);
  tell("unheard", 40);
  assert.equal(it.tokens, 40);
  it.started("next");
  tell("next", 50);
  assert.equal(it.tokens, 50);
  it.say("turn/completed", { turn: { id: "next", status: "completed" } });
  // What a thread has used before this session is no turn's of it.
  const resumed = new Stage();
  resumed.say("thread/tokenUsage/updated", {
    turnId: "past",
    tokenUsage: { total: { totalTokens: 900 }, last: { totalTokens: 10 } },
  });
  assert.equal(resumed.tokens, 0);
});

test("nothing is told of a turn after its end", () => {
  const it = new Stage();
  it.started("foreign");
  const turn = it.turns.active!;
  const warning = { type: "warning" as const, threadId: "T", turnId: "foreign", message: "x" };
  turn.tell(warning);
  it.ended("foreign", "x");
  turn.tell(warning);
  assert.equal(it.all.filter(({ type }) => type === "warning").length, 1);
});

/** Runs with the timers that look after silent turns in the test's hands. */
async function withChecks(act: (check: () => void) => Promise<void>): Promise<void> {
  const { setInterval } = globalThis;
  const checks: (() => void)[] = [];
  globalThis.setInterval = ((check: () => void) => checks.push(check)) as never;
  try {
    await act(() => checks.forEach((check) => check()));
  } finally {
    globalThis.setInterval = setInterval;
  }
}

test("the next prompt is warned of what came last, however much came while there was none", async () => {
  const it = new Stage();
  for (let count = 1; count <= 1_000; count++) it.turns.warn(`warning ${count}`);
  const run = it.start();
  it.calls[0]!.answer({ turn: { id: "t1" } });
  await run.identified;
  const told = it.own.flatMap((event) => event.type === "warning" ? [event.message] : []);
  assert.deepEqual([told.length, told[0], told.at(-1)], [256, "warning 745", "warning 1000"]);
  assert.equal(it.all.filter(({ type }) => type === "warning").length, 1_000);
  it.turns.close();
});

test("a turn that is heard of while the server is asked about it goes on", () =>
  withChecks(async (check) => {
    for (const heard of [true, false]) {
      const it = new Stage();
      const run = it.begun("mine");
      // Once to forget what was heard, once to ask.
      check();
      assert.equal(it.calls.length, 1);
      check();
      await it.called("thread/read");
      if (heard) it.say("turn/plan/updated", { turnId: "mine", plan: [] });
      it.calls.at(-1)!.answer({ thread: { status: { type: "idle" } } });
      await it.called("thread/turns/list");
      it.calls.at(-1)!.answer({ data: [{ id: "mine", status: "completed" }] });
      await new Promise((resolve) => setTimeout(resolve));
      assert.equal(run.isSettled, !heard);
      if (heard) it.ended("mine", "x");
      assert.deepEqual(await run.settled, { by: "server" });
    }
  }));

test("an old server that sends no end of an answer is asked, and the turn ends by what was heard", () =>
  withChecks(async (check) => {
    const it = new Stage({ version: "0.104.0" });
    const run = it.start();
    it.answer("mine");
    it.started("mine");
    const item = { type: "agentMessage", id: "m", text: "whole" };
    it.say("item/completed", { turnId: "mine", item });
    check();
    check();
    const { params } = await it.called("turn/steer");
    assert.notEqual(params["expectedTurnId"], "mine");
    it.calls.at(-1)!.refuse(new RpcError("turn/steer", -32600, "no active turn to steer"));
    assert.deepEqual(await run.settled, { by: "server" });
    assert.equal(run.turn!.outcome.status, "completed");
  }));

test("where the past is not known, an old server's first count is the past's, a new one's is not", () => {
  for (const version of ["0.104.0", "0.125.0", "0.145.0", "0.169.0"]) {
    const it = new Stage({ version });
    const count = (total: number) =>
      it.say("thread/tokenUsage/updated", {
        turnId: "T1",
        tokenUsage: { total: { totalTokens: total }, last: { totalTokens: 7 } },
      });
    it.started("T1");
    it.prompt("T1", { content: [] });
    count(50);
    const first = it.tokens;
    assert.equal(first, version < "0.145" ? 0 : 7, version);
    count(57);
    assert.equal(it.tokens, first + 7);
    it.turns.close();
  }
});

test("a compaction of a thread that was taken up again counts what it used, and tells no other count", () => {
  for (const version of ["0.104.0", "0.125.0", "0.145.0", "0.169.0"]) {
    const it = new Stage({ version });
    const count = (total: number, last: number) =>
      it.say("thread/tokenUsage/updated", {
        turnId: "T1",
        tokenUsage: { total: { totalTokens: total }, last: { totalTokens: last } },
      });
    it.started("T1");
    it.say("item/started", { turnId: "T1", item: { type: "contextCompaction", id: "c" } });
    count(39, 13);
    assert.equal(it.tokens, 0, version);
    count(52, 13);
    count(52, 6470);
    assert.equal(it.tokens, 13, version);
    const told = it.all.flatMap((event) => event.type === "tokenUsage" ? event.usage : []);
    assert.deepEqual(told.map(({ totalTokens }) => totalTokens), [13, 13]);
    it.turns.close();
  }
});

test("a review that 0.104 begins by ending the active turn is told, whichever is heard of first", async () => {
  for (const answeredFirst of [false, true]) {
    const it = new Stage({ version: "0.104.0" });
    if (!answeredFirst) it.started("foreign");
    const run = it.start("look", "review/start");
    it.answer("review");
    await run.identified;
    if (answeredFirst) it.started("foreign");
    const stop = run.stop();
    it.started("review");
    it.say("turn/completed", { turn: { id: "foreign", status: "interrupted" } });
    it.say("item/started", { turnId: "review", item: { type: "enteredReviewMode", id: "r" } });
    it.say("turn/completed", { turn: { id: "review", status: "completed" } });
    assert.deepEqual(it.heard(it.all), [
      "turnStarted foreign",
      "turnStarted review",
      "turnCompleted foreign",
      "turnCompleted review",
    ]);
    assert.deepEqual(await run.settled, { by: "server" });
    assert.equal(await stop, true);
    it.turns.close();
  }
});

test("a prompt that was given up while another turn was active is stopped when it gets a turn after all", async () => {
  for (const version of ["0.104.0", "0.125.0", "0.145.0"]) {
    const it = new Stage({ version });
    it.started("compaction");
    const run = it.start();
    it.answer("mine");
    await run.identified;
    run.failed(new Error("given up"));
    it.say("turn/completed", { turn: { id: "compaction", status: "completed" } });
    it.started("mine");
    const isReal = version !== "0.104.0";
    assert.equal(it.heard(it.all).includes("turnStarted mine"), isReal, version);
    it.prompt("mine", version === "0.145.0" ? clientId(run) : { content: run.input });
    if (isReal) assert.equal((await it.called("turn/interrupt")).params["turnId"], "mine");
    it.turns.close();
  }
});

test("nothing is started for what was given up before", () => {
  const it = new Stage();
  const reason = new Error("enough");
  for (const method of ["turn/start", "review/start"] as const) {
    const start = () => it.start("hello", method, { signal: AbortSignal.abort(reason) });
    assert.throws(start, reason);
  }
  assert.deepEqual(it.calls, []);
});

test("a prompt that was given up before the server made it part of another turn is stopped there", async () => {
  for (const how of ["abort", "time"] as const) {
    const it = new Stage({ version: "0.145.0" });
    const stop = new AbortController();
    const run = it.start("hello", "turn/start", {
      signal: stop.signal,
      ...(how === "time" ? { timeoutMs: 1 } : {}),
    });
    it.answer("empty");
    if (how === "abort") stop.abort(new Error("enough"));
    else await new Promise((resolve) => setTimeout(resolve, 20));
    // Nothing was heard of the turn that it is part of.
    it.started("foreign");
    it.prompt("foreign", clientId(run));
    assert.equal((await it.called("turn/interrupt")).params["turnId"], "foreign");
    it.say("turn/completed", { turn: { id: "foreign", status: "interrupted" } });
    assert.equal((await run.settled).by, how === "abort" ? "abort" : "timeout");
    it.turns.close();
  }
});

test("stopping everything leaves the prompt that begins meanwhile, and stops what nobody asked for", async () => {
  const it = new Stage();
  const interrupted = () =>
    it.calls.filter(({ method }) => method === "turn/interrupt").map(({ params }) =>
      params["turnId"]
    );
  it.started("foreign");
  const stopping = it.turns.rest.stopAll();
  await it.called("turn/interrupt");
  it.say("turn/completed", { turn: { id: "foreign", status: "interrupted" } });
  // Somebody starts another one, which the server tells when it is asked.
  const read = await it.called("thread/read");
  it.started("another");
  (read as typeof it.calls[0]).answer({ thread: { status: { type: "active" } } });
  while (interrupted().length < 2) await new Promise((resolve) => setTimeout(resolve));
  it.say("turn/completed", { turn: { id: "another", status: "interrupted" } });
  // The next prompt in line has waited for that.
  const run = it.begun("mine");
  assert.equal(await stopping, true);
  assert.deepEqual(interrupted(), ["foreign", "another"]);
  it.ended("mine", "mine");
  assert.deepEqual(await run.settled, { by: "server" });
});

test("a thread that is let go is asked about first: what works there unheard is stopped", async () => {
  const it = new Stage();
  const leaving = it.turns.rest.leave(false);
  const calls: string[] = [];
  const answer = async (method: string, result: JsonValue) => {
    const call = await it.called(method) as typeof it.calls[0];
    calls.push(method);
    it.calls.splice(it.calls.indexOf(call), 1);
    call.answer(result);
  };
  await answer("thread/read", { thread: { status: { type: "active" } } });
  await answer("thread/turns/list", { data: [{ id: "unheard", status: "inProgress", items: [] }] });
  await answer("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "unheard", status: "interrupted" } });
  // It may have commands of which nothing is known.
  await answer("thread/backgroundTerminals/clean", {});
  await answer("thread/read", { thread: { status: { type: "idle" } } });
  await answer("thread/backgroundTerminals/clean", {});
  await answer("thread/unsubscribe", {});
  await leaving;
  assert.equal(calls.at(-1), "thread/unsubscribe");
  assert.deepEqual(it.adopted, ["unheard"]);
});

test("a turn that goes on untold after a dropped connection has ended for its prompt, and is stopped", async () => {
  // 0.104 has no list of turns, and does not say what it does.
  const table = [["0.145.0", "active", true], ["0.145.0", "idle", false], ["0.104.0", "", true]];
  for (const [version, status, stops] of table as [string, string, boolean][]) {
    const it = new Stage({ version });
    const run = it.begun("mine");
    const error = new ConnectionClosedError("The socket was dropped.");
    it.turns.connectionLost(error, true);
    const resuming = it.turns.rest.resume(error, it.turns.rest.turns);
    if (version !== "0.104.0") {
      await it.reply("thread/turns/list", {
        data: [{ id: "mine", status: "inProgress", items: [] }],
      });
    }
    await it.reply("thread/read", { thread: status === "" ? {} : { status: { type: status } } });
    assert.equal((await run.settled).by, "error");
    if (stops) await it.reply("turn/interrupt", {});
    // Nothing is known of its commands.
    if (stops && version !== "0.104.0") await it.reply("thread/backgroundTerminals/clean", {});
    // Nor of the agents that it has started meanwhile.
    if (version === "0.104.0") {
      await it.reply("thread/loaded/list", { data: ["child"] });
      const thread_spawn = { parent_thread_id: it.turns.threadId };
      await it.reply("thread/read", { thread: { source: { subAgent: { thread_spawn } } } });
      await it.reply("turn/interrupt", {});
    }
    await resuming;
    assert.deepEqual(it.calls.map(({ method }) => method), ["turn/start"]);
    // Its end is told already.
    it.ended("mine", "late");
    assert.deepEqual(it.heard(it.all), ["turnStarted mine", "turnCompleted mine"]);
  }
});

test("an end that comes before it is known what was lost with the connection is told after that", async () => {
  const missed = { type: "agentMessage", id: "2", text: "the answer" };
  for (
    const [version, record, answer] of [
      ["0.104.0", null, null],
      ["0.169.0", { status: "completed" }, "the answer"],
      // What is recorded may be older than what was told.
      ["0.169.0", { status: "inProgress" }, "the answer"],
    ] as const
  ) {
    const it = new Stage({ version });
    const run = it.begun("mine");
    it.say("item/completed", {
      turnId: "mine",
      item: { type: "agentMessage", id: "1", text: "I shall look." },
    });
    const error = new ConnectionClosedError("The socket was dropped.");
    it.turns.connectionLost(error, true);
    const resuming = it.turns.rest.resume(error, it.turns.rest.turns);
    it.say("turn/completed", { turn: { id: "mine", status: "completed" } });
    if (record !== null) {
      await it.reply("thread/turns/list", { data: [{ id: "mine", ...record, items: [missed] }] });
    } else await it.reply("thread/read", { thread: { status: { type: "idle" } } });
    const settled = await run.settled;
    assert.equal(settled.by, record === null ? "error" : "server", version);
    if (answer !== null) assert.equal(run.turn!.outcome.answer, answer);
    if (version === "0.104.0") await it.reply("thread/loaded/list", { data: [] });
    await resuming;
  }
});

test("the reason of an end is the first: a limit, also before the turn has a name, or who stopped it", async () => {
  const limit = { limit: "tokens", allowed: 10, used: 11 } as const;
  const end = async (act: (run: TurnRun, stop: AbortController, named: () => void) => unknown) => {
    const it = new Stage();
    const stop = new AbortController();
    const run = it.start("hello", "turn/start", { signal: stop.signal });
    const named = () => {
      it.answer("mine");
      it.started("mine");
    };
    void act(run, stop, named);
    await it.called("turn/interrupt");
    it.say("turn/completed", { turn: { id: "mine", status: "interrupted" } });
    await it.reply("turn/interrupt", {});
    await run.settled;
    const last = it.all.findLast(({ type }) => type === "turnCompleted")!;
    return last.type === "turnCompleted" ? last.error?.kind ?? null : undefined;
  };
  assert.equal(await end((run, _, named) => (named(), run.exceed(limit))), "budgetExceeded");
  assert.equal(await end((run, _, named) => (run.exceed(limit), named())), "budgetExceeded");
  assert.equal(await end((run, stop, named) => (named(), stop.abort(), run.exceed(limit))), null);
});

test("a turn that goes on after a dropped connection is stopped with commands of which nothing is known", async () => {
  const it = new Stage();
  const run = it.begun("mine");
  const error = new ConnectionClosedError("The socket was dropped.");
  it.turns.connectionLost(error, true);
  const resuming = it.turns.rest.resume(error, it.turns.rest.turns);
  await it.reply("thread/turns/list", { data: [{ id: "mine", status: "inProgress", items: [] }] });
  await resuming;
  const stopping = run.stop();
  await it.reply("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "mine", status: "interrupted" } });
  await it.reply("thread/backgroundTerminals/clean", {});
  assert.equal(await stopping, true);
});

test("the calls of tools of a turn end with it, whatever is heard of its end, and no others", async () => {
  const lost = new ConnectionClosedError("The socket was dropped.");
  const ended = new Stage();
  ended.begun("mine");
  ended.turns.connectionLost(lost, true);
  assert.deepEqual(ended.tools, []);
  const resuming = ended.turns.rest.resume(lost, ended.turns.rest.turns);
  ended.ended("mine", "said");
  await ended.reply("thread/turns/list", { data: [{ id: "mine", status: "completed" }] });
  await resuming;
  assert.deepEqual(ended.tools, [["T", "mine", "over"]]);

  const gone = new Stage();
  gone.begun("mine");
  gone.turns.connectionLost(lost, false);
  assert.deepEqual(gone.tools, [["T", "mine", "lost"]]);

  // It is stopped before the connection is lost, and while it is.
  const stopped = new Stage();
  const run = stopped.begun("mine");
  const stopping = run.stop();
  await stopped.called("turn/interrupt");
  stopped.turns.connectionLost(lost, true);
  assert.deepEqual(stopped.tools, Array(2).fill(["T", null, "stopped"]));
  const again = stopped.turns.rest.resume(lost, stopped.turns.rest.turns);
  stopped.say("turn/completed", { turn: { id: "mine", status: "interrupted" } });
  await stopped.reply("turn/interrupt", {});
  await stopped.reply("thread/turns/list", { data: [{ id: "mine", status: "inProgress" }] });
  await again;
  await stopped.reply("thread/backgroundTerminals/clean", {});
  await stopping;
  assert.deepEqual(stopped.tools.at(-1), ["T", "mine", "over"]);

  const closed = new Stage();
  closed.begun("mine");
  closed.turns.close();
  assert.deepEqual(closed.tools, [["T", "mine", "over"]]);

  // A review goes under two names.
  const review = new Stage();
  review.say("item/started", { turnId: "outer", item: { type: "enteredReviewMode", id: "r" } });
  review.started("inner");
  review.turns.close();
  assert.deepEqual(review.tools.map(([, turnId]) => turnId), ["outer", "inner"]);
});

test("a turn that is named before the one before it has counted counts only its own tokens", async () => {
  const it = new Stage({ version: "0.104.0", isNew: true });
  const uses = (turnId: string, total: number) =>
    it.say("thread/tokenUsage/updated", {
      turnId,
      tokenUsage: { total: { totalTokens: total }, last: { totalTokens: 13 } },
    });
  it.say("item/started", { turnId: "compaction", item: { type: "contextCompaction", id: "c" } });
  const run = it.begun("mine");
  uses("compaction", 13);
  it.say("turn/completed", { turn: { id: "compaction", status: "completed" } });
  it.prompt("mine", { content: [{ type: "text", text: "hello" }] });
  uses("mine", 13);
  uses("mine", 26);
  it.say("turn/completed", { turn: { id: "mine", status: "completed" } });
  await run.settled;
  assert.equal(it.tokens, 26);
  assert.equal(run.turn!.outcome.usage!.totalTokens, 13);
});

test("a turn that begins while the server is asked what it works on is told once", async () => {
  const it = new Stage();
  it.turns.rest.inDoubt = true;
  const idle = it.turns.rest.idle(new AbortController().signal, Infinity);
  await it.reply("thread/read", { thread: { status: { type: "active" } } });
  await it.called("thread/turns/list");
  it.started("foreign");
  await it.reply("thread/turns/list", { data: [{ id: "foreign", status: "inProgress" }] });
  await it.reply("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "foreign", status: "interrupted" } });
  await idle;
  assert.deepEqual(it.heard(it.all), ["turnStarted foreign", "turnCompleted foreign"]);
});

test("an agent that a turn was starting is stopped with it", async () => {
  const it = new Stage();
  const run = it.begun("mine");
  const call = (id: string, tool: string, end = false) =>
    it.say(end ? "item/completed" : "item/started", {
      turnId: "mine",
      item: { type: "collabAgentToolCall", id, tool, receiverThreadIds: [] },
    });
  call("started", "spawnAgent");
  call("started", "spawnAgent", true);
  call("waits", "wait");
  call("starts", "spawnAgent");
  const stopping = run.stop();
  await it.reply("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "mine", status: "interrupted" } });
  assert.equal(await stopping, true);
  assert.deepEqual(it.starting, ["starts"]);

  // One that does not stop is told.
  it.started("other");
  const item = { type: "collabAgentToolCall", id: "goes on", tool: "spawnAgent" };
  it.say("item/started", { turnId: "other", item });
  const all = it.turns.active!.stop();
  await it.reply("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "other", status: "interrupted" } });
  assert.equal(await all, false);
  it.turns.close();
});

test("a prompt that meets a turn that takes none waits for it, and is sent again", async () => {
  const it = new Stage();
  const run = it.start();
  it.started("compaction");
  const refuse = () =>
    it.refuse(new RpcError("turn/start", -32603, "ActiveTurnNotSteerable { … }"));
  refuse();
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(it.adopted, ["compaction"]);
  assert.equal(it.calls.length, 0, "it waits");
  it.ended("compaction", "");
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  const again = await it.called("turn/start");
  assert.equal(again.params["clientUserMessageId"], run.clientId);
  it.answer("mine");
  it.started("mine");
  it.ended("mine", "at last");
  assert.deepEqual(await run.settled, { by: "server" });
  assert.deepEqual(it.heard(it.own), ["turnStarted mine", "turnCompleted mine"]);

  // Nobody waits for it any more: it is not sent.
  it.calls.length = 0;
  const stop = new AbortController();
  const late = it.start("late", "turn/start", { signal: stop.signal });
  it.started("review");
  refuse();
  await new Promise((resolve) => setTimeout(resolve));
  stop.abort();
  assert.equal((await late.settled).by, "abort");
  await late.over();
  it.ended("review", "");
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(it.calls, []);
});

test("a prompt that the turn before left out is told so when that one has ended", async () => {
  const it = new Stage();
  it.started("foreign");
  const run = it.start();
  it.answer("dropped");
  it.ended("foreign", "done");
  // It may begin just now.
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  assert.equal(run.isSettled, false);
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  assert.deepEqual(await run.settled, { by: "server" });
  assert.equal(run.turn!.outcome.status, "interrupted");
  assert.deepEqual(it.heard(it.own), ["turnCompleted dropped"]);
  // One that begins all the same is nobody's, and is stopped.
  it.started("dropped");
  it.prompt("dropped", clientId(run));
  assert.equal((await it.called("turn/interrupt")).params["turnId"], "dropped");
  it.say("turn/completed", { turn: { id: "dropped", status: "interrupted" } });
  assert.deepEqual(it.heard(it.all).slice(2), ["turnStarted dropped", "turnCompleted dropped"]);
});

test("a server that calls the thread idle after an unanswered prompt is asked once more", async () => {
  const it = new Stage();
  const run = it.start();
  it.refuse(new RequestTimeoutError("turn/start", 30));
  assert.equal((await run.settled).by, "error");
  const idle = it.turns.rest.idle(new AbortController().signal, Infinity);
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  await idle;
  assert.deepEqual(it.calls, []);
  // What is in doubt for another reason is asked about once.
  it.turns.rest.inDoubt = true;
  const once = it.turns.rest.idle(new AbortController().signal, Infinity);
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  await once;
});

test("a prompt with the words of one that was not answered is not stopped for it", async () => {
  const it = new Stage({ version: "0.104.0" });
  const lost = it.start("hello");
  it.refuse(new RequestTimeoutError("turn/start", 30));
  await lost.settled;
  const run = it.start("hello");
  it.started("mine");
  it.prompt("mine", { content: [{ type: "text", text: "hello" }] });
  it.answer("mine");
  assert.equal(run.turn!.isStopping, false);
  it.ended("mine", "hello");
  assert.deepEqual(await run.settled, { by: "server" });
  assert.deepEqual(it.calls.map(({ method }) => method), ["turn/start"]);
});

test("a turn that nobody asked for and that can't be stopped holds no prompt up for ever", async () => {
  const it = new Stage();
  it.started("foreign");
  const now = performance.now;
  try {
    const idle = it.turns.rest.idle(new AbortController().signal, 60_000);
    const failed = assert.rejects(idle, TurnTimeoutError);
    const stopping = it.turns.active!.stop();
    const call = await it.called("turn/interrupt") as typeof it.calls[0];
    // The server refuses until nobody's patience is left.
    performance.now = () => now.call(performance) + 100_000;
    call.refuse(new RpcError("turn/interrupt", -1, "no"));
    for (let asked = 0; asked < 3; asked++) {
      await it.reply("thread/read", { thread: { status: { type: "active" } } });
    }
    assert.equal(await stopping, false);
    await failed;
  } finally {
    performance.now = now;
    it.turns.close();
  }
});

test("stopping everything waits for a turn that a raw request was promised, and stops it", async () => {
  const it = new Stage();
  const answer = Promise.withResolvers<JsonValue>();
  void it.turns.promised.asked("turn/start", { input: [] }, answer.promise);
  let stopped: boolean | null = null;
  const stopping = it.turns.rest.stopAll().then((value) => stopped = value);
  answer.resolve({ turn: { id: "theirs" } });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual([stopped, it.calls.length], [null, 0]);
  it.started("theirs");
  await it.reply("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "theirs", status: "interrupted" } });
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  await stopping;
  assert.equal(stopped, true);
});

test("stopping everything stops what is at work before it waits for what was promised", async () => {
  const it = new Stage();
  it.started("active");
  void it.turns.promised.asked("thread/compact/start", {}, Promise.resolve({}));
  const stopping = it.turns.rest.stopAll();
  await it.reply("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "active", status: "interrupted" } });
  it.started("compaction");
  assert.equal(it.turns.promised.size, 0);
  await it.reply("thread/read", { thread: { status: { type: "active" } } });
  await it.reply("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "compaction", status: "interrupted" } });
  await it.reply("thread/read", { thread: { status: { type: "idle" } } });
  assert.equal(await stopping, true);
});

test("a promised turn is waited for no longer when its prompt shows up, the server is gone, or nobody listens", async () => {
  const input = [{ type: "text", text: "more" }];
  const cases: ((it: Stage) => void)[] = [
    (it) => {
      it.started("active");
      it.prompt("active", { content: input });
    },
    (it) => it.turns.connectionLost(new ConnectionClosedError("gone"), false),
    (it) => it.turns.close(),
  ];
  for (const happens of cases) {
    const it = new Stage({ version: "0.145.0" });
    void it.turns.promised.asked("turn/start", { input }, Promise.resolve({ turn: { id: "X" } }));
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(it.turns.promised.size, 1);
    happens(it);
    assert.equal(it.turns.promised.size, 0);
    it.turns.close();
  }
});

test("a turn that has ended while the thread was let go of takes no name of the next one", async () => {
  for (const version of ["0.169.0", "0.145.0"]) {
    const it = new Stage({ version });
    it.started("before");
    const reopened = it.turns.rest.reopened();
    const record = { id: "before", status: "interrupted", items: [] };
    await it.reply("thread/turns/list", { data: [record] });
    if (version !== "0.169.0") {
      await it.reply("thread/read", { thread: { status: { type: "idle" } } });
      const call = await it.called("turn/interrupt") as typeof it.calls[0];
      call.refuse(new RpcError("turn/interrupt", -32600, "no active turn"));
      await it.reply("thread/read", { thread: { status: { type: "idle" } } });
    }
    await reopened;
    it.started("next");
    it.ended("next", "x");
    assert.deepEqual(it.heard(it.all), [
      "turnStarted before",
      "turnCompleted before",
      "turnStarted next",
      "turnCompleted next",
    ]);
  }
});

test("a turn that has ended takes no texts, so that another one is looked for", () => {
  const it = new Stage();
  it.begun("T1");
  const turn = it.turns.get("T1")!;
  const late = deltaBatch([[deltaHead({ turnId: "T1" }), "late"]]);
  assert.equal(turn.takes(late, 0, 1), true);
  it.say("turn/completed", { turn: { id: "T1", status: "completed" } });
  assert.equal(turn.takes(late, 0, 1), false);
  assert.equal(it.own.filter(({ type }) => type === "assistantMessageDelta").length, 1);
  it.turns.close();
});

test("whoever ends a session waits for the answer to its last prompt, and that turn is stopped as well", async () => {
  for (const last of [true, false]) {
    const it = new Stage();
    const run = it.start();
    let stopped: boolean | null = null;
    const stopping = it.turns.rest.stopAll(last).then((value) => stopped = value);
    await new Promise((resolve) => setTimeout(resolve));
    assert.deepEqual([stopped, it.calls.length], [null, 1]);
    it.answer("mine");
    it.started("mine");
    if (last) {
      await it.reply("turn/interrupt", {});
      it.say("turn/completed", { turn: { id: "mine", status: "interrupted" } });
      await run.settled;
    }
    await stopping;
    // The next prompt in line goes on where only what is at work is stopped.
    assert.deepEqual([stopped, run.isSettled], [true, last]);
    it.turns.close();
  }
});

test("a turn that is named when nobody listens any more is stopped, and one that waits is not asked for again", async () => {
  const it = new Stage();
  const run = it.start();
  it.turns.close();
  it.answer("late");
  it.started("late");
  await it.reply("turn/interrupt", {});
  it.say("turn/completed", { turn: { id: "late", status: "interrupted" } });
  assert.deepEqual(await run.settled, { by: "server" });
  assert.equal(run.turn!.outcome.status, "interrupted");

  const other = new Stage();
  other.started("review");
  const waiting = other.start();
  other.refuse(new RpcError("turn/start", -32603, "ActiveTurnNotSteerable { … }"));
  await new Promise((resolve) => setTimeout(resolve));
  other.turns.close();
  await other.reply("thread/read", { thread: { status: { type: "idle" } } });
  assert.equal((await waiting.settled).by, "error");
  assert.deepEqual(other.calls.map(({ method }) => method), []);
});

test("a thread that is left is not told to be at rest while a prompt has no answer", async () => {
  for (const last of [true, false]) {
    const it = new Stage();
    it.start();
    // Whoever interrupts it waits for its answer.
    assert.equal(await withoutTime(0, 6_000, () => it.turns.rest.stopAll(last)), !last);
  }
});

test("a prompt that is interrupted while it waits for a turn that takes none is not sent again", async () => {
  const it = new Stage();
  const run = it.start();
  it.started("review");
  it.refuse(new RpcError("turn/start", -32603, "ActiveTurnNotSteerable { … }"));
  await new Promise((resolve) => setTimeout(resolve));
  // The other turn goes on, also where the server would not stop it: whoever interrupts the prompt does not wait for it.
  const stopping = run.stop();
  const settled = await run.settled;
  assert.ok(settled.by === "abort" && settled.reason instanceof TurnInterruptedError);
  assert.deepEqual(it.own.map((event) => event.type === "turnCompleted" && event.status), [
    "interrupted",
  ]);
  assert.equal(await stopping, false);
  assert.deepEqual(it.calls, []);
  it.turns.close();
});

test("a prompt whose time runs out while it waits for a turn that takes none is on no server", async () => {
  const it = new Stage();
  const run = it.start("hello", "turn/start", { timeoutMs: 5 });
  it.started("review");
  it.refuse(new RpcError("turn/start", -32603, "ActiveTurnNotSteerable { … }"));
  assert.deepEqual(await run.settled, { by: "timeout", timeoutMs: 5, stopped: true });
  it.turns.close();
});

test("an answer that names a turn after its prompt has failed is not the next prompt's", async () => {
  const it = new Stage();
  const late = it.start("one");
  const [call] = it.calls;
  it.refuse(new RequestTimeoutError("turn/start", 30));
  assert.equal((await late.settled).by, "error");
  const next = it.start("two");
  it.say("warning", { message: "of the second" });
  call!.answer({ turn: { id: "late" } });
  assert.equal(next.turn, null);
  it.answer("mine");
  assert.equal(next.turnId, "mine");
  const { type, turnId } = it.own.at(-1)!;
  assert.deepEqual([type, turnId], ["warning", "mine"]);
  it.turns.close();
});

test("a turn whose end was told is over, also while it is still being stopped", async () => {
  const it = new Stage();
  const run = it.begun("one");
  assert.deepEqual([null, "one", "other"].map((id) => it.turns.isOver(id)), [false, false, false]);
  const stopping = run.stop();
  await it.called("turn/interrupt");
  it.say("turn/completed", { turn: { id: "one", status: "interrupted" } });
  assert.equal(it.turns.get("one") === undefined, false);
  assert.equal(it.turns.isOver("one"), true);
  it.turns.close();
  await it.reply("turn/interrupt", {});
  assert.equal(await stopping, true);
  assert.deepEqual([it.turns.get("one"), it.turns.isOver("one")], [undefined, true]);
});
