/** An agent that may write where documents are kept plants links: nothing outside is written, emptied or removed. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { EMPTY_REVISION } from "../../src/artifact/edits.ts";
import { FileArtifactStore } from "../../src/artifact/store/file_store.ts";
import { CodexError } from "../../src/errors/mod.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

async function save(store: FileArtifactStore, text: string) {
  const known = await store.load("guide");
  return await store.save("guide", { text, expectedRevision: known?.revision ?? EMPTY_REVISION });
}

test("a document's directory that is a link is refused, and what it leads to left alone", async () => {
  await using directory = await tempDir("links-");
  const root = join(directory.path, "documents");
  const outside = join(directory.path, "outside");
  await mkdir(join(outside, "trash-vacation"), { recursive: true });
  await writeFile(join(outside, "trash-vacation", "photo.txt"), "mine");
  const store = new FileArtifactStore(root);
  await save(store, "one\n");
  const [name] = await readdir(root);
  await rm(join(root, name!), { recursive: true });
  await symlink(outside, join(root, name!));
  await assert.rejects(
    () => save(store, "two\n"),
    (error) => error instanceof CodexError && /is a link/.test(error.message),
  );
  await assert.rejects(() => store.load("guide"), CodexError);
  assert.deepEqual(await readdir(outside), ["trash-vacation"]);
  assert.equal(await readFile(join(outside, "trash-vacation", "photo.txt"), "utf8"), "mine");
});

test("links inside of a document's directory are not followed either", async () => {
  await using directory = await tempDir("links-");
  const root = join(directory.path, "documents");
  const outside = join(directory.path, "outside");
  await mkdir(outside);
  const target = join(outside, "target.txt");
  await writeFile(target, "precious");
  const store = new FileArtifactStore(root);
  for (const text of ["one\n", "two\n"]) await save(store, text);
  const [name] = await readdir(root);
  // The text that the next saves would empty.
  const page = join(root, name!, "c1", "p", "2", "text.txt");
  await rename(page, join(outside, "text.txt"));
  await symlink(join(outside, "text.txt"), page);
  for (const text of ["three\n", "four\n", "five\n"]) await save(store, text);
  assert.equal(await readFile(join(outside, "text.txt"), "utf8"), "two\n");
  // And the directory of all pages.
  await rename(join(root, name!, "c1", "p"), join(outside, "p"));
  await symlink(join(outside, "p"), join(root, name!, "c1", "p"));
  const before = await readdir(join(outside, "p"));
  await assert.rejects(() => save(store, "six\n"), CodexError);
  assert.deepEqual(await readdir(join(outside, "p")), before);
  assert.equal(await readFile(target, "utf8"), "precious");
});

test("an old chapter that is a link is not dropped", async () => {
  await using directory = await tempDir("links-");
  const root = join(directory.path, "documents");
  const outside = join(directory.path, "outside");
  await mkdir(join(outside, "p"), { recursive: true });
  await writeFile(join(outside, "p", "photo.txt"), "mine");
  const store = new FileArtifactStore(root);
  await save(store, "one\n");
  const [name] = await readdir(root);
  // The same version as the last page of a second chapter: with the next save the first one is dropped.
  await mkdir(join(root, name!, "c2", "p"), { recursive: true });
  await rename(join(root, name!, "c1", "p", "1"), join(root, name!, "c2", "p", "64"));
  await rm(join(root, name!, "c1"), { recursive: true });
  await symlink(outside, join(root, name!, "c1"));
  await save(store, "two\n");
  assert.deepEqual((await readdir(join(root, name!))).sort(), ["c1", "c2", "c3"]);
  assert.deepEqual(await readdir(outside), ["p"]);
  assert.equal(await readFile(join(outside, "p", "photo.txt"), "utf8"), "mine");
});

test("a root that is a link itself is the owner's own choice", async () => {
  await using directory = await tempDir("links-");
  await mkdir(join(directory.path, "disk"));
  await symlink(join(directory.path, "disk"), join(directory.path, "documents"));
  const store = new FileArtifactStore(join(directory.path, "documents"));
  await save(store, "one\n");
  assert.equal((await store.load("guide"))!.text, "one\n");
});

if (process.platform !== "win32") {
  test("a document that has no end, or that nobody writes to, is refused", async () => {
    await using directory = await tempDir("links-");
    const store = new FileArtifactStore(directory.path);
    await save(store, "one\n");
    const [name] = await readdir(directory.path);
    const page = join(directory.path, name!, "c1", "p", "1", "text.txt");
    const plants = {
      device: () => symlink("/dev/zero", page),
      pipe: () => Promise.resolve(execFileSync("mkfifo", [page])),
      sparse: async () => {
        await writeFile(page, "");
        await truncate(page, 2 ** 40);
      },
    };
    for (const [what, plant] of Object.entries(plants)) {
      await rm(page);
      await plant();
      const isSaid = (error: unknown) =>
        error instanceof CodexError && /no regular file/.test(error.message);
      await assert.rejects(() => store.load("guide"), isSaid, what);
      await assert.rejects(() => save(store, "two\n"), isSaid, what);
    }
  });
}
