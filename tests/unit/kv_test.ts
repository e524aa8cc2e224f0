import assert from "node:assert/strict";
import { CodexError } from "../../src/errors/mod.ts";
import { patientKv } from "../../src/kv.ts";
import { KvSessionStore } from "../../src/web/store/session_store.ts";
import { FakeKv } from "../contract/artifact_fake_kv.ts";
import { test } from "../_harness.ts";

/** What Deno 2.9 throws while another process holds the file. */
const locked = () => new TypeError("database is locked");

test("a commit that meets a locked database is tried again, once it is free it happens once", async () => {
  const kv = new FakeKv();
  let busy = 5;
  kv.beforeCommit = () => {
    if (busy-- > 0) throw locked();
  };
  const { ok } = await patientKv(kv).atomic().check({ key: ["a"], versionstamp: null })
    .set(["a"], 1).commit();
  assert.equal(ok, true);
  assert.equal(busy, -1);
  assert.deepEqual([(await kv.get(["a"])).value, kv.entries.size], [1, 1]);
});

test("a read that meets a locked database is tried again", async () => {
  const kv = new FakeKv();
  await kv.atomic().set(["a"], 1).commit();
  let busy = 3;
  const get = kv.get.bind(kv);
  kv.get = (key) => busy-- > 0 ? Promise.reject(locked()) : get(key);
  assert.equal((await patientKv(kv).get(["a"])).value, 1);
  assert.equal(busy, -1);
});

test("a database that stays locked is a retryable CodexError; other failures come at once", async () => {
  const kv = new FakeKv();
  let tries = 0;
  const pause = globalThis.setTimeout;
  // The waits are seconds in all; how many there are is what counts.
  globalThis.setTimeout = ((step: () => void) => pause(step, 0)) as typeof setTimeout;
  try {
    kv.beforeCommit = () => {
      tries++;
      throw locked();
    };
    const failure = await patientKv(kv).atomic().set(["a"], 1).commit().catch((error) => error);
    assert.ok(failure instanceof CodexError);
    assert.deepEqual([failure.code, failure.retryable], ["kvBusy", true]);
    assert.ok(tries > 5);
  } finally {
    globalThis.setTimeout = pause;
  }
  tries = 0;
  kv.beforeCommit = () => {
    tries++;
    throw new TypeError("Value too large");
  };
  const failure = await patientKv(kv).atomic().set(["a"], 1).commit().catch((error) => error);
  assert.ok(failure instanceof CodexError);
  assert.deepEqual([failure.code, failure.retryable], ["kvFailed", false]);
  assert.match(failure.message, /too large/);
  assert.equal(tries, 1);
});

test("a listing that meets a locked database is tried again, and tells each entry once", async () => {
  const kv = new FakeKv();
  for (let i = 0; i < 9; i++) await kv.atomic().set(["p", i], i).commit();
  const list = kv.list.bind(kv);
  let busy = 2;
  kv.list = async function* (selector) {
    let told = 0;
    for await (const entry of list(selector)) {
      if (busy > 0 && told++ === 4) {
        busy--;
        throw locked();
      }
      yield entry;
    }
  };
  const seen: unknown[] = [];
  for await (const { value } of patientKv(kv).list({ prefix: ["p"] })) seen.push(value);
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test("a tenant's list holds what the session itself says is the tenant's, not what the index says", async () => {
  const kv = new FakeKv();
  const store = new KvSessionStore(kv);
  const session = {
    sessionId: "s".repeat(32),
    tenant: "ann",
    threadId: "t",
    title: null,
    createdAt: new Date(),
    model: null,
    effort: null,
    used: false,
    usedAt: new Date(),
    revision: 1,
  };
  assert.equal(await store.put(session), true);
  // An entry that was left behind, or planted, under another tenant's name.
  for (const { key, value } of [...kv.entries.values()]) {
    if (!key.includes("ann")) continue;
    await kv.atomic().set(key.map((part) => part === "ann" ? "bob" : part), value).commit();
  }
  assert.equal((await store.list("ann")).length, 1);
  assert.deepEqual(await store.list("bob"), []);
  assert.equal(await store.findThread("bob", "t"), null);
});
