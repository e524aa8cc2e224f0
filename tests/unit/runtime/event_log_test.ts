import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import type { EventEnvelope } from "../../../src/runtime/log/event_envelope.ts";
import { EventLog, Ring } from "../../../src/runtime/log/event_log.ts";
import { readLog } from "../../../src/runtime/log/log_reader.ts";
import { logSent } from "../../../src/runtime/log/local_records.ts";
import type { OutboundMessage } from "../../../src/rpc/mod.ts";
import type { EventFilter } from "../../../src/runtime/runtime_types.ts";
import { deltaBatch, deltaHead, deltaRun, textsOf } from "../../_delta_run.ts";
import { ProjectedLog } from "../../../src/runtime/state/projected_log.ts";
import { test } from "../../_harness.ts";

interface Ids {
  threadId?: string;
  turnId?: string;
  itemId?: string;
}

function news(log: EventLog, method: string, ids: Ids = {}, size = 10): number {
  return log.append("inbound", "notification", { method, ...ids }, { method, params: {} }, size);
}

function delta(log: EventLog, itemId: string, ...texts: string[]): void {
  log.appendDeltas(deltaRun(texts, { itemId }), Date.now());
}

async function all(log: EventLog, filter: EventFilter = { after: 0 }): Promise<EventEnvelope[]> {
  log.close();
  const envelopes: EventEnvelope[] = [];
  for await (const envelope of readLog(log, filter)) envelopes.push(envelope);
  return envelopes;
}

function textOf(envelope: EventEnvelope): string {
  return ((envelope.message as JsonObject)["params"] as JsonObject)["delta"] as string;
}

test("messages are numbered from 1 without gaps and kept in order", async () => {
  const log = new EventLog(100, 1 << 20, () => {});
  for (let i = 1; i <= 5; i++) assert.equal(news(log, `m${i}`), i);
  assert.equal(log.newest, 5);
  assert.equal(log.oldest, 1);
  const envelopes = await all(log);
  assert.deepEqual(envelopes.map(({ seq, method }) => [seq, method]), [
    [1, "m1"],
    [2, "m2"],
    [3, "m3"],
    [4, "m4"],
    [5, "m5"],
  ]);
});

test("a log that nobody reads numbers messages, keeps none of them, and forgets those that it had", async () => {
  const evicted: number[] = [];
  const log = new EventLog(3, 1 << 20, ({ seq }) => evicted.push(seq));
  for (let i = 1; i <= 2; i++) news(log, `m${i}`);
  log.keepNothing();
  assert.deepEqual([log.newest, log.oldest, log.bytes, log.at(2)], [2, 3, 0, undefined]);
  for (let i = 3; i <= 9; i++) assert.equal(news(log, `m${i}`), i);
  delta(log, "i", "a", "b");
  const secrets = { method: "thread/start", id: 1, params: { config: { apiKey: "sk-1" } } };
  logSent(log, "request", 10, secrets);
  assert.deepEqual([log.newest, log.oldest, log.bytes, log.at(9)], [11, 12, 0, undefined]);
  assert.deepEqual(evicted, []);
  assert.deepEqual(await all(log), []);
});

test("the oldest go first, by number and by bytes, and are seen once on their way out", () => {
  for (const [messages, bytes] of [[3, 1 << 20], [1000, 35]] as const) {
    const evicted: number[] = [];
    const log = new EventLog(messages, bytes, ({ seq }) => evicted.push(seq));
    for (let i = 0; i < 10; i++) news(log, "m");
    assert.deepEqual(evicted, [1, 2, 3, 4, 5, 6, 7]);
    assert.equal(log.oldest, 8);
    assert.equal(log.bytes, 30);
    assert.equal(log.at(7), undefined);
    assert.equal(log.at(8)?.seq, 8);
    assert.equal(log.at(11), undefined);
  }
});

test("a message larger than the log is kept until the next one", () => {
  const log = new EventLog(10, 100, () => {});
  news(log, "small");
  news(log, "huge", {}, 1000);
  assert.equal(log.oldest, 2);
  news(log, "small");
  assert.equal(log.oldest, 3);
});

