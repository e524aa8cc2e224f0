/** Codex gives an answer to the newest question of its id: what comes twice under one id is not accepted. */
import assert from "node:assert/strict";
import type { ApprovalHandler, ApprovalRules } from "../../../src/approvals/mod.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { test } from "../../_harness.ts";
import {
  bench,
  COMMAND,
  ELICITATION,
  MCP_APPROVAL,
  PARAMS,
  PATCH,
  PERMISSIONS,
  settle,
  THREAD,
  TURN,
} from "./_requests.ts";

const accept: ApprovalHandler = () => ({ decision: "accept" });
const ACCEPTED = [{ result: { decision: "accept" } }];
const DECLINED = [{ result: { decision: "decline" } }];
const STOPPED = [{ result: { decision: "cancel" } }];
const command = (script: string, more: JsonObject = {}): JsonObject => ({
  itemId: "c",
  command: `/bin/bash -lc '${script}'`,
  ...more,
});

test("of two questions under one id that wait, none is accepted, whoever wants to", async () => {
  for (const method of [COMMAND, PATCH]) {
    const told: string[] = [];
    const b = bench({ approvals: () => ({ decision: "defer" }) });
    b.register(THREAD, { onProblem: (_, sentence) => void told.push(sentence) });
    const first = b.send(COMMAND, command("ls"));
    await settle();
    const second = b.send(method, { ...command("rm x") });
    assert.deepEqual([first, second], [DECLINED, DECLINED]);
    assert.deepEqual(b.audits.map(({ reason }) => reason), [
      "uncertainSubject",
      "uncertainSubject",
    ]);
    assert.equal(told.filter((sentence) => /only one of its id/.test(sentence)).length, 2);
  }
});

test("an acceptance waits for what was asked together with it, and is taken back then", async () => {
  const heard = Promise.withResolvers<void>();
  const b = bench({ approvals: accept, heardAll: () => heard.promise });
  const alone = b.send(COMMAND, command("ls", { itemId: "d" }));
  const first = b.send(COMMAND, command("ls"));
  await settle();
  assert.deepEqual([alone, first], [[], []]);
  assert.equal(b.broker.answer(b.broker.pending()[0]!.request.id, { decision: "accept" }), false);
  const second = b.send(COMMAND, command("rm x"));
  assert.deepEqual([first, second], [DECLINED, DECLINED]);
  heard.resolve();
  await settle();
  assert.deepEqual([alone, first, second], [ACCEPTED, DECLINED, DECLINED]);
});

test("of two answers to one question the first counts, also while it is held", async () => {
  const words = ["accept", "decline", "throw"] as const;
  for (const later of words) {
    const heard = Promise.withResolvers<void>();
    const b = bench({
      approvals: (request) => {
        assert.equal(b.broker.answer(request.id, { decision: "accept" }), true);
        if (later === "throw") throw new Error("too late");
        return { decision: later };
      },
      heardAll: () => heard.promise,
    });
    const replies = b.send(COMMAND, command("ls"));
    await settle();
    assert.deepEqual(replies, [], later);
    heard.resolve();
    await settle();
    assert.deepEqual([replies, b.audits.length], [ACCEPTED, 1], later);
  }
});

test("what was accepted in time is not refused for the time that it is held", async () => {
  const heard = Promise.withResolvers<void>();
  const b = bench({ approvals: accept, heardAll: () => heard.promise });
  const replies = b.send(COMMAND, command("ls"));
  await settle();
  b.elapse();
  assert.deepEqual(replies, []);
  heard.resolve();
  await settle();
  assert.deepEqual(replies, ACCEPTED);
});

