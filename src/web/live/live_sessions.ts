/**
 * The sessions that are in use here: resumed when they are needed, released when nobody needs them.
 * @module
 */
import { roundNow, within } from "../../async.ts";
import { MessageTooLargeError, RpcError } from "../../errors/mod.ts";
import { unrefTimer } from "../../platform/mod.ts";
import { isRefusal } from "../../protocol/mod.ts";
import type { TurnSnapshot } from "../../session/mod.ts";
import type { WebClient, WebThread } from "../client.ts";
import type { ClusterNode } from "../cluster/node.ts";
import {
  changedElsewhere,
  closedError,
  drainingError,
  isSessionId,
  notFound,
} from "../http/refusals.ts";
import type { SessionStore, StoredSession } from "../store/session_store.ts";
import type { ClosedWebSession } from "../types.ts";
import type { LiveSession } from "./live_session.ts";
import type { SessionSetup } from "./session_setup.ts";
import type { RestoredEvent } from "./session_log.ts";

/** What {@linkcode LiveSessions} are made of. */
export interface LiveSessionsParts {
  /** Who runs them. */
  client: WebClient;
  /** Who remembers them. */
  store: SessionStore;
  /** What they may do. */
  setup: SessionSetup;
  /** This node's part in a cluster; made with what is called for a session that another node has. */
  node: (onLost: (sessionId: string) => void) => ClusterNode | null;
  /** Milliseconds after which an unused session is released. */
  idleMs: number;
  /** Milliseconds after which a session that nobody used is closed; `Infinity`: never. */
  sessionTtlMs: number;
  /** Events kept for each. */
  maxLogEvents: number;
  /** Characters of events and of turns kept for each. */
  maxLogBytes: number;
  /** Told about failures that are nobody's answer. */
  onError: (error: unknown) => void;
}

/** How exactly idle and old sessions are found, in milliseconds. */
const WATCH_MS = 60_000;
/** How exactly it is remembered when a session was used, at most. */
const USED_AT_STEP_MS = 10 * 60_000;

/** Loaded with the first session. */
async function makeSession(): Promise<typeof LiveSession> {
  return (await import("./live_session.ts")).LiveSession;
}

/** Sessions in use by their ids; each is on its way in or out only once at a time. */
export class LiveSessions {
  readonly #parts: LiveSessionsParts;
  readonly #node: ClusterNode | null;
  readonly #live: Map<string, LiveSession> = new Map();
  /** Sessions on their way in or out; the next caller waits. */
  readonly #moving: Map<string, Promise<unknown>> = new Map();
  /** Why the history of some could not be read, which are in use only to be closed. */
  readonly #unread: WeakMap<LiveSession, unknown> = new WeakMap();
  #watcher: ReturnType<typeof setInterval> | null = null;
  #expiredAt = -Infinity;
  #draining: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  /** None yet. */
  constructor(parts: LiveSessionsParts) {
    this.#parts = parts;
    this.#node = parts.node((sessionId) => this.lost(sessionId));
  }

  /** What they are up to. */
  get state(): "open" | "draining" | "closed" {
    return this.#closing !== null ? "closed" : this.#draining !== null ? "draining" : "open";
  }

