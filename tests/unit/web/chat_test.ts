/** What clients of other protocols ask, and streams that end before their time. */
import assert from "node:assert/strict";
import { WebError } from "../../../src/errors/mod.ts";
import { chatIdIn, checkChat, checkRun } from "../../../src/web/chat/check_chat.ts";
import { chatMessages, chatTeller, runTeller, toldTurn } from "../../../src/web/chat/told_turn.ts";
import { SessionLog } from "../../../src/web/live/session_log.ts";
import { EventSubscription } from "../../../src/web/live/subscription.ts";
import { eventStream, whileAllowed } from "../../../src/web/http/sse.ts";
import type { WebSnapshot } from "../../../src/web/types.ts";
import { test } from "../../_harness.ts";

const URL = "data:image/png;base64,AAAA";
const FILE = { type: "file", mediaType: "image/png", url: URL };

test("a conversation has a name by which it can be read again", () => {
  for (const id of ["", ".", "..", "x".repeat(257), 7]) {
    const chat = { id, messages: [{ role: "user", parts: [{ type: "text", text: "hi" }] }] };
    const run = { threadId: id, runId: ".", messages: [{ role: "user", content: "hi" }] };
    for (const check of [() => checkChat(chat), () => checkRun(run)]) {
      assert.throws(check, /conversation is named/, String(id));
    }
  }
  for (const id of [".a", "...", "a.", "x".repeat(256)]) {
    const chat = { id, messages: [{ role: "user", parts: [{ type: "text", text: "hi" }] }] };
    assert.equal(checkChat(chat).chatId, id);
  }
});

test("a chat's message is its texts and images, and nothing is taken for another", () => {
  const rows: [name: string, parts: unknown, turn: object | null][] = [
    ["a text", [{ type: "text", text: "hi" }], { text: "hi", attachments: [] }],
    ["two", [{ type: "text", text: "a" }, { type: "text", text: "b" }], {
      text: "a\n\nb",
      attachments: [],
    }],
    ["an image", [{ type: "file", url: URL }], {
      text: "See the image.",
      attachments: [{ type: "image", url: URL }],
    }],
    ["an image with a text", [{ type: "text", text: "What is it?" }, { type: "file", url: URL }], {
      text: "What is it?",
      attachments: [{ type: "image", url: URL }],
    }],
    ["a source", [{
      type: "image",
      source: { type: "data", mimeType: "image/png", value: "AAAA" },
    }], {
      text: "See the image.",
      attachments: [{ type: "image", url: URL }],
    }],
    ["AG-UI's form before 0.0.50", [{ type: "binary", mimeType: "image/png", data: "AAAA" }], {
      text: "See the image.",
      attachments: [{ type: "image", url: URL }],
    }],
    ["another file in it", [{ type: "binary", mimeType: "application/pdf", data: "AAAA" }], null],
    ["a kind that has a text too", [{ type: "reasoning", text: "hi" }], null],
    ["a text that is none", [{ type: "text", text: 7 }], null],
    ["no object", ["hi"], null],
    ["nothing", [null], null],
    ["an image elsewhere", [{ type: "image", source: { type: "url", value: "http://a" } }], null],
    ["another file", [{ type: "file", url: "data:application/pdf;base64,AAAA" }], null],
    ["an image of a loud kind", [{ type: "file", url: "data:IMAGE/png;base64,AAAA" }], {
      text: "See the image.",
      attachments: [{ type: "image", url: "data:IMAGE/png;base64,AAAA" }],
    }],
    ["no list", { type: "text", text: "hi" }, null],
  ];
  for (const [name, parts, turn] of rows) {
    const chat = { id: "c", messages: [{ role: "user", parts }] };
    const run = { threadId: "c", runId: "r", messages: [{ role: "user", content: parts }] };
    for (const check of [() => checkChat(chat), () => checkRun(run)]) {
      // Of another file it is not said that it is an image in another form.
      if (turn === null) {
        assert.throws(
          check,
          (error) => error instanceof WebError && /texts and images|no parts/.test(error.message),
          name,
        );
      } else assert.deepEqual(check().turn, turn, name);
    }
  }
});