test("no acceptance leaves when its turn is being stopped, also none that was made before", async () => {
  for (const made of ["before", "after"]) {
    const heard = Promise.withResolvers<void>();
    const decided = Promise.withResolvers<{ decision: "acceptForSession" }>();
    const kept: string[] = [];
    const b = bench({
      approvals: () => decided.promise,
      heardAll: () => made === "before" ? heard.promise : Promise.resolve(),
    });
    b.register(THREAD, { onKept: ({ type }) => void kept.push(type) });
    const replies = b.send(COMMAND, command("ls"));
    await settle();
    const decide = async () => {
      decided.resolve({ decision: "acceptForSession" });
      await settle();
    };
    if (made === "before") await decide();
    b.broker.toolsEnd("another thread", null, "stopped");
    assert.deepEqual(replies, []);
    b.broker.toolsEnd(THREAD, null, "stopped");
    if (made === "after") await decide();
    assert.deepEqual(replies, STOPPED, made);
    assert.equal(b.audits[0]!.reason, "turnEnded");
    heard.resolve();
    await settle();
    assert.deepEqual([replies, b.audits.length, kept], [STOPPED, 1, []]);
  }
});

test("what is asked while its turn is being stopped is not granted, and what is asked after that is", async () => {
  const form = { requestedSchema: { type: "object", properties: {} } };
  const ends: [string, (b: ReturnType<typeof bench>, leave: () => void) => void][] = [
    ["the server tells of the turn's end", (b) => b.broker.turnEnded(THREAD, TURN)],
    ["the turn is over", (b) => b.broker.toolsEnd(THREAD, TURN, "over")],
    ["the server has ended", (b) => b.broker.reset("the server ended", true)],
    ["its session has left the thread", (_, leave) => leave()],
  ];
  for (const [name, end] of ends) {
    const b = bench({ approvals: accept });
    const leave = b.register(THREAD, {});
    b.broker.toolsEnd(THREAD, null, "stopped");
    b.broker.reset("the connection ended");
    const asked = [b.send(COMMAND, command("ls")), b.send(ELICITATION, form)];
    const other = b.send(COMMAND, command("ls", { threadId: "other" }));
    await settle();
    assert.deepEqual([...asked, other], [STOPPED, action("cancel"), ACCEPTED], name);
    end(b, leave);
    const next = b.send(COMMAND, command("ls", { turnId: "V" }));
    await settle();
    assert.deepEqual(next, ACCEPTED, name);
  }
});

test("nothing is granted where the server does not tell in time whether it has asked more", async () => {
  const b = bench({ approvals: accept, heardAll: () => Promise.reject(new Error("no answer")) });
  const replies = b.send(COMMAND, command("ls"));
  await b.audited();
  assert.deepEqual(replies, DECLINED);
  assert.equal(b.audits[0]!.reason, "uncertainSubject");
  const refused = bench({ heardAll: () => Promise.reject(new Error("no answer")) });
  assert.deepEqual(refused.send(COMMAND, command("ls")), DECLINED);
  await settle();
});

test("what is given is what was said, whatever becomes of its object while it is held", async () => {
  const heard = Promise.withResolvers<void>();
  const b = bench({ heardAll: () => heard.promise });
  const answer = { permissions: { fileSystem: { write: ["/one"] } }, scope: "turn" };
  b.attach(({ respond }) => void respond(answer));
  const replies = b.send(PERMISSIONS, {
    permissions: { network: null, fileSystem: { read: null, write: ["/one"] } },
  });
  await settle();
  answer.permissions.fileSystem.write[0] = "/two";
  heard.resolve();
  await settle();
  const permissions = { fileSystem: { write: ["/one"] } };
  assert.deepEqual(replies, [{ result: { permissions, scope: "turn" } }]);
});

test("an answer that can't be sent leaves its question open, also where it would be held", async () => {
  const b = bench({ heardAll: () => Promise.resolve() });
  const refused: unknown[] = [];
  const consent = (content: JsonObject) => ({ action: "accept", content, _meta: null });
  b.attach(({ respond }) => {
    const endless: JsonObject = {};
    endless["itself"] = endless;
    try {
      respond(consent(endless));
    } catch (error) {
      refused.push(error);
    }
    respond(consent({}));
  });
  const replies = b.send(ELICITATION, MCP_APPROVAL);
  assert.equal((await b.audited()).decision, "accept");
  assert.deepEqual([refused.length, replies], [1, [{ result: consent({}) }]]);
});

