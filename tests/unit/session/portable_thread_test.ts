/** A thread that was taken back goes on in files of its own, each based on another one: all of them are stored, in order. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";
import { MemoryThreadStore } from "../../../src/session/history/file_thread_store.ts";
import type { ThreadStore } from "../../../src/session/history/thread_store.ts";
import { PortableThread } from "../../../src/session/history/portable_thread.ts";
import { marker, readStored } from "../../../src/session/history/rollout.ts";

const [ID, SECOND, THIRD, OTHER] = ["1", "2", "3", "4"].map((digit) =>
  `01a2218f-805c-75c2-8c15-34f10ff63d3${digit}`
) as [string, string, string, string];

/** A line as codex 0.169 writes it; the first one of a file may name what the file is based on. */
function line(ordinal: number, base?: { id: string; text: string; lines: number }): string {
  const history_base = base === undefined ? undefined : {
    thread_id: base.id,
    end_ordinal_exclusive: base.lines,
    end_byte_offset: new TextEncoder().encode(base.text).length,
  };
  return JSON.stringify({ ordinal, type: "session_meta", payload: { history_base } });
}

const lines = (...all: string[]): string => all.map((each) => `${each}\n`).join("");

test("a thread that was taken back twice, on other days, is stored with what it is based on", async () => {
  await using directory = await tempDir("portable-");
  const home = directory.path;
  const put = (file: string, text: string) => {
    mkdirSync(dirname(join(home, file)), { recursive: true });
    writeFileSync(join(home, file), text);
    return { file, text };
  };
  const shared = lines(line(0), line(1));
  const first = put(`sessions/2025/12/31/rollout-a-${ID}.jsonl`, shared + lines(line(2)));
  const based = lines(line(2, { id: ID, text: shared, lines: 2 }), line(3));
  const second = put(`sessions/2026/01/01/rollout-b-${ID}_${SECOND}.jsonl`, based + lines(line(4)));
  const third = put(
    `sessions/2026/01/01/rollout-c-${ID}_${THIRD}.jsonl`,
    lines(line(4, { id: SECOND, text: based, lines: 4 })),
  );
  // Threads of others, and what is no folder of a day.
  put(`sessions/2026/01/01/rollout-d-${OTHER}.jsonl`, second.text);
  put(`sessions/2026/01/01/rollout-e-${OTHER}_${ID}x.jsonl`, first.text);
  put("sessions/notes.txt", "x");

  const memory = new MemoryThreadStore();
  let appends = 0;
  // Each second one fails: what it was in the middle of goes on from there.
  const store: ThreadStore = {
    load: (id) => memory.load(id),
    append: async (...what) => {
      if (++appends % 2 === 0) throw new Error("the disk is full");
      await memory.append(...what);
    },
  };
  const core = {
    config: {},
    server: { version: "0.169.0" },
    callNow: (_method: string, { threadId }: { threadId: string }) => {
      // Codex knows the thread, and no file of it by itself.
      if (threadId !== ID) return Promise.reject(new Error(`no thread ${threadId}`));
      return Promise.resolve({ thread: { path: join(home, third.file), name: null } });
    },
  };
  const thread = new PortableThread(core as never, store, "startSession", null);
  await thread.opened(ID);
  for (let tries = 0; tries < 6; tries++) await thread.flush().catch(() => {});
  const stored: string[] = [];
  for await (const each of (await store.load(ID))!) stored.push(each);
  const wanted = [[first.file, shared], [second.file, based], [third.file, third.text]]
    .flatMap(([file, text]) => [`#file ${JSON.stringify(file)}`, ...text!.trimEnd().split("\n")]);
  assert.deepEqual(stored, ['#codex "0.169.0"', ...wanted]);
});

