/** The adapter without HTTP. */
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  AttachmentNotFoundError,
  ConnectionClosedError,
  MessageTooLargeError,
  RpcError,
  WebError,
} from "../../src/errors/mod.ts";
import { WebAdapter } from "../../src/web/adapter.ts";
import type { WebClient, WebTurnStream } from "../../src/web/client.ts";
import { MemorySessionStore, type StoredSession } from "../../src/web/store/session_store.ts";
import type { WebEvent } from "../../src/web/types.ts";
import { FakeRpcError, NO_ANSWER } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { inWorld } from "./web_world.ts";

const CWD = process.cwd();

function isWebError(status: number, reason: string): (error: unknown) => boolean {
  return (error) => error instanceof WebError && error.status === status && error.reason === reason;
}

/** What the fake server knows nothing of. */
const isolation = "trusting" as const;

async function untilTurnEnds(events: AsyncIterable<WebEvent>): Promise<WebEvent[]> {
  const seen: WebEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (event.event.type === "turnCompleted") break;
  }
  return seen;
}

test("subscribeEvents() replays from the beginning, follows, and ends when the session is closed", () =>
  inWorld({}, async ({ client }) => {
    const adapter = new WebAdapter({ client, isolation, cwd: CWD });
    const { sessionId } = await adapter.createSession("ann");
    const { turnId } = await adapter.createTurn("ann", sessionId, { text: "hi" });
    const seen = await untilTurnEnds(adapter.subscribeEvents("ann", sessionId));
    assert.equal(seen[0]!.event.type, "turnStarted");
    const last = seen.at(-1)!;
    assert.ok("turnId" in last.event && last.event.turnId === turnId);

    const rest = adapter.subscribeEvents("ann", sessionId, { after: last.id });
    const next = rest.next();
    await adapter.closeSession("ann", sessionId);
    assert.deepEqual((await next).value?.event, { type: "sessionClosed", sessionId });
    assert.equal((await rest.next()).done, true);
    await adapter.close();
  }));

test("subscribeEvents() rejects for what is not the tenant's, at its first event", () =>
  inWorld({}, async ({ client }) => {
    const adapter = new WebAdapter({ client, isolation, cwd: CWD });
    const { sessionId } = await adapter.createSession("ann");
    await assert.rejects(
      adapter.subscribeEvents("bob", sessionId).next(),
      isWebError(404, "notFound"),
    );
    await adapter.close();
  }));

test("a subscription ends by its signal and by return(), also while it waits, and gives its place back", () =>
  inWorld({}, async ({ client }) => {
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, maxStreamsPerTenant: 1 });
    const { sessionId } = await adapter.createSession("ann");
    const controller = new AbortController();
    const first = adapter.subscribeEvents("ann", sessionId, { signal: controller.signal });
    const waiting = first.next();
    await adapter.readSession("ann", sessionId);
    await assert.rejects(
      adapter.subscribeEvents("ann", sessionId).next(),
      isWebError(429, "tooManyStreams"),
    );
    const reason = new Error("enough");
    controller.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);

    const second = adapter.subscribeEvents("ann", sessionId);
    const also = second.next();
    await adapter.readSession("ann", sessionId);
    await second.return!();
    assert.equal((await also).done, true);

    const third = adapter.subscribeEvents("ann", sessionId);
    const [told, later, last] = [third.next(), third.next(), third.next()];
    await adapter.closeSession("ann", sessionId);
    assert.equal((await told).value?.event.type, "sessionClosed");
    assert.equal((await later).done, true);
    assert.equal((await last).done, true);
    await adapter.close();
  }));