test("what may have a twin again is heard out for longer", async () => {
  const heard: boolean[] = [];
  const b = bench({
    approvals: accept,
    heardAll: (repeats) => (heard.push(repeats), Promise.resolve()),
  });
  const repeats = async (params: JsonObject) => {
    const count = b.audits.length + 1;
    b.send(COMMAND, params);
    await b.audited(count);
    return heard.splice(0).join();
  };
  assert.equal(await repeats(command("ls")), "false");
  assert.equal(await repeats(command("ls", { itemId: "d" })), "false");
  assert.equal(await repeats(command("ls", { threadId: "other" })), "false");
  b.broker.turnEnded(THREAD, TURN);
  assert.equal(await repeats(command("ls")), "true", "its id was used before");
  assert.equal(await repeats(command("ls", { itemId: "e" })), "false");
  // Two things at once, the second too late to be told apart: all of that thread, of which nothing is sure any more.
  assert.equal(await repeats(command("rm x")), "");
  assert.equal(await repeats(command("ls", { itemId: "f" })), "true");
  assert.equal(await repeats(command("ls", { itemId: "f", threadId: "other" })), "false");
  // So where both still wait.
  const twin = { itemId: "g", threadId: "third" };
  b.send(COMMAND, command("ls", twin));
  b.send(COMMAND, command("rm x", twin));
  heard.length = 0;
  assert.equal(await repeats(command("ls", { itemId: "h", threadId: "third" })), "true");
  // So where what it is about can't be told: two changes under one id, or two calls of an MCP server.
  const patch = (path: string): JsonObject => ({
    item: { type: "fileChange", id: "p", changes: [{ path, kind: { type: "add" }, diff: "" }] },
  });
  const doubts: [string, JsonObject[], string, JsonObject][] = [
    ["changes", [patch("/w/a"), patch("/w/b")], PATCH, { itemId: "p" }],
    ["calls", [call("good"), call("bad")], ELICITATION, question("bad")],
  ];
  for (const [threadId, items, method, params] of doubts) {
    for (const item of items) b.broker.noticed(threadId, "item/started", item);
    b.send(method, { threadId, ...params });
    heard.length = 0;
    assert.equal(await repeats(command("ls", { itemId: "i", threadId })), "true", threadId);
  }
  // What is remembered has a bound.
  const fourth = (itemId: string) => command("ls", { itemId, threadId: "fourth" });
  assert.equal(await repeats(fourth("first")), "false");
  for (let n = 0; n < 999; n++) await repeats(fourth(`${n}`));
  assert.equal(await repeats(fourth("first")), "true");
  // The newest counts from its last time on.
  for (let n = 0; n < 999; n++) await repeats(fourth(`again ${n}`));
  assert.equal(await repeats(fourth("first")), "true");
  for (let n = 0; n < 1000; n++) await repeats(fourth(`more ${n}`));
  assert.equal(await repeats(fourth("first")), "false");
});

test("what a rule accepts is not told as a question that waits, also while it is held", async () => {
  const heard = Promise.withResolvers<void>();
  const approvals: ApprovalRules = {
    rules: [{ effect: "allow", kind: "command", command: ["ls"], outsideSandbox: true }],
    ask: () => ({ decision: "defer" }),
  };
  const b = bench({ approvals, heardAll: () => heard.promise });
  const told: string[] = [];
  b.register(THREAD, {
    onRequested: ({ itemId }) => void told.push(`asked ${itemId}`),
    onResolved: ({ itemId, decidedBy }) => void told.push(`${decidedBy} ${itemId}`),
  });
  b.send(COMMAND, command("ls"));
  b.send(COMMAND, command("date", { itemId: "d" }));
  await settle();
  assert.deepEqual(told, ["asked d"]);
  heard.resolve();
  await settle();
  assert.deepEqual(told, ["asked d", "asked c", "rule c"]);
  b.broker.close();
});

const call = (q: string, id = "c"): JsonObject => ({
  item: { type: "mcpToolCall", id, server: "s", tool: "note", arguments: { q } },
});
const question = (q: string): JsonObject => ({
  serverName: "s",
  requestedSchema: { type: "object", properties: {} },
  _meta: { codex_approval_kind: "mcp_tool_call", tool_name: "note", tool_params: { q } },
});
const action = (word: string) => [{
  result: { action: word, content: word === "accept" ? {} : null, _meta: null },
}];

