/** Two clients of one server are both asked; the first answer counts, and the other client is told. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type ApprovalRequest, Client, type SessionConfig, testing } from "../../mod.ts";
import type { ApprovalAudit, ApprovalDecision, ApprovalHandler } from "../../src/approvals/mod.ts";
import { exec } from "../../src/testing/model/script.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { addFile, latch, placeOf, within } from "./_safety_world.ts";
import { SOON_MS } from "./_session_world.ts";
import { listen, TOKEN } from "./websocket_world.ts";

interface Party {
  client: Client;
  /** Decides the next question. */
  decide: ApprovalHandler;
  /** The next audit of this party. */
  audit(): Promise<ApprovalAudit>;
  /** Answers that this party sent so far. */
  sent(): number;
}

async function enter(url: string): Promise<Party> {
  const audits: ApprovalAudit[] = [];
  let wake: () => void = () => {};
  let sent = 0;
  const party: Party = {
    client: await Client.connect({
      transport: { type: "websocket", url, token: TOKEN },
      approvals: (request, context) => party.decide(request, context),
      eventLog: {
        write(event) {
          if (event.kind === "serverResponse") sent++;
          if (event.kind !== "approval") return;
          audits.push(event.message as unknown as ApprovalAudit);
          wake();
        },
      },
    }),
    decide: () => ({ decision: "decline" }),
    async audit() {
      while (audits.length === 0) await new Promise<void>((resolve) => wake = resolve);
      return audits.shift()!;
    },
    sent: () => sent,
  };
  return party;
}

test("when two clients race for an answer, the first counts and each question is answered once", async (t) => {
  await using dir = await tempDir("race-");
  await using model = await testing.ScriptedModel.start();
  const server = await listen(model, dir.path);
  const [a, b] = await Promise.all([enter(server.url), enter(server.url)]);
  try {
    const cwd = join(dir.path, "w");
    await mkdir(cwd);
    const config: SessionConfig = {
      cwd,
      approvalPolicy: "untrusted",
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
    };
    const session = await a.client.startSession(config);
    const place = placeOf(session, cwd);
    // A thread can be joined once it has been used.
    await place.act();
    await b.client.resumeSession(session.threadId, config);

    /** One party answers while the other's handler is at work on the same question. */
    const race = async (
      fast: Party,
      slow: Party,
      decision: ApprovalDecision,
      step: testing.ModelStep,
    ) => {
      const asked = latch<ApprovalRequest>();
      const told = latch();
      slow.decide = (request, { signal }) => {
        signal.addEventListener("abort", () => told.resolve());
        asked.resolve(request);
        return new Promise(() => {});
      };
      fast.decide = async (request) => {
        const other = await asked.promise;
        assert.notEqual(other.id, request.id);
        assert.equal(other.itemId, request.itemId);
        return decision;
      };
      const before = [fast.sent(), slow.sent()];
      const result = await place.act(step);
      await within(SOON_MS, "the other client's handler is told", told.promise);
      const audits = await Promise.all([fast.audit(), slow.audit()]);
      assert.deepEqual(audits.map((one) => one.decidedBy), ["handler", "otherClient"]);
      assert.equal(audits[1].decision, "none");
      assert.deepEqual([fast.sent(), slow.sent()], [before[0]! + 1, before[1]]);
      for (const { client } of [a, b]) assert.deepEqual(client.approvals.pending(), []);
      return result;
    };

    await t.step("the other client accepts a command", async () => {
      await race(b, a, { decision: "accept" }, exec("touch one"));
      assert.equal(place.has("one"), true);
    });
    await t.step("the other client declines a command", async () => {
      await race(b, a, { decision: "decline" }, exec("touch two"));
      assert.equal(place.has("two"), false);
    });
    await t.step("the own client declines a file change", async () => {
      await race(a, b, { decision: "decline" }, addFile("three"));
      assert.equal(place.has("three"), false);
    });
    await t.step("the own client accepts a file change", async () => {
      await race(a, b, { decision: "accept" }, addFile("four"));
      assert.equal(place.has("four"), true);
    });
    await t.step("both answer at once, one of them counts", async () => {
      for (let round = 0; round < 5; round++) {
        const file = `round${round}`;
        const both = latch();
        let count = 0;
        const at = (decision: ApprovalDecision): ApprovalHandler => async () => {
          if (++count === 2) both.resolve();
          await both.promise;
          return decision;
        };
        a.decide = at({ decision: "accept" });
        b.decide = at({ decision: "decline" });
        const result = await place.act(exec(`touch ${file}`));
        const [item] = result.items.filter(({ type }) => type === "commandExecution");
        assert.ok(item?.type === "commandExecution");
        assert.equal(item.status, place.has(file) ? "completed" : "declined");
        await Promise.all([a.audit(), b.audit()]);
        for (const { client } of [a, b]) assert.deepEqual(client.approvals.pending(), []);
      }
    });
  } finally {
    await Promise.all([a.client.shutdown(), b.client.shutdown()]);
    await server.close();
  }
});
