/** Threads that a store carries from one machine to another, on the real codex: each world is a machine of its own. */
import assert from "node:assert/strict";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  CodexError,
  ConnectionClosedError,
  InvalidArgumentError,
  ThreadInUseError,
  UnsupportedError,
} from "../../src/errors/mod.ts";
import { signalProcess } from "../../src/platform/mod.ts";
import { coreOf } from "../../src/runtime/mod.ts";
import { MemoryThreadStore } from "../../src/session/history/file_thread_store.ts";
import type { ThreadStore } from "../../src/session/history/thread_store.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { script } from "../../src/testing/mod.ts";
import { test } from "../_harness.ts";
import { rejection, World } from "./_session_world.ts";

/** The prompts that the model was shown last. */
function heard(world: World): string[] {
  const { userTexts } = world.model.requests.at(-1)!;
  return userTexts.filter((text) => !text.startsWith("<") && !text.startsWith("# AGENTS"));
}

async function onMachines(
  version: string,
  count: number,
  act: (...worlds: World[]) => Promise<void>,
): Promise<void> {
  const worlds = await Promise.all(Array.from({ length: count }, () => World.start(version)));
  try {
    await act(...worlds);
  } finally {
    for (const world of worlds) await world[Symbol.asyncDispose]();
  }
}

async function linesOf(store: ThreadStore, threadId: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of await store.load(threadId) ?? []) lines.push(line);
  return lines;
}

const home = (world: World) => world.config().env!.set!["CODEX_HOME"]!;

