/**
 * The running hooks of one run.
 * @module
 */
import { messageOf } from "../errors/mod.ts";
import { defined, type JsonObject } from "../json.ts";
import type { Attachment } from "../prompt.ts";
import type {
  CallFacts,
  Calling,
  HookFacts,
  HookInput,
  HookToolInput,
  HookVerdict,
} from "./hook_calls.ts";
import type * as hookCalls from "./hook_calls.ts";
import { isFor } from "./validate.ts";
import type {
  HookPhase,
  HookReport,
  Hooks,
  HookToolFacts,
  PostHook,
  PostHookPhase,
  PreHook,
  PreHookPhase,
} from "./types.ts";

export type { HookToolInput, HookVerdict } from "./hook_calls.ts";

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
  readonly #calling: Calling;
  #facts: HookFacts;

  /** Begins a run with hooks from `mergeHooks`. */
  constructor(hooks: Required<Hooks>, base: HookRunBase = {}) {
    const { correlationId, metadata, signal, continues, within, ...facts } = base;
    this.#hooks = hooks;
    this.#facts = facts;
    this.#signal = signal;
    this.report = continues?.report ?? { issues: [], ran: [] };
    this.correlationId = correlationId ?? continues?.correlationId ?? `hk-${crypto.randomUUID()}`;
    this.#calling = {
      report: this.report,
      correlationId: this.correlationId,
      metadata: metadata ?? continues?.metadata ?? {},
      within: within ?? ((call) => call()),
    };
    if (hooks.pre.length + hooks.post.length > 0) load().catch(() => {});
  }

  /** What the hooks noted so far. */
  get metadata(): JsonObject {
    return this.#calling.metadata;
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
    const asked = {
      ...defined({ prompt, attachments, model: known.model }),
      metadata: this.metadata,
    };
    const hooks = this.#preHooks(phase);
    if (hooks.length === 0) return asked;
    const about = { ...known, at: new Date() };
    const { callPreHooks } = await load();
    return await callPreHooks(this.#calling, hooks, phase, asked, about, this.#signal);
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
   * blocks, except a failing one whose `onError` is `"continue"`. `asked`: a run whose hooks are not asked again.
   */
  async toolPre(
    input: HookToolInput,
    options: { signal?: AbortSignal } = {},
    asked?: HookRun,
  ): Promise<HookVerdict> {
    const facts = { ...this.#facts, ...defined(input), at: new Date() };
    const hooks = this.#preHooks("preToolUse", asked);
    if (hooks.length === 0) return { type: "continue" };
    try {
      const { askToolHooks } = await load();
      return await askToolHooks(this.#calling, hooks, facts, options.signal);
    } catch (error) {
      const [{ name }] = hooks as [PreHook];
      this.#unloaded(name, "preToolUse", error);
      return { type: "block", hookName: name, reason: "the hook could not be asked" };
    }
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

  async #callPost(
    phase: PostHookPhase,
    facts: Omit<CallFacts, "at">,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const hooks = this.#postHooks(phase);
    if (hooks.length === 0) return;
    const about = { ...facts, at: new Date() };
    try {
      const { callPostHooks } = await load();
      await callPostHooks(this.#calling, hooks, phase, about, signal);
    } catch (error) {
      for (const { name } of hooks) this.#unloaded(name, phase, error);
    }
  }

  #unloaded(hookName: string, phase: HookPhase, error: unknown): void {
    this.report.issues.push({ hookName, phase, class: "internal", message: messageOf(error) });
  }

  #preHooks(phase: HookPhase, asked?: HookRun): PreHook[] {
    if (!phase.startsWith("pre")) return [];
    const before = asked === undefined ? [] : asked.#hooks.pre;
    return this.#hooks.pre.filter((hook) => isFor(hook, phase) && !before.includes(hook));
  }

  #postHooks(phase: HookPhase): PostHook[] {
    if (!phase.startsWith("post")) return [];
    return this.#hooks.post.filter((hook) => isFor(hook, phase));
  }
}

let loading: Promise<typeof hookCalls> | null = null;

/** How hooks are called; loaded with the first run that has one. */
function load(): Promise<typeof hookCalls> {
  loading ??= import("./hook_calls.ts");
  loading.catch(() => loading = null);
  return loading;
}

/** How a tool went, by what the server says of it. */
function toolStatus(facts: HookToolFacts): "ok" | "error" {
  if (facts.toolStatus === "failed" || facts.toolStatus === "declined") return "error";
  return facts.exitCode === undefined || facts.exitCode === 0 ? "ok" : "error";
}
