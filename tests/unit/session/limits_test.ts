import assert from "node:assert/strict";
import {
  BudgetExceededError,
  type ExceededLimit,
  InvalidArgumentError,
  PermissionDeniedError,
} from "../../../src/errors/mod.ts";
import type { JsonObject } from "../../../src/json.ts";
import { takeAsk } from "../../../src/session/profile_shape.ts";
import type { RunLimits } from "../../../src/session/profile.ts";
import {
  crossedLimit,
  NO_TOKENS,
  readContext,
  type RunCounts,
  RunMeter,
  TurnTally,
} from "../../../src/session/turn/turn_usage.ts";
import { type ForeignTurn, ForeignTurns } from "../../../src/session/thread/foreign_turns.ts";
import { Turn } from "../../../src/session/turn/turn.ts";
import { test } from "../../_harness.ts";
import { turnHost } from "./_turn_host.ts";

test("crossedLimit() ends a run that needs more than it may use, and no other", () => {
  const counts = (tokens: number, modelCalls: number, toolCalls: number): RunCounts => ({
    tokens,
    modelCalls,
    toolCalls,
  });
  const table: [RunLimits, RunCounts, number, ExceededLimit["limit"] | null][] = [
    [{}, counts(1e9, 1e6, 1e6), 1, null],
    // Another call follows: what is used up does not last for it.
    [{ tokens: 100 }, counts(99, 1, 0), 1, null],
    [{ tokens: 100 }, counts(100, 1, 0), 1, "tokens"],
    [{ modelCalls: 2 }, counts(9, 1, 0), 1, null],
    [{ modelCalls: 2 }, counts(9, 2, 0), 1, "modelCalls"],
    // None follows: only what is more than allowed ends it.
    [{ tokens: 100 }, counts(100, 1, 0), 0, null],
    [{ tokens: 100 }, counts(101, 1, 0), 0, "tokens"],
    [{ modelCalls: 2 }, counts(9, 2, 0), 0, null],
    [{ modelCalls: 2 }, counts(9, 3, 0), 0, "modelCalls"],
    // Tools are counted when they begin.
    [{ toolCalls: 2 }, counts(9, 9, 2), 1, null],
    [{ toolCalls: 2 }, counts(9, 9, 3), 0, "toolCalls"],
    [{ toolCalls: 0 }, counts(9, 9, 1), 1, "toolCalls"],
    [{ tokens: Infinity }, counts(1e15, 1, 1), 1, null],
    [{ tokens: 10, modelCalls: 1 }, counts(10, 1, 0), 1, "tokens"],
    // Each of several turns needs another call.
    [{ modelCalls: 6 }, counts(9, 3, 0), 3, null],
    [{ modelCalls: 6 }, counts(9, 3, 0), 4, "modelCalls"],
    [{ tokens: 100 }, counts(97, 9, 0), 3, null],
    [{ toolCalls: 2 }, counts(9, 9, 2), 9, null],
  ];
  for (const [limits, used, more, expected] of table) {
    const crossed = crossedLimit(limits, used, more);
    assert.equal(crossed?.limit ?? null, expected, JSON.stringify([limits, used, more]));
    if (crossed !== null) {
      assert.equal(crossed.allowed, limits[crossed.limit]);
      assert.equal(crossed.used, used[crossed.limit]);
    }
  }
});

test("TurnTally tells a turn that goes on from one that has answered", () => {
  const tally = new TurnTally();
  assert.equal(tally.more, true, "the first call follows");
  tally.item("userMessage");
  tally.item("reasoning");
  tally.item("commandExecution");
  tally.item("commandExecution");
  tally.called(10);
  assert.equal(tally.more, true, "the model hears of its tools");
  tally.item("agentMessage");
  tally.called(5);
  assert.equal(tally.more, false, "it has answered");
  tally.item("userMessage");
  assert.equal(tally.more, false);
  tally.item("reasoning");
  assert.equal(tally.more, true, "it goes on all the same");
  tally.called(1);
  assert.equal(tally.more, true, "no answer, no tool that has an item: another call follows");
  assert.deepEqual(tally.counts, { tokens: 16, modelCalls: 3, toolCalls: 2 });
  tally.ended();
  assert.equal(tally.more, false);
});

