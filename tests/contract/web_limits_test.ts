/** What a bridge grants only for a time or only so much of, and what it keeps to itself. */
import assert from "node:assert/strict";
import process from "node:process";
import type { ApprovalRule } from "../../src/approvals/mod.ts";
import { InvalidArgumentError, PolicyError, WebError } from "../../src/errors/mod.ts";
import { WebAdapter } from "../../src/web/adapter.ts";
import { createBridge } from "../../src/web/mod.ts";
import { MemoryEventTail, MemorySessionOwners } from "../../src/web/cluster/session_owners.ts";
import type { BridgeOptions } from "../../src/web/options.ts";
import { MemorySessionStore, type StoredSession } from "../../src/web/store/session_store.ts";
import type { WebSession } from "../../src/web/types.ts";
import type { FakeTurn } from "../_fake_turn.ts";
import { onDeno, test } from "../_harness.ts";
import { SseClient } from "./web_sse_client.ts";
import { inWorld, ORIGIN } from "./web_world.ts";

const isolation = "trusting" as const;
const CWD = process.cwd();

/** Runs until it is stopped. */
function endless(turn: FakeTurn): Promise<void> {
  turn.say("working", { open: true });
  return new Promise((resolve) => turn.signal.addEventListener("abort", () => resolve()));
}

async function until(fits: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 15_000;
  while (!await fits()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (
  const [how, answer] of [
    ["says no", () => null],
    ["names somebody else", () => "bob"],
    ["fails", () => Promise.reject(new Error("the directory is away"))],
  ] as [string, () => string | null | Promise<string>][]
) {
  test(`a stream ends once authorize ${how}, and tells nothing of what comes after`, () => {
    let allowed = true;
    const asked: (string | null)[] = [];
    return inWorld({
      bridge: {
        heartbeatMs: 5,
        reauthorizeMs: 1,
        authorize: (request) => {
          asked.push(request.headers.get("cookie"));
          return allowed || request.headers.get("cookie") === "root" ? "ann" : answer();
        },
      },
    }, async (world) => {
      const id = await world.session("ann");
      const cookie = { cookie: "of-ann" };
      const stream = await world.raw("", `GET /sessions/${id}/events`, undefined, cookie);
      const events = new SseClient(stream);
      const before = asked.length;
      const ended = events.next();
      await until(() => asked.length > before + 2, "authorize is asked again");
      // It is shown what it was shown first.
      assert.deepEqual(new Set(asked.slice(before)), new Set(["of-ann"]));
      allowed = false;
      assert.equal(await ended, null);
      const root = { cookie: "root", "content-type": "application/json" };
      const turn = await world.raw("", `POST /sessions/${id}/turns`, { text: "secret" }, root);
      assert.equal(turn.status, 202);
      await turn.body?.cancel();
    });
  });
}

test("sessions that nobody used for sessionTtlMs are closed, those that somebody reads are not", () =>
  inWorld({}, async ({ client, server }) => {
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, sessionTtlMs: 80 });
    const read = await adapter.createSession("bob");
    const stream = await adapter.openEvents("bob", read.sessionId, null);
    const left = await adapter.createSession("ann");
    const archived = () =>
      server.received.filter(({ method }) => method === "thread/archive")
        .map(({ params }) => params.threadId);
    await until(() => archived().length > 0, "the one that nobody uses is archived");
    assert.deepEqual(archived(), [left.threadId]);
    assert.deepEqual(await adapter.sessions("ann"), []);
    assert.equal((await adapter.sessions("bob")).length, 1);
    stream.close();
    await until(() => archived().includes(read.threadId), "and the other once it is left");
    await adapter.close();
  }));

test("a turn is remembered as use more exactly than sessionTtlMs", () =>
  inWorld({}, async ({ client }) => {
    const store = new MemorySessionStore();
    const options = { client, isolation, cwd: CWD, store };
    const first = new WebAdapter(options);
    const { sessionId } = await first.createSession("ann");
    const end = async (adapter: WebAdapter) => {
      for await (const { event } of adapter.subscribeEvents("ann", sessionId)) {
        if (event.type === "turnCompleted") break;
      }
    };
    await first.createTurn("ann", sessionId, { text: "one" });
    await end(first);
    await first.close();
    const known = await store.get(sessionId) as StoredSession;
    const usedAt = new Date(Date.now() - 60_000);
    await store.put({ ...known, usedAt, revision: known.revision + 1 });
    const second = new WebAdapter({ ...options, sessionTtlMs: 120_000 });
    await second.createTurn("ann", sessionId, { text: "two" });
    assert.ok((await store.get(sessionId))!.usedAt.getTime() > Date.now() - 30_000);
    await end(second);
    await second.close();
  }));

