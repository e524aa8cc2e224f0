import assert from "node:assert/strict";

import { SessionLog } from "../../../src/web/live/session_log.ts";
import { eventStream, formatEvent } from "../../../src/web/http/sse.ts";
import { EventSubscription } from "../../../src/web/live/subscription.ts";
import type { WebSessionEvent } from "../../../src/web/types.ts";
import { test } from "../../_harness.ts";

function delta(text: string): WebSessionEvent {
  return { type: "assistantMessageDelta", threadId: "t", turnId: "u", itemId: "m", delta: text };
}

function open(log: SessionLog, heartbeatMs = 60_000): {
  reader: ReadableStreamDefaultReader<Uint8Array>;
  closed: () => number;
} {
  let closed = 0;
  const subscription = new EventSubscription(log, null, () => closed++);
  const stream = eventStream(subscription, { heartbeatMs, retryMs: 7 });
  return { reader: stream.getReader(), closed: () => closed };
}

async function text(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const { value, done } = await reader.read();
  return done ? "(end)" : new TextDecoder().decode(value);
}

test("formatEvent() writes one block, whatever the text holds", () => {
  const block = formatEvent({ id: "e-1", event: delta("a\n\ndata: x\r\u2028") });
  assert.match(block, /^id: e-1\ndata: [^\n\r]*\n\n$/);
  assert.equal(JSON.parse(block.split("\n")[1]!.slice(6)).delta, "a\n\ndata: x\r\u2028");
  const lagged = formatEvent({ id: "e-2", event: { type: "lagged", after: null } });
  assert.equal(lagged, 'id: e-2\nevent: lagged\ndata: {"type":"lagged","after":null}\n\n');
});

test("eventStream() says at once that it is there, then tells events as they come", async () => {
  const log = new SessionLog({ maxEvents: 10, maxBytes: 1e6 });
  const { reader } = open(log);
  assert.equal(await text(reader), "retry: 7\n\n");
  const next = text(reader);
  log.append(delta("a"));
  assert.match(await next, /"delta":"a"/);
  await reader.cancel();
});

test("eventStream() ends with the log, behind its last event", async () => {
  const log = new SessionLog({ maxEvents: 10, maxBytes: 1e6 });
  const { reader, closed } = open(log);
  await text(reader);
  log.append({ type: "sessionClosed", sessionId: "s" });
  log.close();
  assert.match(await text(reader), /event: sessionClosed/);
  assert.equal(await text(reader), "(end)");
  assert.equal(closed(), 1);
});

test("eventStream() beats while nothing happens", async () => {
  const { reader } = open(new SessionLog({ maxEvents: 10, maxBytes: 1e6 }), 5);
  await text(reader);
  assert.equal(await text(reader), ": heartbeat\n\n");
  assert.equal(await text(reader), ": heartbeat\n\n");
  await reader.cancel();
});

test("eventStream() lets go of its place when the client leaves, also while it waits", async () => {
  const { reader, closed } = open(new SessionLog({ maxEvents: 10, maxBytes: 1e6 }));
  await text(reader);
  const waiting = text(reader);
  await reader.cancel();
  assert.equal(await waiting, "(end)");
  assert.equal(closed(), 1);
});

test("eventStream() reads ahead no more than a batch for a client that does not read", async () => {
  const log = new SessionLog({ maxEvents: 100_000, maxBytes: 1e9 });
  const { reader } = open(log);
  await text(reader);
  for (let i = 0; i < 20; i++) log.append(delta("x".repeat(50_000)));
  // The first batch was taken when nobody had asked for more; the others still lie in the log alone.
  const first = await text(reader);
  assert.ok(first.length < 200_000, `${first.length} characters at once`);
  await reader.cancel();
});

test("eventStream() asks again whether its reader is allowed, also when the date was set back", async () => {
  const { now } = Date;
  const { now: steady } = performance;
  // Whole: the sum of a fraction and a minute may be a little less than a minute later.
  let at = Math.ceil(steady.call(performance));
  const day = now();
  try {
    performance.now = () => at;
    Date.now = () => day;
    const log = new SessionLog({ maxEvents: 10, maxBytes: 1e6 });
    const subscription = new EventSubscription(log, null, () => {});
    let asked = 0;
    const allowed = () => Promise.resolve(asked++ < 0);
    const again = { everyMs: 60_000, allowed, patienceMs: 60_000 };
    const reader = eventStream(subscription, { heartbeatMs: 60_000, retryMs: 7, again })
      .getReader();
    assert.equal(await text(reader), "retry: 7\n\n");
    Date.now = () => day - 86_400_000;
    // By more than a rounding of the clock's fractions.
    at += 60_001;
    log.append(delta("a"));
    assert.equal(await text(reader), "(end)");
    assert.equal(asked, 1);
  } finally {
    Date.now = now;
    performance.now = steady;
  }
});