for (const version of CODEX_VERSIONS) {
  test(`a lost machine's conversation goes on on another one, and back [${version}]`, () =>
    onMachines(version, 2, async (a, b) => {
      const store = new MemoryThreadStore();
      const lost = await a.connect();
      const first = await lost.startSession({ cwd: a.cwd, store });
      const id = first.threadId;
      await first.ask("one");
      await first.rename("Fruit");
      await first.ask("two");
      const stored = await linesOf(store, id);
      const { path } = await lost.readThread(id);
      const file = readFileSync(path!, "utf8");
      assert.deepEqual(stored.filter((line) => line.startsWith("{")), file.trimEnd().split("\n"));
      signalProcess(lost.runtime.pid!, "SIGKILL");

      const second = await (await b.connect()).resumeSession(id, { cwd: b.cwd, store });
      await second.ask("three");
      assert.deepEqual(heard(b), ["one", "two", "three"]);
      const there = await b.connect();
      const moved = await there.readThread(id);
      if (version !== "0.104.0") assert.equal(moved.name, "Fruit");
      assert.equal(statSync(moved.path!).mode & 0o777, 0o600);
      await second.release();

      // The first machine is back, with a file that ends where it was lost.
      const again = await a.connect();
      const third = await again.resumeSession(id, { store });
      assert.equal(third.cwd, version === "0.104.0" ? third.cwd : a.cwd);
      await third.ask("four");
      assert.deepEqual(heard(a), ["one", "two", "three", "four"]);
      const { turns } = await again.readThread(id, { includeTurns: true });
      assert.equal(turns.length, 4);
      await third.release();
    }));

  test(`of two that go on with a thread, one loses before its turn begins [${version}]`, () =>
    onMachines(version, 2, async (a, b) => {
      const store = new MemoryThreadStore();
      const [clientA, clientB] = [await a.connect(), await b.connect()];
      const here = await clientA.startSession({ cwd: a.cwd, store });
      await here.ask("one");
      const there = await clientB.resumeSession(here.threadId, { cwd: b.cwd, store });
      await there.ask("two");
      const asked = a.model.requests.length;
      // Asked again, this session could not do it either.
      const lost = await rejection(here.ask("mine"));
      assert.ok(lost instanceof ThreadInUseError && !lost.retryable, String(lost));
      assert.match(lost.message, /went on elsewhere\. Nothing was asked/);
      assert.equal(a.model.requests.length, asked, "nothing was asked");
      assert.ok(await rejection(here.ask("again")) instanceof ThreadInUseError);
      await there.ask("three");
      assert.deepEqual(heard(b), ["one", "two", "three"]);

      // Somebody takes it while a turn runs: what that turn leaves is not mixed in.
      const before = (await linesOf(store, here.threadId)).length;
      const running = there.ask(
        b.prompt((_request, _round) => {
          void store.append(here.threadId, ['#turn "theirs"'], before + 1);
          return "late";
        }),
      );
      // It ran: whoever takes it for one that did not asks twice.
      const late = await rejection(running);
      assert.ok(late instanceof ThreadInUseError && !late.retryable, String(late));
      assert.match(late.message, /went on elsewhere\. What the last turn here said/);
      assert.equal((await linesOf(store, here.threadId)).length, before + 2);

      // They go on; on the machine that lost, what it has instead is given up.
      await Promise.all([clientA.shutdown(), clientB.shutdown()]);
      const id = here.threadId;
      const theirs = await (await a.connect()).resumeSession(id, { cwd: a.cwd, store });
      await theirs.ask("four");
      assert.deepEqual(heard(a), ["one", "two", "three", "four"]);
      const again = await b.connect();
      const ours = await again.resumeSession(id, { cwd: b.cwd, store });
      await ours.ask("five");
      assert.deepEqual(heard(b), ["one", "two", "three", "four", "five"]);
      assert.equal((await again.readThread(id, { includeTurns: true })).turns.length, 5);
    }));

  test(`close() that a store refuses archives when another call has stored the rest [${version}]`, () =>
    onMachines(version, 1, async (world) => {
      const store = new MemoryThreadStore();
      const append = store.append.bind(store);
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd, store });
      let fails = false;
      store.append = async (id, lines, at) => {
        if (fails) throw new TypeError("the disk is full");
        await append(id, lines, at);
      };
      await session.ask("two", {
        onEvent: ({ type }) => void (fails ||= type === "turnStarted"),
      });
      const listed = async () => {
        for await (const { threadId } of client.threads()) {
          if (threadId === session.threadId) return true;
        }
        return false;
      };
      for (let again = 0; again < 2; again++) {
        const told = await rejection(session.close());
        assert.ok(told instanceof CodexError && told.code === "threadStore" && told.retryable);
      }
      assert.equal(await listed(), true);
      fails = false;
      await session.close();
      assert.equal(await listed(), false);
      assert.match((await linesOf(store, session.threadId)).join(), /You said: two/);
      await session.close();
    }));

  test(`close() after shutdown() says once that the last turn is not stored [${version}]`, () =>
    onMachines(version, 1, async (world) => {
      const store = new MemoryThreadStore();
      const client = await world.connect();
      const stored = await client.startSession({ cwd: world.cwd, store });
      await stored.ask("one");
      const unstored = await client.startSession({ cwd: world.cwd, store });
      await unstored.ask("two", {
        onEvent: ({ type }) => {
          if (type === "turnStarted") store.append = () => Promise.reject(new Error("full"));
        },
      });
      const begun = Promise.withResolvers<void>();
      world.hold = true;
      const lost = await client.startSession({ cwd: world.cwd, store: new MemoryThreadStore() });
      const asked = rejection(lost.ask("three", {
        onEvent: ({ type }) => void (type === "turnStarted" && begun.resolve()),
      }));
      await begun.promise;
      await client.shutdown();
      await stored.close();
      // Of this one everybody knows that it has failed.
      assert.ok(await asked instanceof ConnectionClosedError);
      await lost.close();
      const told = await rejection(unstored.close());
      assert.ok(told instanceof CodexError && told.code === "threadStore" && !told.retryable);
      await unstored.close();
    }));

  test(`a store that fails costs no answer, and gets the turn with the next one [${version}]`, () =>
    onMachines(version, 2, async (a, b) => {
      const inner = new MemoryThreadStore();
      let fails: "no" | "before" | "after" = "no";
      const store: ThreadStore = {
        load: (id) => inner.load(id),
        append: async (id, lines, at) => {
          const mine = lines.some((line) => line.startsWith("{"));
          if (mine && fails === "before") throw new TypeError("the disk is full");
          await inner.append(id, lines, at);
          if (mine && fails === "after") throw new TypeError("the answer was lost");
        },
      };
      const session = await (await a.connect()).startSession({ cwd: a.cwd, store });
      const warnings: string[] = [];
      const listening = (async () => {
        for await (const event of session.events()) {
          if (event.type === "warning") warnings.push(event.message);
        }
      })();
      await session.ask("one");
      fails = "before";
      assert.equal((await session.ask("two")).assistantText, "You said: two");
      // What is not stored can't be claimed: no second turn runs beside the store.
      const refused = await rejection(session.ask("unheard"));
      assert.ok(
        refused instanceof CodexError && refused.code === "threadStore" && refused.retryable,
      );
      fails = "no";
      await session.ask("three");
      fails = "after";
      assert.equal((await session.ask("four")).assistantText, "You said: four");
      fails = "no";
      await session.ask("five");
      fails = "before";
      await session.ask("six");
      for (let again = 0; again < 2; again++) {
        const told = await rejection(session.release());
        assert.ok(told instanceof CodexError && told.code === "threadStore" && told.retryable);
      }
      fails = "no";
      await session.release();
      await listening;
      assert.ok(warnings.some((message) => /could not be stored/.test(message)), warnings.join());
      assert.ok(warnings.every((message) => !message.includes("unheard")));

      const there = await (await b.connect()).resumeSession(session.threadId, {
        cwd: b.cwd,
        store,
      });
      await there.ask("seven");
      assert.deepEqual(heard(b), ["one", "two", "three", "four", "five", "six", "seven"]);
    }));

  test(`refused prompts and a store that is gone for a while cost no thread [${version}]`, () =>
    onMachines(version, 1, async (a) => {
      const there = new MemoryThreadStore();
      let store: ThreadStore = there;
      const session = await (await a.connect()).startSession({
        cwd: a.cwd,
        store: {
          load: (threadId) => store.load(threadId),
          append: (threadId, lines, at) => store.append(threadId, lines, at),
        },
      });
      for (let tries = 0; tries < 4; tries++) {
        assert.ok(await rejection(session.ask(" ")) instanceof InvalidArgumentError);
      }
      await session.ask("one");
      // A share that is not mounted is an empty directory.
      store = new MemoryThreadStore();
      for (let tries = 0; tries < 2; tries++) {
        const error = await rejection(session.ask("unheard"));
        assert.ok(error instanceof CodexError && error.retryable, String(error));
        assert.match(error.message, /has lost the thread/);
      }
      store = there;
      await session.ask("two");
      assert.deepEqual(heard(a), ["one", "two"]);
      await session.release();
      const stored = (await linesOf(there, session.threadId)).join("\n");
      assert.match(stored, /"one"[^]*"two"/);
    }));

  test(`a turn that only this machine had, when the thread went on elsewhere, is told of [${version}]`, () =>
    onMachines(version, 2, async (a, b) => {
      const inner = new MemoryThreadStore();
      let fails = false;
      const store: ThreadStore = {
        load: (id) => inner.load(id),
        append: async (id, lines, at) => {
          if (fails) throw new TypeError("no way to the store");
          await inner.append(id, lines, at);
        },
      };
      const first = await a.connect();
      const session = await first.startSession({ cwd: a.cwd, store });
      const { threadId } = session;
      await session.ask("one");
      const late = a.prompt(() => {
        fails = true;
        return "never stored";
      });
      await session.ask(late);
      await first.shutdown();
      fails = false;
      const resume = async (world: World) =>
        await (await world.connect()).resumeSession(threadId, { cwd: world.cwd, store });
      await using there = await resume(b);
      await there.ask("theirs");
      assert.deepEqual(heard(b), ["one", "theirs"]);
      await there.release();
      await using back = await resume(a);
      const told: string[] = [];
      await back.ask("back", {
        onEvent: (event) => event.type === "warning" && told.push(event.message),
      });
      assert.deepEqual(heard(a), ["one", "theirs", "back"]);
      assert.equal(
        told.filter((each) => /went on elsewhere.*\d+ lines of its file/.test(each)).length,
        1,
        told.join(),
      );
      await back.release();

      // Another client takes the last turn back on this machine, beside the store: it is taken back elsewhere too.
      const takeBack = async () => {
        await using other = await a.connect();
        const core = coreOf(other.runtime);
        const { turns } = await other.readThread(threadId, { includeTurns: true });
        await core.call("thread/resume", { threadId });
        if (version === "0.104.0") await core.call("thread/rollback", { threadId, numTurns: 1 });
        else {
          const beforeTurnId = turns.at(-1)!.turnId;
          await core.call("thread/revert", { threadId, beforeTurnId });
        }
      };
      await takeBack();
      await using anew = await resume(a);
      await anew.ask("anew");
      assert.deepEqual(heard(a), ["one", "theirs", "anew"]);
      await anew.release();
      await using known = await resume(b);
      await known.ask("known");
      assert.deepEqual(heard(b), ["one", "theirs", "anew", "known"]);
      await known.release();

      // When the thread went on elsewhere meanwhile, the store's turns are the thread's, and that is told.
      await takeBack();
      await using last = await resume(a);
      await last.ask("last", {
        onEvent: (event) => event.type === "warning" && told.push(event.message),
      });
      assert.deepEqual(heard(a), ["one", "theirs", "anew", "known", "last"]);
      assert.match(told.at(-1)!, /went on elsewhere/);
      await last.release();
    }));

  test(`a fork goes on where its parent is known only in part [${version}]`, () =>
    onMachines(version, 2, async (a, b) => {
      const store = new MemoryThreadStore();
      const [here, before] = [await a.connect(), await b.connect()];
      const begun = await here.startSession({ cwd: a.cwd, store });
      const id = begun.threadId;
      await begun.ask("one");
      await begun.release();
      const visited = await before.resumeSession(id, { cwd: b.cwd, store });
      await visited.ask("two");
      await visited.release();
      await before.shutdown();
      const parent = await (await a.connect()).resumeSession(id, { cwd: a.cwd, store });
      await parent.ask("three");
      const fork = await parent.fork({ store });
      await fork.ask("in the fork");
      await fork.release();

      const there = await b.connect();
      const forkThere = await there.resumeSession(fork.threadId, { cwd: b.cwd, store });
      await forkThere.ask("fork there");
      assert.deepEqual(heard(b), ["one", "two", "three", "in the fork", "fork there"]);
      await parent.release();
      const parentThere = await there.resumeSession(id, { cwd: b.cwd, store });
      const four = await parentThere.ask("four");
      assert.deepEqual(heard(b), ["one", "two", "three", "four"]);
      if (version === "0.104.0") return;
      // Codex here forgets nothing of a thread that has forks here.
      await parentThere.rewind({ before: four.turnId, files: false });
      await parentThere.release();
      const error = await rejection((await a.connect()).resumeSession(id, { store }));
      assert.ok(error instanceof CodexError && error.code === "threadStore", `${error}`);
      assert.match(error.message, /forks of the thread/);
    }));

  test(`forks, compacted threads and those taken back are whole elsewhere [${version}]`, () =>
    onMachines(version, 2, async (a, b) => {
      const store = new MemoryThreadStore();
      const client = await a.connect();
      const session = await client.startSession({ cwd: a.cwd });
      await session.ask("one");
      const { turnId } = await session.ask("secret two");
      const fork = await session.fork({ before: turnId, store });
      await fork.ask("in the fork");
      const deeper = await fork.fork({ store });
      await deeper.ask("deeper");
      await deeper.compact();
      await deeper.ask("after compaction");
      const lines = await linesOf(store, deeper.threadId);
      if (version !== "0.104.0") {
        assert.ok(!lines.join().includes("secret two"), "what it is not based on");
      }

      const taken = await client.startSession({ cwd: a.cwd, store });
      await taken.ask("kept");
      const back = await taken.ask("taken back");
      const { threadId } = taken;
      const core = coreOf(client.runtime);
      if (version === "0.104.0") await core.call("thread/rollback", { threadId, numTurns: 1 });
      else await core.call("thread/revert", { threadId, beforeTurnId: back.turnId });
      await taken.ask("anew");
      // What is taken back is so in the store at once: a machine that is lost now brings it back nowhere.
      const { turnId: last } = await taken.ask("taken back as well");
      await taken.rewind({ before: last, files: false });

      const there = await b.connect();
      const takenThere = await there.resumeSession(threadId, { cwd: b.cwd, store });
      await takenThere.ask("taken there");
      assert.deepEqual(heard(b), ["kept", "anew", "taken there"]);
      await taken.release();
      await takenThere.release();
      const returned = await (await a.connect()).resumeSession(threadId, { store });
      await returned.ask("returned");
      assert.deepEqual(heard(a), ["kept", "anew", "taken there", "returned"]);
      const forkThere = await there.resumeSession(fork.threadId, { cwd: b.cwd, store });
      await forkThere.ask("fork there");
      assert.deepEqual(heard(b), ["one", "in the fork", "fork there"]);
      const deeperThere = await there.resumeSession(deeper.threadId, { cwd: b.cwd, store });
      await deeperThere.ask("deeper there");
      assert.equal(heard(b).at(-1), "deeper there");
      assert.ok(!heard(b).includes("secret two"));
    }));
}

