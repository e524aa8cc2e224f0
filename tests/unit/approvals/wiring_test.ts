/** The deciders are asked on the way of a question: what they are pure functions of is really handed to them. */
import assert from "node:assert/strict";
import { FilteredPreHook, HookMatcher } from "../../../src/plugin/namespace.ts";
import type {
  ApprovalHandler,
  ApprovalRequest,
  ApprovalRules,
  ThreadGate,
} from "../../../src/approvals/mod.ts";
import { toolFacts } from "../../../src/approvals/request/tool_facts.ts";
import type { JsonObject } from "../../../src/json.ts";
import { analyzeCommand, joinWords } from "../../../src/shell/mod.ts";
import { test } from "../../_harness.ts";
import {
  bench,
  COMMAND,
  commandOf,
  ELICITATION,
  MCP_APPROVAL,
  PATCH,
  PERMISSIONS,
  requestOf,
  settle,
  THREAD,
  TURN,
} from "./_requests.ts";

const accepted = [{ result: { decision: "accept" } }];
const declined = [{ result: { decision: "decline" } }];

const add = (path: string): JsonObject => ({
  type: "fileChange",
  id: "p",
  changes: [{ path, kind: { type: "add" }, diff: "x\n" }],
});

test("the broker takes commands of threads that have no session for commands in a sandbox", async () => {
  const rules: ApprovalRules = {
    rules: [{ effect: "allow", command: ["ls"] }],
    default: "decline",
  };
  for (const sandboxed of [undefined, true, false]) {
    const b = bench({ approvals: rules });
    if (sandboxed !== undefined) b.register(THREAD, { sandboxed: () => sandboxed });
    const replies = b.send(COMMAND, { command: "bash -lc ls" });
    await b.audited();
    assert.deepEqual(replies, sandboxed === false ? accepted : declined, `${sandboxed}`);
  }
});

test("the broker hands the way to follow links, and the workspace, to the rules", async () => {
  const rules: ApprovalRules = {
    rules: [{ effect: "deny", paths: "/secret" }, { effect: "allow", kind: "fileChange" }],
    default: "decline",
  };
  const rows: [path: string, unknown][] = [
    ["/w/a", accepted],
    ["/w/link/a", declined],
    ["/x/a", declined],
  ];
  for (const [path, expected] of rows) {
    const b = bench({
      approvals: rules,
      realPath: (path) => path.replace("/w/link", "/secret"),
    });
    b.register(THREAD, { workspace: () => ["/w"] });
    b.broker.noticed(THREAD, "item/started", { item: add(path) });
    const replies = b.send(PATCH, { itemId: "p" });
    await b.audited();
    assert.deepEqual(replies, expected, path);
  }
});

test("what leads elsewhere by the time of the answer is not accepted", async () => {
  const write = { permissions: { network: null, fileSystem: { write: ["/w/d"] } } };
  const asked: [method: string, params: JsonObject][] = [
    [PATCH, { itemId: "p" }],
    [PATCH, { itemId: "q", grantRoot: "/w/d" }],
    [COMMAND, { command: "bash -lc ls", cwd: "/w/d" }],
    [COMMAND, { command: "bash -lc ls", cwd: "/c", additionalPermissions: write.permissions }],
    [PERMISSIONS, { ...write, cwd: "/c" }],
    [PERMISSIONS, { permissions: { network: { enabled: true } }, cwd: "/w/d" }],
  ];
  for (const [method, params] of asked) {
    for (const moves of [false, true]) {
      let link = "/w/real";
      const b = bench({
        approvals: () => {
          if (moves) link = "/elsewhere";
          return { decision: "accept" };
        },
        realPath: (path) => path.replace("/w/d", link),
      });
      b.broker.noticed(THREAD, "item/started", { item: add("/w/d/a") });
      b.broker.noticed(THREAD, "item/started", { item: { ...add("/w/b"), id: "q" } });
      b.send(method, params);
      const audit = await b.audited();
      assert.deepEqual(
        [audit.decision, audit.decidedBy],
        moves ? ["decline", "library"] : ["accept", "handler"],
        `${method} ${JSON.stringify(params)}`,
      );
      assert.equal(/leads elsewhere/.test(audit.reason ?? ""), moves);
    }
  }
});

test("the broker grants no permission that a link leads out of what was asked", async () => {
  const fileSystem = { read: null, write: ["/w"] };
  for (const [granted, grants] of [["/w/a", true], ["/w/link", false]] as const) {
    const b = bench({
      approvals: () => ({ permissions: { fileSystem: { write: [granted] } }, scope: "turn" }),
      realPath: (path) => path.replace("/w/link", "/secret"),
    });
    const replies = b.send(PERMISSIONS, { permissions: { network: null, fileSystem } });
    const audit = await b.audited();
    assert.equal(audit.decidedBy, grants ? "handler" : "failClosed", granted);
    assert.equal(JSON.stringify(replies).includes(granted), grants);
  }
});

