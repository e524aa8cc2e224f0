/**
 * The next turn that something else begins, as a stream.
 * @module
 */
import { SessionClosedError } from "../../errors/mod.ts";
import type { HookReport } from "../../plugin/mod.ts";
import { EventQueue } from "../events/session_events.ts";
import { PromptRunStream } from "../prompt/prompt_run_stream.ts";
import { toResult } from "../prompt/prompt_run.ts";
import type { Prompt } from "../../prompt.ts";
import type { JsonObject } from "../../json.ts";
import type { ForeignTurn } from "./foreign_turns.ts";
import type { ThreadHost } from "./thread_host.ts";

const NO_HOOKS: HookReport = { issues: [], ran: [] };

/** Waits for a turn that no prompt of this session begins. */
export function nextTurn(
  host: ThreadHost,
  closed: AbortSignal,
  prepare: (input: Prompt) => Promise<JsonObject[]>,
  signal: AbortSignal | undefined,
): Promise<PromptRunStream> {
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
      resolve(streamOf(host, run, queue, prepare));
      return run;
    });
    if (signal?.aborted || closed.aborted) return settle();
    signal?.addEventListener("abort", settle);
    closed.addEventListener("abort", settle);
  });
}

function streamOf(
  { core, threadId }: ThreadHost,
  run: ForeignTurn,
  queue: EventQueue,
  prepare: (input: Prompt) => Promise<JsonObject[]>,
): PromptRunStream {
  const { turnId } = run.turn;
  const result = run.ended.then((error) => {
    if (error !== null) throw error;
    return toResult(run.outcome, NO_HOOKS);
  });
  result.catch(() => {});
  return new PromptRunStream(
    threadId,
    turnId,
    {
      result,
      interrupt: async () => void await run.turn.stop(),
      steer: async (input) => {
        const expectedTurnId = run.turn.activeId;
        const params = { threadId, expectedTurnId, input: await prepare(input) };
        await core.call("turn/steer", params);
      },
    },
    queue,
  );
}
