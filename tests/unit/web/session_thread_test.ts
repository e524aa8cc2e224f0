/** The thread behind a session of the bridge. */
import assert from "node:assert/strict";
import { ConnectionClosedError, ThreadInUseError } from "../../../src/errors/mod.ts";
import type { WebClient, WebThread } from "../../../src/web/client.ts";
import {
  SessionQuestions,
  SessionThread,
  ThreadListener,
  ToldQuestions,
} from "../../../src/web/live/session_thread.ts";
import { MemorySessionStore } from "../../../src/web/store/session_store.ts";
import { test } from "../../_harness.ts";

type Parts = ConstructorParameters<typeof SessionThread>[0];

/** A session that a store has, and its thread, which is not open. */
async function stored(used: boolean, more: object = {}) {
  const at = new Date(0);
  const record = {
    ...{ sessionId: "s", tenant: "ann", threadId: "t", title: null, createdAt: at, usedAt: at },
    ...{ model: null, effort: null, used, revision: 1 },
  };
  const store = new MemorySessionStore();
  await store.put(record);
  const config = () => Promise.resolve({ cwd: "/" });
  const parts = { record, store, client: {}, config, thread: null, gone: false, usedAtStepMs: 1 };
  const make = () => new SessionThread({ ...parts, ...more } as unknown as Parts);
  return { store, make, thread: make() };
}

test("a thread that another codex keeps is tried again, and goes on as a copy; nothing else is", async () => {
  const inUse = new ThreadInUseError("t");
  const rows: [name: string, failures: Error[], canFork: boolean, outcome: string][] = [
    ["free", [], true, "t"],
    ["kept for a moment", [inUse, inUse], true, "t"],
    ["kept for long", Array(9).fill(inUse), true, "copy"],
    ["kept, and no copies", [inUse], false, "threadInUse"],
    ["another failure", [new ConnectionClosedError("gone")], true, "connectionClosed"],
  ];
  await Promise.all(rows.map(async ([name, failures, canFork, outcome]) => {
    let left = [...failures];
    let closed = 0;
    const threadOf = (threadId: string) =>
      ({ threadId, close: () => Promise.resolve(void closed++) }) as unknown as WebThread;
    const never = () => Promise.reject(new Error("not in this test"));
    const client: WebClient = {
      approvals: { pending: () => [], answer: () => false },
      ...{ startSession: never, readThread: never, archiveThread: never },
      resumeSession: (threadId) => {
        const error = left.shift();
        return error === undefined ? Promise.resolve(threadOf(threadId)) : Promise.reject(error);
      },
      ...(canFork ? { forkSession: () => Promise.resolve(threadOf("copy")) } : {}),
    };
    const { store, make, thread } = await stored(true, { client });
    const got = await thread.open().then((opened) => opened.threadId, (error) => error.code);
    assert.equal(got, outcome, name);
    const known = (await store.get("s"))!.threadId;
    assert.equal(known, outcome === "copy" ? "copy" : "t", name);
    if (outcome !== "copy") return;
    // One whose session was changed elsewhere meanwhile leaves no copy behind.
    left = [...failures];
    await assert.rejects(make().open(), { reason: "sessionMoved" });
    assert.equal(closed, 1, name);
  }));
});

test("a thread that could not be remembered is not left behind, however often it is tried", async () => {
  const open = new Set<string>();
  let started = 0;
  const startSession = () => {
    const threadId = `new ${++started}`;
    open.add(threadId);
    return Promise.resolve({ threadId, close: () => Promise.resolve(void open.delete(threadId)) });
  };
  const { store, thread } = await stored(false, { client: { startSession } });
  const put = store.put.bind(store);
  store.put = () => Promise.reject(new Error("away"));
  for (let tried = 0; tried < 3; tried++) await assert.rejects(thread.open(), /away/);
  assert.deepEqual([[...open], thread.threadId], [[], "t"]);
  store.put = put;
  await thread.open();
  assert.deepEqual([[...open], thread.threadId], [["new 4"], "new 4"]);
});