test("subscribeApprovals() tells what waits first, then what comes, each once", () =>
  inWorld({
    server: {
      onTurn: async (turn) => {
        await turn.command("one", "", { ask: true, id: "call_1" });
        await turn.command("two", "", { ask: true, id: "call_2" });
        turn.complete();
      },
    },
  }, async ({ client }) => {
    const profile = { approvalPolicy: "untrusted" } as const;
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, profile });
    const { sessionId } = await adapter.createSession("ann");
    await adapter.createTurn("ann", sessionId, { text: "go" });
    for await (const { event } of adapter.subscribeEvents("ann", sessionId)) {
      if (event.type === "approvalRequested") break;
    }
    const told: string[] = [];
    for await (const event of adapter.subscribeApprovals("ann", sessionId)) {
      if (event.type === "approvalRequested") {
        assert.ok(event.request.type === "command");
        told.push(`asked ${event.request.command}`);
        await adapter.postApproval("ann", sessionId, event.request.id, { decision: "accept" });
      } else told.push(event.audit.decision);
      if (told.length === 4) break;
    }
    assert.deepEqual(told, ["asked one", "accept", "asked two", "accept"]);
    await adapter.close();
  }));

test("subscribeApprovals() tells of a question that waits and has left the log", () => {
  let say = () => {};
  return inWorld({
    server: {
      onTurn: async (turn) => {
        await turn.command("one", "", { ask: true, id: "call_1" });
        say = () => void turn.say("on and on", { deltas: ["on ", "and ", "on"] });
        await turn.command("two", "", { ask: true, id: "call_2" });
        turn.complete();
      },
    },
  }, async ({ client }) => {
    const profile = { approvalPolicy: "untrusted" } as const;
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, profile, maxLogEvents: 1 });
    const { sessionId } = await adapter.createSession("ann");
    await adapter.createTurn("ann", sessionId, { text: "go" });
    const until = async (fits: () => Promise<boolean>) => {
      while (!await fits()) await new Promise((resolve) => setTimeout(resolve, 1));
    };
    const asked = async (text: string) =>
      (await adapter.approvals("ann", sessionId)).some(({ request }) =>
        request.type === "command" && request.command === text
      );
    const said = async () =>
      JSON.stringify((await adapter.readSession("ann", sessionId)).turns).includes("on and on");
    await until(() => asked("one"));
    const next = await adapter.openEvents("ann", sessionId);
    assert.equal(next.take(), null, "a reader of what comes next is told nothing of what was");
    next.close();
    const told: string[] = [];
    for await (const event of adapter.subscribeApprovals("ann", sessionId, { after: null })) {
      if (event.type !== "approvalRequested") {
        told.push(event.audit.decision);
        continue;
      }
      assert.ok(event.request.type === "command");
      told.push(event.request.command!);
      await adapter.postApproval("ann", sessionId, event.request.id, { decision: "accept" });
      if (event.request.command === "two") break;
      await until(() => asked("two"));
      say();
      await until(said);
    }
    assert.deepEqual(told, ["one", "accept", "two"]);
    await adapter.close();
  });
});

test("a session that can't be remembered leaves no thread behind", () =>
  inWorld({}, async ({ client, server }) => {
    class Broken extends MemorySessionStore {
      override put(_session: StoredSession): Promise<boolean> {
        return Promise.reject(new Error("disk full"));
      }
    }
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, store: new Broken() });
    await assert.rejects(adapter.createSession("ann"), isWebError(503, "storeUnavailable"));
    const archived = await server.waitForMethod("thread/archive");
    assert.equal(server.threads.has(archived.params.threadId), false);
    assert.deepEqual(await adapter.sessions("ann"), []);
    await adapter.close();
  }));

test("who finds a session in a store that has not answered yet hears what happens in it", () =>
  inWorld({}, async ({ client }) => {
    const [put, answered] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()];
    class Late extends MemorySessionStore {
      override async put(session: StoredSession): Promise<boolean> {
        const done = await super.put(session);
        put.resolve(session.sessionId);
        await answered.promise;
        return done;
      }
    }
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, store: new Late() });
    const created = adapter.createSession("ann");
    const sessionId = await put.promise;
    const opened = adapter.openEvents("ann", sessionId, null);
    await new Promise((resolve) => setTimeout(resolve));
    answered.resolve();
    await created;
    const early = await opened;
    await adapter.createTurn("ann", sessionId, { text: "hi" });
    await untilTurnEnds(adapter.subscribeEvents("ann", sessionId));
    assert.equal(early.take()?.event.type, "turnStarted");
    early.close();
    await adapter.close();
  }));

