/** Cassettes as text. */
import assert from "node:assert/strict";
import { CodexError } from "../../../src/errors/mod.ts";
import {
  type CassetteMessage,
  formatCassette,
  normalize,
  parseCassette,
} from "../../../src/testing/cassette/cassette_format.ts";
import { test } from "../../_harness.ts";

const ID_A = "0198f2aa-1111-7abc-9def-0123456789ab";
const ID_B = "0198f2ab-2222-4abc-9def-0123456789ab";

test("parseCassette() reads what formatCassette() writes", () => {
  const messages: CassetteMessage[] = [
    { t: 0, dir: ">", m: { id: 1, method: "a" } },
    { t: 5, dir: "<", m: { id: 1, result: "ä\n" }, c: 1 },
    { t: 6, dir: "<", closed: { exit: null, stderrTail: "" } },
  ];
  assert.deepEqual(parseCassette(formatCassette(messages)), messages);
  assert.deepEqual(
    parseCassette("\r\n\n" + formatCassette(messages).replaceAll("\n", "\r\n")),
    messages,
  );
});

test("parseCassette() names the line that it can't read", () => {
  const good = '{"t":0,"dir":">","m":{}}\n';
  for (const bad of ["{", "[]", '{"dir":"x","m":{}}', '{"dir":">"}', '{"dir":">","m":7}']) {
    assert.throws(
      () => parseCassette(good + bad),
      (error: unknown) =>
        error instanceof CodexError && error.code === "cassetteUnreadable" &&
        error.data!["line"] === 2,
    );
  }
});

test("normalize() counts ids, also within texts, and leaves other names alone", () => {
  const [message] = normalize([{
    t: 0,
    dir: "<",
    m: { a: ID_A, b: ID_B, path: `/w/rollout-${ID_A}.jsonl`, itemId: "call_1" },
  }]);
  assert.deepEqual(message!.m, {
    a: "01a20000-0000-7000-8000-000000000001",
    b: "01a20000-0000-4000-8000-000000000002",
    path: "/w/rollout-01a20000-0000-7000-8000-000000000001.jsonl",
    itemId: "call_1",
  });
});

test("normalize() begins the time at a fixed moment and keeps all differences", () => {
  const [first, second] = normalize([
    { t: 0, dir: "<", m: { createdAt: 1_795_366_991, emittedAtMs: 1_795_366_991_530, count: 3 } },
    { t: 0, dir: "<", m: { startedAt: 1_795_366_993, durationMs: 7, completedAt: null } },
  ]);
  assert.deepEqual(first!.m, {
    createdAt: 1_700_000_000,
    emittedAtMs: 1_700_000_000_530,
    count: 3,
  });
  assert.deepEqual(second!.m, { startedAt: 1_700_000_002, durationMs: 7, completedAt: null });
});

test("normalize() replaces texts, the longer one first, whatever they hold", () => {
  const [message] = normalize(
    [{ t: 0, dir: "<", m: { a: 'C:\\home "x"\\y', b: "C:\\home" } }],
    { "C:\\home": "/h$&", 'C:\\home "x"': "/$$x" },
  );
  assert.deepEqual(message!.m, { a: "/$$x\\y", b: "/h$&" });
});

test("normalize() keeps ends of connections as they are", () => {
  const end: CassetteMessage = {
    t: 3,
    dir: "<",
    closed: { exit: { code: 1, signal: null }, stderrTail: "" },
    c: 2,
  };
  assert.deepEqual(normalize([end]), [end]);
});
