/** What a session asks of codex, and has written down, where a conversation is taken back or a copy of it is cut. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { UnsupportedError } from "../../src/errors/mod.ts";
import { CheckpointStore } from "../../src/session/history/rewind/checkpoint_store.ts";
import { type FakeServer, type Message, recordedResult } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { onFake, rejection, startTurn } from "./session_world.ts";

test("an old codex is asked to take off no turns that it counts otherwise", async () => {
  const turns: Message[] = [];
  const methods = {
    "thread/read": ({ threadId }: Message) => ({ thread: { id: threadId, turns } }),
    "thread/rollback": ({ threadId }: Message) => ({ thread: { id: threadId, turns: [] } }),
  };
  await onFake({ server: { dialect: "0.104", methods } }, async ({ session, server }) => {
    const { turnId } = await session.ask("one");
    const item = { type: "userMessage", id: "i", content: [{ type: "text", text: "one" }] };
    turns.push({ id: turnId, status: "completed", items: [item, item] });
    const back = () => session.rewind({ before: turnId, files: false });
    assert.ok(await rejection(back()) instanceof UnsupportedError);
    assert.equal(server().received.some(({ method }) => method === "thread/rollback"), false);
    turns[0]!.items.pop();
    assert.deepEqual((await back()).turns, [turnId]);
    const asked = server().received.findLast(({ method }) => method === "thread/rollback");
    assert.equal(asked?.params.numTurns, 1);
    // It has no scripts that could go on.
    const before = server().received.length;
    await session.ask("two");
    const then = server().received.slice(before).map(({ method }) => method);
    assert.ok(!then.includes("thread/resume"));
  });
});

test("scripts of a turn that was taken back end before the next one, whatever was taken back", async () => {
  const methods = {
    "thread/read": ({ threadId }: Message) => ({ thread: { id: threadId, turns: [] } }),
    "thread/turns/list": () => ({ data: turns.map((id) => ({ id })), nextCursor: null }),
    "thread/revert": () => ({}),
  };
  const turns: string[] = [];
  await onFake({ server: { methods } }, async ({ session, server }) => {
    const { turnId } = await session.ask("one");
    turns.push(turnId);
    await session.rewind({ before: turnId, files: false, dryRun: true });
    const sent = async () => {
      const before = server().received.length;
      await session.ask("more");
      return server().received.slice(before).map(({ method }) => method)
        .filter((method) => /^(?:turn.start|thread.(?:unsubscribe|resume))$/.test(method));
    };
    assert.deepEqual(await sent(), ["turn/start"]);
    await session.rewind({ before: turnId, files: false });
    assert.deepEqual(await sent(), ["thread/unsubscribe", "thread/resume", "turn/start"]);
    assert.deepEqual(await sent(), ["turn/start"]);
  });
});

test("instructions that a thread was told later are told again where a rewind or a cut copy may have lost them", async () => {
  const turns: string[] = [];
  const methods = {
    "thread/read": ({ threadId }: Message) => ({ thread: { id: threadId, turns: [] } }),
    "thread/turns/list": () => ({ data: turns.map((id) => ({ id })), nextCursor: null }),
    "thread/revert": () => ({}),
    "thread/inject_items": () => ({}),
  };
  await onFake({ server: { methods } }, async ({ client, session, server, cwd }) => {
    const { turnId } = await session.ask("one");
    await session.release();
    const told = () =>
      server().received.filter(({ method }) => method === "thread/inject_items")
        .map(({ params }) => [params.threadId, params.items[0].content[0].text]);
    const config = { cwd, developerInstructions: "Be brief." };
    const back = await client.resumeSession(session.threadId, config);
    const again = [back.threadId, "Be brief."];
    assert.deepEqual(told(), [again]);
    await client.forkSession(back.threadId, config);
    assert.deepEqual(told(), [again], "a whole copy has them");
    const cut = await client.forkSession(back.threadId, { ...config, after: turnId });
    assert.deepEqual(told(), [again, [cut.threadId, "Be brief."]]);
    turns.push(turnId);
    await back.rewind({ before: turnId, files: false });
    assert.deepEqual(told().slice(2), [again]);
  });
});

for (const how of ["close", "shutdown"] as const) {
  test(`a ${how}() ends when what turns began with is written down`, () => writtenDown(how));
}

async function writtenDown(how: "close" | "shutdown"): Promise<void> {
  await using directory = await tempDir("closed-");
  const [cwd, codexHome] = [join(directory.path, "workspace"), join(directory.path, "home")];
  for (const path of [cwd, codexHome]) await mkdir(path);
  const store = await CheckpointStore.open(CheckpointStore.home(codexHome), cwd);
  let unlock = () => Promise.resolve();
  const methods = {
    initialize: ({ clientInfo }: Message) => {
      const hello = recordedResult("0.169", "basic", "initialize");
      return { ...hello, userAgent: `${clientInfo.name}/0.169.0 (x)`, codexHome };
    },
    // Another process is at the checkpoints of the workspace until the end.
    "turn/start": async (params: Message, server: FakeServer) => {
      unlock = await store.lock(undefined);
      const { turn, answer } = startTurn(server, params);
      setTimeout(() => {
        turn.started();
        turn.say("ok");
        turn.complete();
      });
      return answer;
    },
  };
  await onFake({ server: { methods } }, async ({ client, server }) => {
    const session = await client.startSession({
      ...{ cwd, checkpoints: true, allowPrivilegedEscalation: true },
      sandbox: { type: "workspaceWrite", excludeSlashTmp: true, excludeTmpdirEnvVar: true },
    });
    const { turnId } = await session.ask("one");
    const ended = how === "close" ? session.close() : client.shutdown();
    if (how === "close") await server().waitForMethod("thread/archive");
    await unlock();
    await ended;
    assert.deepEqual((await store.turns()).map((turn) => turn.turnId), [turnId]);
  });
}
