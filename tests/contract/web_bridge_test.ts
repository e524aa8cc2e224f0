/** The bridge's routes on a fake that speaks the recorded dialect. */
import assert from "node:assert/strict";
import { InvalidArgumentError, WebError } from "../../src/errors/mod.ts";
import { createBridge } from "../../src/web/mod.ts";
import type { FakeTurn } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { textOf } from "./web_sse_client.ts";
import { inWorld, ORIGIN } from "./web_world.ts";

const ROUTES = [
  "GET /sessions/ID",
  "DELETE /sessions/ID",
  "POST /sessions/ID/close",
  "POST /sessions/ID/resume",
  "POST /sessions/ID/turns",
  "POST /sessions/ID/turns/T/steer",
  "POST /sessions/ID/turns/T/interrupt",
  "GET /sessions/ID/events",
  "GET /sessions/ID/approvals",
  "POST /sessions/ID/approvals/A",
];

/** A turn that goes on until somebody stops it. */
function endless(turn: FakeTurn): Promise<void> {
  turn.say("working", { open: true });
  return new Promise((resolve) => turn.signal.addEventListener("abort", () => resolve()));
}

test("a conversation: a session, a turn, its events, its snapshot", () =>
  inWorld({
    server: {
      onTurn: (turn) => {
        turn.say(`You said ${turn.prompt}.`, { deltas: ["You ", `said ${turn.prompt}`, "."] });
        turn.usage({ totalTokens: 42 });
        turn.complete();
      },
    },
  }, async (world) => {
    const created = await world.call("ann", "POST /sessions", {});
    assert.equal(created.status, 201);
    const { sessionId, threadId } = created.body;
    assert.match(sessionId, /^sess_[\w-]{32}$/);
    assert.equal(created.body.title, null);
    assert.equal(created.headers.get("cache-control"), "no-store");

    const events = await world.follow("ann", sessionId);
    const turn = await world.call("ann", `POST /sessions/${sessionId}/turns`, { text: "hi" });
    assert.equal(turn.status, 202);
    const seen = await events.untilTurnEnds();
    assert.equal(textOf(seen), "You said hi.");
    assert.ok(seen.every(({ data }) => data.threadId === threadId));
    assert.equal(seen.at(-1)!.data.status, "completed");
    assert.equal(new Set(seen.map(({ id }) => id)).size, seen.length);

    const { body: snapshot } = await world.call("ann", `GET /sessions/${sessionId}`);
    assert.equal(snapshot.cursor, seen.at(-1)!.id);
    assert.equal(snapshot.title, "hi");
    assert.equal(snapshot.runningTurnId, null);
    const [shown] = snapshot.turns;
    assert.equal(shown.turnId, turn.body.turnId);
    assert.equal(shown.status, "completed");
    assert.equal(shown.usage.totalTokens, 42);
    assert.equal(shown.items.at(-1).text, "You said hi.");

    const { body: list } = await world.call("ann", "GET /sessions");
    assert.deepEqual(list.sessions.map((each: { title: string }) => each.title), ["hi"]);
    await events.drop();
  }));

test("every route but health needs a tenant", () =>
  inWorld({}, async (world) => {
    assert.equal((await world.call("", "GET /health")).status, 200);
    for (const route of [...ROUTES, "GET /sessions", "POST /sessions", "GET /settings", "GET /x"]) {
      const { status, body } = await world.call("", route);
      assert.deepEqual([route, status, body.code], [route, 401, "unauthorized"]);
    }
  }));

