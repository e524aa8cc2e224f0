import assert from "node:assert/strict";
import {
  KvSessionOwners,
  MemoryEventTail,
  MemorySessionOwners,
  type SessionOwners,
} from "../../../src/web/cluster/session_owners.ts";
import { forward, Forwarder } from "../../../src/web/cluster/forward.ts";
import { serve } from "../../contract/web_serve.ts";
import { ClusterNode, Leases, sharedStore } from "../../../src/web/cluster/node.ts";
import { MemorySessionStore, type SessionStore } from "../../../src/web/store/session_store.ts";
import { createBridge } from "../../../src/web/mod.ts";
import { InvalidArgumentError, type WebError } from "../../../src/errors/mod.ts";
import { FakeKv } from "../../contract/artifact_fake_kv.ts";
import { test } from "../../_harness.ts";

for (
  const [name, make] of [
    ["MemorySessionOwners", () => new MemorySessionOwners()],
    ["KvSessionOwners", () => new KvSessionOwners(new FakeKv())],
  ] as [string, () => SessionOwners][]
) {
  test(`${name} gives a session to one at a time, with a fence that grows`, async () => {
    const owners = make();
    const claims = await Promise.all(["a", "b", "c"].map((url) => owners.claim("s", url, 60_000)));
    assert.equal(claims.filter(({ mine }) => mine).length, 1);
    const { url, fence } = claims.find(({ mine }) => mine)!;
    for (const claim of claims) assert.deepEqual([claim.url, claim.fence], [url, fence]);
    assert.deepEqual(await owners.claim("s", url, 60_000), { mine: true, url, fence });
    assert.equal(await owners.renew("s", fence, 60_000), true);
    assert.equal(await owners.renew("s", fence - 1, 60_000), false);
    await owners.release("s", fence - 1);
    assert.equal((await owners.claim("s", "other", 60_000)).mine, false);
    await owners.release("s", fence);
    assert.equal(await owners.renew("s", fence, 60_000), false);
    const next = await owners.claim("s", "other", 60_000);
    assert.ok(next.mine && next.fence > fence);
  });
}

test("KvSessionOwners: a fence grows within one millisecond, and when the clock was set back", async () => {
  const clock = Date.now;
  try {
    const owners = new KvSessionOwners(new FakeKv());
    const fences: number[] = [];
    for (const now of [5_000, 5_000, 1_000]) {
      Date.now = () => now;
      const { mine, fence } = await owners.claim("s", "a", 60_000);
      assert.ok(mine);
      await owners.release("s", fence);
      fences.push(fence);
    }
    assert.deepEqual(fences, [5_000, 5_001, 5_002]);
  } finally {
    Date.now = clock;
  }
});

test("a lease is given up here before anybody else can have it, asked or not", async () => {
  let now = 0;
  const owners = new MemorySessionOwners(() => now);
  const lost: string[] = [];
  const leases = new Leases({
    owners,
    url: "a",
    ttlMs: 1_000_000,
    onLost: (id) => lost.push(id),
    onError: () => {},
    now: () => now,
  });
  const place = await leases.claim("s");
  assert.ok(place.here);
  now = 799_999;
  assert.equal(leases.fenceOf("s"), place.fence);
  now = 800_000;
  assert.equal(leases.fenceOf("s"), null);
  assert.deepEqual(lost, ["s"]);
  assert.equal((await owners.claim("s", "b", 1)).mine, false, "still ours at the engine");
  await leases.close();
  // Where nobody asks and no renewal is answered, the timer of the renewals looks.
  const alive = setInterval(() => {}, 60_000);
  const given = Promise.withResolvers<string>();
  const unasked = new Leases({
    owners: {
      claim: (...args) => owners.claim(...args),
      release: (...args) => owners.release(...args),
      renew: () => new Promise(() => {}),
    },
    ...{ url: "a", ttlMs: 20, onLost: given.resolve, onError: () => {}, now: () => now },
  });
  await unasked.claim("t");
  now += 20;
  assert.equal(await given.promise, "t");
  clearInterval(alive);
  await unasked.close();
});

