/**
 * Many people's sessions on one client, without HTTP.
 * @module
 */
import {
  checkArgument,
  either,
  nothing,
  pauseMilliseconds,
  type Shape,
  shape,
  signal,
  takeOptions,
  text,
} from "../check/mod.ts";
import { WebError } from "../errors/mod.ts";
import type { RequestPolicy } from "./http/check_request.ts";
import type { LiveSession } from "./live/live_session.ts";
import type { LiveSessions } from "./live/live_sessions.ts";
import type * as serving from "./live/serving.ts";
import type { ToldQuestions } from "./live/session_thread.ts";
import type { SessionSetup } from "./live/session_setup.ts";
import { EventSubscription, Feed } from "./live/subscription.ts";
import type { WebAdapterOptions } from "./options.ts";
import { isEnforced, policyOf, WEB_ADAPTER_OPTIONS } from "./options_shape.ts";
import {
  MemorySessionStore,
  type SessionStore,
  type StoredSession,
} from "./store/session_store.ts";
import type {
  ClosedWebSession,
  CreateSessionRequest,
  CreateTurnRequest,
  SteerRequest,
  WebApproval,
  WebApprovalEvent,
  WebEvent,
  WebSession,
  WebSettings,
  WebSnapshot,
  WebTurnRef,
} from "./types.ts";

/** How a subscription begins and ends. */
export interface SubscribeOptions {
  /** Begin after this cursor, an event's `id` or a snapshot's `cursor`. Default: with the oldest event kept. */
  after?: string | null;
  /** Ends the subscription; it rejects with the signal's reason. */
  signal?: AbortSignal;
}

const SUBSCRIBE_OPTIONS: Shape = shape<SubscribeOptions>({
  after: either(text, nothing),
  signal,
});

const MAX_TENANT_LENGTH = 256;
/** Milliseconds that running turns have when the adapter is drained. */
const DRAIN_MS = 30_000;
const IDLE_MS = 30 * 60_000;

/** What an adapter works with once it is loaded. */
interface Work {
  does: typeof serving;
  store: SessionStore;
  setup: SessionSetup;
  sessions: LiveSessions;
}

/**
 * Sessions of many tenants on one client: who owns what, what a turn may ask for, events that can be followed from any
 * cursor, questions that people answer. {@linkcode createBridge} puts it behind HTTP.
 *
 * Every method names the tenant first and rejects with `WebError`: 404 for what the tenant does not own, 400 for what it
 * may not ask for, 409 for what does not fit the moment, 429 beyond its limits. Failures of codex reject as they are.
 *
 * ```ts
 * import { Client, web } from "@codex/runtime";
 *
 * const client = await Client.connect();
 * const adapter = new web.WebAdapter({ client, cwd: (tenant) => `/srv/workspaces/${tenant}` });
 * const { sessionId } = await adapter.createSession("ann");
 * await adapter.createTurn("ann", sessionId, { text: "Hello" });
 * for await (const event of adapter.subscribeEvents("ann", sessionId)) console.log(event);
 * ```
 */
export class WebAdapter implements AsyncDisposable {
  readonly #options: WebAdapterOptions;
  readonly #policy: RequestPolicy;
  readonly #loading: Promise<Work>;
  #work: Work | null = null;
  /** What was asked for while that was loaded. */
  #asked: "open" | "draining" | "closed" = "open";
  /** The last creation of each tenant, so that its limit is counted one by one. */
  readonly #creating: Map<string, Promise<unknown>> = new Map();
  readonly #streams: Map<string, number> = new Map();

  /** Like {@linkcode close}. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** Creates an adapter on a connected client. Throws `PolicyError` when it can't keep the tenants apart. */
  constructor(options: WebAdapterOptions) {
    this[Symbol.asyncDispose] = () => this.close();
    options = this.#options = takeOptions("WebAdapter", options, WEB_ADAPTER_OPTIONS);
    const enforced = isEnforced(options);
    this.#policy = policyOf(options);
    const store = options.store ?? new MemorySessionStore();
    if ((options.sessionTtlMs ?? Infinity) !== Infinity && store.unusedSince === undefined) {
      throw new WebError(500, "badStore", "sessionTtlMs needs a store with unusedSince().");
    }
    this.#loading = this.#load(store, enforced);
    this.#loading.catch(() => {});
  }

