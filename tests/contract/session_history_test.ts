/** What a session asks of codex where a conversation is taken back, or a copy of it is cut. */
import assert from "node:assert/strict";
import { UnsupportedError } from "../../src/errors/mod.ts";
import type { Message } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { onFake, rejection } from "./session_world.ts";

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
