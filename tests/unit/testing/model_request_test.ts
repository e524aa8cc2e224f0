import assert from "node:assert/strict";
import type { JsonValue } from "../../../src/json.ts";
import { parseModelRequest } from "../../../src/testing/model/model_request.ts";
import type { ModelRequest } from "../../../src/testing/model/model_request_types.ts";
import { deltasOf } from "../../../src/testing/model/player.ts";
import { test } from "../../_harness.ts";

function parse(body: JsonValue | string): ModelRequest {
  return parseModelRequest(
    {
      method: "POST",
      path: "/v1/responses",
      headers: {},
      body: typeof body === "string" ? body : JSON.stringify(body),
      gone: new AbortController().signal,
    },
    0,
    new Date(0),
  );
}

const user = (text: string): JsonValue => ({
  type: "message",
  role: "user",
  content: [{ type: "input_text", text }],
});

test("parseModelRequest() reads thread and turn from the metadata or the cache key", () => {
  const metadata = { thread_id: "t", turn_id: "u" };
  const full = parse({ client_metadata: metadata, prompt_cache_key: "k" });
  assert.deepEqual([full.threadId, full.turnId], ["t", "u"]);
  const old = parse({ prompt_cache_key: "k" });
  assert.deepEqual([old.threadId, old.turnId], ["k", null]);
});

test("parseModelRequest() takes the last user message as the text", () => {
  const request = parse({
    instructions: "BASE",
    input: [
      { type: "message", role: "developer", content: [{ type: "input_text", text: "DEV" }] },
      user("<environment_context>"),
      user("the prompt"),
    ],
  });
  assert.equal(request.text, "the prompt");
  assert.deepEqual(request.userTexts, ["<environment_context>", "the prompt"]);
  assert.equal(request.instructions, "BASE\nDEV");
});

test("parseModelRequest() lists the tool outputs of the running turn only", () => {
  const output = (call_id: string, output: JsonValue): JsonValue => ({
    type: "function_call_output",
    call_id,
    output,
  });
  const request = parse({
    input: [
      user("a"),
      output("old", "x"),
      user("b"),
      { type: "function_call", call_id: "c1", name: "exec_command", arguments: "{}" },
      output("c1", "plain"),
      output("c2", { content: "wrapped", success: true }),
      {
        type: "custom_tool_call_output",
        call_id: "c3",
        output: [{ type: "input_text", text: "l" }],
      },
    ],
  });
  assert.deepEqual(request.toolOutputs, [
    { callId: "c1", text: "plain" },
    { callId: "c2", text: "wrapped" },
    { callId: "c3", text: "l" },
  ]);
});

test("parseModelRequest() names the offered tools, those of namespaces too", () => {
  const request = parse({
    tools: [
      { type: "function", name: "exec_command" },
      { type: "web_search" },
      { type: "namespace", name: "mcp", tools: [{ name: "ask" }] },
    ],
  });
  assert.deepEqual(request.tools, ["exec_command", "web_search", "mcp.ask"]);
});

test("parseModelRequest() survives anything", () => {
  for (
    const body of ["", "not json", "[]", "null", '{"input":7,"tools":"x"}', '{"input":[1,null]}']
  ) {
    const request = parse(body);
    assert.equal(request.text, "");
    assert.deepEqual(request.toolOutputs, []);
  }
});

test("deltasOf() splits by characters, never inside one", () => {
  const cases: [string | string[], number | undefined, string[]][] = [
    ["", undefined, []],
    ["", 3, []],
    ["abc", undefined, ["abc"]],
    ["abc", 2, ["ab", "c"]],
    ["a😀b", 1, ["a", "😀", "b"]],
    [["x", "", "y"], 1, ["x", "", "y"]],
  ];
  for (const [text, size, expected] of cases) assert.deepEqual(deltasOf(text, size), expected);
});
