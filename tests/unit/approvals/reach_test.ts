import assert from "node:assert/strict";
import type { ApprovalRule } from "../../../src/approvals/mod.ts";
import {
  guardsTools,
  heldInside,
  unheardApprovals,
  wantsContainment,
} from "../../../src/approvals/rules/check_rules.ts";
import { test } from "../../_harness.ts";

const deny = (rule: Omit<ApprovalRule, "effect">): ApprovalRule => ({ effect: "deny", ...rule });
const GRANULAR = { granular: { sandbox_approval: true, rules: true, mcp_elicitations: true } };

test("unheardApprovals() names every rule that the policy keeps from being asked", () => {
  const rows: [policy: unknown, ApprovalRule[], rules: string | null][] = [
    ["untrusted", [deny({ paths: ".env" }), deny({})], null],
    ["on-request", [deny({ paths: ".env" })], '"rule 1"'],
    ["on-request", [deny({ command: /x/ })], '"rule 1"'],
    [
      "on-request",
      [deny({ kind: "command" }), { effect: "ask", name: "mine" }],
      '"rule 1", "mine"',
    ],
    ["on-request", [deny({})], '"rule 1"'],
    ["on-request", [deny({ cwd: "/etc" })], '"rule 1"'],
    ["on-request", [{ effect: "allow", command: ["ls"] }], null],
    ["on-request", [deny({ host: "evil.com" }), deny({ kind: "permissions" })], null],
    ["on-request", [deny({ tool: "drop" }), deny({ mcpServer: "x" })], null],
    ["on-failure", [deny({ command: ["rm"] })], '"rule 1"'],
    [GRANULAR, [deny({ command: ["rm"] })], '"rule 1"'],
    ["something-new", [deny({ command: ["rm"] })], '"rule 1"'],
    ["never", [{ effect: "allow", command: ["ls"] }], '"rule 1"'],
    ["never", [deny({ command: ["rm"] }), deny({ tool: "drop" })], '"rule 1"'],
    ["never", [deny({ host: "evil.com" })], '"rule 1"'],
    ["never", [deny({ tool: "drop" }), deny({ mcpServer: "x" })], '"rule 2"'],
    ["never", [{ effect: "allow", mcpServer: "x" }], null],
    ["never", [deny({ tool: "drop" }), deny({ kind: ["toolCall", "userInput"] })], null],
  ];
  for (const [approvalPolicy, rules, named] of rows) {
    const found = unheardApprovals({ rules }, { approvalPolicy, sandboxed: true });
    const label = JSON.stringify([approvalPolicy, rules]);
    if (named === null) assert.equal(found, null, label);
    else {
      assert.ok(found?.includes(named), `${label}: ${found}`);
      assert.match(found!, /Choose approvalPolicy "untrusted"/);
    }
  }
});

test("unheardApprovals() counts a rule about tools that codex runs at a server's word", () => {
  const rows: [policy: string, ApprovalRule, unheard: boolean][] = [
    ["never", deny({ tool: "drop" }), true],
    ["never", { effect: "ask", tool: "drop" }, true],
    ["never", deny({ kind: ["toolCall", "elicitation"] }), true],
    // About tools of this process, of which codex always asks.
    ["never", deny({ kind: "toolCall", tool: "drop" }), false],
    ["never", { effect: "allow", tool: "drop" }, false],
    ["on-request", deny({ tool: "drop" }), false],
  ];
  for (const [approvalPolicy, rule, unheard] of rows) {
    const place = { approvalPolicy, sandboxed: true, believesServers: true };
    assert.equal(
      unheardApprovals({ rules: [rule] }, place) !== null,
      unheard,
      JSON.stringify([approvalPolicy, rule]),
    );
  }
});

test("unheardApprovals() says that nobody asks a handler under never", () => {
  const handler = () => ({ decision: "decline" }) as const;
  for (const approvalPolicy of ["untrusted", "on-request", "on-failure", GRANULAR]) {
    assert.equal(unheardApprovals(handler, { approvalPolicy, sandboxed: true }), null);
  }
  const found = unheardApprovals(handler, { approvalPolicy: "never", sandboxed: true });
  assert.match(found!, /nobody is asked.*"untrusted".*"on-request"/);
  assert.equal(unheardApprovals(undefined, { approvalPolicy: "never", sandboxed: true }), null);
  // The agent asks about its plans under every policy.
  const planning = { approvalPolicy: "never", sandboxed: true, planning: true };
  assert.equal(unheardApprovals(handler, planning), null);
});

