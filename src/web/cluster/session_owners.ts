/**
 * Which node of a cluster has which session.
 * @module
 */

/** Who has a session. */
export interface SessionClaim {
  /** Whether it is the caller. */
  mine: boolean;
  /** The owner's address. */
  url: string;
  /** Grows with every new owner of the session, for ever: what carries a smaller one comes from an earlier owner. */
  fence: number;
}

/**
 * Gives each session one owner at a time, for a limited time. Each method is one atomic step of the engine behind it, by
 * the engine's clock. See `examples/web_cluster` for Redis.
 */
export interface SessionOwners {
  /** Takes the session unless another node has it. An owner that asks again keeps its fence. */
  claim(sessionId: string, url: string, ttlMs: number): Promise<SessionClaim>;
  /** Keeps the session for so long from now; `false` when it is no longer this owner's. */
  renew(sessionId: string, fence: number, ttlMs: number): Promise<boolean>;
  /** Gives the session up; nothing happens when it is no longer this owner's. */
  release(sessionId: string, fence: number): Promise<void>;
}

interface Lease {
  url: string;
  fence: number;
  until: number;
}

/** Owners in this process: for tests, and for several bridges in one process. */
export class MemorySessionOwners implements SessionOwners {
  readonly #leases: Map<string, Lease> = new Map();
  readonly #now: () => number;

  /** `now` tells the time in milliseconds. Default: the clock. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Takes the session unless another node has it. */
  claim(sessionId: string, url: string, ttlMs: number): Promise<SessionClaim> {
    const now = this.#now();
    const held = this.#leases.get(sessionId);
    if (held !== undefined && held.until > now && held.url !== url) {
      return Promise.resolve({ mine: false, url: held.url, fence: held.fence });
    }
    const kept = held !== undefined && held.until > now;
    const fence = kept ? held.fence : (held?.fence ?? 0) + 1;
    this.#leases.set(sessionId, { url, fence, until: now + ttlMs });
    return Promise.resolve({ mine: true, url, fence });
  }

  /** Keeps the session for so long from now. */
  renew(sessionId: string, fence: number, ttlMs: number): Promise<boolean> {
    const now = this.#now();
    const held = this.#leases.get(sessionId);
    if (held === undefined || held.fence !== fence || held.until <= now) {
      return Promise.resolve(false);
    }
    held.until = now + ttlMs;
    return Promise.resolve(true);
  }

  /** Gives the session up. The fence is remembered. */
  release(sessionId: string, fence: number): Promise<void> {
    const held = this.#leases.get(sessionId);
    if (held?.fence === fence) held.until = 0;
    return Promise.resolve();
  }
}
