/**
 * The running hooks of one run.
 * @module
 */
import { abortable, settlesWithin, within } from "../async.ts";
import { HookBlockedError, messageOf } from "../errors/mod.ts";
import { defined, type JsonObject } from "../json.ts";
import type { Attachment } from "../prompt.ts";
import type { Patchable } from "./action.ts";
import { DEFAULT_TIMEOUT_MS, isFor } from "./validate.ts";
import type {
  HookAction,
  HookCallRecord,
  HookContext,
  HookIssueClass,
  HookPhase,
  HookReport,
  Hooks,
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

/** What a {@linkcode HookRun} begins with. */
export interface HookRunBase extends HookFacts {
  /** Names the run in all contexts. Default: a fresh `hk-…`. */
  correlationId?: string;
  /** What the hooks of an enclosing run noted. Default empty. */
  metadata?: JsonObject;
  /** Stops the waiting for pre-hooks; they then reject with its reason. */
  signal?: AbortSignal;
  /** The run that this one is the rest of: same correlation id, notes and report. Default: a run of its own. */
  continues?: HookRun;
  /** Calls a hook that a session waits for. Default: just calls it. */
  within?: <T>(call: () => T | Promise<T>) => T | Promise<T>;
}

/** What a phase hands to its pre-hooks; they may change all but the facts. */
export interface HookInput extends HookFacts {
  /** The text of the prompt. */
  prompt?: string;
  /** The attachments. */
  attachments?: readonly (string | Attachment)[];
}

/** A phase's input after its pre-hooks. */
export interface PatchedInput {
  /** The text of the prompt. */
  prompt?: string;
  /** The model. */
  model?: string;
  /** The attachments, those added by hooks at the end. */
  attachments?: readonly (string | Attachment)[];
  /** What the hooks of the run noted so far. */
  metadata: JsonObject;
}

/** How what a post phase follows went. */
export interface HookOutcome extends HookInput {
  /** Whether it went well. */
  status: "ok" | "error";
  /** What went wrong. */
  error?: unknown;
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

/** How one pre-hook's call ended. */
type PreOutcome =
  | { type: "action"; action: HookAction; next: Patchable }
  | { type: "failed"; message: string; cause?: unknown }
  | { type: "aborted"; reason: unknown };

/**
 * Runs the merged hooks of one run, phase by phase, and keeps its report. One run never sees another one's calls: the
 * session makes one for each ask, so hooks answer for their own thread only.
 */
export class HookRun {
  /** What the hooks did so far. */
  readonly report: HookReport;
  /** The same in all contexts of the run. */
  readonly correlationId: string;
  readonly #hooks: Required<Hooks>;
  readonly #signal: AbortSignal | undefined;
  #facts: HookFacts;
  #metadata: JsonObject;

  readonly #within: <T>(call: () => T | Promise<T>) => T | Promise<T>;

  /** Begins a run with hooks from `mergeHooks`. */
  constructor(hooks: Required<Hooks>, base: HookRunBase = {}) {
    const { correlationId, metadata, signal, continues, within, ...facts } = base;
    this.#within = within ?? ((call) => call());
    this.#hooks = hooks;
    this.#facts = facts;
    this.#metadata = metadata ?? continues?.metadata ?? {};
    this.#signal = signal;
    this.report = continues?.report ?? { issues: [], ran: [] };
    this.correlationId = correlationId ?? continues?.correlationId ?? `hk-${crypto.randomUUID()}`;
  }

  /** What the hooks noted so far. */
  get metadata(): JsonObject {
    return this.#metadata;
  }

  /** Adds facts for the contexts to come, such as the thread once it has started. */
  learn(facts: HookFacts): void {
    this.#facts = { ...this.#facts, ...defined(facts) };
  }

  /** Whether any hook is called in this phase. */
  has(phase: HookPhase): boolean {
    return this.#preHooks(phase).length > 0 || this.#postHooks(phase).length > 0;
  }

  /**
   * Runs the pre-hooks of a phase one after the other; each sees what the earlier ones changed.
   *
   * Rejects with `HookBlockedError` when a hook blocks, or fails while its `onError` is `"block"`, and with the run's
   * signal's reason when that aborts.
   */
  async pre(phase: Exclude<PreHookPhase, "preToolUse">, input: HookInput): Promise<PatchedInput> {
    const { prompt, attachments, ...facts } = input;
    const known = { ...this.#facts, ...defined(facts) };
    let current: Patchable = {
      ...defined({ prompt, attachments, model: known.model }),
      metadata: this.#metadata,
    };
    const at = new Date();
    for (const hook of this.#preHooks(phase)) {
      const outcome = await this.#callPre(hook, phase, current, { ...known, at }, this.#signal);
      if (outcome.type === "aborted") throw outcome.reason;
      if (outcome.type === "failed") {
        const cause = outcome.cause === undefined ? {} : { cause: outcome.cause };
        throw new HookBlockedError(hook.name, phase, `the hook failed: ${outcome.message}`, cause);
      }
      if (outcome.action.type === "block") {
        throw new HookBlockedError(hook.name, phase, outcome.action.reason);
      }
      current = outcome.next;
      this.#metadata = current.metadata;
    }
    return current;
  }

  /** Runs the post-hooks of a phase one after the other. Never rejects: trouble becomes an issue. */
  async post(
    phase: Exclude<PostHookPhase, "postToolUse">,
    outcome: HookOutcome,
    options: { signal?: AbortSignal } = {},
  ): Promise<void> {
    await this.#callPost(phase, { ...this.#facts, ...defined(outcome) }, options.signal);
  }

  /**
   * Asks the pre-hooks about a tool use. Never rejects: a hook that fails, or is still at it when the signal aborts,
   * blocks, except a failing one whose `onError` is `"continue"`.
   */
  async toolPre(
    input: HookToolInput,
    options: { signal?: AbortSignal } = {},
  ): Promise<HookVerdict> {
    const facts = { ...this.#facts, ...defined(input), at: new Date() };
    const unchanged: Patchable = { metadata: this.#metadata, ...defined({ model: facts.model }) };
    for (const hook of this.#preHooks("preToolUse")) {
      const hookName = hook.name;
      let outcome: PreOutcome;
      try {
        outcome = await this.#callPre(hook, "preToolUse", unchanged, facts, options.signal);
      } catch (error) {
        this.#issue(hook, "preToolUse", "internal", messageOf(error));
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

  /** Tells the post-hooks how a tool use went. Never rejects: trouble becomes an issue. */
  async toolPost(input: HookToolInput, options: { signal?: AbortSignal } = {}): Promise<void> {
    const status = input.status ?? toolStatus(input);
    await this.#callPost(
      "postToolUse",
      { ...this.#facts, ...defined(input), status },
      options.signal,
    );
  }

  async #callPre(
    hook: PreHook,
    phase: PreHookPhase,
    current: Patchable,
    facts: HookToolInput & { at: Date },
    signal: AbortSignal | undefined,
  ): Promise<PreOutcome> {
    const { applyPatch, ignoredMessage, parseAction } = await import("./action.ts");
    const context = this.#context(phase, facts, current);
    const started = performance.now();
    const ended = await this.#call(hook, context, signal);
    if (ended.type === "aborted") {
      this.#issue(hook, phase, "execution", "was stopped before it answered");
      this.#ran(hook, phase, "error", started);
      return ended;
    }
    const parsed = ended.type === "value" ? parseAction(ended.value) : null;
    if (parsed?.ok) {
      const { action } = parsed;
      this.#ran(hook, phase, action.type, started);
      if (action.type !== "mutate") return { type: "action", action, next: current };
      const { next, ignored } = applyPatch(phase, current, action.patch);
      // An ignored field is no failure: the answer is well-formed and the rest of it holds.
      if (ignored.length > 0) {
        this.#issue(hook, phase, "validation", ignoredMessage(phase, ignored));
      }
      return { type: "action", action, next };
    }
    const message = parsed?.message ?? (ended.type === "failed" ? ended.message : "");
    this.#issue(hook, phase, ended.type === "failed" ? ended.class : "validation", message);
    this.#ran(hook, phase, "error", started);
    if (hook.onError === "continue") {
      return { type: "action", action: { type: "continue" }, next: current };
    }
    return { type: "failed", message, ...(ended.type === "failed" ? { cause: ended.cause } : {}) };
  }

  /** Calls one hook, within its time. */
  #call<Context>(
    hook: {
      timeoutMs?: number;
      call(context: Context, options: { signal: AbortSignal }): unknown;
    },
    context: Context,
    signal: AbortSignal | undefined,
  ): Promise<LimitedOutcome> {
    const limit = hook.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return callLimited(
      (own) => this.#within(() => hook.call(context, { signal: own })),
      limit,
      signal,
    );
  }

  async #callPost(
    phase: PostHookPhase,
    facts: HookToolInput & HookInput,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const at = new Date();
    for (const hook of this.#postHooks(phase)) {
      const context = this.#context(phase, { ...facts, at }, { metadata: this.#metadata });
      const started = performance.now();
      const ended = await this.#call(hook, context, signal);
      if (ended.type === "aborted") {
        this.#issue(hook, phase, "execution", "was stopped before it ended");
      } else if (ended.type === "failed") this.#issue(hook, phase, ended.class, ended.message);
      this.#ran(hook, phase, ended.type === "value" ? "observe" : "error", started);
    }
  }

  #context(
    phase: HookPhase,
    facts: HookToolInput & HookInput & { at: Date },
    current: Patchable,
  ): HookContext {
    const { metadata, ...patched } = current;
    return {
      ...facts,
      ...patched,
      phase,
      correlationId: this.correlationId,
      at: new Date(facts.at),
      metadata: structuredClone(metadata),
    };
  }

  #preHooks(phase: HookPhase): PreHook[] {
    if (!phase.startsWith("pre")) return [];
    return this.#hooks.pre.filter((hook) => isFor(hook, phase));
  }

  #postHooks(phase: HookPhase): PostHook[] {
    if (!phase.startsWith("post")) return [];
    return this.#hooks.post.filter((hook) => isFor(hook, phase));
  }

  #issue(hook: PreHook | PostHook, phase: HookPhase, kind: HookIssueClass, message: string): void {
    this.report.issues.push({ hookName: hook.name, phase, class: kind, message });
  }

  #ran(
    hook: PreHook | PostHook,
    phase: HookPhase,
    action: HookCallRecord["action"],
    started: number,
  ): void {
    const durationMs = Math.round(performance.now() - started);
    this.report.ran.push({ name: hook.name, phase, action, durationMs });
  }
}

/** How a tool went, by what the server says of it. */
function toolStatus(facts: HookToolFacts): "ok" | "error" {
  if (facts.toolStatus === "failed" || facts.toolStatus === "declined") return "error";
  return facts.exitCode === undefined || facts.exitCode === 0 ? "ok" : "error";
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
  const text = messageOf(error);
  const message = text.length <= 600 ? text : `${text.slice(0, 600)}…`;
  return { type: "failed", class: timedOut ? "timeout" : "execution", message, cause: error };
}
