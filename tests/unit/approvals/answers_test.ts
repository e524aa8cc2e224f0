import assert from "node:assert/strict";
import type { ApprovalDecision, ApprovalRequest } from "../../../src/approvals/mod.ts";
import { checkServerRequestResult } from "../../../src/approvals/answers/answers.ts";
import { failClosedAnswer, wireAnswer } from "../../../src/approvals/answers/answers.ts";
import type { JsonValue } from "../../../src/json.ts";
import { methodsOfKind } from "../../../src/protocol/inventory.ts";
import { validateServerRequestResult } from "../../../src/protocol/validator.ts";
import { test } from "../../_harness.ts";
import {
  COMMAND,
  ELICITATION,
  MCP_APPROVAL,
  PARAMS,
  PATCH,
  PERMISSIONS,
  requestOf,
} from "./_requests.ts";

const USER_INPUT = "item/tool/requestUserInput";
const TOOL = "item/tool/call";
const AUTH = "account/chatgptAuthTokens/refresh";
const refusal = { denied: { rejection: "no" } };
const NEWEST = { serverVersion: "0.169.0" };

/** The answer that grants nothing, for each request. */
const CLOSED: Record<string, JsonValue> = {
  [COMMAND]: { decision: "decline" },
  [PATCH]: { decision: "decline" },
  [PERMISSIONS]: { permissions: {}, scope: "turn" },
  [USER_INPUT]: { answers: {} },
  [ELICITATION]: { action: "decline", content: null, _meta: null },
  [TOOL]: { success: false, contentItems: [{ type: "inputText", text: "no" }] },
  "currentTime/read": { currentTimeAt: 1_700_000_000 },
  "execCommandApproval": { decision: refusal },
  "applyPatchApproval": { decision: refusal },
};

test("failClosedAnswer() grants nothing, in the shape of each request", () => {
  assert.deepEqual(
    Object.keys(PARAMS).sort(),
    [...methodsOfKind("serverRequest").map((info) => info.method)].sort(),
  );
  for (const method of methodsOfKind("serverRequest").map((info) => info.method)) {
    const answer = failClosedAnswer(requestOf(method), "no", {
      ...NEWEST,
      now: new Date(1_700_000_000_999),
    });
    const expected = CLOSED[method];
    if (expected === undefined) {
      assert.equal(answer.type, "error", method);
      continue;
    }
    assert.ok(answer.type === "result", method);
    assert.deepEqual(answer.result, expected, method);
    assert.equal(checkServerRequestResult(method, answer.result), null, method);
    assert.equal(validateServerRequestResult(method, answer.result), null, method);
  }
  const unknown = failClosedAnswer(requestOf("future/ask"), "no");
  assert.ok(unknown.type === "error");
  assert.equal(unknown.code, -32601);
});

test("failClosedAnswer() uses the one-word refusal that old servers know, and where none is told", () => {
  for (const serverVersion of ["0.104.0", "0.168.0", null]) {
    const answer = failClosedAnswer(requestOf("execCommandApproval"), "no", { serverVersion });
    assert.ok(answer.type === "result");
    assert.deepEqual(answer.result, { decision: "denied" });
  }
});

const mcp = requestOf(ELICITATION, MCP_APPROVAL);
const form = requestOf(ELICITATION);
const url = requestOf(ELICITATION, { mode: "url", url: "https://a.b/c", requestedSchema: null });
const emptyForm = requestOf(ELICITATION, { requestedSchema: { type: "object", properties: {} } });
const permissions = requestOf(PERMISSIONS);
const network = requestOf(COMMAND, { networkApprovalContext: { host: "a.b", protocol: "https" } });
const asked = { network: { enabled: true }, fileSystem: { read: null, write: ["/extra"] } };

