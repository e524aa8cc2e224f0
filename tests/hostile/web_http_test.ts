/** Requests that no browser makes, over real sockets: the answer is JSON, nothing is thrown, nothing of the inside is told. */
import assert from "node:assert/strict";
import { createBridge } from "../../src/web/mod.ts";
import type { WebClient } from "../../src/web/client.ts";
import { MemorySessionOwners } from "../../src/web/cluster/session_owners.ts";
import { raw, serve } from "../contract/web_serve.ts";
import { inWorld, ORIGIN } from "../contract/web_world.ts";
import { SseClient } from "../contract/web_sse_client.ts";
import { test } from "../_harness.ts";

/** Never used: no request here gets as far. */
const never = () => Promise.reject(new Error("not in these tests"));
const client: WebClient = {
  runtime: { connection: "running" },
  approvals: { pending: () => [], answer: () => false },
  startSession: never,
  resumeSession: never,
  readThread: never,
  archiveThread: never,
};

test("a malformed Host or address is 400 or answered, never a stack", async () => {
  const thrown: unknown[] = [];
  const bridge = createBridge({
    client,
    cwd: "/",
    isolation: "trusting",
    authorize: () => "ann",
    onError: (error) => thrown.push(error),
  });
  const rejected: unknown[] = [];
  const server = serve((request) =>
    bridge.fetch(request).catch((error) => {
      rejected.push(error);
      return new Response("rejected", { status: 599 });
    })
  );
  const port = Number(new URL(server.origin).port);
  try {
    const hosts = [
      "a b",
      "[",
      "a:99999",
      "%00",
      "xn--",
      "127.0.0.1:80:80",
      "",
      "é.com",
      "a/b",
      "user:pw@h",
      "?",
      "#",
      "\\",
    ];
    for (const host of hosts) {
      for (const path of ["/codex/health", "/codex/settings"]) {
        const answer = await raw(
          port,
          `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
        );
        const status = Number(answer.split(" ")[1] ?? 0);
        assert.ok(
          status === 200 || (status >= 400 && status < 500) || answer === "",
          `${host}: ${answer}`,
        );
        assert.ok(!/ at |\.ts:|TypeError/.test(answer), answer);
      }
    }
    await raw(port, "GET http://[ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    // The classic probe of a load balancer.
    const probe = await raw(port, "GET /codex/health HTTP/1.0\r\n\r\n");
    assert.match(probe, /^HTTP\/1\.[01] (200|400) /);
    assert.deepEqual([rejected, thrown], [[], []]);
  } finally {
    await bridge.close();
    await server.close();
  }
});

test("fetch() answers a request whose address is none with 400 as JSON", async () => {
  const bridge = createBridge({ client, cwd: "/", isolation: "trusting", authorize: () => "ann" });
  for (const url of ["", "/codex/health", "http://[", "http://a b/", "http://xn--/"]) {
    const request = { url, method: "GET", headers: new Headers(), body: null } as Request;
    const response = await bridge.fetch(request);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, "badRequest");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  }
  await bridge.close();
});

test("health answers by any name, to HEAD too, and tells when the bridge ends", async () => {
  const bridge = createBridge({
    client,
    cwd: "/",
    isolation: "trusting",
    hosts: ["app.example"],
    authorize: () => null,
  });
  const health = (method: string) =>
    bridge.fetch(new Request("http://10.1.2.3/codex/health", { method }));
  assert.equal((await health("GET")).status, 200);
  const head = await health("HEAD");
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  await bridge.drain(0);
  const draining = await health("GET");
  assert.deepEqual([draining.status, (await draining.json()).status], [503, "draining"]);
  await bridge.close();
  const closed = await health("GET");
  assert.deepEqual([closed.status, (await closed.json()).status], [503, "closed"]);
});

test("addresses that are spelled oddly lead to nothing, and never to another tenant's session", () =>
  inWorld({}, async (world) => {
    const id = await world.session("bob");
    const own = await world.session("ann");
    const odd = [
      `/sessions//${id}`,
      `//sessions/${id}`,
      `/sessions/${id}/`,
      `/./sessions/${id}/../${id}`,
      `/sessions/${own}/../${id}`,
      `/sessions/${own}%2f..%2f${id}`,
      `/sessions/${own}/%2e%2e/${id}`,
      `/sessions/${id}%00`,
      `/sessions/%00${id}`,
      `/sessions/${id}%0d%0aX-Tenant:%20bob`,
      `/sessions/${id.replace("s", "%73")}`,
      `/sessions/${id.toUpperCase()}`,
      `/sessions/${id};tenant=bob`,
      `/sessions/${id}?tenant=bob`,
      `/sessions/${id}#x`,
      `/sessions/%ff`,
      `/sessions/__proto__`,
      `/sessions/constructor/events`,
      `/sessions/${"a".repeat(60_000)}`,
      `/sessions/${id}/events?after=${own}`,
      `/sessions/${id}/approvals`,
    ];
    const bodies = new Set<string>();
    for (const path of odd) {
      const response = await world.raw("ann", `GET ${path}`);
      assert.equal(response.status, 404, path.slice(0, 100));
      bodies.add(await response.text());
    }
    // Another's is told apart from nothing by no word.
    const nothing = await world.call("ann", `GET /sessions/sess_${"x".repeat(32)}`);
    const foreign = await world.call("ann", `GET /sessions/${id}`);
    assert.deepEqual([foreign.status, foreign.body], [nothing.status, nothing.body]);
    assert.ok([...bodies].every((body) => !body.includes(id)), "an id was repeated");
    assert.equal((await world.call("bob", `GET /sessions/${id}`)).status, 200);
  }));

test("cursors that nobody gave are told as gone or refused, and hold nothing up", () =>
  inWorld({}, async (world) => {
    const [id, other] = [await world.session("ann"), await world.session("bob")];
    const foreign = (await world.call("bob", `GET /sessions/${other}`)).body.cursor;
    const forged = [
      foreign,
      "-1",
      "NaN",
      "f1-1",
      `f${"9".repeat(15)}-1`,
      `${"9".repeat(90)}`,
      "x-999999999999999",
      "__proto__-1",
      "a b",
    ];
    for (const cursor of forged) {
      const events = await world.follow("ann", id, cursor);
      assert.equal((await events.next())!.name, "lagged", cursor);
      await events.drop();
    }
    // An empty one is none: from the oldest event on, as far as there is any.
    const turn = await world.call("ann", `POST /sessions/${id}/turns`, { text: "hi" });
    assert.equal(turn.status, 202);
    for (const [query, header] of [["?after=", undefined], ["", ""], ["?after=", ""]] as const) {
      const headers = header === undefined ? {} : { "last-event-id": header };
      const route = `GET /sessions/${id}/events${query}`;
      const events = new SseClient(await world.raw("ann", route, undefined, headers));
      assert.equal((await events.next())!.data.type, "turnStarted");
      await events.drop();
    }
    const long = await world.raw("ann", `GET /sessions/${id}/events`, undefined, {
      "last-event-id": "9".repeat(10_000),
    });
    assert.equal(long.status, 400);
    await long.body?.cancel();
  }));

test("bodies with keys of every object, doubled ones and other types change nothing", () =>
  inWorld({}, async (world) => {
    const id = await world.session("ann");
    const send = async (text: string, headers: Record<string, string> = {}) => {
      const response = await world.bridge.fetch(
        new Request(`${ORIGIN}/codex/sessions/${id}/turns`, {
          method: "POST",
          headers: { "x-tenant": "ann", "content-type": "application/json", ...headers },
          body: text,
        }),
      );
      await response.body?.cancel();
      return response.status;
    };
    for (
      const text of [
        '{"__proto__":{"text":"x"}}',
        '{"text":"x","__proto__":{"timeoutMs":1}}',
        '{"text":"x","constructor":{"prototype":{"isAdmin":true}}}',
        '{"text":"x","toString":1}',
        '[{"text":"x"}]',
        '"x"',
        "null",
        '{"text":{"toString":"x"}}',
        '{"text":"x","attachments":{"length":1}}',
        '{"text":"x","attachments":[{"type":"image","url":"data:image/png;base64,AA==","__proto__":1}]}',
        '{"text":"x"}{"text":"y"}',
        "{".repeat(100_000),
        "[".repeat(500_000),
      ]
    ) assert.equal(await send(text), 400, text.slice(0, 80));
    assert.equal(({} as Record<string, unknown>)["isAdmin"], undefined);
    // What a form of another site could send, and what a page of it would have to ask for first.
    for (
      const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
    ) {
      assert.equal(await send('{"text":"x"}', { "content-type": type }), 403, type);
    }
    for (const origin of ["null", "https://localhost", "http://localhost.evil.example", ""]) {
      assert.equal(await send('{"text":"x"}', { origin }), 403, origin);
    }
    assert.equal(await send('{"text":"x"}', { "sec-fetch-site": "cross-site" }), 403);
    const asked = world.server.received.filter(({ method }) => method === "turn/start");
    assert.equal(asked.length, 0);
  }));

test("tenants of odd names are apart, or refused", () =>
  inWorld({}, async (world) => {
    const names = [
      "__proto__",
      "constructor",
      "Ann",
      "ann",
      "\u0041nn ",
      "a".repeat(256),
      "..",
      "a/b",
    ];
    // Headers are Latin-1 on the way: names come encoded.
    for (const name of names) await world.session(encodeURIComponent(name));
    for (const name of names) {
      const { body } = await world.call(encodeURIComponent(name), "GET /sessions");
      assert.equal(body.sessions.length, 1, name);
    }
    assert.equal((await world.call("a".repeat(300), "GET /sessions")).status, 401);
    assert.equal((await world.call("nobody", "GET /sessions")).body.sessions.length, 0);
  }));

test("a body that is sent slowly is 408 as JSON, and nobody else waits", async () => {
  const bridge = createBridge({
    client,
    cwd: "/",
    isolation: "trusting",
    authorize: () => "ann",
    bodyTimeoutMs: 200,
  });
  const server = serve(bridge.fetch);
  const port = Number(new URL(server.origin).port);
  try {
    const slow = (path: string) =>
      raw(
        port,
        `POST /codex${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n` +
          `Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"`,
        // Deno answers, and keeps the connection for the rest.
        /\}$/,
      );
    const session = `/sessions/sess_${"a".repeat(32)}`;
    const paths = ["/sessions", `${session}/turns`, `${session}/approvals/a`, "/chat", "/ag-ui"];
    const waiting = paths.map(slow);
    const meanwhile = await fetch(`${server.origin}/codex/settings`);
    assert.equal(meanwhile.status, 200);
    await meanwhile.body!.cancel();
    for (const [i, answer] of (await Promise.all(waiting)).entries()) {
      assert.match(answer, /^HTTP\/1\.1 408 /, paths[i]);
      assert.match(answer, /"code":"bodyTimeout","message":"A body may take up to 200 ms\."/);
    }
  } finally {
    await bridge.close();
    await server.close();
  }
});

test("of what no node has signed the body is not read", async () => {
  const bridge = createBridge({
    client,
    cwd: "/",
    isolation: "trusting",
    authorize: () => "ann",
    cluster: {
      url: "http://127.0.0.1:9",
      owners: new MemorySessionOwners(),
      secret: "s".repeat(32),
    },
  });
  let reads = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      reads++;
      controller.enqueue(new Uint8Array(1000));
    },
  }, { highWaterMark: 0 });
  const response = await bridge.fetch(
    new Request(`${ORIGIN}/codex/sessions`, {
      method: "POST",
      headers: { "x-codex-forwarded": "YQ==.YQ==", "content-type": "application/json" },
      body,
      duplex: "half",
    } as RequestInit),
  );
  assert.deepEqual([response.status, reads], [401, 0]);
  await bridge.close();
});

test("a session's id is no key: as a chat's name it opens nothing for another tenant", () =>
  inWorld({}, async (world) => {
    const id = await world.session("ann");
    const message = { id: "m", role: "user", parts: [{ type: "text", text: "hi" }] };
    const run = { threadId: id, runId: "r", messages: [{ id: "m", role: "user", content: "hi" }] };
    const calls: [route: string, body: unknown, status: number][] = [
      ["POST /chat", { id, messages: [message] }, 404],
      ["POST /ag-ui", run, 404],
      [`GET /chat/${id}`, undefined, 200],
      [`GET /chat/${id}/stream`, undefined, 204],
      [`POST /chat/${id}/stop`, {}, 404],
      [`POST /chat/${id}/approvals/a`, { decision: "accept" }, 404],
    ];
    for (const [route, body, status] of calls) {
      const answer = await world.call("bob", route, body);
      assert.equal(answer.status, status, route);
      if (status === 200) assert.deepEqual(answer.body, { sessionId: null, messages: [] });
    }
    assert.equal(world.server.turns.length, 0);
    assert.deepEqual((await world.call("bob", "GET /sessions")).body, { sessions: [] });
  }));