test("a store that never answers holds neither a request nor close()", () =>
  inWorld({}, async ({ client }) => {
    const { setTimeout } = globalThis;
    // Ten seconds are short here.
    globalThis.setTimeout = ((call: () => void, ms?: number) =>
      setTimeout(call, ms === 10_000 ? 10 : ms)) as typeof setTimeout;
    try {
      const store = new MemorySessionStore();
      store.put = () =>
        new Promise(() => {});
      const adapter = new WebAdapter({ client, isolation, cwd: CWD, store });
      const created = adapter.createSession("ann");
      await Promise.all([
        // Which of both it hears of is a matter of moments.
        assert.rejects(created, (error) => error instanceof WebError && error.status === 503),
        adapter.close(),
      ]);
    } finally {
      globalThis.setTimeout = setTimeout;
    }
  }));

test("a session whose archive fails can be closed again", () => {
  let failing = true;
  return inWorld({
    server: {
      methods: {
        "thread/archive": () => {
          if (failing) throw new FakeRpcError("disk full");
          return {};
        },
      },
    },
  }, async ({ client }) => {
    const adapter = new WebAdapter({ client, isolation, cwd: CWD });
    const { sessionId } = await adapter.createSession("ann");
    await adapter.createTurn("ann", sessionId, { text: "hi" });
    await untilTurnEnds(adapter.subscribeEvents("ann", sessionId));
    await assert.rejects(adapter.closeSession("ann", sessionId), /disk full/);
    assert.equal((await adapter.sessions("ann")).length, 1);
    failing = false;
    assert.equal((await adapter.closeSession("ann", sessionId)).archived, true);
    assert.deepEqual(await adapter.sessions("ann"), []);
    await adapter.close();
  });
});

test("a session that is closed when codex has ended is not told to be archived, and stays", () =>
  inWorld({}, async ({ client }) => {
    const store = new MemorySessionStore();
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, store });
    const { sessionId } = await adapter.createSession("ann");
    const events = adapter.subscribeEvents("ann", sessionId);
    await adapter.createTurn("ann", sessionId, { text: "hi" });
    await untilTurnEnds(events);
    await client.shutdown();
    for (const _ of [1, 2]) {
      await assert.rejects(adapter.closeSession("ann", sessionId), ConnectionClosedError);
      assert.equal((await adapter.sessions("ann")).length, 1);
    }
    await adapter.close();
  }));

test("a session that nobody uses is released, and resumed when it is needed", () =>
  inWorld({}, async ({ client, server }) => {
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, idleMs: 0 });
    const { sessionId } = await adapter.createSession("ann");
    await adapter.createTurn("ann", sessionId, { text: "one" });
    const { threadId } = await adapter.readSession("ann", sessionId);
    const first = await untilTurnEnds(adapter.subscribeEvents("ann", sessionId));
    await adapter.sessions("bob");
    await server.waitForMethod("thread/unsubscribe");
    await adapter.createTurn("ann", sessionId, { text: "two" });
    const resume = await server.waitForMethod("thread/resume");
    assert.equal(resume.params.threadId, threadId);
    const second = await untilTurnEnds(
      adapter.subscribeEvents("ann", sessionId, { after: first.at(-1)!.id }),
    );
    // The log of before is gone, and that is said.
    assert.equal(second[0]!.event.type, "lagged");
    await adapter.close();
  }));

