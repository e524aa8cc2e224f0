import assert from "node:assert/strict";
import type { ApprovalDecision, ApprovalHandler } from "../../../src/approvals/mod.ts";
import { PendingCall } from "../../../src/approvals/broker/pending.ts";
import { test } from "../../_harness.ts";
import {
  bench,
  COMMAND,
  ELICITATION,
  MCP_APPROVAL,
  PARAMS,
  PATCH,
  PERMISSIONS,
  type Reply,
  requestOf,
  settle,
  THREAD,
  TURN,
} from "./_requests.ts";

const accept: ApprovalHandler = () => ({ decision: "accept" });
const declined: Reply[] = [{ result: { decision: "decline" } }];
const accepted: Reply[] = [{ result: { decision: "accept" } }];

/** A handler that answers when told, and remembers its signals. */
function slow(): {
  handler: ApprovalHandler;
  answer(decision: ApprovalDecision): void;
  signals: AbortSignal[];
} {
  let resolve: (decision: ApprovalDecision) => void = () => {};
  const signals: AbortSignal[] = [];
  return {
    handler: (_, { signal }) => {
      signals.push(signal);
      return new Promise((done) => resolve = done);
    },
    answer: (decision) => resolve(decision),
    signals,
  };
}

test("without a handler every request gets the fail-closed answer at once", async () => {
  for (const method of Object.keys(PARAMS).filter((name) => name !== "currentTime/read")) {
    const { send, audited, timers } = bench();
    const replies = send(method);
    const audit = await audited();
    assert.equal(replies.length, 1, method);
    assert.equal(audit.decidedBy, "failClosed", method);
    assert.ok(audit.reason === "noHandler" || audit.reason === "noTool", method);
    assert.equal(timers.size, 0);
  }
});

test("a handler's decision is sent once, with an audit of who decided and how long it took", async () => {
  let now = 1000;
  const b = bench({
    approvals: () => {
      now = 1250;
      return { decision: "acceptForSession", reason: "looks fine" };
    },
    now: () => now,
  });
  const replies = b.send(COMMAND, {}, 0);
  const audit = await b.audited();
  assert.deepEqual(replies, [{ result: { decision: "acceptForSession" } }]);
  assert.match(audit.id, /^[0-9a-f-]{36}$/);
  assert.deepEqual({ ...audit, id: "" }, {
    id: "",
    method: COMMAND,
    type: "command",
    threadId: THREAD,
    turnId: TURN,
    itemId: "call_1",
    decision: "acceptForSession",
    decidedBy: "handler",
    rule: null,
    reason: "looks fine",
    requestedAt: new Date(1000),
    durationMs: 250,
  });
  assert.deepEqual(b.broker.pending(), []);
  assert.equal(b.timers.size, 0);
});

test("rules decide without the handler, and ask it when they say so", async () => {
  const asked: string[] = [];
  const b = bench({
    approvals: {
      rules: [
        { effect: "allow", command: ["git", "status"], name: "status", outsideSandbox: true },
        { effect: "deny", command: ["rm"] },
        { effect: "ask", command: ["git", "push"] },
      ],
      ask: (request) => {
        asked.push(request.type === "command" ? request.script ?? "" : "");
        return { decision: "accept" };
      },
      default: "decline",
    },
  });
  const replies = ["git status", "rm x", "git push", "ls"].map((script) =>
    b.send(COMMAND, { command: `bash -lc '${script}'` })
  );
  await b.audited(4);
  assert.deepEqual(replies, [accepted, declined, accepted, declined]);
  assert.deepEqual(asked, ["git push"]);
  const by = (script: number): unknown[] => {
    const { decidedBy, rule, reason } = b.audits.find((audit) =>
      audit.rule === ["status", "rule 2", "rule 3", null][script]
    )!;
    return [decidedBy, rule, reason];
  };
  assert.deepEqual(by(0), ["rule", "status", null]);
  assert.deepEqual(by(1), ["rule", "rule 2", null]);
  assert.deepEqual(by(2), ["handler", "rule 3", null]);
  assert.deepEqual(by(3), ["rule", null, "no rule matched"]);
});

