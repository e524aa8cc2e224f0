import assert from "node:assert/strict";
import type { ApprovalRequest } from "../../../src/approvals/request/types.ts";
import { WebError } from "../../../src/errors/mod.ts";
import { checkAnswer, isForPeople } from "../../../src/web/http/check_request.ts";
import { test } from "../../_harness.ts";

const TAKEN: unknown[] = [
  { decision: "accept" },
  { decision: "acceptForSession" },
  { decision: "decline", reason: "no" },
  { decision: "cancel" },
  { permissions: {}, scope: "turn" },
  { answers: { color: "blue" } },
  { action: "accept", content: { name: "Ann" }, persist: "session" },
];
for (const body of TAKEN) {
  test(`checkAnswer() takes ${JSON.stringify(body)}`, () => {
    assert.deepEqual(checkAnswer(body), body);
  });
}

const REFUSED: [unknown, string][] = [
  [{ decision: "defer" }, "invalidAnswer"],
  [{ decision: "approved" }, "invalidAnswer"],
  [{ decision: "accept", reason: 7 }, "invalidAnswer"],
  // Codex would write these down for every session of everybody.
  [{ decision: "accept", execPolicyAmendment: ["rm"] }, "unknownField"],
  [{ decision: "accept", networkPolicyAmendment: { host: "x", action: "allow" } }, "unknownField"],
  [{ action: "accept", persist: "always" }, "invalidAnswer"],
  [{ decision: "accept", permissions: {} }, "unknownField"],
  [{ permissions: {}, strictAutoReview: true }, "unknownField"],
  [{ success: true, contentItems: [] }, "invalidAnswer"],
  [{ accessToken: "t", chatgptAccountId: "a" }, "invalidAnswer"],
  [{}, "invalidAnswer"],
  ["accept", "badRequest"],
  [null, "badRequest"],
];
for (const [body, reason] of REFUSED) {
  test(`checkAnswer() refuses ${JSON.stringify(body)}`, () => {
    assert.throws(
      () => checkAnswer(body),
      (error) => error instanceof WebError && error.status === 400 && error.reason === reason,
    );
  });
}

test("isForPeople() leaves tokens, tools and the unknown to this process", () => {
  const types: [ApprovalRequest["type"], boolean][] = [
    ["command", true],
    ["fileChange", true],
    ["permissions", true],
    ["userInput", true],
    ["elicitation", true],
    ["toolCall", false],
    ["authTokenRefresh", false],
    ["attestation", false],
    ["currentTime", false],
    ["unknown", false],
  ];
  for (const [type, expected] of types) {
    assert.equal(isForPeople({ type } as ApprovalRequest), expected, type);
  }
});
