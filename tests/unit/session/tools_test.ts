import assert from "node:assert/strict";
import { parseRequest } from "../../../src/approvals/request/parse_request.ts";
import type { JsonObject } from "../../../src/json.ts";
import { toolFacts } from "../../../src/approvals/request/tool_facts.ts";
import { HookRun } from "../../../src/plugin/hook_run.ts";
import { mergeHooks } from "../../../src/plugin/merge.ts";
import { SessionEvents } from "../../../src/session/events/session_events.ts";
import type { HookContext } from "../../../src/plugin/types.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import type { DynamicTool } from "../../../src/session/prompt/dynamic_tool.ts";
import { runTool } from "../../../src/session/prompt/run_tool.ts";
import { SessionGate } from "../../../src/session/policy/session_gate.ts";
import { toolOutcome } from "../../../src/session/policy/tool_facts.ts";
import { test } from "../../_harness.ts";
import { DIALECTS, recorded } from "../../_transcripts.ts";

const CONTEXT = {
  signal: new AbortController().signal,
  threadId: "T",
  turnId: "U",
  callId: "C",
};

function tool(run: DynamicTool["run"]): DynamicTool {
  return { description: "d", inputSchema: {}, run };
}

test("what a tool gives back is shaped for the server", async () => {
  const text = (value: string, success = true) => ({
    contentItems: [{ type: "inputText", text: value }],
    success,
  });
  const table: [ReturnType<DynamicTool["run"]>, unknown][] = [
    ["plain", text("plain")],
    [undefined, text("")],
    [null, text("null")],
    [{ a: [1] }, text('{"a":[1]}')],
    [7, text("7")],
    [Promise.resolve("later"), text("later")],
    [{ content: [{ type: "text", text: "x" }] }, text("x")],
    [{ content: [{ type: "image", url: "data:," }], success: false }, {
      contentItems: [{ type: "inputImage", imageUrl: "data:," }],
      success: false,
    }],
    [{ content: "is data here" }, text('{"content":"is data here"}')],
  ];
  for (const [output, expected] of table) {
    const { response, error } = await runTool({ t: tool(() => output) }, "t", {}, CONTEXT);
    assert.deepEqual(response, expected);
    assert.equal(error, null);
  }
});

test("a failing or missing tool tells the model so and never rejects", async () => {
  const tools = {
    throws: tool(() => {
      throw new Error("no disk");
    }),
    rejects: tool(() => Promise.reject("odd")),
    cycle: tool(() => {
      const cycle: Record<string, unknown> = {};
      cycle["self"] = cycle;
      return cycle as never;
    }),
  };
  for (
    const [name, words] of [["throws", /no disk/], ["rejects", /odd/], ["cycle", /failed/], [
      "missing",
      /no tool named missing/,
    ], ["toString", /no tool named/]] as const
  ) {
    const { response } = await runTool(tools, name, {}, CONTEXT);
    assert.equal(response["success"], false, name);
    assert.match(JSON.stringify(response), words, name);
  }
});

test("a tool gets its arguments and knows its call", async () => {
  let seen: unknown;
  await runTool(
    { t: tool((args, context) => void (seen = [args, context])) },
    "t",
    { a: 1 },
    CONTEXT,
  );
  assert.deepEqual(seen, [{ a: 1 }, CONTEXT]);
});

for (const dialect of DIALECTS) {
  test(`hooks get the real command, cwd and diff of ${dialect}, before and after`, () => {
    const asked = recorded(dialect, "command-accept", "item/commandExecution/requestApproval");
    const before = toolFacts(parseRequest(asked.method, asked.params), undefined);
    const { item } = recorded(
      dialect,
      "command-accept",
      "item/completed",
      (p) => p.item.type === "commandExecution",
    ).params;
    const after = toolOutcome(item, { threadId: "T", turnId: "U" })!;
    for (const facts of [before, after]) {
      assert.equal(facts.toolKind, "command");
      assert.ok(!/bash/.test(facts.toolName!), facts.toolName);
      assert.equal(facts.cwd, asked.params.cwd);
      assert.equal(facts.command, asked.params.command);
    }
    assert.deepEqual(after.argv, before.argv);
    assert.equal(after.toolStatus, "completed");
    assert.equal(after.exitCode, 0);
    const change = recorded(
      dialect,
      "patch-accept",
      "item/completed",
      (p) => p.item.type === "fileChange",
    ).params.item;
    const changed = toolOutcome(change, { threadId: "T", turnId: "U" })!;
    assert.equal(changed.toolName, "apply_patch");
    assert.ok(changed.diff !== undefined && changed.changes!.length === 1);
  });
}