test("a chat that is read again has the images that were sent", () => {
  const text = (text: string) => ({ type: "text", text });
  const turn = (...content: object[]) => ({
    turnId: "u",
    status: "completed",
    items: [{ type: "userMessage", id: "m", content }],
    diff: null,
    usage: null,
    error: null,
  });
  const shown = (words: string, url = URL) => {
    const turns = [turn(text(words), { type: "image", url })];
    const snapshot = { sessionId: "s", threadId: "t", runningTurnId: null, turns };
    return chatMessages(snapshot as unknown as WebSnapshot)[0]?.parts;
  };
  assert.deepEqual(shown("Look."), [text("Look."), FILE]);
  // One that was too large to be kept was cut.
  assert.deepEqual(shown("Look.", `${URL}…`), [text("Look.")]);
  // The words that the bridge puts beside an image are not the person's.
  const alone = checkChat({ id: "c", messages: [{ role: "user", parts: [FILE] }] });
  assert.deepEqual(shown(alone.turn.text), [FILE]);
  assert.deepEqual(shown(alone.turn.text, "https://app.example/a.png"), [text(alone.turn.text)]);
});

test("what a run's page tells beside the message is text, or refused: nothing is left out of it", () => {
  const run = (more: object) =>
    checkRun({ threadId: "c", runId: "r", messages: [{ role: "user", content: "hi" }], ...more });
  const context = [{ description: "The page", value: "Orders" }];
  assert.equal(run({ context }).turn.text, "The page: Orders\n\nhi");
  for (const context of [undefined, null, []]) assert.equal(run({ context }).turn.text, "hi");
  let deep: unknown = 1;
  for (let depth = 0; depth < 20_000; depth++) deep = [deep];
  const odd = ["Orders", {}, ["Orders"], [null], [{ value: "Orders" }], [{
    description: "The page",
    value: { open: "Orders" },
  }], [{ description: deep, value: deep }]];
  for (const context of odd) assert.throws(() => run({ context }), { reason: "badRequest" });
  const image = { type: "image", source: { type: "data", mimeType: "image/png", value: deep } };
  const messages = [{ role: "user", content: [image] }];
  assert.throws(() => run({ messages }), { reason: "notAllowed" });
});

test("a run that was stopped is told to clients from before AG-UI 1.0 in words that they know", () => {
  const input = { threadId: "c", runId: "r", messages: [{ role: "user", content: "hi" }] };
  const ends = [{}, { protocolVersion: "1.0" }].map((more) => {
    const { isOld } = checkRun({ ...input, ...more });
    return ["completed", "interrupted"].map((status) =>
      runTeller("c", "r", isOld).take({ type: "end", status: status as "completed", error: null })
    );
  });
  const run = { threadId: "c", runId: "r", usage: [] };
  const done = { type: "RUN_FINISHED", ...run, outcome: { type: "success" } };
  const message = "The turn was stopped.";
  assert.deepEqual(ends, [
    [[done], [{ type: "RUN_ERROR", message, code: "interrupted" }]],
    [[done], [{ type: "RUN_FINISHED", ...run, outcome: { type: "cancelled" } }]],
  ]);
});

test("a chat does not change what was asked before", () => {
  const chat = { id: "c", messages: [{ role: "user", parts: [{ type: "text", text: "hi" }] }] };
  assert.throws(() => checkChat({ ...chat, messageId: "m" }), { reason: "notAllowed" });
  assert.equal(checkChat({ ...chat, messageId: null }).turn.text, "hi");
});

test("a chat brings no tools and no metadata of its page; assistant-ui's always names both", () => {
  const chat = { id: "c", messages: [{ role: "user", parts: [{ type: "text", text: "hi" }] }] };
  assert.equal(checkChat({ ...chat, tools: {}, metadata: {} }).turn.text, "hi");
  for (const full of [{ tools: { x: {} } }, { metadata: { custom: { a: 1 } } }]) {
    assert.throws(() => checkChat({ ...chat, ...full }), { reason: "notAllowed" });
  }
});

test("a stream that breaks ends for its reader as it may be taken", async () => {
  const again = { everyMs: Infinity, patienceMs: 1, allowed: () => Promise.resolve(true) };
  for (const breaks of [true, false]) {
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("reset")),
    });
    const read = new Response(whileAllowed(broken, again, breaks)).text();
    if (breaks) await assert.rejects(read, /reset/);
    else assert.equal(await read, "");
  }
});

