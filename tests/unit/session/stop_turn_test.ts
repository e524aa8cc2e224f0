import assert from "node:assert/strict";
import { ConnectionClosedError, RequestTimeoutError, RpcError } from "../../../src/errors/mod.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import type { JsonObject } from "../../../src/json.ts";
import {
  findLostEnd,
  type StopClock,
  type StopLimits,
  stopTurn,
} from "../../../src/session/turn/stop_turn.ts";
import { recordedTurn, tellsState } from "../../../src/session/turn/resume_turns.ts";
import { TurnOutcome } from "../../../src/session/turn/turn_outcome.ts";
import { test } from "../../_harness.ts";

const LIMITS: StopLimits = { call: 2_000, begin: 5_000, end: 4_000, patience: 10_000 };

/** A clock on which time passes only while nothing else happens. */
function stillClock(): StopClock & { pass(ms: number): void } {
  let now = 0;
  return {
    pass: (ms) => void (now += ms),
    now: () => now,
    within: async (promise, ms, otherwise) => {
      let settled = false;
      const first = promise.then((value) => {
        settled = true;
        return value;
      });
      await new Promise((resolve) => setTimeout(resolve));
      if (settled) return await first;
      now += ms;
      return otherwise;
    },
  };
}

interface Stage {
  /** Calls of the server, by method. */
  called: string[];
  stop: () => Promise<boolean>;
  begin: () => void;
  end: () => void;
  /** So much time passes. */
  pass: (ms: number) => void;
  outcome: TurnOutcome;
}

function stage(
  answer: (method: string, n: number, stage: Stage) => Promise<unknown> | unknown,
  version = "0.169.0",
  attached = false,
): Stage {
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const called: string[] = [];
  const clock = stillClock();
  const call = async (method: string) => {
    called.push(method);
    return await answer(method, called.length, it);
  };
  const core = {
    state: "running",
    server: { version },
    config: attached ? { transport: { type: "websocket", url: "ws://127.0.0.1:1" } } : {},
    call,
    callNow: call,
  } as unknown as RuntimeCore;
  const it: Stage = {
    called,
    begin: begun.resolve,
    end: ended.resolve,
    pass: clock.pass,
    outcome: new TurnOutcome("T", "U", null),
    stop: () =>
      stopTurn(
        {
          core,
          threadId: "T",
          turnId: "U",
          started: begun.promise,
          completed: ended.promise,
          outcome: it.outcome,
          refused: () => {},
          missed: () => false,
        },
        LIMITS,
        clock,
      ),
  };
  return it;
}

const never = () => new Promise(() => {});

test("a turn is interrupted once it has begun, and its end is waited for", async () => {
  const it = stage((_method, _n, { end }) => (queueMicrotask(end), {}));
  const stopping = it.stop();
  await Promise.resolve();
  assert.deepEqual(it.called, []);
  it.begin();
  assert.equal(await stopping, true);
  assert.deepEqual(it.called, ["turn/interrupt"]);
});

test("a turn that ends by itself meanwhile needs no interrupt", async () => {
  const it = stage(never);
  it.end();
  assert.equal(await it.stop(), true);
  assert.deepEqual(it.called, []);
});

test("an interrupt that is never answered is let go when the turn ends", async () => {
  const it = stage((_method, _n, { end }) => (queueMicrotask(end), never()));
  it.begin();
  assert.equal(await it.stop(), true);
});

test("a refused or unanswered interrupt is sent again, until patience ends", async () => {
  const refuse = stage(() => {
    throw new RpcError("turn/interrupt", -32600, "no active turn to interrupt");
  });
  assert.equal(await refuse.stop(), false);
  // 50 ms after the first one, 100 after the second, then every half a second, for ten seconds.
  assert.equal(refuse.called.length, 25);
  const silent = stage((method) => {
    throw new RequestTimeoutError(method, 5);
  });
  silent.begin();
  assert.equal(await silent.stop(), false);
  assert.ok(silent.called.includes("thread/read"), "a server that says nothing confirms nothing");
  const second = stage((_method, n, { end }) => {
    if (n < 2) throw new RpcError("turn/interrupt", -32600, "no active turn to interrupt");
    queueMicrotask(end);
    return {};
  });
  assert.equal(await second.stop(), true);
  assert.equal(second.called.length, 2);
});

test("a turn whose end was lost has stopped when the server says that it works on nothing", async () => {
  const played = (status: unknown, error: Error, began = true) => {
    const it = stage((method) => {
      if (method !== "turn/interrupt") return { thread: { status } };
      throw error;
    });
    if (began) it.begin();
    return it;
  };
  const refusal = new RpcError("turn/interrupt", -32600, "no active turn to interrupt");
  const silence = new RequestTimeoutError("turn/interrupt", 5);
  const lost = played({ type: "idle" }, refusal);
  assert.equal(await lost.stop(), true);
  assert.deepEqual(lost.called, ["turn/interrupt", "thread/read"]);
  assert.equal(await played({ type: "active" }, refusal).stop(), false);
  // Before it has begun, an idle server may begin it yet.
  assert.equal(await played({ type: "idle" }, refusal, false).stop(), false);
  // An old server does not say what it does, and answers no interrupt that finds nothing.
  const old = played(undefined, silence);
  assert.equal(await old.stop(), true);
  assert.equal(old.called.filter((method) => method === "turn/interrupt").length, 2);
  assert.equal(await played(undefined, refusal).stop(), false);
});

