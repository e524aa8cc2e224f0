import assert from "node:assert/strict";
import { test } from "../../_harness.ts";
import { answerTypes } from "../../../src/protocol/generated/schema.ts";
import { methodsOfKind } from "../../../src/protocol/inventory.ts";
import { ANSWERS, definition, type Node, resolve } from "../../../src/protocol/table.ts";
import {
  type Issue,
  validateNotification,
  validateParams,
  validateResult,
  validateServerRequestParams,
  validateServerRequestResult,
} from "../../../src/protocol/validator.ts";
import { Random, sample, sampleParams, sampleResult } from "./_sample.ts";

type Case = [name: string, issue: Issue | null, path: string | null, expectation?: string];

function checkAll(cases: Case[]): void {
  for (const [name, issue, path, expectation] of cases) {
    assert.equal(issue?.path ?? null, path, `${name}: ${JSON.stringify(issue)}`);
    if (expectation !== undefined) assert.equal(issue?.expectation, expectation, name);
  }
}

const turn = (input: unknown, more: object = {}): Issue | null =>
  validateParams("turn/start", { threadId: "t", input, ...more });

test("validateParams() says where and why parameters do not fit", () => {
  checkAll([
    ["fits", turn([{ type: "text", text: "hi" }]), null],
    ["undefined is absent", turn([], { model: undefined }), null],
    ["null where nullable", turn([], { model: null }), null],
    [
      "missing field",
      validateParams("turn/start", { threadId: "t" }),
      "$.input",
      "expected array, got nothing",
    ],
    [
      "wrong type",
      validateParams("turn/start", { threadId: 5, input: [] }),
      "$.threadId",
      "expected string, got integer",
    ],
    ["not an object", validateParams("turn/start", "t"), "$", "expected object, got string"],
    [
      "nothing at all",
      validateParams("thread/list", undefined),
      "$",
      "expected object, got nothing",
    ],
    [
      "in an array",
      turn([{ type: "text", text: "a" }, { type: "text", text: 1 }]),
      "$.input[1].text",
      "expected string, got integer",
    ],
    ["no tag", turn([{ text: "a" }]), "$.input[0].type"],
    ["unknown variant", turn([{ type: "txt", text: "a" }]), "$.input[0].type"],
    ["not a string tag", turn([{ type: 1 }]), "$.input[0].type"],
    ["one of two fields", turn([{ type: "image" }]), "$.input[0]", "expected url, or fileId"],
    ["either field", turn([{ type: "image", url: "u" }]), null],
    [
      "closed enum",
      validateParams("thread/start", { sandbox: "readonly" }),
      "$.sandbox",
      'expected one of "read-only", "workspace-write", "danger-full-access", got another string',
    ],
    [
      "empty string",
      turn([], { effort: "" }),
      "$.effort",
      "expected non-empty string, got an empty string",
    ],
    [
      "fraction",
      validateParams("thread/list", { limit: 1.5 }),
      "$.limit",
      "expected non-negative integer, got fraction",
    ],
    [
      "negative",
      validateParams("thread/list", { limit: -1 }),
      "$.limit",
      "expected non-negative integer, got negative integer",
    ],
    [
      "not a number",
      validateParams("thread/list", { limit: NaN }),
      "$.limit",
      "expected non-negative integer, got a number that JSON cannot hold",
    ],
    ["external, string", validateParams("thread/start", { approvalPolicy: "never" }), null],
    [
      "external, unknown string",
      validateParams("thread/start", { approvalPolicy: "on-failure" }),
      "$.approvalPolicy",
    ],
    [
      "external, inside",
      validateParams("thread/start", { approvalPolicy: { granular: {} } }),
      "$.approvalPolicy.granular.mcp_elicitations",
      "expected boolean, got nothing",
    ],
    [
      "external, two keys",
      validateParams("thread/start", {
        approvalPolicy: { granular: sample("AskForApproval"), never: 1 },
      }),
      "$.approvalPolicy.granular",
    ],
    [
      "map",
      validateParams("command/exec", { command: ["ls"], env: { "A-B": 1 } }),
      '$.env["A-B"]',
      "expected string, got integer",
    ],
  ]);
});

