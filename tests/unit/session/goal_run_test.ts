import assert from "node:assert/strict";
import {
  ConnectionClosedError,
  PermissionDeniedError,
  PolicyError,
  ThreadInUseError,
} from "../../../src/errors/mod.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { ForeignTurns, type ForeignTurnsHost } from "../../../src/session/thread/foreign_turns.ts";
import {
  assertWorksOnGoals,
  beganOtherwise,
  Goal,
  goalEnd,
} from "../../../src/session/thread/goal.ts";
import type { GoalOptions } from "../../../src/session/profile.ts";
import type { ThreadHost } from "../../../src/session/thread/thread_host.ts";
import { Turn, type TurnHost } from "../../../src/session/turn/turn.ts";
import { NO_TOKENS } from "../../../src/session/turn/turn_usage.ts";
import { test } from "../../_harness.ts";
import { turnHost } from "./_turn_host.ts";

test("goalEnd() ends a goal by the server's word, and not for a pause of our own", () => {
  const table: [JsonObject | null, boolean, string | null][] = [
    [{ status: "active" }, false, null],
    [{ status: "active" }, true, null],
    [{ status: "paused" }, true, null],
    [{ status: "paused" }, false, "stopped"],
    [{ status: "complete" }, false, "complete"],
    [{ status: "complete" }, true, "complete"],
    [{ status: "blocked" }, false, "blocked"],
    [{ status: "budgetLimited" }, false, "budgetLimited"],
    [{ status: "usageLimited" }, false, "usageLimited"],
    [null, false, "stopped"],
    [null, true, "stopped"],
    // What a newer codex says is no end that is known.
    [{ status: "resting" }, false, null],
    [{ status: "toString" }, false, null],
    [{}, false, null],
  ];
  for (const [goal, asked, expected] of table) {
    assert.equal(goalEnd(goal, asked), expected, JSON.stringify([goal, asked]));
  }
});

test("a goal that is stopped while the connection is down ends on the next one, where the server works on", async () => {
  for (const [attached, connects] of [[true, true], [true, false], [false, false]]) {
    const called: string[] = [];
    const core = {
      state: "restarting",
      config: attached ? { transport: { type: "websocket", url: "ws://127.0.0.1:1" } } : {},
      call: (method: string) => {
        if (!connects) return Promise.reject(new ConnectionClosedError("gone"));
        core.state = "running";
        called.push(method);
        return Promise.resolve({});
      },
    };
    const host = {
      core,
      threadId: "T",
      profile: { limits: {} },
      foreign: { claim: () => () => {}, watch: () => () => {} },
      turns: { rest: { stopAll: () => Promise.resolve(called.push("stopAll") > 0) } },
      toolHooksDone: () => Promise.resolve(),
      stored: () => Promise.resolve(),
      stopAgents: () => Promise.resolve(called.push("stopAgents") > 0),
      goalLost: () => void called.push("lost"),
    } as unknown as ThreadHost;
    const hooks = { post: () => Promise.resolve(), report: {} } as never;
    const release = () => void called.push("released");
    const goal = new Goal(host, {
      objective: "x",
      options: {},
      hooks,
      reopened: false,
      release,
    });
    assert.equal((await goal.stop()).status, "stopped");
    assert.deepEqual(
      called,
      connects
        ? ["thread/read", "stopAll", "stopAgents", "thread/goal/clear", "stopAll", "released"]
        : ["lost", "released"],
    );
  }
});

