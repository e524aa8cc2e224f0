/** A stream's text, from its events: what is told, once, and what is not. */
import assert from "node:assert/strict";
import { AnswerText, textResponse } from "../../../src/session/prompt/prompt_run_stream.ts";
import type { TurnEvent } from "../../../src/session/mod.ts";
import { test } from "../../_harness.ts";

const at = { threadId: "t", turnId: "u" };
type Message = { id: string; text: string; phase?: "commentary" | "final_answer" };
const item = ({ id, text, phase }: Message) => ({
  type: "agentMessage" as const,
  id,
  text,
  ...(phase === undefined ? {} : { phase }),
});
const started = (id: string, phase?: Message["phase"]): TurnEvent => ({
  type: "itemStarted",
  ...at,
  item: item({ id, text: "", ...(phase === undefined ? {} : { phase }) }),
});
const completed = (message: Message): TurnEvent => ({
  type: "itemCompleted",
  ...at,
  item: item(message),
});
const delta = (itemId: string, delta: string, threadId = "t"): TurnEvent => ({
  type: "assistantMessageDelta",
  ...at,
  threadId,
  itemId,
  delta,
});

interface Prompt {
  events: TurnEvent[];
  answer?: string | Error;
}

function prompt({ events, answer = "" }: Prompt) {
  const state = { left: 0 };
  return {
    state,
    threadId: "t",
    finish: () =>
      answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ assistantText: answer }),
    [Symbol.asyncIterator]: (): AsyncIterator<TurnEvent> => {
      const rest = events[Symbol.iterator]();
      return {
        next: () => Promise.resolve(rest.next()),
        return: () => {
          state.left++;
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}

const CASES: [name: string, events: TurnEvent[], answer: string, text: string[]][] = [
  [
    "deltas",
    [started("a"), delta("a", "He"), delta("a", "llo"), completed({ id: "a", text: "Hello" })],
    "Hello",
    ["He", "llo"],
  ],
  [
    "deltas that were lost come with the completion",
    [delta("a", "He"), completed({ id: "a", text: "Hello" })],
    "Hello",
    ["He", "llo"],
  ],
  [
    "deltas that were lost in the middle: the whole is told as another message",
    [delta("a", "He"), delta("a", "o"), completed({ id: "a", text: "Hello" })],
    "Hello",
    ["He", "o", "\n\nHello"],
  ],
  [
    "a completion that says less than was told tells nothing",
    [delta("a", "Hello"), completed({ id: "a", text: "ell" })],
    "ell",
    ["Hello"],
  ],
  ["no deltas at all", [completed({ id: "a", text: "Hello" })], "Hello", ["Hello"]],
  [
    "a completion under another id",
    [delta("0", "Hello"), completed({ id: "a", text: "Hello" })],
    "Hello",
    ["Hello"],
  ],
  [
    "commentary is left out",
    [
      started("a", "commentary"),
      delta("a", "Hm"),
      completed({ id: "a", text: "Hm", phase: "commentary" }),
      delta("b", "Yes"),
      completed({ id: "b", text: "Yes" }),
    ],
    "Yes",
    ["Yes"],
  ],
  [
    "nothing but commentary is the answer",
    [
      started("a", "commentary"),
      delta("a", "Hm"),
      completed({ id: "a", text: "Hm", phase: "commentary" }),
    ],
    "Hm",
    ["Hm"],
  ],
  [
    "an id that recurs is another message",
    [
      delta("a", "One"),
      completed({ id: "a", text: "One" }),
      delta("a", "Two"),
      completed({ id: "a", text: "Two" }),
    ],
    "Two",
    ["One", "\n\nTwo"],
  ],
  [
    "the answer comes as it is said under the id of commentary as well",
    [
      started("a", "commentary"),
      delta("a", "Hm"),
      completed({ id: "a", text: "Hm", phase: "commentary" }),
      started("a", "final_answer"),
      delta("a", "Y"),
      delta("a", "es"),
      completed({ id: "a", text: "Yes", phase: "final_answer" }),
    ],
    "Yes",
    ["Y", "es"],
  ],
  [
    "messages that overlap",
    [
      delta("a", "O"),
      delta("b", "T"),
      completed({ id: "a", text: "O" }),
      completed({ id: "b", text: "Two" }),
    ],
    "Two",
    ["O", "\n\nT", "wo"],
  ],
  [
    "a try that was cut stays",
    [delta("a", "cut o"), delta("b", "Well"), completed({ id: "b", text: "Well" })],
    "Well",
    ["cut o", "\n\nWell"],
  ],
  [
    "what an agent of the agent says is not the answer",
    [delta("x", "psst", "other"), delta("a", "Yes")],
    "Yes",
    ["Yes"],
  ],
  ["empty deltas are not told", [delta("a", ""), delta("a", "Yes")], "Yes", ["Yes"]],
];

for (const [name, events, answer, text] of CASES) {
  test(`text(): ${name}`, async () => {
    const { state, ...read } = prompt({ events, answer });
    const told: string[] = [];
    for await (const piece of new AnswerText(read)) told.push(piece);
    assert.deepEqual(told, text);
    assert.equal(state.left, 0);
  });
}

test("text(): the turn's error comes after the text, and breaks a response off", async () => {
  const events = [delta("a", "Hal")];
  const answer = new Error("failed");
  const text = new AnswerText(prompt({ events, answer }));
  assert.deepEqual(await text.next(), { done: false, value: "Hal" });
  await assert.rejects(text.next(), answer);
  assert.deepEqual(await text.next(), { done: true, value: undefined });
  await assert.rejects(textResponse(new AnswerText(prompt({ events, answer }))).text(), /failed/);
});

test("leaving before the first text leaves the turn, and nothing is read ahead", async () => {
  const unread = prompt({ events: [delta("a", "Yes")] });
  const text = new AnswerText(unread);
  await text.return();
  assert.equal(unread.state.left, 1);
  assert.deepEqual(await text.next(), { done: true, value: undefined });

  let read = 0;
  const values = {
    next: () => Promise.resolve({ done: false as const, value: `${read++}` }),
    return: () => Promise.resolve({ done: true as const, value: undefined }),
  };
  const response = textResponse(values);
  assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(read, 0);
  const reader = response.body!.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "0");
  assert.equal(read, 1);
  await reader.cancel();
});