/** A thread of which nothing was asked yet, in a store whose answers are lost until they are `heard` again. */
async function unanswered(usedAtStepMs: number, isLost: (used: boolean) => boolean) {
  const { store, thread } = await stored(false, { usedAtStepMs });
  const put = store.put.bind(store);
  const taken = Promise.withResolvers<void>();
  store.put = async (session) => {
    const isStored = await put(session);
    if (!session.used) taken.resolve();
    if (isLost(session.used)) throw new Error("the answer was lost");
    return isStored;
  };
  return {
    ask: () => thread.remember({ threadId: "t" } as WebThread, "hello"),
    takenBack: taken.promise,
    heard: () => void (store.put = put),
    known: async () => (await store.get("s"))!,
  };
}

test("a first prompt whose record the store has kept without saying so is not taken for asked", async () => {
  const { ask, takenBack, heard, known } = await unanswered(1, (used) => used);
  await assert.rejects(ask(), /the answer was lost/);
  await takenBack;
  assert.equal((await known()).used, false);
  heard();
  await ask();
  assert.equal((await known()).used, true);
});

test("a prompt is written down behind a change that may say that nothing was asked", async () => {
  const { ask, takenBack, heard, known } = await unanswered(600_000, () => true);
  await assert.rejects(ask(), /the answer was lost/);
  await takenBack;
  heard();
  await ask();
  // Else the session would begin on a new thread after a restart, without what was said.
  const { used, revision } = await known();
  assert.equal(used, true);
  await ask();
  assert.equal((await known()).revision, revision, "it is known by now");
});

test("that nothing was asked is written down as soon as the store can be written to again", async () => {
  const { store, thread } = await stored(false, { usedAtStepMs: 600_000 });
  const put = store.put.bind(store);
  const ask = () => thread.remember({ threadId: "t" } as WebThread, "hello");
  const used = async () => (await store.get("s"))!.used;
  store.put = async (session) => {
    if (session.used) await put(session);
    throw new Error("away");
  };
  await assert.rejects(ask(), /away/);
  await assert.rejects(thread.used(Date.now()), /away/);
  assert.equal(await used(), true);
  store.put = put;
  await thread.used(Date.now());
  assert.equal(await used(), false);
  // What could not be taken back is not taken back from a prompt that is asked after it.
  const takeBack = await ask();
  store.put = () => Promise.reject(new Error("away"));
  await assert.rejects(takeBack(), /away/);
  store.put = put;
  await ask();
  await thread.used(Date.now() + 1_200_000);
  assert.equal(await used(), true);
});

test("a prompt that is asked while one before it is being taken back is written down", async () => {
  const { store, thread } = await stored(false, { usedAtStepMs: 600_000 });
  const ask = () => thread.remember({ threadId: "t" } as WebThread, "hello");
  const takingBack = (await ask())();
  await ask();
  await takingBack;
  assert.equal((await store.get("s"))!.used, true);
});

test("what another node has written meanwhile is not taken for the record whose answer was lost", async () => {
  const { store, thread } = await stored(false);
  const put = store.put.bind(store);
  store.put = async (session) => {
    store.put = put;
    await put({ ...session, title: "another's" });
    throw new Error("the answer was lost");
  };
  const ask = () => thread.remember({ threadId: "t" } as WebThread, "hello");
  await assert.rejects(ask(), /the answer was lost/);
  await assert.rejects(ask(), { reason: "sessionMoved" });
  assert.equal((await store.get("s"))!.title, "another's");
});

test("a session is called by the first line that says something", async () => {
  const { store, thread } = await stored(false);
  await thread.remember({ threadId: "t" } as WebThread, "\n  The title\nand more");
  assert.equal((await store.get("s"))!.title, "The title");
});

test("a title that is cut holds no half of a sign, which databases refuse", async () => {
  const { store, thread } = await stored(false);
  await thread.remember({ threadId: "t" } as WebThread, `${"x".repeat(79)}\u{1F600} and more`);
  const { title } = (await store.get("s"))!;
  assert.ok(title!.isWellFormed() && title!.startsWith("xxx"), JSON.stringify(title));
});

