/**
 * Turns of codex's own that a session asks for: a review of changes by its reviewer, and making the history shorter.
 * @module
 */
import {
  BudgetExceededError,
  EmptyAnswerError,
  PolicyError,
  TurnInterruptedError,
  TurnTimeoutError,
  unnamedTurn,
} from "../../errors/mod.ts";
import type { JsonObject } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import { overlayProfile } from "../policy/thread_params.ts";
import type {
  AskOptions,
  CompactResult,
  ResolvedProfile,
  ReviewOptions,
  ReviewResult,
  ReviewTarget,
  RunLimits,
  WaitOptions,
} from "../profile.ts";
import { guardEmit } from "../prompt/prompt_run.ts";
import { RunMeter, unheldLimits } from "../turn/turn_usage.ts";
import { turnError, type TurnRun } from "../turn/turn_run.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";
import { alone } from "./alone.ts";
import { assertSupported, type ThreadHost } from "./thread_host.ts";
import { abortable, longTimeout } from "../../async.ts";
import type { ForeignTurn } from "./foreign_turns.ts";

/** Asks the session, after the review and before all who wait. */
export type AskForOutput = (prompt: string, options: AskOptions) => Promise<PromptRunResult>;

const OUTPUT_PROMPT =
  "Give the findings of the review that you have just made, all of them and nothing else, in the form that the schema asks for.";

const UNASKED =
  "Codex's reviewer asks about nothing that it does, so hooks and approvals would not see it. " +
  'Give the review `approvalPolicy: "on-request"`, or use another session.';

/** Reviews; with a schema the findings are asked for in a turn after it. */
export async function review(
  host: ThreadHost,
  target: ReviewTarget,
  options: ReviewOptions,
  ask: AskForOutput,
): Promise<ReviewResult> {
  let answer: Promise<PromptRunResult> | null = null;
  let run: TurnRun | null = null;
  let interrupted: TurnInterruptedError | null = null;
  const { result } = await alone(host, options.signal, async (signal, hold) => {
    const profile = overlayProfile(host.profile, options);
    const { output, outputSchema = profile.outputSchema } = options;
    const started = (it: TurnRun) => hold((run = it).over());
    const done = await reviewTurn(host, target, profile, options, signal, started);
    if (output === undefined && outputSchema === null) return done;
    if (interrupted !== null) throw interrupted;
    const limits = left(profile.limits, done.meter);
    const { spent } = done.meter;
    if (spent !== null) throw new BudgetExceededError(spent, done.run.partial(), { stopped: true });
    // While the thread is the review's: after another turn, the model would give what that one has found.
    answer = ask(OUTPUT_PROMPT, { ...options, limits, signal });
    answer.catch(() => {});
    return done;
  }, async (giveUp) => {
    interrupted = new TurnInterruptedError(run?.partial() ?? unnamedTurn(host.threadId));
    if (run === null || run.isSettled) giveUp(interrupted);
    return run === null || await run.stop() || run.turn === null;
  });
  return answer === null ? result : { ...result, output: (await answer as PromptRunResult).output };
}