const AUTHORIZE: [name: string, authorize: () => unknown, status: number][] = [
  ["names a tenant", () => "ann", 200],
  ["names a tenant later", () => Promise.resolve("ann"), 200],
  ["names nobody", () => null, 401],
  ["names nothing", () => undefined, 401],
  ["names an empty tenant", () => "", 401],
  ["says no", () => false, 401],
  ["answers with something else", () => ({ tenant: "ann" }), 500],
  ["answers true", () => true, 500],
  ["names a tenant without end", () => "a".repeat(300), 401],
  ["throws", () => {
    throw new Error("secret");
  }, 500],
  ["rejects", () => Promise.reject(new Error("secret")), 500],
  ["forbids", () => {
    throw new WebError(403, "suspended", "Your account is suspended.");
  }, 403],
];
for (const [name, authorize, status] of AUTHORIZE) {
  test(`a bridge whose authorize ${name} answers ${status}`, () => {
    const errors: unknown[] = [];
    const bridge = {
      authorize: authorize as () => string,
      onError: (error: unknown) => errors.push(error),
    };
    return inWorld({ bridge }, async (world) => {
      const answer = await world.call("ann", "GET /sessions");
      assert.equal(answer.status, status);
      assert.ok(!JSON.stringify(answer.body).includes("secret"));
      assert.equal(errors.length, status === 500 ? 1 : 0);
    });
  });
}

test("an onError that throws, or rejects, costs neither the answer nor the script", async () => {
  const fail = () => {
    throw new Error("not told");
  };
  for (const onError of [fail, () => Promise.reject(new Error("not told"))]) {
    const bridge = { authorize: fail, onError: onError as () => void };
    await inWorld({ bridge }, async (world) => {
      assert.equal((await world.call("ann", "GET /sessions")).status, 500);
    });
  }
});

test("createBridge() throws without authorize", () => {
  // deno-lint-ignore no-explicit-any
  assert.throws(() => createBridge({ cwd: "/" } as any), InvalidArgumentError);
});

test("what belongs to another tenant looks like what does not exist", () =>
  inWorld({ server: { onTurn: endless } }, async (world) => {
    const own = await world.session("ann");
    await world.call("ann", `POST /sessions/${own}/turns`, { text: "hi" });
    const sent = world.server.received.length;
    for (const route of ROUTES) {
      const body = route.startsWith("POST") ? { text: "x", decision: "accept" } : undefined;
      const foreign = await world.call("bob", route.replace("ID", own), body);
      const absent = await world.call(
        "bob",
        route.replace("ID", `sess_${"x".repeat(32)}`),
        body,
      );
      assert.equal(foreign.status, 404, route);
      assert.deepEqual(foreign.body, absent.body, route);
    }
    const thread = (await world.call("ann", `GET /sessions/${own}`)).body.threadId;
    const stolen = await world.call("bob", "POST /sessions", { threadId: thread });
    assert.deepEqual([stolen.status, stolen.body.code], [404, "notFound"]);
    assert.deepEqual((await world.call("bob", "GET /sessions")).body, { sessions: [] });
    assert.equal(world.server.received.length, sent, "nothing of it reached codex");
  }));

test("a session's own thread can be named to take it up again", () =>
  inWorld({}, async (world) => {
    const { body } = await world.call("ann", "POST /sessions", {});
    const again = await world.call("ann", "POST /sessions", { threadId: body.threadId });
    assert.equal(again.body.sessionId, body.sessionId);
  }));