test("the broker joins a file change with what was started since, whatever the session still has", async () => {
  const shown: (string | undefined)[] = [];
  const b = bench({
    approvals: (request) => {
      if (request.type === "fileChange") shown.push(request.changes?.[0]?.path);
      return { decision: "accept" };
    },
  });
  b.register(THREAD, { item: () => add("/w/stale") });
  b.broker.noticed(THREAD, "item/started", { item: add("/w/new") });
  b.send(PATCH, { itemId: "p" });
  await b.audited();
  assert.deepEqual(shown, ["/w/new"]);
  b.broker.noticed(THREAD, "item/completed", { item: add("/w/new") });
  // What has ended, or belongs to a turn that has, is not what is asked about.
  for (
    const end of [
      () => b.broker.noticed(THREAD, "item/completed", { item: add("/w/new") }),
      () => b.broker.turnEnded(THREAD, TURN),
    ]
  ) {
    b.broker.noticed(THREAD, "item/started", { item: add("/w/new") });
    end();
    assert.deepEqual(b.send(PATCH, { itemId: "p" }), declined);
    assert.equal(b.audits.at(-1)?.reason, "uncertainSubject");
  }
  assert.deepEqual(shown, ["/w/new"]);
});

test("a change that became another one while it was judged is not accepted", async () => {
  const asked = Promise.withResolvers<void>();
  const decided = Promise.withResolvers<void>();
  const b = bench({
    approvals: async () => {
      asked.resolve();
      await decided.promise;
      return { decision: "accept" };
    },
  });
  b.broker.noticed(THREAD, "item/started", { item: add("/w/a") });
  const replies = b.send(PATCH, { itemId: "p" });
  await asked.promise;
  b.broker.noticed(THREAD, "item/started", { item: add("/w/b") });
  decided.resolve();
  const audit = await b.audited();
  assert.deepEqual(replies, declined);
  assert.equal(audit.decidedBy, "library");
});

test("toolFacts() tells what a command asks for beside being run", () => {
  const facts = (more: JsonObject) =>
    toolFacts(requestOf(COMMAND, more as never), undefined).toolInput;
  assert.equal(facts({}), undefined);
  const networkApprovalContext = { host: "a.example", protocol: "https" };
  assert.deepEqual(facts({ command: null, networkApprovalContext }), networkApprovalContext);
  const fileSystem = { write: ["/etc"] };
  assert.deepEqual(facts({ additionalPermissions: { fileSystem } }), {
    network: null,
    fileSystem,
    other: false,
  });
});

test("toolFacts() tells words without their shell only where these are all that happens", () => {
  const rows: [script: string, argv: string[] | null][] = [
    ["git status", ["git", "status"]],
    ["'git' \"status\"", ["git", "status"]],
    ["git status > out", null],
    ["git status; ls", null],
    ["git status &", null],
    ["GIT_DIR=x git status", null],
    ["git $x", null],
    ["cat {a,b}", null],
    ["cat *", null],
    ["cat ~", null],
    ["git 'status", null],
  ];
  for (const [script, argv] of rows) {
    const words = ["/bin/bash", "-lc", script];
    const command = joinWords(words.map((text) => ({ text, literal: true })));
    const facts = toolFacts(commandOf(command), undefined);
    assert.deepEqual([facts.argv, facts.script], [argv ?? words, script]);
  }
  const { argv } = toolFacts(commandOf("git status"), undefined);
  assert.deepEqual(argv, ["git", "status"]);
});

test("a command is read once: its parser, the hooks and the rules see the same reading", async () => {
  const command = "bash -lc 'git status # read once'";
  // Whoever read it anew would not see this.
  const shared = analyzeCommand(command);
  shared.commands.splice(0, Infinity, [{ text: "planted", literal: true }]);
  const parsed: unknown[] = [];
  const hooked: string[] = [];
  const hook = new FilteredPreHook(
    { name: "guard", call: () => (hooked.push("guard"), { type: "continue" }) },
    new HookMatcher({ toolName: "planted", commandPrefix: "planted" }),
  );
  const gate: ThreadGate = {
    sandboxed: () => false,
    preToolUse: async (request) => {
      if (request.type === "command") parsed.push(request.parsed?.commands);
      await hook.call({
        phase: "preToolUse",
        correlationId: "c",
        at: new Date(0),
        metadata: {},
        ...toolFacts(request, undefined),
      }, { signal: new AbortController().signal });
      return { type: "continue" };
    },
  };
  const guarded: unknown[] = [];
  const b = bench({
    approvals: {
      rules: [
        { effect: "ask", command: (words) => words[0] === "git" },
        { effect: "deny", command: ["git"] },
        { effect: "allow", command: ["planted"] },
      ],
      default: "decline",
    },
    guard: (_, request) => {
      if (request.type === "command") guarded.push(request.parsed?.commands);
      return null;
    },
  });
  b.register(THREAD, gate);
  const replies = b.send(COMMAND, { command });
  await b.audited();
  assert.deepEqual(parsed, [[["planted"]]]);
  assert.deepEqual(hooked, ["guard"]);
  assert.deepEqual(replies, accepted);
  assert.ok(guarded.length > 0);
  for (const seen of guarded) assert.deepEqual(seen, [["planted"]]);
});

