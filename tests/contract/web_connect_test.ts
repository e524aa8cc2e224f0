/** The browser's client against the bridge. */
import assert from "node:assert/strict";
import { WebError } from "../../src/errors/mod.ts";
import { connect } from "../../src/web/connect.ts";
import type { BridgeEvent, BridgeSession, ConnectOptions } from "../../src/web/connect_types.ts";
import { MemorySessionStore } from "../../src/web/store/session_store.ts";
import type { FakeTurn } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { inWorld, ORIGIN, type World } from "./web_world.ts";

/** A tenant's client; `lost` may break an answer's stream off. */
function clientOf(
  world: World,
  tenant: string,
  lost: (body: ReadableStream<Uint8Array>) => ReadableStream<Uint8Array> = (body) => body,
  options: ConnectOptions = {},
) {
  return connect(`${ORIGIN}/codex`, {
    headers: { "x-tenant": tenant },
    fetch: async (url, init) => {
      const response = await world.bridge.fetch(new Request(url, init));
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
      const body = response.body as ReadableStream<Uint8Array> | null;
      return isStream ? new Response(lost(body!), response) : response;
    },
    ...options,
  });
}

/** The bytes up to a number of them, then a connection that is reset. */
function broken(body: ReadableStream<Uint8Array>, bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        controller.enqueue(chunk.subarray(0, left));
        left -= chunk.length;
        if (left <= 0) controller.error(new TypeError("connection reset"));
      },
    }),
  );
}

const deltaOf = (event: BridgeEvent) => event.type === "assistantMessageDelta" ? event.delta : "";

test("a conversation of a client: types, a steer, a stop, a close, and nothing of another tenant", () =>
  inWorld({
    server: {
      onTurn: (turn: FakeTurn) => {
        if (turn.prompt !== "wait") {
          turn.say(`You said ${turn.prompt}.`, { deltas: ["You ", `said ${turn.prompt}`, "."] });
          turn.usage({ totalTokens: 42 });
          return turn.complete();
        }
        turn.say("working", { open: true });
        return new Promise((resolve) => turn.signal.addEventListener("abort", () => resolve()));
      },
    },
  }, async (world) => {
    const ann = clientOf(world, "ann");
    assert.deepEqual((await ann.settings()).models, []);
    const session = await ann.createSession();
    const events = session.events();
    const first = (await events.next()).value!;
    assert.ok(first.type === "snapshot");
    assert.equal(typeof first.snapshot.createdAt, "string");
    const { turnId } = await session.ask("hi");
    let text = "";
    for await (const event of events) {
      text += deltaOf(event);
      if (event.type !== "turnCompleted") continue;
      assert.deepEqual([event.turnId, event.status], [turnId, "completed"]);
      break;
    }
    assert.equal(text, "You said hi.");
    assert.deepEqual((await ann.sessions()).map(({ title }) => title), ["hi"]);
    const { cursor } = await session.read();

    const running = await session.ask({ text: "wait" });
    await session.steer(running.turnId, "and more");
    assert.deepEqual(await session.interrupt(running.turnId), { turnId: running.turnId });
    assert.equal((await session.read()).turns.at(-1)!.status, "interrupted");

    const bob = clientOf(world, "bob").session(session.sessionId);
    const calls: ((of: BridgeSession) => Promise<unknown>)[] = [
      (of) => of.read(),
      (of) => of.events().next(),
      (of) => of.ask("x"),
      (of) => of.steer(turnId, "x"),
      (of) => of.interrupt(turnId),
      (of) => of.approvals(),
      (of) => of.answer("a", { decision: "accept" }),
      (of) => of.close(),
    ];
    for (const call of calls) {
      await assert.rejects(call(bob), (error) => error instanceof WebError && error.status === 404);
    }

    // Whoever goes on from a cursor is told what came after it, and the end.
    const rest = session.events({ after: cursor });
    assert.equal((await rest.next()).value!.type, "turnStarted");
    await session.close();
    let last: BridgeEvent | undefined;
    for await (const event of rest) last = event;
    assert.equal(last!.type, "sessionClosed");
  }));

const question = async (turn: FakeTurn) => {
  turn.say(`it is ${await turn.command("/bin/bash -lc 'make'", "", { ask: true })}`);
  turn.complete();
};

test("a question is told, answered and gone", () =>
  inWorld({
    server: { onTurn: question },
    bridge: { profile: { approvalPolicy: "untrusted" } },
  }, async (world) => {
    const session = await clientOf(world, "ann").createSession();
    const events = session.events();
    await events.next();
    await session.ask("build");
    let text = "";
    for await (const event of events) {
      text += deltaOf(event);
      if (event.type === "turnCompleted") break;
      if (event.type !== "approvalRequested") continue;
      const [waiting] = await session.approvals();
      assert.equal(waiting!.request.id, event.request.id);
      assert.ok(Date.parse(waiting!.deadline!) > Date.now());
      await session.answer(event.request.id, { decision: "accept" });
    }
    assert.equal(text, "it is accept");
    assert.deepEqual(await session.approvals(), []);
  }));