test("a tenant's turn runs by the bridge's profile and no other", () =>
  inWorld({
    bridge: { profile: { approvalPolicy: "untrusted", timeoutMs: 5_000 }, models: ["large"] },
  }, async (world) => {
    const id = await world.session("ann");
    for (
      const wider of [
        { sandbox: "danger-full-access" },
        { sandboxPolicy: { type: "dangerFullAccess" } },
        { approvalPolicy: "never" },
        { cwd: "/" },
        { config: { model_provider: "evil" } },
        { model: "other" },
        { timeoutMs: 5_001 },
        { attachments: ["/etc/passwd"] },
      ]
    ) {
      const turn = await world.call("ann", `POST /sessions/${id}/turns`, { text: "x", ...wider });
      assert.equal(turn.status, 400, JSON.stringify(wider));
      const { text: _, ...fields } = { text: "", ...wider };
      if ("timeoutMs" in fields || "attachments" in fields) continue;
      assert.equal((await world.call("ann", "POST /sessions", fields)).status, 400);
    }
    const events = await world.follow("ann", id);
    const fine = { text: "x", model: "large", effort: "low" };
    assert.equal((await world.call("ann", `POST /sessions/${id}/turns`, fine)).status, 202);
    await events.untilTurnEnds();
    await events.drop();
    const starts = world.server.received.filter(({ method }) => method === "thread/start");
    const turns = world.server.received.filter(({ method }) => method === "turn/start");
    assert.deepEqual([starts.length, turns.length], [1, 1]);
    assert.equal(starts[0].params.sandbox, "read-only");
    assert.equal(starts[0].params.approvalPolicy, "untrusted");
    const { sandboxPolicy, approvalPolicy, model, effort, cwd } = turns[0].params;
    assert.equal(sandboxPolicy.type, "readOnly");
    assert.deepEqual([approvalPolicy, model, effort], ["untrusted", "large", "low"]);
    assert.equal(cwd, starts[0].params.cwd);
  }));

test("each tenant works in the directory that the bridge gives it", () =>
  inWorld({ bridge: { cwd: (tenant) => Promise.resolve(`/${tenant}`) } }, async (world) => {
    // The fake lives nowhere; a directory that is missing here is refused before it is asked.
    const { status, body } = await world.call("srv-missing", "POST /sessions", {});
    assert.deepEqual([status, body.code], [500, "internal"]);
    assert.equal((await world.call("usr", "POST /sessions", {})).status, 201);
    const start = await world.server.waitForMethod("thread/start");
    assert.equal(start.params.cwd, "/usr");
  }));

test("a second turn is refused while one runs; steering and interrupting name the turn", () =>
  inWorld({ server: { onTurn: endless } }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    const { body: { turnId } } = await world.call("ann", `POST /sessions/${id}/turns`, {
      text: "1",
    });
    await events.until(({ data }) => data.type === "assistantMessageDelta");
    const { body: snapshot } = await world.call("ann", `GET /sessions/${id}`);
    assert.equal(snapshot.runningTurnId, turnId);
    assert.equal(snapshot.turns[0].items.at(-1).text, "working");

    const second = await world.call("ann", `POST /sessions/${id}/turns`, { text: "2" });
    assert.deepEqual([second.status, second.body.code], [409, "turnRunning"]);
    const steer = `POST /sessions/${id}/turns/${turnId}/steer`;
    assert.equal((await world.call("ann", steer, { text: "faster" })).status, 202);
    assert.equal(world.server.turns[0]!.steers[0][0].text, "faster");
    for (const action of ["steer", "interrupt"]) {
      const other = `POST /sessions/${id}/turns/other/${action}`;
      const { status, body } = await world.call("ann", other, { text: "x" });
      assert.deepEqual([status, body.code], [409, "turnNotRunning"]);
    }
    const stop = await world.call("ann", `POST /sessions/${id}/turns/${turnId}/interrupt`);
    assert.equal(stop.status, 202);
    const seen = await events.untilTurnEnds();
    assert.equal(seen.at(-1)!.data.status, "interrupted");
    assert.equal((await world.call("ann", steer, { text: "late" })).body.code, "turnNotRunning");
    await events.drop();
  }));