test("a session that is used while others are found too old is not closed with them", () =>
  inWorld({}, async ({ client }) => {
    const changed = async (sessionId: string, usedAt: Date) => {
      const known = await store.get(sessionId) as StoredSession;
      await store.put({ ...known, usedAt, revision: known.revision + 1 });
    };
    const ids: string[] = [];
    class Slow extends MemorySessionStore {
      override async unusedSince(before: Date): Promise<StoredSession[]> {
        const found = await super.unusedSince(before);
        await changed(ids[0]!, new Date());
        return found;
      }
    }
    const store = new Slow();
    const options = { client, isolation, cwd: CWD, store };
    const first = new WebAdapter(options);
    for (let i = 0; i < 2; i++) ids.push((await first.createSession("ann")).sessionId);
    await first.close();
    for (const id of ids) await changed(id, new Date(Date.now() - 600_000));
    const second = new WebAdapter({ ...options, sessionTtlMs: 120_000, idleMs: 10 });
    await second.sessions("ann");
    await until(async () => await store.get(ids[1]!) === null, "the other one is closed");
    assert.deepEqual((await store.list("ann")).map(({ sessionId }) => sessionId), [ids[0]]);
    await second.close();
  }));

for (const how of ["reads", "follows"] as const) {
  test(`who only ${how} a session uses it, also when it is not open here any more`, () =>
    inWorld({}, async ({ client }) => {
      const store = new MemorySessionStore();
      const options = { client, isolation, cwd: CWD, store };
      const first = new WebAdapter(options);
      const { sessionId } = await first.createSession("ann");
      await first.close();
      const known = await store.get(sessionId) as StoredSession;
      const usedAt = new Date(Date.now() - 60_000);
      await store.put({ ...known, usedAt, revision: known.revision + 1 });
      const isFresh = async () =>
        (await store.get(sessionId))!.usedAt.getTime() > Date.now() - 30_000;
      const second = new WebAdapter({ ...options, sessionTtlMs: 120_000, idleMs: 10 });
      if (how === "reads") {
        await second.readSession("ann", sessionId);
        await second.close();
        assert.ok(await isFresh());
      } else {
        const stream = await second.openEvents("ann", sessionId, null);
        await until(isFresh, "the use is written down while somebody reads");
        stream.close();
        await second.close();
      }
    }));
}

test("a session is forgotten behind what was being written of it, not in front of it", () =>
  inWorld({}, async ({ client, server }) => {
    const store = new MemorySessionStore();
    const order: string[] = [];
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow = {
      get: (id: string) => store.get(id),
      list: (tenant: string) => store.list(tenant),
      findThread: (tenant: string, id: string) => store.findThread(tenant, id),
      put: async (session: StoredSession) => {
        if (session.revision > 1) {
          begun.resolve();
          await gate.promise;
        }
        order.push(`put ${session.revision}`);
        return await store.put(session);
      },
      delete: async (id: string) => {
        order.push("delete");
        await store.delete(id);
      },
    };
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, store: slow });
    const { sessionId } = await adapter.createSession("ann");
    const turn = adapter.createTurn("ann", sessionId, { text: "one" }).catch(() => {});
    await begun.promise;
    const closed = adapter.closeSession("ann", sessionId);
    const isArchived = () => server.received.some(({ method }) => method === "thread/archive");
    await until(isArchived, "its thread is archived");
    for (let turns = 0; turns < 20; turns++) await new Promise((next) => setTimeout(next, 0));
    gate.resolve();
    await Promise.all([turn, closed]);
    assert.deepEqual(order, ["put 1", "put 2", "delete"]);
    assert.equal(await store.get(sessionId), null);
    await adapter.close();
  }));