test("validateParams() refuses fields that the server would silently ignore", () => {
  checkAll([
    [
      "another method's field",
      validateParams("thread/start", { sandboxPolicy: { type: "readOnly" } }),
      "$.sandboxPolicy",
      "expected no field of this name; did you mean `sandbox`?",
    ],
    [
      "misspelt",
      validateParams("thread/start", { approvalPolice: "never" }),
      "$.approvalPolice",
      "expected no field of this name; did you mean `approvalPolicy`?",
    ],
    [
      "snake case",
      validateParams("turn/start", { threadId: "t", input: [], output_schema: {} }),
      "$.output_schema",
      "expected no field of this name; did you mean `outputSchema`?",
    ],
    [
      "inside",
      turn([], { sandboxPolicy: { type: "workspaceWrite", excludeTmpDirEnv: true } }),
      "$.sandboxPolicy.excludeTmpDirEnv",
      "expected no field of this name; did you mean `excludeTmpdirEnvVar`?",
    ],
    [
      "free-form values stay free",
      validateParams("thread/start", { config: { "a.b": [1, { c: null }] } }),
      null,
    ],
    ["free-form schemas stay free", turn([], { outputSchema: { type: "object", x: 1 } }), null],
  ]);
});

test("validateParams() takes one of the keys of a choice, and no other beside it", () => {
  const granular = {
    sandbox_approval: true,
    rules: true,
    skill_approval: true,
    request_permissions: true,
    mcp_elicitations: true,
  };
  const asked = (approvalPolicy: unknown) => turn([], { approvalPolicy });
  checkAll([
    ["one", asked({ granular }), null],
    ["none", asked({}), "$.approvalPolicy"],
    ["another", asked({ other: granular }), "$.approvalPolicy"],
    ["one and another", asked({ granular, other: 1 }), "$.approvalPolicy"],
  ]);
});

test("validateParams() knows which methods exist and which take no parameters", () => {
  checkAll([
    [
      "unknown",
      validateParams("thread/begin", {}),
      "$",
      'expected a method of the client, got "thread/begin"',
    ],
    ["the server's", validateParams("turn/started", {}), "$"],
    [
      "a long name is cut",
      validateParams("x".repeat(500), {}),
      "$",
      `expected a method of the client, got "${"x".repeat(79)}…"`,
    ],
    ["none", validateParams("account/logout", undefined), null],
    ["null for none", validateParams("account/logout", null), null],
    ["empty for none", validateParams("account/logout", {}), null],
    [
      "some for none",
      validateParams("account/logout", { now: true }),
      "$",
      "expected no parameters",
    ],
    ["scalar for none", validateParams("account/logout", 5), "$", "expected no parameters"],
    ["optional", validateParams("account/rateLimits/read", undefined), null],
    ["notification", validateParams("initialized", undefined), null],
  ]);
});

test("what is received may hold unknown fields, values, variants and methods", () => {
  const item = (value: object): Issue | null =>
    validateNotification("item/completed", { threadId: "t", turnId: "u", item: value });
  const completed = (status: unknown, error: unknown = null): Issue | null =>
    validateNotification("turn/completed", {
      threadId: "t",
      turn: { id: "u", items: [], status, error },
    });
  checkAll([
    ["unknown method", validateNotification("codex/event/task_started", 5), null],
    ["unknown request", validateServerRequestParams("item/new/ask", 5), null],
    ["unknown result", validateResult("thread/new", 5), null],
    ["a request is no notification", validateNotification("item/tool/call", 5), null],
    ["unknown field", item({ type: "plan", id: "i", text: "x", colour: 1 }), null],
    ["unknown item type", item({ type: "hologram", id: "i" }), null],
    [
      "an item without an id",
      item({ type: "hologram" }),
      "$.item.id",
      "expected string, got nothing",
    ],
    ["an item without a type", item({ id: "i" }), "$.item.type"],
    [
      "a known item without its field",
      item({ type: "plan", id: "i" }),
      "$.item.text",
      "expected string, got nothing",
    ],
    [
      "a known item with a wrong field",
      item({ type: "plan", id: "i", text: null }),
      "$.item.text",
      "expected string, got null",
    ],
    ["unknown enum value", completed("paused"), null],
    ["no enum value", completed(3), "$.turn.status"],
    [
      "unknown error name",
      completed("failed", { message: "m", codexErrorInfo: "newTrouble" }),
      null,
    ],
    [
      "unknown error object",
      completed("failed", { message: "m", codexErrorInfo: { newTrouble: {} } }),
      null,
    ],
    [
      "known error object",
      completed("failed", {
        message: "m",
        codexErrorInfo: { httpConnectionFailed: { httpStatusCode: 401 } },
      }),
      null,
    ],
    [
      "broken error object",
      completed("failed", {
        message: "m",
        codexErrorInfo: { httpConnectionFailed: { httpStatusCode: "401" } },
      }),
      "$.turn.error.codexErrorInfo.httpConnectionFailed.httpStatusCode",
    ],
    ["error without message", completed("failed", {}), "$.turn.error.message"],
  ]);
});