const FAILURES: [string, ApprovalHandler, string][] = [
  ["a throw", () => {
    throw new Error("handler");
  }, "handlerThrew"],
  ["a rejection", () => Promise.reject(new Error("handler")), "handlerThrew"],
  ["nothing", () => undefined as never, "invalidAnswer"],
  ["a wrong word", () => ({ decision: "approved" }) as never, "invalidAnswer"],
  ["another request's answer", () => ({ answers: {} }), "invalidAnswer"],
];

test("a handler that fails gets the fail-closed answer and an audit with the reason", async (t) => {
  for (const [name, handler, reason] of FAILURES) {
    await t.step(name, async () => {
      const b = bench({ approvals: handler });
      const replies = b.send(COMMAND);
      const audit = await b.audited();
      assert.deepEqual(replies, declined);
      assert.deepEqual([audit.decidedBy, audit.reason], ["failClosed", reason]);
    });
  }
});

test("no answer in time gets the fail-closed answer, and a late one changes nothing", async () => {
  const { handler, answer, signals } = slow();
  const b = bench({ approvals: handler });
  const replies = b.send(COMMAND);
  await settle();
  assert.equal(b.broker.pending()[0]?.waitingFor, "handler");
  b.elapse();
  assert.deepEqual(replies, declined);
  assert.equal(b.audits[0]?.reason, "timeout");
  assert.equal(signals[0]?.aborted, true);
  answer({ decision: "accept" });
  await settle();
  assert.deepEqual(replies, declined);
  assert.equal(b.audits.length, 1);
});

test("real timers work, and infinite and huge limits do not fire at once", async () => {
  const hosted = {
    timers: { set: setTimeout, clear: (id: unknown) => clearTimeout(id as number) },
  };
  const short = bench({ approvals: slow().handler, timeoutMs: 5, ...hosted });
  short.send(COMMAND);
  assert.equal((await short.audited()).reason, "timeout");
  for (const timeoutMs of [Infinity, 2 ** 40]) {
    const long = bench({ approvals: slow().handler, timeoutMs, ...hosted });
    long.send(COMMAND);
    await new Promise((done) => setTimeout(done, 5));
    assert.equal(long.audits.length, 0);
    long.broker.close();
  }
});

test("a full queue answers at once, and has room again afterwards", async () => {
  const { handler, answer } = slow();
  const b = bench({ approvals: handler, maxPending: 1 });
  b.send(COMMAND);
  await settle();
  assert.deepEqual(b.send(COMMAND), declined);
  assert.equal(b.audits[0]?.reason, "queueFull");
  answer({ decision: "accept" });
  await b.audited(2);
  b.send(COMMAND);
  assert.equal(b.broker.pending().length, 1);
  b.broker.close();
});

test("twenty requests at once are asked in parallel and answered each to its own id", async () => {
  const waiting: (() => void)[] = [];
  const b = bench({
    approvals: (request) =>
      new Promise((done) =>
        waiting.push(() => done({ decision: request.itemId?.endsWith("3") ? "decline" : "accept" }))
      ),
  });
  const replies = Array.from({ length: 20 }, (_, i) => b.send(COMMAND, { itemId: `call_${i}` }, i));
  await settle();
  assert.equal(waiting.length, 20);
  for (const go of waiting.reverse()) go();
  await b.audited(20);
  replies.forEach((reply, i) => assert.deepEqual(reply, i % 10 === 3 ? declined : accepted));
});