test("filters hold together", async () => {
  const log = new EventLog(100, 1 << 20, () => {});
  news(log, "a", { threadId: "T1", turnId: "U1" });
  news(log, "b", { threadId: "T1", turnId: "U2" });
  news(log, "a", { threadId: "T2", turnId: "U3" });
  news(log, "a");
  const seqs = async (filter: EventFilter) =>
    (await all(log, { after: 0, ...filter })).map(({ seq }) => seq);
  assert.deepEqual(await seqs({ threadId: "T1" }), [1, 2]);
  assert.deepEqual(await seqs({ turnId: "U3" }), [3]);
  assert.deepEqual(await seqs({ methods: ["a"] }), [1, 3, 4]);
  assert.deepEqual(await seqs({ methods: ["a", "b"], threadId: "T1" }), [1, 2]);
  assert.deepEqual(await seqs({ methods: [] }), []);
  assert.deepEqual(await seqs({ threadId: "T1", after: 1 }), [2]);
  assert.deepEqual(await seqs({ after: 4 }), []);
});

test("a reader without a cursor begins with the next message", async () => {
  const log = new EventLog(100, 1 << 20, () => {});
  news(log, "before");
  const reader = readLog(log);
  const first = reader.next();
  news(log, "after");
  assert.equal((await first).value?.method, "after");
  log.close();
  assert.equal((await reader.next()).done, true);
});

test("a waiting reader is woken by a message, by the end, and by leaving", async () => {
  const log = new EventLog(100, 1 << 20, () => {});
  const [woken, ended, left] = [readLog(log), readLog(log), readLog(log)];
  const waiting = woken.next();
  const leaving = [left.next(), left.next()];
  await left.return!();
  for (const each of leaving) assert.equal((await each).done, true);
  news(log, "m");
  assert.equal((await waiting).value?.method, "m");
  assert.equal((await ended.next()).value?.method, "m");
  const last = ended.next();
  log.close();
  assert.equal((await last).done, true);
  assert.equal((await left.next()).done, true);
});

test("a slow reader gets adjacent deltas merged and loses no text", async () => {
  const log = new EventLog(100_000, 1 << 30, () => {});
  let text = "";
  for (let i = 0; i < 20_000; i++) {
    delta(log, "I", `${i},`);
    text += `${i},`;
  }
  const envelopes = await all(log);
  assert.ok(envelopes.length < 10_000, `${envelopes.length}`);
  assert.equal(envelopes.map(textOf).join(""), text);
  let next = 1;
  for (const { seq, mergedTo } of envelopes) {
    assert.equal(seq, next);
    next = (mergedTo ?? seq) + 1;
  }
  assert.equal(next, 20_001);
});

test("a reader that keeps up gets every delta as it came", async () => {
  const log = new EventLog(1000, 1 << 20, () => {});
  const reader = readLog(log);
  for (let i = 0; i < 10; i++) {
    const next = reader.next();
    delta(log, "I", `x${i}`);
    const { value } = await next;
    assert.equal(value.mergedTo, undefined);
    assert.deepEqual(value.message, {
      method: "item/agentMessage/delta",
      params: { threadId: "T", turnId: "U", itemId: "I", delta: `x${i}` },
    });
  }
});

test("deltas of another item, and other news, end a merged delta", async () => {
  const log = new EventLog(100_000, 1 << 30, () => {});
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 1000; i++) delta(log, "A", "a");
    for (let i = 0; i < 1000; i++) delta(log, "B", "b");
    news(log, "item/completed", { threadId: "T", turnId: "U", itemId: "B" });
  }
  const envelopes = await all(log);
  const pieces = envelopes.map((e) => e.method === "item/completed" ? "|" : textOf(e)).join("");
  assert.equal(pieces, `${"a".repeat(1000)}${"b".repeat(1000)}|`.repeat(4));
  for (const envelope of envelopes) {
    if (envelope.method !== "item/completed") assert.match(textOf(envelope), /^(a+|b+)$/);
  }
});

test("a filtered reader merges across what it does not see", async () => {
  const log = new EventLog(100_000, 1 << 30, () => {});
  for (let i = 0; i < 5000; i++) {
    delta(log, "I", "x");
    news(log, "other", { threadId: "T2" });
  }
  const envelopes = await all(log, { after: 0, threadId: "T" });
  assert.ok(envelopes.length < 2500, `${envelopes.length}`);
  assert.equal(envelopes.map(textOf).join("").length, 5000);
});

test("a reader that falls out of the log is told what it missed, once", async () => {
  const log = new EventLog(10, 1 << 20, () => {});
  const reader = readLog(log);
  for (let i = 0; i < 25; i++) news(log, "m");
  log.close();
  const envelopes: EventEnvelope[] = [];
  for await (const envelope of reader) envelopes.push(envelope);
  assert.equal(envelopes[0]!.kind, "lagged");
  assert.equal(envelopes[0]!.direction, "local");
  const { from, to } = envelopes[0]!.message as { from: number; to: number };
  assert.equal(from, 1);
  assert.equal(to, log.oldest - 1);
  assert.equal(envelopes[1]!.seq, to + 1);
  assert.equal(envelopes.filter(({ kind }) => kind === "lagged").length, 1);
  assert.equal(envelopes.at(-1)!.seq, 25);
});