test("streams that are reset again and again lose nothing and double nothing", () =>
  inWorld({
    server: {
      onTurn: async (turn: FakeTurn) => {
        const words = Array.from({ length: 120 }, (_, i) => `${i}·wörd `);
        turn.say(words.join(""), { deltas: words });
        await Promise.resolve();
        turn.complete();
      },
    },
    bridge: { retryMs: 1 },
  }, async (world) => {
    let streams = 0;
    // What is told as one must come through at last.
    const lost = (body: ReadableStream<Uint8Array>) => broken(body, 150 * ++streams);
    const session = await clientOf(world, "ann", lost, { maxRetryMs: 1 }).createSession();
    const { cursor } = await session.read();
    const expected = Array.from({ length: 120 }, (_, i) => `${i}·wörd `).join("");
    await session.ask("talk");
    let text = "";
    for await (const event of session.events({ after: cursor })) {
      text += deltaOf(event);
      if (event.type === "turnCompleted") break;
    }
    assert.equal(text, expected);
    assert.ok(streams > 3, `${streams}`);
  }));

test("what a browser sends again by itself, since its connection broke, is done once", () => {
  const store = new MemorySessionStore();
  return inWorld({
    server: { onTurn: question },
    bridge: { store, profile: { approvalPolicy: "untrusted" } },
  }, async (world) => {
    const sent: [url: string, init: RequestInit][] = [];
    const ask = (url: string, init: RequestInit) => world.bridge.fetch(new Request(url, init));
    // While the first one is still on its way, and behind its answer, which nobody heard.
    const twice = async (url: string, init: RequestInit) => {
      if (init.method === "GET") return await ask(url, init);
      sent.push([url, init]);
      const [first, second] = await Promise.all([ask(url, init), ask(url, init)]);
      const third = await ask(url, init);
      const told = await Promise.all([first, second, third].map((each) => each.text()));
      assert.equal(new Set(told).size, 1, told.join());
      return new Response(told[2], third);
    };
    const ann = clientOf(world, "ann", undefined, { fetch: twice, headers: { "x-tenant": "ann" } });
    const session = await ann.createSession();
    const { cursor } = await session.read();
    const events = session.events({ after: cursor });
    await session.ask("may I?");
    const [created, asked] = sent as [typeof sent[0], typeof sent[0]];
    const later = [`${asked[0]}later`, asked[1]] as const;
    const status = async (request: readonly [string, RequestInit]) =>
      (await ask(...request)).status;
    let over = 0;
    for await (const event of events) {
      if (event.type === "approvalRequested") {
        if (over === 0) assert.equal(await status(later), 409);
        await session.answer(event.request.id, { decision: "accept" });
      }
      if (event.type !== "turnCompleted") continue;
      if (++over === 2) break;
      // The turn is over: it would begin anew.
      assert.equal(await status(asked), 202);
      assert.equal(world.server.turns.length, 1);
      // What was refused may be tried again.
      assert.equal(await status(later), 202);
    }
    assert.equal((await session.read()).turns.length, 2);
    // Somebody else's request of that name is another one, and so is what has another name.
    const [url, init] = asked;
    const bob = await ask(url, { ...init, headers: { ...init.headers, "x-tenant": "bob" } });
    assert.equal(bob.status, 404);
    assert.equal((await ask(`${url}${"0".repeat(100)}`, init)).status, 400);
    // Whoever created it may have been another server on the same store.
    const before = world.bridge;
    world.remount();
    assert.equal((await (await ask(...created)).json()).sessionId, session.sessionId);
    assert.equal((await ann.sessions()).length, 1);
    await before.close();
    await session.close();
    assert.deepEqual(await ann.sessions(), []);
  });
});

test("a stream is ended by its own page's next one, and by no other tenant's", () =>
  inWorld({ bridge: { heartbeatMs: 60_000 } }, async (world) => {
    const session = await clientOf(world, "ann").createSession();
    const { cursor } = await session.read();
    const open = (tenant: string) =>
      world.bridge.fetch(
        new Request(
          `${ORIGIN}/codex/sessions/${session.sessionId}/events?after=${cursor}&reader=1`,
          { headers: { "x-tenant": tenant } },
        ),
      );
    const reader = (await open("ann")).body!.getReader();
    await reader.read();
    assert.equal((await open("bob")).status, 404);
    await session.ask("hi");
    const event = await reader.read();
    assert.equal(event.done, false);
    const next = (await open("ann")).body!;
    while (!(await reader.read()).done);
    await next.cancel();
  }));

test("a page whose network goes again and again is not kept out by the streams that it has left", () =>
  inWorld({ bridge: { maxStreamsPerTenant: 2, heartbeatMs: 60_000 } }, async (world) => {
    let streams = 0;
    // Nothing comes any more, and nobody hears that the page has given it up: a phone in a tunnel.
    const gone = (body: ReadableStream<Uint8Array>) => {
      const reader = body.getReader();
      return ++streams > 4 ? body : new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          const { value } = await reader.read();
          if (value !== undefined) controller.enqueue(value);
        },
      });
    };
    const ann = clientOf(world, "ann", gone, { maxRetryMs: 1, silenceMs: 60 });
    const session = await ann.createSession();
    const links: unknown[] = [];
    const onLink = (_: string, reason: unknown) => {
      if (reason !== null) links.push(reason);
      if (streams === 4) session.ask("hi").catch((error) => links.push(error));
    };
    for await (const event of session.events({ onLink })) {
      if (event.type === "turnCompleted") break;
    }
    assert.deepEqual(links, []);
  }));
