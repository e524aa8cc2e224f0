import assert from "node:assert/strict";
import { sessionApprovals } from "../../../src/approvals/rules/check_rules.ts";
import { answerersOf } from "../../../src/session/policy/answerers.ts";
import type { ApprovalHandler, ApprovalRule, ApprovalRules } from "../../../src/approvals/mod.ts";
import { test } from "../../_harness.ts";

const ours: ApprovalHandler = () => ({ decision: "accept" });
const theirs: ApprovalHandler = () => ({ decision: "decline" });
const deny: ApprovalRule = { effect: "deny", kind: "fileChange", paths: [".git"] };
const allow: ApprovalRule = { effect: "allow", kind: "command", command: ["ls"] };

type Case = [
  name: string,
  client: ApprovalHandler | ApprovalRules | undefined,
  session: ApprovalHandler | ApprovalRules | undefined,
  expected: ApprovalHandler | ApprovalRules | undefined,
];

const cases: Case[] = [
  ["takes the client's rules where the session has none", { rules: [deny], ask: ours }, undefined, {
    rules: [deny],
    ask: ours,
  }],
  ["takes the client's handler where the session has none", ours, undefined, ours],
  ["takes a handler where the client has nobody", undefined, theirs, theirs],
  ["takes a handler in place of the client's", ours, theirs, theirs],
  ["keeps the client's rules before a session's handler", { rules: [deny], ask: ours }, theirs, {
    rules: [deny],
    ask: theirs,
  }],
  [
    "adds a session's rules to the client's",
    { rules: [deny], ask: ours },
    { rules: [allow] },
    { rules: [deny, allow], ask: ours },
  ],
  [
    "keeps the client's decline of what no rule names",
    { rules: [deny], default: "decline" },
    { rules: [allow], ask: theirs, default: "ask" },
    { rules: [deny, allow], ask: theirs, default: "decline" },
  ],
  ["takes rules where the client has a handler", ours, { rules: [allow] }, { rules: [allow] }],
];

for (const [name, client, session, expected] of cases) {
  test(`sessionApprovals() ${name}`, () => {
    assert.deepEqual(sessionApprovals(client, (session ?? client)!), expected);
  });
}

test("what becomes of a caller's list of rules counts for no session that has begun", async () => {
  const paths = [".git"];
  const rules: ApprovalRule[] = [{ effect: "deny", paths }];
  for (const own of [undefined, { rules, ask: theirs }]) {
    const { all } = await answerersOf({ rules, ask: ours }, own);
    rules.push(allow);
    paths.length = 0;
    assert.deepEqual((all as ApprovalRules).rules, [{ effect: "deny", paths: [".git"] }]);
    paths.push(".git");
    rules.length = 1;
  }
});

test("whoever may answer is put together, with what judges them; nobody needs no judge", async () => {
  for (const [name, client, session, expected] of cases) {
    const { own, all, rules } = await answerersOf(client, session);
    assert.equal(own, session, name);
    assert.deepEqual(all, expected, name);
    assert.notEqual(rules, null, name);
  }
  const nobody = await answerersOf(undefined, undefined);
  assert.deepEqual(nobody, { own: undefined, all: undefined, rules: null });
});
