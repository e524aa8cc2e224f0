/**
 * Starts an automation.
 * @module
 */
import {
  callback,
  checkArgument,
  checkOptions,
  count,
  date,
  having,
  type Kind,
  kind,
  required,
  type Shape,
  shape,
  text,
} from "../check/mod.ts";
import { limitsKind } from "../session/mod.ts";
import { systemClock } from "./clock.ts";
import { Runner } from "./runner.ts";
import { AutomationHandle } from "./handle.ts";
import type { AutomationSession, AutomationSpec } from "./types.ts";

const pace = kind(
  "a number of milliseconds, at least 1",
  ["number"],
  (value: number) => Number.isFinite(value) && value >= 1,
);

/** What a spec may be. */
const AUTOMATION_SPEC: Shape = shape<AutomationSpec>({
  prompt: required(text),
  every: required(pace),
  startAt: date,
  stopAt: date,
  maxRuns: count(0),
  limits: limitsKind,
  onRun: callback,
}, {
  interval: "every",
  everyMs: "every",
  cron: "There is no cron: give `every` in milliseconds.",
});

const SESSION: Kind = required(
  having("a session { threadId, ask, interrupt }", {
    threadId: required(text),
    ask: required(callback),
    interrupt: required(callback),
  }),
);

/**
 * Asks the same prompt on one session again and again, at a fixed pace.
 *
 * Throws `InvalidArgumentError` for a mistake in the spec (`every` below 1, an invalid date, a `maxRuns` that is no
 * count). A closed session gives a handle whose state is `failed` at once, with the error in `lastError`; a `maxRuns` of 0
 * or a `stopAt` that has passed give one that is `stopped`.
 *
 * ```ts ignore
 * await using backlog = automation.spawn(session, {
 *   prompt: "Close one item of the backlog",
 *   every: 30 * 60_000,
 *   stopAt: new Date(Date.now() + 8 * 3_600_000),
 * });
 * for await (const run of backlog) console.log(run.result?.assistantText ?? run.error);
 * ```
 */
export function spawn(session: AutomationSession, spec: AutomationSpec): AutomationHandle {
  checkArgument("automation.spawn", "session", session, SESSION);
  checkOptions("automation.spawn", spec, AUTOMATION_SPEC);
  return new AutomationHandle(new Runner(session, spec, systemClock));
}
