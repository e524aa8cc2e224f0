import assert from "node:assert/strict";
import type { HookVerdict } from "../../../src/plugin/mod.ts";
import type {
  ApprovalDecision,
  PendingApproval,
  ReaderRequest,
  ThreadGate,
} from "../../../src/approvals/mod.ts";
import { CodexError, RpcValidationError } from "../../../src/errors/mod.ts";
import { test } from "../../_harness.ts";
import {
  bench,
  COMMAND,
  ELICITATION,
  MCP_APPROVAL,
  PATCH,
  PERMISSIONS,
  type Reply,
  settle,
  THREAD,
  TURN,
} from "./_requests.ts";

const TOOL = "item/tool/call";
const declined: Reply[] = [{ result: { decision: "decline" } }];
const accepted: Reply[] = [{ result: { decision: "accept" } }];
const block: HookVerdict = { type: "block", reason: "not here", hookName: "guard" };
const output = { success: true, contentItems: [{ type: "inputText", text: "open" }] };

test("a hook refuses before rules and handler, for everything that uses a tool", async () => {
  let asked = 0;
  const b = bench({
    approvals: {
      rules: [{ effect: "allow", outsideSandbox: true }],
      ask: () => {
        asked++;
        return { decision: "accept" };
      },
    },
  });
  const after: string[] = [];
  b.register(THREAD, {
    preToolUse: () => Promise.resolve(block),
    postToolUse: (request, audit) => void after.push(`${request.type} ${audit.decision}`),
    runTool: () => {
      throw new Error("must not run");
    },
  });
  const replies = [
    b.send(COMMAND),
    b.send(PATCH),
    b.send(PERMISSIONS),
    b.send(ELICITATION, MCP_APPROVAL),
    b.send(TOOL),
    b.send("execCommandApproval", { callId: "old" }),
  ];
  await b.audited(6);
  assert.deepEqual(replies, [
    declined,
    declined,
    [{ result: { permissions: {}, scope: "turn" } }],
    [{ result: { action: "decline", content: null, _meta: null } }],
    [{ result: { success: false, contentItems: [{ type: "inputText", text: "not here" }] } }],
    [{ result: { decision: "denied" } }],
  ]);
  assert.equal(asked, 0);
  for (const audit of b.audits) {
    assert.deepEqual([audit.decidedBy, audit.rule, audit.reason], ["hook", "guard", "not here"]);
  }
  assert.equal(after.length, 6);
  assert.ok(after.includes("command decline"));
});

test("a hook that lets pass grants nothing: without a handler the answer stays no", async () => {
  const b = bench();
  b.register(THREAD, { preToolUse: () => Promise.resolve({ type: "continue" }) });
  const replies = b.send(COMMAND);
  await b.audited();
  assert.deepEqual(replies, declined);
});

test("a hook that throws, says nonsense or never ends refuses", async () => {
  const hooks: ThreadGate["preToolUse"][] = [
    () => {
      throw new Error("hook");
    },
    () => Promise.reject(new Error("hook")),
    () => Promise.resolve(undefined as never),
    () => Promise.resolve({ type: "allow" } as never),
    () => new Promise(() => {}),
  ];
  for (const preToolUse of hooks) {
    const b = bench({ approvals: () => ({ decision: "accept" }) });
    b.register(THREAD, { preToolUse: preToolUse! });
    const replies = b.send(COMMAND);
    await settle();
    b.elapse();
    assert.deepEqual(replies, declined);
  }
});

test("a hook that lets pass too late brings nobody back", async () => {
  let release: () => void = () => {};
  let asked = 0;
  const b = bench({
    approvals: () => {
      asked++;
      return { decision: "accept" };
    },
  });
  b.register(THREAD, {
    preToolUse: () => new Promise((done) => release = () => done({ type: "continue" })),
  });
  const replies = b.send(COMMAND);
  b.elapse();
  release();
  await settle();
  assert.deepEqual(replies, declined);
  assert.equal(asked, 0);
});