test("another client's answer ends the wait without a second one, also for id 0", async () => {
  const { handler, answer, signals } = slow();
  const b = bench({ approvals: handler });
  const replies = b.send(COMMAND, {}, 0);
  const other = b.send(COMMAND, {}, "0");
  await settle();
  b.broker.resolvedElsewhere(0, "another thread");
  assert.equal(b.audits.length, 0);
  b.broker.resolvedElsewhere(0, THREAD);
  assert.deepEqual(replies, []);
  assert.deepEqual([b.audits[0]?.decidedBy, b.audits[0]?.decision], ["otherClient", "none"]);
  assert.equal(signals[0]?.aborted, true);
  assert.equal(signals[1]?.aborted, false);
  answer({ decision: "accept" });
  await b.audited(2);
  b.broker.resolvedElsewhere("0", THREAD);
  assert.deepEqual(other, accepted);
  assert.equal(b.audits.length, 2);
});

test("an id that the server uses again is answered once, for the second request", async () => {
  const b = bench({ approvals: () => ({ decision: "defer" }) });
  const first = b.send(COMMAND, {}, 7);
  const second = b.send(COMMAND, { itemId: "call_2" }, 7);
  await settle();
  assert.equal(
    b.broker.answer(b.broker.pending()[0]?.request.id ?? "", { decision: "accept" }),
    true,
  );
  assert.deepEqual([first, second], [[], accepted]);
});

test("the end of a turn declines what it still asks and aborts the handlers, other turns' not", async () => {
  const { handler, signals } = slow();
  const b = bench({ approvals: handler });
  const ended = b.send(COMMAND);
  const other = b.send(COMMAND, { turnId: "V" });
  await settle();
  b.broker.turnEnded(THREAD, TURN);
  assert.deepEqual(ended, declined);
  assert.deepEqual(other, []);
  assert.equal(b.audits[0]?.reason, "turnEnded");
  assert.deepEqual(signals.map((signal) => signal.aborted), [true, false]);
  b.broker.close("bye");
  assert.deepEqual(other, declined);
  assert.match(String(signals[1]?.reason), /bye/);
  assert.deepEqual(b.send(COMMAND), declined);
  assert.equal(b.audits[2]?.reason, "closed");
});

test("a deferred request waits for answer(), which takes one fitting decision", async () => {
  const b = bench({ approvals: () => ({ decision: "defer" }) });
  const replies = b.send(PERMISSIONS);
  await settle();
  const id = b.broker.pending()[0]?.request.id ?? "";
  assert.equal(b.broker.answer("guess", { decision: "accept" }), false);
  assert.equal(b.broker.answer(id, { decision: "defer" }), false);
  assert.equal(b.broker.answer(id, { permissions: { fileSystem: { write: ["/"] } } }), false);
  assert.deepEqual(replies, []);
  assert.equal(b.broker.answer(id, { permissions: {} }), true);
  assert.equal(b.broker.answer(id, { decision: "accept" }), false);
  assert.deepEqual(replies, [{ result: { permissions: {}, scope: "turn" } }]);
  assert.equal(b.audits[0]?.decidedBy, "handler");
});

test("a deferred request that nobody answers is declined in time", async () => {
  const b = bench({ approvals: () => ({ decision: "defer" }) });
  const replies = b.send(COMMAND);
  await settle();
  b.elapse();
  assert.deepEqual(replies, declined);
});

test("answer() can't overtake a hook", async () => {
  const b = bench({ approvals: accept });
  let release: () => void = () => {};
  b.register(THREAD, {
    preToolUse: () =>
      new Promise((done) => release = () => done({ type: "block", reason: "no", hookName: "h" })),
  });
  const replies = b.send(COMMAND);
  assert.equal(b.broker.pending()[0]?.waitingFor, "hook");
  assert.equal(
    b.broker.answer(b.broker.pending()[0]?.request.id ?? "", { decision: "accept" }),
    false,
  );
  release();
  await b.audited();
  assert.deepEqual(replies, declined);
});

