/** What a fresh thread is told of a conversation that the AI SDK sends with a call. */
import assert from "node:assert/strict";
import { promptOf, readPrompt } from "../../../src/adapters/ai_sdk/conversation.ts";
import type { PromptMessage } from "../../../src/adapters/ai_sdk/model_types.ts";
import { test } from "../../_harness.ts";

/** What codex takes at once. */
const MOST = 1_048_576;

const turn = (asked: string, output: string, answer: string): PromptMessage[] => [
  { role: "user", content: [{ type: "text", text: asked }] },
  {
    role: "assistant",
    content: [
      { type: "tool-call", toolName: "shell", input: { command: "make" } },
      { type: "tool-result", toolName: "shell", output: { type: "json", value: { output } } },
      { type: "text", text: answer },
    ],
  },
];
const last: PromptMessage = { role: "user", content: [{ type: "text", text: "And now?" }] };

async function told(...messages: PromptMessage[][]): Promise<string> {
  const { text } = promptOf(await readPrompt([...messages.flat(), last]), false);
  assert.ok(text.length <= MOST, `${text.length} characters`);
  assert.ok(text.endsWith("And now?"));
  return text;
}

test("a fresh thread is told a history that is longer than codex takes", async () => {
  const log = `BEGIN${"x".repeat(400_000)}END`;
  const logs = await told(turn("one", log, "A"), turn("two", log, "B"), turn("three", log, "C"));
  for (const word of ["one", "two", "three", "make", "BEGIN", "END"]) {
    assert.ok(logs.includes(word), word);
  }
  assert.ok(!logs.includes("but for its beginning") && logs.length < 20_000);

  // Words are whole, or left out.
  const words = "w".repeat(600_000);
  const long = await told(turn("one", "", words), turn("two", "z", words), turn("three", "", "C"));
  assert.ok(long.includes("but for its beginning"));
  assert.ok(!long.includes('"one"') && long.includes('"two"') && long.includes(words));

  const many = Array.from({ length: 300 }, (_, at) => turn(`q${at}`, "o".repeat(4_000), `a${at}`));
  // Where there is no room for the tools of the beginning its words are told.
  const all = await told(...many);
  assert.ok(all.includes('"q0"') && all.includes('"a0"') && all.includes('"call":"shell"'));
});
