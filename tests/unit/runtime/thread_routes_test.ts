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
  routes.notify("a", message(STATUS, "one"));
  routes.notify("b", message(STATUS, "other"));
  routes.notify("a", message("turn/started", "no"));
  const heard: string[] = [];
  const leave = routes.add("a", hearing(heard));
  routes.notify("a", message("turn/started", "yes"));
  assert.deepEqual(heard, [`${STATUS} one`, "turn/started yes"]);
  leave();
  const again: string[] = [];
  routes.add("a", hearing(again));
  assert.deepEqual(again, []);
});

test("threads that nobody listens to cost little", () => {
  const routes = new ThreadRoutes();
  for (let i = 0; i < 1000; i++) routes.notify(`t${i}`, message(STATUS, "x"));
  const heard: string[] = [];
  for (let i = 0; i < 1000; i++) routes.add(`t${i}`, hearing(heard));
  assert.equal(heard.length, 128);
});
