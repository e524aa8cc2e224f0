import assert from "node:assert/strict";
import { WebError } from "../../../src/errors/mod.ts";
import {
  checkSession,
  checkSteer,
  checkTurn,
  type RequestPolicy,
} from "../../../src/web/http/check_request.ts";
import { RUNTIME_CONFIG } from "../../../src/runtime/config_shape.ts";
import { ASK_OPTIONS, SESSION_CONFIG } from "../../../src/session/profile_shape.ts";
import { test } from "../../_harness.ts";

const POLICY: RequestPolicy = {
  models: ["small", "large"],
  efforts: ["low", "high"],
  maxTimeoutMs: 60_000,
  attachments: "images",
};
const PNG = "data:image/png;base64,iVBORw0KGgo=";

function refusal(check: () => unknown): string {
  try {
    check();
  } catch (error) {
    assert.ok(error instanceof WebError);
    assert.equal(error.status, 400);
    return error.reason;
  }
  return "accepted";
}

test("checkTurn() takes as many attachments as are looked for at once", () => {
  const attachments = Array(256).fill({ type: "image", url: PNG });
  assert.equal(checkTurn({ text: "hi", attachments }, POLICY).prompt.attachments?.length, 256);
});

test("checkTurn() takes the fields that a tenant may choose", () => {
  const body = {
    text: "hi",
    model: "large",
    effort: "low",
    timeoutMs: 60_000,
    attachments: [{ type: "image", url: PNG }],
  };
  assert.deepEqual(checkTurn(body, POLICY), {
    prompt: { text: "hi", attachments: [{ type: "image", url: PNG }] },
    model: "large",
    effort: "low",
    timeoutMs: 60_000,
  });
  assert.deepEqual(checkTurn({ text: "hi" }, POLICY), {
    prompt: { text: "hi" },
    model: null,
    effort: null,
    timeoutMs: null,
  });
});

const WIDER: [string, unknown][] = [
  ["sandbox", "danger-full-access"],
  ["sandboxPolicy", { type: "dangerFullAccess" }],
  ["approvalPolicy", "never"],
  ["approvals", { rules: [] }],
  ["cwd", "/"],
  ["config", { model_provider: "other" }],
  ["tools", {}],
  ["hooks", {}],
  ["allowPrivilegedEscalation", true],
  ["dangerouslyAllowUnattendedFullAccess", true],
  ["developerInstructions", "obey"],
  ["outputSchema", {}],
  ["threadId", "t"],
  ["input", []],
  ["task", {}],
  ["__proto__x", 1],
];
for (const [field, value] of WIDER) {
  test(`checkTurn() refuses ${field}`, () => {
    assert.equal(
      refusal(() => checkTurn({ text: "hi", [field]: value }, POLICY)),
      "unknownField",
    );
    if (field === "threadId") return;
    assert.equal(refusal(() => checkSession({ [field]: value }, POLICY)), "unknownField");
    assert.equal(
      refusal(() => checkSteer({ text: "hi", [field]: value }, POLICY)),
      "unknownField",
    );
  });
}

test("no option of a session, a turn or a client but model and effort is a tenant's to set", () => {
  const mine = ["model", "effort", "timeoutMs", "attachments"];
  const options = [SESSION_CONFIG, ASK_OPTIONS, RUNTIME_CONFIG].flatMap(({ options }) =>
    Object.keys(options)
  );
  for (const field of ["mcpServers", "tools", "apiKey", "networkAccess", "additionalDirectories"]) {
    assert.ok(options.includes(field), field);
  }
  for (const field of options.filter((each) => !mine.includes(each))) {
    for (const value of [null, {}, true]) {
      const bodies = [
        () => checkTurn({ text: "hi", [field]: value }, POLICY),
        () => checkSteer({ text: "hi", [field]: value }, POLICY),
        () => checkSession({ [field]: value }, POLICY),
      ];
      for (const check of bodies) assert.equal(refusal(check), "unknownField", field);
    }
  }
});

test("checkTurn() refuses __proto__ sent as JSON", () => {
  const body = JSON.parse('{"text":"hi","__proto__":{"sandbox":"danger-full-access"}}');
  assert.equal(refusal(() => checkTurn(body, POLICY)), "unknownField");
});

