/** Questions that the tenants' browsers answer. */
import assert from "node:assert/strict";
import { mkdir, symlink, unlink } from "node:fs/promises";
import type { RuntimeConfig } from "../../src/runtime/config.ts";
import type { FakeTurn } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { inWorld, type World } from "./web_world.ts";

const ASKING = { profile: { approvalPolicy: "untrusted" } } as const;

async function ask(turn: FakeTurn): Promise<void> {
  const decision = await turn.command("/bin/bash -lc 'make all'", "done\n", { ask: true });
  if (turn.signal.aborted) return;
  turn.say(`the answer was ${decision}`);
  turn.complete();
}

/** Starts a turn and waits for its question. */
async function asked(
  world: World,
  tenant: string,
): Promise<{
  id: string;
  approval: string;
  events: Awaited<ReturnType<World["follow"]>>;
}> {
  const id = await world.session(tenant);
  const events = await world.follow(tenant, id);
  await world.call(tenant, `POST /sessions/${id}/turns`, { text: "build" });
  const seen = await events.until(({ data }) => data.type === "approvalRequested");
  const { request } = seen.at(-1)!.data;
  assert.equal(request.script, "make all");
  return { id, approval: `/sessions/${id}/approvals/${request.id}`, events };
}

for (const word of ["accept", "acceptForSession", "decline"]) {
  test(`a person answers ${word}, and codex hears it`, () =>
    inWorld({ server: { onTurn: ask }, bridge: ASKING }, async (world) => {
      const { id, approval, events } = await asked(world, "ann");
      const { body: { approvals } } = await world.call("ann", `GET /sessions/${id}/approvals`);
      assert.equal(approvals.length, 1);
      assert.equal(approval.endsWith(approvals[0].request.id), true);
      assert.ok(Date.parse(approvals[0].deadline) > Date.now());
      const { body: snapshot } = await world.call("ann", `GET /sessions/${id}`);
      assert.equal(snapshot.approvals.length, 1);

      const answered = await world.call("ann", `POST ${approval}`, { decision: word });
      assert.equal(answered.status, 200);
      const seen = await events.untilTurnEnds();
      const resolved = seen.find(({ data }) => data.type === "approvalResolved")!.data;
      assert.deepEqual([resolved.audit.decision, resolved.audit.decidedBy], [word, "handler"]);
      assert.ok(seen.some(({ data }) => data.delta === `the answer was ${word}`));

      const again = await world.call("ann", `POST ${approval}`, { decision: "accept" });
      assert.deepEqual([again.status, again.body.code], [409, "alreadyAnswered"]);
      assert.deepEqual((await world.call("ann", `GET /sessions/${id}/approvals`)).body, {
        approvals: [],
      });
      await events.drop();
    }));
}

test("nobody answers for another tenant, nor through a session of his own", () =>
  inWorld({ server: { onTurn: ask }, bridge: ASKING }, async (world) => {
    const ann = await asked(world, "ann");
    const bob = await asked(world, "bob");
    const question = ann.approval.split("/").at(-1)!;
    for (const path of [ann.approval, `/sessions/${bob.id}/approvals/${question}`]) {
      const { status } = await world.call("bob", `POST ${path}`, { decision: "accept" });
      assert.equal(status, 404, path);
    }
    const { body } = await world.call("bob", `GET /sessions/${bob.id}/approvals`);
    assert.equal(body.approvals.length, 1);
    assert.notEqual(body.approvals[0].request.id, question);
    // Ann's other session is not the one that asks either.
    const other = await world.session("ann");
    const path = `/sessions/${other}/approvals/${question}`;
    assert.equal((await world.call("ann", `POST ${path}`, { decision: "accept" })).status, 404);
    assert.equal(
      (await world.call("ann", `POST ${ann.approval}`, { decision: "decline" })).status,
      200,
    );
    await ann.events.drop();
    await bob.events.drop();
  }));