test("a stream that nobody reads any more is cancelled, though it never was by who answers", async () => {
  for (const early of [true, false]) {
    const left = new AbortController();
    const cancelled = Promise.withResolvers<void>();
    if (early) left.abort();
    const allowed = () => Promise.resolve(true);
    const again = { everyMs: Infinity, patienceMs: 1, allowed, signal: left.signal };
    const stream = new ReadableStream<Uint8Array>({ cancel: () => cancelled.resolve() });
    whileAllowed(stream, again, true);
    left.abort();
    await cancelled.promise;
    const log = new SessionLog({ maxEvents: 100, maxBytes: 1e6 });
    const subscription = new EventSubscription(log, null, () => {});
    eventStream(subscription, { heartbeatMs: 60_000, retryMs: 1, again });
    assert.ok(subscription.ended);
  }
});

test("a stream ends when nobody answers whether its reader is still allowed", async () => {
  let left = false;
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array([65])),
    cancel: () => void (left = true),
  });
  const again = { everyMs: 0, patienceMs: 1, allowed: () => new Promise<boolean>(() => {}) };
  assert.equal(await new Response(whileAllowed(stream, again)).text(), "");
  assert.ok(left);
});

test("a chat's stream tells what its agent's agents ask, and nothing else of theirs", async () => {
  const log = new SessionLog({ maxEvents: 100, maxBytes: 1e6 });
  const child = { threadId: "child", turnId: "child-turn" };
  const request = {
    ...{ id: "q1", type: "command", threadId: "child", turnId: "child-turn", itemId: "c" },
    ...{ command: "ls", cwd: "/", reason: null },
  };
  const delta = { type: "assistantMessageDelta", itemId: "m", delta: "THEIRS", ...child };
  const events = [
    delta,
    { type: "approvalRequested", ...child, request },
    { type: "turnCompleted", ...child, status: "completed", error: null },
    { type: "turnCompleted", threadId: "t", turnId: "turn", status: "completed", error: null },
  ];
  for (const event of events) log.append(event as never);
  const told = await new Response(toldTurn({
    ...{ threadId: "t", turnId: "turn", seed: null, end: "", heartbeatMs: 60_000 },
    subscription: new EventSubscription(log, null, () => {}),
    teller: chatTeller("s", "t", "turn"),
    onLeave: () => {},
  })).text();
  assert.match(told, /q1/);
  assert.doesNotMatch(told, /THEIRS/);
});

test("a node finds the owner of the conversation that its own route would go on with", () => {
  const body = (fields: object) => new TextEncoder().encode(JSON.stringify(fields));
  const both = body({ id: "a", threadId: "b" });
  assert.deepEqual([chatIdIn("chat", both), chatIdIn("run", both)], ["a", "b"]);
  const messages = [{ role: "user", content: "hi" }];
  assert.equal(checkRun({ id: "a", threadId: "b", runId: "r", messages }).chatId, "b");
  for (const none of [{}, { id: "" }, { id: 7 }, { id: "x".repeat(257) }, [], null]) {
    assert.equal(chatIdIn("chat", body(none as object)), null);
  }
});

test("a reader that is cut off has left: whoever can't come back has stopped the run", async () => {
  const log = new SessionLog({ maxEvents: 2, maxBytes: 1e6 });
  const base = { threadId: "t", turnId: "turn" };
  let left = 0;
  const reader = toldTurn({
    ...{ ...base, seed: null, end: "", heartbeatMs: 60_000 },
    subscription: new EventSubscription(log, null, () => {}),
    teller: runTeller("c", "r", false),
    onLeave: () => left++,
  }).getReader();
  const say = (delta: string) =>
    log.append({ type: "assistantMessageDelta", ...base, itemId: "m", delta });
  say("a");
  await reader.read();
  for (const text of "bcd") say(text);
  await assert.rejects(reader.read(), /too slow/);
  assert.equal(left, 1);
});

test("a stream whose session is let go of breaks off and gives its place back", async () => {
  const log = new SessionLog({ maxEvents: 100, maxBytes: 1e6 });
  let closed = 0;
  const reader = toldTurn({
    ...{ threadId: "t", turnId: "turn", seed: null, end: "", heartbeatMs: 60_000 },
    subscription: new EventSubscription(log, null, () => closed++),
    teller: chatTeller("s", "t", "turn"),
    onLeave: () => {},
  }).getReader();
  await reader.read();
  const broken = assert.rejects(reader.read(), /released/);
  log.close();
  await broken;
  assert.equal(closed, 1);
});
