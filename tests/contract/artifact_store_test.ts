import assert from "node:assert/strict";
import {
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { FileVersions } from "../../src/artifact/store/file_versions.ts";
import { FileArtifactStore, MemoryArtifactStore } from "../../src/artifact/store/file_store.ts";
import { KvArtifactStore } from "../../src/artifact/store/kv_store.ts";
import { EMPTY_REVISION } from "../../src/artifact/edits.ts";
import { ArtifactConflictError, CodexError } from "../../src/errors/mod.ts";
import { tries } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { FakeKv, sentTwice } from "./artifact_fake_kv.ts";
import { storeContract } from "./artifact_store_suite.ts";

storeContract("MemoryArtifactStore", () => {
  const store = new MemoryArtifactStore();
  return Promise.resolve({ open: () => store, close: () => Promise.resolve() });
});

storeContract("FileArtifactStore", async () => {
  const dir = await tempDir("artifact-");
  return {
    open: () => new FileArtifactStore(join(dir.path, "store")),
    close: () => dir[Symbol.asyncDispose](),
  };
});

storeContract("KvArtifactStore", () => {
  const kv = new FakeKv();
  return Promise.resolve({ open: () => new KvArtifactStore(kv), close: () => Promise.resolve() });
});

async function withRoot(body: (root: string) => Promise<void>): Promise<void> {
  const dir = await tempDir("artifact-");
  try {
    await body(dir.path);
  } finally {
    await dir[Symbol.asyncDispose]();
  }
}

async function onlyDirectory(root: string): Promise<string> {
  const names = await readdir(root);
  assert.equal(names.length, 1);
  return join(root, names[0]!);
}

async function saveTimes(store: FileArtifactStore, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const now = await store.load("a");
    await store.save("a", {
      text: `version ${i}`,
      expectedRevision: now?.revision ?? EMPTY_REVISION,
    });
  }
}

// Hundreds of versions take seconds, and are the same calls of the file system over and over: on one runtime in a short run.
const MANY = tries({ frees: true, sleeps: [[64, 130], [63, 200], [64, 200]] }, {
  frees: !onDeno,
  sleeps: onDeno ? [[64, 130]] : [],
});

if (MANY.frees) {
  test("FileArtifactStore frees old texts and keeps their places taken", () =>
    withRoot(async (root) => {
      await saveTimes(new FileArtifactStore(root), 200);
      const directory = await onlyDirectory(root);
      assert.deepEqual((await readdir(directory)).sort(), ["c1", "c2", "c3", "c4"]);
      assert.deepEqual(await readdir(join(directory, "c1")), ["taken"]);
      assert.deepEqual(await readdir(join(directory, "c2")), ["taken"]);
      const page = (n: number) => readFile(join(directory, `c4/p/${n}/text.txt`), "utf8");
      assert.deepEqual([await page(6), await page(7), await page(8)], [
        "",
        "version 198",
        "version 199",
      ]);
    }));
}

for (const [start, versions] of [[0, 1], [1, 1], [5, 2], [63, 1], [64, 1], ...MANY.sleeps]) {
  test(`FileArtifactStore: a writer that slept from version ${start} through ${versions} more can't publish`, () =>
    withRoot(async (root) => {
      const store = new FileArtifactStore(root);
      await saveTimes(store, start!);
      const seen: string[] = [];
      const published = await new FileVersions(root).commit("a", async (current) => {
        seen.push(current.text);
        // Between reading a version and publishing the next one, others write.
        if (seen.length === 1) await saveTimes(store, versions!);
        return { ...current, meta: { ...current.meta, title: "late" } };
      }, {});
      assert.deepEqual(seen, [
        start === 0 ? "" : `version ${start! - 1}`,
        `version ${versions! - 1}`,
      ]);
      assert.equal(published.text, seen[1]);
      assert.deepEqual(await store.load("a"), published);
    }));
}

test("FileArtifactStore passes by what a killed writer left, and removes it when it is old", () =>
  withRoot(async (root) => {
    const store = new FileArtifactStore(root);
    await saveTimes(store, 1);
    const directory = await onlyDirectory(root);
    for (const name of ["tmp-old", "tmp-new", "trash-x"]) {
      await mkdir(join(directory, name));
      await writeFile(join(directory, name, "text.txt"), "half a te");
    }
    await utimes(join(directory, "tmp-old"), 1_000, 1_000);
    assert.equal((await store.load("a"))?.text, "version 0");
    await saveTimes(store, 1);
    assert.deepEqual((await readdir(directory)).sort(), ["c1", "tmp-new"]);
  }));

test("FileArtifactStore frees no text that a link leads to", () =>
  withRoot(async (root) => {
    const store = new FileArtifactStore(join(root, "store"));
    await saveTimes(store, 3);
    const pages = join(await onlyDirectory(join(root, "store")), "c1/p");
    await rename(join(pages, "2"), join(root, "elsewhere"));
    await symlink(join(root, "elsewhere"), join(pages, "2"), "junction");
    await saveTimes(store, 2);
    assert.equal(await readFile(join(root, "elsewhere/text.txt"), "utf8"), "version 1");
    assert.equal(await readFile(join(pages, "3/text.txt"), "utf8"), "");
  }));