test("what is claimed while it is given up is not given up with it", async () => {
  const owners = new MemorySessionOwners();
  const arrives = Promise.withResolvers<void>();
  const slow: SessionOwners = {
    claim: (...args) => owners.claim(...args),
    renew: (...args) => owners.renew(...args),
    release: async (...args) => {
      await arrives.promise;
      await owners.release(...args);
    },
  };
  const quiet = { onLost: () => {}, onError: () => {} };
  const leases = new Leases({ owners: slow, url: "a", ttlMs: 60_000, ...quiet });
  const before = await leases.claim("s") as { fence: number };
  const releasing = leases.release("s");
  const claiming = leases.claim("s") as Promise<{ fence: number }>;
  arrives.resolve();
  await releasing;
  const { fence } = await claiming;
  assert.ok(fence > before.fence);
  assert.ok(await owners.renew("s", fence, 60_000));
  await leases.close();
});

test("a lease that is renewed goes on from then", async () => {
  let now = 0;
  const owners = new MemorySessionOwners(() => now);
  const renewed = Promise.withResolvers<void>();
  // The leases' own timer keeps no process alive.
  const alive = setInterval(() => {}, 60_000);
  let renewals = 0;
  const leases = new Leases({
    owners: {
      claim: (id, url, ms) => owners.claim(id, url, ms),
      release: (id, fence) => owners.release(id, fence),
      renew: async (id, fence, ms) => {
        if (++renewals > 1) throw new Error("the engine is away");
        // What counts is when it was asked for, not when it was granted.
        now = 90;
        const kept = await owners.renew(id, fence, ms);
        setTimeout(renewed.resolve);
        return kept;
      },
    },
    ...{ url: "a", ttlMs: 100, onLost: () => {}, onError: () => {}, now: () => now },
  });
  const { fence } = await leases.claim("s") as { fence: number };
  now = 50;
  await renewed.promise;
  now = 129;
  assert.equal(leases.fenceOf("s"), fence);
  now = 130;
  assert.equal(leases.fenceOf("s"), null);
  clearInterval(alive);
  await leases.close();
});

