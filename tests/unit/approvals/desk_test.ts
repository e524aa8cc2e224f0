/** The first question loads how questions are judged: what is said meanwhile counts in the order in which it was said. */
import assert from "node:assert/strict";
import { ApprovalDesk } from "../../../src/approvals/mod.ts";
import type { ApprovalAudit, ApprovalRules } from "../../../src/approvals/mod.ts";
import type { BrokerOptions } from "../../../src/approvals/broker/gate.ts";
import { CodexError, InvalidArgumentError } from "../../../src/errors/mod.ts";
import type { JsonObject } from "../../../src/json.ts";
import { test } from "../../_harness.ts";
import { COMMAND, ELICITATION, PARAMS, PATCH, type Reply, THREAD, TURN } from "./_requests.ts";

/** A desk whose broker is not there yet, its audits, and a way to ask it. */
function desk(options: Partial<BrokerOptions> = {}) {
  const audits: ApprovalAudit[] = [];
  const made = new ApprovalDesk({
    timeoutMs: 10_000,
    maxPending: 10,
    onAudit: (audit) => audits.push(audit),
    ...options,
  });
  let ids = 0;
  const ask = (method: string, change: JsonObject = {}) => {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    made.handle({ rpcId: ids++, method, params: { ...PARAMS[method], ...change } }, {
      respond: (result) => resolve({ result }),
      reject: (code, message) => resolve({ code, message }),
    });
    return promise;
  };
  return { desk: made, audits, ask };
}

const declined = { result: { decision: "decline" } };
const accepted = { result: { decision: "accept" } };
const accept = () => ({ decision: "accept" }) as const;

test("the first question is answered, and those after it at once", async () => {
  const { desk: made, ask, audits } = desk({ approvals: accept });
  assert.deepEqual(await Promise.all([ask(COMMAND), ask(COMMAND, { itemId: "other" })]), [
    accepted,
    accepted,
  ]);
  const unknown = await ask("news/of/tomorrow") as { code: number };
  assert.equal(unknown.code, -32601);
  assert.equal(audits.length, 3);
  assert.deepEqual(made.pending(), []);
});

test("who expects a question has it judged on the spot", async () => {
  const { desk: made } = desk({ maxPending: 0 });
  await made.ready();
  const replies: Reply[] = [];
  made.handle({ rpcId: 1, method: COMMAND, params: PARAMS[COMMAND]! }, {
    respond: (result) => void replies.push({ result }),
    reject: (code, message) => void replies.push({ code, message }),
  });
  assert.deepEqual(replies, [declined]);
});

test("a turn that ends before its question was looked at ends the question", async () => {
  const { desk: made, ask, audits } = desk({ approvals: () => new Promise(() => {}) });
  const reply = ask(COMMAND);
  made.turnEnded(THREAD, TURN);
  assert.deepEqual(await reply, declined);
  assert.equal(audits[0]!.reason, "turnEnded");
});

test("what another client answers meanwhile is not answered here", async () => {
  const { desk: made, ask, audits } = desk({ approvals: accept });
  let answered = false;
  void ask(COMMAND).then(() => answered = true);
  made.resolvedElsewhere(0, THREAD);
  await made.ready();
  await ask(COMMAND, { itemId: "other" });
  assert.equal(answered, false);
  assert.equal(audits[0]!.decidedBy, "otherClient");
});

test("a server that ends before its question was looked at gets its refusal, and a new one is heard", async () => {
  const { desk: made, ask } = desk({ approvals: () => ({ decision: "accept" }) });
  const reply = ask(COMMAND);
  made.reset("the server ended");
  assert.deepEqual(await reply, declined);
  assert.deepEqual(await ask(COMMAND, { itemId: "other" }), accepted);
});

test("nothing is accepted after the end, whenever that was", async () => {
  const { desk: made, ask, audits } = desk({ approvals: accept });
  made.close();
  assert.deepEqual(await ask(COMMAND), declined);
  assert.equal(audits[0]!.reason, "closed");
});

test("what was said of a file change before the first question is known to it", async () => {
  const change = (diff: string): JsonObject => ({
    item: {
      type: "fileChange",
      id: PARAMS[PATCH]!["itemId"]!,
      changes: [{ path: "/w/a", kind: { type: "add" }, diff }],
    },
  });
  const seen: unknown[] = [];
  const { desk: made, ask } = desk({
    approvals: (request) => {
      seen.push(request.type === "fileChange" && request.diff);
      return { decision: "accept" };
    },
  });
  assert.equal(made.noticed(THREAD, "item/started", change("mine\n")), false);
  assert.deepEqual(await ask(PATCH), accepted);
  assert.match(String(seen[0]), /\+mine/);

  // Two under one id: which of them is asked about can't be told.
  const doubtful = desk({ approvals: accept });
  doubtful.desk.noticed(THREAD, "item/started", change("mine\n"));
  doubtful.desk.noticed(THREAD, "item/started", change("other\n"));
  assert.deepEqual(await doubtful.ask(PATCH), declined);

  // Of what the last server did, nothing goes on.
  const next = desk({ approvals: accept });
  next.desk.noticed(THREAD, "item/started", change("mine\n"));
  next.desk.reset("the server ended", true);
  next.desk.noticed(THREAD, "item/started", change("other\n"));
  assert.deepEqual(await next.ask(PATCH), accepted);
});

