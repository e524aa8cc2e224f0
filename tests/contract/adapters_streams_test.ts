/** A running prompt as the AI SDK's UI chunks and as AG-UI's events, read by those packages themselves. */
import assert from "node:assert/strict";
import { type AgUiEvent, toEvents } from "../../src/adapters/ag_ui/namespace.ts";
import { TurnParts, UIChunks } from "../../src/adapters/ai_sdk/mod.ts";
import { toUIMessageStream } from "../../src/adapters/ai_sdk/namespace.ts";
import type { UIChunk } from "../../src/adapters/ai_sdk/namespace.ts";
import { InvalidArgumentError } from "../../src/errors/mod.ts";
import type { ThreadItem } from "../../src/thread_item.ts";
import type { Dialect, FakeTurn } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { agUiSchemas, aiPackage } from "../_packages.ts";
import { dialects, type FakeWorld, onFake } from "./session_world.ts";

async function everything(turn: FakeTurn): Promise<void> {
  turn.reason("Hm.");
  turn.say("Let me look. ", { phase: "commentary" });
  await turn.command("cat a.txt", "alpha\n");
  turn.usage({ inputTokens: 10, outputTokens: 3, totalTokens: 13 });
  turn.say("It says alpha.", { deltas: ["It says ", "alpha."] });
  turn.complete();
}

function world(
  dialect: Dialect,
  onTurn: (turn: FakeTurn) => void | Promise<void>,
  act: (world: FakeWorld) => Promise<void>,
): Promise<void> {
  const approvals = () => ({ decision: "accept" as const });
  return onFake({ server: { dialect, onTurn }, client: { approvals } }, act);
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of stream) all.push(each);
  return all;
}

dialects("the AI SDK reads toUIMessageStream()", async (dialect) => {
  const { readUIMessageStream } = await aiPackage();
  await world(dialect, everything, async ({ session }) => {
    const stream = await session.askStream("x");
    let message: { id: string; metadata?: unknown; parts: { type: string }[] } | null = null;
    for await (const each of readUIMessageStream({ stream: toUIMessageStream(stream) })) {
      message = each;
    }
    assert.equal(message?.id, stream.turnId);
    const kinds = message.parts.map(({ type }) => type);
    assert.deepEqual(kinds, ["step-start", "reasoning", "text", "dynamic-tool", "text"]);
    assert.match(
      JSON.stringify(message.parts[3]),
      /output-available.*alpha|alpha.*output-available/,
    );
    assert.match(JSON.stringify(message.parts[4]), /"It says alpha\."/);
    assert.match(JSON.stringify(message.metadata), /"totalTokens":13/);
  });
});

dialects("AG-UI's client reads toEvents()", async (dialect) => {
  const { EventSchemas } = await agUiSchemas();
  await world(dialect, everything, async ({ session }) => {
    const stream = await session.askStream("x");
    const events = await collect(toEvents(stream, { threadId: "page", runId: "run-1" }));
    for (const event of events) EventSchemas.parse(event);
    const last = events.at(-1)!;
    assert.equal(last.type, "RUN_FINISHED");
    assert.match(JSON.stringify(events[0]), /"threadId":"page","runId":"run-1"/);
    assert.match(JSON.stringify(events[0]), /"protocolVersion":"1\.0"/);
    const text = events.map((event) => event.type === "TEXT_MESSAGE_CONTENT" ? event.delta : "");
    assert.equal(text.join(""), "Let me look. It says alpha.");
    const open = new Set<string>();
    for (const event of events as (AgUiEvent & { messageId?: string })[]) {
      const [, kind, step] = /^(TEXT_MESSAGE|REASONING_MESSAGE)_(START|END)$/.exec(event.type) ??
        [];
      const key = `${kind} ${event.messageId}`;
      if (step === "START") open.add(key);
      else if (step === "END") assert.ok(open.delete(key), key);
    }
    assert.deepEqual([...open], []);
  });
});

test("a prompt that is tried again is said once, and the tokens of all its turns are told", async () => {
  let tries = 0;
  const onTurn = (turn: FakeTurn) => {
    tries++;
    turn.usage({ inputTokens: 10 * tries, outputTokens: 0, totalTokens: 10 * tries });
    if (tries % 2 === 1) return turn.fail("busy", "serverOverloaded");
    turn.say("Here.");
    turn.complete();
  };
  await world("0.169", onTurn, async ({ session }) => {
    for (const told of [toUIMessageStream, toEvents]) {
      const stream = await session.askStream("x", { retry: { baseDelayMs: 0 } });
      const all = await collect<UIChunk | AgUiEvent>(told(stream));
      const { usage } = await stream.finish();
      assert.equal(usage!.totalTokens, 20);
      assert.ok(!all.some(({ type }) => type === "steering-message"));
      assert.match(JSON.stringify(all.at(-1)), /"totalTokens":20\b/);
    }
  });
});

test("a message whose question codex did not live to hear the answer of is one of the AI SDK's", async () => {
  const { readUIMessageStream, validateUIMessages } = await aiPackage();
  const asked = async (turn: FakeTurn) => void await turn.command("ls", "", { ask: true });
  let crash = () => {};
  const approvals = () => {
    crash();
    return new Promise<never>(() => {});
  };
  const options = { server: { dialect: "0.169" as const, onTurn: asked }, client: { approvals } };
  await onFake(options, async ({ session, server }) => {
    crash = () => server().crash();
    const messages: unknown[] = [];
    const stream = toUIMessageStream(await session.askStream("x"));
    for await (const each of readUIMessageStream({ stream })) messages.splice(0, 1, each);
    const [message] = await validateUIMessages({ messages });
    assert.match(JSON.stringify(message!.parts), /"output-denied".*"approved":false/);
  });
});