test("a renewal that is never answered keeps no other lease from being renewed in time", async () => {
  const owners = new MemorySessionOwners(() => 0);
  const asked: string[] = [];
  const leases = new Leases({
    owners: {
      claim: (...args) => owners.claim(...args),
      release: (...args) => owners.release(...args),
      renew: (id, ...args) => {
        asked.push(id);
        return id === "stuck" ? new Promise(() => {}) : owners.renew(id, ...args);
      },
    },
    ...{ url: "a", ttlMs: 200, onLost: () => {}, onError: () => {}, now: () => 0 },
  });
  const { setInterval } = globalThis;
  let [renew, everyMs] = [() => {}, 0];
  globalThis.setInterval = ((callback: () => void, ms: number) => {
    [renew, everyMs] = [callback, ms];
    return setInterval(() => {}, 60_000);
  }) as typeof setInterval;
  try {
    await Promise.all([leases.claim("stuck"), leases.claim("fine")]);
  } finally {
    globalThis.setInterval = setInterval;
  }
  assert.ok(2 * everyMs < 0.8 * 200, "twice while a lease is sure");
  for (let times = 1; times <= 2; times++) {
    renew();
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert.deepEqual(asked, ["stuck", "fine", "stuck", "fine"]);
  await leases.close();
});

test("a lease ends by the clock that went on, whichever stood still or was set back", async () => {
  const { now: steady } = performance;
  const { now: wall } = Date;
  const [startedAt, wallAt] = [Math.round(steady.call(performance)), wall()];
  try {
    for (const [steadyBy, wallBy] of [[800_000, -50_000], [0, 800_000]] as const) {
      performance.now = () => startedAt;
      Date.now = () => wallAt;
      const owners = new MemorySessionOwners(() => 0);
      const leases = new Leases({
        ...{ owners, url: "a", ttlMs: 1_000_000, onLost: () => {}, onError: () => {} },
      });
      const { fence } = await leases.claim("s") as { fence: number };
      performance.now = () => startedAt + steadyBy - Math.sign(steadyBy);
      Date.now = () => wallAt + wallBy - Math.sign(wallBy);
      assert.equal(leases.fenceOf("s"), fence);
      performance.now = () => startedAt + steadyBy;
      Date.now = () => wallAt + wallBy;
      assert.equal(leases.fenceOf("s"), null);
      await leases.close();
    }
  } finally {
    performance.now = steady;
    Date.now = wall;
  }
});

test("a lease that is not renewed ends in time after the date was set forward and back", async () => {
  const { now: steady } = performance;
  const { now: wall } = Date;
  let [at, date] = [Math.round(steady.call(performance)), wall()];
  try {
    performance.now = () => at;
    Date.now = () => date;
    const owners = new MemorySessionOwners(() => 0);
    const leases = new Leases({
      ...{ owners, url: "a", ttlMs: 1_000_000, onLost: () => {}, onError: () => {} },
    });
    await leases.claim("s");
    date += 86_400_000;
    assert.equal(leases.fenceOf("s"), null);
    const { fence } = await leases.claim("s") as { fence: number };
    date -= 86_400_000;
    at += 799_999;
    assert.equal(leases.fenceOf("s"), fence);
    at += 1;
    assert.equal(leases.fenceOf("s"), null);
    await leases.close();
  } finally {
    performance.now = steady;
    Date.now = wall;
  }
});

test("a tail takes nothing from an owner before the one that has read it", async () => {
  const tail = new MemoryEventTail(2);
  assert.equal(await tail.append("s", 1, [{ seq: 1, text: "a" }]), true);
  assert.deepEqual(await tail.read("s", 2), [{ seq: 1, text: "a" }]);
  assert.equal(await tail.append("s", 1, [{ seq: 2, text: "late" }]), false);
  assert.equal(await tail.read("s", 1), null);
  assert.equal(await tail.append("s", 2, [{ seq: 2, text: "b" }, { seq: 3, text: "c" }]), true);
  assert.deepEqual((await tail.read("s", 2))!.map(({ seq }) => seq), [2, 3]);
  for (const fence of [-1, NaN, "2"]) {
    const wrong = fence as number;
    await assert.rejects(tail.append("s", wrong, []), InvalidArgumentError, `${fence}`);
    await assert.rejects(tail.read("s", wrong), InvalidArgumentError, `${fence}`);
  }
});

const never = () => new Promise<never>(() => {});

/** A client whose server says nothing. */
const SILENT_CLIENT = {
  approvals: { pending: () => [], answer: () => false },
  startSession: never,
  resumeSession: never,
  readThread: never,
  archiveThread: never,
};

test("a node's address and the nodes' secret are looked at when the bridge is created", () => {
  const good = { url: "http://a", owners: new MemorySessionOwners(), secret: "x".repeat(32) };
  for (const bad of [{ url: "/a" }, { url: "" }, { secret: "x".repeat(31) }, { secret: 7 }]) {
    const cluster = { ...good, ...bad } as typeof good;
    const options = { client: SILENT_CLIENT, cwd: "/", authorize: () => "ann", cluster };
    assert.throws(() => createBridge(options), (error) => {
      assert.ok(error instanceof InvalidArgumentError);
      return error.message.includes(`cluster.${Object.keys(bad)[0]}`) &&
        !error.message.includes("xxx");
    });
  }
});

test("an engine that says nothing keeps nobody waiting longer than a lease", async () => {
  const silent = never;
  const engine = { claim: silent, renew: silent, release: silent };
  const store: SessionStore = Object.assign(new MemorySessionStore(), {
    get: silent,
    put: silent,
    list: silent,
    delete: silent,
    findThread: silent,
  });
  const cluster = { url: "http://a", owners: engine, secret: "x".repeat(32), leaseMs: 20 };
  const bridge = createBridge({
    client: SILENT_CLIENT,
    isolation: "trusting",
    cwd: "/",
    authorize: () => "ann",
    store,
    cluster,
  });
  const asked: [string, string, string?][] = [
    ["GET", "/sessions"],
    ["GET", `/sessions/sess_${"a".repeat(32)}`],
    ["DELETE", `/sessions/sess_${"a".repeat(32)}`],
    ["POST", "/sessions", JSON.stringify({ threadId: crypto.randomUUID() })],
  ];
  for (const [method, path, body] of asked) {
    const headers = { "content-type": "application/json" };
    const { status } = await bridge.fetch(
      new Request(`http://localhost/codex${path}`, { method, headers, ...(body ? { body } : {}) }),
    );
    assert.equal(status, 503, `${method} ${path}`);
  }
  const shared = sharedStore(Object.assign(store, { unusedSince: silent }), 20);
  const away = (error: WebError) => error.reason === "storeUnavailable";
  const each: [name: string, ask: () => Promise<unknown>][] = [
    ["get", () => shared.get("s")],
    ["findThread", () => shared.findThread("ann", "t")],
    ["list", () => shared.list("ann")],
    ["put", () => shared.put({} as never)],
    ["delete", () => shared.delete("s")],
    ["unusedSince", () => shared.unusedSince!(new Date())],
  ];
  for (const [name, ask] of each) await assert.rejects(ask(), away, name);
  // As a database does that is asked without a promise, and that has no such row.
  const locked = () => {
    throw new Error("database is locked");
  };
  const direct = sharedStore({
    get: () => undefined as never,
    findThread: () => Promise.resolve(undefined as never),
    list: locked,
    put: locked,
    delete: locked,
  });
  assert.equal(await direct.get("s"), null);
  assert.equal(await direct.findThread("ann", "t"), null);
  await assert.rejects(direct.list("ann"), away);
  await assert.rejects(direct.put({} as never), away);
  await assert.rejects(direct.delete("s"), away);
  const { unusedSince: _, ...plain } = shared;
  assert.equal(sharedStore(plain).unusedSince, undefined);
  const tail = { append: silent, read: silent };
  const node = new ClusterNode({ ...cluster, tail }, () => {}, () => {});
  const unread = (error: WebError) => error.reason === "tailUnavailable";
  await assert.rejects(node.restored("s", 1), unread);
  // An append whose answer is lost is sent again.
  await assert.rejects(node.tailOf("s", 1)!.tail.append("s", 1, []), /in time/);
  // What is given up, and never confirmed.
  const owners = new MemorySessionOwners();
  const leases = new Leases({
    owners: {
      claim: (...args) => owners.claim(...args),
      renew: silent,
      release: silent,
    },
    url: "a",
    ttlMs: 20,
    onLost: () => {},
    onError: () => {},
  });
  await leases.claim("s");
  await leases.release("s");
  await leases.close();
  await bridge.close();
});

test("what is told late of a lease before does not end the one of now", async () => {
  const lost: string[] = [];
  const owners = new MemorySessionOwners();
  const tail = new MemoryEventTail();
  const cluster = { url: "http://a", secret: "x".repeat(32), leaseMs: 600_000, owners, tail };
  const node = new ClusterNode(cluster, (id) => lost.push(id), () => {});
  const fenceOf = async () => {
    const place = await node.locate("s");
    assert.ok("fence" in place);
    return place.fence;
  };
  const first = await fenceOf();
  const before = node.tailOf("s", first)!;
  await node.release("s");
  const second = await fenceOf();
  assert.notEqual(second, first);
  before.onFenced();
  assert.deepEqual([node.fenceOf("s"), lost], [second, []]);
  node.tailOf("s", second)!.onFenced();
  assert.deepEqual([node.fenceOf("s"), lost], [null, ["s"]]);
  await node.close();
});

test("a forwarded request is somebody's only as it was signed", async () => {
  const secret = "x".repeat(32);
  const here = "http://10.0.0.7:8080";
  let now = Date.now();
  const forwarder = new Forwarder(secret, here, () => now);
  const body = new TextEncoder().encode("{}");
  const request = { method: "POST", target: "/codex/sessions/s/turns", tenant: "ann", body };
  const header = await forwarder.sign(request, `${here}/#abc`);
  let reads = 0;
  const verify = async (given: string, asked: typeof request) => {
    const verified = await forwarder.verify(given, asked, () => {
      reads++;
      return Promise.resolve(asked.body);
    });
    assert.deepEqual(verified, { tenant: "ann", body: asked.body });
  };
  await verify(header, request);
  // Whoever listens in between can't have it done once more, nor by another node.
  await assert.rejects(verify(header, request), { status: 401 });
  const other = await forwarder.sign(request, "http://10.0.0.8:8080");
  await assert.rejects(verify(other, request), { status: 401 });
  const late = await forwarder.sign(request, here);
  now += 60_000;
  await assert.rejects(verify(late, request), { status: 401 });
  const early = await forwarder.sign(request, here);
  now -= 60_000;
  await assert.rejects(verify(early, request), { status: 401 });
  const fresh = () => forwarder.sign(request, here);
  await verify(await fresh(), request);
  const others: [string, typeof request][] = [
    [await fresh(), { ...request, method: "GET" }],
    [await fresh(), { ...request, target: "/codex/sessions/t/turns" }],
    [await fresh(), { ...request, body: new TextEncoder().encode("{ }") }],
    [await new Forwarder("y".repeat(32), here).sign(request, here), request],
    [
      `${btoa(JSON.stringify({ tenant: "bob", at: Date.now() }))}.${(await fresh()).split(".")[1]}`,
      request,
    ],
    [`${await fresh()}.x`, request],
    ["", request],
    ["a.b", request],
    ["💥", request],
  ];
  for (const [given, asked] of others) {
    await assert.rejects(verify(given, asked), { status: 401 });
  }
  // Nothing is read for whoever can't sign: of all these only the body that is another one was.
  assert.equal(reads, 3);
});

test("nodes whose secrets differ, as while one is rolled out, send nobody to sign in", async () => {
  const [owners, store] = [new MemorySessionOwners(), new MemorySessionStore()];
  const sessionId = `sess_${"a".repeat(32)}`;
  const now = new Date();
  await store.put({
    ...{ sessionId, tenant: "ann", threadId: "t", title: null, createdAt: now, usedAt: now },
    ...{ model: null, effort: null, used: false, revision: 1 },
  });
  const told: unknown[] = [];
  const node = (secret: string) => {
    const server = serve((request) => bridge.fetch(request));
    const bridge = createBridge({
      ...{ client: SILENT_CLIENT, isolation: "trusting", cwd: "/", authorize: () => "ann", store },
      onError: (error) => told.push(error),
      cluster: { url: server.origin, owners, secret: secret.repeat(32) },
    });
    const read = () => fetch(`${server.origin}/codex/sessions/${sessionId}`);
    return { read, close: () => bridge.close().then(() => server.close()) };
  };
  const nodes = ["x", "y", "x"].map(node);
  const answers = [];
  for (const { read } of nodes) {
    const response = await read();
    answers.push(`${response.status} ${(await response.json()).code}`);
  }
  for (const { close } of nodes) await close();
  assert.deepEqual(answers, ["200 undefined", "503 ownerUnreachable", "200 undefined"]);
  assert.match(String((told[0] as WebError).cause), /secrets/);
  assert.equal(told.length, 1);
});

test("the stream of a node that has gone silent ends, and its connection with it", async () => {
  const left = Promise.withResolvers<void>();
  const server = serve((request) => {
    request.signal.addEventListener("abort", () => left.resolve());
    return new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode(": here\n\n")),
        cancel: () => left.resolve(),
      }),
      { headers: { "content-type": "text/event-stream" } },
    );
  });
  const gone = new AbortController();
  let ends = 0;
  const request = { method: "GET", target: "/", tenant: "ann", body: new Uint8Array() };
  const response = await forward(server.origin, request, new Headers(), "signed", {
    patienceMs: 60_000,
    silenceMs: 300,
    stillThere: () => Promise.resolve(true),
    health: "/health",
    onSilent: () => {},
    gone,
    breaks: false,
    onEnd: () => ends++,
  });
  await response.text();
  assert.deepEqual([gone.signal.aborted, ends], [true, 1]);
  await left.promise;
  await server.close();
});