test("a gate and a reader that came before the first question take part in it", async () => {
  const { desk: made, ask } = desk({ approvals: () => ({ decision: "decline" }) });
  const leave = made.registerThread(THREAD, { approvals: accept });
  assert.deepEqual(await ask(COMMAND), accepted);
  leave();
  assert.deepEqual(await ask(COMMAND, { itemId: "other" }), declined);

  const read = desk();
  const detach = read.desk.attachReader((request) => void request.respond({ decision: "accept" }));
  assert.throws(() => read.desk.attachReader(() => {}), CodexError);
  assert.deepEqual(await read.ask(COMMAND), accepted);
  detach();
  assert.deepEqual(await read.ask(COMMAND, { itemId: "other" }), declined);
});

test("what is asked for a thread while it is opened is asked of its session, not of the client", async () => {
  const yes = () => ({ action: "accept", content: { name: "x" } }) as const;
  const no = () => ({ decision: "decline" }) as const;
  const form = { turnId: null };
  const filled = { result: { action: "accept", content: { name: "x" }, _meta: null } };
  const refused = { result: { action: "decline", content: null, _meta: null } };
  const { desk: made, ask } = desk({ approvals: yes });
  const answered = Promise.withResolvers<void>();
  made.opening({ approvals: no }, answered.promise);
  assert.deepEqual(await ask(ELICITATION, form), refused);
  // Of a turn, or of a thread that somebody has: another's.
  assert.deepEqual(await ask(ELICITATION), filled);
  made.registerThread("other", { approvals: yes });
  assert.deepEqual(await ask(ELICITATION, { ...form, threadId: "other" }), filled);
  answered.resolve();
  await answered.promise;
  // Its session's own approvals are the client's.
  const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  made.opening({}, one.promise);
  assert.deepEqual(await ask(ELICITATION, form), filled);
  const same = Promise.withResolvers<void>();
  made.opening({}, same.promise);
  assert.deepEqual(await ask(ELICITATION, form), filled);
  // Of two it may be either's.
  made.opening({ approvals: yes }, two.promise);
  assert.deepEqual(await ask(ELICITATION, form), refused);
  one.resolve();
  same.resolve();
  two.reject(new Error("refused"));
  await Promise.allSettled([one.promise, same.promise, two.promise]);
  assert.deepEqual(await ask(ELICITATION, form), filled);
});

test("sessions that are opened at once with copies of the same rules are answered alike", async () => {
  const yes = () => ({ action: "accept", content: { name: "x" } }) as const;
  const given = (): ApprovalRules => ({
    rules: [{ effect: "deny", kind: "command", command: ["rm", "x"] }],
    ask: yes,
  });
  const action = async (...openings: ApprovalRules[]) => {
    const { desk: made, ask } = desk({ approvals: () => ({ decision: "decline" }) });
    for (const approvals of openings) made.opening({ approvals }, new Promise(() => {}));
    const { result } = await ask(ELICITATION, { turnId: null }) as { result: JsonObject };
    return result["action"];
  };
  assert.equal(await action(given(), given()), "accept");
  const [rule] = given().rules;
  const matching = (command: RegExp) => ({ ...given(), rules: [{ ...rule!, command }] });
  for (
    const other of [
      { ...given(), ask: () => yes() },
      { ...given(), default: "decline" as const },
      { ...given(), rules: [] },
      { ...given(), rules: [{ ...rule!, command: ["rm", "y"] }] },
      matching(/x/),
    ]
  ) {
    assert.equal(await action(given(), other), "decline");
    assert.equal(await action(other, given()), "decline");
  }
  assert.equal(await action(matching(/x/), matching(/y/)), "decline");
  // Which options are there counts as well, also where one of them is `undefined`.
  const { rules } = given();
  assert.equal(await action(given(), { rules, default: undefined as never }), "decline");
  class Own {
    rules = [];
    get ask() {
      return yes;
    }
  }
  assert.equal(await action(new Own(), new Own()), "decline");
});

test("nothing is granted by rules that could not mean what they say", async () => {
  const rules = [{ effect: "allow", kinds: "command" }, { effect: "maybe" }] as never;
  const unclear = desk({ approvals: { rules } });
  await assert.rejects(unclear.desk.ready(), InvalidArgumentError);
  assert.equal((await unclear.ask(COMMAND) as { code: number }).code, -32603);

  const { desk: made, ask } = desk({ approvals: accept });
  made.registerThread(THREAD, { approvals: { rules } });
  assert.deepEqual(await ask(COMMAND), declined);
});