const GOOD: [string, ApprovalRequest, ApprovalDecision, JsonValue, string][] = [
  ["accept", requestOf(COMMAND), { decision: "accept" }, { decision: "accept" }, "accept"],
  ["session", requestOf(COMMAND), { decision: "acceptForSession" }, {
    decision: "acceptForSession",
  }, "acceptForSession"],
  ["decline", requestOf(COMMAND), { decision: "decline" }, { decision: "decline" }, "decline"],
  ["cancel", requestOf(COMMAND), { decision: "cancel" }, { decision: "cancel" }, "cancel"],
  [
    "exec policy",
    requestOf(COMMAND),
    { decision: "accept", execPolicyAmendment: ["git", "status"] },
    { decision: { acceptWithExecpolicyAmendment: { execpolicy_amendment: ["git", "status"] } } },
    "accept",
  ],
  [
    "network policy",
    network,
    { decision: "decline", networkPolicyAmendment: { host: "a.b", action: "deny" } },
    {
      decision: {
        applyNetworkPolicyAmendment: { network_policy_amendment: { host: "a.b", action: "deny" } },
      },
    },
    "decline",
  ],
  [
    "patch",
    requestOf(PATCH),
    { decision: "acceptForSession" },
    { decision: "acceptForSession" },
    "acceptForSession",
  ],
  ["legacy accept", requestOf("execCommandApproval"), { decision: "accept" }, {
    decision: "approved",
  }, "accept"],
  ["legacy session", requestOf("applyPatchApproval"), { decision: "acceptForSession" }, {
    decision: "approved_for_session",
  }, "acceptForSession"],
  ["legacy decline", requestOf("applyPatchApproval"), { decision: "decline", reason: "no" }, {
    decision: refusal,
  }, "decline"],
  [
    "legacy cancel",
    requestOf("execCommandApproval"),
    { decision: "cancel" },
    { decision: "abort" },
    "cancel",
  ],
  [
    "legacy exec policy",
    requestOf("execCommandApproval"),
    { decision: "accept", execPolicyAmendment: ["git"] },
    { decision: { approved_execpolicy_amendment: { proposed_execpolicy_amendment: ["git"] } } },
    "accept",
  ],
  [
    "permissions",
    permissions,
    { decision: "accept" },
    { permissions: asked, scope: "turn" },
    "accept",
  ],
  ["permissions for the session", permissions, { decision: "acceptForSession" }, {
    permissions: asked,
    scope: "session",
  }, "acceptForSession"],
  [
    "permissions refused",
    permissions,
    { decision: "cancel" },
    { permissions: {}, scope: "turn" },
    "cancel",
  ],
  ["some permissions", permissions, { permissions: { fileSystem: { write: ["/extra/a"] } } }, {
    permissions: { fileSystem: { write: ["/extra/a"] } },
    scope: "turn",
  }, "accept"],
  [
    "no permissions",
    permissions,
    { permissions: {} },
    { permissions: {}, scope: "turn" },
    "decline",
  ],
  ["an answer", requestOf(USER_INPUT), { answers: { color: "Blue" } }, {
    answers: { color: { answers: ["Blue"] } },
  }, "answered"],
  ["answers", requestOf(USER_INPUT), { answers: { color: ["Red", "Blue"] } }, {
    answers: { color: { answers: ["Red", "Blue"] } },
  }, "answered"],
  ["no answers", requestOf(USER_INPUT), { decision: "decline" }, { answers: {} }, "decline"],
  ["form", form, { action: "accept", content: { name: "Ann" } }, {
    action: "accept",
    content: { name: "Ann" },
    _meta: null,
  }, "accept"],
  [
    "form refused",
    form,
    { action: "cancel" },
    { action: "cancel", content: null, _meta: null },
    "cancel",
  ],
  ["form declined", form, { decision: "decline" }, {
    action: "decline",
    content: null,
    _meta: null,
  }, "decline"],
  [
    "empty form",
    emptyForm,
    { decision: "accept" },
    { action: "accept", content: {}, _meta: null },
    "accept",
  ],
  ["page", url, { decision: "accept" }, { action: "accept", content: null, _meta: null }, "accept"],
  [
    "MCP tool",
    mcp,
    { decision: "accept" },
    { action: "accept", content: {}, _meta: null },
    "accept",
  ],
  ["MCP tool for the session", mcp, { decision: "acceptForSession" }, {
    action: "accept",
    content: {},
    _meta: { persist: "session" },
  }, "acceptForSession"],
  ["MCP tool refused", mcp, { decision: "decline" }, {
    action: "decline",
    content: null,
    _meta: null,
  }, "decline"],
  [
    "MCP tool that can't be remembered",
    requestOf(ELICITATION, { ...MCP_APPROVAL, _meta: { codex_approval_kind: "mcp_tool_call" } }),
    { decision: "acceptForSession" },
    { action: "accept", content: {}, _meta: null },
    "accept",
  ],
  [
    "tool",
    requestOf(TOOL),
    { success: true, contentItems: [{ type: "inputText", text: "x" }] },
    { success: true, contentItems: [{ type: "inputText", text: "x" }] },
    "answered",
  ],
  [
    "tool refused",
    requestOf(TOOL),
    { decision: "decline", reason: "no" },
    CLOSED[TOOL] as JsonValue,
    "decline",
  ],
  ["tokens", requestOf(AUTH), { accessToken: "t", chatgptAccountId: "a" }, {
    accessToken: "t",
    chatgptAccountId: "a",
    chatgptPlanType: null,
  }, "answered"],
  ["attestation", requestOf("attestation/generate"), { token: "t" }, { token: "t" }, "answered"],
];