test("what passes through ends when it is given up, also where a request forgets its signal", async () => {
  const { fetch } = globalThis;
  const never = new Promise<never>(() => {});
  const request = { method: "GET", target: "/", tenant: "ann", body: new Uint8Array() };
  const options = {
    patienceMs: 60_000,
    silenceMs: Infinity,
    stillThere: () => Promise.resolve(true),
    health: "/health",
    onSilent: () => {},
    breaks: false,
  };
  const passed = (gone: AbortController, onEnd: () => void) =>
    forward("http://127.0.0.1:9", request, new Headers(), "signed", { ...options, gone, onEnd });
  try {
    let cancelled = 0;
    globalThis.fetch = () =>
      Promise.resolve(
        new Response(new ReadableStream({ pull: () => never, cancel: () => void cancelled++ })),
      );
    for (const early of [false, true]) {
      const gone = new AbortController();
      let ends = 0;
      const response = await passed(gone, () => ends++);
      const reader = response.body!.getReader();
      const read = early ? null : reader.read();
      gone.abort();
      assert.equal((await (read ?? reader.read())).done, true);
      assert.equal(ends, 1);
    }
    assert.equal(cancelled, 2);
    // Before an answer has begun.
    globalThis.fetch = () => never;
    const gone = new AbortController();
    const answer = passed(gone, () => {});
    gone.abort();
    await assert.rejects(answer, { status: 503, reason: "ownerUnreachable" });
  } finally {
    globalThis.fetch = fetch;
  }
});

