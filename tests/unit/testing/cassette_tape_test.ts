/** What a recorded server says next, one message at a time. */
import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import type { CassetteMessage } from "../../../src/testing/cassette/cassette_format.ts";
import { type CassetteAnswers, Tape } from "../../../src/testing/cassette/cassette_tape.ts";
import { CassetteDivergenceError } from "../../../src/testing/cassette/cassette_divergence_error.ts";
import { test } from "../../_harness.ts";

type Line = [">" | "<", JsonObject];

function tapeOf(lines: Line[], answers: CassetteAnswers = {}): Tape {
  const entries = lines.map(([dir, m], i) => ({
    message: { t: i, dir, m } as CassetteMessage,
    line: i + 1,
  }));
  return new Tape(entries, answers);
}

/** The outputs of one step, in short: method or `=id`. */
function say(outputs: ReturnType<Tape["start"]>): string[] {
  return outputs.map((output) => {
    if ("closed" in output) return "closed";
    const { method, id } = JSON.parse(output.line);
    return method ?? `=${id}`;
  });
}

const call = (id: number, method: string, params: JsonObject = {}): JsonObject => ({
  id,
  method,
  params,
});
const news = (method: string, params: JsonObject = {}): JsonObject => ({ method, params });
const A = "thread-aaaa";
const B = "thread-bbbb";

/** Two threads; what they say is interleaved. */
const TWO: Line[] = [
  [">", call(1, "initialize")],
  ["<", { id: 1, result: { userAgent: "x" } }],
  [">", news("initialized")],
  ["<", news("configWarning")],
  [">", call(2, "thread/start", { cwd: "/recorded" })],
  [">", call(3, "thread/start", { cwd: "/recorded" })],
  ["<", { id: 2, result: { thread: { id: A, cwd: "/recorded" } } }],
  ["<", news("thread/started", { thread: { id: A } })],
  ["<", { id: 3, result: { thread: { id: B, cwd: "/recorded" } } }],
  [">", call(4, "turn/start", { threadId: A })],
  [">", call(5, "turn/start", { threadId: B })],
  ["<", { id: 4, result: { turn: { id: "ua" } } }],
  ["<", news("a/1", { threadId: A })],
  ["<", { id: 5, result: { turn: { id: "ub" } } }],
  ["<", news("b/1", { threadId: B })],
  ["<", news("a/2", { threadId: A })],
  ["<", news("b/2", { threadId: B })],
];

function startTwo(): Tape {
  const tape = tapeOf(TWO);
  assert.deepEqual(say(tape.start()), []);
  assert.deepEqual(say(tape.take(call(11, "initialize"))), ["=11"]);
  assert.deepEqual(say(tape.take(news("initialized"))), ["configWarning"]);
  return tape;
}

test("tape: answers come with the client's ids, news when their thread is there", () => {
  const tape = startTwo();
  assert.deepEqual(say(tape.take(call(12, "thread/start"))), ["=12", "thread/started"]);
  assert.deepEqual(say(tape.take(call(13, "thread/start"))), ["=13"]);
});

test("tape: threads may overtake each other", () => {
  const tape = startTwo();
  tape.take(call(12, "thread/start"));
  tape.take(call(13, "thread/start"));
  assert.deepEqual(say(tape.take(call(14, "turn/start", { threadId: B }))), ["=14", "b/1", "b/2"]);
  // Neither turn has an end.
  assert.deepEqual(say(tape.take(call(15, "turn/start", { threadId: A }))), [
    ...["=15", "a/1", "a/2", "closed"],
  ]);
  assert.deepEqual(tape.unused(), []);
});

test("tape: an answer comes also when the recorded client had said more before it", () => {
  const tape = tapeOf([
    [">", call(1, "model/list")],
    [">", call(2, "account/read")],
    ["<", { id: 1, result: {} }],
    ["<", { id: 2, result: {} }],
  ]);
  assert.deepEqual(say(tape.take(call(7, "model/list"))), ["=7"]);
  assert.deepEqual(say(tape.take(call(8, "account/read"))), ["=8"]);
});

test("tape: calls may be left out, and are told", () => {
  const tape = tapeOf([
    [">", call(1, "model/list")],
    ["<", { id: 1, result: {} }],
    [">", call(2, "account/read")],
    ["<", { id: 2, result: {} }],
    ["<", news("account/updated")],
  ]);
  assert.deepEqual(say(tape.take(call(1, "account/read"))), ["=1", "account/updated"]);
  assert.deepEqual(tape.unused(), [{ line: 1, method: "model/list" }]);
});

