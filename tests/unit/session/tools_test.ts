import assert from "node:assert/strict";
import { parseRequest } from "../../../src/approvals/request/parse_request.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { toolFacts, toolOutcome } from "../../../src/approvals/request/tool_facts.ts";
import { HookRun } from "../../../src/plugin/hook_run.ts";
import { mergeHooks } from "../../../src/plugin/validate.ts";
import { SessionEvents } from "../../../src/session/events/session_events.ts";
import type { HookContext } from "../../../src/plugin/types.ts";
import type { EffectivePolicy } from "../../../src/permissions/mod.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { MAX_TOOL_TEXT, runTool } from "../../../src/session/prompt/run_tool.ts";
import { toolSpecsOf } from "../../../src/session/mcp/begun_with.ts";
import { type DynamicTool, toolsKind } from "../../../src/session/prompt/tools.ts";
import { SessionGate } from "../../../src/session/policy/session_gate.ts";
import { isToolItem } from "../../../src/approvals/mod.ts";
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

function cyclic(): unknown {
  const one = { a: 1 };
  const value: Record<string, unknown> = {};
  const map = new Map<string, unknown>();
  map.set("self", map);
  return Object.assign(value, { self: value, map, twice: [one, one] });
}

const GIF = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

test("what a tool gives back is shaped for the server", async () => {
  const text = (value: string, success = true) => ({
    contentItems: [{ type: "inputText", text: value }],
    success,
  });
  const table: [unknown, unknown][] = [
    ["plain", text("plain")],
    [undefined, text("")],
    [null, text("null")],
    [{ a: [1] }, text('{"a":[1]}')],
    [7, text("7")],
    [Promise.resolve("later"), text("later")],
    [{ content: [{ type: "text", text: "x" }] }, text("x")],
    [{ content: [{ type: "image", url: `${GIF}\n` }], success: false }, {
      contentItems: [{ type: "inputImage", imageUrl: GIF }],
      success: false,
    }],
    [{ content: "is data here" }, text('{"content":"is data here"}')],
    // What JSON has no words for has a text of its own.
    [10n ** 20n, text('"100000000000000000000"')],
    [{ n: NaN, big: 2n, none: undefined }, text('{"n":"NaN","big":"2"}')],
    [new Map([["a", new Set([1, new Map([["b", 2]])])]]), text('{"a":[1,{"b":2}]}')],
    [new Map([[{ k: 1 }, 2]]), text('[[{"k":1},2]]')],
    [new Date(0), text('"1970-01-01T00:00:00.000Z"')],
    [[new Date(NaN)], text('["Invalid Date"]')],
    [new Uint8Array([1, 2, 3]), text('"AQID"')],
    [{ bytes: new Uint8Array([1, 2, 3]).buffer, re: /x/g }, text('{"bytes":"AQID","re":"/x/g"}')],
    [
      new TypeError("odd", { cause: new Error("why") }),
      text(
        '{"name":"TypeError","message":"odd","cause":{"name":"Error","message":"why"}}',
      ),
    ],
    [
      new AggregateError([new Error("one")], "many"),
      text(
        '{"name":"AggregateError","message":"many","errors":[{"name":"Error","message":"one"}]}',
      ),
    ],
    [[Object(1n), Object(2), Object("s"), Object(true)], text('["1",2,"s",true]')],
    [
      { content: [{ type: "text", text: "as MCP says it" }], isError: true },
      text("as MCP says it", false),
    ],
    [new (class Empty {})(), text("{}")],
    [cyclic(), text('{"self":"[circular]","map":{"self":"[circular]"},"twice":[{"a":1},{"a":1}]}')],
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
    nothing: tool(() => () => 1),
    badPart: tool(() => ({ content: [{ type: "text", text: 7 }] })),
    response: tool(() => new Response("the page")),
    promise: tool(() => ({ later: Promise.resolve(1) })),
    unspeakable: tool(() => {
      throw Object.create(null);
    }),
    trap: tool(() => {
      throw new Proxy({}, { getPrototypeOf: () => assert.fail("looked at") });
    }),
    badToJson: tool(() => ({
      toJSON() {
        throw new Error("no words");
      },
    })),
  };
  for (
    const [name, words] of [
      ["throws", /no disk/],
      ["rejects", /odd/],
      ["nothing", /a function/],
      ["badPart", /content\[0\]\.text must be a string, received a number/],
      ["response", /of the kind Response, which has no text/],
      ["promise", /of the kind Promise/],
      ["unspeakable", /has no text/],
      ["trap", /has no text/],
      ["badToJson", /no words/],
      [
        "missing",
        /no tool named missing/,
      ],
      ["toString", /no tool named/],
    ] as const
  ) {
    const { response } = await runTool(tools, name, {}, CONTEXT);
    assert.equal(response["success"], false, name);
    assert.match(JSON.stringify(response), words, name);
  }
});