async function reviewTurn(
  host: ThreadHost,
  target: ReviewTarget,
  profile: ResolvedProfile,
  { onEvent }: ReviewOptions,
  signal: AbortSignal,
  started: (run: TurnRun) => void,
): Promise<{ result: ReviewResult; meter: RunMeter; run: TurnRun }> {
  const { core, threadId, turns } = host;
  // Whatever the thread's policy is, codex has its reviewer ask about nothing (0.104 to 0.169).
  if (isWatched(host, profile)) throw new PolicyError(UNASKED);
  const sandboxOf = (each: ResolvedProfile) => JSON.stringify(host.effective(each).sandbox);
  if (sandboxOf(profile) !== sandboxOf(host.profile)) {
    assertSupported(core, "review with a sandbox of its own", "reviewSandbox");
  }
  const hooks = host.hookRun(profile, signal);
  const prompt = target.type === "custom" ? target.instructions : `Review: ${describe(target)}`;
  const asked = await hooks.pre("preRun", { prompt });
  const turn = await hooks.pre("preTurn", { prompt: asked.prompt ?? prompt }).catch(
    async (error) => {
      const facts = { prompt: asked.prompt ?? prompt, status: "error" as const, error };
      const told = hooks.post("postRun", facts);
      if (!signal.aborted) await told;
      throw error;
    },
  );
  const takesPrompt = target.type === "custom";
  const wanted = turn.prompt ?? asked.prompt ?? prompt;
  const final = takesPrompt ? wanted : prompt;
  if (wanted !== final) warnIgnored(turns, "review of changes", "prompt");
  if ((turn.attachments ?? asked.attachments) !== undefined) {
    warnIgnored(turns, "review", "attachments");
  }
  const model = turn.model ?? asked.model ?? profile.model;
  try {
    const what = "review with other settings than before";
    await abortable(host.settle(what, { ...profile, model }), signal);
    host.begin(hooks);
    await host.checkpoint(signal);
    const meter = new RunMeter(profile.limits, (exceeded) => void run.exceed(exceeded));
    const emit = guardEmit(null, onEvent, host.listeners);
    const run = turns.start({
      method: "review/start",
      params: { threadId, delivery: "inline", target: wireTarget(target, final) },
      timeoutMs: profile.timeoutMs,
      emit,
      signal,
      meter,
    });
    started(run);
    run.identified.then(async (turn) => {
      const mark = host.checkpoints?.began(turn.turnId);
      await turn.reached("completed");
      mark?.(turn.activeId);
    }, () => {});
    const settled = await run.settled;
    const outcome = run.turn?.outcome ?? null;
    if (settled.by === "server" && outcome!.usage === null) {
      const message = unheldLimits(profile.limits, "Codex tells no token counts of a review");
      const { turnId } = outcome!;
      if (message !== null) emit?.({ type: "warning", threadId, turnId, message });
    }
    const error = turnError(settled, outcome, run.partial(), core.rateLimits);
    if (error !== null || settled.by === "abort") throw error;
    const result: ReviewResult = {
      threadId,
      turnId: outcome!.turnId,
      reviewText: outcome!.answer,
      items: outcome!.items.all(),
      usage: outcome!.usage,
      output: undefined,
    };
    await host.toolHooksDone();
    await hooks.post("postTurn", { prompt: final, turnId: result.turnId, status: "ok" });
    await hooks.post("postRun", { prompt: final, turnId: result.turnId, status: "ok" });
    return { result, meter, run };
  } catch (error) {
    const told = Promise.all([
      hooks.post("postTurn", { prompt: final, status: "error", error }),
      hooks.post("postRun", { prompt: final, status: "error", error }),
    ]);
    if (!signal.aborted) await told;
    throw error;
  }
}

/** Whether hooks or approvals are to see all that a turn with this profile does: old versions are made to ask about more than it says. */
function isWatched({ answerers, effective }: ThreadHost, profile: ResolvedProfile): boolean {
  const { approvalPolicy, toolHooks } = effective(profile);
  if (toolHooks || profile.approvalPolicy === "untrusted") return true;
  const asked = { approvalPolicy: profile.approvalPolicy, sandboxed: true };
  return approvalPolicy === "untrusted" &&
    (answerers.rules?.unheardApprovals(answerers.all, asked) ?? null) !== null;
}

/** What a hook has changed that nothing of codex's takes. */
export function warnIgnored(
  told: { warn(message: string): void },
  what: string,
  field: "prompt" | "attachments",
): void {
  told.warn(`A ${what} takes no ${field}: what a hook gave for it was ignored.`);
}

/** What the review has left of the run's limits. */
function left(limits: RunLimits, { counts }: RunMeter): RunLimits {
  const rest: RunLimits = {};
  for (const name of ["tokens", "modelCalls", "toolCalls"] as const) {
    const allowed = limits[name];
    if (allowed !== undefined) rest[name] = Math.max(0, allowed - counts[name]);
  }
  return rest;
}