test("a question is answered once, also while its answer is still being sent", () => {
  const request = { id: "q", threadId: "t" };
  const given: unknown[] = [];
  const questions = new SessionQuestions(
    {
      pending: () => [{ request, waitingFor: "handler", deadline: null }] as never,
      answer: (_id, decision) => given.push(decision) > 0,
    },
    () => "t",
  );
  questions.answer("q", { decision: "accept" });
  assert.throws(() => questions.answer("q", { decision: "decline" }), {
    reason: "alreadyAnswered",
  });
  assert.deepEqual(given, [{ decision: "accept" }]);
});

test("a question of another thread is the session's once it was told of it", () => {
  const request = { id: "q", threadId: "an agent's" };
  const given: unknown[] = [];
  const questions = new SessionQuestions(
    {
      pending: () => [{ request, waitingFor: "handler", deadline: null }] as never,
      answer: (_id, decision) => given.push(decision) > 0,
    },
    () => "t",
  );
  assert.deepEqual(questions.waiting(), []);
  assert.throws(() => questions.answer("q", { decision: "accept" }), { status: 404 });
  assert.equal(questions.ask("q"), true);
  assert.deepEqual(questions.waiting().map(({ request }) => request.id), ["q"]);
  questions.answer("q", { decision: "decline" });
  assert.deepEqual(given, [{ decision: "decline" }]);
});

test("a thread is listened to once, however often it is opened", () => {
  const heard: string[] = [];
  let asked = 0;
  const thread = (name: string) =>
    ({
      nextTurn: () => {
        asked++;
        return new Promise(() => {});
      },
      events: () => {
        heard.push(name);
        return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };
      },
    }) as unknown as WebThread;
  const listener = new ThreadListener({ turn() {}, event() {}, question() {} });
  const [one, other] = [thread("one"), thread("other")];
  for (const each of [one, one, other, other]) listener.listen(each);
  listener.stop();
  listener.listen(other);
  listener.stop();
  assert.deepEqual(heard, ["one", "other", "other"]);
  // Each wait for a turn is memory of every idle session.
  assert.equal(asked, heard.length);
});

test("a reader is told each question and its end once, also where events of them are gone", () => {
  const questions = new SessionQuestions({ pending: () => [], answer: () => false }, () => "t");
  const told = new ToldQuestions();
  const asked = (id: string) => ({ type: "approvalRequested", request: { id } }) as Asked;
  const ended = (id: string) => ({ type: "approvalResolved", audit: { id } }) as Ended;
  type Asked = Extract<Parameters<ToldQuestions["take"]>[0], { type: "approvalRequested" }>;
  type Ended = Parameters<SessionQuestions["settle"]>[0];
  assert.deepEqual(told.missed([asked("a")], questions), [asked("a")]);
  assert.equal(told.take(asked("a")), null);
  assert.deepEqual(told.take(asked("b")), asked("b"));
  assert.deepEqual(told.take(asked("c")), asked("c"));
  for (const id of ["a", "b"]) assert.equal(questions.settle(ended(id)), true);
  assert.equal(questions.settle(ended("a")), false);
  // The reader falls behind, and the end of one of them is gone.
  assert.deepEqual(
    told.missed([asked("c"), asked("d")], questions),
    [ended("a"), ended("b"), asked("d")],
  );
  assert.deepEqual(told.missed([asked("c"), asked("d")], questions), []);
  assert.equal(told.take(asked("b")), null);
  assert.equal(told.take(ended("b")), null);
  assert.deepEqual(told.take(ended("d")), ended("d"));
  // One that was asked before the reader came.
  assert.deepEqual(told.take(ended("z")), ended("z"));
  // Of the ends the newest ones are remembered.
  for (let n = 0; n < 255; n++) questions.settle(ended(`${n}`));
  assert.deepEqual([questions.endOf("a"), questions.endOf("b")], [undefined, ended("b")]);
});