test("an answer that does not fit, or reaches too far, leaves the question open", () =>
  inWorld({ server: { onTurn: ask }, bridge: ASKING }, async (world) => {
    const { approval, events } = await asked(world, "ann");
    const wrong: [unknown, string][] = [
      [{ decision: "yes" }, "invalidAnswer"],
      [{ decision: "defer" }, "invalidAnswer"],
      [{ decision: "accept", execPolicyAmendment: ["make"] }, "unknownField"],
      [{ answers: { color: "blue" } }, "invalidAnswer"],
      [{}, "invalidAnswer"],
    ];
    for (const [body, code] of wrong) {
      const answer = await world.call("ann", `POST ${approval}`, body);
      assert.deepEqual([answer.status, answer.body.code], [400, code], JSON.stringify(body));
    }
    await world.call("ann", `POST ${approval}`, { decision: "accept" });
    const seen = await events.untilTurnEnds();
    assert.ok(seen.some(({ data }) => data.delta === "the answer was accept"));
    await events.drop();
  }));

test("a question that nobody answers in time is declined", () =>
  inWorld({
    server: { onTurn: ask },
    bridge: ASKING,
    client: { approvalTimeoutMs: 30 },
  }, async (world) => {
    const { approval, events } = await asked(world, "ann");
    const seen = await events.untilTurnEnds();
    const { audit } = seen.find(({ data }) => data.type === "approvalResolved")!.data;
    assert.deepEqual([audit.decision, audit.decidedBy, audit.reason], [
      "decline",
      "failClosed",
      "timeout",
    ]);
    const late = await world.call("ann", `POST ${approval}`, { decision: "accept" });
    assert.deepEqual([late.status, late.body.code], [409, "alreadyAnswered"]);
    await events.drop();
  }));

test("what this process lacks for an answer is told to no tenant", async () => {
  await using place = await tempDir("web-approvals-");
  const link = `${place.path}/link`;
  const patch = async (turn: FakeTurn) => {
    await turn.addFile(`${link}/a.txt`, "a", { ask: true });
    turn.say("done");
    turn.complete();
  };
  for (const name of ["here", "there"]) await mkdir(`${place.path}/${name}`);
  await symlink(`${place.path}/here`, link);
  await inWorld({ server: { onTurn: patch }, bridge: ASKING }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "write" });
    const seen = await events.until(({ data }) => data.type === "approvalRequested");
    await unlink(link);
    await symlink(`${place.path}/there`, link);
    const path = `/sessions/${id}/approvals/${seen.at(-1)!.data.request.id}`;
    await world.call("ann", `POST ${path}`, { decision: "accept" });
    const { audit } = (await events.untilTurnEnds())
      .find(({ data }) => data.type === "approvalResolved")!.data;
    assert.deepEqual([audit.decision, audit.decidedBy, audit.reason], [
      "decline",
      "library",
      "This server does not allow it.",
    ]);
    await events.drop();
  });
});

test("an interrupted turn takes its question with it", () =>
  inWorld({ server: { onTurn: ask }, bridge: ASKING }, async (world) => {
    const { id, approval, events } = await asked(world, "ann");
    const { body: { runningTurnId } } = await world.call("ann", `GET /sessions/${id}`);
    await world.call("ann", `POST /sessions/${id}/turns/${runningTurnId}/interrupt`);
    await events.untilTurnEnds();
    const { status } = await world.call("ann", `POST ${approval}`, { decision: "accept" });
    assert.ok(status === 404 || status === 409, `${status}`);
    assert.deepEqual((await world.call("ann", `GET /sessions/${id}/approvals`)).body, {
      approvals: [],
    });
    await events.drop();
  }));

test("rules of the bridge and of the client answer before a person is asked", () =>
  inWorld({
    server: {
      onTurn: async (turn) => {
        for (const script of ["rm x", "git push", "make all"]) {
          await turn.command(`/bin/bash -lc '${script}'`, "", { ask: true });
        }
        turn.complete();
      },
    },
    client: {
      approvals: {
        rules: [{ effect: "deny", kind: "command", command: ["rm"] }],
        ask: () => ({ decision: "accept" }),
      },
    },
    bridge: {
      ...ASKING,
      rules: [
        { effect: "deny", kind: "command", command: ["git", "push"] },
        { effect: "allow", kind: "command", command: ["rm"], outsideSandbox: true },
      ],
    },
  }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    const seen = await events.until(({ data }) =>
      data.type === "approvalRequested" && data.request.script === "make all"
    );
    const words = seen.filter(({ data }) => data.type === "approvalResolved")
      .map(({ data }) => [data.audit.decision, data.audit.decidedBy]);
    assert.deepEqual(words, [["decline", "rule"], ["decline", "rule"]]);
    const question = seen.at(-1)!.data.request.id;
    await world.call("ann", `POST /sessions/${id}/approvals/${question}`, { decision: "decline" });
    await events.untilTurnEnds();
    await events.drop();
  }));

