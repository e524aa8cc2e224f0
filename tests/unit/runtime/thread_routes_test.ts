/** Who hears what of a thread. */
import assert from "node:assert/strict";
import { type ThreadRoute, ThreadRoutes } from "../../../src/runtime/thread_routes.ts";
import type { RpcNotification } from "../../../src/rpc/mod.ts";
import { test } from "../../_harness.ts";

function hearing(heard: string[]): ThreadRoute {
  return {
    deltas: () => {},
    notification: ({ method, params }) => void heard.push(`${method} ${params["name"]}`),
    oversize: () => {},
    connectionLost: () => {},
    connectionRestored: () => Promise.resolve(),
  };
}

const STATUS = "mcpServer/startupStatus/updated";

function message(method: string, name: string): RpcNotification {
  return { method, params: { name }, raw: {} } as unknown as RpcNotification;
}

test("what codex says of a thread's MCP servers before it opens the thread is heard, once", () => {
  const routes = new ThreadRoutes();
  routes.notify("a", message(STATUS, "one"), 1);
  routes.notify("b", message(STATUS, "other"), 1);
  routes.notify("a", message("turn/started", "no"), 1);
  const heard: string[] = [];
  const leave = routes.add("a", hearing(heard));
  routes.notify("a", message("turn/started", "yes"), 1);
  assert.deepEqual(heard, [`${STATUS} one`, "turn/started yes"]);
  leave();
  const again: string[] = [];
  routes.add("a", hearing(again));
  assert.deepEqual(again, []);
});

test("what a thread did before anybody listened is told from the moment that the listener names", () => {
  const routes = new ThreadRoutes();
  routes.notify("a", message("turn/started", "before"), 1);
  const since = routes.now;
  const work = ["turn/started", "item/started", "item/completed", "thread/tokenUsage/updated"];
  for (const method of work) routes.notify("a", message(method, "1"), 1);
  routes.notify("b", message("turn/started", "other"), 1);
  routes.notify("a", message("turn/diff/updated", "no"), 1);
  routes.notify("a", message("turn/completed", "1"), 1);
  const heard: string[] = [];
  routes.add("a", hearing(heard), since)();
  assert.deepEqual(heard, [...work, "turn/completed"].map((method) => `${method} 1`));
  // A new server's threads did nothing of it.
  routes.notify("a", message("turn/started", "2"), 1);
  routes.forget();
  const anew: string[] = [];
  routes.add("a", hearing(anew), 0)();
  assert.deepEqual(anew, []);
  // Whoever opens a thread does not hear of its past, nor does the next one.
  routes.notify("b", message("turn/started", "other"), 1);
  for (const moment of [undefined, 0]) {
    const late: string[] = [];
    routes.add("b", hearing(late), moment)();
    assert.deepEqual(late, []);
  }
});

test("threads that nobody listens to cost little", () => {
  for (const [method, kept] of [[STATUS, 128], ["item/completed", 512]] as const) {
    const routes = new ThreadRoutes();
    for (let i = 0; i < 1000; i++) routes.notify(`t${i}`, message(method, "x"), 1);
    const heard: string[] = [];
    for (let i = 0; i < 1000; i++) routes.add(`t${i}`, hearing(heard), 0);
    assert.equal(heard.length, kept);
  }
  const routes = new ThreadRoutes();
  const heard: string[] = [];
  for (const [name, size] of [["large", 3 << 20], ["next", 1 << 20], ["small", 9]] as const) {
    routes.notify("t", message("item/completed", name), size);
  }
  routes.notify("other", message("item/completed", "larger"), (4 << 20) - 9);
  routes.add("t", hearing(heard), 0);
  assert.deepEqual(heard, ["item/completed small"]);
  // What was taken makes room.
  routes.notify("t2", message("item/completed", "x"), 9);
  routes.add("other", hearing(heard), 0);
  assert.equal(heard.at(-1), "item/completed larger");
});
