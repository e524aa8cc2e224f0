import assert from "node:assert/strict";
import { RpcValidationError } from "../../../src/errors/mod.ts";
import type { JsonValue } from "../../../src/json.ts";
import { decode, encode } from "../../../src/rpc/codec.ts";
import { describeOversize } from "../../../src/rpc/connection.ts";
import { test } from "../../_harness.ts";
import { DIALECTS, scenarios, transcript } from "../../_transcripts.ts";

test("decode() tells calls, answers, questions and news apart", () => {
  const table: [string, Record<string, unknown>][] = [
    ['{"id":0,"result":{}}', { kind: "response", id: 0, result: {}, error: null }],
    ['{"id":"a","result":null}', { kind: "response", id: "a", result: null, error: null }],
    ['{"id":1,"result":false}', { kind: "response", id: 1, result: false }],
    ['{"error":{"code":-32600,"message":"no"},"id":4}', {
      kind: "response",
      id: 4,
      error: { code: -32600, message: "no" },
    }],
    ['{"id":1,"error":{"code":-1,"message":"m","data":{"x":1}}}', {
      kind: "response",
      error: { code: -1, message: "m", data: { x: 1 } },
    }],
    ['{"id":1,"error":{}}', {
      kind: "response",
      error: { code: -32603, message: "the server gave no message" },
    }],
    ['{"method":"m","id":0,"params":{"a":1}}', {
      kind: "request",
      id: 0,
      method: "m",
      params: { a: 1 },
    }],
    ['{"method":"m","id":"x"}', { kind: "request", id: "x", params: {} }],
    ['{"method":"m"}', { kind: "notification", method: "m", params: {} }],
    ['{"method":"m","params":null,"id":null}', { kind: "notification", params: {} }],
    ['{"method":"m","params":[1]}', { kind: "notification", params: {} }],
    ['{"jsonrpc":"2.0","method":"m","params":{},"emittedAtMs":5}', { kind: "notification" }],
  ];
  for (const [line, expected] of table) {
    const message = decode(line) as unknown as Record<string, unknown>;
    for (const [key, value] of Object.entries(expected)) {
      assert.deepEqual(message[key], value, `${line} → ${key}`);
    }
  }
});

test("decode() calls everything else malformed and says why without its content", () => {
  for (
    const line of [
      "",
      "secret",
      "{",
      "[]",
      '[{"id":1,"result":1}]',
      "1",
      "null",
      '"secret"',
      "{}",
      '{"id":1}',
      '{"id":1.5e400,"x":1}',
      '{"result":1}',
      '{"id":{"secret":1},"method":"m"}',
      '{"id":true,"result":1}',
      '{"method":7,"params":{}}',
      "\ufeff{}",
    ]
  ) {
    const message = decode(line);
    assert.equal(message.kind, "malformed", line);
    assert.ok(message.kind === "malformed" && message.reason !== "");
    assert.ok(!JSON.stringify(message).includes("secret"));
  }
});

test("every recorded message of the server is classified", () => {
  for (const dialect of DIALECTS) {
    for (const scenario of scenarios(dialect)) {
      for (const { dir, m } of transcript(dialect, scenario)) {
        if (dir === ">") continue;
        const message = decode(JSON.stringify(m));
        const expected = m.method === undefined
          ? "response"
          : m.id === undefined
          ? "notification"
          : "request";
        assert.equal(message.kind, expected, `${dialect} ${scenario} ${JSON.stringify(m)}`);
      }
    }
  }
});

test("messages are written without a jsonrpc member; missing params are left out", () => {
  for (
    const [message, line] of [
      [{ id: 1, method: "m", params: { a: 1 } }, '{"id":1,"method":"m","params":{"a":1}}'],
      [{ id: 1, method: "m", params: undefined }, '{"id":1,"method":"m"}'],
      [{ method: "initialized", params: undefined }, '{"method":"initialized"}'],
      [{ id: 0, result: null }, '{"id":0,"result":null}'],
      [
        { id: "a", error: { code: -1, message: "no" } },
        '{"id":"a","error":{"code":-1,"message":"no"}}',
      ],
      [{ method: "m", params: "a\nb" }, '{"method":"m","params":"a\\nb"}'],
    ] as const
  ) {
    assert.equal(encode(message), line);
  }
});

test("what JSON can't carry is refused before it is sent", () => {
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  for (const value of [cycle, { a: 1n }]) {
    const params = value as unknown as JsonValue;
    assert.throws(() => encode({ id: 1, method: "m", params }), RpcValidationError);
    assert.throws(() => encode({ id: 1, result: params }), /an answer/);
  }
});

test("describeOversize() finds the call or the thread of a skipped message", () => {
  const table: [string, string, unknown][] = [
    ['{"id":7,"result":{"thread":…', "}", { rpcId: 7, method: null, threadId: null }],
    ['{"id":"a-1","result":…', "}", { rpcId: "a-1", method: null, threadId: null }],
    [
      '{"method":"item/completed","params":{"item":{"text":"…',
      '…","threadId":"T","turnId":"U"}}',
      { rpcId: null, method: "item/completed", threadId: "T" },
    ],
    [
      '{"method":"turn/completed","params":{"threadId":"T","turn":{…',
      "}}",
      { rpcId: null, method: "turn/completed", threadId: "T" },
    ],
    // A quoted quotation of an id is text.
    [
      String.raw`{"method":"m","params":{"text":"\"threadId\":\"X\"`,
      '","threadId":"T"}}',
      { rpcId: null, method: "m", threadId: "T" },
    ],
    ["junk", "junk", { rpcId: null, method: null, threadId: null }],
  ];
  for (const [head, tail, expected] of table) {
    assert.deepEqual(describeOversize(9, head, tail), { bytes: 9, ...expected as object });
  }
});