test("another adapter on the same store knows the sessions of the first", () =>
  inWorld({}, async ({ client, server }) => {
    const store = new MemorySessionStore();
    const options = { isolation, client, cwd: CWD, store, models: ["small"] };
    const before = new WebAdapter(options);
    const used = await before.createSession("ann", { model: "small" });
    const unused = await before.createSession("ann");
    await before.createTurn("ann", used.sessionId, { text: "one" });
    await untilTurnEnds(before.subscribeEvents("ann", used.sessionId));
    await before.close();

    const after = new WebAdapter(options);
    const titles = (await after.sessions("ann")).map(({ title }) => `${title}`);
    assert.deepEqual(titles.sort(), ["null", "one"]);
    await assert.rejects(after.readSession("bob", used.sessionId), isWebError(404, "notFound"));
    // Read from codex's own history.
    assert.ok((await after.readSession("ann", used.sessionId)).turns.length > 0);
    await after.createTurn("ann", used.sessionId, { text: "two" });
    const resume = await server.waitForMethod("thread/resume");
    assert.deepEqual([resume.params.threadId, resume.params.model], [used.threadId, "small"]);
    // A thread without turns does not survive; the session does.
    const taken = await after.resumeSession("ann", unused.sessionId);
    assert.notEqual(taken.threadId, unused.threadId);
    assert.equal((await store.get(unused.sessionId))!.threadId, taken.threadId);
    await after.close();

    // What is no longer offered is no longer used.
    const narrow = new WebAdapter({ ...options, models: [] });
    await narrow.resumeSession("ann", used.sessionId);
    const resumed = server.received.filter(({ method }) => method === "thread/resume");
    assert.equal(resumed.at(-1).params.model, undefined);
    await narrow.close();
  }));

/** A session of an earlier process. */
const usedSession = (threadId: string) => ({
  sessionId: `sess_${"a".repeat(32)}`,
  tenant: "ann",
  threadId,
  title: "old",
  createdAt: new Date(),
  model: null,
  effort: null,
  used: true,
  usedAt: new Date(),
  revision: 1,
});

test("a session whose history is too large for a message can still be closed, and is never shown empty", () =>
  inWorld({
    client: { maxMessageBytes: 100_000 },
    server: {
      methods: {
        "thread/read": () => ({ thread: { id: "long", preview: "x".repeat(200_000) } }),
        "thread/archive": () => ({}),
      },
    },
  }, async ({ client, server }) => {
    const store = new MemorySessionStore();
    const { sessionId } = usedSession("long");
    await store.put(usedSession("long"));
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, store });
    await assert.rejects(adapter.readSession("ann", sessionId), MessageTooLargeError);
    const remove = store.delete.bind(store);
    store.delete = () => {
      store.delete = remove;
      return Promise.reject(new Error("the store is away"));
    };
    await assert.rejects(adapter.closeSession("ann", sessionId), /Try again soon/);
    const reading = Array.from({ length: 2 }, () => adapter.readSession("ann", sessionId));
    for (const read of reading) await assert.rejects(read, MessageTooLargeError);
    assert.equal((await adapter.closeSession("ann", sessionId)).archived, true);
    assert.equal((await server.waitForMethod("thread/archive")).params.threadId, "long");
    assert.deepEqual(await adapter.sessions("ann"), []);
    await adapter.close();
  }));

test("of a history that is too large for a message the newest turns are shown", () =>
  inWorld({
    client: { maxMessageBytes: 100_000 },
    server: {
      methods: {
        "thread/read": () => ({ thread: { id: "long", preview: "x".repeat(200_000) } }),
        "thread/turns/list": () => ({
          data: ["u4", "u3", "u2", "u1"].map((id) => ({ id, status: "completed", items: [] })),
          nextCursor: null,
        }),
        "thread/items/list": ({ turnId }) => ({
          data: [{ turnId, item: { type: "agentMessage", id: "m", text: "y".repeat(4_000) } }],
          nextCursor: null,
        }),
      },
    },
  }, async ({ client }) => {
    const store = new MemorySessionStore();
    const { sessionId } = usedSession("long");
    await store.put(usedSession("long"));
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, store, maxLogBytes: 10_000 });
    const { turns, omittedTurns, gone } = await adapter.readSession("ann", sessionId);
    assert.deepEqual(turns.map(({ turnId, items }) => [turnId, items.length]), [["u3", 1], [
      "u4",
      1,
    ]]);
    assert.deepEqual([omittedTurns, gone], [1, false]);
    await adapter.close();
  }));