test("a turn that ended with its connection is not interrupted on the next one", async () => {
  // Codex 0.145 would interrupt the turn after it.
  const it = stage(
    (method, _n, { end }) => {
      if (method === "turn/interrupt") throw new ConnectionClosedError("gone");
      end();
      return {};
    },
    "0.145.0",
    true,
  );
  it.begin();
  assert.equal(await it.stop(), true);
  assert.deepEqual(it.called, ["turn/interrupt", "thread/read"]);
});

test("the end of the connection is the end of the turn", async () => {
  const it = stage(() => {
    throw new ConnectionClosedError("gone");
  });
  it.begin();
  assert.equal(await it.stop(), true);
});

test("commands that outlive their turn are ended, on the servers that leave them running", async () => {
  for (
    const [version, cleans] of [["0.169.0", true], ["0.125.0", true], ["0.104.0", false]] as const
  ) {
    for (const open of [true, false]) {
      const it = stage((method, _n, { end }) => {
        if (method === "turn/interrupt") queueMicrotask(end);
        return {};
      }, version);
      const item = { type: "commandExecution", id: "c", command: "sleep 300" };
      it.outcome.apply(open ? "item/started" : "item/completed", { item }, null);
      it.begin();
      assert.equal(await it.stop(), true);
      const cleaned = it.called.includes("thread/backgroundTerminals/clean");
      assert.equal(cleaned, cleans && open, `${version} ${open}`);
    }
  }
});

function watched(
  answers: Record<string, unknown>,
  version = "0.169.0",
  pending: { request: { threadId: string } }[] = [],
): { core: RuntimeCore; called: string[] } {
  const called: string[] = [];
  const core = {
    state: "running",
    server: { version },
    approvals: { pending: () => pending },
    callNow: (method: string) => {
      called.push(method);
      return answers[method] instanceof Error
        ? Promise.reject(answers[method])
        : method in answers
        ? Promise.resolve(answers[method])
        : Promise.reject(new RpcError(method, -32600, "no"));
    },
  } as unknown as RuntimeCore;
  return { core, called };
}

const IDLE = { thread: { status: { type: "idle" } } };
const ENDED = { data: [{ id: "other", status: "inProgress" }, { id: "U", status: "failed" }] };

test("a silent turn that the server calls over is given its end", async () => {
  const outcome = new TurnOutcome("T", "U", null);
  const { core } = watched({ "thread/read": IDLE, "thread/turns/list": ENDED });
  const lost = await findLostEnd(core, "T", outcome);
  assert.deepEqual(lost, { threadId: "T", turn: { id: "U", status: "failed" } });
});

test("a silent turn goes on while the server is at it, or can't tell", async () => {
  const outcome = new TurnOutcome("T", "U", null);
  const active = { thread: { status: { type: "active" } } };
  const running = { data: [{ id: "U", status: "inProgress" }] };
  const table: Record<string, unknown>[] = [
    { "thread/read": active, "thread/turns/list": ENDED },
    { "thread/read": IDLE, "thread/turns/list": running },
    { "thread/read": IDLE, "thread/turns/list": { data: [] } },
    { "thread/read": IDLE },
    {},
  ];
  for (const answers of table) {
    assert.equal(
      await findLostEnd(watched(answers).core, "T", outcome),
      null,
      JSON.stringify(answers),
    );
  }
});

const NONE = new RpcError("turn/steer", -32600, "no active turn to steer");
const OTHER = new RpcError("turn/steer", -32600, "expected active turn id `none` but found `U`");

