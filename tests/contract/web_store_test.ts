/** One contract for every session store. */
import assert from "node:assert/strict";
import { KvSessionStore } from "../../src/web/store/session_store.ts";
import {
  MemorySessionStore,
  type SessionStore,
  type StoredSession,
} from "../../src/web/store/session_store.ts";
import { test } from "../_harness.ts";
import { FakeKv, sentTwice } from "./artifact_fake_kv.ts";

function record(sessionId: string, tenant: string, day: number): StoredSession {
  return {
    sessionId,
    tenant,
    threadId: `thread-${sessionId}`,
    title: null,
    createdAt: new Date(Date.UTC(2026, 0, day)),
    model: null,
    effort: "low",
    used: false,
    usedAt: new Date(Date.UTC(2026, 0, day)),
    revision: 1,
  };
}

const STORES: [string, () => SessionStore][] = [
  ["MemorySessionStore", () => new MemorySessionStore()],
  ["KvSessionStore", () => new KvSessionStore(new FakeKv())],
];
for (const [name, create] of STORES) {
  test(`${name} keeps sessions by tenant, newest first`, async () => {
    const store = create();
    const old = record("a", "ann", 1);
    const young = record("b", "ann", 2);
    const other = record("c", "ann2", 3);
    for (const each of [old, young, other]) await store.put(each);
    assert.deepEqual(await store.list("ann"), [young, old]);
    assert.deepEqual(await store.list("an"), []);
    assert.deepEqual(await store.get("c"), other);
    assert.equal(await store.get("d"), null);
    assert.deepEqual(await store.findThread("ann", "thread-a"), old);
    assert.equal(await store.findThread("ann2", "thread-a"), null);
  });

  test(`${name} replaces and forgets`, async () => {
    const store = create();
    await store.put(record("a", "ann", 1));
    const changed = {
      ...record("a", "ann", 1),
      title: "hi",
      threadId: "t2",
      used: true,
      revision: 2,
    };
    assert.equal(await store.put(changed), true);
    assert.deepEqual(await store.list("ann"), [changed]);
    changed.title = "not stored";
    assert.equal((await store.get("a"))!.title, "hi");
    await store.delete("a");
    await store.delete("a");
    assert.deepEqual(await store.list("ann"), []);
    assert.equal(await store.get("a"), null);
  });

  test(`${name} takes only the change that follows what is stored`, async () => {
    const store = create();
    assert.equal(await store.put({ ...record("a", "ann", 1), revision: 2 }), false);
    assert.equal(await store.get("a"), null);
    assert.equal(await store.put(record("a", "ann", 1)), true);
    assert.equal(await store.put({ ...record("a", "ann", 1), title: "new" }), false);
    // Two that know the same: one wins.
    const both = await Promise.all(
      ["one", "two"].map((title) => store.put({ ...record("a", "ann", 1), title, revision: 2 })),
    );
    assert.deepEqual(both.toSorted(), [false, true]);
    assert.equal((await store.get("a"))!.title, both[0] ? "one" : "two");
    // Also with the same.
    const third = { ...record("a", "ann", 1), revision: 3 };
    const same = await Promise.all([store.put(third), store.put(third)]);
    assert.deepEqual(same.toSorted(), [false, true]);
    await store.delete("a");
    // A late change does not bring a closed session back.
    assert.equal(await store.put({ ...record("a", "ann", 1), revision: 4 }), false);
    assert.equal(await store.get("a"), null);
  });

  test(`${name} finds what nobody used, whoever's it is`, async () => {
    const store = create();
    for (const [id, tenant, day] of [["a", "ann", 1], ["b", "bob", 2], ["c", "ann", 3]] as const) {
      await store.put(record(id, tenant, day));
    }
    const unused = await store.unusedSince!(new Date(Date.UTC(2026, 0, 3)));
    assert.deepEqual(unused.map(({ sessionId }) => sessionId).sort(), ["a", "b"]);
  });
}

test("KvSessionStore finds no old sessions but its own", async () => {
  const kv = new FakeKv();
  const [own, other] = [["a"], ["b"]].map((prefix) => new KvSessionStore(kv, { prefix }));
  await own!.put(record("mine", "ann", 1));
  await other!.put(record("theirs", "ann", 1));
  const found = await own!.unusedSince(new Date(Date.UTC(2026, 0, 3)));
  assert.deepEqual(found.map(({ sessionId }) => sessionId), ["mine"]);
});

test("KvSessionStore takes tenants of any spelling apart, and broken records for none", async () => {
  const kv = new FakeKv();
  const store = new KvSessionStore(kv, { prefix: ["app", "web"] });
  const names = ["a/b", "a", "ä", "__proto__", "a\u0000b"];
  for (const [i, tenant] of names.entries()) await store.put(record(`s${i}`, tenant, 1));
  for (const [i, tenant] of names.entries()) {
    assert.deepEqual((await store.list(tenant)).map(({ sessionId }) => sessionId), [`s${i}`]);
  }
  await kv.atomic().set(["app", "web", "session", "s0"], { sessionId: "s0" }).commit();
  assert.equal(await store.get("s0"), null);
  assert.deepEqual(await store.list("a/b"), []);
});

test("KvSessionStore has put what it has put, also when the answer was lost", async () => {
  const store = new KvSessionStore(sentTwice(new FakeKv()));
  const first = record("a", "ann", 1);
  assert.equal(await store.put(first), true);
  assert.equal(await store.put({ ...first, title: "t", revision: 2 }), true);
  assert.equal(await store.put({ ...first, title: "other", revision: 2 }), false);
  assert.equal((await store.get("a"))?.title, "t");
});