test("tape: a turn's start does not wait for what the recorded client said in between", () => {
  const tape = tapeOf([
    [">", call(1, "thread/resume", { threadId: A })],
    ["<", { id: 1, result: { thread: { id: A } } }],
    [">", call(2, "turn/start", { threadId: A })],
    ["<", { id: 2, result: { turn: { id: "u" } } }],
    [">", call(3, "turn/interrupt", { threadId: A })],
    ["<", news("turn/started", { threadId: A, turn: { id: "u" } })],
    ["<", { id: 3, result: {} }],
    ["<", news("turn/completed", { threadId: A, turn: { id: "u" } })],
  ]);
  tape.take(call(1, "thread/resume", { threadId: A }));
  assert.deepEqual(say(tape.take(call(2, "turn/start", { threadId: A }))), ["=2", "turn/started"]);
  assert.deepEqual(say(tape.take(call(3, "turn/interrupt", { threadId: A }))), [
    "=3",
    "turn/completed",
  ]);
});

const ASKED: Line[] = [
  [">", call(1, "thread/resume", { threadId: A })],
  ["<", { id: 1, result: { thread: { id: A } } }],
  [">", call(2, "turn/start", { threadId: A })],
  ["<", { id: 0, method: "item/commandExecution/requestApproval", params: { threadId: A } }],
  [">", { id: 0, result: { decision: "accept" } }],
  ["<", news("turn/completed", { threadId: A, turn: { id: "u" } })],
  ["<", { id: 2, result: { turn: { id: "u" } } }],
  [">", call(3, "turn/start", { threadId: A })],
];

function asked(): Tape {
  const tape = tapeOf(ASKED);
  tape.take(call(1, "thread/resume", { threadId: A }));
  const said = say(tape.take(call(2, "turn/start", { threadId: A })));
  assert.deepEqual(said, ["item/commandExecution/requestApproval", "=2"]);
  return tape;
}

test("tape: the turn goes on when the server's question is answered as recorded", () => {
  const tape = asked();
  assert.deepEqual(say(tape.take({ id: 0, result: { decision: "accept" } })), ["turn/completed"]);
});

test("tape: another decision than the recorded one is a divergence", () => {
  assert.throws(() => asked().take({ id: 0, result: { decision: "decline" } }), {
    name: "CassetteDivergenceError",
    position: 5,
    expected: '"accept" to item/commandExecution/requestApproval',
    received: '"decline" to item/commandExecution/requestApproval',
  });
  assert.throws(() => asked().take({ id: 0, error: { code: 1, message: "no" } }), {
    received: "a refusal to item/commandExecution/requestApproval",
  });
});

test("tape: going on without the recorded answer is a divergence", () => {
  assert.throws(() => asked().take(call(3, "turn/start", { threadId: A })), {
    position: 5,
    received: "turn/start",
  });
});

test("tape: a call that was not recorded is a divergence, with the next line and no payload", () => {
  const tape = startTwo();
  const secret = "the prompt";
  assert.throws(() => tape.take(call(9, "review/start", { secret })), (error: unknown) => {
    assert.ok(error instanceof CassetteDivergenceError);
    assert.deepEqual([error.position, error.expected, error.received], [
      5,
      "thread/start",
      "review/start",
    ]);
    assert.ok(!JSON.stringify([error.message, error.data]).includes(secret));
    return true;
  });
});

test("tape: a call after the last recorded one is a divergence at the line after it", () => {
  const tape = tapeOf([[">", call(1, "a")], ["<", { id: 1, result: {} }]]);
  tape.take(call(1, "a"));
  assert.throws(() => tape.take(call(2, "a")), { position: 3, expected: null, received: "a" });
});

test("tape: tidying up needs no recording, other calls can be answered by the test", () => {
  const tape = tapeOf([], { "model/list": ({ limit }) => ({ data: [limit ?? 0] }) });
  const result = (message: JsonObject) => {
    const [output] = tape.take(message);
    assert.ok(output !== undefined && "line" in output);
    return JSON.parse(output.line).result;
  };
  assert.deepEqual(result(call(1, "thread/archive")), {});
  assert.deepEqual(result(call(2, "thread/unsubscribe")), { status: "unsubscribed" });
  assert.deepEqual(result(call(3, "model/list", { limit: 4 })), { data: [4] });
});

test("tape: a thread may go by another id, and a directory by another path", () => {
  const tape = tapeOf([
    [">", call(1, "thread/resume", { threadId: A, cwd: "/recorded/dir" })],
    ["<", { id: 1, result: { thread: { id: A, cwd: "/recorded/dir", path: "/recorded/dir/x" } } }],
    [">", call(2, "turn/start", { threadId: A })],
    ["<", { id: 2, result: { turn: { id: "u" } } }],
    ["<", news("turn/started", { threadId: A, turn: { id: "u" } })],
  ]);
  const params = { threadId: "my-thread", cwd: 'C:\\a "dir" $$ $&' };
  const [output] = tape.take(call(1, "thread/resume", params));
  assert.ok(output !== undefined && "line" in output);
  assert.deepEqual(JSON.parse(output.line).result.thread, {
    id: "my-thread",
    cwd: params.cwd,
    path: `${params.cwd}/x`,
  });
  const said = tape.take(call(2, "turn/start", { threadId: "my-thread" }));
  assert.ok("line" in said[1]!);
  assert.equal(JSON.parse(said[1].line).params.threadId, "my-thread");
});