test("whoever stops a turn can start the next one at once", async () => {
  const ended = Promise.withResolvers<void>();
  const slowToEnd = (turn: FakeTurn) => {
    const interrupted = turn.interrupted.bind(turn);
    turn.interrupted = () => void ended.promise.then(interrupted);
    return endless(turn);
  };
  await inWorld({ server: { onTurn: slowToEnd } }, async (world) => {
    const id = await world.session("ann");
    const turns = `POST /sessions/${id}/turns`;
    const { body: { turnId } } = await world.call("ann", turns, { text: "1" });
    const stop = world.call("ann", `${turns}/${turnId}/interrupt`);
    await world.server.waitForMethod("turn/interrupt");
    const next = world.call("ann", turns, { text: "2" });
    const refused = await Promise.race([next, world.call("ann", `GET /sessions/${id}`)]);
    assert.equal(refused.body.runningTurnId, turnId);
    ended.resolve();
    assert.deepEqual([(await stop).status, (await next).status], [202, 202]);
    const { body } = await world.call("ann", `GET /sessions/${id}`);
    assert.equal(body.runningTurnId, (await next).body.turnId);
  });
});

test("whoever hears the end of a turn can start the next one at once", () =>
  inWorld({}, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    for (let i = 0; i < 20; i++) {
      const turn = await world.call("ann", `POST /sessions/${id}/turns`, { text: `${i}` });
      assert.equal(turn.status, 202, turn.body.code);
      await events.untilTurnEnds();
    }
    await events.drop();
  }));

test("a turn that begins as another one ends is told after that end", () => {
  const end = Promise.withResolvers<void>();
  const server = {
    onTurn: async (turn: FakeTurn) => {
      turn.say("working", { open: true });
      await end.promise;
    },
  };
  return inWorld({ server }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    const { body } = await world.call("ann", `POST /sessions/${id}/turns`, { text: "x" });
    const { threadId } = world.server.turns[0]!;
    // Others begin and end before anybody has looked.
    const turns = ["other", "third"];
    const about = (method: string, turnId: string, status: string) =>
      JSON.stringify({ method, params: { threadId, turn: { id: turnId, status, items: [] } } });
    const lines = [about("turn/completed", body.turnId, "completed")];
    for (const turnId of turns) {
      lines.push(about("turn/started", turnId, "inProgress"));
      lines.push(about("turn/completed", turnId, "completed"));
    }
    for (const line of lines) world.server.sendLine(line);
    const seen = await events.until(({ data }) =>
      data.type === "turnCompleted" && data.turnId === turns.at(-1)
    );
    assert.deepEqual(
      seen.filter(({ data }) => /^turn(Started|Completed)$/.test(data.type))
        .map(({ data }) => `${data.type} ${data.turnId}`),
      [body.turnId, ...turns].flatMap((turnId) => [
        `turnStarted ${turnId}`,
        `turnCompleted ${turnId}`,
      ]),
    );
    end.resolve();
    await events.drop();
  });
});

test("the events of one session never show up in another", () =>
  inWorld({
    server: {
      onTurn: (turn) => {
        for (let i = 0; i < 20; i++) turn.say(`${turn.prompt}${i} `);
        turn.complete();
      },
    },
  }, async (world) => {
    const ids = await Promise.all(["ann", "ann", "bob"].map((tenant) => world.session(tenant)));
    const streams = await Promise.all(
      ids.map((id, i) => world.follow(i === 2 ? "bob" : "ann", id)),
    );
    await Promise.all(ids.map((id, i) =>
      world.call(i === 2 ? "bob" : "ann", `POST /sessions/${id}/turns`, { text: `s${i}-` })
    ));
    for (const [i, events] of streams.entries()) {
      const text = textOf(await events.untilTurnEnds());
      assert.equal(
        text,
        Array.from({ length: 20 }, (_, n) =>
          `s${i}-${n} `).join(""),
      );
      await events.drop();
    }
  }));

