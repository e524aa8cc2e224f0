/** Who hears what of a thread. */
import assert from "node:assert/strict";
import { type ThreadRoute, ThreadRoutes } from "../../../src/runtime/thread_routes.ts";
import type { DeltaTaker, RpcNotification } from "../../../src/rpc/mod.ts";
import { deltaBatch, deltaHead } from "../../_delta_run.ts";
import { test } from "../../_harness.ts";

function hearing(heard: string[]): ThreadRoute {
  return {
    taker: () => null,
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

test("what codex says of an MCP server of some thread is heard by all, or by the thread that opens next", () => {
  const routes = new ThreadRoutes();
  const heard: Record<string, string[]> = { a: [], b: [], c: [] };
  routes.notifyAll(message(STATUS, "early"), 1);
  routes.notifyAll(message("configWarning", "no"), 1);
  const leave = routes.add("a", hearing(heard["a"]!));
  routes.add("b", hearing(heard["b"]!))();
  routes.notifyAll(message(STATUS, "late"), 1);
  leave();
  routes.add("c", hearing(heard["c"]!));
  assert.deepEqual(heard, { a: [`${STATUS} early`, `${STATUS} late`], b: [], c: [] });
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

test("texts go to the item's taker, which is looked for anew when it may be another one", () => {
  const routes = new ThreadRoutes();
  const asked: string[] = [];
  const taken: string[] = [];
  let over = false;
  const taking = (name: string): ThreadRoute => ({
    ...hearing([]),
    taker: ({ itemId }): DeltaTaker => {
      asked.push(`${name} ${itemId}`);
      return {
        takes(deltas, from, to) {
          if (over) return false;
          taken.push(`${name} ${deltas.joined(from, to)}`);
          return true;
        },
      };
    },
  });
  const [a, b] = [deltaHead({ itemId: "A" }), deltaHead({ itemId: "B" })];
  const say = (head: typeof a, text: string) => routes.deltas(deltaBatch([[head, text]]), 0, 1);
  say(a, "unheard");
  const leave = routes.add("T", taking("one"));
  for (const text of ["1", "2"]) say(a, text);
  say(b, "3");
  assert.deepEqual(asked.splice(0), ["one A", "one B"]);
  assert.deepEqual(taken.splice(0), ["one 1", "one 2", "one 3"]);
  routes.changed();
  say(a, "4");
  say(a, "5");
  assert.deepEqual(asked.splice(0), ["one A"]);
  // One that refuses is asked for again, and not for ever.
  over = true;
  say(a, "lost");
  assert.deepEqual(asked.splice(0), ["one A"]);
  over = false;
  leave();
  say(a, "unheard");
  routes.add("T", taking("two"));
  say(a, "6");
  say(b, "7");
  assert.deepEqual(asked, ["two A", "two B"]);
  assert.deepEqual(taken, ["one 4", "one 5", "two 6", "two 7"]);
});

test("an item's head holds its taker no longer than the routes do", () => {
  const routes = new ThreadRoutes();
  const taker: DeltaTaker = { takes: () => true };
  const leave = routes.add("T", { ...hearing([]), taker: () => taker });
  const heads = ["A", "B"].map((itemId) => deltaHead({ itemId }));
  const say = () => heads.forEach((head) => routes.deltas(deltaBatch([[head, "x"]]), 0, 1));
  for (const ends of [() => routes.changed(), leave]) {
    say();
    assert.deepEqual(heads.map((head) => head.taker), [taker, taker]);
    ends();
    assert.deepEqual(heads.map((head) => head.taker), [null, null]);
  }
});