test("what ends before its time on its way is broken off, unless its reader comes back to go on", async () => {
  const { fetch } = globalThis;
  const never = () => new Promise<never>(() => {});
  const request = { method: "POST", target: "/", tenant: "ann", body: new Uint8Array() };
  const ends: [
    name: string,
    end: (body: ReadableStreamDefaultController) => void,
    whole: boolean,
  ][] = [
    ["all told", (body) => body.close(), true],
    ["the connection broke", (body) => body.error(new Error("reset")), false],
    ["silence", () => {}, false],
    ["given up", () => {}, false],
  ];
  try {
    for (const [name, end, whole] of ends) {
      for (const breaks of [true, false]) {
        let told = 0;
        const body = () =>
          new ReadableStream({
            pull: (body) => told++ === 0 ? body.enqueue(new Uint8Array([65])) : end(body),
          }, { highWaterMark: 0 });
        const headers = { "x-vercel-ai-ui-message-stream": "v1", "set-cookie": "a=b" };
        globalThis.fetch = () => Promise.resolve(new Response(body(), { headers }));
        const gone = new AbortController();
        const response = await forward("http://127.0.0.1:9", request, new Headers(), "signed", {
          ...{ patienceMs: 60_000, health: "/health", onSilent: () => {}, onEnd: () => {} },
          ...{ silenceMs: name === "silence" ? 10 : 60_000, stillThere: never, gone, breaks },
        });
        assert.deepEqual([...response.headers], [["x-vercel-ai-ui-message-stream", "v1"]]);
        const reader = response.body!.getReader();
        assert.deepEqual((await reader.read()).value, new Uint8Array([65]));
        const rest = reader.read();
        if (name === "given up") gone.abort();
        const what = `${name}, ${breaks}`;
        if (whole || !breaks) assert.equal((await rest).done, true, what);
        else await assert.rejects(rest, { reason: "ownerUnreachable" }, what);
      }
    }
  } finally {
    globalThis.fetch = fetch;
  }
});