test("consent to an MCP call waits, and is taken back when another call has its id", async () => {
  for (const twin of [true, false]) {
    const heard = Promise.withResolvers<void>();
    const b = bench({ approvals: accept, heardAll: () => heard.promise });
    b.broker.noticed(THREAD, "item/started", call("good"));
    const first = b.send(ELICITATION, question("good"));
    await settle();
    assert.deepEqual(first, []);
    if (twin) b.broker.noticed(THREAD, "item/started", call("bad"));
    heard.resolve();
    await b.audited();
    assert.deepEqual(first, action(twin ? "decline" : "accept"));
    if (!twin) continue;
    assert.deepEqual(b.send(ELICITATION, question("bad")), action("decline"));
    assert.equal(b.audits.at(-1)?.reason, "uncertainSubject");
  }
});

test("another MCP call under the id of one that was accepted stops the turn while that goes on", async () => {
  const rows: [string, (b: ReturnType<typeof bench>) => void, string][] = [
    ["at once", (b) => void b.broker.noticed(THREAD, "item/started", call("bad")), "cancel"],
    [
      "another id",
      (b) => void b.broker.noticed(THREAD, "item/started", call("bad", "d")),
      "accept",
    ],
    ["after its end", (b) => {
      b.broker.noticed(THREAD, "item/completed", call("good"));
      b.broker.noticed(THREAD, "item/started", call("bad"));
    }, "accept"],
    ["in another turn", (b) => {
      b.broker.turnEnded(THREAD, TURN);
      b.broker.noticed(THREAD, "item/started", call("bad"));
    }, "accept"],
  ];
  for (const [name, between, expected] of rows) {
    const interrupted: string[][] = [];
    const b = bench({
      approvals: accept,
      interrupt: (...turn) => void interrupted.push(turn),
    });
    b.broker.noticed(THREAD, "item/started", call("good"));
    const replies: JsonValue[] = [];
    const ask = (q: string) => {
      const params = { ...PARAMS[ELICITATION], ...question(q) };
      b.broker.handle({ rpcId: q, method: ELICITATION, params }, {
        respond: (result) => void replies.push({ result }),
        reject: () => {},
      });
    };
    ask("good");
    await b.audited();
    between(b);
    ask("bad");
    await b.audited(2);
    assert.deepEqual(replies, [...action("accept"), ...action(expected)], name);
    assert.deepEqual(interrupted, expected === "cancel" ? [[THREAD, TURN]] : [], name);
  }
});

test("a form is not accepted while a call of its server waits for consent, where codex may take one for the other", async () => {
  const accepted = [{ result: { action: "accept", content: {}, _meta: null } }];
  const declined = [{ result: { action: "decline", content: null, _meta: null } }];
  const rows: [string, JsonObject, boolean][] = [
    ["0.136.0", {}, false],
    ["0.137.0", {}, true],
    ["0.136.0", { serverName: "other" }, true],
    ["0.136.0", { threadId: "other" }, true],
  ];
  for (const [version, change, accepts] of rows) {
    for (const callFirst of [true, false]) {
      const heard = Promise.withResolvers<void>();
      const b = bench({
        serverVersion: () => version,
        heardAll: () => heard.promise,
        approvals: (request) =>
          request.type === "elicitation" && request.toolApproval
            ? { decision: "defer" }
            : { action: "accept", content: {} },
      });
      const call = () => b.send(ELICITATION, MCP_APPROVAL);
      const asked = callFirst ? call() : null;
      const form = b.send(ELICITATION, {
        requestedSchema: { type: "object", properties: {} },
        ...change,
      });
      await settle();
      assert.equal(form.length, version === "0.137.0" || callFirst && !accepts ? 1 : 0);
      const waits = asked ?? call();
      heard.resolve();
      await settle();
      assert.deepEqual([form, waits], [accepts ? accepted : declined, []], version);
      assert.equal(b.audits[0]?.decidedBy, accepts ? "handler" : "library");
      b.broker.close();
    }
  }
});