test("who names the chat of somebody else, or asks twice, hides no turn of it from its reader", () => {
  const store = new MemorySessionStore();
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const put = store.put.bind(store);
  store.put = async (session) => {
    if (session.revision > 1) {
      begun.resolve();
      await gate.promise;
    }
    return await put(session);
  };
  const ask = (id: string, message = "m1") => ({
    id,
    messages: [{ id: message, role: "user", parts: [{ type: "text", text: "go" }] }],
  });
  return inWorld({ server: { onTurn: endless }, bridge: { store } }, async (world) => {
    const asked = world.raw("ann", "POST /chat", ask("c"));
    await begun.promise;
    const [{ sessionId }] = await store.list("ann") as [StoredSession];
    const { status } = await world.call("bob", "POST /chat", ask(sessionId));
    assert.equal(status, 404);
    assert.equal((await world.call("ann", "POST /chat", ask("c", "m2"))).status, 409);
    // A browser sends it again by itself where the connection broke.
    const same = world.raw("ann", "POST /chat", ask("c"));
    // Nor does the other wait for what is not theirs.
    const { body } = await world.call("bob", `GET /chat/${sessionId}`);
    assert.deepEqual(body.messages, []);
    const again = world.raw("ann", "GET /chat/c/stream");
    for (let turns = 0; turns < 20; turns++) await new Promise((next) => setTimeout(next, 0));
    gate.resolve();
    const answers = await Promise.all([asked, again, same]);
    answers.push(await world.raw("ann", "POST /chat", ask("c")));
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200]);
    assert.equal(world.server.turns.length, 1);
    assert.equal((await world.call("ann", "POST /chat", ask("c", "m2"))).status, 409);
    for (const { body } of answers) await body?.cancel();
  });
});

test("a message that came twice and began nothing is refused, not answered with nothing", () => {
  const store = new MemorySessionStore();
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const put = store.put.bind(store);
  store.put = async (session) => {
    if (session.revision === 1) return await put(session);
    begun.resolve();
    return await gate.promise.then(() => false);
  };
  const asked = { id: "m", role: "user", parts: [{ type: "text", text: "go" }] };
  return inWorld({ bridge: { store } }, async (world) => {
    const ask = () => world.call("ann", "POST /chat", { id: "c", messages: [asked] });
    const first = ask();
    await begun.promise;
    const second = ask();
    for (let turns = 0; turns < 20; turns++) await new Promise((next) => setTimeout(next, 0));
    gate.resolve();
    const answers = await Promise.all([first, second]);
    assert.deepEqual(answers.map(({ body }) => body.code), ["sessionMoved", "turnRunning"]);
  });
});

test("a question of a new chat that is refused leaves no session behind", () =>
  inWorld({ server: { onTurn: endless } }, async (world) => {
    const text = { type: "text", text: "See it." };
    const file = {
      type: "file",
      mediaType: "application/pdf",
      url: "data:application/pdf;base64,AA==",
    };
    const chat = (parts: object[], more: object) =>
      world.call("ann", "POST /chat", { id: "c", messages: [{ role: "user", parts }], ...more });
    const refused = [
      chat([text, file], {}),
      chat([], {}),
      chat([text], { model: "another" }),
      chat([text], { timeoutMs: 1e12 }),
    ];
    for (const { status } of await Promise.all(refused)) assert.equal(status, 400);
    assert.deepEqual((await world.call("ann", "GET /sessions")).body, { sessions: [] });
    assert.ok(!world.server.received.some(({ method }) => method === "thread/start"));
  }));