/** A goal, and what codex tells of its thread. */
function goalOn(
  options: GoalOptions = {},
  more: Partial<ForeignTurnsHost> = {},
  store = () => Promise.resolve(),
): { goal: Goal; foreign: ForeignTurns; told: string[] } {
  const told: string[] = [];
  const foreign: ForeignTurns = new ForeignTurns({
    limits: {},
    timeoutMs: 1_000,
    rateLimits: undefined,
    count: () => {},
    recheck: () => Promise.resolve(),
    stopAll: () => Promise.resolve(),
    ...more,
  });
  const host = {
    core: { state: "closed" },
    threadId: "T",
    profile: { limits: {} },
    foreign,
    turns: { rest: { stopAll: () => Promise.resolve(true) } },
    toolHooksDone: () => Promise.resolve(),
    stored: store,
    stopAgents: () => Promise.resolve(true),
    goalLost: () => {},
    listeners: { emit: (event: { message: string }) => void told.push(event.message) },
  } as unknown as ThreadHost;
  const goal = new Goal(host, {
    objective: "mine",
    options,
    hooks: { post: () => Promise.resolve(), report: {} } as never,
    reopened: false,
    release: () => void told.push("released"),
  });
  return { goal, foreign, told };
}

test("a goal in whose place somebody has set another one was stopped, not reached", async () => {
  const { goal, foreign } = goalOn();
  const tell = (objective: string, status: string) =>
    foreign.notification("thread/goal/updated", { goal: { objective, status } });
  tell("mine", "active");
  tell("theirs", "active");
  tell("theirs", "complete");
  assert.equal((await goal.finish()).status, "stopped");
});

test("a turn that a goal's limit stops tells that at its end, as one that begins when it is used up does", async () => {
  const usage = (totalTokens: number) => {
    const count = { ...NO_TOKENS, totalTokens };
    return { tokenUsage: { total: count, last: count } };
  };
  const begin = (foreign: ForeignTurns) => {
    const turn = new Turn(turnHost(), "u", NO_TOKENS);
    foreign.adopt(turn);
    turn.notification("turn/started", { turn: { id: "u" } });
    return turn;
  };
  const within = goalOn({ limits: { tokens: 20 } });
  const turn = begin(within.foreign);
  turn.notification("thread/tokenUsage/updated", usage(21));
  const used = goalOn({ limits: { tokens: 20 } });
  used.foreign.count({ ...NO_TOKENS, totalTokens: 20 }, null);
  const next = begin(used.foreign);
  for (const each of [turn, next]) {
    each.notification("turn/completed", { turn: { id: "u", status: "interrupted" } });
    assert.equal(each.outcome.stoppedBy?.kind, "budgetExceeded");
  }
  for (const { goal } of [within, used]) {
    assert.equal((await goal.finish()).status, "budgetLimited");
  }
});

test("a goal whose last turn could not be stored says so, and lets the thread go", async () => {
  const { goal, foreign, told } = goalOn(
    {},
    {},
    () => Promise.reject(new Error("the disk is full")),
  );
  foreign.notification("thread/goal/updated", { goal: { objective: "mine", status: "complete" } });
  await assert.rejects(goal.finish(), /the disk is full/);
  assert.deepEqual(told, ["released"]);
});

test("a goal has its own limit for what turns have used of which nothing was heard", async () => {
  const { goal, foreign, told } = goalOn({ limits: { tokens: 20 } });
  foreign.count({ ...NO_TOKENS, totalTokens: 19 }, null);
  foreign.notification("thread/goal/updated", { goal: { objective: "mine", status: "active" } });
  foreign.count({ ...NO_TOKENS, totalTokens: 2 }, null);
  foreign.notification("thread/goal/updated", { goal: { objective: "mine", status: "complete" } });
  const { status, usage } = await goal.finish();
  assert.deepEqual([status, usage.totalTokens], ["budgetLimited", 21]);
  // Who listens to the session is told, too.
  assert.deepEqual(told, [
    "The goal needs more than its limits.tokens of 20 and is being stopped.",
    "released",
  ]);
});