test("a client that comes back with Last-Event-ID gets what it missed, once", () =>
  inWorld({
    server: {
      onTurn: (turn) => {
        turn.say("abcdefghij", { deltas: [..."abcdefghij"] });
        turn.complete();
      },
    },
  }, async (world) => {
    const id = await world.session("ann");
    const first = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    const before = await first.until(({ data }) => data.delta === "d");
    await first.drop();
    const second = await world.follow("ann", id, first.lastId);
    const after = await second.untilTurnEnds();
    assert.equal(textOf(before) + textOf(after), "abcdefghij");
    // The query does the same for a first connection behind a snapshot.
    const response = await world.raw(
      "ann",
      `GET /sessions/${id}/events?after=${first.lastId}`,
    );
    assert.match(
      new TextDecoder().decode((await response.body!.getReader().read()).value),
      /retry/,
    );
    await second.drop();
  }));

test("a cursor that is gone is told by an event named lagged", () =>
  inWorld({ bridge: { maxLogEvents: 4 } }, async (world) => {
    const id = await world.session("ann");
    const { body: { cursor } } = await world.call("ann", `GET /sessions/${id}`);
    const events = await world.follow("ann", id, cursor);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    await world.server.waitForMethod("turn/start");
    await events.untilTurnEnds();
    for (const gone of [cursor, "other-7", "nonsense"]) {
      const late = await world.follow("ann", id, gone);
      const block = (await late.next())!;
      assert.equal(block.name, "lagged");
      assert.deepEqual(block.data, { type: "lagged", after: gone });
      await late.drop();
    }
    await events.drop();
  }));

test("an idle stream has a heartbeat", () =>
  inWorld({ bridge: { heartbeatMs: 5, retryMs: 9 } }, async (world) => {
    const id = await world.session("ann");
    const response = await world.raw("ann", `GET /sessions/${id}/events`);
    assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
    // What compresses answers on their way would hold the events back.
    assert.match(response.headers.get("cache-control")!, /\bno-transform\b/);
    const reader = response.body!.getReader();
    const read = async () => new TextDecoder().decode((await reader.read()).value);
    assert.equal(await read(), "retry: 9\n\n");
    assert.equal(await read(), ": heartbeat\n\n");
    await reader.cancel();
  }));

test("sessions, streams and bodies have limits", () =>
  inWorld({
    bridge: { maxSessionsPerTenant: 2, maxStreamsPerTenant: 2, maxBodyBytes: 100 },
  }, async (world) => {
    const statuses = await Promise.all(
      Array.from({ length: 5 }, () => world.call("ann", "POST /sessions", {})),
    );
    assert.deepEqual(statuses.map(({ status }) => status), [201, 201, 429, 429, 429]);
    assert.equal(statuses[2]!.body.code, "tooManySessions");
    assert.equal((await world.call("bob", "POST /sessions", {})).status, 201);

    const id = statuses[0]!.body.sessionId;
    const one = await world.follow("ann", id);
    const two = await world.follow("ann", statuses[1]!.body.sessionId);
    const three = await world.call("ann", `GET /sessions/${id}/events`);
    assert.deepEqual([three.status, three.body.code], [429, "tooManyStreams"]);
    await one.drop();
    const again = await world.follow("ann", id);
    await Promise.all([again.drop(), two.drop()]);

    const long = { text: "x".repeat(200) };
    const turn = await world.call("ann", `POST /sessions/${id}/turns`, long);
    assert.deepEqual([turn.status, turn.body.code], [413, "tooLarge"]);

    // A closed session makes room.
    assert.equal((await world.call("ann", `DELETE /sessions/${id}`)).status, 200);
    assert.equal((await world.call("ann", "POST /sessions", {})).status, 201);
  }));

