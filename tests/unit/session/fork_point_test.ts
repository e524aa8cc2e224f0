import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../../src/errors/mod.ts";
import { turnsBehind } from "../../../src/session/thread/fork_point.ts";
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
  for (const at of [{ after: "x", before: undefined }, { after: undefined, before: "" }]) {
    assert.throws(() => turnsBehind(turns, at), InvalidArgumentError);
  }
});
