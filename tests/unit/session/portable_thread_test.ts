/** A thread that was taken back goes on in files of its own, each based on another one: all of them are stored, in order. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Buffer } from "node:buffer";
import { basename, dirname, join } from "node:path";
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

/** What a store holds of a thread. */
const storedIn = async (store: ThreadStore, id = ID) =>
  await Array.fromAsync((await store.load(id))!);

/** A home with one file of the thread, which codex says is at `thread.path`, and a store. */
async function atHome() {
  const directory = await tempDir("portable-");
  const file = `sessions/2026/01/01/rollout-a-${ID}.jsonl`;
  const next = `sessions/2026/01/01/rollout-b-${ID}_${SECOND}.jsonl`;
  const path = join(directory.path, file);
  mkdirSync(dirname(path), { recursive: true });
  const it = {
    file,
    path,
    /** What is stored first. */
    begins: ['#codex "0.169.0"', marker("file", file)],
    /** Where the thread goes on when it is taken back. */
    next: { file: next, path: join(directory.path, next) },
    thread: { path, name: null as string | null },
    memory: new MemoryThreadStore(),
    config: {},
    /** Told of each question. */
    asked: (_params: { includeTurns: boolean }) => {},
    /** What the thread is kept by, which has been opened. */
    open: async (store: ThreadStore, id = ID) => {
      const core = {
        config: it.config,
        server: { version: "0.169.0" },
        callNow: (_method: string, params: { includeTurns: boolean }) => {
          it.asked(params);
          return Promise.resolve({ thread: it.thread });
        },
      };
      const thread = new PortableThread(core as never, store, "startSession", null);
      await thread.opened(id);
      return thread;
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
  return it;
}

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
  const wanted = [[first.file, shared], [second.file, based], [third.file, third.text]]
    .flatMap(([file, text]) => [`#file ${JSON.stringify(file)}`, ...text!.trimEnd().split("\n")]);
  assert.deepEqual(await storedIn(memory), ['#codex "0.169.0"', ...wanted]);
});

