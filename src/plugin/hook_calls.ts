/**
 * How hooks are called: one after the other, each within its time. Loaded with the first run that has a hook.
 * @module
 */
import { abortable, settlesWithin, within } from "../async.ts";
import { HookBlockedError, messageOf } from "../errors/mod.ts";
import { defined, type JsonObject } from "../json.ts";
import type { Attachment } from "../prompt.ts";
import { redactText } from "../redact.ts";
import { applyPatch, ignoredMessage, parseAction, type Patchable } from "./action.ts";
import { DEFAULT_TIMEOUT_MS } from "./validate.ts";
import type {
  HookAction,
  HookCallRecord,
  HookContext,
  HookIssueClass,
  HookPhase,
  HookReport,
  HookToolFacts,
  PostHook,
  PostHookPhase,
  PreHook,
  PreHookPhase,
} from "./types.ts";

/** What all contexts of a run tell, as soon as it is known. */
export interface HookFacts {
  /** The thread. */
  threadId?: string;
  /** The turn. */
  turnId?: string;
  /** The directory the agent works in. */
  cwd?: string;
  /** The model. */
  model?: string;
}

/** What a phase hands to its pre-hooks; they may change all but the facts. */
export interface HookInput extends HookFacts {
  /** The text of the prompt. */
  prompt?: string;
  /** The attachments. */
  attachments?: readonly (string | Attachment)[];
}

/** What the tool phases hand to their hooks. */
export interface HookToolInput extends HookFacts, HookToolFacts {
  /** Whether the tool went well; for `postToolUse`. Default: by the tool's own status and exit code. */
  status?: "ok" | "error";
  /** What went wrong; for `postToolUse`. */
  error?: unknown;
}

/** What pre-hooks say to a tool use before anyone else is asked. They can refuse, never grant: after `continue` the approval rules decide. */
export type HookVerdict =
  | { type: "continue" }
  | { type: "block"; reason: string; hookName: string };

/** What is told with a call. */
export type CallFacts = HookToolInput & HookInput & { at: Date };

/** The run that a call belongs to. */
export interface Calling {
  /** What the hooks did so far. */
  readonly report: HookReport;
  /** The same in all contexts of the run. */
  readonly correlationId: string;
  /** What the hooks noted so far. */
  metadata: JsonObject;
  /** Calls a hook that a session waits for. */
  within<T>(call: () => T | Promise<T>): T | Promise<T>;
}

/** How one pre-hook's call ended. */
type PreOutcome =
  | { type: "action"; action: HookAction; next: Patchable }
  | { type: "failed"; message: string; cause?: unknown }
  | { type: "aborted"; reason: unknown };

/** Calls the pre-hooks of a phase; see `HookRun.pre`. */
export async function callPreHooks(
  run: Calling,
  hooks: readonly PreHook[],
  phase: Exclude<PreHookPhase, "preToolUse">,
  asked: Patchable,
  facts: CallFacts,
  signal: AbortSignal | undefined,
): Promise<Patchable> {
  let current = asked;
  for (const hook of hooks) {
    const outcome = await callPre(run, hook, phase, current, facts, signal);
    if (outcome.type === "aborted") throw outcome.reason;
    if (outcome.type === "failed") {
      throw new HookBlockedError(hook.name, phase, `the hook failed: ${outcome.message}`, {
        data: { reason: "hookFailed" },
        ...defined({ cause: outcome.cause }),
      });
    }
    if (outcome.action.type === "block") {
      throw new HookBlockedError(hook.name, phase, outcome.action.reason);
    }
    current = outcome.next;
    run.metadata = current.metadata;
  }
  return current;
}

/** Asks the pre-hooks about a tool use; see `HookRun.toolPre`. */
export async function askToolHooks(
  run: Calling,
  hooks: readonly PreHook[],
  facts: CallFacts,
  signal: AbortSignal | undefined,
): Promise<HookVerdict> {
  const unchanged: Patchable = { metadata: run.metadata, ...defined({ model: facts.model }) };
  for (const hook of hooks) {
    const hookName = hook.name;
    let outcome: PreOutcome;
    try {
      outcome = await callPre(run, hook, "preToolUse", unchanged, facts, signal);
    } catch (error) {
      tellIssue(run, hook, "preToolUse", "internal", told(messageOf(error)));
      return { type: "block", hookName, reason: "the hook could not be asked" };
    }
    if (outcome.type === "aborted") {
      return { type: "block", hookName, reason: "the turn ended before the hook answered" };
    }
    if (outcome.type === "failed") {
      return { type: "block", hookName, reason: `the hook failed: ${outcome.message}` };
    }
    if (outcome.action.type === "block") {
      return { type: "block", hookName, reason: outcome.action.reason };
    }
  }
  return { type: "continue" };
}

