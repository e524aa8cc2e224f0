/**
 * Many people's sessions on one client, without HTTP.
 * @module
 */
import { checkOptions } from "../check/mod.ts";
import type { ApprovalHandler } from "../approvals/mod.ts";
import { within } from "../async.ts";
import { PolicyError, RpcError, WebError } from "../errors/mod.ts";
import { normalizeSandbox, realPathOf, workspaceReadsRefusal } from "../permissions/mod.ts";
import { isInside, resolvePath, unrefTimer } from "../platform/mod.ts";
import { isRefusal } from "../protocol/mod.ts";
import { DEFAULT_TIMEOUT_MS, type SessionConfig, type TurnSnapshot } from "../session/mod.ts";
import type { Attachment, PromptWithAttachments } from "../prompt.ts";
import { isSessionId, sessionId as newSessionId } from "./ids.ts";
import {
  badRequest,
  changedElsewhere,
  closedError,
  drainingError,
  notFound,
  tooMany,
} from "./http/refusals.ts";
import { checkAnswer, isForPeople } from "./http/check_answer.ts";
import { checkSession, checkSteer, checkTurn, type RequestPolicy } from "./http/check_request.ts";
import type { WebThread } from "./client.ts";
import { ClusterNode, sharedStore } from "./cluster/node.ts";
import { LiveSession } from "./live/live_session.ts";
import type { Restored } from "./live/tail_pump.ts";
import { Workspaces } from "./live/workspaces.ts";
import type { WebAdapterOptions } from "./options.ts";
import { WEB_ADAPTER_OPTIONS } from "./options_shape.ts";
import {
  MemorySessionStore,
  type SessionStore,
  type StoredSession,
} from "./store/session_store.ts";
import { Feed } from "./live/feed.ts";
import { EventSubscription } from "./live/subscription.ts";
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

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"];
const MAX_TENANT_LENGTH = 256;
/** Milliseconds that running turns have when the adapter is drained. */
const DRAIN_MS = 30_000;

/** Puts the questions of a session to its people; what is not for people is declined. */
const askPeople: ApprovalHandler = (request) => ({
  decision: isForPeople(request) ? "defer" : "decline",
});

/**
 * Sessions of many tenants on one client: who owns what, what a turn may ask for, events that can be followed from any
 * cursor, questions that people answer. {@linkcode createBridge} puts it behind HTTP.
 *
 * Every method names the tenant first and rejects with `WebError`: 404 for what the tenant does not own, 400 for what it
 * may not ask for, 409 for what does not fit the moment, 429 beyond its limits. Failures of codex reject as they are.
 */
export class WebAdapter implements AsyncDisposable {
  readonly #options: WebAdapterOptions;
  readonly #policy: RequestPolicy;
  readonly #store: SessionStore;
  readonly #enforced: boolean;
  readonly #workspaces: Workspaces;
  readonly #live: Map<string, LiveSession> = new Map();
  /** Sessions on their way in or out; the next caller waits. */
  readonly #moving: Map<string, Promise<unknown>> = new Map();
  /** The last creation of each tenant, so that its limit is counted one by one. */
  readonly #creating: Map<string, Promise<unknown>> = new Map();
  readonly #streams: Map<string, number> = new Map();
  readonly #node: ClusterNode | null;
  #sweeper: ReturnType<typeof setInterval> | null = null;
  #expiredAt = 0;
  #draining: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  /** Creates an adapter on a connected client. Throws `PolicyError` when it can't keep the tenants apart. */
  constructor(options: WebAdapterOptions) {
    checkOptions("WebAdapter", options, WEB_ADAPTER_OPTIONS);
    this.#options = options;
    this.#enforced = isEnforced(options);
    this.#workspaces = new Workspaces(options.cwd, this.#enforced);
    const store = options.store ?? new MemorySessionStore();
    this.#store = options.cluster === undefined ? store : sharedStore(store);
    this.#node = options.cluster === undefined
      ? null
      : new ClusterNode(options.cluster, (id) => this.#lost(id), (error) => this.#report(error));
    if (options.sessionTtlMs !== undefined && this.#store.unusedSince === undefined) {
      throw new WebError(500, "badStore", "sessionTtlMs needs a store with unusedSince().");
    }
    const { model, effort, timeoutMs = DEFAULT_TIMEOUT_MS } = options.profile ?? {};
    this.#policy = {
      models: unique([...(model === undefined ? [] : [model]), ...(options.models ?? [])]),
      efforts: unique([...(options.efforts ?? EFFORTS), ...(effort === undefined ? [] : [effort])]),
      maxTimeoutMs: timeoutMs,
      attachments: options.attachments ?? "images",
    };
  }