test("a cursor into the forgotten is a gap; the beginning is none", async () => {
  const log = new EventLog(5, 1 << 20, () => {});
  for (let i = 0; i < 20; i++) news(log, "m");
  log.close();
  assert.equal((await readLog(log, { after: 3 }).next()).value?.kind, "lagged");
  assert.equal((await readLog(log, { after: 0 }).next()).value?.kind, "notification");
});

test("readers do not influence each other", async () => {
  const log = new EventLog(50, 1 << 20, () => {});
  const [fast, slow] = [readLog(log), readLog(log)];
  const seen: number[] = [];
  for (let i = 0; i < 200; i++) {
    news(log, "m");
    const { value } = await fast.next();
    assert.equal(value.kind, "notification");
    seen.push(value.seq);
  }
  assert.equal(seen.length, 200);
  assert.equal((await slow.next()).value?.kind, "lagged");
  const left = readLog(log);
  await left.return!();
  news(log, "m");
  assert.equal((await fast.next()).value?.seq, 201);
});

test("an envelope is plain data as JSON, and its time a Date", async () => {
  const log = new EventLog(10, 1 << 20, () => {});
  log.append("outbound", "request", { method: "m", rpcId: 0 }, { id: 0, method: "m" }, 1);
  delta(log, "I", "text");
  const [request, text] = await all(log);
  assert.ok(request!.at instanceof Date);
  const plain = JSON.parse(JSON.stringify([request, text]));
  assert.deepEqual(plain[0].rpcId, 0);
  assert.deepEqual(plain[0].message, { id: 0, method: "m" });
  assert.equal(plain[1].message.params.delta, "text");
});

test("what a reader misses is counted", async () => {
  const log = new EventLog(4, 1 << 20, () => {});
  let missed = 0;
  log.onMissed = (count) => missed += count;
  for (let i = 0; i < 2; i++) news(log, "m");
  const late = readLog(log, { after: 1 });
  for (let i = 0; i < 8; i++) news(log, "m");
  assert.equal((await late.next()).value?.kind, "lagged");
  assert.equal(missed, 5);
});

test("deltas that came together are messages like any other", async () => {
  const log = new EventLog(100, 1 << 20, () => {});
  news(log, "before");
  delta(log, "I", "a", "b", "c");
  news(log, "after");
  assert.equal(log.newest, 5);
  for (const seq of [2, 3, 4]) assert.equal(log.at(seq)?.seq, 2);
  const middle = await readLog(log, { after: 2 }).next();
  assert.deepEqual([middle.value?.seq, textOf(middle.value!)], [3, "b"]);
  const envelopes = await all(log);
  assert.deepEqual(envelopes.map(({ seq }) => seq), [1, 2, 3, 4, 5]);
  assert.deepEqual(envelopes.slice(1, 4).map(textOf), ["a", "b", "c"]);
});

test("a reader that is behind in the middle of a run gets the rest of it as one", async () => {
  const log = new EventLog(8192, 1 << 24, () => {});
  delta(log, "I", "a", "b", "c");
  const reader = readLog(log, { after: 0 });
  assert.equal(textOf((await reader.next()).value!), "a");
  delta(log, "I", "d");
  for (let i = 0; i < 2000; i++) news(log, "m");
  const { value } = await reader.next();
  assert.deepEqual([value?.seq, value?.mergedTo, textOf(value!)], [2, 4, "bcd"]);
});

test("a run longer than the log may keep is forgotten by parts, and folded once", () => {
  const texts: string[] = [];
  const log = new EventLog(16, 1 << 20, ({ deltas }) => void texts.push(...textsOf(deltas!)));
  const run = Array.from({ length: 100 }, (_, i) => `${i},`);
  delta(log, "I", ...run);
  assert.equal(log.newest, 100);
  assert.ok(log.newest - log.oldest + 1 <= 16);
  for (let seq = log.oldest; seq <= log.newest;) {
    const record = log.at(seq)!;
    texts.push(...textsOf(record.deltas!));
    seq = record.seq + record.count;
  }
  assert.deepEqual(texts, run);
});

