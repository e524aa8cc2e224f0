import assert from "node:assert/strict";
import * as errors from "../../../src/errors/mod.ts";
import { CassetteDivergenceError } from "../../../src/testing/cassette/cassette_divergence_error.ts";
import { test } from "../../_harness.ts";

const partial = { threadId: "t", turnId: null, assistantText: "", items: [] };

/** Arguments for the classes whose constructors look into them. */
const ARGUMENTS: Record<string, unknown[]> = {
  PolicyMismatchError: [[]],
  PermissionDeniedError: ["It", []],
  RpcError: ["m", -1, "text"],
  TurnFailedError: ["other", "text", partial],
  TurnInterruptedError: [partial],
  TurnTimeoutError: [1, partial],
  EmptyAnswerError: [partial],
  OutputValidationError: [[], partial],
  BudgetExceededError: [{ limit: "tokens", used: 1, allowed: 1 }, partial],
};

test("an error's name is that of its class, and its code names it whatever a bundler does to classes", () => {
  const classes = Object.values(errors).filter((value) =>
    typeof value === "function" && value.prototype instanceof errors.CodexError &&
    value !== errors.TurnError
  ) as unknown as (new (...args: unknown[]) => errors.CodexError)[];
  assert.ok(classes.length > 20);
  for (const Class of [...classes, CassetteDivergenceError]) {
    const error = new (Class as new (...args: unknown[]) => errors.CodexError)(
      ...(ARGUMENTS[Class.name] ?? ["a", "b", "c", "d"]),
    );
    assert.equal(error.name, Class.name);
  }
  // What a minifier leaves of a class.
  const shortened = class x extends errors.CodexError {};
  assert.equal(new shortened("quotaGone", "text").name, "QuotaGoneError");
});
