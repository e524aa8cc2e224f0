/** Runs a user's function within a time limit. @module */
import { messageOf } from "../errors/mod.ts";
import { abortable, settlesWithin, within } from "../async.ts";
import type { HookIssueClass } from "./types.ts";

/** How a limited call ended. */
export type LimitedOutcome =
  | { type: "value"; value: unknown }
  | { type: "failed"; class: HookIssueClass; message: string; cause?: unknown }
  | { type: "aborted"; reason: unknown };

/** After the limit or an abort the function gets this long to clean up (end its child process); nothing it gives counts any more. */
const CLEAN_UP_MS = 250;

/**
 * Calls the function and waits for it, for `timeoutMs` at most or until the signal aborts. The function's own signal
 * is aborted in both cases. Never rejects; a late result or error is dropped.
 */
export async function callLimited(
  fn: (signal: AbortSignal) => unknown,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<LimitedOutcome> {
  if (signal?.aborted) return { type: "aborted", reason: signal.reason };
  const own = new AbortController();
  let done = false;
  // The call begins in a microtask: a synchronous throw then is a rejection like any other.
  const settled = Promise.resolve().then(() => fn(own.signal)).then(
    (value): LimitedOutcome => ({ type: "value", value }),
    failure,
  ).then((result) => {
    done = true;
    return result;
  });
  const late: LimitedOutcome = {
    type: "failed",
    class: "timeout",
    message: `took longer than ${timeoutMs} ms`,
  };
  const until = AbortSignal.any(signal === undefined ? [own.signal] : [signal, own.signal]);
  const ended = abortable(settled, until)
    .catch((reason): LimitedOutcome => ({ type: "aborted", reason }));
  const outcome = await within(ended, timeoutMs, late);
  if (done) return outcome;
  own.abort(
    outcome.type === "aborted"
      ? outcome.reason
      : new DOMException(`The hook took longer than ${timeoutMs} ms.`, "TimeoutError"),
  );
  await settlesWithin(settled, CLEAN_UP_MS);
  return outcome;
}

function failure(error: unknown): LimitedOutcome {
  const timedOut = error instanceof DOMException && error.name === "TimeoutError";
  const text = messageOf(error);
  const message = text.length <= 600 ? text : `${text.slice(0, 600)}…`;
  return { type: "failed", class: timedOut ? "timeout" : "execution", message, cause: error };
}
