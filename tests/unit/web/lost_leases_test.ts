import assert from "node:assert/strict";
import { createBridge } from "../../../src/web/mod.ts";
import {
  type EventTail,
  MemoryEventTail,
  MemorySessionOwners,
} from "../../../src/web/cluster/session_owners.ts";
import { MemorySessionStore } from "../../../src/web/store/session_store.ts";
import { test } from "../../_harness.ts";

const sessionId = `sess_${"a".repeat(32)}`;

/** A bridge in a cluster of which nobody else is there. */
function node(
  client: object,
  store = new MemorySessionStore(),
  tail?: EventTail,
  idleMs = 60_000,
  leaseMs = tail === undefined ? 1_000 : 60_000,
) {
  const owners = new MemorySessionOwners();
  const thread = { threadId: "t", askStream: never, close: done, release: done };
  const bridge = createBridge({
    client: {
      approvals: { pending: () => [], answer: () => false },
      startSession: () => Promise.resolve(thread),
      resumeSession: () => Promise.resolve(thread),
      readThread: never,
      archiveThread: done,
      ...client,
    },
    isolation: "trusting",
    cwd: "/",
    authorize: () => "ann",
    onError: () => {},
    ...{ store, idleMs },
    cluster: {
      ...{ url: "http://127.0.0.1:9/", owners, secret: "x".repeat(32) },
      ...(tail === undefined ? { leaseMs } : { tail, leaseMs }),
    },
  });
  return { bridge, owners, store };
}

const never = () => new Promise<never>(() => {});
const done = () => Promise.resolve();

async function stored(store: MemorySessionStore): Promise<void> {
  const now = new Date();
  await store.put({
    ...{ sessionId, tenant: "ann", threadId: "t", title: null, createdAt: now, usedAt: now },
    ...{ model: null, effort: null, used: true, revision: 1 },
  });
}

/** Settles when another node has the session, and this one has heard of it. */
async function taken(owners: MemorySessionOwners): Promise<void> {
  const { fence } = await owners.claim(sessionId, "http://other", 600_000);
  await owners.release(sessionId, fence);
  assert.ok((await owners.claim(sessionId, "http://other", 600_000)).mine);
  const heard = Promise.withResolvers<void>();
  const renew = owners.renew.bind(owners);
  owners.renew = async (...args) => {
    const kept = await renew(...args);
    setTimeout(heard.resolve);
    return kept;
  };
  await heard.promise;
}

test("a session that another node took while it was read is not served here, and keeps nobody", async () => {
  // What the timers of a lease would not keep alive.
  const alive = setInterval(() => {}, 60_000);
  let reads = 0;
  const readThread = async () => {
    if (reads++ === 0) await taken(owners);
    return { turns: [] };
  };
  const { bridge, owners, store } = node({ readThread });
  await stored(store);
  const { adapter } = bridge;
  const moved = { status: 503, reason: "sessionMoved" };
  await assert.rejects(adapter.readSession("ann", sessionId), moved);
  // Nor does anybody wait for what was never begun.
  await assert.rejects(adapter.readSession("ann", sessionId), moved);
  assert.equal(reads, 1);
  await bridge.close();
  clearInterval(alive);
});

test("a turn that begins when another node has the session is refused: nobody hears of its end", async () => {
  const alive = setInterval(() => {}, 60_000);
  const over = Promise.withResolvers<null>();
  let stopped = 0;
  const release = () => {
    stopped++;
    over.resolve(null);
    return done();
  };
  const turn = { turnId: "turn", recv: () => over.promise, interrupt: done, steer: done };
  const askStream = async () => {
    await taken(owners);
    return turn;
  };
  const thread = { threadId: "t", askStream, close: done, release };
  const tail = new MemoryEventTail();
  const { bridge, owners } = node(
    { startSession: () => Promise.resolve(thread) },
    ...[new MemorySessionStore(), tail, 60_000, 1_000] as const,
  );
  await bridge.adapter.createSession("ann", {}, sessionId);
  // Not sent again by itself: the prompt has reached codex.
  const refused = { status: 409, reason: "sessionClosed" };
  await assert.rejects(bridge.adapter.createTurn("ann", sessionId, { text: "go on" }), refused);
  assert.deepEqual([stopped, await tail.read(sessionId, Infinity)], [1, []]);
  await bridge.close();
  clearInterval(alive);
});

test("a session that nobody uses is anybody's, and costs no renewals", async () => {
  const alive = setInterval(() => {}, 60_000);
  const released = Promise.withResolvers<void>();
  const leaving = Promise.withResolvers<void>();
  const release = () => {
    leaving.resolve();
    return released.promise;
  };
  const thread = { threadId: "t", askStream: never, close: done, release };
  const { bridge, owners } = node(
    { startSession: () => Promise.resolve(thread) },
    ...[new MemorySessionStore(), undefined, 20] as const,
  );
  const { sessionId } = await bridge.adapter.createSession("ann");
  const isMine = async () => (await owners.claim(sessionId, "http://other", 1_000)).mine;
  const givenUp = Promise.withResolvers<void>();
  const giveUp = owners.release.bind(owners);
  owners.release = async (...args) => {
    await giveUp(...args);
    givenUp.resolve();
  };
  await leaving.promise;
  assert.equal(await isMine(), false, "its thread is open here");
  released.resolve();
  await givenUp.promise;
  assert.equal(await isMine(), true);
  await bridge.close();
  clearInterval(alive);
});

