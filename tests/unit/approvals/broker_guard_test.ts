/** Nothing that was accepted goes out when it is more than this script may do itself. */
import assert from "node:assert/strict";
import { grantOf } from "../../../src/approvals/broker/grant.ts";
import type { ApprovalDecision, BrokerOptions } from "../../../src/approvals/mod.ts";
import type { Grant } from "../../../src/approvals/broker/gate.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { test } from "../../_harness.ts";
import {
  bench,
  COMMAND,
  ELICITATION,
  MCP_APPROVAL,
  PATCH,
  patchOf,
  PERMISSIONS,
  requestOf,
  settle,
  THREAD,
} from "./_requests.ts";

const LACKING = "needs --allow-write=/w";
const declined = [{ result: { decision: "decline" } }];
const holdBack: NonNullable<BrokerOptions["guard"]> = () => LACKING;

test("what a rule, a handler, a hand or a reader accepts is held back when the guard says so", async (t) => {
  const cases: [string, Partial<BrokerOptions>, string | null][] = [
    [
      "a rule",
      { approvals: { rules: [{ name: "all", effect: "allow", outsideSandbox: true }] } },
      "all",
    ],
    ["a handler", { approvals: () => ({ decision: "acceptForSession" }) }, null],
  ];
  for (const [who, options, rule] of cases) {
    await t.step(who, async () => {
      const b = bench({ ...options, guard: holdBack });
      const heard: string[] = [];
      b.broker.registerThread(THREAD, { onResolved: (audit) => void heard.push(audit.decidedBy) });
      const replies = b.send(COMMAND);
      const audit = await b.audited();
      assert.deepEqual(replies, declined);
      const { decision, decidedBy, reason } = audit;
      assert.deepEqual([decision, decidedBy, audit.rule, reason], [
        "decline",
        "library",
        rule,
        LACKING,
      ]);
      assert.deepEqual(heard, ["library"]);
    });
  }
  await t.step("a hand", async () => {
    const b = bench({ approvals: () => ({ decision: "defer" }), guard: holdBack });
    const replies = b.send(COMMAND);
    await settle();
    b.broker.answer(b.broker.pending()[0]!.request.id, { decision: "accept" });
    assert.deepEqual(replies, declined);
    assert.equal(b.audits[0]!.decidedBy, "library");
  });
  await t.step("a reader", async () => {
    const b = bench({ guard: holdBack });
    b.broker.attachReader((request) => {
      request.respond(
        request.method === PERMISSIONS
          ? { permissions: { network: { enabled: true } }, scope: "turn" }
          : { decision: request.method === COMMAND ? "accept" : "approved_for_session" },
      );
    });
    const replies = [b.send(COMMAND), b.send("applyPatchApproval"), b.send(PERMISSIONS)];
    await b.audited(3);
    assert.deepEqual(replies, [
      declined,
      [{ result: { decision: "denied" } }],
      [{ result: { permissions: {}, scope: "turn" } }],
    ]);
  });
});

test("a guard that throws holds back", async () => {
  const b = bench({
    approvals: () => ({ decision: "accept" }),
    guard: () => {
      throw new Error("secret");
    },
  });
  const replies = b.send(PATCH);
  const audit = await b.audited();
  assert.deepEqual(replies, declined);
  assert.doesNotMatch(String(audit.reason), /secret/);
});

test("the guard is not asked about what grants nothing on this machine", async () => {
  const asked: Grant[] = [];
  const decisions: ApprovalDecision[] = [
    { decision: "decline" },
    { decision: "cancel" },
    { permissions: {} },
    { action: "accept" },
    { answers: { color: "Red" } },
  ];
  const b = bench({
    approvals: () => decisions.shift()!,
    guard: (grant) => {
      asked.push(grant);
      return LACKING;
    },
  });
  b.send(COMMAND);
  await b.audited(1);
  b.send(PATCH);
  await b.audited(2);
  b.send(PERMISSIONS);
  await b.audited(3);
  b.send(ELICITATION, MCP_APPROVAL);
  await b.audited(4);
  b.send("item/tool/requestUserInput");
  assert.equal((await b.audited(5)).decision, "answered");
  assert.deepEqual(asked, []);
});

test("a grant is read from the answer, and is never smaller than what the answer allows", () => {
  const network: JsonObject = { networkApprovalContext: { host: "a.example", protocol: "https" } };
  const rule = { acceptWithExecpolicyAmendment: { execpolicy_amendment: ["git"] } };
  const hostRule = (action: string) => ({
    applyNetworkPolicyAmendment: {
      network_policy_amendment: { host: "b.example", action },
    },
  });
  const everything: Grant = { type: "command", network: null };
  const only = (host: string): Grant => ({ type: "command", network: { host } });
  const table: [string, JsonObject, JsonValue, Grant | null][] = [
    [COMMAND, {}, "accept", everything],
    [COMMAND, {}, "acceptForSession", everything],
    [COMMAND, {}, "decline", null],
    [COMMAND, {}, "cancel", null],
    [COMMAND, {}, rule, everything],
    [COMMAND, {}, "somethingNew", null],
    [COMMAND, {}, { somethingNew: {} }, everything],
    [COMMAND, network, "accept", only("a.example")],
    [COMMAND, network, rule, everything],
    [COMMAND, { ...network, additionalPermissions: { network: {} } }, "accept", everything],
    [COMMAND, network, hostRule("allow"), only("b.example")],
    [COMMAND, network, hostRule("deny"), null],
    ["execCommandApproval", {}, "approved", everything],
    ["execCommandApproval", {}, "approved_for_session", everything],
    ["execCommandApproval", {}, { denied: { rejection: "no" } }, null],
    ["execCommandApproval", {}, "abort", null],
    [PATCH, {}, "accept", { type: "fileChange", changes: null, grantRoot: null }],
    [PATCH, {}, "decline", null],
    [PATCH, { grantRoot: "/r" }, "accept", { type: "fileChange", changes: null, grantRoot: "/r" }],
  ];
  for (const [method, change, decision, expected] of table) {
    assert.deepEqual(
      grantOf(requestOf(method, change), { decision }),
      expected,
      `${method} ${JSON.stringify(change)} ${JSON.stringify(decision)}`,
    );
  }
  const patch = grantOf(patchOf("/w/a"), { decision: "accept" });
  assert.ok(patch?.type === "fileChange");
  assert.deepEqual(patch.changes?.map(({ path }) => path), ["/w/a"]);
  assert.deepEqual(
    grantOf(requestOf(PERMISSIONS), { permissions: { network: { enabled: true } } }),
    { type: "permissions", permissions: { network: { enabled: true }, fileSystem: null } },
  );
});
