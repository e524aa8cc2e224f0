/**
 * Making a thread's history shorter.
 * @module
 */
import { EmptyAnswerError, TurnTimeoutError } from "../../errors/mod.ts";
import { abortable, longTimeout } from "../../async.ts";
import type { CompactResult, WaitOptions } from "../profile.ts";
import type { ForeignTurn } from "./foreign_turns.ts";
import { alone, type ThreadHost } from "./thread_host.ts";

/** How long a compaction that was given up may take to begin, so that it can be stopped. */
const BEGIN_MS = 5_000;

/** Lets the model sum up the thread. The server does it in a turn whose id it does not tell before. */
export function compact(host: ThreadHost, options: WaitOptions): Promise<CompactResult> {
  return alone(host, options.signal, async (signal, hold) => {
    const { core, threadId, turns, foreign, profile } = host;
    const tokensBefore = turns.context?.usedTokens ?? null;
    await host.settle("compact", profile);
    const begun = Promise.withResolvers<ForeignTurn>();
    const unclaim = foreign.claim((turn) => {
      unclaim();
      const run = foreign.take(turn, null);
      begun.resolve(run);
      return run;
    });
    const cancelLimit = longTimeout(() => {
      const partial = { threadId, turnId: null, assistantText: "", items: [] };
      begun.reject(new TurnTimeoutError(profile.timeoutMs, partial, { stopped: false }));
    }, profile.timeoutMs);
    let over = false;
    try {
      await core.call("thread/compact/start", { threadId }, { signal });
      const run = await abortable(begun.promise, signal);
      cancelLimit();
      const error = await abortable(run.ended, signal);
      over = true;
      // The summary is no message.
      if (error !== null && !(error instanceof EmptyAnswerError)) throw error;
    } catch (error) {
      if (over || !signal.aborted) throw error;
      const late = longTimeout(() => begun.reject(error), BEGIN_MS);
      hold(
        begun.promise.then((run) => run.turn.stop()).catch(() => {}).finally(() => {
          late();
          unclaim();
        }),
      );
      throw error;
    } finally {
      cancelLimit();
      if (over || !signal.aborted) unclaim();
    }
    return { tokensBefore, tokensAfter: turns.context?.usedTokens ?? null };
  });
}