  async #load(given: SessionStore, enforced: boolean): Promise<Work> {
    const { client, cluster, sessionTtlMs = Infinity, ...options } = this.#options;
    const does = await import("./live/serving.ts");
    const store = does.sharedStore(given, cluster?.leaseMs);
    const setup = new does.SessionSetup(this.#options, this.#policy, enforced);
    const onError = (error: unknown) => this.#report(error);
    const sessions = new does.LiveSessions({
      client,
      store,
      setup,
      node: (onLost) =>
        cluster === undefined ? null : new does.ClusterNode(cluster, onLost, onError),
      idleMs: options.idleMs ?? IDLE_MS,
      sessionTtlMs,
      maxLogEvents: options.maxLogEvents ?? 4096,
      maxLogBytes: options.maxLogBytes ?? 4 * 1024 * 1024,
      onError,
    });
    return this.#work = { does, store, setup, sessions };
  }

  /** What tenants may choose. */
  get settings(): WebSettings {
    const { models, efforts, maxTimeoutMs, attachments } = this.#policy;
    const timeoutMs = maxTimeoutMs === Infinity ? null : maxTimeoutMs;
    return { models: [...models], efforts: [...efforts], timeoutMs, attachments };
  }

  /** What this adapter is up to. */
  get state(): "open" | "draining" | "closed" {
    const told = this.#work?.sessions.state ?? "open";
    return told === "open" ? this.#asked : told;
  }

  /** The address of the node that has the session, or `null` when it is this one; without a cluster it always is. */
  async locate(tenant: string, sessionId: string): Promise<string | null> {
    const { sessions } = await this.#enter(tenant);
    return await sessions.locate(tenant, sessionId);
  }

  /** The tenant's session on this thread, or `null`. */
  async sessionOfThread(tenant: string, threadId: string): Promise<string | null> {
    const { store } = await this.#enter(tenant);
    return (await store.findThread(tenant, threadId))?.sessionId ?? null;
  }

  /** Whether the tenant has this session. */
  async hasSession(tenant: string, sessionId: string): Promise<boolean> {
    const { store } = await this.#enter(tenant);
    return (await store.get(sessionId))?.tenant === tenant;
  }

