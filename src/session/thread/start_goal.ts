/**
 * Setting a goal: who asks for one has a place in line at once, and the thread when its turn has come.
 * @module
 */
import { abortable } from "../../async.ts";
import { InvalidArgumentError, RequestTimeoutError, SessionClosedError } from "../../errors/mod.ts";
import type { GoalOptions } from "../profile.ts";
import type { Goal } from "./goal.ts";
import { warnIgnored } from "./server_turns.ts";
import { assertSupported, type ThreadHost } from "./thread_host.ts";

/** Starts a goal on a thread that has none. */
export async function startGoal(
  host: ThreadHost,
  objective: string,
  options: GoalOptions,
): Promise<Goal> {
  const { core } = host;
  assertSupported(core, "startGoal", "goals");
  if (host.profile.ephemeral) {
    throw new InvalidArgumentError("startGoal", {
      argument: "ephemeral",
      received: "true",
      accepts: "false for a session with goals: codex works on them only on threads that it keeps",
    });
  }
  const given = new AbortController();
  const signal = AbortSignal.any([given.signal, ...(options.signal ? [options.signal] : [])]);
  signal.throwIfAborted();
  let run: Goal | null = null;
  const holder = {
    interrupt: async () => {
      if (run === null) given.abort(new SessionClosedError("The goal was stopped."));
      else {
        await run.stop().catch((error) => {
          if (error instanceof RequestTimeoutError) throw error;
        });
      }
    },
    cancel: (reason: unknown) => run === null ? given.abort(reason) : run.cancel(reason),
  };
  const release = await host.take(holder, signal);
  // Whoever gives it up does not wait until it is undone; whoever has the thread next does.
  return await abortable(begin(release), signal);

  async function begin(release: () => void): Promise<Goal> {
    const { profile } = host;
    const hooks = host.hookRun(profile, signal);
    let reopened = false;
    let final: string | null = null;
    try {
      // Loaded with the first goal, which has its place by now.
      const loaded = await import("./goal.ts");
      const patched = await hooks.pre("preRun", { prompt: objective });
      final = patched.prompt ?? objective;
      // A goal that was left on the thread would go on.
      await core.call("thread/goal/clear", { threadId: host.threadId }, {
        timeoutMs: loaded.CALL_MS,
      });
      // On a thread without goals codex takes the goal and does nothing.
      if (!profile.goals) {
        // What somebody was promised meanwhile goes first: it would be left on a thread that is started anew.
        await host.turns.rest.begun();
        await host.turns.rest.idle(signal, profile.timeoutMs);
        // Where that fails it may have goals all the same, now or when it is resumed.
        reopened = true;
        await host.reopen(true);
        signal.throwIfAborted();
      }
      await loaded.assertWorksOnGoals(host);
      await host.settle("startGoal", { ...profile, model: patched.model ?? profile.model });
      host.begin(hooks);
      await host.checkpoint(signal);
      signal.throwIfAborted();
      run = new loaded.Goal(host, { objective: final, options, hooks, reopened, release });
      if (patched.attachments !== undefined) warnIgnored(run, "goal", "attachments");
      await run.begin();
      return run;
    } catch (error) {
      if (run !== null) {
        run.cancel(error);
        await run.finish().catch(() => {});
      } else {
        if (reopened) await host.reopen(false).catch(() => {});
        if (final !== null) await hooks.post("postRun", { prompt: final, status: "error", error });
        release();
      }
      throw error;
    }
  }
}