test("one session's hooks, handler and tools never see another thread", async () => {
  const b = bench({ approvals: () => ({ decision: "accept" }) });
  const seen: string[] = [];
  const spy = (name: string): ThreadGate => ({
    preToolUse: (request) => {
      seen.push(`${name} hook ${request.threadId}`);
      return Promise.resolve(block);
    },
    approvals: (request) => {
      seen.push(`${name} handler ${request.threadId}`);
      return { decision: "decline" };
    },
    onRequested: (request) => void seen.push(`${name} event ${request.threadId}`),
  });
  b.register("A", spy("A"));
  const other = b.send(COMMAND, { threadId: "B" });
  await b.audited();
  assert.deepEqual(other, accepted);
  assert.deepEqual(seen, []);
  const own = b.send(COMMAND, { threadId: "A" });
  await b.audited(2);
  assert.deepEqual(own, declined);
  assert.deepEqual(seen, ["A hook A", "A event A"]);
});

test("a slow hook delays only its own thread", async () => {
  const b = bench({ approvals: () => ({ decision: "accept" }) });
  b.register("A", { preToolUse: () => new Promise(() => {}) });
  const slow = b.send(COMMAND, { threadId: "A" });
  const fast = b.send(COMMAND, { threadId: "B" });
  await b.audited();
  assert.deepEqual([slow, fast], [[], accepted]);
  b.broker.close();
});

test("a session's own approvals come before the client's, until it leaves", async () => {
  const b = bench({ approvals: () => ({ decision: "accept" }) });
  const leave = b.register(THREAD, { approvals: () => ({ decision: "decline" }) });
  const first = b.send(COMMAND);
  await b.audited(1);
  leave();
  leave();
  const second = b.send(COMMAND);
  await b.audited(2);
  assert.deepEqual([first, second], [declined, accepted]);
});

test("gateFor() takes part for threads that no session registered, and refuses when it throws", async () => {
  const b = bench({
    approvals: () => ({ decision: "accept" }),
    gateFor: (threadId) => {
      if (threadId === "broken") throw new Error("lookup");
      return threadId === "child" ? { preToolUse: () => Promise.resolve(block) } : undefined;
    },
  });
  const replies = [
    b.send(COMMAND, { threadId: "child" }),
    b.send(COMMAND, { threadId: "broken" }),
    b.send(COMMAND, { threadId: "free" }),
  ];
  await b.audited(3);
  assert.deepEqual(replies, [declined, declined, accepted]);
});

test("a tool of the session runs when a rule allows it, with nobody asked, and not after its turn", async () => {
  let ran = 0;
  const allowed = bench({
    approvals: {
      rules: [{ effect: "allow", tool: "lookup_ticket" }],
      ask: () => assert.fail("somebody was asked"),
    },
  });
  const runTool = () => {
    ran++;
    return Promise.resolve(output);
  };
  allowed.register(THREAD, { runTool });
  const replies = allowed.send(TOOL);
  await allowed.audited();
  assert.deepEqual([replies, ran], [[{ result: output }], 1]);
  assert.equal(allowed.audits[0]?.decidedBy, "tool");

  // A hook that takes its time lets nothing begin that is over.
  const verdict = Promise.withResolvers<{ type: "continue" }>();
  const late = bench({ approvals: { rules: [], default: "decline" } });
  late.register(THREAD, { runTool, preToolUse: () => verdict.promise });
  late.send(TOOL);
  await settle();
  late.broker.turnEnded(THREAD, TURN);
  verdict.resolve({ type: "continue" });
  await settle();
  assert.equal(ran, 1);
  assert.equal(late.audits[0]?.reason, "turnEnded");
});