test("what was declined before a page came back is part of one of the AI SDK's messages", async () => {
  const { readUIMessageStream, validateUIMessages } = await aiPackage();
  const item = { type: "commandExecution", id: "c", command: "ls", cwd: "/w", status: "declined" };
  const reader = new TurnParts("t", "u");
  const teller = new UIChunks("u", {});
  const parts = [...reader.seed(item as unknown as ThreadItem), ...reader.end()];
  const chunks = [...teller.start(), ...parts.flatMap((part) => teller.take(part))];
  const stream = ReadableStream.from(chunks.filter(({ type }) => type !== "error"));
  const messages: unknown[] = [];
  for await (const each of readUIMessageStream({ stream })) messages.splice(0, 1, each);
  const [message] = await validateUIMessages({ messages });
  assert.match(JSON.stringify(message!.parts), /"output-denied".*"approved":false/);
});

const ENDS: Record<string, (turn: FakeTurn) => void> = {
  fails: (turn) => {
    turn.say("Half", { open: true });
    turn.fail("boom", "serverOverloaded");
  },
  "is interrupted": (turn) => {
    turn.say("Half", { open: true });
    turn.interrupted();
  },
  "says nothing": (turn) => turn.complete(),
};

for (const [name, onTurn] of Object.entries(ENDS)) {
  test(`a turn that ${name} ends both streams in order`, async () => {
    const { EventSchemas } = await agUiSchemas();
    await world("0.169", onTurn, async ({ session }) => {
      const chunks = await collect<UIChunk>(toUIMessageStream(await session.askStream("x")));
      const events = await collect(toEvents(await session.askStream("x")));
      const started = chunks.filter(({ type }) => type === "text-start").length;
      assert.equal(chunks.filter(({ type }) => type === "text-end").length, started);
      const [chunk, event] = [chunks.at(-1)!, EventSchemas.parse(events.at(-1))];
      if (name === "is interrupted") {
        assert.match(JSON.stringify(chunk), /"finishReason":"interrupted"/);
        assert.match(JSON.stringify(event), /RUN_FINISHED.*cancelled/);
      } else {
        assert.equal(chunk.type, "error");
        assert.equal(event.type, "RUN_ERROR");
        assert.doesNotMatch(JSON.stringify([chunk, event]), /undefined|\[object/);
      }
    });
  });
}

test("a turn that its limits stop has failed in both streams, and was not given up", async () => {
  const onTurn = (turn: FakeTurn) => {
    turn.say("Half", { open: true });
    turn.usage({
      inputTokens: 50,
      cachedInputTokens: 0,
      outputTokens: 9,
      reasoningOutputTokens: 0,
      totalTokens: 59,
    });
  };
  const limits = { tokens: 5 };
  await world("0.169", onTurn, async ({ session }) => {
    const stream = toUIMessageStream(await session.askStream("x", { limits }));
    const [finish, error] = (await collect<UIChunk>(stream)).slice(-2);
    assert.match(JSON.stringify(finish), /"finishReason":"error"/);
    assert.match(JSON.stringify(error), /"type":"error","errorText":"[^"]*limits\.tokens/);
  });
  await world("0.169", onTurn, async ({ session }) => {
    const end = (await collect(toEvents(await session.askStream("x", { limits })))).at(-1);
    assert.match(JSON.stringify(end), /RUN_ERROR.*limits\.tokens.*"code":"budgetExceeded"/);
  });
});

test("leaving either stream stops the turn, also while nothing comes", async () => {
  const held = (turn: FakeTurn) => turn.say("Half", { open: true });
  await world("0.169", held, async ({ session, server }) => {
    const reader = toUIMessageStream(await session.askStream("x")).getReader();
    while ((await reader.read()).value?.type !== "text-delta");
    await reader.cancel();
    const events = toEvents(await session.askStream("x"));
    while ((await events.next()).value?.type !== "TEXT_MESSAGE_CONTENT");
    const waiting = events.next();
    await events.return!();
    assert.equal((await waiting).done, true);
    const interrupts = server().received.filter(({ method }) => method === "turn/interrupt");
    assert.equal(interrupts.length, 2);
  });
});

test("events that are asked for at once come in order, and none is lost", async () => {
  await world("0.169", everything, async ({ session }) => {
    const events = toEvents(await session.askStream("x"));
    const all = await Promise.all(Array.from({ length: 40 }, () => events.next()));
    const told = all.map(({ value }) => value as AgUiEvent | undefined);
    const text = told.map((each) => each?.type === "TEXT_MESSAGE_CONTENT" ? each.delta : "");
    assert.equal(text.join(""), "Let me look. It says alpha.");
    assert.equal(told.filter((each) => each?.type === "TEXT_MESSAGE_END").length, 2);
    assert.equal(told.findLast((each) => each !== undefined)?.type, "RUN_FINISHED");
    assert.equal(all.at(-1)!.done, true);
  });
});

test("what is no running prompt is refused", () => {
  for (
    const stream of [null, undefined, {}, { threadId: "x" }, "text", (async function* () {})()]
  ) {
    assert.throws(() => toUIMessageStream(stream as never), InvalidArgumentError);
    assert.throws(() => toEvents(stream as never), InvalidArgumentError);
  }
});
