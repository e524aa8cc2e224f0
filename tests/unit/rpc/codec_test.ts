import assert from "node:assert/strict";
import { RpcValidationError } from "../../../src/errors/mod.ts";
import type { JsonValue } from "../../../src/json.ts";
import { decode, describeOversize, encode } from "../../../src/rpc/codec.ts";
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

test("what the server could not read is refused before it is sent, with its place", () => {
  const cycle: Record<string, unknown> = { list: [] };
  (cycle["list"] as unknown[]).push({ cycle });
  const bush: Record<string, unknown> = {};
  bush["left"] = bush["right"] = bush;
  const hostile = {
    get secret() {
      throw new Error("secret");
    },
  };
  const table: [unknown, string, RegExp][] = [
    [NaN, "$", /NaN/],
    [{ a: [0, -Infinity] }, "$.a[1]", /-Infinity/],
    [{ a: 1n }, "$.a", /BigInt/],
    [{ "a b": Symbol("s") }, '$["a b"]', /symbol/],
    [{ a: () => 1 }, "$.a", /function/],
    [{ a: [1, undefined] }, "$.a[1]", /undefined/],
    [new Array(2 ** 31), "$[0]", /undefined/],
    [{ a: new Map([["secret", 1]]) }, "$.a", /a Map/],
    [{ a: new Uint8Array(3) }, "$.a", /Uint8Array/],
    [{ a: new Error("secret") }, "$.a", /an Error/],
    [{ a: { toJSON: () => NaN } }, "$.a", /NaN/],
    [{ a: { toJSON: () => ({ b: 1n }) } }, "$.a.b", /BigInt/],
    [cycle, "$.list[0].cycle", /contains itself/],
    [bush, "$.right", /contains itself/],
    [hostile, "$", /can't be read/],
    [nested(127), "$", /more than 127 levels/],
  ];
  for (const [value, path, found] of table) {
    const params = value as JsonValue;
    const expected = (method: string, subject: string) => (error: unknown) => {
      assert.ok(error instanceof RpcValidationError, String(error));
      assert.equal(error.method, method);
      assert.equal(error.subject, subject);
      assert.ok(error.path.startsWith(path), `${error.path} is not ${path}`);
      assert.match(error.message, found);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    };
    assert.throws(() => encode({ id: 1, method: "m", params }), expected("m", "params"));
    assert.throws(() => encode({ id: 1, result: params }), expected("an answer", "result"));
  }
});

test("what JSON can say is sent as JSON says it", () => {
  class Point {
    x = 1;
  }
  for (
    const value of [
      new Date(0),
      Object.create(null),
      new Point(),
      { at: new Date(0), left: undefined },
      [null, true, "", -0, 1e308],
      nested(126),
    ]
  ) {
    const params = value as JsonValue;
    assert.equal(encode({ method: "m", params }), JSON.stringify({ method: "m", params }));
  }
});

test("half an emoji is replaced, and nothing else is changed", () => {
  for (
    const [text, sent] of [
      ["cut \ud83c", "cut \ufffd"],
      ["\udf89 cut", "\ufffd cut"],
      ["\udf89\ud83c", "\ufffd\ufffd"],
      ["whole \ud83c\udf89", "whole \ud83c\udf89"],
      ["a backslash \\ud83c, two \\\\ud83c", "a backslash \\ud83c, two \\\\ud83c"],
      ["mixed \\\ud83c \n \u0000 \u001f \u2028 é", "mixed \\\ufffd \n \u0000 \u001f \u2028 é"],
    ] as const
  ) {
    const params = { [text]: [text] };
    const line = encode({ method: "m", params });
    assert.deepEqual(JSON.parse(line).params, { [sent]: [sent] });
    assert.ok(line.isWellFormed() && !/(?<!\\)(?:\\\\)*\\ud[89ab]/.test(line));
  }
});

/** So many levels below the message itself. */
function nested(levels: number): JsonValue {
  let value: JsonValue = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

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
    // What a model has made names nothing, wherever it stands.
    [
      '{"method":"item/started","params":{"item":{"arguments":{"threadId":"X","a":"…',
      '…","threadId":"X","b":{"threadId":"X","c":1}},"n":null},"threadId":"T","turnId":"U","at":5}}',
      { rpcId: null, method: "item/started", threadId: "T" },
    ],
    [
      '{"method":"item/tool/call","id":3,"params":{"threadId":"T","arguments":{"threadId":"X","a":"…',
      '…","threadId":"X"}}}',
      { rpcId: 3, method: "item/tool/call", threadId: "T" },
    ],
    [
      '{"id":"q-4","method":"item/tool/call","params":{"threadId":"T","arguments":{"id":9,"a":"…',
      "…}}}",
      { rpcId: "q-4", method: "item/tool/call", threadId: "T" },
    ],
    [
      '{"method":"m","params":{"item":{"threadId":"X","a":"…',
      '…","threadId":"X","b":1}}}',
      { rpcId: null, method: "m", threadId: null },
    ],
    [
      '{"method":"error","params":{"error":{"message":"…',
      '…","threadId":"X"},"willRetry":false,"threadId":"T","turnId":"U"},"emittedAtMs":5}',
      { rpcId: null, method: "error", threadId: "T" },
    ],
    ["junk", "junk", { rpcId: null, method: null, threadId: null }],
  ];
  for (const [head, tail, expected] of table) {
    assert.deepEqual(describeOversize(9, head, tail), { bytes: 9, ...expected as object });
  }
});