test("assertWorksOnGoals() tells a codex that takes a goal and does nothing", async () => {
  const goals = (enabled: boolean) => ({ data: [{ name: "goals", enabled }], nextCursor: null });
  const others = { data: [{ name: "apps", enabled: false }], nextCursor: "more" };
  const websocket = { transport: { type: "websocket", url: "ws://127.0.0.1:1" } };
  const table: [pages: JsonValue[], config: object, expected: unknown][] = [
    [[goals(true)], {}, null],
    [[others, goals(true)], websocket, null],
    [[others, goals(false)], {}, PolicyError],
    [[goals(false)], websocket, ThreadInUseError],
    // What does not say is believed.
    [[{ data: [], nextCursor: null }], websocket, null],
    [[null], {}, null],
    // Nobody is asked without end.
    [[...Array(8).fill(others), goals(false)], websocket, null],
  ];
  for (const [pages, config, expected] of table) {
    const left = [...pages];
    const host = {
      core: { config, call: () => Promise.resolve(left.shift()) },
      threadId: "T",
    } as unknown as ThreadHost;
    const error = await assertWorksOnGoals(host).then(() => null, (error) => error);
    if (expected === null) assert.equal(error, null);
    else assert.ok(error instanceof (expected as typeof PolicyError), `${error}`);
    assert.equal(left.length, Math.max(0, pages.length - 8));
  }
});

test("beganOtherwise() tells turns of others by their first item", () => {
  const table: [JsonObject, boolean][] = [
    [{ type: "userMessage", clientId: "queued" }, true],
    [{ type: "userMessage", clientId: null }, true],
    [{ type: "enteredReviewMode" }, true],
    [{ type: "commandExecution", source: "userShell" }, true],
    [{ type: "commandExecution", source: "agent" }, false],
    [{ type: "commandExecution" }, false],
    [{ type: "agentMessage" }, false],
    [{ type: "reasoning" }, false],
    // Codex makes the history shorter within turns of a goal as well.
    [{ type: "contextCompaction" }, false],
    [{}, false],
  ];
  for (const [item, expected] of table) {
    assert.equal(beganOtherwise(item), expected, JSON.stringify(item));
  }
});

test("a goal's turns are those that no prompt began; the others have the session's limits and time", async () => {
  const adopted: string[] = [];
  const foreign: ForeignTurns = new ForeignTurns({
    limits: { tokens: 10 },
    timeoutMs: 7,
    rateLimits: undefined,
    count: () => {},
    recheck: () => Promise.resolve(),
    stopAll: () => Promise.resolve(adopted.push("stopAll")),
  });
  const limits: [string, number][] = [];
  const host = {
    core: { state: "closed" },
    threadId: "T",
    profile: { limits: {} },
    foreign,
    turns: {
      rest: {
        stopAll: () => Promise.resolve(true),
        limit: ({ turnId }: Turn, ms: number) => void limits.push([turnId, ms]),
      },
    },
    toolHooksDone: () => Promise.resolve(),
    stored: () => Promise.resolve(),
    stopAgents: () => Promise.resolve(true),
    goalLost: () => {},
    listeners: { emit: null },
  } as unknown as ThreadHost;
  const goal = new Goal(host, {
    objective: "x",
    options: { limits: {} },
    hooks: { post: () => Promise.resolve(), report: {} } as never,
    reopened: false,
    release: () => {},
  });
  foreign.notification("thread/goal/updated", { goal: { status: "active" } });
  const turnHost = {
    core: { endOrphans: () => {}, rateLimits: undefined },
    threadId: "T",
    listeners: { emit: null },
    count: () => {},
    released: () => {},
  } as unknown as TurnHost;
  const begin = (turnId: string, first: JsonObject) => {
    const turn = new Turn(turnHost, turnId, NO_TOKENS);
    const timeoutMs = foreign.adopt(turn);
    turn.notification("turn/started", { turn: { id: turnId } });
    // What is no item shows nothing.
    turn.notification("turn/somethingNew", { turnId });
    turn.notification("turn/diff/updated", { turnId, diff: "x" });
    turn.notification("item/started", { turnId, item: { id: "first", ...first } });
    return { turn, timeoutMs };
  };
  const end = (turn: Turn, status: string) => {
    const { turnId } = turn;
    const item = { type: "agentMessage", id: "m", text: turnId };
    const last = { totalTokens: 13, inputTokens: 10, outputTokens: 3 };
    turn.notification("item/completed", { turnId, item });
    turn.notification("thread/tokenUsage/updated", { turnId, tokenUsage: { total: last, last } });
    turn.notification("turn/completed", { turn: { id: turnId, status } });
  };
  const own = begin("own", { type: "agentMessage", text: "" });
  assert.equal(own.timeoutMs, Infinity);
  end(own.turn, "completed");
  assert.deepEqual(limits, []);
  // One that waits for any turn gets those that are not the goal's.
  const taken: string[] = [];
  const unclaim = foreign.claim((turn) => {
    taken.push(turn.turnId);
    return null;
  });
  const { turn } = begin("queued", { type: "userMessage", content: [] });
  unclaim();
  assert.deepEqual(taken, ["queued"]);
  assert.deepEqual(limits, [["queued", 7]]);
  assert.deepEqual(adopted, []);
  end(turn, "failed");
  assert.deepEqual(adopted, ["stopAll"], "the session's limit");
  // What went unheard while the connection was down is the goal's.
  foreign.count({ ...NO_TOKENS, totalTokens: 4 }, null);
  const last = begin("last", { type: "agentMessage", text: "" });
  // Its end is told while the goal's last turn is active.
  foreign.notification("thread/goal/updated", { goal: { status: "complete" } });
  end(last.turn, "completed");
  const { status, turns, usage } = await goal.finish();
  assert.equal(status, "complete");
  assert.deepEqual(turns.map(({ turnId }) => turnId), ["own", "last"]);
  assert.equal(usage.totalTokens, 30);
  const told: string[] = [];
  for (;;) {
    const { done, value } = await goal.queue.read();
    if (done) break;
    told.push(`${value.turnId} ${value.type}`);
  }
  assert.deepEqual(told.filter((each) => /turn[SC]/.test(each)), [
    "own turnStarted",
    "own turnCompleted",
    "last turnStarted",
    "last turnCompleted",
  ]);
  assert.ok(!told.some((each) => each.startsWith("queued")));
});

