/** The event log in a file. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { JsonValue } from "../../../src/json.ts";
import type { EventEnvelope } from "../../../src/runtime/log/event_envelope.ts";
import { JsonlFileSink } from "../../../src/runtime/log/jsonl_file_sink.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

function envelope(seq: number, message: JsonValue = { method: "x" }): EventEnvelope {
  return {
    seq,
    at: new Date(1_700_000_000_000),
    direction: "inbound",
    kind: "notification",
    method: "x",
    threadId: "t",
    message,
  };
}

async function lines(path: string): Promise<{ seq: number }[]> {
  const text = await readFile(path, "utf8");
  assert.ok(text === "" || text.endsWith("\n"));
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

async function seqs(path: string): Promise<number[]> {
  return (await lines(path)).map(({ seq }) => seq);
}

test("JsonlFileSink writes one envelope a line, into directories that it creates", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "a", "b", "log.jsonl");
  const sink = new JsonlFileSink(path);
  await sink.write(envelope(1, { method: "x", params: { text: "häß\n🙂" } }));
  await sink.close();
  assert.deepEqual(await lines(path), [{
    seq: 1,
    at: "2023-11-14T22:13:20.000Z",
    direction: "inbound",
    kind: "notification",
    method: "x",
    threadId: "t",
    message: { method: "x", params: { text: "häß\n🙂" } },
  }]);
});

test("JsonlFileSink buffers, and writes everything when it is closed", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  const sink = new JsonlFileSink(path, { flushEvery: 10 });
  for (let seq = 1; seq <= 9; seq++) assert.equal(sink.write(envelope(seq)), undefined);
  assert.deepEqual(await readdir(dir.path), []);
  await sink.write(envelope(10));
  assert.equal((await seqs(path)).length, 10);
  void sink.write(envelope(11));
  await sink.close();
  assert.deepEqual(await seqs(path), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

test("JsonlFileSink writes what is buffered after a while", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  await using sink = new JsonlFileSink(path, { flushAfterMs: 1 });
  void sink.write(envelope(1));
  const written = async () => (await readdir(dir.path)).length > 0 && (await seqs(path)).length > 0;
  const until = performance.now() + 5000;
  while (!await written() && performance.now() < until) await new Promise((r) => setTimeout(r, 2));
  assert.deepEqual(await seqs(path), [1]);
});

test("JsonlFileSink appends, also after it was closed", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  await writeFile(path, '{"seq":0}\n');
  const sink = new JsonlFileSink(path);
  void sink.write(envelope(1));
  await sink.close();
  void sink.write(envelope(2));
  await sink.close();
  assert.deepEqual(await seqs(path), [0, 1, 2]);
});

test("JsonlFileSink takes secrets out unless it is told not to", async () => {
  await using dir = await tempDir();
  const login = { id: 1, method: "account/login/start", params: { apiKey: "hunter2-hunter2" } };
  for (const redact of [true, false]) {
    const path = join(dir.path, `${redact}.jsonl`);
    const sink = new JsonlFileSink(path, { redact });
    void sink.write(envelope(1, login));
    await sink.close();
    assert.equal((await readFile(path, "utf8")).includes("hunter2"), !redact);
  }
  assert.equal(login.params.apiKey, "hunter2-hunter2");
});

test("JsonlFileSink puts full files aside and keeps the newest", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  const sink = new JsonlFileSink(path, { maxBytes: 1000, keep: 2, flushEvery: 7 });
  for (let seq = 1; seq <= 100; seq++) await sink.write(envelope(seq));
  await sink.close();
  const names = (await readdir(dir.path)).sort();
  assert.deepEqual(names, ["log.jsonl", "log.jsonl.1", "log.jsonl.2"]);
  const kept: number[] = [];
  for (const name of names.reverse()) {
    assert.ok((await stat(join(dir.path, name))).size <= 1000);
    kept.push(...await seqs(join(dir.path, name)));
  }
  assert.equal(kept.at(-1), 100);
  assert.deepEqual(kept, kept.map((_, i) => kept[0]! + i));
  assert.equal(sink.lost, 0);
});

test("JsonlFileSink keeps all files where it is told so", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  const sink = new JsonlFileSink(path, { maxBytes: 1, keep: Number.MAX_SAFE_INTEGER });
  for (let seq = 1; seq <= 9; seq++) void sink.write(envelope(seq));
  await sink.close();
  const names = ["", ".1", ".2", ".3", ".4", ".5", ".6", ".7", ".8"];
  const kept = await Promise.all(names.map((name) => seqs(path + name)));
  assert.deepEqual(kept.flat(), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
});

test("JsonlFileSink counts what an earlier run has written", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  await writeFile(path, "x".repeat(999) + "\n");
  const sink = new JsonlFileSink(path, { maxBytes: 1000 });
  void sink.write(envelope(1));
  await sink.close();
  assert.deepEqual(await seqs(path), [1]);
  assert.equal((await stat(`${path}.1`)).size, 1000);
});

test("JsonlFileSink writes a message larger than a file, alone", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  const sink = new JsonlFileSink(path, { maxBytes: 500, keep: 9 });
  void sink.write(envelope(1));
  void sink.write(envelope(2, { text: "x".repeat(5000) }));
  void sink.write(envelope(3));
  await sink.close();
  assert.deepEqual(await seqs(`${path}.2`), [1]);
  assert.deepEqual(await seqs(`${path}.1`), [2]);
  assert.deepEqual(await seqs(path), [3]);
});

test("JsonlFileSink tells of failures, counts what is lost, and recovers", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "busy", "log.jsonl");
  await writeFile(join(dir.path, "busy"), "a file where a directory must be");
  const sink = new JsonlFileSink(path, { flushEvery: 1 });
  await assert.rejects(async () => await sink.write(envelope(1)));
  assert.equal(sink.lost, 1);
  const { rm } = await import("node:fs/promises");
  await rm(join(dir.path, "busy"));
  await sink.write(envelope(2));
  await sink.close();
  assert.deepEqual(await seqs(path), [2]);
});

test("JsonlFileSink keeps the order of writes that overlap", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  const sink = new JsonlFileSink(path, { flushEvery: 3 });
  const writes: unknown[] = [];
  for (let seq = 1; seq <= 200; seq++) writes.push(sink.write(envelope(seq)));
  await Promise.all(writes);
  await sink.close();
  assert.deepEqual(await seqs(path), Array.from({ length: 200 }, (_, i) => i + 1));
});

test("JsonlFileSink begins a new line behind one that was cut", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  await writeFile(path, '{"seq":1}\n{"seq":2,"at"');
  const sink = new JsonlFileSink(path, { flushEvery: 1 });
  await sink.write(envelope(3));
  await sink.write(envelope(4));
  await sink.close();
  const told = (await readFile(path, "utf8")).split("\n");
  assert.equal(told[1], '{"seq":2,"at"');
  assert.deepEqual(told.slice(2, 4).map((line) => JSON.parse(line).seq), [3, 4]);
  assert.equal(told.length, 5);
  assert.equal(sink.lost, 0);
  // The new line counts: with room for what was cut and one line, as they are reckoned, that line has no room.
  const torn = join(dir.path, "torn.jsonl");
  await writeFile(torn, "{");
  const line = `${JSON.stringify(envelope(1))}\n`.length;
  await using full = new JsonlFileSink(torn, { flushEvery: 1, maxBytes: 1 + 3 * line });
  await full.write(envelope(1));
  assert.equal(await readFile(`${torn}.1`, "utf8"), "{\n");
  // A whole file gets no blank line.
  await using again = new JsonlFileSink(path, { flushEvery: 1 });
  await again.write(envelope(5));
  assert.equal((await readFile(path, "utf8")).includes("\n\n"), false);
});

test("two JsonlFileSinks on one path lose nothing, whoever puts the full file aside", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  const sinks = [path, join(dir.path, ".", "log.jsonl")].map((each) =>
    new JsonlFileSink(each, { maxBytes: 600, keep: 99, flushEvery: 1 })
  );
  const written: unknown[] = [];
  for (let seq = 1; seq <= 60; seq++) written.push(sinks[seq % 2]!.write(envelope(seq)));
  await Promise.all(written);
  for (let seq = 61; seq <= 80; seq++) await sinks[seq % 3 === 0 ? 0 : 1]!.write(envelope(seq));
  await Promise.all(sinks.map((sink) => sink.close()));
  const names = await readdir(dir.path);
  const all = await Promise.all(names.map((name) => seqs(join(dir.path, name))));
  assert.deepEqual(
    all.flat().sort((a, b) => a - b),
    Array.from({ length: 80 }, (_, at) => at + 1),
  );
  for (const name of names) assert.ok((await stat(join(dir.path, name))).size <= 600, name);
});

test("a JsonlFileSink goes on in the file that is there, when another program has put its own aside", async () => {
  await using dir = await tempDir();
  const path = join(dir.path, "log.jsonl");
  const sink = new JsonlFileSink(path, { flushEvery: 1 });
  await sink.write(envelope(1));
  await rename(path, `${path}.1`);
  await sink.write(envelope(2));
  await writeFile(path, '{"seq":3}\n{"seq":4}\n{"seq":5}\n');
  await sink.write(envelope(6));
  await sink.close();
  assert.deepEqual(await seqs(path), [3, 4, 5, 6]);
  assert.deepEqual(await seqs(`${path}.1`), [1]);
});

if (process.platform !== "win32") {
  test("a JsonlFileSink writes through no link that an agent has put in the file's place", async () => {
    await using dir = await tempDir();
    const [path, outside] = [join(dir.path, "log.jsonl"), join(dir.path, "bashrc")];
    const sink = new JsonlFileSink(path, { flushEvery: 1 });
    await sink.write(envelope(1));
    for (const there of [true, false]) {
      if (there) await writeFile(outside, "mine");
      else await rm(outside);
      await rm(path);
      await symlink(outside, path);
      await assert.rejects(async () => await sink.write(envelope(2)), /log\.jsonl is a link/);
      await rm(path);
      await sink.write(envelope(3));
      assert.deepEqual(await seqs(path), [3]);
      assert.deepEqual(await readdir(dir.path), [...there ? ["bashrc"] : [], "log.jsonl"]);
      if (there) assert.equal(await readFile(outside, "utf8"), "mine");
    }
    // A pipe that nobody reads would hold up whoever opens it.
    await rm(path);
    execFileSync("mkfifo", [path]);
    await assert.rejects(
      async () => await sink.write(envelope(4)),
      /log\.jsonl is a link or no file/,
    );
    assert.equal(sink.lost, 3);
    await sink.close();
  });
}
