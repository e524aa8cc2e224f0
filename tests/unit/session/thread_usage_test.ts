import assert from "node:assert/strict";
import type { TokenCount } from "../../../src/session/turn/turn_result.ts";
import { NO_TOKENS, ThreadUsage } from "../../../src/session/turn/turn_usage.ts";
import { test } from "../../_harness.ts";

const tokens = (n: number): TokenCount => ({ ...NO_TOKENS, inputTokens: n, totalTokens: n });

/** What the turns may count of these reports of `[total, last]`, one after the other. */
function counted(
  thread: ThreadUsage,
  repeats: boolean,
  turn: { id: string; items: string[] } | null,
  reports: [number, number][],
): (number | "before" | null)[] {
  const about = turn === null ? null : { id: turn.id, items: turn.items.map((type) => ({ type })) };
  return reports.map(([total, last]) => {
    const report = { total: { ...tokens(total) }, last: { ...tokens(last) } };
    const before = thread.take(report, about, repeats);
    return before === null || before === "before" ? before : before.totalTokens;
  });
}

const COMPACTION = { id: "c", items: ["contextCompaction"] };

test("the first count of a compaction is that of the call before, where that is not known", () => {
  // As 0.104 to 0.169 tell it of a thread that has used 39 and is taken up again.
  const told: [number, number][] = [[39, 13], [52, 13], [52, 6470]];
  for (const repeats of [true, false]) {
    const thread = new ThreadUsage(null);
    assert.deepEqual(counted(thread, repeats, COMPACTION, told), ["before", 39, null]);
    assert.equal(thread.total?.totalTokens, 52);
    // 0.104 shows the prompt of a compaction that it begins by itself.
    const own = { id: "c", items: ["userMessage", "contextCompaction"] };
    assert.deepEqual(counted(new ThreadUsage(null), repeats, own, told), ["before", 39, null]);
    assert.deepEqual(counted(new ThreadUsage(tokens(39)), repeats, COMPACTION, told), [
      null,
      null,
      null,
    ]);
  }
});

test("it is its own where no call was ever counted, as the estimate after it tells", () => {
  const thread = new ThreadUsage(null);
  assert.deepEqual(counted(thread, true, COMPACTION, [[13, 13], [13, 6443]]), ["before", 0]);
  // The same once more tells nothing.
  assert.deepEqual(
    counted(new ThreadUsage(null), true, COMPACTION, [[13, 13], [13, 13]]),
    ["before", 13],
  );
  // Nor does what is told of another turn, of no turn, or by another server.
  const other = { id: "d", items: ["agentMessage"] };
  for (const turn of [other, null]) {
    const it = new ThreadUsage(null);
    assert.deepEqual(counted(it, false, COMPACTION, [[13, 13]]), ["before"]);
    assert.deepEqual(counted(it, false, turn, [[13, 6443]]), [null]);
    assert.deepEqual(counted(it, false, COMPACTION, [[13, 6443]]), [null]);
  }
  const it = new ThreadUsage(null);
  assert.deepEqual(counted(it, false, COMPACTION, [[13, 13]]), ["before"]);
  it.forget();
  assert.deepEqual(counted(it, false, COMPACTION, [[13, 6443]]), ["before"]);
});

test("any call begins with the count before where the server repeats counts", () => {
  const asked = { id: "a", items: ["userMessage"] };
  const answered = { id: "a", items: ["userMessage", "agentMessage"] };
  for (const repeats of [true, false]) {
    const first = (turn: typeof asked | null) =>
      counted(new ThreadUsage(null), repeats, turn, [[26, 13]])[0];
    assert.equal(first(asked), repeats ? "before" : null);
    assert.equal(first(answered), null, "the model has made something");
    assert.equal(first(null), null);
    assert.equal(counted(new ThreadUsage(tokens(13)), repeats, asked, [[26, 13]])[0], null);
  }
});

test("the context is as full as the last count says, whosever it is", () => {
  const thread = new ThreadUsage(null);
  counted(thread, true, COMPACTION, [[39, 13]]);
  assert.equal(thread.context?.usedTokens, 13);
  counted(thread, true, null, [[39, 20]]);
  assert.equal(thread.context?.usedTokens, 20);
});
