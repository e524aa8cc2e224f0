/**
 * The next turn that is not one of our prompts, as a stream.
 * @module
 */
import { SessionClosedError } from "../../errors/mod.ts";
import type { JsonObject } from "../../json.ts";
import type { HookReport } from "../../plugin/mod.ts";
import type { Prompt } from "../../prompt.ts";
import { EventQueue } from "../events/session_events.ts";
import type { ForeignTurn } from "../thread/foreign_turns.ts";
import type { ThreadHost } from "../thread/thread_host.ts";
import { assertStopped } from "../turn/stop_turn.ts";
import { toResult } from "./prompt_run.ts";
import type { StreamedRun } from "./prompt_run_stream.ts";

const NO_HOOKS: HookReport = { issues: [], ran: [] };

/** What a stream of it is made of. */
export interface NextTurn {
  /** The turn. */
  turnId: string;
  /** What can be done with it. */
  run: StreamedRun;
  /** Its events. */
  queue: EventQueue;
}

/** Waits for a turn that no prompt of this session begins. */
export function nextTurn(
  host: ThreadHost,
  closed: AbortSignal,
  prepare: (input: Prompt) => Promise<JsonObject[]>,
  signal: AbortSignal | undefined,
): Promise<NextTurn> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      unclaim();
      signal?.removeEventListener("abort", settle);
      closed.removeEventListener("abort", settle);
      if (signal?.aborted) reject(signal.reason);
      else if (closed.aborted) {
        reject(closed.reason ?? new SessionClosedError());
      }
    };
    const unclaim = host.foreign.claim((turn) => {
      settle();
      const queue = new EventQueue();
      const run = host.foreign.take(turn, (event) => queue.push(event));
      resolve(partsOf(host, run, queue, prepare));
      return run;
    });
    if (signal?.aborted || closed.aborted) return settle();
    signal?.addEventListener("abort", settle);
    closed.addEventListener("abort", settle);
  });
}

function partsOf(
  { core, threadId, turns }: ThreadHost,
  run: ForeignTurn,
  queue: EventQueue,
  prepare: (input: Prompt) => Promise<JsonObject[]>,
): NextTurn {
  const { turnId } = run.turn;
  const result = run.ended.then((error) => {
    if (error !== null) throw error;
    return toResult(run.outcome, NO_HOOKS);
  });
  result.catch(() => {});
  return {
    turnId,
    queue,
    run: {
      result,
      interrupt: async () => assertStopped(await turns.rest.stopForeign(run.turn)),
      steer: async (input) => {
        const expectedTurnId = run.turn.activeId;
        const params = { threadId, expectedTurnId, input: await prepare(input) };
        await core.call("turn/steer", params);
      },
    },
  };
}
