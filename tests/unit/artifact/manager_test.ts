import assert from "node:assert/strict";
import { ArtifactSessionManager } from "../../../src/artifact/mod.ts";
import type { ArtifactClient, ArtifactThread } from "../../../src/artifact/client.ts";
import { DOC_EDIT_SCHEMA, DOC_GENERATE_SCHEMA } from "../../../src/artifact/prompt.ts";
import { EMPTY_REVISION, revisionOf } from "../../../src/artifact/edits.ts";
import {
  ArtifactConflictError,
  ConnectionClosedError,
  InvalidArgumentError,
  OutputValidationError,
  RpcError,
  SessionClosedError,
} from "../../../src/errors/mod.ts";
import type { AskOptions, SessionConfig } from "../../../src/session/profile.ts";
import type { PromptRunResult } from "../../../src/session/turn/turn_result.ts";
import { test } from "../../_harness.ts";
import { emptyArtifact } from "../../../src/artifact/store/store.ts";
import { MemoryArtifactStore } from "../../../src/artifact/store/file_store.ts";

type Answer = (prompt: string, options: AskOptions) => unknown;

/** A client whose threads answer by a function, and which notes what happens. */
class FakeClient implements ArtifactClient {
  readonly log: string[] = [];
  readonly configs: SessionConfig[] = [];
  readonly prompts: string[] = [];
  readonly options: AskOptions[] = [];
  /** Threads that can be resumed. */
  readonly stored: Set<string> = new Set();
  answer: Answer;
  /** What releasing a thread waits for. */
  released: Promise<void> = Promise.resolve();
  resumeError: Error | null = null;

  constructor(answer: Answer = () => "ok") {
    this.answer = answer;
  }