test("a chat that is refused its first turn leaves no session behind, one that had a turn stays", () => {
  const bridge = { maxTurns: 1, maxSessionsPerTenant: 2 };
  return inWorld({ server: { onTurn: endless }, bridge }, async (world) => {
    const chat = (id: string) =>
      world.raw("ann", "POST /chat", {
        id,
        messages: [{ role: "user", parts: [{ type: "text", text: "go" }] }],
      });
    const names = async () => {
      const { body } = await world.call("ann", "GET /sessions");
      return body.sessions.map(({ title }: { title: string | null }) => title);
    };
    const own = await world.session("ann");
    const running = await chat("first");
    // Each page has a name of its own for its chat.
    for (const id of ["a", "b", "c", "d"]) {
      assert.equal((await (await chat(id)).json()).code, "tooManySessions");
    }
    await world.call("ann", `DELETE /sessions/${own}`);
    for (const id of ["a", "b", "c", "d", "first"]) {
      const { code } = await (await chat(id)).json();
      assert.equal(code, id === "first" ? "turnRunning" : "tooManyTurns");
    }
    assert.deepEqual(await names(), ["go"]);
    // A session that was begun by itself is not the chat's to close.
    const other = await world.session("ann");
    assert.equal((await (await chat(other)).json()).code, "tooManyTurns");
    assert.equal((await names()).length, 2);
    await running.body?.cancel();
  });
});

// Deno's server cancels every answer itself.
if (!onDeno) {
  test("a reader that leaves before or while it is told has left, also where nobody cancels the answer", () => {
    const bridge = { maxStreamsPerTenant: 1 };
    return inWorld({ server: { onTurn: endless }, bridge }, async (world) => {
      const id = await world.session("ann");
      const routes: [route: string, body?: object][] = [
        ["ag-ui", { threadId: "r", runId: "r", messages: [{ role: "user", content: "go" }] }],
        ["chat", { id: "c", messages: [{ role: "user", parts: [{ type: "text", text: "go" }] }] }],
        [`sessions/${id}/events`],
        ["chat/c/stream"],
      ];
      for (const [route, body] of routes) {
        for (const early of [true, false]) {
          const left = new AbortController();
          // As Next does it: an answer that comes too late is neither read nor cancelled.
          const answer = world.bridge.fetch(
            new Request(`${ORIGIN}/codex/${route}`, {
              headers: { "x-tenant": "ann", "content-type": "application/json" },
              ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
              signal: left.signal,
            }),
          );
          if (early) left.abort();
          assert.equal((await answer).status, 200, route);
          left.abort();
          const sessions = async () => (await world.call("ann", "GET /sessions")).body.sessions;
          const runs = async (): Promise<boolean> =>
            (await sessions()).some((each: WebSession) => each.runningTurnId !== null);
          if (route === "ag-ui") await until(async () => !await runs(), "the run is stopped");
          if (route === "chat" && early) {
            assert.ok(await runs());
            await world.call("ann", "POST /chat/c/stop", {});
          }
        }
      }
    });
  });
}

test("a chat is told to its end where sessions are let go of at once", () => {
  const onTurn = (turn: FakeTurn) => {
    turn.say("Hi");
    turn.complete();
  };
  return inWorld({ server: { onTurn }, bridge: { idleMs: 0 } }, async (world) => {
    const messages = [{ role: "user", parts: [{ type: "text", text: "go" }] }];
    for (let turns = 0; turns < 3; turns++) {
      const answer = await world.raw("ann", "POST /chat", { id: "c", messages });
      assert.match(await answer.text(), /"delta":"Hi".*\[DONE\]/s);
    }
  });
});

test("a hook that fails is this server's own failure, one that blocks is not", async () => {
  const calls: [call: () => unknown, status: number][] = [
    [() => ({ type: "block", reason: "closed today" }), 403],
    [() => Promise.reject(new Error("no such table")), 500],
    [() => ({}), 500],
  ];
  for (const [call, expected] of calls) {
    for (const phases of [["preSessionStart"], ["preTurn"]]) {
      const errors: unknown[] = [];
      const hooks = { pre: [{ name: "quota", phases, call }] };
      const onError = (error: unknown) => errors.push(error);
      await inWorld({ bridge: { profile: { hooks } as never, onError } }, async (world) => {
        const messages = [{ role: "user", parts: [{ type: "text", text: "hi" }] }];
        const { status } = await world.raw("ann", "POST /chat", { id: "c", messages });
        assert.deepEqual([status, errors.length], [expected, expected === 500 ? 1 : 0]);
      });
    }
  }
});

test("a hook that could never be called is an error at the door of a bridge", () =>
  inWorld({}, ({ client }) => {
    const hooks = { pre: [{ name: "quota", phases: ["preTrun"], call: () => ({}) }] } as never;
    const options = { client, isolation, cwd: CWD, authorize: () => "ann", profile: { hooks } };
    assert.throws(() => createBridge(options), /unknown phase "preTrun"/);
    return Promise.resolve();
  }));