const VALUES: [string, unknown, string][] = [
  ["a model that is not listed", { text: "hi", model: "huge" }, "notAllowed"],
  ["a model that is no string", { text: "hi", model: ["large"] }, "notAllowed"],
  ["an effort that is not listed", { text: "hi", effort: "xhigh" }, "notAllowed"],
  ["a time beyond the bridge's", { text: "hi", timeoutMs: 60_001 }, "notAllowed"],
  ["a time of 0", { text: "hi", timeoutMs: 0 }, "notAllowed"],
  ["a time without end", { text: "hi", timeoutMs: Infinity }, "notAllowed"],
  ["a time that is no number", { text: "hi", timeoutMs: "1" }, "notAllowed"],
  ["no text", {}, "badRequest"],
  ["blank text", { text: " \n" }, "badRequest"],
  ["text that is no string", { text: { toString: 1 } }, "badRequest"],
  ["no object", "hi", "badRequest"],
  ["a list", [], "badRequest"],
  ["null", null, "badRequest"],
  ["attachments that are no list", { text: "hi", attachments: {} }, "badRequest"],
  ["more attachments than are looked for at once", {
    text: "hi",
    attachments: Array(257).fill({ type: "image", url: PNG }),
  }, "badRequest"],
];
for (const [name, body, reason] of VALUES) {
  test(`checkTurn() refuses ${name}`, () => {
    assert.equal(refusal(() => checkTurn(body, POLICY)), reason);
  });
}

test("checkTurn() takes any time when the bridge has no limit", () => {
  const policy = { ...POLICY, maxTimeoutMs: Infinity };
  assert.equal(checkTurn({ text: "hi", timeoutMs: 1e9 }, policy).timeoutMs, 1e9);
});

type Policy = RequestPolicy["attachments"];
const ATTACHMENTS: [unknown, Policy[]][] = [
  [{ type: "image", url: PNG }, ["images", "files"]],
  [{ type: "image", url: "https://example.com/a.png" }, []],
  [{ type: "image", url: "data:text/html;base64,PGI+" }, []],
  [{ type: "image", url: PNG, path: "/etc/passwd" }, []],
  [{ type: "path", path: "docs/a.md" }, ["files"]],
  [{ type: "localImage", path: "a.png" }, ["files"]],
  ["src", ["files"]],
  ["..", []],
  ["a/../../b", []],
  ["..\\b", []],
  ["/etc/passwd", []],
  ["~/.ssh/id_rsa", []],
  ["C:\\secret", []],
  ["\\\\server\\share", []],
  ["a\nb", []],
  ["a\0b", []],
  ["", []],
  [{ type: "skill", name: "s", path: "s.md" }, []],
  [{ type: "mention", name: "s", path: "s.md" }, []],
  [{ type: "other" }, []],
  [7, []],
];
for (const [attachment, allowed] of ATTACHMENTS) {
  for (const policy of ["none", "images", "files"] as const) {
    const expected = allowed.includes(policy);
    const name = JSON.stringify(attachment).slice(0, 60);
    test(`checkTurn() ${expected ? "takes" : "refuses"} ${name} with attachments ${policy}`, () => {
      const check = () =>
        checkTurn({ text: "hi", attachments: [attachment] }, { ...POLICY, attachments: policy });
      assert.equal(refusal(check) === "accepted", expected);
    });
  }
}

test("checkSession() takes a model, an effort and a thread, or nothing", () => {
  assert.deepEqual(checkSession({}, POLICY), { model: null, effort: null, threadId: null });
  const chosen = { model: "small", effort: "high" };
  assert.deepEqual(checkSession(chosen, POLICY), { ...chosen, threadId: null });
  const known = { model: null, effort: null, threadId: "t" };
  assert.deepEqual(checkSession({ threadId: "t" }, POLICY), known);
  for (const ignored of [{ model: "small" }, { effort: "high" }]) {
    assert.equal(refusal(() => checkSession({ threadId: "t", ...ignored }, POLICY)), "badRequest");
  }
  assert.equal(refusal(() => checkSession({ threadId: 7 }, POLICY)), "badRequest");
  assert.equal(
    refusal(() => checkSession({ model: "x" }, { ...POLICY, models: [] })),
    "notAllowed",
  );
});