test("TurnTally goes by what came last: in which call it is told differs between servers", () => {
  const [call, tool, words] = ["call", "commandExecution", "agentMessage"];
  const table: [happened: string[], more: boolean][] = [
    [[tool, call], true],
    [[words, tool, call], true],
    [[call, tool], true],
    // The tool is told after its call: the answer that follows is an answer.
    [[call, tool, words, call], false],
    [[words, call, tool], true],
    [[words, call, tool, words, call], false],
    // A search of the provider's own, and the answer, in one call.
    [["webSearch", words, call], false],
    [["webSearch", words, call, tool], true],
    // A summary of the thread ends the turn that was begun for it; another one goes on.
    [["contextCompaction", call], false],
    [[tool, call, "contextCompaction", call, "reasoning"], true],
  ];
  for (const [happened, more] of table) {
    const tally = new TurnTally();
    for (const each of happened) each === call ? tally.called(1) : tally.item(each);
    assert.equal(tally.more, more, happened.join(" "));
  }
});

test("RunMeter adds up turns, stops the run once, and lets no turn begin without means", () => {
  const stops: ExceededLimit[] = [];
  const meter = new RunMeter({ modelCalls: 3 }, (exceeded) => stops.push(exceeded));
  const [first, second] = [new TurnTally(), new TurnTally()];
  first.called(1);
  first.called(1);
  first.ended();
  meter.add(first);
  assert.equal(meter.spent, null);
  second.called(1);
  meter.add(second);
  meter.check();
  assert.deepEqual(stops, [{ limit: "modelCalls", allowed: 3, used: 3 }]);
  assert.deepEqual(meter.spent, stops[0]);
  assert.deepEqual(meter.counts, { tokens: 3, modelCalls: 3, toolCalls: 0 });

  // Turns side by side, each of which needs another call.
  const beside = new RunMeter({ modelCalls: 4 }, (exceeded) => stops.push(exceeded));
  const turns = Array.from({ length: 4 }, () => new TurnTally());
  turns[0]!.called(1);
  for (const turn of turns.slice(0, 3)) beside.add(turn);
  assert.equal(beside.exceeded, null);
  beside.add(turns[3]!);
  assert.deepEqual(stops[1], { limit: "modelCalls", allowed: 4, used: 1 });
  // One that was let go of needs none.
  const left = new Turn(turnHost(), "left", null);
  const free = new RunMeter({ modelCalls: 1 }, () => assert.fail("one call is left"));
  left.measure(free);
  left.release();
  free.add(new TurnTally());

  // Limits are what they were then, also those that a class of the caller's has as accessors.
  class Limits {
    allowed = 2;
    get tokens(): number {
      return this.allowed;
    }
  }
  const limits = new Limits();
  const used = new RunMeter(limits, () => assert.fail("nothing is at work"));
  limits.allowed = 1_000;
  used.add(first);
  assert.deepEqual(used.spent, { limit: "tokens", allowed: 2, used: 2 });
});

test("what is no limit is refused at the door", () => {
  const wrong = [
    { tokens: 0 },
    { tokens: -1 },
    { modelCalls: 0.5 },
    { toolCalls: -1 },
    { tokens: NaN },
    { tokens: "many" },
    { turns: 3 },
    7,
  ];
  for (const limits of wrong) {
    assert.throws(() => takeAsk("ask", "x", { limits }), InvalidArgumentError);
  }
  takeAsk("ask", "x", { limits: { tokens: Infinity, modelCalls: 1, toolCalls: 0 } });
});