test("a status that is no refusal, or none at all, is this server's own failure", async () => {
  for (const status of [0, 99, 200, 204, 304, 600, NaN]) {
    const errors: unknown[] = [];
    await inWorld({
      bridge: {
        authorize: () => Promise.reject(new WebError(status, "odd", "odd")),
        onError: (error) => errors.push(error),
      },
    }, async (world) => {
      const { status, body } = await world.call("ann", "GET /sessions");
      assert.deepEqual([status, body.code, errors.length], [500, "internal", 1]);
    });
  }
});

test("sessionTtlMs with a store that can't find old sessions is an error at the door", () =>
  inWorld({}, ({ client }) => {
    const { get, findThread, list, put } = new MemorySessionStore();
    const store = { get, findThread, list, put, delete: () => Promise.resolve() };
    assert.throws(
      () => new WebAdapter({ client, isolation, cwd: CWD, store, sessionTtlMs: 1_000 }),
      /unusedSince/,
    );
    return Promise.resolve();
  }));

test("options of a bridge that could take no effect are an error at the door", () =>
  inWorld({}, async ({ client }) => {
    const given = { client, isolation, cwd: CWD, authorize: () => "ann" };
    const make = (odd: object) => createBridge({ ...given, ...odd } as BridgeOptions);
    const cluster = {
      url: "http://10.0.0.7:8080",
      owners: new MemorySessionOwners(),
      secret: "x".repeat(32),
    };
    const { claim, renew, release } = cluster.owners;
    const fine = [
      { origins: ["https://app.example", "http://localhost:3000", "capacitor://localhost"] },
      { hosts: ["*", "app.example", "app.example:8080", "[::1]", "localhost"] },
      ...["", "/", "codex", "/a/b/"].map((basePath) => ({ basePath })),
      { rules: [RULE], profile: { approvalPolicy: "untrusted" } },
      { cluster: { ...cluster, tail: new MemoryEventTail() } },
      {
        profile: { sandbox: "workspace-write", allowPrivilegedEscalation: true, ephemeral: false },
      },
    ];
    for (const options of fine) await make(options).close();
    const misshapen = [
      // Compared with what browsers send, these are never the same.
      ...[
        "*",
        "app.example",
        "https://app.example/",
        "https://App.example",
        "https://a.example:443",
        "https://*.example",
      ]
        .map((origin) => ({ origins: [origin] })),
      ...["https://app.example", "App.example", "app.example/", "a b", "", "*.example"]
        .map((host) => ({ hosts: [host] })),
      ...["/a b", "/a?b", "/a#b", "/a/../b", "/\u00e9"].map((basePath) => ({ basePath })),
      { rules: [{ effect: "maybe" }] },
      { rules: [{ effect: "deny", comand: ["rm"] }] },
      { cluster: { ...cluster, url: "10.0.0.7:8080" } },
      { cluster: { ...cluster, owners: { claim, renew } } },
      { cluster: { ...cluster, owners: { claim, renew, release }, tail: {} } },
      // Codex would forget the threads of chats that are resumed.
      { profile: { ephemeral: true } },
      { store: { get: claim, findThread: claim, list: claim, put: claim } },
    ];
    for (const options of misshapen) {
      assert.throws(() => make(options), InvalidArgumentError, JSON.stringify(options));
    }
    const unconsented = [
      { sandbox: "workspace-write" },
      { sandbox: "danger-full-access", allowPrivilegedEscalation: true },
    ];
    for (const profile of unconsented) assert.throws(() => make({ profile }), PolicyError);
  }));

const RULE: ApprovalRule = { effect: "deny", kind: "command", command: ["rm"] };
const TOOLS = { effect: "deny", tool: "rm" } as const;
const GUARD = {
  pre: [{ name: "guard", phases: ["preToolUse"], call: () => ({ type: "continue" }) }],
};

