import assert from "node:assert/strict";
import { InvalidArgumentError, UnsupportedError } from "../../../src/errors/mod.ts";
import { type ForkPoint, planFork, turnsBehind } from "../../../src/session/thread/fork_point.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { turnsFrom } from "../../../src/session/history/rewind/rewind.ts";
import { test } from "../../_harness.ts";

test("turnsBehind() counts the turns that a copy must not have", () => {
  const turns = ["a", "b", "c"].map((id) => ({ id }));
  const table: [string | undefined, string | undefined, number][] = [
    ["a", undefined, 2],
    ["c", undefined, 0],
    [undefined, "a", 3],
    [undefined, "c", 1],
  ];
  for (const [after, before, expected] of table) {
    assert.equal(turnsBehind(turns, { after, before }), expected, `${after} ${before}`);
  }
  for (
    const [argument, at] of [
      ["after", { after: "x", before: undefined }],
      ["before", { after: undefined, before: "" }],
    ] as const
  ) {
    assert.throws(
      () => turnsBehind(turns, at),
      (error) => error instanceof InvalidArgumentError && error.argument === argument,
    );
  }
});

test("planFork() lets a codex that can fork at a turn do it, and reads the turns of others", async () => {
  const calls: string[] = [];
  const core = (version: string) =>
    ({
      server: { version },
      call: (method: string) => {
        calls.push(method);
        const items = [{ type: "userMessage" }];
        return Promise.resolve({ thread: { turns: [{ id: "a", items }, { id: "b", items }] } });
      },
    }) as unknown as RuntimeCore;
  const plan = (version: string, at: ForkPoint) => planFork(core(version), "t", at, undefined);
  assert.deepEqual(await plan("0.169.0", {}), { params: {}, drop: 0 });
  assert.deepEqual(await plan("0.169.0", { after: "a" }), { params: { lastTurnId: "a" }, drop: 0 });
  assert.deepEqual(await plan("0.169.0", { before: "b" }), {
    params: { beforeTurnId: "b" },
    drop: 0,
  });
  assert.deepEqual(calls, []);
  assert.deepEqual(await plan("0.104.0", { after: "a" }), { params: {}, drop: 1 });
  assert.deepEqual(calls, ["thread/read"]);
  await assert.rejects(plan("0.169.0", { after: "a", before: "b" }), InvalidArgumentError);
});

test("no turns are taken off by their number that codex counts otherwise", async () => {
  const [user, agent] = ["userMessage", "agentMessage"];
  const odd = {
    review: [user, "enteredReviewMode", "exitedReviewMode"],
    compaction: ["contextCompaction"],
    compacted: [user, "contextCompaction", agent],
    steered: [user, agent, user, agent],
    goal: [agent],
  };
  for (const [name, types] of Object.entries(odd)) {
    const turns = [[user, agent], types, [user, agent]].map((types, n) => ({
      id: `t${n}`,
      items: types.map((type) => ({ type, id: "i" })),
    }));
    const core = (version: string) =>
      ({
        server: { version },
        seen: () => ({ threads: {} }),
        call: (method: string, { itemsView }: { itemsView?: string }) => {
          const data = turns.toReversed().map(({ id, items }) =>
            itemsView === "full" ? { id, items } : { id }
          );
          return Promise.resolve(
            method === "thread/read" ? { thread: { turns } } : { data, nextCursor: null },
          );
        },
      }) as unknown as RuntimeCore;
    for (const version of ["0.104.0", "0.145.0"]) {
      const find = (before: string, counts: boolean) =>
        turnsFrom(core(version), "t", before, undefined, counts);
      assert.deepEqual(await find("t2", true), ["t2"]);
      for (const before of ["t1", "t0"]) {
        await assert.rejects(find(before, true), UnsupportedError, name);
        assert.equal((await find(before, false))[0], before);
      }
    }
    const fork = (at: ForkPoint) => planFork(core("0.104.0"), "t", at, undefined);
    assert.deepEqual(await fork({ after: "t1" }), { params: {}, drop: 1 });
    await assert.rejects(fork({ before: "t1" }), UnsupportedError, name);
  }
});