test("how a command ended after its turn is stored when the session ends", () =>
  onMachines("0.169.0", 1, async (world) => {
    const store = new MemoryThreadStore();
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd, store });
    const { threadId } = session;
    const events = session.events();
    const command = script.exec("sleep 1; echo late-output", { yield_time_ms: 300 });
    await session.ask(world.prompt([[command], "Started."]));
    for await (const { type } of events) if (type === "commandFinished") break;
    const { path } = await client.readThread(threadId);
    await session.release();
    const file = readFileSync(path!, "utf8").trimEnd().split("\n");
    assert.match(file.at(-1)!, /late-output/);
    assert.deepEqual((await linesOf(store, threadId)).filter((each) => each.startsWith("{")), file);
  }));

test("a fork is kept where its session is, unless it leaves nothing behind", () =>
  onMachines("0.169.0", 1, async (world) => {
    const store = new MemoryThreadStore();
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd, store });
    await session.ask("one");
    const fork = await session.fork();
    await fork.ask("two");
    assert.ok((await linesOf(store, fork.threadId)).some((line) => line.includes("two")));
    const ephemeral = await session.fork({ ephemeral: true });
    await ephemeral.ask("three");
    assert.equal(await store.load(ephemeral.threadId), null);
    assert.equal((await session.sample("four")).text, "You said: four");
  }));