test("a store that does not answer keeps nobody waiting, and is asked one thing at a time", async () => {
  await using directory = await tempDir("portable-");
  const file = `sessions/2026/01/01/rollout-a-${ID}.jsonl`;
  mkdirSync(join(directory.path, dirname(file)), { recursive: true });
  writeFileSync(join(directory.path, file), lines(line(0)));
  const core = {
    config: { requestTimeoutMs: 20 },
    server: { version: "0.169.0" },
    callNow: () => Promise.resolve({ thread: { path: join(directory.path, file), name: null } }),
  };
  const memory = new MemoryThreadStore();
  const answer = Promise.withResolvers<void>();
  let asked = 0;
  const slow: ThreadStore = {
    load: (id) => memory.load(id),
    append: async (...what) => {
      asked++;
      await answer.promise;
      await memory.append(...what);
    },
  };
  const thread = new PortableThread(core as never, slow, "startSession", null);
  await thread.opened(ID);
  const late = { code: "threadStore", message: /given no answer within 20 ms/ };
  await assert.rejects(thread.flush(), late);
  await assert.rejects(thread.flush(), late);
  await assert.rejects(thread.claim(new AbortController().signal), late);
  assert.equal(asked, 1);
  answer.resolve();
  await thread.flush();
  const stored: string[] = [];
  for await (const each of (await memory.load(ID))!) stored.push(each);
  assert.deepEqual(stored, ['#codex "0.169.0"', `#file ${JSON.stringify(file)}`, line(0)]);

  const stuck: ThreadStore = {
    ...slow,
    load: () =>
      Promise.resolve({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
  };
  const reading = new PortableThread(core as never, stuck, "resumeSession", ID);
  await assert.rejects(reading.materialise(ID), late);
});

test("what a store has kept without saying so is not stored again, also when the file has grown", async () => {
  await using directory = await tempDir("portable-");
  const file = `sessions/2026/01/01/rollout-a-${ID}.jsonl`;
  const path = join(directory.path, file);
  mkdirSync(dirname(path), { recursive: true });
  const core = {
    config: {},
    server: { version: "0.169.0" },
    callNow: () => Promise.resolve({ thread: { path, name: null } }),
  };
  const memory = new MemoryThreadStore();
  let fails: "no" | "before" | "after" = "no";
  const store: ThreadStore = {
    load: (id) => memory.load(id),
    append: async (...what) => {
      if (fails === "before") throw new Error("the disk is full");
      await memory.append(...what);
      if (fails === "after") throw new Error("the answer was lost");
    },
  };
  const thread = new PortableThread(core as never, store, "startSession", null);
  await thread.opened(ID);
  const all: string[] = [];
  const ways = "no after no after before no after after before after no".split(" ");
  for (const [ordinal, way] of ways.entries()) {
    all.push(line(ordinal));
    writeFileSync(path, lines(...all));
    thread.touch();
    fails = way as typeof fails;
    const flushed = thread.flush();
    await (way === "no" ? flushed : assert.rejects(flushed, { code: "threadStore" }));
  }
  const stored: string[] = [];
  for await (const each of (await memory.load(ID))!) stored.push(each);
  assert.deepEqual(stored, ['#codex "0.169.0"', `#file ${JSON.stringify(file)}`, ...all]);
});

test("what a store has kept is not stored again where the thread was taken back meanwhile", async () => {
  await using directory = await tempDir("portable-");
  const day = "sessions/2026/01/01";
  mkdirSync(join(directory.path, day), { recursive: true });
  const base = { id: ID, text: lines(line(0)), lines: 1 };
  const files = [`${day}/rollout-a-${ID}.jsonl`, `${day}/rollout-b-${ID}_${SECOND}.jsonl`] as const;
  writeFileSync(join(directory.path, files[0]), lines(line(0), line(1), line(2)));
  let path = join(directory.path, files[0]);
  const core = {
    config: {},
    server: { version: "0.169.0" },
    callNow: () => Promise.resolve({ thread: { path, name: null } }),
  };
  const memory = new MemoryThreadStore();
  let isLost = true;
  const store: ThreadStore = {
    load: (id) => memory.load(id),
    append: async (id, given, at) => {
      await memory.append(id, given, at);
      if (isLost && given[0]!.startsWith("{")) throw new Error("the answer was lost");
    },
  };
  const thread = new PortableThread(core as never, store, "startSession", null);
  await thread.opened(ID);
  await assert.rejects(thread.flush(), { code: "threadStore" });
  isLost = false;
  path = join(directory.path, files[1]);
  writeFileSync(path, lines(line(1, base)));
  thread.touch();
  await thread.flush();
  const stored: string[] = [];
  for await (const each of (await memory.load(ID))!) stored.push(each);
  const first = [`#file ${JSON.stringify(files[0])}`, line(0), line(1), line(2)];
  const second = [`#file ${JSON.stringify(files[1])}`, line(1, base)];
  assert.deepEqual(stored, ['#codex "0.169.0"', ...first, ...second]);
});

test("a thread that goes on from a long one is stored whatever language that is in", async () => {
  await using directory = await tempDir("portable-");
  const day = "sessions/2026/01/01";
  mkdirSync(join(directory.path, day), { recursive: true });
  const files = [`${day}/rollout-a-${ID}.jsonl`, `${day}/rollout-b-${ID}_${SECOND}.jsonl`] as const;
  const memory = new MemoryThreadStore();
  // What is read of the long file to find its last line begins anywhere in a letter.
  for (let n = 0; n < 3; n++) {
    const said = JSON.stringify({ ordinal: 1, text: "\u754c".repeat(60_000) + "x".repeat(n) });
    const text = lines(line(0), said, line(2));
    writeFileSync(join(directory.path, files[0]), text);
    writeFileSync(join(directory.path, files[1]), lines(line(3, { id: ID, text, lines: 3 })));
    const core = {
      config: {},
      server: { version: "0.169.0" },
      callNow: () => Promise.resolve({ thread: { path: join(directory.path, files[1]) } }),
    };
    const thread = new PortableThread(core as never, memory, "startSession", null);
    await thread.opened(`${ID}${n}`);
    await thread.flush();
    assert.equal((await Array.fromAsync((await memory.load(`${ID}${n}`))!)).length, 7);
  }
});

test("lines that a store says are somebody else's, and that are these very lines, are stored", async () => {
  await using directory = await tempDir("portable-");
  const file = `sessions/2026/01/01/rollout-a-${ID}.jsonl`;
  const path = join(directory.path, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, lines(line(0)));
  const core = {
    config: {},
    server: { version: "0.169.0" },
    callNow: () => Promise.resolve({ thread: { path, name: null } }),
  };
  const memory = new MemoryThreadStore();
  const store: ThreadStore = {
    load: (id) => memory.load(id),
    // As a driver does that asks its database again when the answer was lost.
    append: async (...what) => {
      await memory.append(...what);
      await memory.append(...what);
    },
  };
  const thread = new PortableThread(core as never, store, "startSession", null);
  await thread.opened(ID);
  await thread.claim(new AbortController().signal);
  writeFileSync(path, lines(line(0), line(1)));
  await thread.flush();
  const stored = await Array.fromAsync((await memory.load(ID))!);
  assert.deepEqual(stored.filter((each) => each.startsWith("{")), [line(0), line(1)]);
  await memory.append(ID, ['#turn "theirs"'], stored.length);
  const lost = { code: "threadInUse", message: /went on elsewhere/ };
  await assert.rejects(thread.claim(new AbortController().signal), lost);
});

test("what happens while a thread is stored is stored with the next call", async () => {
  await using directory = await tempDir("portable-");
  const file = `sessions/2026/01/01/rollout-a-${ID}.jsonl`;
  const path = join(directory.path, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, lines(line(0)));
  const core = {
    config: {},
    server: { version: "0.169.0" },
    callNow: () => Promise.resolve({ thread: { path, name: "Fruit" } }),
  };
  const memory = new MemoryThreadStore();
  const store: ThreadStore = {
    load: (id) => memory.load(id),
    append: async (id, given, at) => {
      await memory.append(id, given, at);
      if (!given[0]!.startsWith("#name")) return;
      writeFileSync(path, lines(line(0), line(1)));
      thread.touch();
    },
  };
  const thread = new PortableThread(core as never, store, "startSession", null);
  await thread.opened(ID);
  await thread.flush();
  await thread.flush();
  const stored: string[] = [];
  for await (const each of (await memory.load(ID))!) stored.push(each);
  const named = ['#codex "0.169.0"', `#file ${JSON.stringify(file)}`, line(0), '#name "Fruit"'];
  assert.deepEqual(stored, [...named, line(1)]);
});

test("a file that lost what is stored of it, or holds what codex does not write, is told of", async () => {
  await using directory = await tempDir("portable-");
  const path = join(directory.path, `sessions/2026/01/01/rollout-a-${ID}.jsonl`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, lines(line(0), line(1)));
  const core = {
    config: {},
    server: { version: "0.169.0" },
    callNow: () => Promise.resolve({ thread: { path, name: null } }),
  };
  const store = new MemoryThreadStore();
  const thread = new PortableThread(core as never, store, "startSession", null);
  await thread.opened(ID);
  await thread.flush();
  const kept = async () => (await Array.fromAsync((await store.load(ID))!)).length;
  assert.equal(await kept(), 4);
  const after = [lines(line(0)), lines(line(0), line(1), "", line(2)), [0x7B, 0xFF, 0x0A]];
  for (const [n, now] of after.entries()) {
    const before = n === 2 ? new TextEncoder().encode(lines(line(0), line(1))) : [];
    writeFileSync(path, typeof now === "string" ? now : Uint8Array.from([...before, ...now]));
    thread.touch();
    const refused = { code: "threadStore", retryable: false, message: /^The thread's file / };
    await assert.rejects(thread.flush(), refused);
    assert.equal(await kept(), 4);
  }
  writeFileSync(path, lines(line(0), line(1), line(2)));
  await thread.flush();
  assert.equal(await kept(), 5);
});

test("a turn of which codex could not write the end is not taken for stored", async () => {
  await using directory = await tempDir("portable-");
  const path = join(directory.path, `sessions/2026/01/01/rollout-a-${ID}.jsonl`);
  mkdirSync(dirname(path), { recursive: true });
  const ends = (turn_id: string) =>
    JSON.stringify({ type: "event_msg", payload: { type: "task_complete", turn_id } });
  let late: string | null = null;
  const core = {
    config: {},
    server: { version: "0.169.0" },
    callNow: (_method: string, { includeTurns }: { includeTurns: boolean }) => {
      if (includeTurns && late !== null) writeFileSync(path, late);
      return Promise.resolve({ thread: { path, name: null } });
    },
  };
  const store = new MemoryThreadStore();
  const thread = new PortableThread(core as never, store, "startSession", null);
  await thread.opened(ID);
  const kept = async () => (await Array.fromAsync((await store.load(ID))!)).length;
  // Ends that are read before they are told, in any order.
  writeFileSync(path, lines(line(0), ends("one"), ends("two")));
  await thread.flush();
  for (const told of ["two", "one"]) {
    thread.touch(told);
    await thread.flush();
  }
  assert.equal(await kept(), 5);
  // The disk is full: the line of the answer is cut.
  const before = readFileSync(path, "utf8");
  writeFileSync(path, `${before}{"type":`);
  thread.touch("three");
  const refused = { code: "threadStore", message: /Make room/ };
  await assert.rejects(thread.claim(new AbortController().signal), refused);
  assert.equal(await kept(), 5);
  // Codex writes when it is asked for what it could not write.
  late = before + lines(line(3), ends("three"));
  await thread.claim(new AbortController().signal);
  assert.equal(await kept(), 8);
});

test("whatever a thread is called, its store can be read again", () => {
  const every = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code)).join("");
  const names = ["", "Fix it", every, "\u2028", "a\u2029b", "\u{10FFFF}", '"}', "\r\n", "\ud83c"];
  for (const name of names) {
    const line = marker("name", name);
    assert.ok(!line.includes("\n"));
    assert.deepEqual(readStored(line), { type: "name", name: name.toWellFormed() });
  }
});