function describe(target: Exclude<ReviewTarget, { type: "custom" }>): string {
  switch (target.type) {
    case "uncommitted":
      return "the uncommitted changes";
    case "baseBranch":
      return `the changes since ${target.branch}`;
    case "commit":
      return `the commit ${target.sha}`;
  }
}

function wireTarget(target: ReviewTarget, instructions: string): JsonObject {
  switch (target.type) {
    case "uncommitted":
      return { type: "uncommittedChanges" };
    case "custom":
      return { type: "custom", instructions };
    default:
      return { ...target };
  }
}

/** How long a compaction that was given up may take to begin, so that it can be stopped. */
const BEGIN_MS = 5_000;

/** Lets the model sum up the thread. The server does it in a turn whose id it does not tell before. */
export function compact(host: ThreadHost, options: WaitOptions): Promise<CompactResult> {
  let called = false;
  return alone(host, options.signal, async (signal, hold) => {
    const { core, threadId, turns, foreign, profile } = host;
    const tokensBefore = turns.context?.usedTokens ?? null;
    // A codex that can't be told sums up with the model of the last turn; nothing else of its settings counts.
    if (supports(core.server.version, "threadSettings")) {
      await abortable(host.settle("compact", profile), signal);
    }
    await host.checkpoint(signal);
    signal.throwIfAborted();
    // Turns that somebody else began at the same time may come first; what they do tells them from the compaction.
    const begun: ForeignTurn[] = [];
    const first = Promise.withResolvers<ForeignTurn>();
    const end = Promise.withResolvers<unknown>();
    for (const { promise } of [first, end]) promise.catch(() => {});
    let cancelLimit = () => {};
    const isCompaction = ({ outcome }: ForeignTurn) => outcome.items.has("contextCompaction");
    const unclaim = foreign.claim((turn) => {
      if (begun.some(isCompaction)) return null;
      cancelLimit();
      const run = foreign.take(turn, null);
      begun.push(run);
      first.resolve(run);
      void run.ended.then((error) => {
        if (!isCompaction(run) && run.outcome.items.count > 0) {
          if (begun.at(-1) === run) limit();
          return;
        }
        end.resolve(error);
        // Codex 0.104 takes a prompt in that comes meanwhile, and tells no end of the turn that it named for it.
        for (const { turn, outcome } of begun) if (outcome.items.count === 0) turn.checkSoon();
      });
      return run;
    }, true);
    /** It may take so long to begin. */
    const limit = () => {
      cancelLimit = longTimeout(() => {
        end.reject(
          new TurnTimeoutError(profile.timeoutMs, unnamedTurn(host.threadId), { stopped: false }),
        );
      }, profile.timeoutMs);
    };
    limit();
    // A server that is gone begins nothing.
    const unwatch = foreign.watch({
      goal: () => {},
      lost: (error, willResume) => {
        if (willResume && begun.length > 0) return;
        first.reject(error);
        end.reject(error);
      },
    });
    const leave = () => {
      unclaim();
      unwatch();
    };
    let over = false;
    called = true;
    const call = core.call("thread/compact/start", { threadId });
    // Whoever stops the thread meanwhile has to wait for its beginning.
    const begins = call.then(() => first.promise);
    turns.rest.expect(begins.catch(() => {}));
    try {
      await abortable(call, signal);
      const error = await abortable(end.promise, signal);
      over = true;
      // The summary is no message.
      if (error !== null && !(error instanceof EmptyAnswerError)) throw error;
    } catch (error) {
      if (over) throw error;
      turns.rest.refused(error);
      const late = longTimeout(() => first.reject(error), BEGIN_MS);
      const stopped = begins.then(() => begun.at(-1)!.turn.stop()).catch(() => {})
        .finally(() => {
          late();
          leave();
        });
      hold(stopped);
      throw error;
    } finally {
      cancelLimit();
      if (over) leave();
    }
    return { tokensBefore, tokensAfter: turns.context?.usedTokens ?? null };
  }, (giveUp) => {
    if (called) return host.turns.rest.stopAll();
    giveUp(new TurnInterruptedError(unnamedTurn(host.threadId)));
    return Promise.resolve(true);
  });
}