test("what nobody asked for has the session's limits: a turn by itself, those of a goal together", async () => {
  const warned: string[] = [];
  let stops = 0;
  const foreign = new ForeignTurns({
    limits: { modelCalls: 2 },
    timeoutMs: 1_000,
    rateLimits: undefined,
    count: () => {},
    recheck: () => Promise.resolve(),
    stopAll: () => Promise.resolve(stops++),
  });
  const goal = (status: string) =>
    foreign.notification("thread/goal/updated", { goal: { status } });
  let told = 0;
  const host = turnHost(({ type, turnId }) => void (type === "warning" && warned.push(turnId)));
  const begin = (id: string): Turn => {
    const turn = new Turn(host, id, null);
    turn.notification("turn/started", { turn: { id } });
    assert.equal(foreign.adopt(turn), 1_000);
    return turn;
  };
  /** A turn of one model call. */
  const oneCall = (id: string): Turn => {
    const turn = begin(id);
    turn.notification("item/started", { turnId: id, item: { type: "agentMessage", id: "m" } });
    const tokenUsage = { total: { totalTokens: told += 5 }, last: { totalTokens: 5 } };
    turn.notification("thread/tokenUsage/updated", { turnId: id, tokenUsage });
    turn.notification("turn/completed", { turn: { id, status: "completed" } });
    return turn;
  };
  for (const id of ["a", "b", "c"]) oneCall(id);
  assert.equal(stops, 0, "each has its own");
  goal("active");
  for (const id of ["d", "e"]) oneCall(id);
  assert.equal(stops, 0);
  goal("active");
  const claimed = Promise.withResolvers<unknown>();
  const unclaim = foreign.claim((turn) => {
    const run = foreign.take(turn, null);
    void run.ended.then(claimed.resolve);
    return run;
  });
  const third = begin("f");
  unclaim();
  assert.deepEqual([stops, warned], [1, ["f"]], "the third is more than they may use together");
  third.notification("turn/completed", { turn: { id: "f", status: "interrupted" } });
  assert.ok(await claimed.promise instanceof BudgetExceededError);
  // The next goal, or the same one when it was resumed, begins anew.
  goal("paused");
  goal("active");
  for (const id of ["g", "h"]) oneCall(id);
  assert.equal(stops, 1);
  const last = begin("too many");
  assert.equal(stops, 2);
  last.notification("turn/completed", { turn: { id: "too many", status: "interrupted" } });
  foreign.notification("thread/goal/cleared", {});
  for (const id of ["i", "j", "k"]) oneCall(id);
  assert.equal(stops, 2);

  // An agent outlives a turn, and needs more than that may use: what is active by now is not stopped for it.
  const ended = oneCall("l");
  assert.equal(ended.phase, "released");
  for (let agents = 0; agents < 2; agents++) ended.meter!.add(new TurnTally());
  await ended.meter!.over.promise;
  assert.equal(stops, 2);
  // That of a goal's turn stops the goal, which is between two of its turns.
  goal("active");
  const ofGoal = oneCall("m");
  for (let agents = 0; agents < 2; agents++) ofGoal.meter!.add(new TurnTally());
  await ofGoal.meter!.over.promise;
  assert.equal(stops, 3);
});

test("goals that a goal's own turns make, one after the other, have its limits together; so has what went unheard", () => {
  let stops = 0;
  const counted: number[] = [];
  const foreign: ForeignTurns = new ForeignTurns({
    limits: { tokens: 20 },
    timeoutMs: 1_000,
    rateLimits: undefined,
    count: ({ totalTokens }) => counted.push(totalTokens),
    recheck: () => Promise.resolve(),
    stopAll: () => Promise.resolve(stops++),
  });
  const goal = (status: string) =>
    foreign.notification("thread/goal/updated", { goal: { status } });
  const tokens = (totalTokens: number) => ({ ...NO_TOKENS, totalTokens });
  const begin = (id: string): Turn => {
    const turn = new Turn(turnHost(), id, NO_TOKENS);
    turn.notification("turn/started", { turn: { id } });
    foreign.adopt(turn);
    return turn;
  };
  const end = (turn: Turn, id: string) => {
    const tokenUsage = { total: { totalTokens: 9 }, last: { totalTokens: 9 } };
    turn.notification("item/started", { turnId: id, item: { type: "agentMessage", id: "m" } });
    turn.notification("thread/tokenUsage/updated", { turnId: id, tokenUsage });
    turn.notification("turn/completed", { turn: { id, status: "completed" } });
  };
  goal("active");
  for (const id of ["a", "b"]) {
    const turn = begin(id);
    goal("complete");
    goal("active");
    end(turn, id);
  }
  assert.equal(stops, 0);
  const third = begin("c");
  goal("complete");
  goal("active");
  end(third, "c");
  assert.equal(stops, 1, "the third of 9 tokens is more than 20");
  // Whoever asks for another one meanwhile has limits of its own for it.
  goal("paused");
  goal("active");
  end(begin("d"), "d");
  foreign.count(tokens(5), null);
  assert.equal(stops, 1);
  foreign.count(tokens(7), null);
  assert.equal(stops, 2);
  assert.deepEqual(counted, [5, 7]);
});