test("wireAnswer() puts each decision in the shape that its request wants", async (t) => {
  for (const [name, request, decision, expected, word] of GOOD) {
    await t.step(name, () => {
      const answer = wireAnswer(request, decision, NEWEST);
      assert.ok(answer.type === "result", JSON.stringify(answer));
      assert.deepEqual(answer.result, expected);
      assert.equal(answer.word, word);
      assert.equal(validateServerRequestResult(request.method, answer.result), null);
    });
  }
});

const denyEntry = { path: { type: "path", path: "/extra/.git" }, access: "deny" };
const entry = { path: { type: "path", path: "/extra" }, access: "write" };
const withEntries = requestOf(PERMISSIONS, {
  permissions: { network: null, fileSystem: { entries: [entry, denyEntry] } },
});

const BAD: [string, ApprovalRequest, unknown][] = [
  ["nothing", requestOf(COMMAND), undefined],
  ["null", requestOf(COMMAND), null],
  ["true", requestOf(COMMAND), true],
  ["a bare word", requestOf(COMMAND), "accept"],
  ["an empty object", requestOf(COMMAND), {}],
  ["another word", requestOf(COMMAND), { decision: "approved" }],
  ["another letter case", requestOf(COMMAND), { decision: "Accept" }],
  ["an array", requestOf(COMMAND), ["accept"]],
  ["the answer of another request", requestOf(COMMAND), { answers: {} }],
  ["an empty amendment", requestOf(COMMAND), { decision: "accept", execPolicyAmendment: [] }],
  ["an amendment of numbers", requestOf(COMMAND), { decision: "accept", execPolicyAmendment: [1] }],
  ["a declined amendment", requestOf(COMMAND), { decision: "decline", execPolicyAmendment: ["a"] }],
  ["an amendment for a patch", requestOf(PATCH), {
    decision: "accept",
    execPolicyAmendment: ["a"],
  }],
  ["an amendment for another host", network, {
    decision: "accept",
    networkPolicyAmendment: { host: "c.d", action: "allow" },
  }],
  ["a word against its amendment", network, {
    decision: "decline",
    networkPolicyAmendment: { host: "a.b", action: "allow" },
  }],
  ["more paths than asked", permissions, { permissions: { fileSystem: { write: ["/"] } } }],
  ["a path that leaves", permissions, {
    permissions: { fileSystem: { write: ["/extra/../etc"] } },
  }],
  ["a special place", permissions, {
    permissions: {
      fileSystem: {
        entries: [{ path: { type: "special", value: { kind: "root" } }, access: "read" }],
      },
    },
  }],
  ["network that was not asked", withEntries, { permissions: { network: { enabled: true } } }],
  ["another scope", permissions, { permissions: {}, scope: "forever" }],
  ["codex's own reviewer in our place", permissions, { permissions: {}, strictAutoReview: true }],
  ["accepted questions", requestOf(USER_INPUT), { decision: "accept" }],
  ["an unknown question", requestOf(USER_INPUT), { answers: { colour: "Blue" } }],
  ["a number as answer", requestOf(USER_INPUT), { answers: { color: 1 } }],
  ["an unfilled form", form, { decision: "accept" }],
  ["a form without what it requires", form, { action: "accept", content: {} }],
  ["a form of the wrong type", form, { action: "accept", content: { name: 1 } }],
  ["an unknown action", form, { action: "approve" }],
  ["a memory that is not offered", form, {
    action: "accept",
    content: { name: "A" },
    persist: "always",
  }],
  ["an accepted tool call", requestOf(TOOL), { decision: "accept" }],
  ["a tool without parts", requestOf(TOOL), { success: true }],
  ["a tool with a wrong part", requestOf(TOOL), {
    success: true,
    contentItems: [{ type: "text", text: "x" }],
  }],
  ["tokens without account", requestOf(AUTH), { accessToken: "t" }],
  ["accepted tokens", requestOf(AUTH), { decision: "accept" }],
  ["a token that is none", requestOf("attestation/generate"), { token: 1 }],
];