test("no rule and no default grants codex's own rules for later commands", async () => {
  const proposed = {
    command: "bash -lc 'touch x'",
    proposedExecpolicyAmendment: ["touch"],
    proposedNetworkPolicyAmendments: [{ host: "h", action: "allow" }],
    availableDecisions: [{ acceptWithExecpolicyAmendment: { execpolicy_amendment: ["touch"] } }],
  };
  const all: ApprovalRules[] = [
    { rules: [{ effect: "allow", outsideSandbox: true }] },
    { rules: [{ effect: "allow", outsideSandbox: true, scope: "session" }] },
    { rules: [{ effect: "allow", command: ["touch"], outsideSandbox: true }], default: "ask" },
    { rules: [], default: "decline" },
    { rules: [], default: "ask" },
  ];
  for (const approvals of all) {
    const b = bench({ approvals });
    const replies = b.send(COMMAND, proposed);
    const legacy = b.send("execCommandApproval", {
      proposed_execpolicy_amendment: ["touch"],
      proposedExecpolicyAmendment: ["touch"],
    });
    await b.audited(2);
    assert.doesNotMatch(JSON.stringify([replies, legacy]), /amendment/i);
  }
});

test("an answer that brings codex's own rules is taken for a command only", async () => {
  const b = bench({ approvals: () => ({ decision: "accept", execPolicyAmendment: ["touch"] }) });
  const command = b.send(COMMAND, { command: "bash -lc 'touch x'" });
  const patch = b.send(PATCH, {});
  await b.audited(2);
  assert.match(JSON.stringify(command), /"acceptWithExecpolicyAmendment"/);
  assert.deepEqual(patch, declined);
});

test("a server's own form is consent to no call, whatever it says of itself", async () => {
  const asked: ApprovalRequest[] = [];
  const b = bench({
    approvals: {
      rules: [{ effect: "allow", mcpServer: "probe", tool: "ask" }],
      ask: (request) => {
        asked.push(request);
        return { decision: "decline" };
      },
    },
  });
  const rpc = { respond: () => {}, reject: () => {} };
  // Nothing was called.
  const params = { ...MCP_APPROVAL, threadId: THREAD };
  b.broker.handle({ rpcId: 1, method: ELICITATION, params }, rpc);
  assert.equal((await b.audited()).decision, "decline");
  const [form] = asked;
  assert.ok(form?.type === "elicitation");
  assert.deepEqual([form.toolApproval, form.mcpTool, form.toolArguments], [false, null, null]);
  // The same once such a call goes on.
  b.send(ELICITATION, MCP_APPROVAL);
  assert.deepEqual((await b.audited(2)).decidedBy, "rule");
});

test("what may be consent to a call whose beginning was missed waits for its twins, and is none where two share an id", async () => {
  const heard = Promise.withResolvers<void>();
  const b = bench({ approvals: () => ({ decision: "accept" }), heardAll: () => heard.promise });
  const rpc = { respond: () => {}, reject: () => {} };
  const params = { ...MCP_APPROVAL, threadId: THREAD };
  b.broker.handle({ rpcId: 1, method: ELICITATION, params }, rpc);
  await settle();
  assert.equal(b.audits.length, 0);
  heard.resolve();
  assert.equal((await b.audited()).decision, "accept");
  for (const q of [2, 3]) {
    const item = { type: "mcpToolCall", id: "c", server: "probe", tool: "ask", arguments: { q } };
    b.broker.noticed(THREAD, "item/started", { item });
  }
  b.broker.handle({ rpcId: 2, method: ELICITATION, params }, rpc);
  assert.equal((await b.audited(2)).reason, "uncertainSubject");
});

test("what may be consent to a call whose beginning was missed is judged as a call, and no rule accepts it", async () => {
  const params = { ...MCP_APPROVAL, threadId: THREAD };
  const rpc = { respond: () => {}, reject: () => {} };
  const asked: string[] = [];
  const allow = { effect: "allow" as const, mcpServer: "probe" };
  const deny = { effect: "deny" as const, tool: "ask" };
  const ask: ApprovalHandler = () => (asked.push("person"), { decision: "accept" });
  const rows: [ApprovalRules, "block" | "continue", string[], string][] = [
    [{ rules: [allow], ask }, "block", ["hook"], "hook"],
    [{ rules: [allow], ask }, "continue", ["hook", "person"], "handler"],
    [{ rules: [deny], ask }, "continue", ["hook"], "rule"],
  ];
  for (const [approvals, verdict, told, by] of rows) {
    const b = bench({ approvals });
    asked.length = 0;
    b.register(THREAD, {
      preToolUse: () => {
        asked.push("hook");
        return Promise.resolve(
          verdict === "block"
            ? { type: "block", reason: "no", hookName: "guard" }
            : { type: "continue" },
        );
      },
    });
    b.broker.handle({ rpcId: 1, method: ELICITATION, params }, rpc);
    assert.equal((await b.audited()).decidedBy, by);
    assert.deepEqual(asked, told);
  }
});
