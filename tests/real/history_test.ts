/** Finding what was said: pages of turns and items, words, names and deletions, on the real codex. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  CheckpointError,
  ConnectionClosedError,
  InvalidArgumentError,
  RpcError,
  ThreadInUseError,
  UnsupportedError,
} from "../../src/errors/mod.ts";
import { script } from "../../src/testing/mod.ts";
import { signalProcess } from "../../src/platform/mod.ts";
import { codexes, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection } from "./_session_world.ts";

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of list) found.push(each);
  return found;
}

for (const version of codexes("0.169.0", "0.145.0", "0.104.0")) {
  const whole = version === "0.104.0";

  test(`threads are paged, searched, named, deleted and resumed where they were [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd });
      const id = session.threadId;
      const asked = [
        await session.ask("I like ä😀 pears and Pears"),
        await session.ask(world.prompt([[script.exec("echo melon")], "two apples"], "Run")),
        await session.ask("three"),
      ].map(({ turnId }) => turnId);

      // Turns and items, in both directions and page sizes.
      const turns = await all(client.turns(id));
      assert.deepEqual(turns.map(({ turnId }) => turnId), asked);
      assert.deepEqual(turns, (await client.readThread(id, { includeTurns: true })).turns);
      for (const pageSize of [1, 2, 3, 50]) {
        const back = await all(client.turns(id, { newestFirst: true, pageSize }));
        assert.deepEqual(back.toReversed(), turns, `pages of ${pageSize}`);
        const items = await all(client.items(id, { pageSize }));
        const expected = turns.flatMap(({ turnId, items }) =>
          items.map((item) => ({ turnId, item }))
        );
        assert.deepEqual(items, expected, `pages of ${pageSize}`);
        assert.deepEqual(
          (await all(client.items(id, { newestFirst: true, pageSize }))).toReversed(),
          expected,
        );
      }
      const ofSecond = await all(client.items(id, { turnId: asked[1]! }));
      assert.ok(ofSecond.length >= 2 && ofSecond.every(({ turnId }) => turnId === asked[1]));

      // One page at a time, and no page that nobody waits for.
      const sent = client.runtime.metrics().messagesOut;
      for await (const _ of client.turns(id, { pageSize: 1 })) break;
      assert.ok(client.runtime.metrics().messagesOut - sent <= 2);

      // Words.
      const hits = await all(client.findInThread(id, "PEARS"));
      assert.deepEqual(
        hits.map(({ snippet, start, end, turnId }) => [snippet.slice(start, end), turnId]),
        ["pears", "Pears", "pears", "Pears"].map((word) => [word, asked[0]]),
      );
      assert.ok(hits.every(({ itemId }) => turns[0]!.items.some((item) => item.id === itemId)));
      assert.deepEqual(await all(client.findInThread(id, "quinces")), []);
      for (const words of ["%", "\ud83d", ".*", "(", "x".repeat(20_000)]) {
        assert.deepEqual(await all(client.findInThread(id, words)), [], words.slice(0, 9));
      }
      for (const none of ["", " ", "\n\t"]) {
        assert.throws(() => client.searchThreads(none), InvalidArgumentError);
        assert.throws(() => client.findInThread(id, none), InvalidArgumentError);
      }
      const elsewhere = join(world.cwd, "..", "other");
      await mkdir(elsewhere);
      const other = await client.startSession({ cwd: elsewhere });
      await other.ask("Pears here as well");
      const found = async (options = {}) =>
        (await all(client.searchThreads("pears", options))).map(({ thread }) => thread.threadId);
      assert.deepEqual((await found()).sort(), [id, other.threadId].sort());
      assert.deepEqual(await found({ cwd: world.cwd }), [id]);
      assert.equal((await found({ limit: 1 })).length, 1);
      const [hit] = await all(client.searchThreads("apples"));
      assert.match(hit!.snippet!, /two apples/);
      assert.deepEqual(await all(client.searchThreads("quinces")), []);
      // Threads of one second, on both sides of the end of a page.
      const plums: string[] = [];
      for (let i = 0; i < 4; i++) {
        const each = await client.startSession({ cwd: world.cwd });
        await each.ask("plums");
        plums.push(each.threadId);
      }
      const told = (await all(client.searchThreads("plums"))).map(({ thread }) => thread.threadId);
      assert.deepEqual(told.sort(), plums.sort());
      for (const sortKey of ["created_at", "updated_at"] as const) {
        for (const pageSize of [1, 2, 3]) {
          const listed = (await all(client.threads({ pageSize, sortKey })))
            .map(({ threadId }) => threadId).filter((each) => plums.includes(each));
          assert.deepEqual(listed.sort(), plums, `pages of ${pageSize} by ${sortKey}`);
        }
      }

      // Names, and a thread that is open.
      await client.renameThread(id, "Fruit");
      if (!whole) assert.equal((await client.readThread(id)).name, "Fruit");
      assert.ok(await rejection(client.renameThread(id, "")) instanceof InvalidArgumentError);
      await session.release();
      const resumed = await client.resumeSession(id);
      assert.equal(resumed.cwd, world.cwd);
      assert.ok(await rejection(client.resumeSession(id)) instanceof ThreadInUseError);
      assert.equal((await resumed.ask("more")).assistantText, "You said: more");
      const refused = await rejection(client.deleteThread(id));
      if (version < "0.145.0") {
        assert.ok(refused instanceof UnsupportedError);
        assert.equal(refused.since, "0.145.0");
      } else {
        assert.ok(refused instanceof ThreadInUseError);
        // Up to 0.145 another process may do as it likes.
        if (version === "0.169.0") {
          const other = await world.connect();
          for (const call of [other.archiveThread(id), other.deleteThread(id)]) {
            assert.ok(await rejection(call) instanceof ThreadInUseError);
          }
          await other.shutdown();
        }
        const { path } = await client.readThread(id);
        await resumed.release();
        const reading = client.turns(id, { pageSize: 1 })[Symbol.asyncIterator]();
        await reading.next();
        await client.deleteThread(id);
        const rest = (async () => {
          while ((await reading.next()).done !== true);
        })();
        assert.ok(await rejection(rest) instanceof RpcError, "deleted in the middle of paging");
        assert.equal(existsSync(path!), false);
        assert.ok(await rejection(client.readThread(id)) instanceof RpcError);
        assert.ok(await rejection(client.resumeSession(id)) instanceof RpcError);
      }

      // The server dies in the middle.
      const reader = client.turns(other.threadId)[Symbol.asyncIterator]();
      await reader.next();
      signalProcess(client.runtime.pid!, "SIGKILL");
      assert.ok(
        await rejection(all(client.turns(other.threadId))) instanceof ConnectionClosedError,
      );
      await reader.return!();
    }));
}

test("a thread that an older codex began is read by a newer one", () =>
  inWorld("0.169.0", async (world) => {
    const older = await world.connect({ codexPath: await codexPath("0.104.0") });
    const first = await older.startSession({ cwd: world.cwd });
    const id = first.threadId;
    const asked = [(await first.ask("I like pears")).turnId, (await first.ask("two")).turnId];
    await older.shutdown();
    // As one that `codex exec` has begun, or the Codex SDK, which codex lists when it is asked for them.
    const sessions = join(world.config().env!.set!["CODEX_HOME"]!, "sessions");
    const file = readdirSync(sessions, { recursive: true }).find((name) => `${name}`.includes(id));
    const path = join(sessions, String(file));
    writeFileSync(path, readFileSync(path, "utf8").replace('"source":"vscode"', '"source":"exec"'));

    const client = await world.connect();
    const [listed] = await all(client.threads());
    assert.equal(listed?.threadId, id);
    const turns = await all(client.turns(id, { pageSize: 1 }));
    assert.deepEqual(turns.map(({ turnId }) => turnId), asked);
    assert.deepEqual(turns, (await client.readThread(id, { includeTurns: true })).turns);
    assert.deepEqual((await all(client.turns(id, { newestFirst: true }))).toReversed(), turns);
    const items = await all(client.items(id));
    assert.deepEqual(
      items,
      turns.flatMap(({ turnId, items }) => items.map((item) => ({ turnId, item }))),
    );
    assert.deepEqual(
      await all(client.items(id, { turnId: asked[1]!, newestFirst: true })),
      items.slice(2).toReversed(),
    );
    const hits = await all(client.findInThread(id, "PEARS"));
    assert.deepEqual(hits.map(({ turnId }) => turnId), [asked[0], asked[0]]);
    const [hit] = await all(client.searchThreads("pears"));
    assert.equal(hit!.thread.threadId, id);

    // Codex takes nothing back on such a thread; a copy may end before the turn, the files can be taken back.
    const session = await client.resumeSession(id, {
      cwd: world.cwd,
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
      checkpoints: true,
    });
    const write = [script.exec("printf 1 > a.txt")];
    const { turnId: before } = await session.ask(world.prompt([write, "done"]));
    for (const dryRun of [true, false]) {
      const refused = await rejection(session.rewind({ before, dryRun }));
      assert.ok(refused instanceof CheckpointError, String(refused));
      assert.equal(refused.data?.["reason"], "legacyThread");
    }
    assert.ok(existsSync(join(world.cwd, "a.txt")), "nothing was changed");
    await session.rewind({ before, conversation: false });
    assert.ok(!existsSync(join(world.cwd, "a.txt")));
    const fork = await session.fork({ before });
    await fork.ask("in the copy");
    assert.deepEqual(
      world.model.requests.at(-1)!.userTexts.filter((text) => /^(?:I|two|Do|in)\b/.test(text)),
      ["I like pears", "two", "in the copy"],
    );
  }));

for (const version of codexes("0.145.0", "0.128.0", "0.104.0")) {
  test(`an older codex goes on with a thread, or leaves it to the newer one [${version}]`, () =>
    inWorld("0.169.0", async (world) => {
      const begun = await (await world.connect()).startSession({ cwd: world.cwd });
      const { threadId } = begun;
      await begun.ask("say one");
      await begun.release();
      const older = await world.connect({ codexPath: await codexPath(version) });
      // It goes on without the numbers that the newer one gives each line, which reads the thread no more then.
      const going = older.resumeSession(threadId, { cwd: world.cwd });
      if (version === "0.145.0") await (await going).ask("say two");
      else {
        const refused = await rejection(going);
        assert.ok(refused instanceof UnsupportedError, String(refused));
        assert.equal(refused.since, "0.152.1");
      }
      await older.shutdown();
      const again = await world.connect();
      await (await again.resumeSession(threadId, { cwd: world.cwd })).ask("say three");
      assert.deepEqual(
        world.model.requests.at(-1)!.userTexts.filter((text) => /^say/.test(text)),
        ["say one", ...version === "0.145.0" ? ["say two"] : [], "say three"],
      );
    }));
}

for (const version of codexes("0.169.0", "0.125.0", "0.104.0")) {
  const whole = version === "0.104.0";

  test(`no message holds a long history [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect({ maxMessageBytes: 1 << 20 });
      const session = await client.startSession({ cwd: world.cwd });
      const long = "x".repeat(200_000);
      for (let n = 0; n < 8; n++) await session.ask(world.prompt([`${long}${n}`]));
      const { path } = await client.readThread(session.threadId);
      if (whole) {
        const pad = { type: "event_msg", payload: { type: "agent_message", message: long } };
        const line = `${JSON.stringify({ timestamp: new Date().toISOString(), ...pad })}\n`;
        for (let n = 0; n < 85; n++) appendFileSync(path!, line);
        const sent = client.runtime.metrics().messagesOut;
        const error = await rejection(all(client.turns(session.threadId)));
        assert.ok(error instanceof UnsupportedError);
        assert.match(error.message, /bytes, which this codex can only send whole/);
        assert.equal(client.runtime.metrics().messagesOut - sent, 1);
        // One that can't be read keeps nobody from the others, and is not passed over in silence.
        const older = await client.startSession({ cwd: world.cwd });
        await older.ask("a needle");
        const found: string[] = [];
        const incomplete = await rejection((async () => {
          for await (const { thread } of client.searchThreads("needle")) {
            found.push(thread.threadId);
          }
        })());
        assert.ok(incomplete instanceof UnsupportedError);
        assert.deepEqual(found, [older.threadId]);
        return;
      }
      const turns = await all(client.turns(session.threadId));
      assert.deepEqual(
        turns.map(({ items }) =>
          items.some((i) => i.type === "agentMessage" && i.text.length > 2e5)
        ),
        Array(8).fill(true),
      );
    }));
}