test("wireAnswer() never gives a wrong shape, nor more than was asked", async (t) => {
  for (const [name, request, decision] of BAD) {
    await t.step(name, () => {
      assert.equal(wireAnswer(request, decision as ApprovalDecision).type, "invalid");
    });
  }
});

test("wireAnswer() refuses what could not be sent: whoever gave it would be told that it was", () => {
  const nested = (levels: number) => {
    let value: JsonValue = 1;
    for (let level = 0; level < levels; level++) value = [value];
    return value;
  };
  const cycle: JsonValue[] = [];
  cycle.push(cycle);
  const answer = (extra: unknown) => {
    const content = { name: "x", extra: extra as JsonValue };
    return wireAnswer(requestOf(ELICITATION), { action: "accept", content }, NEWEST).type;
  };
  assert.equal(answer(nested(120)), "result");
  for (const extra of [nested(130), nested(100_000), cycle, 1n, NaN]) {
    assert.equal(answer(extra), "invalid");
  }
});

test("wireAnswer() keeps what a permission request itself excludes", () => {
  const answer = wireAnswer(withEntries, { permissions: { fileSystem: { entries: [entry] } } });
  assert.ok(answer.type === "result");
  assert.deepEqual(answer.result, {
    permissions: { fileSystem: { entries: [entry, denyEntry] } },
    scope: "turn",
  });
});

test("a form is held against what its fields are, not against patterns that never end", () => {
  const endless = requestOf(ELICITATION, {
    requestedSchema: {
      type: "object",
      properties: { name: { type: "string", pattern: "^(a+)+$", $ref: "#" } },
      allOf: [{ $ref: "#" }, { $ref: "#" }],
    },
  });
  const content = { name: `${"a".repeat(40)}!` };
  assert.equal(wireAnswer(endless, { action: "accept", content }).type, "result");
  const short = requestOf(ELICITATION, {
    requestedSchema: { type: "object", properties: { name: { type: "string", minLength: 3 } } },
  });
  const answer = wireAnswer(short, { action: "accept", content: { name: "ab" } });
  assert.ok(answer.type === "invalid");
  assert.match(answer.problem, /^content\.name: /);
});

test("checkServerRequestResult() takes a plain denial for the first protocol, and nothing beside it", () => {
  for (const method of ["execCommandApproval", "applyPatchApproval"]) {
    assert.equal(checkServerRequestResult(method, { decision: "denied" }), null);
    assert.match(checkServerRequestResult(method, { decision: "denied", x: 1 }) ?? "", /field/);
  }
  assert.notEqual(checkServerRequestResult(COMMAND, { decision: "denied" }), null);
  assert.match(checkServerRequestResult(PERMISSIONS, { permissions: {} }) ?? "", /scope: missing/);
  assert.match(checkServerRequestResult(ELICITATION, { action: "decline" }) ?? "", /missing/);
});

test("checkServerRequestResult() names the path and never the value", () => {
  const problem = checkServerRequestResult(TOOL, { success: true, contentItems: ["s3cret"] });
  assert.match(problem ?? "", /^\$\.contentItems\[0\]/);
  assert.doesNotMatch(problem ?? "", /s3cret/);
  assert.match(checkServerRequestResult(ELICITATION, { decision: "decline" }) ?? "", /action/);
  assert.match(checkServerRequestResult(PERMISSIONS, { decision: "decline" }) ?? "", /permissions/);
  assert.equal(checkServerRequestResult("future/ask", 1), null);
});