test("each turn of a goal is stored when it ends, and the last one before the goal has", () =>
  onMachines("0.169.0", 1, async (world) => {
    const store = new MemoryThreadStore();
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd, store });
    const isStored = async (words: string) =>
      (await linesOf(store, session.threadId)).some((line) => line.includes(words));
    const gate = Promise.withResolvers<void>();
    const reached = script.toolCall("update_goal", { status: "complete" });
    const goal = await session.startGoal(world.prompt([
      "the first step",
      [script.gate(gate.promise), reached],
      "the last words",
    ]));
    for await (const { type } of goal) {
      if (type !== "turnCompleted") continue;
      while (!await isStored("the first step")) await new Promise((ready) => setTimeout(ready, 20));
      gate.resolve();
    }
    await goal.finish();
    assert.ok(await isStored("the last words"));
  }));

test("a stored thread goes to newer codex, and to an older one unless that would damage it", async () => {
  const [old, between, newest] = [
    await World.start("0.104.0"),
    await World.start("0.145.0"),
    await World.start("0.169.0"),
  ];
  try {
    const go = async (world: World, id: string, store: ThreadStore, words: string) => {
      const client = await world.connect();
      const session = await client.resumeSession(id, { cwd: world.cwd, store });
      await session.ask(words);
      await client.shutdown();
      return heard(world);
    };
    const store = new MemoryThreadStore();
    const begun = await (await old.connect()).startSession({ cwd: old.cwd, store });
    await begun.ask("one");
    await begun.release();
    const path: [World, string][] = [[newest, "two"], [between, "three"], [old, "four"], [
      newest,
      "five",
    ]];
    const said = ["one"];
    for (const [world, words] of path) {
      said.push(words);
      assert.deepEqual(await go(world, begun.threadId, store, words), said);
    }
    const paged = await (await newest.connect()).startSession({ cwd: newest.cwd, store });
    await paged.ask("one");
    await paged.release();
    for (const world of [old, between]) {
      const refused = await rejection(go(world, paged.threadId, store, "never"));
      assert.ok(refused instanceof UnsupportedError, String(refused));
      assert.equal(refused.since, "0.152.1");
      const threads = [];
      for await (const thread of (await world.connect()).threads()) threads.push(thread.threadId);
      assert.ok(!threads.includes(paged.threadId), "nothing was put in place");
    }
    assert.deepEqual(await go(newest, paged.threadId, store, "two"), ["one", "two"]);
    // A way of writing that nobody knows yet: whoever wrote so reads it, older ones may not.
    const future = new MemoryThreadStore();
    const lines = (await linesOf(store, paged.threadId)).map((line) =>
      line.replace('"history_mode":"paginated"', '"history_mode":"braided"')
        .replace('"cli_version":"0.169.0"', '"cli_version":"0.199.0"')
    );
    await future.append(paged.threadId, lines, 0);
    const refused = await rejection(go(newest, paged.threadId, future, "never"));
    assert.ok(refused instanceof UnsupportedError);
    assert.equal(refused.since, "0.199.0");
  } finally {
    for (const world of [old, between, newest]) await world[Symbol.asyncDispose]();
  }
});