test("what a tool threw is told to its script without what looks like a secret", async () => {
  const t = tool(() => {
    throw new Error("GET https://me:hunter2hunter2@example.org?api_key=hunter2hunter2: refused");
  });
  const { error } = await runTool({ t }, "t", {}, CONTEXT);
  assert.match(String(error), /example\.org/);
  assert.doesNotMatch(String(error), /hunter2/);
});

test("what a model or a tool said wrong does not fill its context", async () => {
  const long = "x".repeat(1_000_000);
  const standard = {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      validate: () => ({ issues: Array.from({ length: 100 }, () => ({ message: long })) }),
    },
  };
  const tools = {
    misfit: { ...tool(() => ""), inputSchema: standard },
    loud: tool(() => {
      throw new Error(long);
    }),
  };
  for (const [name, most] of [["misfit", 20_000], ["loud", 201_000]] as const) {
    const { response } = await runTool(tools, name, {}, CONTEXT);
    assert.ok(JSON.stringify(response).length < most, name);
  }
});

test("no tool begins when its turn has ended while its arguments were checked", async () => {
  const over = new AbortController();
  let ran = 0;
  const validate = async (value: unknown) => {
    await Promise.resolve();
    over.abort();
    return { value };
  };
  const slow = { "~standard": { version: 1 as const, vendor: "test", validate } };
  const tools = { t: { ...tool(() => ++ran), inputSchema: slow } };
  const context = { ...CONTEXT, signal: over.signal };
  const { response, error } = await runTool(tools, "t", {}, context);
  assert.deepEqual([ran, response["success"], error], [0, false, null]);
});

test("arguments that do not fit go back to the model with the reason, and never reach run", async () => {
  const standard = {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      validate: (value: unknown) =>
        Promise.resolve(
          (value as { n?: unknown }).n === 1
            ? { value: { n: "converted" } }
            : { issues: [{ message: "not one", path: ["n"] }] },
        ),
    },
  };
  const json = {
    type: "object",
    properties: {
      n: { type: "number" },
      list: { type: "array", prefixItems: [{ type: "string" }], items: { type: "number" } },
    },
    patternProperties: { "^x-": { type: "boolean" } },
    required: ["n"],
    additionalProperties: false,
    if: { properties: { n: { const: 2 } } },
    then: { required: ["list"] },
    not: { properties: { n: { const: 3 } } },
    dependentRequired: { list: ["x-y"] },
    propertyNames: { maxLength: 4 },
  };
  const table: [object, JsonValue, RegExp | unknown][] = [
    [standard, { n: 1 }, { n: "converted" }],
    [standard, { n: 2 }, /\$\.n: not one/],
    [json, { n: 1 }, { n: 1 }],
    [json, { n: "1" }, /\$\.n: expected number, got string/],
    [json, {}, /expected the key "n"/],
    [json, "text", /\$: expected object, got string/],
    [json, { n: 1, more: 1 }, /no key "more"/],
    [json, { n: 2 }, /expected the key "list"/],
    [json, { n: 3 }, /not to fit/],
    [json, { n: 1, list: ["a", 2] }, /expected the key "x-y" beside "list"/],
    [json, { n: 1, list: ["a", "b"], "x-y": true }, /\$\.list\[1\]: expected number/],
    [json, { n: 1, list: [1], "x-y": true }, /\$\.list\[0\]: expected string/],
    [json, { n: 1, "x-y": 1 }, /expected boolean/],
    [json, { n: 1, "x-yyyy": true }, /"x-yyyy"/],
    [json, { n: 2, list: ["a", 2], "x-y": true }, { n: 2, list: ["a", 2], "x-y": true }],
  ];
  for (const [inputSchema, args, expected] of table) {
    let seen: unknown = "nothing";
    const t = { description: "d", inputSchema, run: (given: unknown) => void (seen = given) };
    const { response, error } = await runTool({ t }, "t", args, CONTEXT);
    assert.equal(error, null);
    if (expected instanceof RegExp) {
      assert.equal(seen, "nothing", JSON.stringify(args));
      assert.equal(response["success"], false);
      assert.match(JSON.stringify(response), /did not run/);
      assert.match((response["contentItems"] as { text: string }[])[0]!.text, expected);
    } else assert.deepEqual(seen, expected);
  }
});