test("a tool of the session runs and answers, without the approval limit", async () => {
  let finish: () => void = () => {};
  const b = bench({ approvals: { rules: [], default: "decline" } });
  b.register(THREAD, {
    runTool: (call) => {
      assert.deepEqual(call, {
        tool: "lookup_ticket",
        namespace: null,
        arguments: { id: "T-1" },
        callId: "call_1",
        threadId: THREAD,
        turnId: TURN,
      });
      return new Promise((done) => finish = () => done(output));
    },
  });
  const replies = b.send(TOOL);
  await settle();
  assert.equal(b.timers.size, 0);
  assert.equal(b.broker.pending()[0]?.waitingFor, "tool");
  finish();
  await b.audited();
  assert.deepEqual(replies, [{ result: output }]);
  assert.deepEqual([b.audits[0]?.decidedBy, b.audits[0]?.decision], ["tool", "answered"]);
});

test("a tool that throws, answers in a wrong shape or is not there tells the model so", async () => {
  const tools: [ThreadGate, string][] = [
    [{ runTool: () => Promise.reject(new Error("tool")) }, "toolThrew"],
    [{ runTool: () => Promise.resolve({ text: "x" }) }, "invalidAnswer"],
    [{ runTool: () => Promise.resolve(undefined) }, "noTool"],
    [{}, "noTool"],
  ];
  const rules = [{ effect: "ask", tool: "lookup_ticket" } as const];
  const accepts = (): ApprovalDecision => ({ decision: "accept" });
  for (const [gate, reason] of tools) {
    for (const options of [{}, { approvals: { rules, ask: accepts } }]) {
      const b = bench(options);
      b.register(THREAD, gate);
      const replies = b.send(TOOL);
      const audit = await b.audited();
      assert.equal(audit.reason, reason);
      const { result } = replies[0] as { result: { success: boolean; contentItems: unknown[] } };
      assert.equal(result.success, false);
      assert.equal(result.contentItems.length, 1);
      assert.equal(b.timers.size, 0);
    }
  }
});

test("rules can forbid a tool of the session or have it asked for", async () => {
  let runs = 0;
  const gate: ThreadGate = {
    runTool: () => {
      runs++;
      return Promise.resolve(output);
    },
  };
  const b = bench({
    approvals: {
      rules: [{ effect: "deny", tool: "drop" }, { effect: "ask", tool: "lookup_ticket" }],
      ask: () => ({ decision: "accept" }),
    },
  });
  b.register(THREAD, gate);
  b.send(TOOL, { tool: "drop" });
  await b.audited(1);
  assert.equal(runs, 0);
  const replies = b.send(TOOL);
  await b.audited(2);
  assert.equal(runs, 1);
  assert.deepEqual(replies, [{ result: output }]);
});

test("a call that is accepted by hand runs once, whatever its handler answers then", async () => {
  const handlers: (() => ApprovalDecision)[] = [
    () => ({ decision: "accept" }),
    () => ({ decision: "decline" }),
    () => ({ decision: "defer" }),
    () => {
      throw new Error("late");
    },
  ];
  for (const handler of handlers) {
    let runs = 0;
    const asked = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const b = bench({
      approvals: {
        rules: [{ effect: "ask", tool: "lookup_ticket" }],
        ask: () => asked.promise.then(handler),
      },
    });
    b.register(THREAD, {
      runTool: async () => {
        runs++;
        await finish.promise;
        return output;
      },
    });
    const replies = b.send(TOOL);
    await settle();
    const [{ request: { id } }] = b.broker.pending() as [PendingApproval];
    assert.equal(b.broker.answer(id, { decision: "accept" }), true);
    assert.equal(b.broker.answer(id, { decision: "accept" }), false);
    assert.equal(b.broker.answer(id, { decision: "decline" }), false);
    asked.resolve();
    await settle();
    finish.resolve();
    await b.audited();
    assert.deepEqual([runs, replies], [1, [{ result: output }]]);
    assert.deepEqual([b.audits.length, b.timers.size], [1, 0]);
  }
});