test("a session that another node took while it was remembered is not begun here", async () => {
  const alive = setInterval(() => {}, 60_000);
  const store = new MemorySessionStore();
  const put = store.put.bind(store);
  store.put = async (record) => {
    const kept = await put(record);
    await taken(owners);
    return kept;
  };
  let closed = 0;
  const startSession = () =>
    Promise.resolve({
      ...{ threadId: "t", askStream: never, release: done },
      close: () => Promise.resolve(void closed++),
    });
  const { bridge, owners } = node({ startSession }, store);
  const moved = { status: 503, reason: "sessionMoved" };
  await assert.rejects(bridge.adapter.createSession("ann", {}, sessionId), moved);
  assert.deepEqual([closed, await store.list("ann")], [1, []]);
  // Unless the other node has gone on with it: a chat's name is known.
  store.put = async (record) => {
    const kept = await put(record) && await put({ ...record, threadId: "theirs", revision: 2 });
    await taken(owners);
    return kept;
  };
  const { fence } = await owners.claim(sessionId, "http://other", 1);
  await owners.release(sessionId, fence);
  await assert.rejects(bridge.adapter.createSession("ann", {}, sessionId), moved);
  const [left] = await store.list("ann");
  assert.deepEqual([closed, left?.threadId], [2, "theirs"]);
  await bridge.close();
  clearInterval(alive);
});

test("a chat that begins anew while it is closed keeps the lease, and its turn", async () => {
  const alive = setInterval(() => {}, 60_000);
  const store = new MemorySessionStore();
  const tail = new MemoryEventTail();
  const kept = Promise.withResolvers<void>();
  const append = tail.append.bind(tail);
  tail.append = async (id, fence, entries) => {
    if (entries.some(({ text }) => text.includes("sessionClosed"))) await kept.promise;
    return await append(id, fence, entries);
  };
  const over = Promise.withResolvers<null>();
  const turn = { turnId: "turn", recv: () => over.promise, interrupt: done, steer: done };
  const thread = { threadId: "t", askStream: () => Promise.resolve(turn), close: done };
  let released = 0;
  const release = () => {
    released++;
    over.resolve(null);
    return done();
  };
  const startSession = () => Promise.resolve({ ...thread, release });
  const readThread = () => Promise.resolve({ turns: [] });
  const { bridge } = node({ startSession, readThread }, store, tail);
  const { adapter } = bridge;
  await adapter.createSession("ann", {}, sessionId);
  // The record goes first, and the last event follows.
  const forgotten = Promise.withResolvers<void>();
  const forget = store.delete.bind(store);
  store.delete = async (id) => {
    await forget(id);
    forgotten.resolve();
  };
  const closing = adapter.closeSession("ann", sessionId);
  await forgotten.promise;
  await adapter.createSession("ann", {}, sessionId);
  await adapter.createTurn("ann", sessionId, { text: "go on" });
  kept.resolve();
  await closing;
  const { runningTurnId } = await adapter.readSession("ann", sessionId);
  assert.deepEqual([runningTurnId, released], ["turn", 0]);
  await bridge.close();
  clearInterval(alive);
});

test("the next owner tells the end of a question that died with the one before", async () => {
  const alive = setInterval(() => {}, 60_000);
  const store = new MemorySessionStore();
  await stored(store);
  const tail = new MemoryEventTail();
  const base = { threadId: "t", turnId: "turn" };
  const question = (id: string) => {
    const request = {
      ...base,
      id,
      method: "m",
      type: "command",
      itemId: "i",
      requestedAt: new Date(),
    };
    return { ...base, type: "approvalRequested", request };
  };
  const events = [
    { ...base, type: "turnStarted" },
    question("answered"),
    { ...base, type: "approvalResolved", audit: { id: "answered", type: "command" } },
    question("open"),
  ];
  const entries = events.map((event, i) => ({
    seq: i + 1,
    text: JSON.stringify({ by: "before", event }),
  }));
  await tail.append(sessionId, 0, entries);
  const { bridge } = node({ readThread: () => Promise.resolve({ turns: [] }) }, store, tail);
  const heard = bridge.adapter.subscribeApprovals("ann", sessionId, { after: "before-4" });
  const { value } = await heard.next();
  assert.ok(value?.type === "approvalResolved");
  const { id, itemId, decision, reason } = value.audit;
  assert.deepEqual([id, itemId, decision, reason], ["open", "i", "none", "closed"]);
  const followed = bridge.adapter.subscribeEvents("ann", sessionId, { after: "before-4" });
  const types = [await followed.next(), await followed.next()].map(({ value }) => value.event.type);
  assert.deepEqual(types, ["approvalResolved", "turnCompleted"]);
  await bridge.close();
  clearInterval(alive);
});