  startSession(config: SessionConfig): Promise<ArtifactThread> {
    const id = `t${this.log.filter((l) => l.startsWith("start")).length + 1}`;
    this.log.push(`start ${id}`);
    this.configs.push(config);
    return Promise.resolve(this.#thread(id));
  }

  resumeSession(threadId: string, config: SessionConfig): Promise<ArtifactThread> {
    this.log.push(`resume ${threadId}`);
    this.configs.push(config);
    if (this.resumeError !== null) return Promise.reject(this.resumeError);
    if (!this.stored.has(threadId)) {
      const message = `no rollout found for thread id ${threadId}`;
      return Promise.reject(new RpcError("thread/resume", -32600, message));
    }
    return Promise.resolve(this.#thread(threadId));
  }

  #thread(threadId: string): ArtifactThread {
    let turns = 0;
    return {
      threadId,
      ask: async (prompt, options = {}) => {
        this.log.push(`ask ${threadId}`);
        this.prompts.push(prompt);
        this.options.push(options);
        this.stored.add(threadId);
        const answer = await this.answer(prompt, options);
        const text = typeof answer === "string" ? answer : JSON.stringify(answer);
        const told = result(threadId, `${threadId}-${++turns}`, text);
        return options.outputSchema === undefined ? told : { ...told, output: answer };
      },
      close: () => Promise.resolve(void this.log.push(`close ${threadId}`)),
      release: () => {
        this.log.push(`release ${threadId}`);
        return this.released;
      },
    };
  }
}

function result(threadId: string, turnId: string, text: string): PromptRunResult {
  return {
    threadId,
    turnId,
    assistantText: text,
    items: [],
    usage: null,
    durationMs: null,
    diff: null,
    plan: null,
    proposedPlan: null,
    output: undefined,
    hooks: { ran: [], issues: [] },
  };
}

const WRITE = { type: "docGenerate", artifactId: "a", userGoal: "Write" } as const;
const EDIT = { type: "docEdit", artifactId: "a", userGoal: "Edit" } as const;
const ASK = { type: "passthrough", artifactId: "a", userGoal: "Ask" } as const;

function shownRevision(prompt: string): string {
  return /^REVISION: (.*)$/m.exec(prompt)![1]!;
}

function shownText(prompt: string): string {
  return /CURRENT_TEXT_BEGIN\n([\s\S]*)CURRENT_TEXT_END$/.exec(prompt)![1]!;
}

function edits(expectedRevision: string, ...list: [number, number, string][]): unknown {
  return {
    format: "markdown",
    expectedRevision,
    edits: list.map(([startLine, endLine, replacement]) => ({ startLine, endLine, replacement })),
    notes: "done",
  };
}

async function setUp(text: string, answer?: Answer): Promise<{
  client: FakeClient;
  store: MemoryArtifactStore;
  manager: ArtifactSessionManager;
}> {
  const client = new FakeClient(answer);
  const store = new MemoryArtifactStore();
  if (text !== "") await store.save("a", { text, expectedRevision: EMPTY_REVISION });
  return { client, store, manager: new ArtifactSessionManager(client, { cwd: "/srv", store }) };
}

test("docGenerate stores the document with title, format and origin", async () => {
  const document = { format: "asciidoc", title: "The guide", text: "= Guide\n" };
  const { client, store, manager } = await setUp("", () => document);
  const done = await manager.runTask(WRITE);
  assert.deepEqual(
    [
      done.type,
      done.title,
      done.format,
      done.text,
      done.previousRevision,
      done.revision,
      done.attempts,
    ],
    [
      "docGenerate",
      "The guide",
      "asciidoc",
      "= Guide\n",
      EMPTY_REVISION,
      await revisionOf("= Guide\n"),
      1,
    ],
  );
  const stored = (await store.load("a"))!;
  assert.equal(stored.text, "= Guide\n");
  assert.deepEqual(stored.meta, {
    title: "The guide",
    format: "asciidoc",
    threadId: "t1",
    lastSave: {
      task: "docGenerate",
      threadId: "t1",
      turnId: "t1-1",
      previousRevision: EMPTY_REVISION,
    },
  });
  assert.deepEqual(client.options[0]?.outputSchema, DOC_GENERATE_SCHEMA);
});

test("every thread is read-only and asks nobody, whatever the options", async () => {
  const client = new FakeClient();
  const store = new MemoryArtifactStore();
  const manager = new ArtifactSessionManager(client, {
    cwd: "/srv",
    store,
    model: "m",
  });
  const more = { cwd: "/srv", sandbox: "danger-full-access" };
  assert.throws(() => new ArtifactSessionManager(client, more), InvalidArgumentError);
  await manager.runTask({ ...ASK, effort: "low", timeoutMs: 5 });
  assert.deepEqual(client.configs, [{
    cwd: "/srv",
    model: "m",
    sandbox: "read-only",
    approvalPolicy: "never",
  }]);
  assert.deepEqual(client.options, [{ effort: "low", timeoutMs: 5 }]);
});

test("docEdit applies the edits to the text that was shown", async () => {
  const { client, store, manager } = await setUp(
    "one\r\ntwo",
    (prompt) => edits(shownRevision(prompt), [2, 3, "TWO\n"], [3, 3, "three\n"]),
  );
  const done = await manager.runTask(EDIT);
  assert.equal(done.text, "one\r\nTWO\r\nthree");
  assert.equal((await store.load("a"))?.text, done.text);
  assert.deepEqual([done.notes, done.edits.length], ["done", 2]);
  assert.deepEqual(client.options[0]?.outputSchema, DOC_EDIT_SCHEMA);
});

test("passthrough answers about the text and stores nothing", async () => {
  const { store, manager } = await setUp("one\n", (prompt) => shownText(prompt).trim());
  const before = await store.load("a");
  const done = await manager.runTask(ASK);
  assert.deepEqual([done.output, done.text, done.revision], ["one", "one\n", before!.revision]);
  assert.deepEqual(await store.load("a"), { ...before, meta: { ...before!.meta, threadId: "t1" } });
});

test("passthrough answers with a value where it was asked for one", async () => {
  const { manager } = await setUp("one\n", () => ({ lines: 1 }));
  const done = await manager.runTask({ ...ASK, outputSchema: { type: "object" } });
  assert.deepEqual(done.output, { lines: 1 });
});

test("text and revision shown are one version, while others write all the time", async () => {
  const { client, store, manager } = await setUp("0");
  let writing = true;
  const write = async () => {
    for (let i = 1; writing; i++) {
      const now = (await store.load("a"))!;
      await store.save("a", { text: String(i), expectedRevision: now.revision }).catch(() => {});
    }
  };
  const writer = write();
  for (let i = 0; i < 20; i++) await manager.runTask(ASK);
  writing = false;
  await writer;
  for (const prompt of client.prompts) {
    assert.equal(shownRevision(prompt), await revisionOf(shownText(prompt).trimEnd()));
  }
});

test("a text that changed during the turn is a conflict with both revisions, and stays", async () => {
  const { store, manager } = await setUp("one\n", async (prompt) => {
    await store.save("a", { text: "human\n", expectedRevision: shownRevision(prompt) });
    return edits(shownRevision(prompt), [1, 2, "model\n"]);
  });
  const [expected, actual] = [await revisionOf("one\n"), await revisionOf("human\n")];
  await assert.rejects(
    manager.runTask(EDIT),
    (error) =>
      error instanceof ArtifactConflictError && error.expectedRevision === expected &&
      error.actualRevision === actual,
  );
  assert.equal((await store.load("a"))?.text, "human\n");
});

test("conflictRetries asks again on the fresh text", async () => {
  let asked = 0;
  const { client, store, manager } = await setUp("one\n", async (prompt) => {
    const revision = shownRevision(prompt);
    if (++asked <= 2) {
      await store.save("a", { text: `human ${asked}\n`, expectedRevision: revision });
    }
    return edits(revision, [2, 2, "model\n"]);
  });
  const done = await manager.runTask({ ...EDIT, conflictRetries: 2 });
  assert.deepEqual([done.text, done.attempts], ["human 2\nmodel\n", 3]);
  assert.deepEqual(client.prompts.map(shownText), ["one\n", "human 1\n", "human 2\n"]);

  asked = 0;
  await assert.rejects(
    manager.runTask({ ...EDIT, conflictRetries: 1 }),
    ArtifactConflictError,
    "one retry is not enough for two changes",
  );
  assert.equal(asked, 2);
});

test("an answer for another revision than the one shown is a conflict", async () => {
  const { store, manager } = await setUp("one\n", () => edits("sha256:invented", [1, 2, "x"]));
  await assert.rejects(
    manager.runTask(EDIT),
    (error) =>
      error instanceof ArtifactConflictError && error.expectedRevision === "sha256:invented",
  );
  assert.equal((await store.load("a"))?.text, "one\n");
});

test("docGenerate does not overwrite what came meanwhile", async () => {
  const { store, manager } = await setUp("", async () => {
    await store.save("a", { text: "human", expectedRevision: EMPTY_REVISION });
    return { format: "markdown", title: "T", text: "model" };
  });
  await assert.rejects(manager.runTask(WRITE), ArtifactConflictError);
  assert.equal((await store.load("a"))?.text, "human");
});

test("a caller's outdated text is a conflict before any turn, or the fresh one is used", async () => {
  const { client, manager } = await setUp(
    "new\n",
    (prompt) => edits(shownRevision(prompt), [2, 2, "x"]),
  );
  const expected = await revisionOf("old\n");
  await assert.rejects(
    manager.runTask({ ...EDIT, currentText: "old\n" }),
    (error) => error instanceof ArtifactConflictError && error.expectedRevision === expected,
  );
  assert.deepEqual(client.prompts, []);
  const done = await manager.runTask({ ...EDIT, currentText: "old\n", conflictRetries: 1 });
  assert.deepEqual([done.text, done.attempts], ["new\nx\n", 1]);
  await manager.runTask({ ...EDIT, currentText: "new\nx\n" });
});

const UNFIT: [string, unknown, string][] = [
  ["no JSON", "Sorry!", "$"],
  ["a missing field", { format: "x", expectedRevision: "y", notes: null }, "$.edits"],
  ["a range beyond the text", "range", "$.edits[0].endLine"],
  ["overlapping edits", "overlap", "$.edits[1].startLine"],
];
for (const [name, answer, path] of UNFIT) {
  test(`an answer with ${name} rejects with OutputValidationError and stores nothing`, async () => {
    const { store, manager } = await setUp("one\ntwo\n", (prompt) => {
      const revision = shownRevision(prompt);
      if (answer === "range") return edits(revision, [1, 9, "x"]);
      if (answer === "overlap") return edits(revision, [1, 3, "x"], [2, 3, "y"]);
      return answer;
    });
    await assert.rejects(
      manager.runTask({ ...EDIT, conflictRetries: 5 }),
      (error) =>
        error instanceof OutputValidationError && error.issues[0]?.path === path &&
        error.turnId === "t1-1",
    );
    assert.equal((await store.load("a"))?.text, "one\ntwo\n");
  });
}

test("an artifact has one thread, resumed by later managers and never archived", async () => {
  const { client, store, manager } = await setUp("x");
  assert.equal((await manager.open("a")).threadId, "t1");
  await manager.runTask(ASK);
  await manager.runTask(ASK);
  await manager.close();
  const later = new ArtifactSessionManager(client, { cwd: "/srv", store });
  const open = await later.open("a");
  assert.deepEqual([open.threadId, open.text, open.meta.title], ["t1", "x", "a"]);
  await later.runTask(ASK);
  await later.close();
  assert.deepEqual(client.log, [
    "start t1",
    "ask t1",
    "ask t1",
    "release t1",
    "resume t1",
    "ask t1",
    "release t1",
  ]);
});

test("a thread that can't be resumed any more is replaced; other failures are reported", async () => {
  const { client, store, manager } = await setUp("x");
  await store.updateMeta("a", () => ({ threadId: "gone" }));
  assert.equal((await manager.open("a")).threadId, "t1");
  assert.equal((await store.load("a"))?.meta.threadId, "t1");
  await manager.close();

  client.resumeError = new RpcError("thread/resume", -32001, "Server overloaded; retry later.");
  const later = new ArtifactSessionManager(client, { cwd: "/srv", store });
  await assert.rejects(later.open("a"), client.resumeError);
  client.resumeError = null;
  client.stored.add("t1");
  assert.equal((await later.open("a")).threadId, "t1", "the failure is not remembered");
  assert.deepEqual(client.log, ["resume gone", "start t1", "release t1", "resume t1", "resume t1"]);
});

test("of two that start a thread for one artifact both use the first one stored", async () => {
  const { client, store } = await setUp("x");
  client.stored.add("theirs");
  const start = client.startSession.bind(client);
  client.startSession = async (config) => {
    await store.updateMeta("a", () => ({ threadId: "theirs" }));
    return start(config);
  };
  const manager = new ArtifactSessionManager(client, { cwd: "/srv", store });
  assert.equal((await manager.open("a")).threadId, "theirs");
  assert.deepEqual(client.log, ["start t1", "resume theirs", "close t1"]);
});

test("open() at once from many places starts one thread", async () => {
  const { client, manager } = await setUp("x");
  const opened = await Promise.all([manager.open("a"), manager.open("a"), manager.runTask(ASK)]);
  assert.equal(opened.length, 3);
  assert.deepEqual(client.log, ["start t1", "ask t1"]);
});

test("tasks on one artifact run in turn, and build on each other", async () => {
  const { manager } = await setUp("0\n", (prompt) => {
    const n = Number(shownText(prompt));
    return edits(shownRevision(prompt), [1, 2, String(n + 1)]);
  });
  const all = await Promise.all(Array.from({ length: 10 }, () => manager.runTask(EDIT)));
  assert.deepEqual(all.map((r) => r.text), Array.from({ length: 10 }, (_, i) => `${i + 1}\n`));
});

test("an aborted task leaves the line at once, and those behind it keep their place", async () => {
  const first = Promise.withResolvers<string>();
  const { client, manager } = await setUp("x", () => first.promise);
  const running = manager.runTask(ASK);
  const stop = new AbortController();
  const waiting = manager.runTask({ ...ASK, userGoal: "second" }, { signal: stop.signal });
  const last = manager.runTask({ ...ASK, userGoal: "third" });
  stop.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  assert.ok(client.prompts.length <= 1, "the third still waits for the first");
  first.resolve("done");
  await Promise.all([running, last]);
  assert.equal(client.prompts.length, 2);
  assert.ok(client.prompts[1]?.includes("third"));
  await assert.rejects(manager.runTask(ASK, { signal: AbortSignal.abort(new Error("no")) }), /no/);
});

test("after a lost connection the thread is resumed for the next task", async () => {
  const { client, manager } = await setUp("x", () => {
    throw new ConnectionClosedError("codex is gone.");
  });
  await assert.rejects(manager.runTask(ASK), ConnectionClosedError);
  client.answer = () => "ok";
  await manager.runTask(ASK);
  assert.deepEqual(client.log, ["start t1", "ask t1", "release t1", "resume t1", "ask t1"]);
});

test("a thread in use is not let go, however many are idle", async () => {
  const held = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const client = new FakeClient(async (prompt) => {
    if (!prompt.includes("hold on")) return "ok";
    asked.resolve();
    await held.promise;
    return "ok";
  });
  const store = new MemoryArtifactStore();
  const manager = new ArtifactSessionManager(client, { cwd: "/srv", store, maxIdleThreads: 0 });
  const holding = manager.runTask({ ...ASK, artifactId: "a", userGoal: "hold on" });
  await asked.promise;
  await manager.runTask({ ...ASK, artifactId: "b" });
  assert.deepEqual(client.log.filter((l) => l.startsWith("release")), ["release t2"]);
  held.resolve();
  await holding;
  assert.deepEqual(client.log.filter((l) => l.startsWith("release")), ["release t2", "release t1"]);
  await manager.close();
});

test("a thread that is being let go is resumed behind that, and close() waits for it", async () => {
  const client = new FakeClient();
  const store = new MemoryArtifactStore();
  const manager = new ArtifactSessionManager(client, { cwd: "/srv", store, maxIdleThreads: 0 });
  const gate = Promise.withResolvers<void>();
  client.answer = () => {
    client.released = gate.promise;
    return "ok";
  };
  const first = manager.runTask(ASK);
  const seen = (line: string) => client.log.includes(line);
  while (!seen("release t1")) await new Promise((resolve) => setTimeout(resolve));
  client.answer = () => {
    client.released = Promise.resolve();
    return "ok";
  };
  await manager.runTask({ ...ASK, artifactId: "b" });
  const again = manager.open("a");
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(seen("resume t1"), false);
  client.released = gate.promise;
  const closed = Promise.race([manager.close().then(() => true), gate.promise.then(() => false)]);
  await new Promise((resolve) => setTimeout(resolve));
  gate.resolve();
  assert.equal(await closed, false);
  await first;
  await assert.rejects(again, SessionClosedError);
});

test("threads that no task uses are let go, least recently used first", async () => {
  const client = new FakeClient();
  const store = new MemoryArtifactStore();
  const manager = new ArtifactSessionManager(client, { cwd: "/srv", store, maxIdleThreads: 2 });
  for (const artifactId of ["a", "b", "a", "c", "b"]) await manager.runTask({ ...ASK, artifactId });
  await manager.close();
  assert.deepEqual(client.log.filter((l) => !l.startsWith("ask")), [
    "start t1",
    "start t2",
    "start t3",
    "release t2",
    "resume t2",
    "release t1",
    "release t3",
    "release t2",
  ]);
  await assert.rejects(manager.open("a"), SessionClosedError);
  await assert.rejects(manager.runTask(ASK), SessionClosedError);
  await manager.close();
});

test("a store that never answers does not hold close()", async () => {
  for (const method of ["load", "updateMeta"] as const) {
    const client = new FakeClient();
    const store = new MemoryArtifactStore();
    const asked = Promise.withResolvers<void>();
    store[method] = () => {
      asked.resolve();
      return new Promise<never>(() => {});
    };
    const manager = new ArtifactSessionManager(client, { cwd: "/w", store });
    const running = manager.open("a");
    await asked.promise;
    await Promise.all([assert.rejects(running, SessionClosedError), manager.close()]);
    const began = client.log.filter((line) => line.startsWith("start")).length;
    assert.equal(client.log.filter((line) => line.startsWith("close")).length, began, method);
  }
});

test("a close ends the first load of a task that has a signal of its own", async () => {
  const store = new MemoryArtifactStore();
  const manager = new ArtifactSessionManager(new FakeClient(), { cwd: "/w", store });
  await manager.open("a");
  const asked = Promise.withResolvers<void>();
  store.load = () => {
    asked.resolve();
    return new Promise(() => {});
  };
  const { signal } = new AbortController();
  const running = manager.runTask({ ...ASK, artifactId: "a" }, { signal });
  await asked.promise;
  await Promise.all([assert.rejects(running, SessionClosedError), manager.close()]);
});

test("a task that is aborted when it is answered stores nothing, and waits for no store", async () => {
  const stop = new AbortController();
  const client = new FakeClient(() => {
    stop.abort(new Error("enough"));
    return { title: "t", format: "markdown", text: "a" };
  });
  const store = new MemoryArtifactStore();
  const saved: string[] = [];
  const manager = new ArtifactSessionManager(client, { cwd: "/w", store });
  await manager.open("a");
  store.save = (id) => {
    saved.push(id);
    return new Promise(() => {});
  };
  const task = { type: "docGenerate", artifactId: "a", userGoal: "x" } as const;
  await assert.rejects(manager.runTask(task, { signal: stop.signal }), /enough/);
  assert.deepEqual(saved, []);
  await manager.close();
});

test("an aborted task does not wait for a store that is told of another thread", async () => {
  const store = new MemoryArtifactStore();
  const manager = new ArtifactSessionManager(new FakeClient(), { cwd: "/w", store });
  await manager.open("a");
  store.load = () => Promise.resolve(emptyArtifact("a"));
  const asked = Promise.withResolvers<void>();
  store.updateMeta = () => {
    asked.resolve();
    return new Promise(() => {});
  };
  const stop = new AbortController();
  const running = manager.runTask({ ...ASK, artifactId: "a" }, { signal: stop.signal });
  await asked.promise;
  stop.abort(new Error("enough"));
  await assert.rejects(running, /enough/);
  await manager.close();
});

for (const method of ["load", "save"] as const) {
  test(`an aborted task does not wait for a store whose ${method}() never answers`, async () => {
    const client = new FakeClient(() => ({ title: "t", format: "markdown", text: "a" }));
    const store = new MemoryArtifactStore();
    const manager = new ArtifactSessionManager(client, { cwd: "/w", store });
    await manager.open("a");
    const asked = Promise.withResolvers<AbortSignal | undefined>();
    store[method] = (...args: unknown[]) => {
      asked.resolve((args.at(-1) as { signal?: AbortSignal }).signal);
      return new Promise<never>(() => {});
    };
    const stop = new AbortController();
    const running = manager.runTask({ type: "docGenerate", artifactId: "a", userGoal: "x" }, {
      signal: stop.signal,
    });
    const told = await asked.promise;
    stop.abort(new Error("enough"));
    await assert.rejects(running, /enough/);
    assert.equal(told?.aborted, true, "the store is told as well");
    await manager.close();
  });
}

test("runTask() gives back what is stored, also of a text that no file can hold", async () => {
  let answer: object = { title: "t", format: "markdown", text: "a \ud83c half" };
  const client = new FakeClient(() => answer);
  const store = new MemoryArtifactStore();
  const documents = new ArtifactSessionManager(client, { cwd: "/", store });
  const goal = { artifactId: "a", userGoal: "x" };
  const { text, revision } = await documents.runTask({ ...goal, type: "docGenerate" });
  assert.equal(text, "a \ufffd half");
  assert.equal(revision, await revisionOf(text));
  const edits = [{ startLine: 1, endLine: 2, replacement: "an\udf4a other" }];
  answer = { format: "markdown", expectedRevision: revision, edits, notes: null };
  const edited = await documents.runTask({ ...goal, type: "docEdit", currentText: text });
  assert.equal(edited.text, (await store.load("a"))!.text);
  await documents.close();
});

test("a task is what it was when it was given, whatever becomes of its object in line", async () => {
  const client = new FakeClient((prompt) => {
    const text = /GOAL:\n(.*)/.exec(prompt)![1]!;
    return { format: "markdown", title: text, text };
  });
  const store = new MemoryArtifactStore();
  const manager = new ArtifactSessionManager(client, { cwd: "/w", store });
  const task = { type: "docGenerate" as const, artifactId: "", userGoal: "" };
  const tasks = ["a", "b", "c"].map((name) => {
    task.artifactId = task.userGoal = name;
    return manager.runTask(task);
  });
  assert.deepEqual((await Promise.all(tasks)).map(({ artifactId }) => artifactId), ["a", "b", "c"]);
  for (const name of ["a", "b", "c"]) assert.equal((await store.load(name))!.text, name);
});