  /**
   * Starts a session on a new thread, or resumes the one on a thread of the tenant's own. `sessionId` names it, by `sess_`
   * and 32 letters, digits, `_` or `-`; a session of the tenant that has this name already is given back. Default: a name
   * that can't be guessed.
   */
  async createSession(
    tenant: string,
    request: CreateSessionRequest = {},
    sessionId?: string,
  ): Promise<WebSession> {
    const work = await this.#enter(tenant);
    work.sessions.assertNew();
    const { model, effort, threadId } = work.does.checkSession(request, this.#policy);
    if (threadId !== null) {
      const known = await work.store.findThread(tenant, threadId);
      if (known === null) throw work.does.notFound("thread");
      return this.resumeSession(tenant, known.sessionId);
    }
    const before = this.#creating.get(tenant) ?? Promise.resolve();
    const mine = before.then(() => this.#create(work, tenant, model, effort, sessionId));
    const settled = mine.catch(() => {});
    this.#creating.set(tenant, settled);
    settled.then(() => {
      if (this.#creating.get(tenant) === settled) this.#creating.delete(tenant);
    });
    return await mine;
  }

  /** The tenant's sessions, newest first. */
  async sessions(tenant: string): Promise<WebSession[]> {
    const { does, sessions, store } = await this.#enter(tenant);
    const stored = await store.list(tenant);
    return stored.map((record) => sessions.get(record.sessionId)?.view() ?? does.viewOf(record));
  }

  /** A session as it stands; follow its events after the snapshot's `cursor`. */
  async readSession(tenant: string, sessionId: string): Promise<WebSnapshot> {
    return (await this.#session(tenant, sessionId)).snapshot();
  }

  /** Resumes a session, such as after a restart. Other calls do that by themselves when they need to. */
  async resumeSession(tenant: string, sessionId: string): Promise<WebSession> {
    const live = await this.#session(tenant, sessionId);
    await live.open();
    return live.view();
  }

  /** Stops the session's turn, archives its thread and forgets it. When that fails, call it again. */
  async closeSession(tenant: string, sessionId: string): Promise<ClosedWebSession> {
    const live = await this.#session(tenant, sessionId, true);
    return await this.#work!.sessions.close(sessionId, live);
  }

  /** Starts a turn; settles when the server has begun it. What happens is in the events. */
  async createTurn(
    tenant: string,
    sessionId: string,
    request: CreateTurnRequest,
  ): Promise<WebTurnRef> {
    const live = await this.#session(tenant, sessionId);
    const { does, sessions, setup } = this.#work!;
    const turn = does.checkTurn(request, this.#policy);
    sessions.assertNew();
    await setup.checkFiles(tenant, turn.prompt);
    const { maxTurns = Infinity } = this.#options;
    if (!live.busy && sessions.running >= maxTurns) {
      throw does.tooMany("tooManyTurns", "Too many turns run on this server. Try again later.");
    }
    try {
      return { turnId: await live.startTurn(turn) };
    } catch (error) {
      // What is known here is old: the next call reads it anew.
      if (error instanceof WebError && error.reason === "sessionMoved") {
        if (sessions.get(sessionId) === live) sessions.lost(sessionId);
      }
      throw error;
    }
  }

  /** Adds to what the running turn has been asked. */
  async steerTurn(
    tenant: string,
    sessionId: string,
    turnId: string,
    request: SteerRequest,
  ): Promise<WebTurnRef> {
    const live = await this.#session(tenant, sessionId);
    const { does, setup } = this.#work!;
    const input = does.checkSteer(request, this.#policy);
    await setup.checkFiles(tenant, input);
    await live.steer(turnId, input);
    return { turnId };
  }

  /** Stops the running turn; settles when it has stopped. */
  async interruptTurn(tenant: string, sessionId: string, turnId: string): Promise<WebTurnRef> {
    await (await this.#session(tenant, sessionId)).interrupt(turnId);
    return { turnId };
  }

  /**
   * Everything that happens in a session, at the reader's own pace: nothing is lost silently. Events that are kept are
   * replayed from the cursor on; a `lagged` event stands for those that are gone. Ends when the session is closed.
   */
  subscribeEvents(
    tenant: string,
    sessionId: string,
    options: SubscribeOptions = {},
  ): AsyncIterableIterator<WebEvent> {
    const { after = null, signal } = takeOptions("subscribeEvents", options, SUBSCRIBE_OPTIONS);
    return new Feed<WebEvent>({
      open: async () => ({
        subscription: await this.openEvents(tenant, sessionId, after),
        first: [],
      }),
      pick: (event) => event,
      signal,
    });
  }

  /**
   * The questions of a session: those that wait, then each new one and each answer. With `after`, what happened since that
   * cursor instead of what waits.
   */
  subscribeApprovals(
    tenant: string,
    sessionId: string,
    options: SubscribeOptions = {},
  ): AsyncIterableIterator<WebApprovalEvent> {
    const { after = null, signal } = takeOptions("subscribeApprovals", options, SUBSCRIBE_OPTIONS);
    let told: ToldQuestions;
    const first: WebApprovalEvent[] = [];
    let live: LiveSession;
    return new Feed<WebApprovalEvent>({
      open: async () => {
        live = await this.#session(tenant, sessionId);
        told = new this.#work!.does.ToldQuestions();
        if (after === null) first.push(...live.missed(told));
        const subscription = await this.openEvents(tenant, sessionId, after ?? live.log.cursor);
        return { subscription, first };
      },
      pick: ({ event }) => {
        // Which events are gone can't be told; which questions wait, and how those that were told have ended, can.
        if (event.type === "lagged") first.push(...live.missed(told));
        return told.take(event);
      },
      signal,
    });
  }

  /** Opens a subscription that must be closed. Without `after` it begins with what happens next, with `null` with the oldest event kept. */
  async openEvents(
    tenant: string,
    sessionId: string,
    after?: string | null,
  ): Promise<EventSubscription> {
    const live = await this.#session(tenant, sessionId);
    const open = this.#streams.get(tenant) ?? 0;
    const limit = this.#options.maxStreamsPerTenant ?? 32;
    if (open >= limit) {
      throw this.#work!.does.tooMany(
        "tooManyStreams",
        `No more than ${limit} streams at once. Close one first.`,
      );
    }
    this.#streams.set(tenant, open + 1);
    live.subscribers++;
    return new EventSubscription(live.log, after === undefined ? live.log.cursor : after, () => {
      live.subscribers--;
      live.touch();
      const left = (this.#streams.get(tenant) ?? 1) - 1;
      if (left > 0) this.#streams.set(tenant, left);
      else this.#streams.delete(tenant);
    });
  }

  /** The questions of a session that wait for an answer. */
  async approvals(tenant: string, sessionId: string): Promise<WebApproval[]> {
    return (await this.#session(tenant, sessionId)).approvals();
  }

  /** Answers a question. The answer can't reach beyond the session. */
  async postApproval(
    tenant: string,
    sessionId: string,
    approvalId: string,
    answer: unknown,
  ): Promise<void> {
    const live = await this.#session(tenant, sessionId);
    live.answer(approvalId, this.#work!.does.checkAnswer(answer));
  }

  /**
   * Takes no new sessions and turns, waits so long for the running ones and stops those that are left; then releases
   * every session. Idempotent; another adapter on the same store can resume them.
   */
  async drain(ms: number = this.#options.cluster?.drainMs ?? DRAIN_MS): Promise<void> {
    checkArgument("drain", "ms", ms, pauseMilliseconds);
    if (this.#asked === "open") this.#asked = "draining";
    const { sessions } = await this.#loading;
    return await sessions.drain(ms, () => this.#creating.values());
  }

  /** Stops every turn and releases every session; another adapter on the same store can resume them. Idempotent. */
  async close(): Promise<void> {
    this.#asked = "closed";
    const { sessions } = await this.#loading;
    await sessions.end(() => this.#creating.values());
  }

  #report(error: unknown): void {
    try {
      const told: unknown = (this.#options.onError ?? console.error)(error);
      if (told instanceof Promise) told.catch(() => {});
    } catch {
      // A listener that throws, or rejects, must not cost anybody an answer, nor end the script.
    }
  }

  async #enter(tenant: string): Promise<Work> {
    const work = this.#work ?? await this.#loading;
    work.sessions.enter();
    if (typeof tenant === "string" && tenant !== "" && tenant.length <= MAX_TENANT_LENGTH) {
      return work;
    }
    throw new WebError(
      401,
      "unauthorized",
      `A tenant is named by 1 to ${MAX_TENANT_LENGTH} characters.`,
    );
  }

  async #session(tenant: string, sessionId: string, toClose = false): Promise<LiveSession> {
    const { does, sessions } = await this.#enter(tenant);
    if (typeof sessionId !== "string") throw does.notFound("session");
    return await sessions.load(tenant, sessionId, toClose);
  }

  async #create(
    { does, sessions, setup, store }: Work,
    tenant: string,
    model: string | null,
    effort: string | null,
    sessionId: string = does.sessionId(),
  ): Promise<WebSession> {
    if (!does.isSessionId(sessionId)) {
      throw does.badRequest("A session is named by sess_ and 32 letters, digits, _ or -.");
    }
    const known = await store.get(sessionId);
    if (known !== null) {
      if (known.tenant !== tenant) throw does.notFound("session");
      return does.viewOf(known);
    }
    const limit = this.#options.maxSessionsPerTenant ?? 16;
    if ((await store.list(tenant)).length >= limit) {
      throw does.tooMany("tooManySessions", `No more than ${limit} sessions. Close one first.`);
    }
    if (this.state === "closed") throw does.closedError();
    const config = await setup.config({ tenant, model, effort });
    const thread = await this.#options.client.startSession(config);
    const record: StoredSession = {
      sessionId,
      tenant,
      threadId: thread.threadId,
      title: null,
      createdAt: new Date(),
      model,
      effort,
      used: false,
      usedAt: new Date(),
      revision: 1,
    };
    try {
      return (await sessions.add(record, thread)).view();
    } catch (error) {
      // A thread that nobody owns must not stay behind.
      thread.close().catch(() => {});
      throw error;
    }
  }
}
