/**
 * This bridge's part in a cluster.
 * @module
 */
import { longInterval, stopwatch, within } from "../../async.ts";
import { WebError } from "../../errors/mod.ts";
import { unrefTimer } from "../../platform/mod.ts";
import { changedElsewhere, randomId } from "../http/refusals.ts";
import { type RestoredEvent, restoredFrom, type TailParts } from "../live/session_log.ts";
import type { ClusterOptions } from "../options.ts";
import type { SessionStore } from "../store/session_store.ts";
import type { EventTail, SessionOwners } from "./session_owners.ts";

/** Milliseconds that a lease lasts by default. */
export const LEASE_MS = 10_000;

/** Where this node stands: which sessions it has, and where the others are. */
export class ClusterNode {
  /** Milliseconds that a lease lasts. */
  readonly leaseMs: number;
  readonly #options: ClusterOptions;
  readonly #leases: Leases;
  readonly #onLost: (sessionId: string) => void;
  readonly #onError: (error: unknown) => void;

  /** `onLost` is told about each session that another node has from now on. */
  constructor(
    options: ClusterOptions,
    onLost: (sessionId: string) => void,
    onError: (error: unknown) => void,
  ) {
    this.#options = options;
    this.#onLost = onLost;
    this.#onError = onError;
    this.leaseMs = options.leaseMs ?? LEASE_MS;
    this.#leases = new Leases({
      owners: options.owners,
      // A node that was started anew at the same address is another owner.
      url: `${new URL(options.url).href.replace(/#.*$/, "")}#${randomId("", 9)}`,
      ttlMs: this.leaseMs,
      onLost,
      onError,
    });
  }

  /** The fence of a session that is certainly ours now, or `null`. */
  fenceOf(sessionId: string): number | null {
    return this.#leases.fenceOf(sessionId);
  }

  /** Takes the session when nobody has it; else tells where it is. Throws `WebError` 503 when that can't be told. */
  async locate(sessionId: string): Promise<{ fence: number } | { url: string }> {
    try {
      const place = await this.#leases.claim(sessionId);
      return place.here ? { fence: place.fence } : { url: place.url };
    } catch (error) {
      throw new WebError(
        503,
        "ownersUnavailable",
        "It can't be told which server has this session. Try again in a moment.",
        { cause: error },
      );
    }
  }

  /** Whether that node is this one, before it was started anew. */
  isHere(url: string): boolean {
    return url.split("#")[0] === new URL(this.#options.url).href;
  }

  /** Where a session's events go, or `null`. */
  tailOf(sessionId: string, fence: number): TailParts | null {
    const { tail: engine } = this.#options;
    if (engine === undefined) return null;
    const onFenced = () => {
      // Told late of a lease before, such as that of a chat which has begun anew since: this one goes on.
      const now = this.fenceOf(sessionId);
      if (now !== null && now !== fence) return;
      void this.release(sessionId);
      this.#onLost(sessionId);
    };
    const tail: EventTail = {
      append: (...entries) => intime(engine.append(...entries), this.leaseMs),
      read: (...fence) => intime(engine.read(...fence), this.leaseMs),
    };
    return { tail, sessionId, fence, onFenced, onError: this.#onError };
  }

  /** What the owners before told; nothing without a tail. */
  async restored(sessionId: string, fence: number): Promise<RestoredEvent[]> {
    const { tail } = this.#options;
    if (tail === undefined) return [];
    const entries = await intime(tail.read(sessionId, fence), this.leaseMs).catch((error) => {
      throw new WebError(503, "tailUnavailable", "The events can't be read. Try again soon.", {
        cause: error,
      });
    });
    if (entries !== null) return restoredFrom(entries);
    await this.release(sessionId);
    throw changedElsewhere();
  }

  /** Gives one session up. */
  release(sessionId: string): Promise<void> {
    return this.#leases.release(sessionId);
  }

  /** Gives all of them up. */
  close(): Promise<void> {
    return this.#leases.close();
  }
}

/**
 * The engine's answer. One that can't be reached may say nothing at all; whoever asked is told so after a lease's time, and
 * comes back through another node.
 */
async function intime<T>(answer: Promise<T>, ms: number): Promise<T> {
  const found = await within(answer.then((value) => ({ value })), ms, null);
  if (found === null) throw new Error("the engine did not answer in time");
  return found.value;
}

/** The store, whose failures are an engine's that is away for a while: 503, and not this server's own. */
export function sharedStore(store: SessionStore, leaseMs: number = LEASE_MS): SessionStore {
  const guarded = async <T>(ask: () => Promise<T>): Promise<T> => {
    try {
      return await intime((async () => await ask())(), leaseMs);
    } catch (error) {
      throw new WebError(503, "storeUnavailable", "The sessions can't be read. Try again soon.", {
        cause: error,
      });
    }
  };
  const { unusedSince } = store;
  return {
    // Databases have `undefined` for what is not there.
    get: async (sessionId) => await guarded(() => store.get(sessionId)) ?? null,
    findThread: async (tenant, id) => await guarded(() => store.findThread(tenant, id)) ?? null,
    list: (tenant) => guarded(() => store.list(tenant)),
    put: (session) => guarded(() => store.put(session)),
    delete: (sessionId) => guarded(() => store.delete(sessionId)),
    ...(unusedSince === undefined
      ? {}
      : { unusedSince: (before) => guarded(() => unusedSince.call(store, before)) }),
  };
}

// The sessions that this node has, and for how long it may be sure of that.

/** What leases need. */
export interface LeasesParts {
  /** Who gives them. */
  owners: SessionOwners;
  /** This node's address. */
  url: string;
  /** Milliseconds that a lease lasts. */
  ttlMs: number;
  /** A session is not ours any more, or that can't be told. */
  onLost: (sessionId: string) => void;
  /** Told about failures of the engine. */
  onError: (error: unknown) => void;
  /** The time in milliseconds, also while the process is stopped. Default: that of two clocks, whichever went on. */
  now?: () => number;
}

interface Lease {
  fence: number;
  /** Before this nobody else can have it. */
  until: number;
}

/** Where a session is. */
export type Place = { here: true; fence: number } | { here: false; url: string };

/** The part of a lease's time that is left to its owner at most, so that it stops before another one starts. */
const SURE = 0.8;

/** Claims sessions and keeps them. A lease that is not renewed in time is given up here before it ends at the engine. */
export class Leases {
  readonly #parts: LeasesParts;
  readonly #held: Map<string, Lease> = new Map();
  readonly #claiming: Map<string, Promise<Place>> = new Map();
  /** What is being given up: whoever claims it meanwhile would have it given up behind his back. */
  readonly #releasing: Map<string, Promise<void>> = new Map();
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | null = null;
  #closed = false;

  /** Nothing is claimed yet. */
  constructor(parts: LeasesParts) {
    this.#parts = parts;
    this.#now = parts.now ?? stopwatch();
  }

  /** The fence of a session that is certainly ours now, or `null`. One whose time is over is given up at once. */
  fenceOf(sessionId: string): number | null {
    const lease = this.#held.get(sessionId);
    if (lease === undefined) return null;
    if (lease.until > this.#now()) return lease.fence;
    this.#lose(sessionId);
    return null;
  }

  /** Takes the session if nobody has it. Rejects when the engine does not answer. */
  claim(sessionId: string): Promise<Place> {
    const fence = this.fenceOf(sessionId);
    if (fence !== null) return Promise.resolve({ here: true, fence });
    let claiming = this.#claiming.get(sessionId);
    if (claiming === undefined) {
      claiming = this.#claim(sessionId).finally(() => this.#claiming.delete(sessionId));
      this.#claiming.set(sessionId, claiming);
    }
    return claiming;
  }

  /** Gives one session up. */
  async release(sessionId: string): Promise<void> {
    const lease = this.#held.get(sessionId);
    if (lease === undefined) return;
    this.#held.delete(sessionId);
    const { owners, ttlMs, onError } = this.#parts;
    const releasing = intime(owners.release(sessionId, lease.fence), ttlMs).catch(onError);
    this.#releasing.set(sessionId, releasing);
    await releasing;
    if (this.#releasing.get(sessionId) === releasing) this.#releasing.delete(sessionId);
  }

  /** Gives all of them up. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await Promise.allSettled(this.#claiming.values());
    await within(
      Promise.all([...this.#held.keys()].map((id) => this.release(id))),
      this.#parts.ttlMs,
      undefined,
    );
  }

  async #claim(sessionId: string): Promise<Place> {
    const { owners, url, ttlMs } = this.#parts;
    await this.#releasing.get(sessionId);
    const asked = this.#now();
    const claim = await intime(owners.claim(sessionId, url, ttlMs), ttlMs);
    if (!claim.mine) return { here: false, url: claim.url };
    if (this.#closed) {
      await intime(owners.release(sessionId, claim.fence), ttlMs);
      throw new Error("this node is closing");
    }
    this.#held.set(sessionId, { fence: claim.fence, until: asked + ttlMs * SURE });
    this.#watch();
    return { here: true, fence: claim.fence };
  }

  #watch(): void {
    if (this.#timer !== null) return;
    this.#timer = longInterval(() => {
      for (const [id, lease] of this.#held) {
        if (this.fenceOf(id) !== null) void this.#renew(id, lease);
      }
    }, this.#parts.ttlMs * 0.3);
    unrefTimer(this.#timer);
  }

  /** Each for itself: one that gets no answer must not keep the others from being asked for again in time. */
  async #renew(sessionId: string, lease: Lease): Promise<void> {
    const { owners, ttlMs, onError } = this.#parts;
    const asked = this.#now();
    try {
      const kept = await owners.renew(sessionId, lease.fence, ttlMs);
      if (this.#held.get(sessionId) !== lease) return;
      if (kept) lease.until = Math.max(lease.until, asked + ttlMs * SURE);
      else this.#lose(sessionId);
    } catch (error) {
      // The lease goes on until its time is over.
      onError(error);
    }
  }

  #lose(sessionId: string): void {
    if (this.#held.delete(sessionId)) this.#parts.onLost(sessionId);
  }
}
