/** Nothing that was accepted goes out when it is more than this script may do itself. */
import assert from "node:assert/strict";
import { grantOf } from "../../../src/approvals/broker/pending.ts";
import type { ApprovalDecision, ApprovalRequest } from "../../../src/approvals/mod.ts";
import type { BrokerOptions } from "../../../src/approvals/broker/gate.ts";
import type { Grant } from "../../../src/approvals/broker/gate.ts";
import { type JsonObject, type JsonValue, memberOf } from "../../../src/json.ts";
import { test } from "../../_harness.ts";
import {
  type Bench,
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

test("what is done to a request or its item to show it is neither granted nor held against it", async (t) => {
  const show = (request: ApprovalRequest) => {
    if (request.type === "permissions") {
      (request.permissions.fileSystem!["write"] as string[]).push("/more");
    } else if (request.type === "fileChange") (request.changes as unknown[]).reverse();
  };
  const ways: Record<string, () => Bench> = {
    "by its handler": () =>
      bench({
        approvals: (request) => {
          show(request);
          return { decision: "accept" };
        },
      }),
    "by a listener": () => {
      const b = bench({ approvals: () => ({ decision: "accept" }) });
      b.register(THREAD, { onRequested: show });
      return b;
    },
    "by a hand": () => bench({ approvals: () => ({ decision: "defer" }) }),
    "by a reader": () => {
      const b = bench();
      b.attach(({ method, params, request, respond }) => {
        if (request !== null) show(request);
        respond(
          method === PERMISSIONS
            ? { permissions: memberOf(params, "permissions"), scope: "turn" }
            : { decision: "accept" },
        );
      });
      return b;
    },
  };
  for (const [name, open] of Object.entries(ways)) {
    await t.step(name, async () => {
      const b = open();
      const answer = async () => {
        await settle();
        for (const { request } of b.broker.pending()) {
          show(request);
          b.broker.answer(request.id, { decision: "accept" });
        }
        await settle();
      };
      const fileSystem = { write: ["/asked"] };
      const granted = b.send(PERMISSIONS, { permissions: { fileSystem } });
      await answer();
      assert.deepEqual(granted, [
        { result: { permissions: { fileSystem: { write: ["/asked"] } }, scope: "turn" } },
      ]);
      const changes = ["/a", "/b"].map((path) => ({ path, kind: { type: "add" }, diff: "x" }));
      const item = { type: "fileChange", id: "two", changes };
      b.broker.noticed(THREAD, "item/started", { item });
      for (const change of changes) change.diff = "shown";
      const accepted = b.send(PATCH, { itemId: "two" });
      await answer();
      assert.deepEqual(accepted, [{ result: { decision: "accept" } }]);
    });
  }
});

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
      b.register(THREAD, { onResolved: (audit) => void heard.push(audit.decidedBy) });
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
    // What may be accepted when the question comes need not be when it is answered.
    let lacking: string | null = null;
    const b = bench({ approvals: () => ({ decision: "defer" }), guard: () => lacking });
    const replies = b.send(COMMAND);
    await settle();
    lacking = LACKING;
    b.broker.answer(b.broker.pending()[0]!.request.id, { decision: "accept" });
    assert.deepEqual(replies, declined);
    assert.equal(b.audits[0]!.decidedBy, "library");
  });
  await t.step("a reader", async () => {
    const b = bench({ guard: holdBack });
    b.attach((request) => {
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

test("nobody is asked what could not be accepted, and hooks and deny rules still see it", async (t) => {
  for (const method of [COMMAND, PATCH, "execCommandApproval", "applyPatchApproval"]) {
    await t.step(method, async () => {
      const asked: string[] = [];
      const b = bench({
        approvals: () => (asked.push("handler"), { decision: "accept" }),
        guard: holdBack,
      });
      b.register(THREAD, {
        preToolUse: () => (asked.push("hook"), Promise.resolve({ type: "continue" })),
      });
      b.send(method);
      const { decidedBy, reason } = await b.audited();
      assert.deepEqual([decidedBy, reason, asked], ["library", LACKING, ["hook"]]);
    });
  }
  await t.step("a deny rule says why", async () => {
    const b = bench({ approvals: { rules: [{ name: "no", effect: "deny" }] }, guard: holdBack });
    b.send(COMMAND);
    const { decidedBy, rule } = await b.audited();
    assert.deepEqual([decidedBy, rule], ["rule", "no"]);
  });
  await t.step("a reader is not asked either", async () => {
    const b = bench({ guard: holdBack });
    let read = 0;
    b.attach(() => void read++);
    b.send(COMMAND);
    assert.deepEqual([(await b.audited()).decidedBy, read], ["library", 0]);
  });
  await t.step("what stays in its sandbox is asked", async () => {
    const b = bench({
      approvals: () => ({ decision: "accept" }),
      guard: (grant, _, contained) =>
        contained && grant.type === "command" && grant.plain ? null : LACKING,
    });
    b.register(THREAD, { contained: () => true });
    b.send(COMMAND);
    assert.equal((await b.audited()).decidedBy, "handler");
    b.send(COMMAND, { additionalPermissions: { network: { enabled: true } } });
    assert.equal((await b.audited(2)).decidedBy, "library");
  });
});

test("a handler that throws or answers in a wrong shape is told with the error", async () => {
  const answers: [() => unknown, RegExp][] = [
    [() => {
      throw new Error("ui is gone");
    }, /handler threw: ui is gone/],
    [() => Promise.reject("late"), /handler threw: late/],
    [() => Promise.reject("api_key=hunter2hunter2"), /handler threw: api_key=\[redacted\]/],
    [() => true, /does not fit/],
    [() => ({ decision: "approve" }), /does not fit/],
    [() => ({ behavior: "allow" }), /does not fit/],
    [() => undefined, /does not fit/],
  ];
  for (const [answer, wanted] of answers) {
    const told: string[] = [];
    const b = bench({ approvals: answer as () => ApprovalDecision });
    b.register(THREAD, { onProblem: (_, sentence) => void told.push(sentence) });
    const replies = b.send(COMMAND);
    await b.audited();
    assert.deepEqual(replies, declined);
    assert.equal(told.length, 1, String(answer));
    assert.match(told[0]!, wanted);
  }
});

test("the guard is told whether the thread's accepted commands stay in the sandbox", async () => {
  for (const contained of [undefined, false, true]) {
    const told: boolean[] = [];
    const b = bench({
      approvals: () => ({ decision: "accept" }),
      guard: (_grant, _request, stays) => (told.push(stays), null),
    });
    b.register(
      THREAD,
      contained === undefined ? {} : { contained: () => contained },
    );
    b.send(COMMAND);
    await b.audited();
    assert.ok(told.length > 0 && told.every((stays) => stays === (contained ?? false)));
  }
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

test("answers that grant nothing on this machine are not held back", async () => {
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
      return null;
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
  // Once for each that might have been accepted, before anybody was asked, and never for the answer.
  assert.deepEqual(asked.map(({ type }) => type), ["command", "fileChange"]);
});

test("a grant is read from the answer, and is never smaller than what the answer allows", () => {
  const host: JsonObject = { networkApprovalContext: { host: "a.example", protocol: "https" } };
  const network: JsonObject = { ...host, command: null, cwd: null };
  const rule = { acceptWithExecpolicyAmendment: { execpolicy_amendment: ["git"] } };
  const hostRule = (action: string) => ({
    applyNetworkPolicyAmendment: {
      network_policy_amendment: { host: "b.example", action },
    },
  });
  const plain: Grant = { type: "command", network: null, plain: true };
  const everything: Grant = { ...plain, plain: false };
  const only = (host: string, plain: boolean): Grant => ({
    type: "command",
    network: { host },
    plain,
  });
  const table: [string, JsonObject, JsonValue, Grant | null][] = [
    [COMMAND, {}, "accept", plain],
    [COMMAND, {}, "acceptForSession", plain],
    [COMMAND, {}, "decline", null],
    [COMMAND, {}, "cancel", null],
    [COMMAND, {}, rule, everything],
    [COMMAND, {}, "somethingNew", null],
    [COMMAND, {}, { somethingNew: {} }, everything],
    [COMMAND, network, "accept", only("a.example", true)],
    [
      COMMAND,
      {
        ...network,
        networkApprovalContext: { host: "2852039166" },
      },
      "accept",
      only("", true),
    ],
    [COMMAND, host, "accept", everything],
    [COMMAND, network, rule, everything],
    [COMMAND, { ...network, additionalPermissions: { network: {} } }, "accept", everything],
    [COMMAND, network, hostRule("allow"), only("b.example", false)],
    [COMMAND, network, hostRule("deny"), null],
    ["execCommandApproval", {}, "approved", plain],
    ["execCommandApproval", {}, "approved_for_session", plain],
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

test("a link where the agent may write is granted in no spelling of that directory", async () => {
  const links: Record<string, string> = { "/tmp": "/private/tmp", "/t": "/data/t" };
  const away = ["/tmp/away", "/private/tmp/away", "/t/away", "/data/t/away"];
  const realPath = (path: string) => links[path] ?? (away.includes(path) ? "/elsewhere" : path);
  const b = bench({ approvals: () => ({ decision: "accept" }), realPath, tmpdir: "/t" });
  const granted = async (path: string) => {
    const answers = b.send(PERMISSIONS, { permissions: { fileSystem: { write: [path] } } });
    await settle();
    return memberOf(answers[0], "result", "permissions", "fileSystem") !== undefined;
  };
  for (const path of away) assert.equal(await granted(path), false, path);
  for (const path of ["/private/tmp/a", "/data/t/a", "/data/t", "/data"]) {
    assert.equal(await granted(path), true, path);
  }
});