test("a thread that codex has lost is 404, and its session can still be closed", () =>
  inWorld({
    server: {
      methods: {
        "thread/resume": () => {
          throw new FakeRpcError("no rollout found for thread id x");
        },
        "thread/read": () => {
          throw new FakeRpcError("no rollout found for thread id x");
        },
        "thread/archive": () => {
          throw new FakeRpcError("no rollout found for thread id x");
        },
      },
    },
  }, async ({ client }) => {
    const store = new MemorySessionStore();
    const record = usedSession("lost");
    await store.put(record);
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, store });
    await assert.rejects(
      adapter.createTurn("ann", record.sessionId, { text: "hi" }),
      isWebError(404, "notFound"),
    );
    assert.equal((await adapter.closeSession("ann", record.sessionId)).threadId, "lost");
    assert.deepEqual(await adapter.sessions("ann"), []);
    await adapter.close();
  }));

test("a first prompt that codex may have heard of is remembered", () =>
  inWorld(
    { server: { methods: { "turn/start": () => NO_ANSWER } } },
    async ({ client, server }) => {
      const store = new MemorySessionStore();
      const adapter = new WebAdapter({ client, isolation, cwd: CWD, store });
      const { sessionId } = await adapter.createSession("ann");
      const lost = assert.rejects(adapter.createTurn("ann", sessionId, { text: "go" }));
      await server.waitForMethod("turn/start");
      await client.shutdown();
      await lost;
      assert.equal((await store.get(sessionId))!.used, true);
      await adapter.close();
    },
  ));

test("a first prompt that was never sent leaves a session that can be used", () => {
  const gone = () => {
    throw new FakeRpcError("no rollout found for thread id x");
  };
  return inWorld(
    { server: { methods: { "thread/read": gone, "thread/resume": gone } } },
    async ({ client }) => {
      const store = new MemorySessionStore();
      const options = { client, isolation, cwd: CWD, store, attachments: "files" } as const;
      const before = new WebAdapter(options);
      const { sessionId } = await before.createSession("ann");
      const missing = { text: "read it", attachments: ["is-not-there.txt"] };
      await assert.rejects(
        before.createTurn("ann", sessionId, missing),
        AttachmentNotFoundError,
      );
      assert.equal((await store.get(sessionId))!.title, null);
      await before.close();

      const after = new WebAdapter(options);
      assert.equal((await after.readSession("ann", sessionId)).gone, false);
      await after.createTurn("ann", sessionId, { text: "go" });
      assert.equal((await store.get(sessionId))!.title, "go");
      await after.close();
    },
  );
});

test("a first prompt that codex refused is as if it had not been asked", () => {
  const refuse = () => {
    throw new FakeRpcError("Input exceeds the maximum length of 1048576 characters.", -32602);
  };
  return inWorld({ server: { methods: { "turn/start": refuse } } }, async ({ client }) => {
    const store = new MemorySessionStore();
    const adapter = new WebAdapter({ client, isolation, cwd: CWD, store });
    const { sessionId } = await adapter.createSession("ann");
    await assert.rejects(adapter.createTurn("ann", sessionId, { text: "long" }), RpcError);
    // Taken for used, its thread would be resumed, which codex can't: it has no turn.
    const { used, title } = (await store.get(sessionId))!;
    assert.deepEqual([used, title], [false, null]);
    await adapter.close();
  });
});