test("rules that no session would ask about are an error at the door of a bridge", () =>
  inWorld({}, async ({ client }) => {
    const make = (odd: object) =>
      createBridge({ client, isolation, cwd: CWD, authorize: () => "ann", ...odd } as never);
    const mcpServers = { files: { command: "files" } };
    const rows: [unheard: boolean, rule: object, profile: object][] = [
      [true, RULE, {}],
      [true, RULE, { approvalPolicy: "never" }],
      [true, RULE, { approvalPolicy: "on-request" }],
      [true, { effect: "allow" }, {}],
      [true, { effect: "deny", mcpServer: "files" }, {}],
      [true, TOOLS, { mcpServers }],
      [true, TOOLS, { config: { "mcp_servers.files.command": "files" } }],
      [false, TOOLS, {}],
      [false, RULE, { approvalPolicy: "untrusted" }],
      [false, RULE, { hooks: GUARD }],
      [false, { effect: "allow" }, { approvalPolicy: "on-request" }],
    ];
    for (const [unheard, rule, profile] of rows) {
      const options = { rules: [rule], profile: { allowPrivilegedEscalation: true, ...profile } };
      const told = JSON.stringify(options);
      if (unheard) assert.throws(() => make(options), /can't hold.*"untrusted"/, told);
      else await make(options).close();
    }
    assert.throws(() => make({ profile: { networkAccess: true } }), PolicyError);
  }));

test("rules of a bridge hold under never where the client's own hooks have codex ask", () =>
  inWorld({ client: { hooks: GUARD as never }, bridge: { rules: [RULE] } }, async (world) => {
    assert.equal((await world.call("ann", "POST /sessions", {})).status, 201);
  }));

test("maxTurns counts the turns of all tenants, also of those who come at once", () =>
  inWorld({ server: { onTurn: endless }, bridge: { maxTurns: 2 } }, async (world) => {
    const tenants = ["ann", "bob", "cid", "dan"];
    const ids = await Promise.all(tenants.map((tenant) => world.session(tenant)));
    const start = (i: number) =>
      world.call(tenants[i]!, `POST /sessions/${ids[i]}/turns`, { text: "go" });
    const turns = await Promise.all(tenants.map((_, i) => start(i)));
    assert.deepEqual(turns.map(({ status }) => status).sort(), [202, 202, 429, 429]);
    const refused = turns.findIndex(({ status }) => status === 429);
    assert.equal(turns[refused]!.body.code, "tooManyTurns");
    const running = turns.findIndex(({ status }) => status === 202);
    // A second turn of a session that runs one is that session's own conflict.
    assert.equal((await start(running)).status, 409);
    const path = `/sessions/${ids[running]}/turns/${turns[running]!.body.turnId}/interrupt`;
    assert.equal((await world.call(tenants[running]!, `POST ${path}`, {})).status, 202);
    await until(async () => (await start(refused)).status === 202, "a turn that ended makes room");
  }));

test("an idle session is let go of by a timer, without any call", () =>
  inWorld({}, async ({ client, server }) => {
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, idleMs: 20 });
    const { threadId } = await adapter.createSession("ann");
    const released = () => server.received.find(({ method }) => method === "thread/unsubscribe");
    await until(() => released() !== undefined, "the thread is let go of");
    assert.equal(released()!.params.threadId, threadId);
    await adapter.close();
  }));

test("what the provider, codex's warnings and its stderr say never reaches a tenant", () =>
  inWorld({
    server: {
      onTurn: (turn) => {
        turn.retrying("Reconnecting to http://10.9.8.7:99/v1 with sk-proj-INSIDE");
        turn.fail(
          "unexpected status 401 Unauthorized: Incorrect API key provided: sk-proj-INSIDE, url: http://10.9.8.7:99/v1",
          "unauthorized",
        );
      },
    },
  }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    const seen = await events.untilTurnEnds();
    const snapshot = await world.call("ann", `GET /sessions/${id}`);
    const { error, status } = seen.at(-1)!.data;
    assert.deepEqual([status, error.kind], ["failed", "auth"]);
    assert.equal(error.message, "This server could not sign in to the model's provider.");
    assert.ok(seen.some(({ data }) => data.type === "retrying"));
    for (const told of [JSON.stringify(seen), JSON.stringify(snapshot.body)]) {
      assert.ok(!/INSIDE|10\.9\.8\.7/.test(told), told);
    }
    await events.drop();
  }));
