/** What a turn had produced is in its error for who asks, and not for who logs it. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import {
  BudgetExceededError,
  ConnectionClosedError,
  EmptyAnswerError,
  OutputValidationError,
  type PartialTurn,
  QuickRunError,
  TurnFailedError,
  TurnInterruptedError,
  TurnTimeoutError,
} from "../../../src/errors/mod.ts";
import { test } from "../../_harness.ts";

const SAID = "what-was-said";
const partial: PartialTurn = {
  threadId: "t",
  turnId: "u",
  assistantText: SAID,
  items: [{ type: "agentMessage", id: "i", text: SAID } as never],
};

test("an error that is printed or logged tells nothing of the conversation", () => {
  const lost = new ConnectionClosedError("gone").withPartial(partial);
  const errors = [
    new TurnFailedError("other", "no", partial),
    new TurnInterruptedError(partial),
    new TurnTimeoutError(5, partial),
    new BudgetExceededError({ limit: "tokens", allowed: 1, used: 2 }, partial),
    new EmptyAnswerError(partial),
    new OutputValidationError([], partial),
    lost,
    lost.asFinal(),
    lost.withPartial({ ...partial, turnId: "v" }),
  ];
  for (const error of errors) {
    assert.equal(error.partial?.assistantText, SAID, error.name);
    for (const given of [error, new QuickRunError(error), new Error("mine", { cause: error })]) {
      assert.ok(!inspect(given, { depth: 9 }).includes(SAID), error.name);
      // As loggers do.
      assert.ok(!JSON.stringify({ ...given, cause: { ...error } }).includes(SAID), error.name);
    }
  }
  assert.equal(lost.withPartial({ ...partial, turnId: "v" }).partial?.turnId, "v");
});