test("heldInside() tells of rules that accept no command because it might leave the sandbox", () => {
  const rows: [ApprovalRule, boolean][] = [
    [{ effect: "allow", command: ["ls"] }, true],
    [{ effect: "allow" }, true],
    [{ effect: "allow", command: ["ls"], outsideSandbox: true }, false],
    [{ effect: "allow", host: "a.b" }, false],
    [{ effect: "allow", tool: "x" }, false],
    [{ effect: "deny", command: ["ls"] }, false],
  ];
  for (const [rule, told] of rows) {
    const place = { approvalPolicy: "untrusted", sandboxed: true };
    assert.equal(heldInside({ rules: [rule] }, place) !== null, told, JSON.stringify(rule));
    assert.equal(heldInside({ rules: [rule] }, { ...place, sandboxed: false }), null);
  }
});

test("heldInside() says what would keep accepted commands in", () => {
  const ls: ApprovalRule = { effect: "allow", command: ["ls"] };
  const out: ApprovalRule = { ...ls, outsideSandbox: true };
  const rows: [rules: ApprovalRule[], policy: string, containment: string | null, RegExp][] = [
    [[ls], "untrusted", "Codex 9 can.", /sandbox\. Codex 9 can\.$/],
    [[ls], "on-request", null, /sandbox\. With approvalPolicy "untrusted" codex keeps them in\.$/],
    [[ls, out], "untrusted", null, /sandbox\. Without a rule that lets commands leave,/],
    [[ls], "untrusted", null, /outside the sandbox\.$/],
  ];
  for (const [rules, approvalPolicy, containment, wanted] of rows) {
    assert.match(heldInside({ rules }, { approvalPolicy, sandboxed: true, containment })!, wanted);
  }
});

test("wantsContainment() is for rules that allow commands inside, where none lets them out", () => {
  const rows: [rules: ApprovalRule[], wants: boolean][] = [
    [[{ effect: "allow", command: ["ls"] }], true],
    [[{ effect: "allow" }], true],
    [[{ effect: "allow", kind: ["command", "fileChange"] }], true],
    [[{ effect: "deny", command: ["rm"] }], false],
    [[{ effect: "allow", kind: "fileChange" }], false],
    [[{ effect: "allow", paths: ["src"] }], false],
    [[{ effect: "allow", command: ["ls"], outsideSandbox: true }], false],
    [[{ effect: "allow", command: ["ls"] }, {
      effect: "allow",
      kind: "fileChange",
      outsideSandbox: true,
    }], true],
    [[{ effect: "allow", command: ["ls"] }, { effect: "allow", outsideSandbox: true }], false],
    [[{ effect: "allow", host: "a.example" }], false],
    [[], false],
  ];
  for (const [rules, wants] of rows) {
    assert.equal(wantsContainment({ rules }), wants, JSON.stringify(rules));
  }
  assert.equal(wantsContainment(() => ({ decision: "accept" })), false);
  assert.equal(wantsContainment(undefined), false);
});

test("guardsTools() is for rules that stop or ask about tools of MCP servers", () => {
  const rows: [ApprovalRule, boolean][] = [
    [{ effect: "deny", tool: "shell" }, true],
    [{ effect: "ask", mcpServer: "docs" }, true],
    [{ effect: "deny", kind: ["command", "elicitation"] }, true],
    [{ effect: "deny", kind: "toolCall", tool: "shell" }, false],
    [{ effect: "allow", tool: "shell" }, false],
    [{ effect: "deny", command: ["rm"] }, false],
    [{ effect: "deny" }, false],
  ];
  for (const [rule, guards] of rows) assert.equal(guardsTools({ rules: [rule] }), guards);
  assert.equal(guardsTools(() => ({ decision: "accept" })), false);
  assert.equal(guardsTools(undefined), false);
});
