/**
 * Many people's sessions on one client, without HTTP.
 * @module
 */
import {
  checkArgument,
  checkOptions,
  either,
  nothing,
  pauseMilliseconds,
  type Shape,
  shape,
  signal,
  text,
} from "../check/mod.ts";
import { WebError } from "../errors/mod.ts";
import { ClusterNode, sharedStore } from "./cluster/node.ts";
import {
  checkAnswer,
  checkSession,
  checkSteer,
  checkTurn,
  isForPeople,
} from "./http/check_request.ts";
import {
  closedError,
  isSessionId,
  notFound,
  sessionId as newSessionId,
  tooMany,
} from "./http/refusals.ts";
import type { LiveSession } from "./live/live_session.ts";
import { LiveSessions } from "./live/live_sessions.ts";
import { SessionSetup } from "./live/session_setup.ts";
import { EventSubscription, Feed } from "./live/subscription.ts";
import type { WebAdapterOptions } from "./options.ts";
import { WEB_ADAPTER_OPTIONS } from "./options_shape.ts";
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
  readonly #store: SessionStore;
  readonly #setup: SessionSetup;
  readonly #sessions: LiveSessions;
  /** The last creation of each tenant, so that its limit is counted one by one. */
  readonly #creating: Map<string, Promise<unknown>> = new Map();
  readonly #streams: Map<string, number> = new Map();

  /** Like {@linkcode close}. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** Creates an adapter on a connected client. Throws `PolicyError` when it can't keep the tenants apart. */
  constructor(options: WebAdapterOptions) {
    checkOptions("WebAdapter", options, WEB_ADAPTER_OPTIONS);
    this[Symbol.asyncDispose] = () => this.close();
    const { client, cluster, sessionTtlMs = Infinity } = options;
    this.#options = options;
    this.#setup = new SessionSetup(options);
    const store = options.store ?? new MemorySessionStore();
    this.#store = cluster === undefined ? store : sharedStore(store, cluster.leaseMs);
    if (sessionTtlMs !== Infinity && this.#store.unusedSince === undefined) {
      throw new WebError(500, "badStore", "sessionTtlMs needs a store with unusedSince().");
    }
    const onError = (error: unknown) => this.#report(error);
    this.#sessions = new LiveSessions({
      client,
      store: this.#store,
      setup: this.#setup,
      node: (onLost) => cluster === undefined ? null : new ClusterNode(cluster, onLost, onError),
      idleMs: options.idleMs ?? IDLE_MS,
      sessionTtlMs,
      maxLogEvents: options.maxLogEvents ?? 4096,
      maxLogBytes: options.maxLogBytes ?? 4 * 1024 * 1024,
      onError,
    });
  }

  /** What tenants may choose. */
  get settings(): WebSettings {
    return this.#setup.settings;
  }

  /** What this adapter is up to. */
  get state(): "open" | "draining" | "closed" {
    return this.#sessions.state;
  }

  /** The address of the node that has the session, or `null` when it is this one; without a cluster it always is. */
  async locate(tenant: string, sessionId: string): Promise<string | null> {
    this.#enter(tenant);
    return await this.#sessions.locate(tenant, sessionId);
  }

  /** The tenant's session on this thread, or `null`. */
  async sessionOfThread(tenant: string, threadId: string): Promise<string | null> {
    this.#enter(tenant);
    return (await this.#store.findThread(tenant, threadId))?.sessionId ?? null;
  }

  /** Whether the tenant has this session. */
  async hasSession(tenant: string, sessionId: string): Promise<boolean> {
    this.#enter(tenant);
    return (await this.#store.get(sessionId))?.tenant === tenant;
  }

  /**
   * Starts a session on a new thread, or resumes the one on a thread of the tenant's own. `sessionId` names it; a session of
   * the tenant that has this name already is given back. Default: a name that can't be guessed.
   */
  async createSession(
    tenant: string,
    request: CreateSessionRequest = {},
    sessionId?: string,
  ): Promise<WebSession> {
    this.#enter(tenant);
    this.#sessions.assertNew();
    const { model, effort, threadId } = checkSession(request, this.#setup.policy);
    if (threadId !== null) {
      const known = await this.#store.findThread(tenant, threadId);
      if (known === null) throw notFound("thread");
      return this.resumeSession(tenant, known.sessionId);
    }
    const before = this.#creating.get(tenant) ?? Promise.resolve();
    const mine = before.then(() => this.#create(tenant, model, effort, sessionId));
    const settled = mine.catch(() => {});
    this.#creating.set(tenant, settled);
    settled.then(() => {
      if (this.#creating.get(tenant) === settled) this.#creating.delete(tenant);
    });
    return await mine;
  }

  /** The tenant's sessions, newest first. */
  async sessions(tenant: string): Promise<WebSession[]> {
    this.#enter(tenant);
    const stored = await this.#store.list(tenant);
    return stored.map((record) => this.#sessions.get(record.sessionId)?.view() ?? viewOf(record));
  }

  /** A session as it stands; follow its events after the snapshot's `cursor`. */
  async readSession(tenant: string, sessionId: string): Promise<WebSnapshot> {
    return (await this.#load(tenant, sessionId)).snapshot();
  }

  /** Takes a session up again, such as after a restart. Other calls do that by themselves when they need to. */
  async resumeSession(tenant: string, sessionId: string): Promise<WebSession> {
    const live = await this.#load(tenant, sessionId);
    await live.open();
    return live.view();
  }

  /** Stops the session's turn, archives its thread and forgets it. When that fails, call it again. */
  async closeSession(tenant: string, sessionId: string): Promise<ClosedWebSession> {
    const live = await this.#load(tenant, sessionId, true);
    return await this.#sessions.close(sessionId, live);
  }

  /** Starts a turn; settles when the server has begun it. What happens is in the events. */
  async createTurn(
    tenant: string,
    sessionId: string,
    request: CreateTurnRequest,
  ): Promise<WebTurnRef> {
    const live = await this.#load(tenant, sessionId);
    const turn = checkTurn(request, this.#setup.policy);
    this.#sessions.assertNew();
    await this.#setup.checkFiles(tenant, turn.prompt);
    const { maxTurns = Infinity } = this.#options;
    if (!live.busy && this.#sessions.running >= maxTurns) {
      throw tooMany("tooManyTurns", "Too many turns run on this server. Try again later.");
    }
    try {
      return { turnId: await live.startTurn(turn) };
    } catch (error) {
      // What is known here is old: the next call reads it anew.
      if (error instanceof WebError && error.reason === "sessionMoved") {
        this.#sessions.lost(sessionId);
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
    const live = await this.#load(tenant, sessionId);
    const input = checkSteer(request, this.#setup.policy);
    await this.#setup.checkFiles(tenant, input);
    await live.steer(turnId, input);
    return { turnId };
  }

  /** Stops the running turn; settles when it has stopped. */
  async interruptTurn(tenant: string, sessionId: string, turnId: string): Promise<WebTurnRef> {
    await (await this.#load(tenant, sessionId)).interrupt(turnId);
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
    checkOptions("subscribeEvents", options, SUBSCRIBE_OPTIONS);
    return new Feed<WebEvent>({
      open: async () => ({
        subscription: await this.openEvents(tenant, sessionId, options.after ?? null),
        first: [],
      }),
      pick: (event) => event,
      signal: options.signal,
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
    checkOptions("subscribeApprovals", options, SUBSCRIBE_OPTIONS);
    const told = new Set<string>();
    return new Feed<WebApprovalEvent>({
      open: async () => {
        const live = await this.#load(tenant, sessionId);
        const { threadId } = live;
        const waiting = options.after === undefined ? live.approvals() : [];
        const after = options.after ?? live.log.cursor;
        const first = waiting.map(({ request }): WebApprovalEvent => {
          told.add(request.id);
          return { type: "approvalRequested", threadId, turnId: request.turnId ?? "", request };
        });
        return { subscription: await this.openEvents(tenant, sessionId, after), first };
      },
      pick: ({ event }) => {
        if (event.type === "approvalResolved") return event;
        if (event.type !== "approvalRequested" || told.has(event.request.id)) return null;
        return isForPeople(event.request) ? event : null;
      },
      signal: options.signal,
    });
  }

  /** Opens a subscription that must be closed. */
  async openEvents(
    tenant: string,
    sessionId: string,
    after: string | null,
  ): Promise<EventSubscription> {
    const live = await this.#load(tenant, sessionId);
    const open = this.#streams.get(tenant) ?? 0;
    const limit = this.#options.maxStreamsPerTenant ?? 32;
    if (open >= limit) {
      throw tooMany("tooManyStreams", `No more than ${limit} streams at once. Close one first.`);
    }
    this.#streams.set(tenant, open + 1);
    live.subscribers++;
    return new EventSubscription(live.log, after, () => {
      live.subscribers--;
      live.usedAt = Date.now();
      const left = (this.#streams.get(tenant) ?? 1) - 1;
      if (left > 0) this.#streams.set(tenant, left);
      else this.#streams.delete(tenant);
    });
  }

  /** The questions of a session that wait for an answer. */
  async approvals(tenant: string, sessionId: string): Promise<WebApproval[]> {
    return (await this.#load(tenant, sessionId)).approvals();
  }

  /** Answers a question. The answer can't reach beyond the session. */
  async postApproval(
    tenant: string,
    sessionId: string,
    approvalId: string,
    answer: unknown,
  ): Promise<void> {
    const live = await this.#load(tenant, sessionId);
    live.answer(approvalId, checkAnswer(answer));
  }

  /**
   * Takes no new sessions and turns, waits so long for the running ones and stops those that are left; then releases
   * every session. Idempotent; another adapter on the same store can take them up.
   */
  async drain(ms: number = this.#options.cluster?.drainMs ?? DRAIN_MS): Promise<void> {
    checkArgument("drain", "ms", ms, pauseMilliseconds);
    return await this.#sessions.drain(ms, () => this.#creating.values());
  }

  /** Stops every turn and releases every session; another adapter on the same store can take them up. Idempotent. */
  close(): Promise<void> {
    return this.#sessions.end(() => this.#creating.values());
  }

  #report(error: unknown): void {
    try {
      (this.#options.onError ?? console.error)(error);
    } catch {
      // A listener that throws must not cost anybody an answer.
    }
  }

  #enter(tenant: string): void {
    this.#sessions.enter();
    if (typeof tenant === "string" && tenant !== "" && tenant.length <= MAX_TENANT_LENGTH) return;
    throw new WebError(
      401,
      "unauthorized",
      `A tenant is named by 1 to ${MAX_TENANT_LENGTH} characters.`,
    );
  }

  async #load(tenant: string, sessionId: string, toClose = false): Promise<LiveSession> {
    this.#enter(tenant);
    if (typeof sessionId !== "string") throw notFound("session");
    return await this.#sessions.load(tenant, sessionId, toClose);
  }

  async #create(
    tenant: string,
    model: string | null,
    effort: string | null,
    sessionId: string = newSessionId(),
  ): Promise<WebSession> {
    if (!isSessionId(sessionId)) throw notFound("session");
    const known = await this.#store.get(sessionId);
    if (known !== null) {
      if (known.tenant !== tenant) throw notFound("session");
      return viewOf(known);
    }
    const limit = this.#options.maxSessionsPerTenant ?? 16;
    if ((await this.#store.list(tenant)).length >= limit) {
      throw tooMany("tooManySessions", `No more than ${limit} sessions. Close one first.`);
    }
    if (this.state === "closed") throw closedError();
    const config = await this.#setup.config({ tenant, model, effort });
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
      return (await this.#sessions.add(record, thread)).view();
    } catch (error) {
      // A thread that nobody owns must not stay behind.
      thread.close().catch(() => {});
      throw error;
    }
  }
}

function viewOf(record: StoredSession): WebSession {
  const { sessionId, threadId, title, createdAt, model, effort } = record;
  return { sessionId, threadId, title, createdAt, model, effort, runningTurnId: null };
}