test("a result that is too large is cut, and its author is told", async () => {
  const long = "x".repeat(MAX_TOOL_TEXT + 5);
  for (
    const output of [long, {
      content: [{ type: "text", text: "ab" }, { type: "text", text: long }],
    }]
  ) {
    const { response, notice } = await runTool({ t: tool(() => output) }, "t", {}, CONTEXT);
    const text = (response["contentItems"] as { text: string }[]).map((item) => item.text).join("");
    assert.ok(text.length < MAX_TOOL_TEXT + 200);
    assert.match(text, /\[cut here: \d of \d+ characters are left out\]$/);
    assert.match(notice!, /gave back more than 200000 characters; \d were left out/);
  }
  const whole = await runTool({ t: tool(() => long.slice(5)) }, "t", {}, CONTEXT);
  assert.equal(whole.notice, null);
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
    const after = toolOutcome(item, { threadId: "T", turnId: "U" });
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
    const changed = toolOutcome(change, { threadId: "T", turnId: "U" });
    assert.equal(changed.toolName, "apply_patch");
    assert.ok(changed.diff !== undefined && changed.changes!.length === 1);
  });
}

test("messages and reasoning are no tool use; MCP and dynamic tools are", () => {
  const place = { threadId: "T", turnId: null };
  for (const type of ["agentMessage", "reasoning"]) assert.equal(isToolItem({ type }), false);
  const mcp = { type: "mcpToolCall", id: "c", server: "s", tool: "t", arguments: { a: 1 } };
  assert.ok(isToolItem(mcp));
  assert.equal(toolOutcome(mcp, place).toolName, "s/t");
  // Tools of this process that codex reaches as an MCP server of ours are this process's; all others are not.
  assert.equal(toolOutcome(mcp, place, "ours").toolKind, "mcpTool");
  const ours = toolOutcome(mcp, place, "s");
  assert.deepEqual([ours.toolKind, ours.toolName], ["dynamicTool", "t"]);
  const dynamic = { type: "dynamicToolCall", id: "d", tool: "look", status: "failed" };
  assert.ok(isToolItem(dynamic));
  assert.equal(toolOutcome(dynamic, place).toolStatus, "failed");
});