test("bad requests are told apart by code", () =>
  inWorld({}, async (world) => {
    const id = await world.session("ann");
    const post = async (body: BodyInit, headers: Record<string, string>) => {
      const response = await world.bridge.fetch(
        new Request(`${ORIGIN}/codex/sessions/${id}/turns`, {
          method: "POST",
          body,
          headers: { "x-tenant": "ann", ...headers },
        }),
      );
      const { code, message } = await response.json();
      assert.equal(typeof message, "string");
      return [response.status, code];
    };
    const json = { "content-type": "application/json" };
    assert.deepEqual(await post("{", json), [400, "invalidJson"]);
    assert.deepEqual(await post("[]", json), [400, "badRequest"]);
    assert.deepEqual(await post('{"text":"x","cwd":"/"}', json), [400, "unknownField"]);
    assert.deepEqual(await post('{"text":"x"}', { "content-type": "text/plain" }), [403, "csrf"]);
    assert.deepEqual(await post('{"text":"x"}', { ...json, origin: "https://evil.example" }), [
      403,
      "forbiddenOrigin",
    ]);
    assert.equal(world.server.turns.length, 0);
    assert.equal((await world.call("ann", "GET /nowhere")).body.code, "notFound");
    const put = await world.call("ann", "PUT /sessions");
    assert.deepEqual([put.status, put.headers.get("allow")], [405, "GET, POST"]);
  }));

test("a page of an allowed origin may ask before it posts, and read the answer", () =>
  inWorld({ bridge: { origins: ["https://app.example"] } }, async (world) => {
    const origin = "https://app.example";
    const ask = await world.raw("", "OPTIONS /sessions", undefined, {
      origin,
      "access-control-request-headers": "content-type",
    });
    assert.equal(ask.status, 204);
    assert.equal(ask.headers.get("access-control-allow-origin"), origin);
    assert.equal(ask.headers.get("access-control-allow-headers"), "content-type");
    const post = await world.raw("ann", "POST /sessions", {}, { origin });
    assert.equal(post.status, 201);
    assert.equal(post.headers.get("access-control-allow-origin"), origin);
    await post.body?.cancel();
    const evil = await world.raw("", "OPTIONS /sessions", undefined, {
      origin: "https://evil.example",
    });
    assert.equal(evil.status, 403);
    assert.equal(evil.headers.get("access-control-allow-origin"), null);
    await evil.body?.cancel();
  }));

test("closing a session stops its turn, archives its thread and ends its streams", () =>
  inWorld({ server: { onTurn: endless } }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    const closed = await world.call("ann", `DELETE /sessions/${id}`);
    assert.deepEqual([closed.status, closed.body.archived], [200, true]);
    await events.untilTurnEnds();
    const last = (await events.next())!;
    assert.deepEqual([last.name, last.data.sessionId], ["sessionClosed", id]);
    assert.equal(await events.next(), null);
    assert.equal((await world.call("ann", `GET /sessions/${id}`)).status, 404);
    const archive = await world.server.waitForMethod("thread/archive");
    assert.equal(archive.params.threadId, closed.body.threadId);
  }));

test("closing the bridge ends every stream and leaves the client alone", () =>
  inWorld({ server: { onTurn: endless } }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    await world.bridge.close();
    const seen = await events.untilTurnEnds();
    assert.equal(seen.at(-1)!.data.status, "interrupted");
    assert.equal(await events.next(), null);
    const { status, body } = await world.call("ann", "GET /sessions");
    assert.deepEqual([status, body.code], [503, "closed"]);
    await world.bridge.close();
    const session = await world.client.startSession({ cwd: "/usr" });
    assert.equal(session.closed, false);
  }));

test("a codex that dies ends the turn without showing its insides", () =>
  inWorld({ server: { onTurn: endless } }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    await events.until(({ data }) => data.type === "assistantMessageDelta");
    world.server.crash({ code: 101, signal: null }, "panicked at /home/operator/secret.rs");
    const seen = await events.untilTurnEnds();
    assert.equal(seen.at(-1)!.data.status, "connectionClosed");
    assert.ok(!JSON.stringify(seen).includes("operator"));
    const turn = await world.call("ann", `POST /sessions/${id}/turns`, { text: "again" });
    assert.deepEqual([turn.status, turn.body.code], [503, "unavailable"]);
    const health = await world.call("", "GET /health");
    assert.deepEqual([health.status, health.body.status], [503, "unavailable"]);
    await events.drop();
  }));