test("two questions at once are answered in any order", () =>
  inWorld({
    server: {
      onTurn: async (turn) => {
        const words = await Promise.all([
          turn.command("one", "", { ask: true, id: "call_1" }),
          turn.addFile("/w/two.txt", "2\n", { ask: true, id: "call_2" }),
        ]);
        turn.say(words.join(" "));
        turn.complete();
      },
    },
    bridge: ASKING,
  }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    let waiting = 0;
    const seen = await events.until(({ data }) =>
      data.type === "approvalRequested" && ++waiting === 2
    );
    const requests = seen.filter(({ data }) => data.type === "approvalRequested")
      .map(({ data }) => data.request);
    const change = requests.find(({ type }) => type === "fileChange");
    const command = requests.find(({ type }) => type === "command");
    assert.match(change.diff, /two\.txt/);
    const post = (request: { id: string }, decision: string) =>
      world.call("ann", `POST /sessions/${id}/approvals/${request.id}`, { decision });
    await post(change, "decline");
    await post(command, "accept");
    const rest = await events.untilTurnEnds();
    assert.ok(rest.some(({ data }) => data.delta === "accept decline"));
    await events.drop();
  }));

test("what codex asks of this process, and what nobody has a name for, is not told to tenants", () => {
  const asking = Promise.withResolvers<FakeTurn>();
  return inWorld({ server: { onTurn: asking.resolve } }, async (world) => {
    const id = await world.session("ann");
    const events = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    const turn = await asking.promise;
    const params = {
      threadId: turn.threadId,
      turnId: turn.id,
      itemId: "i",
      callId: "c",
      tool: "t",
    };
    const inside = { arguments: "INSIDE", previousAccountId: "INSIDE", reason: "unauthorized" };
    for (
      const method of [
        "item/newer/requestThing",
        "item/tool/call",
        "account/chatgptAuthTokens/refresh",
        "attestation/generate",
      ]
    ) await world.server.ask(method, { ...params, ...inside });
    turn.complete();
    const told = JSON.stringify(await events.untilTurnEnds());
    assert.doesNotMatch(told, /INSIDE|approval(Requested|Resolved)/);
    await events.drop();
  });
});

test("the questions of one tenant leave places for those of the others", () =>
  inWorld({
    client: { maxPendingApprovals: 8 } as RuntimeConfig,
    server: {
      onTurn: async (turn) => {
        const words = await Promise.all(
          ["a", "b", "c"].map((name) => turn.command(name, "", { ask: true, id: `call_${name}` })),
        );
        turn.say(words.join(" "));
        turn.complete();
      },
    },
    bridge: ASKING,
  }, async (world) => {
    for (const tenant of ["ann", "bob"]) {
      const id = await world.session(tenant);
      const events = await world.follow(tenant, id);
      await world.call(tenant, `POST /sessions/${id}/turns`, { text: "go" });
      const seen = await events.until(({ data }) => data.type === "approvalResolved");
      const { decision, decidedBy, reason } = seen.at(-1)!.data.audit;
      assert.deepEqual([decision, decidedBy], ["decline", "handler"]);
      assert.match(reason, /^Too many questions/);
      const { approvals } = (await world.call(tenant, `GET /sessions/${id}/approvals`)).body;
      assert.equal(approvals.length, 2, tenant);
      // What is answered makes room.
      await world.call(tenant, `POST /sessions/${id}/approvals/${approvals[0].request.id}`, {
        decision: "accept",
      });
      await events.drop();
    }
  }));