function gate(tools: Record<string, DynamicTool> = {}, hooked = false): SessionGate {
  return new SessionGate({
    core: { approvals: {}, routes: {} } as unknown as RuntimeCore,
    turns: { threadId: "T", active: null, last: null, get: () => undefined } as never,
    countSubAgent: () => {},
    events: new SessionEvents(),
    toolsServer: null,
    tools,
    approvals: undefined,
    hooked: () => hooked,
    refuses: () => Promise.resolve(null),
    settings: {
      profile: { timeoutMs: 60_000 },
      policy: { acceptedCommands: "mayLeave" },
      sent: { sandbox: { type: "readOnly" } } as EffectivePolicy,
      kept: new Set(),
      agents: new Set(),
    },
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

test("an image that is too large is told to the model in the place of the result", async () => {
  const image = (length: number) => ({
    content: [{ type: "image" as const, url: "x".repeat(length) }],
  });
  const run = (length: number) => runTool({ t: tool(() => image(length)) }, "t", {}, CONTEXT);
  assert.doesNotMatch(JSON.stringify(await run(1_000)), /is an image of more than/);
  const { response } = await run(64 * 1024 * 1024);
  assert.equal(response["success"], false);
  assert.match(JSON.stringify(response), /is an image of more than/);
  // Text has a limit of its own, at which it is cut.
  const text = { content: [{ type: "text" as const, text: "x".repeat(64 * 1024 * 1024) }] };
  const cut = await runTool({ t: tool(() => text) }, "t", {}, CONTEXT);
  assert.equal(cut.response["success"], true);
});

test("an image that codex would leave out is the tool's failure, and its author is told", async () => {
  for (
    const url of ["https://x.example/a.png", "file:///a.png", "data:image/gif;base64,AAAA", "a.png"]
  ) {
    const result = {
      content: [{ type: "text" as const, text: "x" }, { type: "image" as const, url }],
    };
    const { response, error } = await runTool({ t: tool(() => result) }, "t", {}, CONTEXT);
    assert.equal(response["success"], false);
    assert.match(String(error), /`url` must be a PNG, JPEG, GIF or WebP image/);
    assert.doesNotMatch(JSON.stringify([response, String(error)]), /example|AAAA/);
  }
});

test("toolSpecsOf() refuses a pattern that no call can be held against in bounded time", async () => {
  const inputSchema = {
    type: "object",
    properties: {
      pattern: { type: "string", pattern: "(a)\\1" },
      default: { enum: [{ pattern: "(a)\\1" }] },
    },
  };
  const run = () => "x";
  await assert.rejects(toolSpecsOf({ look: { description: "d", inputSchema, run } }), {
    name: "InvalidArgumentError",
    message: /look\.inputSchema\.properties\.pattern\.pattern: a back reference/,
  });
  for (
    const [unchecked, path] of [
      [{ $ref: "Node" }, /a\.\$ref: an outer reference can't/],
      [{ $ref: "#/$defs/no" }, /a\.\$ref: an outer reference can't/],
      ...[
        "unevaluatedProperties",
        "unevaluatedItems",
        "dependencies",
        "dependentSchemas",
        "minContains",
        "maxContains",
        "$dynamicRef",
        "$recursiveRef",
      ].map((key) =>
        [{ [key]: {} }, new RegExp(`a\\.${key.replace("$", "\\$")}: it can't`)] as const
      ),
      [{ patternProperties: { "(?P<x>a)": {} } }, /patternProperties: what is no RegExp can't/],
    ] as const
  ) {
    const schema = { type: "object", properties: { a: unchecked } };
    await assert.rejects(
      toolSpecsOf({ look: { description: "d", inputSchema: schema, run } }),
      path,
    );
  }
  inputSchema.properties.pattern.pattern = "^(a+)+$";
  const tools = { look: { description: "d", inputSchema, run } };
  assert.equal((await toolSpecsOf(tools)).length, 1);
  const { response } = await runTool(tools, "look", { pattern: "a".repeat(9999) + "!" }, CONTEXT);
  assert.equal(response["success"], false);
});

test("toolSpecsOf() takes schemas of objects, and not the members of one alone", async () => {
  const run = () => "x";
  const string = {
    "~standard": { version: 1, vendor: "v", validate: (value: unknown) => ({ value }) },
  };
  const specOf = async (inputSchema: object) =>
    (await toolSpecsOf({ look: { description: "d", inputSchema, run } }))[0]!.inputSchema;
  const properties = { id: { type: "string" } };
  const $defs = { A: { type: "object" } };
  const taken: [object, object][] = [
    [{}, { type: "object" }],
    [{ properties }, { type: "object", properties }],
    [{ type: "object", properties }, { type: "object", properties }],
    // Providers refuse alternatives at the root.
    [{ anyOf: [{ type: "object" }] }, { type: "object", properties: {} }],
    [
      { type: "object", properties, anyOf: [{ required: ["id"] }, { required: ["name"] }] },
      { type: "object", properties },
    ],
    [
      {
        oneOf: [{ properties: { kind: { const: "a" } } }, {
          allOf: [{ properties }, { properties: { kind: { const: "b" }, n: { type: "number" } } }],
        }],
        $defs: { A: { type: "object", properties: { kind: { const: "a" } } } },
      },
      {
        type: "object",
        properties: {
          kind: { anyOf: [{ const: "a" }, { const: "b" }] },
          ...properties,
          n: { type: "number" },
        },
        $defs: { A: { type: "object", properties: { kind: { const: "a" } } } },
      },
    ],
    [
      { anyOf: [{ $ref: "#" }, { properties }] },
      { type: "object", properties },
    ],
    // Codex tells places of an array as strings, and takes no list of them.
    ...["prefixItems", "items"].map((places): [JsonObject, JsonObject] => {
      const [n, s] = [{ type: "number" }, { type: "string" }];
      const told = (items: JsonObject) => ({ type: "array", items, maxItems: 2 });
      return [
        {
          properties: {
            at: { type: "array", [places]: [n, n], maxItems: 2 },
            pair: { type: "array", [places]: [s, n], maxItems: 2 },
          },
        },
        { type: "object", properties: { at: told(n), pair: told({ anyOf: [s, n] }) } },
      ];
    }),
    [
      {
        properties: {
          rest: { prefixItems: [string], items: { type: "number" } },
          any: { prefixItems: [string, true] },
        },
      },
      {
        type: "object",
        properties: {
          rest: { items: { anyOf: [string, { type: "number" }] } },
          any: { prefixItems: [string, true] },
        },
      },
    ],
    [
      {
        properties: { list: { items: [{ type: "string" }], additionalItems: { type: "number" } } },
      },
      {
        type: "object",
        properties: { list: { items: { anyOf: [{ type: "string" }, { type: "number" }] } } },
      },
    ],
    [
      { properties: { any: { type: "array" }, or: { type: ["array", "null"] } } },
      {
        type: "object",
        properties: {
          any: { type: "array", items: {} },
          or: { type: ["array", "null"], items: {} },
        },
      },
    ],
    // And what is in no `anyOf`, before 0.136.
    [
      { properties: { oneOf: { oneOf: [{ type: "null" }, { oneOf: [], anyOf: [] }] } } },
      {
        type: "object",
        properties: { oneOf: { anyOf: [{ type: "null" }, { oneOf: [], anyOf: [] }] } },
      },
    ],
    // So it tells values that have no type.
    [
      { properties: { a: { enum: [1, 2] }, b: { const: true }, c: { enum: ["x", null] } } },
      {
        type: "object",
        properties: {
          a: { type: "number", enum: [1, 2] },
          b: { type: "boolean", const: true },
          c: { type: ["string", "null"], enum: ["x", null] },
        },
      },
    ],
    [
      { properties: { const: { type: "string" }, enum: { type: "number" } } },
      { type: "object", properties: { const: { type: "string" }, enum: { type: "number" } } },
    ],
    // Codex before 0.136 tells of a string where a reference is, and of no members at the root.
    [{ $ref: "#/$defs/A", $defs }, { type: "object", $defs }],
    [
      {
        $ref: "#/$defs/T",
        $defs: { T: { properties: { ...properties, t: { $ref: "#/$defs/T" } } } },
      },
      {
        type: "object",
        properties: { ...properties, t: { $ref: "#/$defs/T" } },
        $defs: { T: { properties: { ...properties, t: { $ref: "#/$defs/T" } } } },
      },
    ],
    [
      { properties: { a: { description: "d", $ref: "#/$defs/A" } }, $defs },
      { type: "object", properties: { a: { description: "d", type: "object" } }, $defs },
    ],
    [
      { anyOf: [{ $ref: "#/$defs/B" }], $defs: { B: { properties } } },
      { type: "object", properties, $defs: { B: { properties } } },
    ],
  ];
  const long = {
    properties: Object.fromEntries("abcdef".split("").map((name) => [name, { $ref: "#/$defs/L" }])),
  };
  const n = { type: "number" };
  const grown = (items: JsonValue) => ({
    ...long,
    $defs: { L: { type: "array", items, description: "x".repeat(2_000) } },
  });
  assert.deepEqual(await specOf(grown([n, n])), { type: "object", ...grown(n) });
  // What stays small may grow by more.
  const { properties: small } = await specOf({
    ...long,
    $defs: { L: { enum: ["x".repeat(200)] } },
  });
  assert.doesNotMatch(JSON.stringify(small), /\$ref/);
  // Written out, each of these would be twice as long as the one before.
  const two = (n: number) => ({
    properties: { a: { $ref: `#/$defs/${n}` }, b: { $ref: `#/$defs/${n}` } },
  });
  const defs = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [n, two((n + 1) % 30)]));
  const endless = { ...two(0), $defs: defs };
  assert.deepEqual(Object.keys(await specOf(endless)).sort(), ["$defs", "properties", "type"]);
  for (const [given, told] of taken) assert.deepEqual(await specOf(given), told);
  const refused = [
    properties,
    // As the Claude Agent SDK and MCP's take it: a validator for each member.
    { id: { ...string, toJSONSchema: () => ({ type: "string" }) } },
    { type: "string" },
    { type: "Object", properties },
    { $ref: "#/$defs/S", $defs: { S: { type: "string" } } },
    { ...string, toJSONSchema: () => ({ type: "string" }) },
  ];
  for (const each of refused) {
    await assert.rejects(specOf(each), {
      name: "InvalidArgumentError",
      message: /`look\.inputSchema` must be a schema of an object.*Write `z\.object\(\{ … \}\)`/,
    });
  }
});

test("a tool that codex would run as its own is refused by its name", () => {
  const tool: DynamicTool = { description: "x", inputSchema: {}, run: () => "" };
  for (const name of ["shell", "request_user_input", "create_goal", "get_goal", "update_goal"]) {
    assert.match(toolsKind.misfit({ [name]: tool }, "tools")!.received!, /that codex has itself/);
  }
  assert.equal(toolsKind.misfit({ request_input: tool }, "tools"), null);
});