test("files that are sent along must lie below the tenant's directory, wherever links lead", async () => {
  await using directory = await tempDir("web-");
  const cwd = join(directory.path, "work");
  await mkdir(cwd);
  await writeFile(join(cwd, "mine.txt"), "mine");
  await writeFile(join(directory.path, "secret.txt"), "secret");
  await symlink(join(directory.path, "secret.txt"), join(cwd, "link.txt"));
  await inWorld({}, async ({ client, server }) => {
    const adapter = new WebAdapter({ client, isolation, cwd, attachments: "files" });
    const { sessionId } = await adapter.createSession("ann");
    const send = (...attachments: string[]) =>
      adapter.createTurn("ann", sessionId, { text: "read it", attachments });
    await assert.rejects(send("../secret.txt"), isWebError(400, "notAllowed"));
    await assert.rejects(send("link.txt"), isWebError(400, "notAllowed"));
    await assert.rejects(send("a/".repeat(400_000)), isWebError(400, "notAllowed"));
    // While many are looked at others are served.
    let served = 0;
    const others = setInterval(() => served++, 0);
    const many = Array.from({ length: 100 }, () => "mine.txt");
    await assert.rejects(send(...many, "link.txt"), isWebError(400, "notAllowed"));
    clearInterval(others);
    assert.ok(served > 10, `${served}`);
    await send("mine.txt");
    const turns = server.received.filter(({ method }) => method === "turn/start");
    assert.equal(turns.length, 1);
    await adapter.close();
  });
});

test("a name that no session can have is refused as such", () =>
  inWorld({}, async ({ client }) => {
    const adapter = new WebAdapter({ client, isolation, cwd: CWD });
    const named = adapter.createSession("ann", {}, "my-session");
    await assert.rejects(named, isWebError(400, "badRequest"));
    await adapter.close();
  }));

test("settings say what tenants may choose", () =>
  inWorld({}, async ({ client }) => {
    const profile = { model: "own", effort: "low", timeoutMs: 9_000 };
    const adapter = new WebAdapter({
      client,
      isolation,
      cwd: CWD,
      profile,
      models: ["other", "own"],
      efforts: ["low"],
      attachments: "none",
    });
    assert.deepEqual(adapter.settings, {
      models: ["own", "other"],
      efforts: ["low"],
      timeoutMs: 9_000,
      attachments: "none",
    });
    await adapter.close();
    await assert.rejects(adapter.sessions("ann"), isWebError(503, "closed"));
  }));

for (const how of ["ends", "breaks"]) {
  test(`a turn whose events ${how === "ends" ? "end" : "break off"} without an end is told as failed and makes room`, async () => {
    let turns = 0;
    const nothing = () => Promise.resolve();
    const client: WebClient = {
      approvals: { pending: () => [], answer: () => false },
      startSession: () =>
        Promise.resolve({
          threadId: "t",
          askStream: (): Promise<WebTurnStream> => {
            const recv = () =>
              how === "ends" ? Promise.resolve(null) : Promise.reject(new Error("lost"));
            return Promise.resolve({
              turnId: `u${++turns}`,
              recv,
              steer: nothing,
              interrupt: nothing,
            });
          },
          close: nothing,
          release: nothing,
        }),
      resumeSession: () => Promise.reject(new Error("not here")),
      readThread: () => Promise.reject(new Error("not here")),
      archiveThread: nothing,
    };
    const adapter = new WebAdapter({ client, cwd: "/", isolation: "trusting" });
    const { sessionId } = await adapter.createSession("ann");
    const events = adapter.subscribeEvents("ann", sessionId);
    for (const turnId of ["u1", "u2"]) {
      assert.deepEqual(await adapter.createTurn("ann", sessionId, { text: "go" }), { turnId });
      const { event } = (await events.next()).value!;
      assert.ok(event.type === "turnCompleted");
      assert.deepEqual([event.turnId, event.status], [turnId, "failed"]);
      assert.equal((await adapter.readSession("ann", sessionId)).runningTurnId, null);
    }
    await adapter.close();
    assert.equal((await events.next()).done, true);
  });
}
