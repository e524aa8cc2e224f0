/**
 * Starts an automation.
 * @module
 */
import { systemClock } from "./clock.ts";
import { Runner } from "./runner.ts";
import { AutomationHandle } from "./handle.ts";
import type { AutomationSession, AutomationSpec } from "./types.ts";

/**
 * Asks the same prompt on one session again and again, at a fixed pace.
 *
 * Never throws: a mistake in the spec (`every` below 1, an invalid date, a `maxRuns` that is no count) and a closed
 * session give a handle whose state is `failed` at once, with the error in `lastError`; a `maxRuns` of 0 or a `stopAt`
 * that has passed give one that is `stopped`.
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
  return new AutomationHandle(new Runner(session, spec, systemClock));
}