test("a server without a record of the turn is asked by steering one that is none", async () => {
  const message = { type: "agentMessage", id: "m", text: "All of it." };
  const answered = [["item/started", { item: message }], ["item/completed", { item: message }]];
  const command = { type: "commandExecution", id: "c", command: "true" };
  const works = [["item/started", { item: command }], ["item/completed", { item: command }]];
  const told = (item: JsonObject) => [["item/started", { item }], ["item/completed", { item }]];
  const plan = told({ type: "plan", id: "p", text: "- a" });
  const review = told({ type: "exitedReviewMode", id: "r", review: "fine" });
  const failed = [["error", { error: { message: "no" }, willRetry: false }]];
  const table: [heard: unknown[], answer: unknown, status: string | null][] = [
    [answered, NONE, "completed"],
    [answered.slice(0, 1), NONE, "interrupted"],
    [[], NONE, "interrupted"],
    // "I look first", and the call that would have given the answer was cut off.
    [[...answered, ...works], NONE, "interrupted"],
    [[...works, ...answered], NONE, "completed"],
    // A plan is told within the message that proposes it.
    [[answered[0], ...plan, answered[1]], NONE, "completed"],
    [[answered[0], ...plan], NONE, "interrupted"],
    [[...answered, ...plan, ...works], NONE, "interrupted"],
    // Of a review's own message no end is told; what it has found follows.
    [
      [["item/started", { item: { ...message, id: "own" } }], ...review, ...answered],
      NONE,
      "completed",
    ],
    [[...answered, ...failed], NONE, "failed"],
    [answered, OTHER, null],
    [answered, new RpcError("turn/steer", -32600, "thread not found"), null],
    [answered, { turnId: "U" }, null],
    [answered, new RequestTimeoutError("turn/steer", 1), null],
  ];
  const asked = ["thread/read", "thread/turns/list"];
  for (const [version, before] of [["0.104.0", []], ["0.145.0", []], ["0.169.0", asked]] as const) {
    for (const [heard, answer, status] of table) {
      const outcome = new TurnOutcome("T", "U", null);
      for (const [method, params] of heard as [string, JsonObject][]) {
        outcome.apply(method, params, null);
      }
      // As of an ephemeral thread, which has no record.
      const { core, called } = watched({ "thread/read": IDLE, "turn/steer": answer }, version);
      let paused = 0;
      const lost = await findLostEnd(
        core,
        "T",
        outcome,
        true,
        () => Promise.resolve(void paused++),
      );
      const expected = status === null ? null : { threadId: "T", turn: { id: "U", status } };
      assert.deepEqual([lost, called], [expected, [...before, "turn/steer"]]);
      assert.equal(paused, status === null ? 0 : 1);
    }
  }
});

test("nobody asks about a turn at work on a command or an approval", async () => {
  const answers = { "thread/read": IDLE, "thread/turns/list": ENDED };
  const busy = new TurnOutcome("T", "U", null);
  busy.apply("item/started", { item: { type: "commandExecution", id: "c" } }, null);
  const asked = [{ request: { threadId: "T" } }];
  const idle = new TurnOutcome("T", "U", null);
  for (
    const [{ core, called }, outcome] of [
      [watched(answers), busy],
      [watched(answers, "0.169.0", asked), idle],
      [watched(answers, "0.104.0"), busy],
      [watched(answers, "0.104.0", asked), idle],
    ] as const
  ) {
    assert.equal(await findLostEnd(core, "T", outcome), null);
    assert.deepEqual(called, []);
  }
});

test("a turn goes on after a lost connection only if its server recorded it, and did not end with it", async () => {
  const recorded = async (status: string, version = "0.169.0", id = "U") => {
    const core = {
      server: { version },
      callNow: () => Promise.resolve({ data: [{ id: "other" }, { id, status }] }),
    } as unknown as RuntimeCore;
    const record = await recordedTurn(core, "T", "U");
    if (record === null) return null;
    return tellsState(core, record, false) ? record["status"] : "only its items";
  };
  assert.equal(await recorded("completed"), "completed");
  assert.equal(await recorded("inProgress"), "inProgress");
  assert.equal(await recorded("failed"), "failed");
  // What a server that was started anew says of the turns of the one before.
  assert.equal(await recorded("interrupted"), "only its items");
  assert.equal(await recorded("completed", "0.169.0", "another"), null);
  // What it calls completed may run still.
  assert.equal(await recorded("completed", "0.145.0"), "only its items");
  assert.equal(await recorded("completed", "0.104.0"), null);
  const silent = { server: { version: "0.169.0" }, callNow: () => Promise.reject(new Error("x")) };
  assert.equal(await recordedTurn(silent as unknown as RuntimeCore, "T", "U"), null);
});

test("a turn that is stopped while the connection is down is stopped on the next one, where the server works on", async () => {
  const lost = () => Promise.reject(new ConnectionClosedError("The socket was dropped."));
  const it = stage(
    (method, n, it) => {
      if (n === 1) return lost();
      // The next connection may come when nobody would wait for an answer any more.
      if (method === "thread/read") it.pass(LIMITS.patience * 6);
      else it.end();
      return {};
    },
    "0.169.0",
    true,
  );
  it.begin();
  assert.equal(await it.stop(), true);
  assert.deepEqual(it.called, ["turn/interrupt", "thread/read", "turn/interrupt"]);
  // There is no next connection.
  const over = stage(lost, "0.169.0", true);
  over.begin();
  assert.equal(await over.stop(), true);
  assert.deepEqual(over.called, ["turn/interrupt", "thread/read"]);
  // The server has ended with its connection.
  const own = stage(lost);
  own.begin();
  assert.equal(await own.stop(), true);
  assert.deepEqual(own.called, ["turn/interrupt"]);
});
