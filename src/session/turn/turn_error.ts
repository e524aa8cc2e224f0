/**
 * From how a turn ended to the error its caller gets.
 * @module
 */
import {
  BudgetExceededError,
  ConnectionClosedError,
  EmptyAnswerError,
  type PartialTurn,
  TurnFailedError,
  TurnInterruptedError,
  TurnTimeoutError,
} from "../../errors/mod.ts";
import type { JsonValue } from "../../json.ts";
import { resetTime } from "./turn_failure.ts";
import type { TurnOutcome } from "./turn_outcome.ts";
import type { SettledTurn } from "./turn_run.ts";

/** The error of a turn that gave no answer, or `null` for one that did. */
export function turnError(
  settled: SettledTurn,
  outcome: TurnOutcome | null,
  partial: PartialTurn,
  rateLimits: JsonValue | undefined,
): unknown {
  switch (settled.by) {
    case "abort":
      return settled.reason;
    case "error":
      // A turn that the server never named was never told of the loss.
      return settled.error instanceof ConnectionClosedError && settled.error.partial === undefined
        ? settled.error.withPartial(partial)
        : settled.error;
    case "timeout":
      return new TurnTimeoutError(settled.timeoutMs, partial, { stopped: settled.stopped });
    case "limit":
      return new BudgetExceededError(settled.exceeded, partial, { stopped: settled.stopped });
    case "server":
      return serverError(outcome!, partial, rateLimits);
  }
}

function serverError(
  outcome: TurnOutcome,
  partial: PartialTurn,
  rateLimits: JsonValue | undefined,
): unknown {
  if (outcome.status === "interrupted") return new TurnInterruptedError(partial);
  if (outcome.status === "failed") {
    const failure = outcome.failure!;
    const limited = failure.kind === "rateLimit" || failure.kind === "quotaExceeded";
    const resetsAt = limited ? resetTime(rateLimits) : null;
    return new TurnFailedError(failure.kind, failure.message, partial, {
      ...(failure.httpStatus === null ? {} : { httpStatus: failure.httpStatus }),
      ...(resetsAt === null ? {} : { resetsAt }),
    });
  }
  return outcome.answer === "" ? new EmptyAnswerError(partial) : null;
}