test("messages and reasoning are no tool use; MCP and dynamic tools are", () => {
  const place = { threadId: "T", turnId: null };
  assert.equal(toolOutcome({ type: "agentMessage", id: "m", text: "" }, place), null);
  assert.equal(toolOutcome({ type: "reasoning", id: "r" }, place), null);
  const mcp = { type: "mcpToolCall", id: "c", server: "s", tool: "t", arguments: { a: 1 } };
  assert.equal(toolOutcome(mcp, place)!.toolName, "s/t");
  const dynamic = { type: "dynamicToolCall", id: "d", tool: "look", status: "failed" };
  assert.equal(toolOutcome(dynamic, place)!.toolStatus, "failed");
});

function gate(tools: Record<string, DynamicTool> = {}, hooked = false): SessionGate {
  return new SessionGate({
    core: { approvals: {}, routes: {} } as unknown as RuntimeCore,
    turns: () => ({ threadId: "T", active: null, last: null, get: () => undefined }) as never,
    countSubAgent: () => {},
    events: new SessionEvents(),
    tools,
    approvals: undefined,
    hooked: () => hooked,
    refuses: () => null,
    contained: () => false,
  });
}

function request(itemId = "I") {
  return parseRequest("item/commandExecution/requestApproval", {
    threadId: "T",
    turnId: "U",
    itemId,
    command: "ls",
    cwd: "/w",
  });
}

test("a question before any turn of ours is refused where hooks want a say", async () => {
  const { signal } = CONTEXT;
  assert.equal((await gate({}, true).preToolUse(request(), { signal })).type, "block");
  assert.equal((await gate({}, false).preToolUse(request(), { signal })).type, "continue");
});

test("post-hooks hear once of each tool use, asked about or not, and of calls without an item", async () => {
  const heard: HookContext[] = [];
  const hooks = new HookRun(mergeHooks({
    post: [{ name: "watch", phases: ["postToolUse"], call: (context) => void heard.push(context) }],
  }));
  const it = gate({ look: tool(() => "seen"), fail: tool(() => Promise.reject(new Error("x"))) });
  it.itemCompleted({ type: "commandExecution", id: "early", command: "ls" }, "T", "U");
  it.begin(hooks, true);
  const items: JsonObject[] = [
    { type: "agentMessage", id: "m", text: "x" },
    {
      type: "commandExecution",
      id: "c",
      command: "ls",
      cwd: "/w",
      status: "completed",
      exitCode: 2,
    },
    { type: "fileChange", id: "f", changes: [], status: "declined" },
    { type: "fileChange", id: "f", changes: [], status: "declined" },
    { type: "mcpToolCall", id: "p", server: "s", tool: "t", status: "completed" },
  ];
  for (const item of items) it.itemCompleted(item, "T", "U");
  const call = { namespace: null, arguments: {}, threadId: "T", turnId: "U" };
  await it.runTool({ ...call, tool: "look", callId: "l" }, CONTEXT);
  await it.runTool({ ...call, tool: "fail", callId: "x" }, CONTEXT);
  await it.postsDone;
  assert.deepEqual(
    heard.map(({ toolName, status }) => [toolName, status]),
    [["ls", "error"], ["apply_patch", "error"], ["s/t", "ok"], ["look", "ok"], ["fail", "error"]],
  );
  assert.equal(await it.runTool({ ...call, tool: "missing", callId: "y" }, CONTEXT), undefined);
});
