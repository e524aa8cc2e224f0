/** What becomes of turns when a connection that was just made anew is lost again before all was asked. */
import assert from "node:assert/strict";
import { ConnectionClosedError, RpcError } from "../../../src/errors/mod.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { type ResumedThread, resumeTurns } from "../../../src/session/turn/resume_turns.ts";
import type { ThreadStatus } from "../../../src/session/turn/stop_turn.ts";
import {
  type KnownTurns,
  type RestingThread,
  ThreadStop,
} from "../../../src/session/turn/thread_stop.ts";
import type { Turn } from "../../../src/session/turn/turn.ts";
import { test } from "../../_harness.ts";

const first = new ConnectionClosedError("lost", { retryable: true });
const again = new ConnectionClosedError("lost again", { retryable: true });

/** A thread with one turn on a server that answers so; a call without an answer loses the connection. */
function thread(
  version: string,
  answers: Record<string, JsonValue>,
  { inDoubt = false, status = "idle" as ThreadStatus, turns = 1, before = 1 } = {},
) {
  const told: string[] = [];
  const turn = {
    turnId: "t1",
    activeId: "t1",
    phase: "started",
    resumed: () => told.push("resumed"),
    connectionLost: () => told.push("over"),
    stop: () => told.push("stop"),
  } as unknown as Turn;
  const resumed: ResumedThread = {
    host: {
      threadId: "T",
      missed: () => {},
      core: {
        state: "restarting",
        server: { version },
        callNow: (method: string, _params: JsonObject) => {
          told.push(method);
          const answer = answers[method];
          if (answer === undefined) return Promise.reject(again);
          return answer === "refused"
            ? Promise.reject(new RpcError(method, -32600, "no"))
            : Promise.resolve(answer);
        },
      } as unknown as ResumedThread["host"]["core"],
    },
    inDoubt,
    all: () => turns === 0 ? [] : [turn],
    before: before === 0 ? [] : [turn],
    doubt: () => told.push("doubt"),
    findActive: () => Promise.resolve(status),
  };
  return { resumed, told };
}

test("a turn whose record can't be asked for is the next connection's: nobody is told of its end", async () => {
  const { resumed, told } = thread("0.169.0", {});
  await assert.rejects(resumeTurns(resumed, first), (error) => error === again);
  assert.deepEqual(told, ["thread/turns/list"]);
});

test("a turn that could not be stopped is in doubt for the next connection", async () => {
  for (const answers of [{}, { "thread/read": { thread: {} } }, { "thread/read": "refused" }]) {
    const { resumed, told } = thread("0.104.0", answers);
    await assert.rejects(resumeTurns(resumed, first), (error) => error === again);
    assert.equal(told[0], "over");
    assert.equal(told.at(-1), "doubt", told.join());
  }
});

test("so is a thread that might work on a turn of which nothing was heard", async () => {
  for (const status of ["unknown", "unanswered", "active"] as const) {
    const { resumed, told } = thread("0.169.0", {}, { inDoubt: true, status, turns: 0 });
    await assert.rejects(resumeTurns(resumed, first), (error) => error === again);
    assert.equal(told.at(-1), "doubt", status);
  }
});

test("a server that refuses to tell has answered: the turn is over, and stopped there", async () => {
  const { resumed, told } = thread("0.169.0", {
    "thread/turns/list": "refused",
    "thread/read": { thread: { status: { type: "active" } } },
    "turn/interrupt": "refused",
    "thread/backgroundTerminals/clean": "refused",
  });
  await resumeTurns(resumed, first);
  assert.deepEqual(told.slice(0, 4), [
    "thread/turns/list",
    "over",
    "thread/read",
    "turn/interrupt",
  ]);
});

test("a turn that is heard of before the server is asked about it is the lost prompt's, and stopped", async () => {
  const answers = { "thread/turns/list": { data: [{ id: "t1", status: "inProgress" }] } };
  for (const [before, stops] of [[0, ["stop"]], [1, []]] as const) {
    const it = thread("0.169.0", answers, { inDoubt: true, status: "active", before });
    await resumeTurns(it.resumed, first);
    assert.deepEqual(it.told, ["thread/turns/list", "resumed", ...stops]);
  }
});

test("commands of a turn that was stopped are ended by the next connection, if need be", async () => {
  const stopped = {
    "thread/turns/list": "refused",
    "thread/read": { thread: { status: { type: "active" } } },
    "turn/interrupt": {},
  };
  const { resumed, told } = thread("0.145.0", stopped);
  await assert.rejects(resumeTurns(resumed, first), (error) => error === again);
  assert.deepEqual(told.slice(-2), ["thread/backgroundTerminals/clean", "doubt"]);

  const lost = thread("0.145.0", {}, { inDoubt: true, turns: 0 });
  await assert.rejects(resumeTurns(lost.resumed, again), (error) => error === again);
  assert.deepEqual(lost.told, ["thread/backgroundTerminals/clean", "doubt"]);

  const cleaned = { "thread/backgroundTerminals/clean": {} };
  const next = thread("0.145.0", cleaned, { inDoubt: true, turns: 0 });
  await resumeTurns(next.resumed, again);
  assert.deepEqual(next.told, ["thread/backgroundTerminals/clean"]);
});

test("a thread whose turn could not be stopped is asked about before it is asked for another", async () => {
  const { resumed: { host, all } } = thread("0.104.0", {});
  const stop = new ThreadStop(host as RestingThread, { all } as KnownTurns);
  await assert.rejects(stop.resume(first, []), (error) => error === again);
  assert.equal(stop.inDoubt, true);
});
