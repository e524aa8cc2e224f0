import assert from "node:assert/strict";
import { checkAnswer, checkCall, checkNotification } from "../../../src/protocol/check_call.ts";
import { RpcValidationError } from "../../../src/errors/mod.ts";
import { findExperimental } from "../../../src/protocol/validator.ts";
import { methodsOfKind } from "../../../src/protocol/inventory.ts";
import { test } from "../../_harness.ts";
import { sampleParams, sampleResult } from "../protocol/_sample.ts";

const SECRET = "sk-never-in-a-message";
const textInput = [{ type: "text", text: SECRET }];

/** The refusal of a call: its path, and what its message says. */
function refused(
  error: RpcValidationError | null,
  method: string,
  path: string,
  words: RegExp,
): void {
  assert.ok(error instanceof RpcValidationError, method);
  assert.equal(error.path, path);
  assert.match(error.message, words);
  assert.ok(!error.message.includes(SECRET), "a message shows no value");
}

test("a request that does not fit its schema is refused with the path of the field", () => {
  const cases: [string, unknown, string, RegExp][] = [
    ["turn/start", { threadId: "t", input: [{ type: SECRET }] }, "$.input[0].type", /expected one/],
    ["turn/start", { threadId: "t" }, "$.input", /got nothing/],
    ["turn/start", { threadId: 7, input: textInput }, "$.threadId", /expected string, got integer/],
    ["thread/start", { sandbox: SECRET }, "$.sandbox", /"read-only".*got another string/],
    ["thread/start", { sandBox: SECRET }, "$.sandBox", /did you mean `sandbox`/],
    ["thread/read", undefined, "$", /got nothing/],
    ["account/logout", { now: true }, "$", /expected no parameters/],
    ["thread/begin", {}, "$", /a method that this library knows; `requestUnchecked`/],
    ["initialized", {}, "$", /a method of another kind/],
    ["item/tool/call", {}, "$", /a method of another kind/],
    ["turn/started", {}, "$", /a method of another kind/],
  ];
  for (const [method, params, path, words] of cases) {
    const error = checkCall(method, params, false);
    refused(error, method, path, words);
    assert.equal(error?.subject, "params");
    assert.equal(error?.method, method);
  }
  const long = checkCall("x".repeat(1000), {}, false)!;
  assert.ok(long.message.length < 300);
});

test("requests with parameters that fit pass", () => {
  for (
    const [method, params] of [
      ["turn/start", { threadId: "t", input: textInput, model: undefined }],
      ["thread/start", {}],
      ["account/logout", undefined],
      ["account/logout", null],
      ["account/logout", {}],
      ["account/gatewayOAuth/read", undefined],
    ] as const
  ) assert.equal(checkCall(method, params, false), null, method);
});

test("every experimental method needs experimentalApi, no stable one does", () => {
  for (const { method, stability } of methodsOfKind("clientRequest")) {
    const params = sampleParams(method);
    assert.equal(checkCall(method, params, true), null, method);
    const without = checkCall(method, params, false);
    if (stability === "stable") assert.equal(without, null, method);
    else {refused(
        without,
        method,
        "$",
        /expected no experimental method; set `experimentalApi: true`/,
      );}
  }
});

test("findExperimental() finds fields that need the capability, and values that the server does not count", () => {
  const granular = { granular: { sandbox_approval: true, rules: true, mcp_elicitations: true } };
  const cases: [string, unknown, string | null][] = [
    ["thread/start", { cwd: "/w", sandbox: "read-only" }, null],
    ["thread/start", { dynamicTools: [] }, "$.dynamicTools"],
    ["thread/start", { dynamicTools: null }, null],
    ["thread/start", { dynamicTools: undefined }, null],
    ["thread/start", { experimentalRawEvents: true }, "$.experimentalRawEvents"],
    ["thread/start", { experimentalRawEvents: false }, null],
    ["thread/start", { daybreakEnabled: false }, "$.daybreakEnabled"],
    ["thread/start", { approvalPolicy: granular }, "$.approvalPolicy.granular"],
    [
      "turn/start",
      { threadId: "t", input: [], approvalPolicy: granular },
      "$.approvalPolicy.granular",
    ],
    ["turn/start", { threadId: "t", input: [], additionalContext: {} }, "$.additionalContext"],
    ["turn/start", { threadId: "t", input: textInput, approvalPolicy: "never" }, null],
    ["command/exec", { command: ["a"], permissionProfile: "p" }, "$.permissionProfile"],
    ["thread/resume", { threadId: "t", path: "/w/x.jsonl" }, "$.path"],
    ["thread/list", { projectId: "p" }, "$.projectId"],
    ["thread/list", { projectId: null }, "$.projectId"],
    ["thread/metadata/update", { threadId: "t", projectId: null }, null],
    [
      "thread/items/list",
      { threadId: "t", deferOutput: { commandExecution: true } },
      "$.deferOutput.commandExecution",
    ],
    ["memory/status", {}, "$"],
    ["no/such/method", {}, null],
    ["turn/started", {}, null],
    ["thread/start", "no object", null],
    ["account/logout", {}, null],
  ];
  for (const [method, params, path] of cases) {
    assert.equal(findExperimental(method, params), path, `${method} ${JSON.stringify(params)}`);
  }
  refused(
    checkCall("thread/start", { dynamicTools: [] }, false),
    "thread/start",
    "$.dynamicTools",
    /expected no experimental field; set `experimentalApi: true`/,
  );
  assert.equal(checkCall("thread/start", { dynamicTools: [] }, true), null);
});

test("notifications of the client pass, and those of newer servers; methods of another kind do not", () => {
  assert.equal(checkNotification("initialized", undefined, false), null);
  assert.equal(checkNotification("some/news", { any: 1 }, false), null);
  refused(
    checkNotification("initialized", { x: SECRET }, false),
    "initialized",
    "$",
    /no parameters/,
  );
  refused(checkNotification("turn/start", {}, false), "turn/start", "$", /another kind/);
  refused(checkNotification("turn/started", {}, false), "turn/started", "$", /another kind/);
});

test("an answer must hold what its type promises, and may hold more", () => {
  const good = sampleResult("thread/start") as Record<string, unknown>;
  assert.equal(checkAnswer("thread/start", good), null);
  assert.equal(checkAnswer("thread/start", { ...good, news: { any: 1 } }), null);
  assert.equal(checkAnswer("thread/start", { ...good, approvalPolicy: "a-newer-one" }), null);
  const { thread: _thread, ...bad } = good;
  const error = checkAnswer("thread/start", bad);
  refused(error, "thread/start", "$.thread", /thread\/start result: \$\.thread: .*got nothing/);
  assert.equal(error?.subject, "result");
  assert.equal(checkAnswer("no/such/method", 7), null);
});