test("ProjectedLog: the state counts every message, those that left the log before anybody looked too", async () => {
  const projected = new ProjectedLog(2, 1 << 20, undefined);
  await projected.project();
  const tell = (id: string) => {
    const params = { thread: { id, turns: [] } };
    const body = { method: "thread/started", params };
    projected.log.append("inbound", "notification", { method: body.method, threadId: id }, body, 9);
  };
  for (const id of ["a", "b", "c"]) tell(id);
  const ids = () => Object.keys(projected.state().threads).sort();
  assert.deepEqual(ids(), ["a", "b", "c"]);
  for (const id of ["d", "e", "f"]) tell(id);
  assert.deepEqual(ids(), ["a", "b", "c", "d", "e", "f"]);
  // What this script sent says nothing of the server's state.
  const sent = { method: "thread/started", params: { thread: { id: "mine", turns: [] } } };
  projected.log.append("outbound", "notification", { method: sent.method }, sent, 9);
  assert.equal(ids().includes("mine"), false);
});

test("deltas of several threads that came together are told one by one, to whom each concerns", async () => {
  for (const count of [90, 3000]) {
    const heads = [1, 2, 3].map((n) => deltaHead({ threadId: `T${n}`, itemId: `I${n}` }));
    const deltas = Array.from(
      { length: count },
      // Runs of one to four, so that batches begin and end within them.
      (_, i) => [heads[Math.floor(i / (1 + i % 4)) % 3]!, `${i} `] as const,
    );
    const together = new EventLog(count, 1 << 20, () => {});
    const apart = new EventLog(count, 1 << 20, () => {});
    for (let from = 0, size = 1; from < count; from += size++) {
      together.appendDeltas(deltaBatch(deltas.slice(from, from + size)), 0);
    }
    for (const delta of deltas) apart.appendDeltas(deltaBatch([delta]), 0);
    for (
      const filter of [{ after: 0 }, { after: 7, threadId: "T2" }, { after: 0, methods: ["no"] }]
    ) {
      const told = async (log: EventLog) =>
        (await all(log, filter)).map((each) => [
          each.seq,
          each.mergedTo,
          each.threadId,
          each.itemId,
          textOf(each),
        ]);
      const expected = await told(apart);
      assert.deepEqual(await told(together), expected, JSON.stringify(filter));
      assert.equal(expected.length > 0, !("methods" in filter));
    }
    assert.equal(together.bytes, apart.bytes + (count - recordsOf(together)));
  }
});

/** Newlines between lines that are kept together are counted. */
function recordsOf(log: EventLog): number {
  let records = 0;
  for (let seq = log.oldest; seq <= log.newest; seq += log.at(seq)!.count) records++;
  return records;
}

test("keys and tokens that codex is sent are in no event, and nothing else is missing", async () => {
  const KEY = "a-word-that-only-codex-knows";
  const input = [{ type: "text", text: `api_key=${KEY}` }];
  const headers = { mcp_servers: { a: { http_headers: { Authorization: `Bearer ${KEY}` } } } };
  const table: [kind: "request" | "response", message: OutboundMessage, told: boolean][] = [
    ["request", { method: "account/login/start", params: { type: "apiKey", apiKey: KEY } }, false],
    ["request", { method: "thread/start", params: { config: headers } }, false],
    ["request", { method: "config/value/write", params: { value: { api_key: KEY } } }, false],
    ["response", { result: { accessToken: KEY, chatgptAccountId: "a" } }, false],
    // What the model is told is the conversation.
    ["request", { method: "turn/start", params: { input } }, true],
    ["response", { result: { contentItems: input, success: true } }, true],
    ["response", { error: { code: 1, message: "no" } }, true],
  ];
  const log = new EventLog(100, 1 << 20, () => {});
  for (const [kind, message] of table) logSent(log, kind, 1, { id: 1, ...message });
  const said = (await all(log)).map(({ message }) => message as JsonObject);
  for (const [index, [, message, told]] of table.entries()) {
    const what = JSON.stringify(message);
    if (told) assert.deepEqual(said[index], { id: 1, ...message });
    else assert.ok(!JSON.stringify(said[index]).includes(KEY), what);
  }
});

test("a ring gives what was put in, in order, however it has grown and gone round", () => {
  const ring = new Ring<number>();
  const expected: number[] = [];
  for (let i = 0; i < 3000; i++) {
    ring.push(i);
    expected.push(i);
    // Round and round at one size, then at a greater one, then down to nothing.
    const most = i < 1000 ? 10 : i < 2000 ? 100 : 3000 - i;
    while (expected.length > most) assert.equal(ring.shift(), expected.shift());
    assert.equal(ring.length, expected.length);
    if (i % 50 === 0) assert.deepEqual(expected.map((_, index) => ring.at(index)), expected);
  }
});