/** Calls the post-hooks of a phase; see `HookRun.post`. */
export async function callPostHooks(
  run: Calling,
  hooks: readonly PostHook[],
  phase: PostHookPhase,
  facts: CallFacts,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const hook of hooks) {
    const context = contextOf(run, phase, facts, { metadata: run.metadata });
    const started = performance.now();
    const ended = await call(run, hook, context, signal);
    if (ended.type === "aborted") {
      tellIssue(run, hook, phase, "execution", "was stopped before it ended");
    } else if (ended.type === "failed") tellIssue(run, hook, phase, ended.class, ended.message);
    tellRan(run, hook, phase, ended.type === "value" ? "observe" : "error", started);
  }
}

async function callPre(
  run: Calling,
  hook: PreHook,
  phase: PreHookPhase,
  current: Patchable,
  facts: CallFacts,
  signal: AbortSignal | undefined,
): Promise<PreOutcome> {
  const context = contextOf(run, phase, facts, current);
  const started = performance.now();
  const ended = await call(run, hook, context, signal);
  if (ended.type === "aborted") {
    tellIssue(run, hook, phase, "execution", "was stopped before it answered");
    tellRan(run, hook, phase, "error", started);
    return ended;
  }
  const parsed = ended.type === "value" ? parseAction(ended.value) : null;
  if (parsed?.ok) {
    const { action } = parsed;
    tellRan(run, hook, phase, action.type, started);
    if (action.type !== "mutate") return { type: "action", action, next: current };
    const { next, ignored } = applyPatch(phase, current, action.patch);
    // An ignored field is no failure: the answer is well-formed and the rest of it holds.
    if (ignored.length > 0) {
      tellIssue(run, hook, phase, "validation", ignoredMessage(phase, ignored));
    }
    return { type: "action", action, next };
  }
  const message = ended.type === "failed" ? ended.message : told(parsed?.message ?? "");
  tellIssue(run, hook, phase, ended.type === "failed" ? ended.class : "validation", message);
  tellRan(run, hook, phase, "error", started);
  if (hook.onError === "continue") {
    return { type: "action", action: { type: "continue" }, next: current };
  }
  return { type: "failed", message, ...(ended.type === "failed" ? { cause: ended.cause } : {}) };
}

/** Calls one hook, within its time. */
function call<Context>(
  run: Calling,
  hook: {
    timeoutMs?: number;
    call(context: Context, options: { signal: AbortSignal }): unknown;
  },
  context: Context,
  signal: AbortSignal | undefined,
): Promise<LimitedOutcome> {
  const limit = hook.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  return callLimited(
    (own) => run.within(() => hook.call(context, { signal: own })),
    limit,
    signal,
  );
}

function contextOf(
  run: Calling,
  phase: HookPhase,
  facts: CallFacts,
  current: Patchable,
): HookContext {
  const { attachments, error, ...data } = { ...facts, ...current };
  return {
    // Deep: what a hook does to a list in it must not reach the hooks, rules and tools after it.
    ...structuredClone(data),
    ...defined({
      error,
      attachments: attachments?.map((one) => typeof one === "string" ? one : { ...one }),
    }),
    phase,
    correlationId: run.correlationId,
  };
}

function tellIssue(
  { report }: Calling,
  hook: PreHook | PostHook,
  phase: HookPhase,
  kind: HookIssueClass,
  message: string,
): void {
  report.issues.push({ hookName: hook.name, phase, class: kind, message });
}

function tellRan(
  { report }: Calling,
  hook: PreHook | PostHook,
  phase: HookPhase,
  action: HookCallRecord["action"],
  started: number,
): void {
  const durationMs = Math.round(performance.now() - started);
  report.ran.push({ name: hook.name, phase, action, durationMs });
}

// Runs a user's function within a time limit.

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
async function callLimited(
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

function isTimeout(error: unknown): boolean {
  try {
    return error instanceof DOMException && error.name === "TimeoutError";
  } catch {
    // Anything can be thrown, also what throws when it is looked at.
    return false;
  }
}

function failure(error: unknown): LimitedOutcome {
  const timedOut = isTimeout(error);
  const message = told(messageOf(error));
  return { type: "failed", class: timedOut ? "timeout" : "execution", message, cause: error };
}

/** As it may be repeated to the model and to whoever sees the result: short, and without what looks like a secret. */
function told(message: string): string {
  // First the secrets: one that is cut off looks like none.
  const text = redactText(message.slice(0, 4_000));
  return text.length <= 600 ? text : `${text.slice(0, 600)}…`;
}