test("a home in which no thread can be put is told by an error of the store's", () =>
  onMachines(CODEX_VERSIONS[0]!, 2, async (a, b) => {
    const store = new MemoryThreadStore();
    const session = await (await a.connect()).startSession({ cwd: a.cwd, store });
    await session.ask("one");
    await session.release();
    const there = await b.connect();
    const sessions = join(home(b), "sessions");
    rmSync(sessions, { recursive: true, force: true });
    writeFileSync(sessions, "");
    const full = await rejection(there.resumeSession(session.threadId, { cwd: b.cwd, store }));
    assert.ok(full instanceof CodexError && full.code === "threadStore", String(full));
    assert.match(full.message, /sessions can't be used: /);
    rmSync(sessions);
    const again = await there.resumeSession(session.threadId, { cwd: b.cwd, store });
    await again.ask("two");
    assert.deepEqual(heard(b), ["one", "two"]);
    // Nor is a file of the thread's that became something else told in the system's words alone.
    const { path } = await there.readThread(session.threadId);
    renameSync(path!, `${path}.away`);
    mkdirSync(path!);
    await again.ask("three");
    const odd = await rejection(again.release());
    assert.ok(odd instanceof CodexError && odd.code === "threadStore", String(odd));
    rmSync(path!, { recursive: true });
    renameSync(`${path}.away`, path!);
    await again.release();
    assert.ok((await linesOf(store, session.threadId)).some((line) => line.includes('"three"')));
  }));

test("a thread of which nothing could be stored is no thread elsewhere, and leaves no file there", () =>
  onMachines(CODEX_VERSIONS[0]!, 2, async (a, b) => {
    const there = new MemoryThreadStore();
    const store: ThreadStore = {
      load: (id) => there.load(id),
      append: (id, lines, at) =>
        lines.some((line) => line.startsWith("{"))
          ? Promise.reject(new Error("full"))
          : there.append(id, lines, at),
    };
    const lost = await a.connect();
    const session = await lost.startSession({ cwd: a.cwd, store });
    await session.ask("one");
    signalProcess(lost.runtime.pid!, "SIGKILL");
    await lost.shutdown();
    const elsewhere = await b.connect();
    const gone = await rejection(
      elsewhere.resumeSession(session.threadId, { cwd: b.cwd, store: there }),
    );
    assert.match(String(gone), /There is no such thread/);
    const left = readdirSync(home(b), { recursive: true }).filter((name) =>
      /rollout/.test(`${name}`)
    );
    assert.deepEqual(left, []);
    // The machine that has it goes on.
    const again = await (await a.connect()).resumeSession(session.threadId, { store: there });
    await again.ask("two");
    assert.deepEqual(heard(a), ["one", "two"]);
    await again.release();
    const moved = await elsewhere.resumeSession(session.threadId, { cwd: b.cwd, store: there });
    await moved.ask("three");
    assert.deepEqual(heard(b), ["one", "two", "three"]);
  }));

test("what a store gives in the wrong shape is told as the store's mistake", () =>
  onMachines(CODEX_VERSIONS[0]!, 1, async (a) => {
    const client = await a.connect();
    const session = await client.startSession({ cwd: a.cwd });
    await session.ask("one");
    await session.release();
    const resume = (given: unknown) =>
      client.resumeSession(session.threadId, {
        cwd: a.cwd,
        store: { load: () => Promise.resolve(given), append: () => Promise.resolve() } as never,
      });
    async function* numbers() {
      yield await Promise.resolve(7);
    }
    for (const given of [["{}"], "{}", numbers()]) {
      const error = await rejection(resume(given));
      assert.ok(error instanceof CodexError && error.code === "threadStore", String(error));
    }
    // As a map or a database's client tells that there is none.
    await (await resume(undefined)).release();
  }));

test("a store that is not ours to trust names no file but the thread's own, and is put through no link", () =>
  onMachines("0.169.0", 2, async (a, b) => {
    const good = new MemoryThreadStore();
    const session = await (await a.connect()).startSession({ cwd: a.cwd, store: good });
    await session.ask("one");
    const id = session.threadId;
    const lines = await linesOf(good, id);
    const client = await b.connect();
    const evil = async (change: (line: string) => string) => {
      const store = new MemoryThreadStore();
      await store.append(id, lines.map(change), 0);
      return await rejection(client.resumeSession(id, { cwd: b.cwd, store }));
    };
    const file = lines.find((line) => line.startsWith("#file"))!;
    for (
      const path of [
        "sessions/2026/11/28/../../../../auth.json",
        "../rollout-x.jsonl",
        "/etc/rollout-x.jsonl",
        "sessions/2026/11/28/x.jsonl",
        "sessions/2026/11/28/rollout-a/b.jsonl",
        "sessions\\2026\\11\\28\\rollout-a.jsonl",
        "config.toml",
      ]
    ) {
      const error = await evil((line) => line === file ? `#file ${JSON.stringify(path)}` : line);
      assert.match(String(error), /not below codex's sessions/, path);
    }
    assert.match(
      String(await evil((line) => line === file ? "rubbish" : line)),
      /none of a thread's/,
    );
    assert.match(
      String(await evil((line) => line === file ? '#turn "x"' : line)),
      /lines of no file/,
    );

    // Another thread's file stays as it is.
    const other = await client.startSession({ cwd: b.cwd });
    await other.ask("mine");
    const { path } = await client.readThread(other.threadId);
    const before = readFileSync(path!, "utf8");
    const name = path!.slice(path!.indexOf("sessions/"));
    await evil((line) => line === file ? `#file ${JSON.stringify(name)}` : line);
    assert.equal(readFileSync(path!, "utf8"), before);
    await other.close();

    const elsewhere = join(b.cwd, "elsewhere");
    mkdirSync(elsewhere);
    renameSync(join(home(b), "sessions"), join(home(b), "moved"));
    symlinkSync(elsewhere, join(home(b), "sessions"));
    const linked = await rejection(client.resumeSession(id, { cwd: b.cwd, store: good }));
    assert.match(String(linked), /is a link or leads through one/);

    for (const config of [{ cwd: b.cwd, store: good, ephemeral: true }]) {
      assert.ok(await rejection(client.startSession(config)) instanceof InvalidArgumentError);
    }
  }));
