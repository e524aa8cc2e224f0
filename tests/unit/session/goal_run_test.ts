import assert from "node:assert/strict";
import { ConnectionClosedError } from "../../../src/errors/mod.ts";
import type { JsonObject } from "../../../src/json.ts";
import { Goal, goalEnd } from "../../../src/session/thread/goal.ts";
import type { ThreadHost } from "../../../src/session/thread/thread_host.ts";
import { test } from "../../_harness.ts";

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
        ? ["thread/read", "stopAll", "thread/goal/clear", "stopAll", "released"]
        : ["lost", "released"],
    );
  }
});