test("an owner that can't be reached from here is 503, one that takes its time is waited for", async () => {
  const encoder = new TextEncoder();
  for (const reachable of [true, false]) {
    let silent = 0;
    const enough = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    const server = serve(async (request) => {
      if (new URL(request.url).pathname === "/base/health") {
        enough.resolve();
        if (!reachable) await over.promise;
        return new Response(null, { status: 503 });
      }
      await (reachable ? enough.promise : over.promise);
      return new Response("done");
    });
    const body = encoder.encode("{}");
    const request = { method: "POST", target: "/base/turns", tenant: "ann", body };
    const answer = forward(server.origin, request, new Headers(), "signed", {
      patienceMs: reachable ? 1_000 : 100,
      silenceMs: 60_000,
      // By the leases it is well.
      stillThere: () => Promise.resolve(true),
      health: "/base/health",
      onSilent: () => silent++,
      gone: new AbortController(),
      breaks: true,
      onEnd: () => {},
    });
    if (reachable) assert.equal(await (await answer).text(), "done");
    else await assert.rejects(answer, { status: 503, reason: "ownerUnreachable" });
    assert.equal(silent > 0, !reachable);
    over.resolve();
    await server.close();
  }
});

test("what was told to be out of reach is not asked again at once", async () => {
  const over = Promise.withResolvers<void>();
  const asked: string[] = [];
  const server = serve(async (request) => {
    asked.push(new URL(request.url).pathname);
    await over.promise;
    return new Response(null);
  });
  const never = () => Promise.reject(new Error("not in this test"));
  const [owners, store] = [new MemorySessionOwners(), new MemorySessionStore()];
  const sessionId = `sess_${"a".repeat(32)}`;
  const now = new Date();
  await store.put({
    ...{ sessionId, tenant: "ann", threadId: "t", title: null, createdAt: now, usedAt: now },
    ...{ model: null, effort: null, used: true, revision: 1 },
  });
  await owners.claim(sessionId, `${server.origin}/#other`, 600_000);
  const bridge = createBridge({
    client: {
      approvals: { pending: () => [], answer: () => false },
      ...{ startSession: never, resumeSession: never, readThread: never, archiveThread: never },
    },
    isolation: "trusting",
    cwd: "/",
    authorize: () => "ann",
    onError: () => {},
    store,
    cluster: { url: "http://127.0.0.1:9/", owners, secret: "x".repeat(32), leaseMs: 2_000 },
  });
  const path = `/codex/sessions/${sessionId}`;
  for (let tried = 0; tried < 2; tried++) {
    const response = await bridge.fetch(new Request(`http://localhost${path}`));
    const told = [response.status, (await response.json()).code];
    assert.deepEqual(told, [503, "ownerUnreachable"]);
  }
  assert.equal(asked.filter((each) => each === path).length, 1);
  over.resolve();
  await bridge.close();
  await server.close();
});