test("FileArtifactStore refuses to load a text that is not the one its revision names", () =>
  withRoot(async (root) => {
    const store = new FileArtifactStore(root);
    await saveTimes(store, 1);
    const page = join(await onlyDirectory(root), "c1/p/1");
    for (const damage of ["text.txt", "meta.json"]) {
      await truncate(join(page, damage), 3);
      await assert.rejects(
        store.load("a"),
        (error) =>
          error instanceof CodexError && error.code === "artifactStore" &&
          error.message.includes("damaged"),
      );
    }
  }));

test("FileArtifactStore tells a text that is gone from one that can't be read", () =>
  withRoot(async (root) => {
    const store = new FileArtifactStore(root);
    await saveTimes(store, 1);
    const text = join(await onlyDirectory(root), "c1/p/1/text.txt");
    const told = () => store.load("a").then(() => "", (error) => String(error));
    await rm(text);
    assert.match(await told(), /damaged/);
    await mkdir(text);
    assert.match(await told(), /Error/);
    assert.doesNotMatch(await told(), /damaged/);
  }));

test("FileArtifactStore says which directory could not be used", () =>
  withRoot(async (root) => {
    await writeFile(join(root, "file"), "");
    const store = new FileArtifactStore(join(root, "file"));
    await assert.rejects(
      store.save("a", { text: "x", expectedRevision: EMPTY_REVISION }),
      (error) =>
        error instanceof CodexError && error.code === "artifactStore" &&
        error.message.includes(store.root) && error.cause instanceof Error,
    );
  }));

test("KvArtifactStore leaves no chunks behind, also after failed and abandoned saves", async () => {
  const kv = new FakeKv();
  const store = new KvArtifactStore(kv, { prefix: ["mine"] });
  const large = (letter: string) => letter.repeat(1_000_000);
  let { revision } = await store.save("a", { text: large("a"), expectedRevision: EMPTY_REVISION });
  assert.equal(kv.entries.size, 1 + 17);

  // The connection breaks in the middle of the chunks, and stays away: nothing can be tidied.
  let left = 2;
  kv.beforeCommit = () => {
    if (left-- <= 0) throw new Error("connection lost");
  };
  await assert.rejects(
    store.save("a", { text: large("b"), expectedRevision: revision }),
    /connection/,
  );
  kv.beforeCommit = () => {};
  assert.equal(kv.entries.size, 1 + 17 + 1 + 10);
  assert.equal((await store.load("a"))?.text, large("a"));

  // Another writer does not know yet whether the first is alive; later it does.
  revision = (await store.save("a", { text: "c", expectedRevision: revision })).revision;
  assert.equal(kv.entries.size, 1 + 1 + 10);
  for (const entry of kv.entries.values()) {
    const value = entry.value as { since?: number };
    if (entry.key[1] === "set") value.since! -= 3_600_000;
  }
  await store.save("a", { text: large("d"), expectedRevision: revision });
  assert.equal(kv.entries.size, 1 + 17);
  assert.ok([...kv.entries.values()].every(({ key }) => key[0] === "mine"));
});

test("KvArtifactStore: a writer whose chunks were taken for abandoned writes them again", async () => {
  const kv = new FakeKv();
  const store = new KvArtifactStore(kv);
  const text = "x".repeat(200_000);
  let commits = 0;
  kv.beforeCommit = () => {
    // Between the chunks and the head: another machine, whose clock is ahead, marks the set.
    if (++commits !== 3) return;
    for (const entry of kv.entries.values()) {
      if (entry.key[1] === "set") entry.versionstamp = "other";
    }
  };
  await store.save("a", { text, expectedRevision: EMPTY_REVISION });
  assert.ok(commits > 5);
  assert.equal((await store.load("a"))?.text, text);
});

test("KvArtifactStore has saved what it has saved, also when the answer was lost", async () => {
  const store = new KvArtifactStore(sentTwice(new FakeKv()));
  let expectedRevision = EMPTY_REVISION;
  for (const text of ["small", "x".repeat(200_000), "y".repeat(200_000)]) {
    const saved = await store.save("a", { text, expectedRevision });
    assert.equal((await store.load("a"))?.text, text);
    await assert.rejects(
      store.save("a", { text: "other", expectedRevision }),
      ArtifactConflictError,
    );
    expectedRevision = saved.revision;
  }
  const { meta } = await store.updateMeta("a", () => ({ title: "t" }));
  assert.equal(meta.title, "t");
});

test("KvArtifactStore refuses to load a version whose chunks are gone", async () => {
  const kv = new FakeKv();
  const store = new KvArtifactStore(kv);
  await store.save("a", { text: "x".repeat(200_000), expectedRevision: EMPTY_REVISION });
  for (const [id, { key }] of kv.entries) {
    if (key[1] === "chunk" && key.at(-1) === 1) kv.entries.delete(id);
  }
  await assert.rejects(store.load("a"), /damaged/);
});