test("a turn tells its meter of every call and item, those before it had one included", () => {
  const turn = new Turn(turnHost(), "U", null, true);
  const say = (method: string, params: JsonObject) =>
    turn.notification(method, { threadId: "T", turnId: "U", ...params });
  const tokens = (total: number) =>
    say("thread/tokenUsage/updated", {
      tokenUsage: { total: { totalTokens: total }, last: { totalTokens: 10 } },
    });
  const command = { type: "commandExecution", id: "c" };
  say("item/started", { item: command });
  tokens(10);
  tokens(10);
  const stops: ExceededLimit[] = [];
  const meter = new RunMeter({ tokens: 20, toolCalls: 5 }, (exceeded) => stops.push(exceeded));
  turn.give({ emit: null, meter, completed: () => {}, failed: () => {} });
  assert.deepEqual(meter.counts, { tokens: 10, modelCalls: 1, toolCalls: 1 });
  say("item/completed", { item: command });
  say("item/started", { item: { type: "agentMessage", id: "m" } });
  tokens(20);
  assert.deepEqual(stops, [], "the answer is there");
  say("item/started", { item: { type: "reasoning", id: "r" } });
  assert.deepEqual(stops, [{ limit: "tokens", allowed: 20, used: 20 }]);
  turn.release();
});

test("readContext() reads how full the model's context is", () => {
  const usage = (total: number, window: number | null) => ({
    last: { totalTokens: total },
    modelContextWindow: window,
  });
  assert.deepEqual(readContext(usage(50, 200)), {
    usedTokens: 50,
    windowTokens: 200,
    percent: 25,
  });
  assert.deepEqual(readContext(usage(1, 3000)).percent, 0);
  assert.deepEqual(readContext(usage(900, 200)).percent, 100);
  assert.deepEqual(readContext(usage(7, null)), {
    usedTokens: 7,
    windowTokens: null,
    percent: null,
  });
  assert.equal(readContext({}).usedTokens, 0);
});

test("what this script may no longer do itself is stopped when codex begins it, and whoever waits for it is told", async () => {
  const warned: string[] = [];
  let stops = 0;
  const revoked = new PermissionDeniedError("It", ["--allow-write=/w"]);
  const foreign = new ForeignTurns({
    limits: {},
    timeoutMs: 1_000,
    rateLimits: undefined,
    count: () => {},
    recheck: () => Promise.reject(revoked),
    stopAll: () => Promise.resolve(stops++),
  });
  const host = turnHost((event) => void (event.type === "warning" && warned.push(event.message)));
  let run: ForeignTurn | undefined;
  for (const waits of [false, true]) {
    if (waits) foreign.claim((turn) => run = foreign.take(turn, () => {}));
    const turn = new Turn(host, `${waits}`, null);
    turn.notification("turn/started", { turn: { id: `${waits}` } });
    foreign.adopt(turn);
    await Promise.resolve();
    turn.notification("turn/completed", { turn: { id: `${waits}`, status: "interrupted" } });
  }
  assert.equal(stops, 2);
  assert.match(warned[0]!, /stopped: .*--allow-write=\/w/);
  assert.equal(await run!.ended, revoked);
});