test("a store that does not answer keeps nobody waiting, and is asked one thing at a time", async () => {
  await using it = await atHome();
  writeFileSync(it.path, lines(line(0)));
  it.config = { requestTimeoutMs: 20 };
  const answer = Promise.withResolvers<void>();
  let asked = 0;
  const slow: ThreadStore = {
    load: (id) => it.memory.load(id),
    append: async (...what) => {
      asked++;
      await answer.promise;
      await it.memory.append(...what);
    },
  };
  const thread = await it.open(slow);
  const late = { code: "threadStore", message: /given no answer within 20 ms/ };
  await assert.rejects(thread.flush(), late);
  await assert.rejects(thread.flush(), late);
  await assert.rejects(thread.claim(new AbortController().signal), late);
  assert.equal(asked, 1);
  answer.resolve();
  await thread.flush();
  assert.deepEqual(await storedIn(it.memory), [...it.begins, line(0)]);

  const stuck: ThreadStore = {
    ...slow,
    load: () =>
      Promise.resolve({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
  };
  await assert.rejects((await it.open(stuck)).materialise(ID), late);
});

test("what a store has kept without saying so is not stored again, also when the file has grown", async () => {
  await using it = await atHome();
  let fails: "no" | "before" | "after" = "no";
  const store: ThreadStore = {
    load: (id) => it.memory.load(id),
    append: async (id, given, at) => {
      assert.notDeepEqual(given, []);
      if (fails === "before") throw new Error("the disk is full");
      await it.memory.append(id, given, at);
      if (fails === "after") throw new Error("the answer was lost");
    },
  };
  const thread = await it.open(store);
  const all: string[] = [];
  const flush = async (way: string, text?: string) => {
    if (text !== undefined) all.push(text);
    writeFileSync(it.path, lines(...all));
    thread.touch();
    fails = way as typeof fails;
    const flushed = thread.flush();
    await (way === "no" ? flushed : assert.rejects(flushed, { code: "threadStore" }));
  };
  const ways = "no after no after before no after after before after no".split(" ");
  for (const [ordinal, way] of ways.entries()) await flush(way, line(ordinal));
  // Older codex numbers no lines: two may be the same.
  for (const [way, text] of [["after", line(99)], ["no"], ["no", line(99)]]) {
    await flush(way!, text);
  }
  assert.deepEqual(await storedIn(it.memory), [...it.begins, ...all]);
  const signal = new AbortController().signal;
  fails = "after";
  await assert.rejects(thread.claim(signal), { code: "threadStore" });
  fails = "no";
  await thread.claim(signal);
  const turns = (await storedIn(it.memory)).filter((each) => each.startsWith("#turn"));
  assert.equal(new Set(turns).size, 2, "what follows is another turn");
});

test("what a store has kept is not stored again where the thread was taken back meanwhile", async () => {
  await using it = await atHome();
  const base = { id: ID, text: lines(line(0)), lines: 1 };
  writeFileSync(it.path, lines(line(0), line(1), line(2)));
  let isLost = true;
  const store: ThreadStore = {
    load: (id) => it.memory.load(id),
    append: async (id, given, at) => {
      await it.memory.append(id, given, at);
      if (isLost && given.at(-1)!.startsWith("{")) throw new Error("the answer was lost");
    },
  };
  const thread = await it.open(store);
  await assert.rejects(thread.flush(), { code: "threadStore" });
  isLost = false;
  writeFileSync(it.next.path, lines(line(1, base)));
  it.thread.path = it.next.path;
  thread.touch();
  await thread.flush();
  assert.deepEqual(await storedIn(it.memory), [
    ...[...it.begins, line(0), line(1), line(2)],
    ...[marker("file", it.next.file), line(1, base)],
  ]);
});

test("a thread that goes on from a long one is stored whatever language that is in", async () => {
  await using it = await atHome();
  it.thread.path = it.next.path;
  // What is read of the long file to find its last line begins anywhere in a letter, or in that line.
  for (let n = 0; n < 4; n++) {
    const said = (ordinal: number) =>
      JSON.stringify({ ordinal, text: "\u754c".repeat(60_000) + "x".repeat(n) });
    const text = lines(line(0), said(1), n === 3 ? said(2) : line(2));
    writeFileSync(it.path, text);
    writeFileSync(it.next.path, lines(line(3, { id: ID, text, lines: 3 })));
    const thread = await it.open(it.memory, `${ID}${n}`);
    await thread.flush();
    assert.equal((await storedIn(it.memory, `${ID}${n}`)).length, 7);
  }
});

test("lines that a store says are somebody else's, and that are these very lines, are stored", async () => {
  await using it = await atHome();
  writeFileSync(it.path, lines(line(0)));
  const store: ThreadStore = {
    load: (id) => it.memory.load(id),
    // As a driver does that asks its database again when the answer was lost.
    append: async (...what) => {
      await it.memory.append(...what);
      await it.memory.append(...what);
    },
  };
  const thread = await it.open(store);
  await thread.claim(new AbortController().signal);
  writeFileSync(it.path, lines(line(0), line(1)));
  await thread.flush();
  const stored = await storedIn(it.memory);
  assert.deepEqual(stored.filter((each) => each.startsWith("{")), [line(0), line(1)]);
  await it.memory.append(ID, ['#turn "theirs"'], stored.length);
  const lost = { code: "threadInUse", message: /went on elsewhere/ };
  await assert.rejects(thread.claim(new AbortController().signal), lost);
});

test("what happens while a thread is stored is stored with the next call, and nothing is read back", async () => {
  await using it = await atHome();
  writeFileSync(it.path, lines(line(0)));
  it.thread.name = "Fruit";
  let asked = 0;
  it.asked = () => void asked++;
  const store: ThreadStore = {
    load: () => Promise.reject(new Error("nobody asked")),
    append: async (id, given, at) => {
      await it.memory.append(id, given, at);
      if (!given[0]!.startsWith("#name")) return;
      writeFileSync(it.path, lines(line(0), line(1)));
      thread.touch();
    },
  };
  const thread = await it.open(store);
  for (let n = 0; n < 4; n++) await thread.flush();
  assert.equal(asked, 2);
  assert.deepEqual(await storedIn(it.memory), [
    ...it.begins,
    line(0),
    '#name "Fruit"',
    line(1),
  ]);
});

test("a file that lost what is stored of it is told of", async () => {
  await using it = await atHome();
  const { path } = it;
  writeFileSync(path, lines(line(0), line(1)));
  const thread = await it.open(it.memory);
  await thread.flush();
  const kept = async () => (await storedIn(it.memory)).length;
  assert.equal(await kept(), 4);
  writeFileSync(path, lines(line(0)));
  thread.touch();
  const refused = { code: "threadStore", retryable: false, message: /^The thread's file / };
  await assert.rejects(thread.flush(), refused);
  assert.equal(await kept(), 4);
  writeFileSync(path, lines(line(0), line(1), line(2)));
  await thread.flush();
  assert.equal(await kept(), 5);
});

test("lines that a crash or a full disk has cut are stored and put back as they are", async () => {
  await using it = await atHome();
  const encode = (text: string) => new TextEncoder().encode(text);
  const cut = encode(`{"type":"\u65e5\u672c`);
  const content = Buffer.concat([
    encode(lines(line(0))),
    // Within a character; what a disk has not kept of a line after the power was lost; nothing.
    ...[cut.subarray(0, -1), encode("\n"), new Uint8Array(3), encode('\n\n#name "x"\n')],
    encode(lines(line(1))),
  ]);
  assert.throws(() => new TextDecoder("utf-8", { fatal: true }).decode(content));
  writeFileSync(it.path, content);
  await (await it.open(it.memory)).flush();
  rmSync(it.path);
  const home = it.path.slice(0, -it.file.length - 1);
  const core = {
    config: {},
    server: { version: "0.169.0", codexHome: home },
    callNow: () => Promise.resolve({ thread: it.thread }),
  };
  const back = new PortableThread(core as never, it.memory, "resumeSession", ID);
  await back.materialise(ID);
  assert.deepEqual(readFileSync(it.path), content);
  writeFileSync(it.path, Buffer.concat([content, encode(lines(line(2)))]));
  const before = await storedIn(it.memory);
  back.touch();
  await back.flush();
  assert.deepEqual(await storedIn(it.memory), [...before, line(2)]);
});

test("a turn of which codex could not write the end is not taken for stored", async () => {
  await using it = await atHome();
  const { path } = it;
  const ends = (turn_id: string) =>
    JSON.stringify({ type: "event_msg", payload: { type: "task_complete", turn_id } });
  let late: string | null = null;
  it.asked = ({ includeTurns }) => {
    if (includeTurns && late !== null) writeFileSync(path, late);
  };
  const thread = await it.open(it.memory);
  const kept = async () => (await storedIn(it.memory)).length;
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

test("of what a fork is based on, only a file that has less of it is replaced, and where nobody works on it", async () => {
  const day = "sessions/2026/01/01";
  const text = lines(line(0), line(1));
  const fork = {
    file: `${day}/rollout-b-${ID}.jsonl`,
    text: lines(line(2, { id: OTHER, text, lines: 2 })),
  };
  const [whole, less, others] = [lines(line(0), line(1), line(2)), lines(line(0)), lines(line(7))];
  const parent = `${day}/rollout-a-${OTHER}.jsonl`;
  const longer = others + whole;
  const table: { there: string; after: string; base?: string; loaded?: string }[] = [
    { there: less, after: text },
    { there: less, after: text, base: `${day}/rollout-a-${OTHER}_${THIRD}.jsonl`, loaded: ID },
    { there: less, after: less, loaded: OTHER },
    { there: less, after: less, base: `${day}/rollout-a-${OTHER}_${THIRD}.jsonl`, loaded: OTHER },
    { there: whole, after: whole, loaded: OTHER },
    { there: others, after: others, loaded: OTHER },
    { there: longer, after: longer, loaded: OTHER },
    { there: less, after: less, base: `${day}/rollout-notes.jsonl` },
  ];
  for (const { there, after, base = parent, loaded } of table) {
    await using directory = await tempDir("portable-");
    const home = directory.path;
    mkdirSync(join(home, day), { recursive: true });
    writeFileSync(join(home, base), there);
    const memory = new MemoryThreadStore();
    const parts = [{ file: base, text }, fork].flatMap((each) => [
      marker("file", each.file),
      ...each.text.trimEnd().split("\n"),
    ]);
    await memory.append(ID, parts, 0);
    const core = {
      config: {},
      server: { version: "0.169.0", codexHome: home },
      callNow: (method: string) => {
        assert.equal(method, "thread/loaded/list", "nothing of it is forgotten");
        return Promise.resolve({ data: [loaded] });
      },
    };
    const thread = new PortableThread(core as never, memory, "resumeSession", ID);
    const isRefused = there === less && loaded === OTHER;
    if (isRefused) {
      const refused = { data: { reason: "loadedAndOlder", threadId: OTHER } };
      await assert.rejects(thread.materialise(ID), refused);
    } else await thread.materialise(ID);
    assert.equal(readFileSync(join(home, base), "utf8"), after);
    const files = [base, ...isRefused ? [] : [fork.file]].map((file) => basename(file));
    assert.deepEqual(readdirSync(join(home, day)).sort(), files.sort());
    assert.equal(thread.takeWarning(), null, "nothing of the thread itself is given up");
  }
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