test("only what comes of a goal is judged by what the goal may do", () => {
  const judged: boolean[] = [];
  const foreign = new ForeignTurns({
    limits: {},
    timeoutMs: 1_000,
    rateLimits: undefined,
    count: () => {},
    recheck: (isGoal) => Promise.resolve(void judged.push(isGoal)),
    stopAll: () => Promise.resolve(),
  });
  const adopt = (alone: boolean) => {
    const host = {
      core: { endOrphans: () => {} },
      threadId: "T",
      listeners: { emit: null },
      count: () => {},
      released: () => {},
    } as unknown as TurnHost;
    const turn = new Turn(host, "u", NO_TOKENS);
    foreign.adopt(turn, alone);
    turn.notification("turn/completed", { turn: { id: "u", status: "completed" } });
  };
  adopt(false);
  foreign.notification("thread/goal/updated", { goal: { status: "active" } });
  adopt(false);
  adopt(true);
  assert.deepEqual(judged, [false, true, false]);
});

test("a goal ends with what this script may no longer do itself", async () => {
  const revoked = new PermissionDeniedError("It", ["--allow-write=/w"]);
  const turn = new Turn(turnHost(), "t", NO_TOKENS);
  const { goal, foreign } = goalOn({}, {
    recheck: () => Promise.reject(revoked),
    stopAll: async () => {
      // Codex tells of the pause before the turn has ended.
      foreign.notification("thread/goal/updated", { goal: { status: "paused" } });
      await Promise.resolve();
      turn.notification("turn/completed", { turn: { id: "t", status: "interrupted" } });
    },
  });
  foreign.notification("thread/goal/updated", { goal: { status: "active" } });
  turn.notification("turn/started", { turn: { id: "t" } });
  foreign.adopt(turn);
  await assert.rejects(goal.finish(), revoked);
});