test("who comes back after a turn that no owner could write down is told of a gap", async () => {
  const alive = setInterval(() => {}, 60_000);
  const turnsOf = (...ids: string[]) =>
    ids.map((turnId) => ({ turnId, status: "completed", items: [] }));
  const first = async (...ids: string[]) => {
    const store = new MemorySessionStore();
    await stored(store);
    const tail = new MemoryEventTail();
    const base = { threadId: "t", turnId: "told" };
    const events = [
      { ...base, type: "turnStarted" },
      { ...base, type: "turnCompleted", status: "completed", error: null },
      // A command that it has left ends after it.
      { ...base, type: "commandFinished", item: { type: "commandExecution", id: "c" } },
    ];
    const entries = events.map((event, i) => ({
      seq: i + 1,
      text: JSON.stringify({ by: "before", event }),
    }));
    await tail.append(sessionId, 0, entries);
    const readThread = () => Promise.resolve({ turns: turnsOf(...ids) });
    const { bridge } = node({ readThread, server: { version: "0.169.0" } }, store, tail);
    const after = "before-1";
    const { value } = await bridge.adapter.subscribeEvents("ann", sessionId, { after }).next();
    const { turns } = await bridge.adapter.readSession("ann", sessionId);
    await bridge.close();
    return [value?.event.type, turns.map(({ turnId }) => turnId)];
  };
  // The one before could ask codex, and not reach the engine: none of its turn's events are anywhere.
  assert.deepEqual(await first("told", "untold"), ["lagged", ["told", "untold"]]);
  assert.deepEqual(await first("older", "told"), ["turnCompleted", ["older", "told"]]);
  assert.deepEqual(await first("told as another"), ["turnCompleted", ["told as another"]]);
  clearInterval(alive);
});

test("a turn that codex completed while its owner could not write that down is completed", async () => {
  const alive = setInterval(() => {}, 60_000);
  const first = async (version: string, status: string) => {
    const store = new MemorySessionStore();
    await stored(store);
    const tail = new MemoryEventTail();
    const base = { threadId: "t", turnId: "turn" };
    const item = { type: "agentMessage", id: "i", text: "" };
    const events = [
      { ...base, type: "turnStarted" },
      { ...base, type: "itemStarted", item },
      { ...base, type: "assistantMessageDelta", itemId: "i", delta: "The ans" },
    ];
    const entries = events.map((event, i) => ({
      seq: i + 1,
      text: JSON.stringify({ by: "before", event }),
    }));
    await tail.append(sessionId, 0, entries);
    const recorded = { turnId: "turn", status, items: [{ ...item, text: "The answer." }] };
    const readThread = () => Promise.resolve({ turns: [recorded] });
    const { bridge } = node({ readThread, server: { version } }, store, tail);
    const after = "before-3";
    const { value } = await bridge.adapter.subscribeEvents("ann", sessionId, { after }).next();
    const { turns: [turn] } = await bridge.adapter.readSession("ann", sessionId);
    await bridge.close();
    return [value?.event.type, turn!.status, (turn!.items[0] as { text?: string }).text];
  };
  const cut = ["turnCompleted", "interrupted", "The ans"];
  assert.deepEqual(await first("0.169.0", "completed"), ["lagged", "completed", "The answer."]);
  assert.deepEqual(await first("0.169.0", "inProgress"), cut);
  // Its record calls turns completed that were not.
  assert.deepEqual(await first("0.145.0", "completed"), cut);
  clearInterval(alive);
});

test("a turn that begins while the bridge is drained has its time as well", async () => {
  const alive = setInterval(() => {}, 60_000);
  const store = new MemorySessionStore();
  const [over, kept, begins] = [0, 0, 0].map(() => Promise.withResolvers<null>());
  let released = false;
  const turn = { turnId: "turn", recv: () => over!.promise, interrupt: done, steer: done };
  const thread = {
    threadId: "t",
    askStream: () => released ? Promise.reject(new Error("released")) : Promise.resolve(turn),
    close: done,
    release: () => Promise.resolve(void (released = true)),
  };
  const { bridge } = node({ startSession: () => Promise.resolve(thread) }, store);
  const { adapter } = bridge;
  await adapter.createSession("ann", {}, sessionId);
  const put = store.put.bind(store);
  store.put = async (record) => {
    begins!.resolve(null);
    await kept!.promise;
    return await put(record);
  };
  const started = adapter.createTurn("ann", sessionId, { text: "go on" });
  await begins!.promise;
  const drained = bridge.drain(60_000);
  await new Promise((resolve) => setTimeout(resolve));
  kept!.resolve(null);
  assert.deepEqual(await started, { turnId: "turn" });
  assert.equal(released, false);
  over!.resolve(null);
  await drained;
  assert.equal(released, true);
  await bridge.close();
  clearInterval(alive);
});