test("what only newer servers send is not required", () => {
  const { codexHome: _home, platformFamily: _family, platformOs: _os, ...old } = sample(
    "InitializeResponse",
  ) as Record<string, unknown>;
  checkAll([
    ["0.104 initialize", validateResult("initialize", old), null],
    ["no user agent", validateResult("initialize", {}), "$.userAgent"],
    [
      "0.104 approval",
      validateServerRequestParams("item/fileChange/requestApproval", {
        threadId: "t",
        turnId: "u",
        itemId: "i",
      }),
      null,
    ],
    [
      "no item",
      validateServerRequestParams("item/fileChange/requestApproval", {
        threadId: "t",
        turnId: "u",
      }),
      "$.itemId",
    ],
    [
      "0.104 web search switch",
      validateResult("config/read", { config: { tools: { web_search: true } }, origins: {} }),
      null,
    ],
    [
      "a newer one",
      validateResult("config/read", { config: { tools: { web_search: {} } }, origins: {} }),
      null,
    ],
    [
      "neither",
      validateResult("config/read", { config: { tools: { web_search: 3 } }, origins: {} }),
      "$.config.tools.web_search",
      "expected object or null or boolean, got integer",
    ],
  ]);
});

test("validateServerRequestResult() lets no malformed decision out", () => {
  const command = (value: unknown): Issue | null =>
    validateServerRequestResult("item/commandExecution/requestApproval", value);
  checkAll([
    ["accept", command({ decision: "accept" }), null],
    [
      "amendment",
      command({ decision: { acceptWithExecpolicyAmendment: { execpolicy_amendment: ["ls"] } } }),
      null,
    ],
    ["unknown", command({ decision: "approved" }), "$.decision"],
    ["unknown object", command({ decision: { approve: {} } }), "$.decision"],
    ["none", command({}), "$.decision"],
    [
      "extra",
      command({ decision: "decline", reason: "no" }),
      "$.reason",
      "expected no field of this name",
    ],
    ["unknown request", validateServerRequestResult("item/new/ask", { a: 1 }), null],
  ]);
});

test("an issue never shows a value", () => {
  const secret = "sk-secret";
  const issues = [
    validateParams("thread/start", { sandbox: secret }),
    validateParams("thread/start", { approvalPolicy: secret }),
    validateParams("thread/start", { model: [secret] }),
    validateParams("turn/start", { threadId: "t", input: [{ type: secret }] }),
    validateParams("turn/start", { threadId: "t", input: secret }),
    validateParams("account/logout", { key: secret }),
    validateNotification("item/completed", secret),
  ];
  for (const issue of issues) {
    assert.ok(issue !== null);
    assert.ok(!JSON.stringify(issue).includes(secret), JSON.stringify(issue));
  }
});

test("a sample of every message fits its own type", () => {
  const random = new Random(7);
  for (let round = 0; round < 8; round++) {
    const options = round === 0 ? {} : { random, optional: round / 8 };
    const none = (issue: Issue | null, method: string): void =>
      assert.equal(issue, null, `${method}: ${JSON.stringify(issue)}`);
    for (const { method } of methodsOfKind("clientRequest")) {
      none(validateParams(method, sampleParams(method, options)), method);
      none(validateResult(method, sampleResult(method, options)), method);
    }
    for (const { method } of methodsOfKind("serverRequest")) {
      none(validateServerRequestParams(method, sampleParams(method, options)), method);
      none(validateServerRequestResult(method, sampleResult(method, options)), method);
    }
    for (const { method } of methodsOfKind("serverNotification")) {
      none(validateNotification(method, sampleParams(method, options)), method);
    }
  }
});

test("the table of answers has each request of the server, and all that their answers refer to", () => {
  const requests = methodsOfKind("serverRequest");
  assert.deepEqual(
    answerTypes,
    Object.fromEntries(requests.map(({ method, result }) => [method, result])),
  );
  const seen = new Set<Node>();
  const visit = (type: Node): void => {
    // Throws for what the table does not have.
    const node = resolve(type);
    if (seen.has(node)) return;
    seen.add(node);
    const inner = [...node.nodes, ...node.alternatives, ...node.by.values(), node.rest];
    for (const child of inner) if (child !== null) visit(child);
  };
  for (const { result } of requests) visit(definition(result!, ANSWERS));
  assert.ok(seen.size > requests.length);
});