  /** Turns that run or begin. */
  get running(): number {
    return [...this.#live.values()].filter(({ busy }) => busy).length;
  }

  /** A call has come. Throws `WebError` 503 after the end. */
  enter(): void {
    if (this.#closing !== null) throw closedError();
    this.#watch();
    this.#sweep();
  }

  /** Throws `WebError` 503 when nothing new may begin. */
  assertNew(): void {
    if (this.#closing !== null) throw closedError();
    if (this.#draining !== null) throw drainingError();
  }

  /** The session, if it is in use here. */
  get(sessionId: string): LiveSession | undefined {
    return this.#live.get(sessionId);
  }

  /** The address of the node that has the session, or `null` when it is this one. */
  async locate(tenant: string, sessionId: string): Promise<string | null> {
    if (this.#node === null || this.#node.fenceOf(sessionId) !== null) return null;
    await this.#recordOf(tenant, sessionId);
    const place = await this.#place(sessionId);
    if ("fence" in place) return null;
    if (this.#node.isHere(place.url)) throw changedElsewhere();
    return place.url;
  }

  /** The tenant's session, in use from now on. `toClose`: also one whose history can't be read. */
  async load(tenant: string, sessionId: string, toClose = false): Promise<LiveSession> {
    for (;;) {
      const live = this.#live.get(sessionId);
      // One that is lost leaves the map at once.
      const ours = this.#node === null || this.#node.fenceOf(sessionId) !== null;
      if (live !== undefined && ours) {
        if (live.tenant !== tenant) throw notFound("session");
        if (toClose) return live;
        if (this.#unread.has(live)) throw this.#unread.get(live);
        live.touch();
        return live;
      }
      if (live !== undefined) this.lost(sessionId);
      const moving = this.#moving.get(sessionId);
      if (moving === undefined) break;
      await moving.catch(() => {});
    }
    const record = await this.#recordOf(tenant, sessionId);
    if (this.#closing !== null) throw closedError();
    // Somebody else may have begun meanwhile.
    if (this.#live.has(sessionId) || this.#moving.has(sessionId)) {
      return this.load(tenant, sessionId, toClose);
    }
    const restored = await this.#move(sessionId, this.#restore(record, toClose));
    if (!toClose) restored.touch();
    return restored;
  }

  /** Remembers a new session on this thread. Who finds it in a store that has not answered yet waits for it. */
  async add(record: StoredSession, thread: WebThread): Promise<LiveSession> {
    return await this.#move(record.sessionId, this.#add(record, thread));
  }

  async #add(record: StoredSession, thread: WebThread): Promise<LiveSession> {
    const make = await makeSession();
    const fence = await this.#fence(record.sessionId);
    if (!await this.#parts.store.put(record)) throw changedElsewhere();
    try {
      return this.#adopt(make, record, { thread, fence });
    } catch (error) {
      await this.#forget(record).catch(() => {});
      throw error;
    }
  }

  /** Nobody uses it, unless it is a chat, whose name is known, and another node has gone on with it. */
  async #forget({ sessionId, revision }: StoredSession): Promise<void> {
    const { store } = this.#parts;
    if ((await store.get(sessionId))?.revision === revision) await store.delete(sessionId);
  }

  /** Closes one that is in use. */
  async close(sessionId: string, live: LiveSession): Promise<ClosedWebSession> {
    const closed = await live.close();
    // A chat may have begun anew under its name meanwhile, on the same lease.
    if (this.#live.get(sessionId) === live) {
      this.#live.delete(sessionId);
      await this.#node?.release(sessionId);
    }
    return closed;
  }

  /** Another node has the session, or it can't be told; what is known of it here is old. */
  lost(sessionId: string): void {
    const live = this.#live.get(sessionId);
    if (live === undefined) return;
    this.#live.delete(sessionId);
    this.#move(sessionId, live.fenced()).catch((error) => this.#parts.onError(error));
  }

  /** Lets running turns end for so long, stops the others and releases all. `begun` is what is still on its way in. */
  drain(ms: number, begun: () => Iterable<Promise<unknown>>): Promise<void> {
    this.#draining ??= this.#drain(ms, begun);
    return this.#draining;
  }

  /** Stops every turn and releases all. */
  end(begun: () => Iterable<Promise<unknown>>): Promise<void> {
    this.#closing ??= this.#end(begun);
    return this.#closing;
  }

  async #drain(ms: number, begun: () => Iterable<Promise<unknown>>): Promise<void> {
    await Promise.allSettled([...begun(), ...this.#moving.values()]);
    const lives = [...this.#live.values()];
    await within(Promise.all(lives.map((live) => live.rest())), ms, undefined);
    await Promise.allSettled(lives.map((live) => live.stopTurn()));
    await this.#releaseAll(begun);
  }

  async #end(begun: () => Iterable<Promise<unknown>>): Promise<void> {
    if (this.#watcher !== null) clearInterval(this.#watcher);
    await this.#releaseAll(begun);
    await this.#node?.close();
  }

  async #releaseAll(begun: () => Iterable<Promise<unknown>>): Promise<void> {
    await Promise.allSettled([...begun(), ...this.#moving.values()]);
    await Promise.allSettled([...this.#live.values()].map((live) => live.release()));
    this.#live.clear();
  }

  async #recordOf(tenant: string, sessionId: string): Promise<StoredSession> {
    const record = isSessionId(sessionId) ? await this.#parts.store.get(sessionId) : null;
    if (record === null || record.tenant !== tenant) throw notFound("session");
    return record;
  }

  async #place(sessionId: string): Promise<{ fence: number } | { url: string }> {
    // Nothing new comes to a node that is about to end.
    if (this.#draining !== null) throw drainingError();
    return await this.#node!.locate(sessionId);
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

  async #restore(known: StoredSession, toClose: boolean): Promise<LiveSession> {
    const { client, store } = this.#parts;
    const { sessionId } = known;
    const make = await makeSession();
    const fence = await this.#fence(sessionId);
    // The owner before may have written since.
    const record = fence === null ? known : await store.get(sessionId);
    if (record === null) throw notFound("session");
    const restored = fence === null ? [] : await this.#node!.restored(sessionId, fence);
    if (!record.used) return this.#adopt(make, record, { fence, restored });
    try {
      const { turns } = await client.readThread(record.threadId, { includeTurns: true });
      return this.#adopt(make, record, { history: turns, fence, restored });
    } catch (error) {
      const history = error instanceof MessageTooLargeError
        ? await this.#newest(record.threadId)
        : [];
      if (history.length > 0) return this.#adopt(make, record, { history, fence, restored });
      const passes = error instanceof RpcError
        ? error.retryable
        : !(error instanceof MessageTooLargeError);
      if (passes) throw error;
      const gone = isRefusal(error, "threadGone");
      // Its history is lost, and it must still be possible to read what is known of it and to close it.
      if (!gone && !toClose) throw error;
      const live = this.#adopt(make, record, { gone, fence, restored });
      if (!gone) this.#unread.set(live, error);
      return live;
    }
  }

  /** The newest turns of a thread, and one more than there is room for; none where they can't be told one by one. */
  async #newest(threadId: string): Promise<TurnSnapshot[]> {
    const { client, maxLogBytes } = this.#parts;
    const turns: TurnSnapshot[] = [];
    let room = maxLogBytes;
    try {
      for await (const turn of client.turns?.(threadId, { newestFirst: true }) ?? []) {
        turns.unshift(turn);
        room -= JSON.stringify(turn.items).length;
        if (room < 0 && turns.length > 1) break;
      }
      return turns;
    } catch {
      return [];
    }
  }

  #adopt(
    make: typeof LiveSession,
    record: StoredSession,
    { thread = null, history = [], gone = false, fence = null, restored = [] }: Adopted,
  ): LiveSession {
    const { sessionId } = record;
    // Another node may have taken it meanwhile: nobody would be told so any more.
    if (fence !== (this.#node?.fenceOf(sessionId) ?? null)) throw changedElsewhere();
    const { client, store, setup, sessionTtlMs, maxLogEvents, maxLogBytes } = this.#parts;
    const live = new make({
      record,
      store,
      client,
      config: () => setup.config(record),
      thread,
      history,
      gone,
      restored,
      tail: fence === null ? null : this.#node!.tailOf(sessionId, fence),
      usedAtStepMs: Math.min(USED_AT_STEP_MS, sessionTtlMs / 8),
      maxLogEvents,
      maxLogBytes,
    });
    this.#live.set(sessionId, live);
    return live;
  }

  /** Releases what nobody uses, whether or not somebody calls. */
  #watch(): void {
    if (this.#watcher !== null) return;
    const { idleMs, sessionTtlMs, onError } = this.#parts;
    const every = Math.max(10, Math.min(idleMs, sessionTtlMs, WATCH_MS));
    this.#watcher = setInterval(() => {
      for (const live of this.#live.values()) live.remember().catch(onError);
      this.#sweep();
      if (sessionTtlMs !== Infinity) this.#expire(sessionTtlMs).catch(onError);
    }, every);
    unrefTimer(this.#watcher);
  }

  #sweep(): void {
    const now = roundNow();
    for (const [id, live] of this.#live) {
      if (!live.idle || now - live.usedAt < this.#parts.idleMs) continue;
      this.#live.delete(id);
      // Each lease is renewed all the time: those that nobody needs would take the time of the others.
      this.#move(id, live.release().then(() => this.#node?.release(id))).catch(() => {});
    }
  }

  /** Closes the sessions that nobody used for so long. */
  async #expire(ttlMs: number): Promise<void> {
    if (this.state !== "open" || roundNow() - this.#expiredAt < Math.min(ttlMs, WATCH_MS)) return;
    this.#expiredAt = roundNow();
    const since = new Date(Date.now() - ttlMs);
    const unused = await this.#parts.store.unusedSince!(since);
    for (const { tenant, sessionId } of unused) {
      if (this.state !== "open") return;
      // Reading is use as well, and is written down later.
      if (roundNow() - (this.#live.get(sessionId)?.usedAt ?? -Infinity) < ttlMs) continue;
      try {
        if (await this.locate(tenant, sessionId) !== null) continue;
        const live = await this.load(tenant, sessionId, true);
        // It may have been used, and let go of again, since it was found.
        if (live.idle && !live.usedSince(since)) await this.close(sessionId, live);
      } catch (error) {
        // One that can't be closed must not keep the others.
        this.#parts.onError(error);
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
  restored?: readonly RestoredEvent[];
}
