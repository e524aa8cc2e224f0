/** The stores of threads: in memory, as files, in a key-value database. */
import assert from "node:assert/strict";
import {
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ThreadInUseError } from "../../src/errors/mod.ts";
import { FileThreadStore, MemoryThreadStore } from "../../src/session/history/file_thread_store.ts";
import { KvThreadStore } from "../../src/session/history/kv_thread_store.ts";
import { threadStoreError } from "../../src/session/history/thread_store.ts";
import type { KvAtomic } from "../../src/kv.ts";
import process from "node:process";
import { fileSystem } from "../../src/platform/fs.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { rejection } from "../real/_session_world.ts";
import { FakeKv, sentTwice } from "./artifact_fake_kv.ts";
import { linesOf, threadStoreSuite } from "./thread_store_suite.ts";

threadStoreSuite("MemoryThreadStore", async (act) => {
  const store = new MemoryThreadStore();
  await act(() => store);
});

threadStoreSuite("FileThreadStore", async (act) => {
  await using directory = await tempDir("threads-");
  await act(() => new FileThreadStore(join(directory.path, "s")));
});

threadStoreSuite("KvThreadStore", async (act) => {
  const kv = new FakeKv();
  await act(() => new KvThreadStore(kv));
});

test("FileThreadStore is for its owner only, follows no link, and tells of damage", async () => {
  await using directory = await tempDir("threads-");
  const root = join(directory.path, "s");
  const store = new FileThreadStore(root);
  await store.append("t", ["one", "two"], 0);
  await store.append("t", ["three"], 2);
  assert.equal(statSync(join(root, "t")).mode & 0o777, 0o700);
  assert.equal(statSync(join(root, "t", "000000000002", "lines")).mode & 0o777, 0o600);

  // What a killed writer left is passed over, and removed when it is old.
  const old = join(root, "t", "tmp-00000000-0000-4000-8000-000000000000");
  mkdirSync(old);
  writeFileSync(join(old, "lines"), "half of a li");
  utimesSync(old, 1, 1);
  assert.deepEqual(await linesOf(store, "t"), ["one", "two", "three"]);
  for (let n = 3; n < 70; n++) await store.append("t", [`${n}`], n);
  assert.ok(!readdirSync(join(root, "t")).some((name) => name.startsWith("tmp-")));

  writeFileSync(join(root, "t", "000000000002", "lines"), "thr");
  await assert.rejects(async () => await linesOf(store, "t"), /is damaged: lines are missing/);

  await store.append("u", ["one"], 0);
  renameSync(join(root, "u"), join(directory.path, "u"));
  symlinkSync(join(directory.path, "u"), join(root, "u"));
  assert.match(String(await rejection(store.load("u"))), /is a link or leads through one/);
  assert.match(
    String(await rejection(store.append("u", ["x"], 1))),
    /is a link or leads through one/,
  );
});

if (process.platform === "linux") {
  test("a disk that syncs no directory, such as a folder that VirtualBox shares, is none that fails", () =>
    fileSystem()!.syncDirectory("/proc"));
}

test("KvThreadStore keeps the prefix that it was given", async () => {
  const kv = new FakeKv();
  const prefix = ["given"];
  const store = new KvThreadStore(kv, { prefix });
  prefix[0] = "changed";
  await store.append("t", ["one"], 0);
  assert.deepEqual(
    new Set(Array.from(kv.entries.values(), ({ key }) => key[0])),
    new Set(["given"]),
  );
});

test("KvThreadStore tells of damage: a piece that is gone, and lines that are not there", async () => {
  for (const part of ["piece", "batch"]) {
    const kv = new FakeKv();
    const store = new KvThreadStore(kv);
    await store.append("t", ["one", "two"], 0);
    for (const [id, { key, value, ...entry }] of kv.entries) {
      if (!key.includes(part)) continue;
      if (part === "piece") kv.entries.delete(id);
      else kv.entries.set(id, { ...entry, key, value: { ...value as object, lines: 3 } });
    }
    await assert.rejects(async () => await linesOf(store, "t"), /is damaged/, part);
  }
});

test("a store's failure is told without the password in its database's address", () => {
  const why = "no answer from redis://me:hunter2hunter2@db.example.org";
  const { message } = threadStoreError(`Storing a thread failed: ${why}`, new Error(why));
  assert.match(message, /^Storing a thread failed: no answer from redis:/);
  assert.doesNotMatch(message, /hunter2/);
});

test("KvThreadStore leaves nothing of an append that lost or failed", async () => {
  const kv = new FakeKv();
  const [a, b] = [new KvThreadStore(kv), new KvThreadStore(kv)];
  await Promise.allSettled([a, b].map((store) => store.append("t", ["x".repeat(200_000)], 0)));
  const pieces = () => [...kv.entries.values()].filter(({ key }) => key.includes("piece")).length;
  assert.equal(pieces(), Math.ceil(200_001 / 60_000));
  let commits = 0;
  kv.beforeCommit = () => {
    if (++commits === 2) throw new Error("lost");
  };
  const failed = await rejection(a.append("t", ["y".repeat(100)], 1));
  assert.match(String(failed), /Storing a thread failed: .*lost/);
  kv.beforeCommit = () => {};
  assert.deepEqual((await linesOf(b, "t"))!.length, 1);
  await b.append("t", ["z"], 1);
  assert.equal(pieces(), 4 + 1, "the winner removes what the other left");
});

test("KvThreadStore keeps an append whose answer was lost, and that the database's client has sent again", async () => {
  const store = new KvThreadStore(sentTwice(new FakeKv()));
  await store.append("t", ["one", "two"], 0);
  await store.append("t", ["three"], 2);
  assert.deepEqual(await linesOf(store, "t"), ["one", "two", "three"]);
  await assert.rejects(store.append("t", ["x"], 2), ThreadInUseError);
});

test("KvThreadStore removes what has surely lost, and nothing that may be stored", async () => {
  const kv = new FakeKv();
  const store = new KvThreadStore(kv);
  /** A store whose commits, counted from 1, are made by `commit`. */
  const committing = (
    commit: (n: number, commit: KvAtomic["commit"]) => ReturnType<typeof commit>,
  ) => {
    let n = 0;
    return new KvThreadStore({
      get: (key) => kv.get(key),
      list: (selector) => kv.list(selector),
      atomic: () => {
        const atomic = kv.atomic();
        const own = atomic.commit;
        return Object.assign(atomic, { commit: () => commit(++n, own) });
      },
    });
  };
  // Another one is through before the first piece is written.
  const slow = committing(async (n, commit) => {
    if (n === 1) await store.append("t", ["one"], 0);
    return await commit();
  });
  await assert.rejects(slow.append("t", ["x".repeat(100_000)], 0), ThreadInUseError);
  const pieces = [...kv.entries.values()].filter(({ key }) => key.includes("piece"));
  assert.equal(pieces.length, 1);
  const unheard = committing(async (n, commit) => {
    const done = await commit();
    if (n === 2) throw new Error("lost");
    return done;
  });
  const failed = await rejection(unheard.append("t", ["two"], 1));
  assert.match(String(failed), /Storing a thread failed: .*lost/);
  assert.deepEqual(await linesOf(store, "t"), ["one", "two"]);
});
