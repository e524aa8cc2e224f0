/**
 * The sessions that this node has, and for how long it may be sure of that.
 * @module
 */
import { within } from "../../async.ts";
import { unrefTimer } from "../../platform/mod.ts";
import type { SessionOwners } from "./session_owners.ts";

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
  /** The time in milliseconds, also while the process is stopped. Default: the later of two clocks. */
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
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | null = null;
  #renewing = false;
  #closed = false;

  /** Nothing is claimed yet. */
  constructor(parts: LeasesParts) {
    this.#parts = parts;
    this.#now = parts.now ?? clock();
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
    await this.#parts.owners.release(sessionId, lease.fence).catch(this.#parts.onError);
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
    const asked = this.#now();
    const claim = await within(owners.claim(sessionId, url, ttlMs), ttlMs, null);
    if (claim === null) throw new Error("the owners of sessions did not answer in time");
    if (!claim.mine) return { here: false, url: claim.url };
    if (this.#closed) {
      await owners.release(sessionId, claim.fence);
      throw new Error("this node is closing");
    }
    this.#held.set(sessionId, { fence: claim.fence, until: asked + ttlMs * SURE });
    this.#watch();
    return { here: true, fence: claim.fence };
  }

  #watch(): void {
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => void this.#renew(), this.#parts.ttlMs * 0.3);
    unrefTimer(this.#timer);
  }

  async #renew(): Promise<void> {
    for (const sessionId of [...this.#held.keys()]) this.fenceOf(sessionId);
    if (this.#renewing) return;
    this.#renewing = true;
    const { owners, ttlMs, onError } = this.#parts;
    const one = async (sessionId: string, lease: Lease): Promise<void> => {
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
    };
    const all = Promise.all([...this.#held].map(([id, lease]) => one(id, lease)));
    await within(all, ttlMs, undefined);
    this.#renewing = false;
  }

  #lose(sessionId: string): void {
    if (this.#held.delete(sessionId)) this.#parts.onLost(sessionId);
  }
}

/** Goes on while the process is stopped (one clock) and while the machine sleeps (the other), and never back. */
function clock(): () => number {
  const [wall, steady] = [Date.now(), performance.now()];
  let latest = 0;
  return () => latest = Math.max(latest, Date.now() - wall, performance.now() - steady);
}