test("a call that is declined by hand runs nothing, and can't be accepted where there is no tool", async () => {
  const approvals = {
    rules: [{ effect: "ask", tool: "lookup_ticket" } as const],
    ask: (): ApprovalDecision => ({ decision: "defer" }),
  };
  for (const gate of [{ runTool: () => assert.fail("it ran") }, {}]) {
    const b = bench({ approvals });
    b.register(THREAD, gate);
    const replies = b.send(TOOL);
    await settle();
    const [{ request: { id } }] = b.broker.pending() as [PendingApproval];
    if (!("runTool" in gate)) assert.equal(b.broker.answer(id, { decision: "accept" }), false);
    await settle();
    assert.deepEqual([replies, b.broker.pending().length], [[], 1]);
    assert.equal(b.broker.answer(id, { decision: "decline", reason: "not now" }), true);
    const audit = await b.audited();
    assert.deepEqual([audit.decidedBy, audit.decision], ["handler", "decline"]);
    assert.match(JSON.stringify(replies), /"success":false/);
  }
});

test("the end of the turn aborts a running tool", async () => {
  const b = bench();
  let aborted = false;
  b.register(THREAD, {
    runTool: (_, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted = true;
          reject(signal.reason);
        });
      }),
  });
  const replies = b.send(TOOL);
  await settle();
  b.broker.turnEnded(THREAD, TURN);
  await settle();
  assert.equal(aborted, true);
  assert.equal(replies.length, 1);
  assert.equal(b.audits.length, 1);
});

test("a reader gets what nobody refused, and answers once in the right shape", async () => {
  const b = bench({
    approvals: {
      rules: [{ effect: "deny", command: ["rm"] }, { effect: "allow", outsideSandbox: true }],
    },
  });
  b.register(THREAD, {
    preToolUse: (request) =>
      Promise.resolve(request.type === "fileChange" ? block : { type: "continue" }),
  });
  const got: ReaderRequest[] = [];
  const detach = b.attach((request) => void got.push(request));
  const command = b.send(COMMAND);
  const rm = b.send(COMMAND, { command: "rm x" });
  const patch = b.send(PATCH);
  const future = b.send("future/ask", { threadId: THREAD });
  const time = b.send("currentTime/read");
  await settle();
  assert.deepEqual([rm, patch], [declined, declined]);
  assert.deepEqual(got.map((request) => request.method).sort(), [
    "currentTime/read",
    "future/ask",
    COMMAND,
  ]);
  const [first] = got.filter((request) => request.method === COMMAND);
  assert.throws(() => first?.respond({ decision: "approved" }), RpcValidationError);
  assert.deepEqual(command, []);
  assert.equal(first?.respond({ decision: "accept" }), true);
  assert.equal(first?.respond({ decision: "decline" }), false);
  assert.equal(first?.reject({ message: "late" }), false);
  assert.deepEqual(command, accepted);
  assert.equal(got.find((one) => one.method === "future/ask")?.respond({ any: 1 }), true);
  assert.deepEqual(future, [{ result: { any: 1 } }]);
  b.elapse();
  assert.ok("result" in time[0]!);
  detach();
  assert.equal(b.audits.filter((audit) => audit.decidedBy === "reader").length, 2);
});

test("only one reader at a time; afterwards the handler answers again", async () => {
  const b = bench({ approvals: () => ({ decision: "accept" }) });
  const detach = b.attach(() => {});
  assert.throws(() => b.attach(() => {}), CodexError);
  const lost = b.send(COMMAND);
  await settle();
  detach();
  const replies = b.send(COMMAND);
  await b.audited();
  assert.deepEqual(replies, accepted);
  b.elapse();
  assert.deepEqual(lost, declined);
  b.attach(() => {
    throw new Error("reader");
  });
  const thrown = b.send(COMMAND);
  await settle();
  assert.deepEqual(thrown, declined);
});