test("a refusal waits for nothing", async () => {
  const b = bench({
    approvals: () => ({ decision: "decline" }),
    heardAll: () => new Promise(() => {}),
  });
  const replies = b.send(COMMAND);
  await b.audited();
  assert.deepEqual(replies, DECLINED);
});

test("another question under the id of what was accepted stops the turn, until that has ended", async (t) => {
  const item = (id: string) => ({ item: { type: "commandExecution", id } });
  const rows: [string, JsonObject, (b: ReturnType<typeof bench>) => void, unknown][] = [
    ["another command", command("rm x"), () => {}, STOPPED],
    ["the same command", command("ls"), () => {}, ACCEPTED],
    ["a question with an id of its own", command("rm", { approvalId: "p" }), () => {}, ACCEPTED],
    ["words for a running command", command("y", { kind: "writeStdin" }), () => {}, ACCEPTED],
    [
      "another host",
      command("curl", { networkApprovalContext: { host: "h", protocol: "https" } }),
      () => {},
      ACCEPTED,
    ],
    ["another thread", command("rm x", { threadId: "other" }), () => {}, ACCEPTED],
    [
      "another command after the end",
      command("rm x"),
      (b) => void b.broker.noticed(THREAD, "item/completed", item("c")),
      ACCEPTED,
    ],
    [
      "another command after the end of something else",
      command("rm x"),
      (b) => void b.broker.noticed(THREAD, "item/completed", item("d")),
      STOPPED,
    ],
    [
      "another command on the next server",
      command("rm x"),
      (b) => b.broker.reset("the server ended", true),
      ACCEPTED,
    ],
    [
      "another command on a server that was lost and goes on",
      command("rm x"),
      (b) => b.broker.reset("the connection ended"),
      STOPPED,
    ],
    [
      "another command in another turn, where the end of the one before was not told",
      command("rm x", { turnId: "V" }),
      (b) => b.broker.toolsEnd(THREAD, TURN, "over"),
      ACCEPTED,
    ],
    [
      "another command while another turn is over",
      command("rm x"),
      (b) => b.broker.toolsEnd(THREAD, "V", "over"),
      STOPPED,
    ],
    [
      "another command in another turn",
      command("rm x"),
      (b) => b.broker.turnEnded(THREAD, TURN),
      ACCEPTED,
    ],
  ];
  for (const [name, change, between, expected] of rows) {
    await t.step(name, async () => {
      const interrupted: string[][] = [];
      const b = bench({
        approvals: accept,
        interrupt: (...turn) => void interrupted.push(turn),
      });
      const first = b.send(COMMAND, command("ls"));
      await b.audited();
      assert.deepEqual(first, ACCEPTED);
      between(b);
      const second = b.send(COMMAND, change);
      await b.audited(2);
      assert.deepEqual(second, expected);
      // The answer alone does not end a turn whose question has taken the first one's.
      assert.deepEqual(interrupted, expected === STOPPED ? [[THREAD, TURN]] : []);
    });
  }
});

test("tool calls and questions to the user that share an id are answered, and not for each other", async () => {
  const asked: [method: string, params: JsonObject][] = [
    ["item/tool/call", { callId: "c", tool: "lookup", arguments: {} }],
    ["item/tool/requestUserInput", { itemId: "c", questions: [] }],
    [PERMISSIONS, { itemId: "c", permissions: { network: { enabled: true } }, cwd: "/" }],
  ];
  for (const [method, params] of asked) {
    const b = bench({ approvals: () => ({ decision: "defer" }) });
    const stopped: boolean[] = [];
    b.register(THREAD, {
      runTool: (_, { signal }) =>
        new Promise(() => signal.addEventListener("abort", () => stopped.push(true))),
    });
    const first = b.send(method, params);
    // Codex keeps what wants consent apart from the others.
    const other = b.send(COMMAND, command("ls", { itemId: "d" }));
    await settle();
    const second = b.send(method, params);
    await settle();
    assert.deepEqual([first.length, second.length, other.length], [1, 1, 0], method);
    assert.deepEqual(b.audits.map(({ reason }) => reason), [
      "uncertainSubject",
      "uncertainSubject",
    ]);
    assert.equal(stopped.length, method === "item/tool/call" ? 1 : 0);
    b.broker.close();
  }
});
