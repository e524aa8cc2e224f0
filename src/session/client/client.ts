/**
 * One codex, many sessions.
 * @module
 */
import type { ApprovalDecision, PendingApproval } from "../../approvals/mod.ts";
import {
  checkArgument,
  checkOptions,
  type Kind,
  name as nonEmpty,
  refuseNew,
  required,
  takeArgument,
  takeOptions,
} from "../../check/mod.ts";
import { abortable } from "../../async.ts";
import { RpcError, UnsupportedError } from "../../errors/mod.ts";
import { defined } from "../../json.ts";
import { mergeHooks } from "../../plugin/validate.ts";
import { CLIENT_CONFIG } from "../../runtime/config_shape.ts";
import type { ClientConfig, RuntimeCore, ServerInfo } from "../../runtime/mod.ts";
import { Runtime } from "../../runtime/runtime.ts";
import type { Login, LoginOptions, LoginRequest } from "./login.ts";
import { prewarm, takePrewarmed } from "./prewarm.ts";
import type { RunOptions, RunProfile, SessionConfig, WaitOptions } from "../profile.ts";
import {
  checkOpening,
  FORK_SESSION_CONFIG,
  ITEMS_OPTIONS,
  READ_THREAD_OPTIONS,
  RESUME_CONFIG,
  RUN_OPTIONS,
  RUN_PROFILE,
  SEARCH_OPTIONS,
  THREAD_FILTER,
  threadIdKind,
  TURNS_OPTIONS,
  WAIT_OPTIONS,
  wordsKind,
} from "../profile_shape.ts";
import { runPromptKind } from "../../prompt.ts";
import { makeSession, type Session } from "../session.ts";
import type { ItemsOptions, TurnItem, TurnsOptions } from "../history/pages.ts";
import type { SearchOptions, TextHit, ThreadHit } from "../history/search.ts";
import type { ForkPoint } from "../thread/fork_point.ts";
import type { InferOutput, StandardSchemaV1 } from "../output/standard_schema.ts";
import type {
  Account,
  Model,
  RateLimits,
  ReadThreadOptions,
  ThreadFilter,
  ThreadSnapshot,
  ThreadSummary,
  TurnSnapshot,
} from "./threads.ts";
import type { PromptRunResult, UsageCount } from "../turn/turn_result.ts";
import type { UsageLedger } from "../turn/turn_usage.ts";
import type * as internals from "../internals.ts";
import type { SessionOpener } from "./open_session.ts";

/** What is checked where it is loaded. */
const UNCHECKED: Kind = { accepts: () => "", takes: () => true, misfit: () => null };

/** The questions of the server that wait for an answer. */
export interface PendingApprovals {
  /** The questions that wait now. */
  pending(): PendingApproval[];
  /** Answers a question that a handler left open with `defer`; `false` when it no longer waits. */
  answer(id: string, decision: ApprovalDecision): boolean;
}

/**
 * One codex process, or one connection to a running one, for any number of sessions.
 *
 * ```ts ignore
 * const client = await Client.connect();
 * const session = await client.startSession({ cwd: "/srv/app" });
 * console.log((await session.ask("What is this?")).assistantText);
 * await session.close();
 * await client.shutdown();
 * ```
 */
export class Client implements AsyncDisposable {
  /** The connection, for raw requests, events, state and metrics. */
  readonly runtime: Runtime;
  /** The questions of the server that wait for an answer. */
  readonly approvals: PendingApprovals;
  readonly #core: RuntimeCore;
  readonly #opener: SessionOpener<Session>;
  readonly #ledger: UsageLedger;
  readonly #internals: typeof internals;