  /** What tenants may choose. */
  get settings(): WebSettings {
    const { models, efforts, maxTimeoutMs, attachments } = this.#policy;
    const timeoutMs = maxTimeoutMs === Infinity ? null : maxTimeoutMs;
    return { models: [...models], efforts: [...efforts], timeoutMs, attachments };
  }

  /** What this adapter is up to. */
  get state(): "open" | "draining" | "closed" {
    return this.#closing !== null ? "closed" : this.#draining !== null ? "draining" : "open";
  }

  /** The address of the node that has the session, or `null` when it is this one; without a cluster it always is. */
  async locate(tenant: string, sessionId: string): Promise<string | null> {
    this.#enter(tenant);
    if (this.#node === null || this.#node.fenceOf(sessionId) !== null) return null;
    const record = isSessionId(sessionId) ? await this.#store.get(sessionId) : null;
    if (record === null || record.tenant !== tenant) throw notFound("session");
    const place = await this.#place(sessionId);
    if ("fence" in place) return null;
    if (this.#node.isHere(place.url)) throw changedElsewhere();
    return place.url;
  }

  /** The tenant's session on this thread, or `null`. */
  async sessionOfThread(tenant: string, threadId: string): Promise<string | null> {
    this.#enter(tenant);
    return (await this.#store.findThread(tenant, threadId))?.sessionId ?? null;
  }

  /** Starts a session on a new thread, or takes up the one on a thread of the tenant's own. */
  async createSession(tenant: string, request: CreateSessionRequest = {}): Promise<WebSession> {
    this.#enter(tenant);
    if (this.#draining !== null) throw drainingError();
    const { model, effort, threadId } = checkSession(request, this.#policy);
    if (threadId !== null) {
      const known = await this.#store.findThread(tenant, threadId);
      if (known === null) throw notFound("thread");
      return this.resumeSession(tenant, known.sessionId);
    }
    const before = this.#creating.get(tenant) ?? Promise.resolve();
    const mine = before.then(() => this.#create(tenant, model, effort));
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
    return stored.map((record) => this.#live.get(record.sessionId)?.view() ?? viewOf(record));
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
    return await this.#closeLive(sessionId, live);
  }

  /** Starts a turn; settles when the server has begun it. What happens is in the events. */
  async createTurn(
    tenant: string,
    sessionId: string,
    request: CreateTurnRequest,
  ): Promise<WebTurnRef> {
    const live = await this.#load(tenant, sessionId);
    const turn = checkTurn(request, this.#policy);
    if (this.#draining !== null) throw drainingError();
    await this.#checkFiles(tenant, turn.prompt);
    const { maxTurns = Infinity } = this.#options;
    if (!live.busy && [...this.#live.values()].filter(({ busy }) => busy).length >= maxTurns) {
      throw tooMany("tooManyTurns", "Too many turns run on this server. Try again later.");
    }
    try {
      return { turnId: await live.startTurn(turn) };
    } catch (error) {
      // What is known here is old: the next call reads it anew.
      if (error instanceof WebError && error.reason === "sessionMoved") this.#lost(sessionId);
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
    const input = checkSteer(request, this.#policy);
    await this.#checkFiles(tenant, input);
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
   * Takes no new sessions and turns, waits so long for the running ones and stops those that are left; then lets go of
   * every session. Idempotent; another adapter on the same store can take them up.
   */
  drain(ms: number = this.#options.cluster?.drainMs ?? DRAIN_MS): Promise<void> {
    this.#draining ??= this.#drain(ms);
    return this.#draining;
  }

  /** Stops every turn and lets go of every session; another adapter on the same store can take them up. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Like {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #drain(ms: number): Promise<void> {
    await Promise.allSettled([...this.#creating.values(), ...this.#moving.values()]);
    const lives = [...this.#live.values()];
    await within(Promise.all(lives.map((live) => live.turnOver())), ms, undefined);
    await Promise.allSettled(lives.map((live) => live.stopTurn()));
    await this.#letGo();
  }

  async #close(): Promise<void> {
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    await this.#letGo();
    await this.#node?.close();
  }

  async #letGo(): Promise<void> {
    await Promise.allSettled([...this.#creating.values(), ...this.#moving.values()]);
    await Promise.allSettled([...this.#live.values()].map((live) => live.release()));
    this.#live.clear();
  }

  async #closeLive(sessionId: string, live: LiveSession): Promise<ClosedWebSession> {
    const closed = await live.close();
    if (this.#live.get(sessionId) === live) this.#live.delete(sessionId);
    await this.#node?.release(sessionId);
    return closed;
  }

  /** Another node has the session, or it can't be told. */
  #lost(sessionId: string): void {
    const live = this.#live.get(sessionId);
    if (live === undefined) return;
    this.#live.delete(sessionId);
    this.#move(sessionId, live.fenced()).catch((error) => this.#report(error));
  }

  async #place(sessionId: string): Promise<{ fence: number } | { url: string }> {
    const node = this.#node!;
    // Nothing new comes to a node that is about to end.
    if (this.#draining !== null) throw drainingError();
    return await node.locate(sessionId);
  }

  #report(error: unknown): void {
    try {
      (this.#options.onError ?? console.error)(error);
    } catch {
      // A listener that throws must not cost anybody an answer.
    }
  }

  #enter(tenant: string): void {
    if (this.#closing !== null) throw closedError();
    if (typeof tenant !== "string" || tenant === "" || tenant.length > MAX_TENANT_LENGTH) {
      throw new WebError(
        401,
        "unauthorized",
        `A tenant is named by 1 to ${MAX_TENANT_LENGTH} characters.`,
      );
    }
    this.#watch();
    this.#sweep();
  }

  async #create(tenant: string, model: string | null, effort: string | null): Promise<WebSession> {
    const limit = this.#options.maxSessionsPerTenant ?? 16;
    if ((await this.#store.list(tenant)).length >= limit) {
      throw tooMany("tooManySessions", `No more than ${limit} sessions. Close one first.`);
    }
    if (this.#closing !== null) throw closedError();
    const choice = { tenant, model, effort };
    const thread = await this.#options.client.startSession(await this.#config(choice));
    const record: StoredSession = {
      sessionId: newSessionId(),
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
      const fence = await this.#fence(record.sessionId);
      if (!await this.#store.put(record)) throw changedElsewhere();
      return this.#adopt(record, { thread, fence }).view();
    } catch (error) {
      // A thread that nobody owns must not stay behind.
      thread.close().catch(() => {});
      throw error;
    }
  }

  /** The fence of a session that is this node's; `null` without a cluster. Throws `WebError` 503 when another has it. */
  async #fence(sessionId: string): Promise<number | null> {
    if (this.#node === null) return null;
    const fence = this.#node.fenceOf(sessionId);
    if (fence !== null) return fence;
    const place = await this.#place(sessionId);
    if ("fence" in place) return place.fence;
    throw changedElsewhere();
  }

  /** The tenant's session, in use from now on. */
  async #load(tenant: string, sessionId: string, toClose = false): Promise<LiveSession> {
    this.#enter(tenant);
    for (;;) {
      const live = this.#live.get(sessionId);
      // One that is lost leaves the map at once.
      const ours = this.#node === null || this.#node.fenceOf(sessionId) !== null;
      if (live !== undefined && ours) {
        if (live.tenant !== tenant) throw notFound("session");
        live.usedAt = Date.now();
        return live;
      }
      const moving = this.#moving.get(sessionId);
      if (moving === undefined) break;
      await moving.catch(() => {});
    }
    const record = isSessionId(sessionId) ? await this.#store.get(sessionId) : null;
    if (record === null || record.tenant !== tenant) throw notFound("session");
    if (this.#closing !== null) throw closedError();
    // Somebody else may have begun meanwhile.
    if (this.#live.has(sessionId) || this.#moving.has(sessionId)) {
      return this.#load(tenant, sessionId, toClose);
    }
    return await this.#move(sessionId, this.#takeUp(record, toClose));
  }

  async #takeUp(known: StoredSession, toClose: boolean): Promise<LiveSession> {
    const { sessionId } = known;
    const fence = await this.#fence(sessionId);
    // The owner before may have written since.
    const record = fence === null ? known : await this.#store.get(sessionId);
    if (record === null) throw notFound("session");
    const restored = fence === null ? null : await this.#node!.restored(sessionId, fence);
    if (!record.used) return this.#adopt(record, { fence, restored });
    try {
      const { client } = this.#options;
      const { turns } = await client.readThread(record.threadId, { includeTurns: true });
      return this.#adopt(record, { history: turns, fence, restored });
    } catch (error) {
      if (!(error instanceof RpcError) || error.retryable) throw error;
      const gone = isRefusal(error, "threadGone");
      // Its history is lost, and it must still be possible to read what is known of it and to close it.
      if (gone || toClose) return this.#adopt(record, { gone, fence, restored });
      throw error;
    }
  }

  #adopt(
    record: StoredSession,
    { thread = null, history = [], gone = false, fence = null, restored = null }: Adopted,
  ): LiveSession {
    const { sessionId } = record;
    const live = new LiveSession({
      record,
      store: this.#store,
      client: this.#options.client,
      config: () => this.#config(record),
      thread,
      history,
      gone,
      fence,
      restored,
      tail: fence === null ? null : this.#node!.tailOf(sessionId, fence),
      maxLogEvents: this.#options.maxLogEvents ?? 4096,
      maxLogBytes: this.#options.maxLogBytes ?? 4 * 1024 * 1024,
    });
    this.#live.set(record.sessionId, live);
    return live;
  }

  async #config(
    { tenant, model, effort }: Pick<StoredSession, "tenant" | "model" | "effort">,
  ): Promise<SessionConfig> {
    const { rules } = this.#options;
    // What was allowed when the session was created may not be any more.
    const allowed = {
      ...(model !== null && this.#policy.models.includes(model) ? { model } : {}),
      ...(effort !== null && this.#policy.efforts.includes(effort) ? { effort } : {}),
    };
    return {
      ...this.#options.profile,
      ...allowed,
      cwd: await this.#workspaces.of(tenant),
      ...(this.#enforced ? { reads: "workspace" as const } : {}),
      approvals: { rules: rules ?? [], ask: askPeople },
    };
  }

  /** Files that are sent along must really lie below the tenant's directory, wherever links lead. */
  async #checkFiles(tenant: string, { attachments = [] }: PromptWithAttachments): Promise<void> {
    const paths = attachments.flatMap((each) =>
      typeof each !== "string" && "path" in each ? [each.path] : []
    );
    if (paths.length === 0) return;
    // Codex reads images itself, without a sandbox, and later: by then the agent may have put a link in its place.
    if (this.#enforced && attachments.some((each) => isLocalImage(each))) {
      throw badRequest("Images must be sent inline here, as a data: URL.", "notAllowed");
    }
    const cwd = await this.#workspaces.of(tenant);
    const root = realPathOf(cwd);
    for (const path of paths) {
      const real = realPathOf(resolvePath(cwd, path));
      if (root === null || real === null || !isInside(real, root)) {
        throw badRequest("An attachment's path must stay below the directory.", "notAllowed");
      }
    }
  }

  /** Lets go of what nobody uses, whether or not somebody calls. */
  #watch(): void {
    if (this.#sweeper !== null) return;
    const { sessionTtlMs = Infinity } = this.#options;
    const every = Math.max(10, Math.min(this.#idleMs, sessionTtlMs, 60_000));
    this.#sweeper = setInterval(() => {
      this.#sweep();
      if (sessionTtlMs !== Infinity) {
        this.#expire(sessionTtlMs).catch((error) => this.#report(error));
      }
    }, every);
    unrefTimer(this.#sweeper);
  }

  get #idleMs(): number {
    return this.#options.idleMs ?? 30 * 60_000;
  }

  #sweep(): void {
    const now = Date.now();
    for (const [id, live] of this.#live) {
      if (!live.idle || now - live.usedAt < this.#idleMs) continue;
      this.#live.delete(id);
      this.#move(id, live.release()).catch(() => {});
    }
  }

  /** Closes the sessions that nobody used for so long. */
  async #expire(ttlMs: number): Promise<void> {
    if (this.state !== "open" || Date.now() - this.#expiredAt < Math.min(ttlMs, 60_000)) return;
    this.#expiredAt = Date.now();
    const unused = await this.#store.unusedSince!(new Date(Date.now() - ttlMs)) ?? [];
    for (const { tenant, sessionId } of unused) {
      if (this.state !== "open") return;
      try {
        if (await this.locate(tenant, sessionId) !== null) continue;
        const live = await this.#load(tenant, sessionId, true);
        if (live.idle) await this.#closeLive(sessionId, live);
      } catch (error) {
        // One that can't be closed must not keep the others.
        this.#report(error);
      }
    }
  }

  async #move<T>(sessionId: string, moving: Promise<T>): Promise<T> {
    this.#moving.set(sessionId, moving);
    try {
      return await moving;
    } finally {
      if (this.#moving.get(sessionId) === moving) this.#moving.delete(sessionId);
    }
  }
}

/** What a live session begins with, besides its record. */
interface Adopted {
  thread?: WebThread | null;
  history?: readonly TurnSnapshot[];
  gone?: boolean;
  fence?: number | null;
  restored?: Restored | null;
}

function isLocalImage(attachment: string | Attachment): boolean {
  return typeof attachment !== "string" && attachment.type === "localImage";
}

/** Whether tenants are kept apart. What can't be, is refused here: before the first tenant comes. */
function isEnforced({ isolation = "enforced", client, profile = {} }: WebAdapterOptions): boolean {
  if (isolation === "trusting") return false;
  if (isolation !== "enforced") {
    throw new PolicyError(
      `isolation must be "enforced" or "trusting", received ${JSON.stringify(isolation)}.`,
    );
  }
  const refusal = workspaceReadsRefusal(
    normalizeSandbox(profile.sandbox ?? "read-only"),
    client.server?.version ?? null,
    client.server !== undefined,
  );
  if (refusal === null) return true;
  throw new PolicyError(
    `The bridge can't keep its tenants apart: ${refusal} Or set isolation: "trusting", when all tenants may see each other's files and conversations.`,
  );
}

function viewOf(record: StoredSession): WebSession {
  const { sessionId, threadId, title, createdAt, model, effort } = record;
  return { sessionId, threadId, title, createdAt, model, effort, runningTurnId: null };
}

function unique(values: string[]): string[] {
  return [...new Set(values)];
}