test("tape: news of threads that the client never named come after what came before them", () => {
  const tape = tapeOf([
    [">", call(1, "thread/resume", { threadId: A })],
    ["<", { id: 1, result: { thread: { id: A } } }],
    [">", call(2, "turn/start", { threadId: A })],
    ["<", news("thread/started", { thread: { id: "sub" } })],
    ["<", news("item/started", { threadId: "sub" })],
  ]);
  assert.deepEqual(say(tape.start()), []);
  assert.deepEqual(say(tape.take(call(1, "thread/resume", { threadId: A }))), ["=1"]);
  assert.deepEqual(say(tape.take(call(2, "turn/start", { threadId: A }))), [
    "thread/started",
    "item/started",
  ]);
});

test("tape: the server's end comes last, and nothing after it", () => {
  const entries: CassetteMessage[] = [
    { t: 0, dir: ">", m: call(1, "a") },
    { t: 1, dir: "<", m: { id: 1, result: {} } },
    { t: 2, dir: "<", closed: { exit: { code: 1, signal: null }, stderrTail: "" } },
  ];
  const tape = new Tape(entries.map((message, i) => ({ message, line: i + 1 })), {});
  assert.deepEqual(say(tape.start()), []);
  assert.deepEqual(say(tape.take(call(1, "a"))), ["=1", "closed"]);
});

test("tape: a recording that was cut off within a turn ends the connection, and says why", () => {
  const turn = { id: "ua", status: "completed" };
  const lines: Line[] = [
    [">", call(1, "turn/start", { threadId: A })],
    ["<", { id: 1, result: { turn } }],
    ["<", news("turn/started", { threadId: A, turn })],
    ["<", news("turn/completed", { threadId: A, turn })],
  ];
  const played = (count: number) => {
    const tape = tapeOf(lines.slice(0, count));
    tape.start();
    return tape.take(call(7, "turn/start", { threadId: A }));
  };
  assert.deepEqual(say(played(4)), ["=7", "turn/started", "turn/completed"]);
  assert.deepEqual(say(played(3)), ["=7", "turn/started", "closed"]);
  assert.deepEqual(played(2).at(-1), {
    closed: { exit: null, stderrTail: "The cassette ends in the middle of a turn." },
  });
  // One that was refused has no end.
  lines[1] = ["<", { id: 1, error: { code: -1, message: "no" } }];
  assert.deepEqual(say(played(2)), ["=7"]);
});

test("tape: answers nobody asked for and news nobody recorded are passed over", () => {
  const tape = asked();
  assert.deepEqual(tape.take({ id: 77, result: {} }), []);
  assert.deepEqual(tape.take(news("no/such/news")), []);
});

test("tape: a look-up that an older recording does not hold is answered as by a codex without settings", () => {
  for (const [method, result] of [["hooks/list", { data: [] }], ["config/read", { config: {} }]]) {
    const [answer] = asked().take(call(78, method as string, { cwd: "/" })) as [{ line: string }];
    assert.deepEqual(JSON.parse(answer.line).result, result);
  }
});

test("tape: the thread's file has the patches that were accepted, and nothing else", () => {
  const [COMMAND, PATCH] = [
    "item/commandExecution/requestApproval",
    "item/fileChange/requestApproval",
  ];
  const begins = (id: string, changes: JsonObject[]): Line => [
    "<",
    news("item/started", { threadId: A, item: { id, changes } }),
  ];
  const asks = (id: number, method: string, itemId: string, decision: string): Line[] => [
    ["<", call(id, method, { threadId: A, itemId })],
    [">", { id, result: { decision } }],
  ];
  const tape = tapeOf([
    begins("both", [{ path: "a" }, { path: "b" }]),
    ...asks(1, PATCH, "both", "acceptForSession"),
    begins("declined", [{ path: "c" }]),
    ...asks(2, PATCH, "declined", "decline"),
    begins("command", [{ path: "d" }]),
    ...asks(3, COMMAND, "command", "accept"),
    ...asks(4, PATCH, "unknown", "accept"),
  ]);
  const [said] = tape.take(call(9, "fs/readFile", { path: "/rollout" }));
  assert.ok(said !== undefined && "line" in said);
  const lines = atob(JSON.parse(said.line).result.dataBase64).split("\n").map((line) =>
    JSON.parse(line).payload
  );
  const update = "*** Update File:\n";
  assert.deepEqual(lines.map(({ call_id, input }) => [call_id, input]), [
    ["both", update + update],
    ["unknown", ""],
  ]);
});
