/** When a turn that a raw request asked for is waited for no longer. */
import assert from "node:assert/strict";
import { ConnectionClosedError, RequestTimeoutError, RpcError } from "../../../src/errors/mod.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { PromisedTurns, UnansweredPrompts } from "../../../src/session/turn/promised_turns.ts";
import type { Turn } from "../../../src/session/turn/turn.ts";
import type { TurnRun } from "../../../src/session/turn/turn_run.ts";
import { test } from "../../_harness.ts";

const NAMED = { turn: { id: "mine" } };
const message = (...content: JsonObject[]): JsonObject => ({ type: "userMessage", content });
const text = (text: string): JsonObject => ({ type: "text", text });

const CASES: [
  what: string,
  method: string,
  answer: JsonValue | Error,
  happens: (turns: PromisedTurns) => void,
  waits: boolean,
][] = [
  ["nothing was heard", "turn/start", NAMED, () => {}, true],
  ["it has begun", "turn/start", NAMED, (it) => it.began("mine"), false],
  ["another one has begun", "turn/start", NAMED, (it) => it.began("other"), true],
  [
    "its prompt is part of another",
    "turn/start",
    NAMED,
    (it) => it.item(message(text("hello"))),
    false,
  ],
  ["another prompt shows up", "turn/start", NAMED, (it) => it.item(message(text("bye"))), true],
  [
    "the model repeats it",
    "turn/start",
    NAMED,
    (it) => it.item({ ...message(text("hello")), type: "agentMessage" }),
    true,
  ],
  ["it was heard of before the answer", "turn/start", { turn: { id: "known" } }, () => {}, false],
  ["a compaction has no id", "thread/compact/start", {}, (it) => it.began("any"), false],
  ["a compaction has not begun", "thread/compact/start", {}, () => {}, true],
  ["the server refused it", "turn/start", new RpcError("turn/start", -1, "no"), () => {}, false],
  ["no answer came", "turn/start", new RequestTimeoutError("turn/start", 1), () => {}, true],
  [
    "no answer came, and a turn",
    "turn/start",
    new RequestTimeoutError("turn/start", 1),
    (it) => it.began("any"),
    false,
  ],
  ["the caller left", "turn/start", new DOMException("", "AbortError"), () => {}, true],
  ["the server is gone", "turn/start", new ConnectionClosedError("gone"), () => {}, false],
  ["nobody listens", "turn/start", NAMED, (it) => it.clear(), false],
  ["a queued prompt has not begun", "thread/queue/add", {}, () => {}, true],
  ["busy: it is behind another", "thread/queue/add", {}, () => {}, false],
  ["busy: a prompt may join", "turn/start", NAMED, () => {}, true],
  ["another request", "turn/steer", NAMED, () => {}, false],
];

test("a turn without an id that began before the answer came is waited for no longer", async () => {
  for (
    const [method, result, waits] of [["thread/compact/start", {}, false], [
      "turn/start",
      NAMED,
      true,
    ]] as const
  ) {
    const it = new PromisedTurns(() => {}, () => false, () => true);
    const answer = Promise.withResolvers<JsonValue>();
    void it.asked(method, {}, answer.promise);
    it.began("any");
    assert.equal(it.size, 1);
    answer.resolve(result);
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(it.size > 0, waits);
    it.clear();
  }
});

test("a promised turn is waited for until it has begun, or will not", async (t) => {
  for (const [what, method, answer, happens, waits] of CASES) {
    await t.step(what, async () => {
      const expected: Promise<void>[] = [];
      const it = new PromisedTurns(
        (begins) => void expected.push(begins),
        (turnId) => turnId === "known",
        () => what.startsWith("busy: "),
      );
      const answered = answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      void it.asked(method, { input: [text("hello")] }, answered as Promise<JsonValue>);
      answered.catch(() => {});
      await new Promise((resolve) => setTimeout(resolve));
      happens(it);
      await new Promise((resolve) => setTimeout(resolve));
      assert.equal(it.size > 0, waits);
      it.clear();
      await Promise.all(expected);
    });
  }
});

test("UnansweredPrompts stops the turn of each prompt once, and remembers the latest", () => {
  const it = new UnansweredPrompts();
  for (let n = 0; n < 17; n++) it.add({ clientId: `${n}` } as TurnRun);
  const stopped: string[] = [];
  const show = (clientId: string, owner: unknown = null) => {
    const turn = { owner, stop: () => void stopped.push(clientId) } as unknown as Turn;
    it.stop(turn, { type: "userMessage", clientId });
  };
  for (const clientId of ["0", "1", "16", "16", "other"]) show(clientId);
  assert.deepEqual(stopped, ["1", "16"]);
  show("2", {});
  assert.deepEqual(stopped, ["1", "16"], "one that somebody waits for is not");
  it.clear();
  show("3");
  assert.deepEqual(stopped, ["1", "16"]);
});
