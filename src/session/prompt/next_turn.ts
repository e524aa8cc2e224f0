/**
 * The next turn that is not one of our prompts, as a stream.
 * @module
 */
import { SessionClosedError } from "../../errors/mod.ts";
import type { JsonObject } from "../../json.ts";
import type { Prompt } from "../../prompt.ts";
import type { EventQueue } from "../events/session_events.ts";
import type { HeldTurn } from "../thread/foreign_turns.ts";
import type { ThreadHost } from "../thread/thread_host.ts";
import { assertStopped } from "../turn/stop_turn.ts";
import { toResult } from "./prompt_run.ts";
import type { StreamedRun } from "./prompt_run_stream.ts";

/** What a stream of it is made of. */
export interface NextTurn {
  /** The turn. */
  turnId: string;
  /** What can be done with it. */
  run: StreamedRun;
  /** Its events. */
  queue: EventQueue;
}

/** Waits for a turn that no prompt of this session begins. Whoever asks again at once misses none. */
export function nextTurn(
  host: ThreadHost,
  closed: AbortSignal,
  prepare: (input: Prompt) => Promise<JsonObject[]>,
  signal: AbortSignal | undefined,
): Promise<NextTurn> {
  const waiting = !signal?.aborted && !closed.aborted ? host.foreign.next() : undefined;
  if (waiting !== undefined) return Promise.resolve(partsOf(host, waiting, prepare));
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
      const held = host.foreign.hold(turn);
      resolve(partsOf(host, held, prepare));
      return held.run;
    });
    if (signal?.aborted || closed.aborted) return settle();
    signal?.addEventListener("abort", settle);
    closed.addEventListener("abort", settle);
  });
}

function partsOf(
  { core, threadId, turns }: ThreadHost,
  { run, queue }: HeldTurn,
  prepare: (input: Prompt) => Promise<JsonObject[]>,
): NextTurn {
  const { turnId } = run.turn;
  const result = run.ended.then((error) => {
    if (error !== null) throw error;
    return toResult(run.outcome, { issues: [], ran: [] });
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
