/** Who has a thread: it is one session's at a time, also while another one leaves it, was given up, or has failed. */
import assert from "node:assert/strict";
import { RequestTimeoutError, ThreadInUseError } from "../../src/errors/mod.ts";
import { plainSettings } from "../../src/json.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import type { RuntimeConfig } from "../../src/runtime/config.ts";
import type { Client } from "../../src/session/client/client.ts";
import { MemoryThreadStore } from "../../src/session/history/file_thread_store.ts";
import { CODEX_VERSIONS, codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { type LinkMessage, lossyLink } from "../_lossy_link.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "./_session_world.ts";

async function loaded(client: Client): Promise<string[]> {
  return (await client.runtime.request("thread/loaded/list", {}) as { data: string[] }).data;
}

/**
 * A client that hears codex's answers to a method late: when `deliver` is called. `late` settles when one is held back; `null`: no
 * others are.
 */
async function hearsLate(
  world: World,
  config: Partial<RuntimeConfig>,
): Promise<
  { client: Client; late: (method: string | null) => Promise<void>; deliver: () => void }
> {
  let held: string | null = null;
  let isHeld = () => {};
  const ids = new Set<unknown>();
  const answers: LinkMessage[] = [];
  const { codexPath, env, configOverrides } = world.config();
  const open = lossyLink(
    codexTransport({
      codexPath: codexPath!,
      env: env!,
      configOverrides: plainSettings(configOverrides),
    }),
    (message, direction) => {
      if (direction === "out" && message.method === held) ids.add(message.id);
      const holds = direction === "in" && message.method === undefined && ids.delete(message.id);
      if (holds) answers.push(message);
      if (holds) isHeld();
      return holds;
    },
  );
  let say = (_: Uint8Array) => {};
  const client = await world.connect({
    transport: {
      type: "custom",
      open: async (options) => {
        const link = await open(options);
        return Object.create(link, {
          start: {
            value: (sink: Parameters<typeof link.start>[0]) => {
              say = (bytes) => sink.bytes(bytes);
              return link.start(sink);
            },
          },
        });
      },
    },
    ...config,
  });
  return {
    client,
    late: (method) => {
      held = method;
      return new Promise((resolve) => isHeld = resolve);
    },
    deliver: () => {
      for (const answer of answers.splice(0)) {
        say(new TextEncoder().encode(`${JSON.stringify(answer)}\n`));
      }
    },
  };
}

for (const version of CODEX_VERSIONS) {
  test(`a thread that is resumed while another session leaves it is heard of [${version}]`, () =>
    inWorld(version, async (world) => {
      let stop = new AbortController();
      const client = await world.connect({
        eventLog: {
          write: ({ direction, method }) => {
            if (direction === "outbound" && method === "thread/resume") stop.abort(new Error("no"));
          },
        },
      });
      const { cwd } = world;
      const first = await client.startSession({ cwd });
      const { threadId } = first;
      await first.ask("hello");
      void first.release();
      const second = await client.resumeSession(threadId, { cwd });
      const asked = second.ask("second");
      assert.equal((await within(SOON_MS, "the answer", asked)).assistantText, "You said: second");
      await second.release();
      // Given up when codex has been asked for it.
      stop = new AbortController();
      await rejection(client.resumeSession(threadId, { cwd, signal: stop.signal }));
      const [third, beside] = await Promise.all([
        client.resumeSession(threadId, { cwd }),
        rejection(client.resumeSession(threadId, { cwd })),
      ]);
      assert.ok(beside instanceof ThreadInUseError);
      const again = third.ask("third");
      assert.equal((await within(SOON_MS, "the answer", again)).assistantText, "You said: third");
    }));

  test(`a thread that codex opens after the call's time does not stay [${version}]`, () =>
    inWorld(version, async (world) => {
      const { client, late, deliver } = await hearsLate(world, { requestTimeoutMs: 2_000 });
      const { cwd } = world;
      const session = await client.startSession({ cwd });
      await session.ask("hello");
      const { threadId } = session;
      const gone = async (before: string[]) => {
        const isGone = async () => (await loaded(client)).every((id) => before.includes(id));
        for (let tries = SOON_MS / 50; !await isGone(); tries--) {
          assert.ok(tries > 0, "a thread was left");
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      };
      // Codex 0.104 keeps a thread that was never used.
      for (const method of ["thread/fork", ...(version === "0.104.0" ? [] : ["thread/start"])]) {
        const before = await loaded(client);
        late(method);
        const opened = method === "thread/start" ? client.startSession({ cwd }) : session.fork();
        assert.ok(await rejection(opened) instanceof RequestTimeoutError);
        late(null);
        deliver();
        await gone(before);
      }
      await session.release();
      late("thread/resume");
      const resumed = () => client.resumeSession(threadId, { cwd });
      assert.ok(await rejection(resumed()) instanceof RequestTimeoutError);
      late(null);
      const now = await resumed();
      // Whoever has the thread by now keeps it.
      deliver();
      const asked = now.ask("there?");
      assert.equal((await within(SOON_MS, "the answer", asked)).assistantText, "You said: there?");
      await now.release();
      late("thread/resume");
      assert.ok(await rejection(resumed()) instanceof RequestTimeoutError);
      const asking = late("thread/resume");
      const soon = resumed();
      await asking;
      late(null);
      deliver();
      const said = (await soon).ask("still?");
      assert.equal((await within(SOON_MS, "the answer", said)).assistantText, "You said: still?");
      await (await soon).release();
      late("thread/resume");
      assert.ok(await rejection(resumed()) instanceof RequestTimeoutError);
      late(null);
      deliver();
      // Codex 0.104 keeps what nobody has.
      if (version !== "0.104.0") await gone([]);
    }));

  test(`a thread that is closed while a prompt's hook is asked is resumed for the turn [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd });
      await session.ask("hello");
      const { threadId } = session;
      const call = async () => {
        await client.archiveThread(threadId);
        await client.unarchiveThread(threadId);
        return { type: "continue" as const };
      };
      const hooks = { pre: [{ name: "slow", phases: ["preTurn" as const], call }] };
      assert.equal((await session.ask("on", { hooks })).assistantText, "You said: on");
    }));

  test(`a thread that is asked for twice at once is taken from its store one after the other [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const kept = new MemoryThreadStore();
      let [loading, most, loads] = [0, 0, 0];
      const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const store = {
        load: async (threadId: string) => {
          most = Math.max(most, ++loading);
          loads++;
          begun.resolve();
          await gate.promise;
          await new Promise((resolve) => setTimeout(resolve, 20));
          loading--;
          return await kept.load(threadId);
        },
        append: (...what: Parameters<typeof kept.append>) => kept.append(...what),
      };
      const { cwd } = world;
      const first = await client.startSession({ cwd, store });
      const { threadId } = first;
      await first.ask("hello");
      await first.release();
      const stop = new AbortController();
      const { signal } = stop;
      const given = [1, 2].map(() =>
        rejection(client.resumeSession(threadId, { cwd, store, signal }))
      );
      await begun.promise;
      const [next, beside] = [
        client.resumeSession(threadId, { cwd, store }),
        rejection(client.resumeSession(threadId, { cwd, store })),
      ];
      // Whoever gives up does not wait until the files are in place; whoever comes next does.
      stop.abort(new Error("enough"));
      const reasons = await within(SOON_MS, "the abort", Promise.all(given));
      assert.deepEqual(reasons, [signal.reason, signal.reason]);
      gate.resolve();
      assert.equal((await (await next).ask("there?")).assistantText, "You said: there?");
      assert.ok(await beside instanceof ThreadInUseError);
      assert.equal(most, 1, "no file is replaced that a session's codex writes to");
      assert.equal(loads, 3, "nothing is put in place for who has given up before");
      await (await next).release();
    }));

  test(`the end of a session that has failed leaves its thread to the next one [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const kept = new MemoryThreadStore();
      let fails: unknown = null;
      let then = () => {};
      const store = {
        load: (threadId: string) => kept.load(threadId),
        append: async (...args: Parameters<typeof kept.append>) => {
          if (fails !== null) throw fails;
          await kept.append(...args);
          then();
        },
      };
      const { cwd } = world;
      const failed = await client.startSession({ cwd, store });
      await failed.ask("hello");
      const { threadId } = failed;
      const before = await loaded(client);
      const lose = () => fails = new ThreadInUseError(threadId);
      // What a fork has made goes where nobody gets it. Codex 0.104 does not tell the name: nothing is to be stored after it.
      const forks = version !== "0.104.0";
      if (!forks) lose();
      else {
        then = () => {
          then = () => {};
          lose();
          void failed.rename("Something to be stored");
        };
      }
      const call = forks ? failed.fork() : failed.ask("no");
      assert.ok(await rejection(call) instanceof ThreadInUseError);
      assert.equal(failed.closed, true);
      assert.deepEqual(await loaded(client), before);
      fails = null;
      const next = await client.resumeSession(threadId, { cwd, store });
      const asked = next.ask("next");
      await failed.close();
      assert.equal((await asked).assistantText, "You said: next");
      assert.equal((await next.ask("more")).assistantText, "You said: more");
      await next.release();
      assert.equal((await client.readThread(threadId)).threadId, threadId);
    }));
}

for (const version of codexes("0.104.0")) {
  test(`who gives up while a thread is archived and brought back is not held, and it comes back [${version}]`, () =>
    inWorld(version, async (world) => {
      const { client, late, deliver } = await hearsLate(world, {});
      const { cwd } = world;
      const session = await client.startSession({ cwd });
      await session.ask("hello");
      const { threadId } = session;
      // This codex keeps it loaded, and is made to forget it.
      await session.release();
      const archived = late("thread/archive");
      const reason = new Error("enough");
      const stop = new AbortController();
      const resumed = client.resumeSession(threadId, { cwd, signal: stop.signal });
      await archived;
      stop.abort(reason);
      assert.equal(await within(SOON_MS, "the abort", rejection(resumed)), reason);
      const again = client.resumeSession(threadId, { cwd });
      late(null);
      deliver();
      assert.equal((await (await again).ask("there?")).assistantText, "You said: there?");
    }));
}