  private constructor(runtime: Runtime, config: ClientConfig, loaded: typeof internals) {
    if (loaded === undefined) refuseNew("Client.connect");
    this.runtime = runtime;
    this.#internals = loaded;
    this.#core = loaded.coreOf(runtime);
    this.#ledger = new loaded.UsageLedger();
    this.#opener = new loaded.SessionOpener(
      this.#core,
      config,
      this.#ledger,
      (parts) => makeSession(parts, loaded),
      checkOpening,
    );
    const { approvals } = this.#core;
    this.approvals = {
      pending: () => approvals.pending(),
      answer: (id, decision) => approvals.answer(id, decision),
    };
  }

  /** Starts codex, or takes one that was prewarmed with the same configuration. Rejects like `Runtime.spawn`. */
  static async connect(config: ClientConfig & { signal?: AbortSignal } = {}): Promise<Client> {
    const given = takeOptions("Client.connect", config, CLIENT_CONFIG);
    given.signal?.throwIfAborted();
    // Hooks that can't work together are told before anything is started.
    mergeHooks(given.hooks);
    const starting = takePrewarmed(given).then((warm) => warm ?? Runtime.spawn(given));
    // While codex starts.
    const loading = import("../internals.ts");
    return new Client(await starting, given, await loading);
  }

  /**
   * Starts a codex ahead of time, so that the next {@linkcode connect} with the same configuration gets it at once. It is
   * ended when nobody takes it for a minute, and does not keep the script alive.
   */
  static async prewarm(config: ClientConfig = {}): Promise<void> {
    const given = takeOptions("Client.prewarm", config, CLIENT_CONFIG);
    await Promise.all([prewarm(given, Runtime.spawn), import("../internals.ts")]);
  }

  /** What the server said of itself. */
  get server(): ServerInfo {
    return this.runtime.server;
  }

  /** The tokens of all turns of all sessions so far, and of the agents that their agents started. */
  get usage(): UsageCount {
    return this.#ledger.total;
  }

  /**
   * Starts a session on a new thread.
   *
   * Rejects with `InvalidArgumentError`, `PolicyError`, `PermissionDeniedError` or `UnsupportedError` before anything is sent,
   * with `HookBlockedError` when a hook says no, with `RpcError` when the server refuses, and with `PolicyMismatchError` when it
   * confirms more than was asked.
   */
  startSession(config: SessionConfig): Promise<Session> {
    return this.#opener.open({ method: "thread/start" }, config);
  }

  /**
   * Goes on with a thread, where it worked unless `config` has another `cwd`. Its history stays on the server. Rejects with
   * `RpcError` when there is no such thread, and with `ThreadInUseError` while another session of this client, or another
   * process, has it open.
   */
  async resumeSession(threadId: string, config: Partial<SessionConfig> = {}): Promise<Session> {
    checkArgument("resumeSession", "threadId", threadId, threadIdKind);
    const given = takeOptions("resumeSession", config, RESUME_CONFIG);
    const { store, signal } = given;
    signal?.throwIfAborted();
    await this.#core.ready(signal);
    const { makePortable, takeUp } = this.#internals;
    const portable = store === undefined
      ? undefined
      : await makePortable(this.#core, store, "resumeSession", threadId);
    // A file that a session's codex writes to by now must not be replaced.
    const put = async () => await portable?.materialise(threadId);
    await abortable(takeUp(this.#opener.threads, threadId, signal, put), signal);
    if (store === undefined) await this.#assertKept("resumeSession", threadId, signal);
    const cwd = given.cwd ??
      (await this.#internals.readThread(this.#core, threadId, defined({ signal }))).cwd;
    const opening = { method: "thread/resume", threadId, ...defined({ portable }) } as const;
    return await this.#opener.open(opening, { ...given, cwd });
  }

  /** A hermetic codex has the threads of its own run only. */
  async #assertKept(feature: string, threadId: string, signal?: AbortSignal): Promise<void> {
    if (this.#core.config.isolation !== "hermetic") return;
    try {
      await this.#internals.readThread(this.#core, threadId, defined({ signal }));
    } catch (cause) {
      if (!(cause instanceof RpcError)) throw cause;
      const what = `${feature} of a thread that an earlier run or another client had, with ` +
        '`isolation: "hermetic"` and no `store` to carry it in';
      throw new UnsupportedError(what, null, this.#core.server.version, { cause });
    }
  }

  /**
   * Starts a session on a copy of a thread. `after` names the last turn that the copy has, `before` the first one that it
   * has not; without them it has all.
   */
  async forkSession(threadId: string, config: SessionConfig & ForkPoint): Promise<Session> {
    checkArgument("forkSession", "threadId", threadId, threadIdKind);
    const { after, before, ...rest } = takeOptions("forkSession", config, FORK_SESSION_CONFIG);
    await this.#assertKept("forkSession", threadId, rest.signal);
    const at = defined({ after, before });
    return await this.#opener.open({ method: "thread/fork", threadId, at }, rest);
  }

  /** Asks once, on a fresh thread that leaves nothing in the history. */
  async run<Schema extends object = StandardSchemaV1>(
    cwd: string,
    prompt: string,
    options: RunOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    const asked = takeArgument("run", "prompt", prompt, runPromptKind);
    const given = takeOptions("run", options, RUN_OPTIONS);
    return await this.#internals.runOnce(this.#opener, cwd, asked, given);
  }

  /** Asks once with a profile; options win over it, attachments and hooks are added. */
  async runWithProfile<Schema extends object = StandardSchemaV1>(
    cwd: string,
    prompt: string,
    profile: RunProfile,
    options: RunOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    const base = takeOptions("runWithProfile", profile, RUN_PROFILE, true);
    const given = takeOptions("runWithProfile", options, RUN_OPTIONS);
    return await this.run<Schema>(cwd, prompt, this.#internals.layerProfile(base, given));
  }

  /** The threads that codex keeps, of other clients and `codex exec` too, newest first; fetched page by page as you iterate. */
  threads(filter: ThreadFilter = {}): AsyncIterable<ThreadSummary> {
    const given = takeOptions("threads", filter, THREAD_FILTER);
    return this.#internals.endable(async (signal) => {
      const { listThreads } = await import("../history/pages.ts");
      return listThreads(this.#core, { ...given, signal });
    }, given.signal);
  }

  /**
   * Looks for a text in what was said on all threads that are not archived, upper and lower case alike; fetched as you iterate.
   * Codex from 0.145 on searches by itself, in what it told the model as well, and line by line; with older ones every thread
   * is read. One that can't be is passed over, and the iteration rejects with the reason after the others.
   *
   * ```ts ignore
   * for await (const { thread, snippet } of client.searchThreads("login", { limit: 10 })) console.log(thread.threadId, snippet);
   * ```
   */
  searchThreads(text: string, options: SearchOptions = {}): AsyncIterable<ThreadHit> {
    checkArgument("searchThreads", "text", text, required(wordsKind));
    const given = takeOptions("searchThreads", options, SEARCH_OPTIONS);
    return this.#internals.endable(async (signal) => {
      const { searchThreads } = await import("../history/search.ts");
      return searchThreads(this.#core, text, given, signal);
    }, given.signal);
  }

  /**
   * Where on a thread a text was said, oldest first. Codex 0.169 leaves out what the agent said on the way to its answers.
   *
   * ```ts ignore
   * for await (const { turnId, snippet } of client.findInThread(threadId, "login")) console.log(turnId, snippet);
   * ```
   */
  findInThread(threadId: string, text: string, options: WaitOptions = {}): AsyncIterable<TextHit> {
    checkArgument("findInThread", "threadId", threadId, threadIdKind);
    checkArgument("findInThread", "text", text, required(wordsKind));
    checkOptions("findInThread", options, WAIT_OPTIONS);
    return this.#internals.endable(async (signal) => {
      const { findInThread } = await import("../history/search.ts");
      return findInThread(this.#core, threadId, text, signal);
    }, options.signal);
  }

  /**
   * The turns of a thread with their items, fetched page by page as you iterate: no message holds a whole history. Codex before
   * 0.125 can only send all of it at once; a thread of more than 16 MiB is refused there with `UnsupportedError`.
   *
   * ```ts ignore
   * for await (const turn of client.turns(threadId, { newestFirst: true })) console.log(turn.turnId, turn.status);
   * ```
   */
  turns(threadId: string, options: TurnsOptions = {}): AsyncIterable<TurnSnapshot> {
    checkArgument("turns", "threadId", threadId, threadIdKind);
    const given = takeOptions("turns", options, TURNS_OPTIONS);
    return this.#internals.endable(async (signal) => {
      const { turnsOf } = await import("../history/pages.ts");
      return turnsOf(this.#core, threadId, given, signal);
    }, given.signal);
  }

  /** The items of a thread, or of one of its turns, in order; fetched like {@linkcode turns}. */
  items(threadId: string, options: ItemsOptions = {}): AsyncIterable<TurnItem> {
    checkArgument("items", "threadId", threadId, threadIdKind);
    const given = takeOptions("items", options, ITEMS_OPTIONS);
    return this.#internals.endable(async (signal) => {
      const { itemsOf } = await import("../history/pages.ts");
      return itemsOf(this.#core, threadId, given, signal);
    }, given.signal);
  }

  /** Reads a thread, with its turns if asked. Rejects with `RpcError` when there is no such thread. */
  async readThread(
    threadId: string,
    options: ReadThreadOptions = {},
  ): Promise<ThreadSnapshot> {
    checkArgument("readThread", "threadId", threadId, threadIdKind);
    checkOptions("readThread", options, READ_THREAD_OPTIONS);
    return await this.#internals.readThread(this.#core, threadId, options);
  }

  /**
   * Takes a thread out of the history. A session of this client that has it open can ask nothing more; while another process has
   * it open, codex 0.169 refuses: `ThreadInUseError`.
   */
  async archiveThread(threadId: string, options: WaitOptions = {}): Promise<void> {
    checkArgument("archiveThread", "threadId", threadId, threadIdKind);
    checkOptions("archiveThread", options, WAIT_OPTIONS);
    await this.#internals.callOnReleased(this.#core, "thread/archive", { threadId }, options);
  }

  /** Puts a thread back into the history. */
  async unarchiveThread(threadId: string, options: WaitOptions = {}): Promise<void> {
    checkArgument("unarchiveThread", "threadId", threadId, threadIdKind);
    checkOptions("unarchiveThread", options, WAIT_OPTIONS);
    await this.#core.call("thread/unarchive", { threadId }, options);
  }

  /** Names a thread in the history, whether a session has it open or not. Codex before 0.125 keeps the name and does not tell it. */
  async renameThread(threadId: string, name: string, options: WaitOptions = {}): Promise<void> {
    checkArgument("renameThread", "threadId", threadId, threadIdKind);
    checkArgument("renameThread", "name", name, required(nonEmpty));
    checkOptions("renameThread", options, WAIT_OPTIONS);
    await this.#internals.callOnReleased(
      this.#core,
      "thread/name/set",
      { threadId, name },
      options,
    );
  }

  /**
   * Deletes a thread and its file for good. Rejects with `UnsupportedError` before codex 0.145 (archive it there), and with
   * `ThreadInUseError` while a session of this client or another process has it open.
   */
  async deleteThread(threadId: string, options: WaitOptions = {}): Promise<void> {
    checkArgument("deleteThread", "threadId", threadId, threadIdKind);
    checkOptions("deleteThread", options, WAIT_OPTIONS);
    this.#internals.assertSupported(this.#core, "deleteThread", "deleteThread");
    this.#internals.assertNotOpen(this.#opener.threads, threadId);
    await this.#internals.callOnReleased(this.#core, "thread/delete", { threadId }, options);
  }

  /** The models that codex can use. */
  async models(options: WaitOptions = {}): Promise<Model[]> {
    checkOptions("models", options, WAIT_OPTIONS);
    return await this.#internals.listModels(this.#core, options);
  }

  /** The account that codex uses, or `null` when nobody is logged in. */
  async account(options: WaitOptions = {}): Promise<Account | null> {
    checkOptions("account", options, WAIT_OPTIONS);
    return await this.#internals.readAccount(this.#core, options);
  }

  /**
   * Begins a login, which codex stores for the user. Settles when there is something to show; `done` tells the end.
   * A script with scoped permissions needs those to write in CODEX_HOME and to use the network. Rejects with `RpcError`
   * where codex refuses it, and with `UnsupportedError` for `deviceCode` before 0.125.
   *
   * ```ts ignore
   * const login = await client.login({ type: "deviceCode" });
   * console.log(`Open ${login.verificationUrl} and type ${login.userCode}`);
   * console.log((await login.done).email);
   * ```
   */
  async login(request: LoginRequest, options: LoginOptions = {}): Promise<Login> {
    // Few programs log in: the others need not load how.
    const asked = takeArgument("login", "request", request, UNCHECKED);
    const given = takeArgument("login", "options", options, UNCHECKED);
    const { login } = await import("./login.ts");
    return await login(this.runtime, this.#core, asked, given);
  }

  /** Ends the login: the stored one of the user, or the one that `apiKey` gave to this process alone. */
  async logout(options: WaitOptions = {}): Promise<void> {
    const { logout } = await import("./login.ts");
    await logout(this.runtime, this.#core, options);
  }

  /** The account's rate limits. Rejects with `RpcError` when nobody is logged in. */
  async rateLimits(options: WaitOptions = {}): Promise<RateLimits> {
    checkOptions("rateLimits", options, WAIT_OPTIONS);
    return await this.#internals.readRateLimits(this.#core, options);
  }

  /**
   * Settles every running turn, ends codex if it is ours, and waits until it is gone. Idempotent. A script that never calls it
   * ends when nothing is pending, and its codex with it; one that is attached to a running server does not end.
   */
  async shutdown(): Promise<void> {
    await this.runtime.shutdown();
    await this.#opener.toolsGone();
  }

  /** Like {@linkcode shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }
}
