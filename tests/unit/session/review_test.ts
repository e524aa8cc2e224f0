/** What becomes of the second turn of a review, which gives its findings as data. */
import assert from "node:assert/strict";
import { TurnInterruptedError } from "../../../src/errors/mod.ts";
import type { AskOptions } from "../../../src/session/profile.ts";
import { review } from "../../../src/session/thread/server_turns.ts";
import type { ThreadHolder, ThreadHost } from "../../../src/session/thread/thread_host.ts";
import { test } from "../../_harness.ts";

const OUTCOME = {
  status: "completed",
  answer: "nothing found",
  turnId: "u",
  usage: null,
  items: { all: () => [] },
};

test("a review that is stopped while it is stored asks for no findings, and so does one that is given up", async () => {
  for (const how of ["interrupt", "signal"]) {
    const [asked, stored] = [Promise.withResolvers<AskOptions>(), Promise.withResolvers<void>()];
    const given = new AbortController();
    let holder: ThreadHolder | undefined;
    const host = {
      core: {},
      threadId: "T",
      profile: { limits: {}, timeoutMs: 1, outputSchema: null, model: null, attachments: [] },
      listeners: { emit: null },
      hookRun: () => ({ pre: () => Promise.resolve({}), post: () => Promise.resolve() }),
      effective: () => ({ approvalPolicy: "never" }),
      settle: () => Promise.resolve(),
      begin: () => {},
      toolHooksDone: () => Promise.resolve(),
      checkpoints: null,
      checkpoint: () => Promise.resolve(),
      stored: () => stored.promise,
      take: (holds: ThreadHolder) => {
        holder = holds;
        return Promise.resolve(() => {});
      },
      turns: {
        start: () => ({
          isSettled: true,
          stop: () => Promise.resolve(true),
          over: () => Promise.resolve(),
          settled: Promise.resolve({ by: "server" }),
          identified: Promise.resolve({ turnId: "u", reached: () => Promise.resolve() }),
          turn: { outcome: OUTCOME },
          partial: () => ({ threadId: "T", turnId: "u", assistantText: "", items: [] }),
        }),
      },
    } as unknown as ThreadHost;
    const options = { outputSchema: { type: "object" }, signal: given.signal };
    const result = review(host, { type: "uncommitted" }, options, (_, more) => {
      asked.resolve(more);
      return new Promise((_, reject) =>
        more.signal!.addEventListener("abort", () => reject(more.signal!.reason))
      );
    });
    const { signal } = await asked.promise;
    if (how === "interrupt") {
      await holder!.interrupt();
      assert.equal(signal!.aborted, true);
      stored.resolve();
      await assert.rejects(result, TurnInterruptedError);
    } else {
      // It waits in line by itself now.
      stored.resolve();
      await new Promise((resolve) => setTimeout(resolve));
      given.abort("given up");
      await assert.rejects(result, (reason) => reason === "given up");
    }
  }
});

test("a review is refused where hooks or approvals are to see what it does, whatever made codex ask", async () => {
  const reviewOf = (approvalPolicy: string, effective: object, unheard: string | null) =>
    review(
      {
        profile: { approvalPolicy, attachments: [] },
        answerers: { rules: { unheardApprovals: () => unheard } },
        effective: () => effective,
        take: () => Promise.resolve(() => {}),
        hookRun: () => assert.fail("it began"),
      } as unknown as ThreadHost,
      { type: "uncommitted" },
      {},
      () => assert.fail("asked"),
    );
  const sent = { approvalPolicy: "untrusted" };
  const unheard = "no rule would hear of it";
  const rows: [string, object, string | null, RegExp][] = [
    ["untrusted", sent, null, /would not see it/],
    ["never", { ...sent, toolHooks: true }, null, /would not see it/],
    ["on-request", sent, unheard, /would not see it/],
    ["on-request", sent, null, /it began/],
    ["on-request", { approvalPolicy: "on-request" }, unheard, /it began/],
  ];
  for (const [policy, effective, heard, why] of rows) {
    await assert.rejects(reviewOf(policy, effective, heard), why);
  }
});
