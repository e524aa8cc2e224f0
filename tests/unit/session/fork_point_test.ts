import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../../src/errors/mod.ts";
import { type ForkPoint, planFork, turnsBehind } from "../../../src/session/thread/fork_point.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
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
        return Promise.resolve({ thread: { turns: [{ id: "a" }, { id: "b" }] } });
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