test("an unknown request gets an error at once, and is told to the session", () => {
  const b = bench({ approvals: accept });
  const seen: string[] = [];
  b.register(THREAD, {
    onRequested: (request) => void seen.push(request.type),
    onResolved: (audit) => void seen.push(audit.decision),
  });
  const replies = b.send("future/ask", { threadId: THREAD });
  assert.ok(replies.length === 1 && "code" in replies[0]! && replies[0].code === -32601);
  assert.deepEqual(seen, ["unknown", "error"]);
  assert.equal(b.audits[0]?.reason, "unknownMethod");
});

test("currentTime/read is answered with the time, in whole seconds, whoever is there", () => {
  const b = bench({ now: () => 1_700_000_000_999 });
  assert.deepEqual(b.send("currentTime/read"), [{ result: { currentTimeAt: 1_700_000_000 } }]);
  assert.deepEqual([b.audits[0]?.decidedBy, b.audits[0]?.decision], ["library", "answered"]);
});

test("a request of a thread that names none is declined", async () => {
  const b = bench({ approvals: accept });
  assert.deepEqual(b.send(COMMAND, { threadId: null }), declined);
  assert.equal(b.audits[0]?.reason, "invalidRequest");
  assert.deepEqual(b.send(ELICITATION, { ...MCP_APPROVAL, turnId: null }), []);
  await b.audited(2);
  assert.equal(b.audits[1]?.decision, "accept");
});

test("no message makes handle() throw or leaves it without an answer", async () => {
  const b = bench();
  const odd = [null, 1, [], {}, { threadId: 1 }, { threadId: THREAD, command: {}, permissions: 1 }];
  const methods = [...Object.keys(PARAMS), "future/ask", "", "__proto__"];
  let count = 0;
  for (const method of methods) {
    for (const params of odd) {
      let replies = 0;
      b.broker.handle({ rpcId: count++, method, params }, {
        respond: () => void replies++,
        reject: () => void replies++,
      });
      await settle();
      assert.equal(replies, 1, method);
    }
  }
  assert.equal(b.audits.length, count);
});

test("a connection that can't take the answer leaves an audit, not an exception", () => {
  const b = bench();
  b.broker.handle({ rpcId: 0, method: "future/ask", params: {} }, {
    respond: () => {},
    reject: () => {
      throw new Error("closed");
    },
  });
  assert.deepEqual([b.audits[0]?.decision, b.audits[0]?.reason], ["none", "closed"]);
});

test("listeners that throw cost nobody an answer", async () => {
  const b = bench({
    approvals: accept,
    onAudit: () => {
      throw new Error("listener");
    },
  });
  const fail = (): never => {
    throw new Error("listener");
  };
  b.register(THREAD, { onRequested: fail, onResolved: fail, postToolUse: fail });
  const replies = b.send(COMMAND);
  await settle();
  assert.deepEqual(replies, accepted);
});

test("a file change carries its diff, joined from the session's item", async () => {
  let diff: string | null = "";
  const b = bench({
    approvals: (request) => {
      if (request.type === "fileChange") diff = request.diff;
      return { decision: "decline" };
    },
  });
  b.register(THREAD, {
    item: (itemId) => ({
      type: "fileChange",
      changes: [{ path: `/w/${itemId}`, kind: { type: "add" }, diff: "x\n" }],
    }),
  });
  b.send(PATCH);
  await b.audited();
  assert.equal(diff, "--- /dev/null\n+++ b/w/call_1\n@@ -0,0 +1 @@\n+x\n");
});

test("PendingCall sends one answer, whoever comes second", () => {
  const sent: unknown[] = [];
  const call = new PendingCall(
    { rpcId: 0, method: COMMAND, params: {} },
    requestOf(COMMAND),
    undefined,
    { respond: (result) => void sent.push(result), reject: (code) => void sent.push(code) },
    { set: () => 0, clear: () => {} },
  );
  const answer = { type: "result", result: { decision: "decline" }, word: "decline" } as const;
  assert.notEqual(call.settle(answer, { by: "handler" }, 0), null);
  assert.equal(call.settle(answer, { by: "handler" }, 0), null);
  assert.deepEqual(sent, [{ decision: "decline" }]);
});
