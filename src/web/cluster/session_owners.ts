/**
 * What the nodes of a cluster share: which of them has which session, and the newest events of each.
 * @module
 */
import { isJsonObject } from "../../json.ts";
import { type KvDatabase, type KvKey, patientKv } from "../../kv.ts";

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

// Session owners in Deno KV.

/** How a {@linkcode KvSessionOwners} names its keys. */
export interface KvSessionOwnersOptions {
  /** First parts of every key. Default `["codex-web"]`. */
  prefix?: KvKey;
}

interface KvLease {
  url: string;
  fence: number;
  until: number;
}

const TRIES = 20;

/**
 * Keeps the owners of sessions in Deno KV. The time is that of the machines, whose clocks must agree to about a second:
 * KV has none of its own. The database stays yours to close.
 */
export class KvSessionOwners implements SessionOwners {
  readonly #kv: KvDatabase;
  readonly #prefix: KvKey;

  /** Creates it on an open database. */
  constructor(kv: KvDatabase, options: KvSessionOwnersOptions = {}) {
    this.#kv = patientKv(kv);
    this.#prefix = options.prefix ?? ["codex-web"];
  }

  /** Takes the session unless another node has it. */
  claim(sessionId: string, url: string, ttlMs: number): Promise<SessionClaim> {
    return this.#change<SessionClaim>(sessionId, (held, now) => {
      const alive = held !== null && held.until > now;
      if (alive && held.url !== url) {
        return { result: { mine: false, url: held.url, fence: held.fence } };
      }
      // The time too: a database that was emptied must not give a fence anew.
      const fence = alive ? held.fence : Math.max((held?.fence ?? 0) + 1, now);
      return { result: { mine: true, url, fence }, lease: { url, fence, until: now + ttlMs } };
    });
  }

  /** Keeps the session for so long from now. */
  renew(sessionId: string, fence: number, ttlMs: number): Promise<boolean> {
    return this.#change<boolean>(sessionId, (held, now) => {
      if (held === null || held.fence !== fence || held.until <= now) return { result: false };
      return { result: true, lease: { ...held, until: now + ttlMs } };
    });
  }

  /** Gives the session up. The fence is remembered. */
  release(sessionId: string, fence: number): Promise<void> {
    return this.#change<void>(
      sessionId,
      (held) =>
        held === null || held.fence !== fence
          ? { result: undefined }
          : { result: undefined, lease: { ...held, until: 0 } },
    );
  }

  async #change<T>(
    sessionId: string,
    step: (
      held: KvLease | null,
      now: number,
    ) => { result: T; lease?: KvLease },
  ): Promise<T> {
    const key = [...this.#prefix, "owner", sessionId];
    for (let tried = 1;; tried++) {
      const { value, versionstamp } = await this.#kv.get(key);
      const { result, lease } = step(decode(value), Date.now());
      if (lease === undefined) return result;
      const { ok } = await this.#kv.atomic().check({ key, versionstamp }).set(key, lease).commit();
      if (ok) return result;
      if (tried === TRIES) throw new Error("the owner of the session changes too fast");
    }
  }
}

function decode(value: unknown): KvLease | null {
  if (!isJsonObject(value)) return null;
  const { url, fence, until } = value as Record<string, unknown>;
  if (typeof url !== "string" || typeof fence !== "number" || typeof until !== "number") {
    return null;
  }
  return { url, fence, until };
}

/** One event. */
export interface TailEntry {
  /** Its number: one more than that of the event before it, across owners. */
  seq: number;
  /** What it is; opaque. */
  text: string;
}

/**
 * Keeps the newest events of each session for its next owner. A browser is told an event only when it is in here, so that
 * the next owner goes on behind what the browser knows. See `examples/web_cluster` for Redis.
 */
export interface EventTail {
  /** Adds events; `false`, and nothing is added, when an owner with a greater fence has appended or read. */
  append(sessionId: string, fence: number, entries: readonly TailEntry[]): Promise<boolean>;
  /** The events kept, oldest first; from now on smaller fences are refused. `null` when this one is refused itself. */
  read(sessionId: string, fence: number): Promise<TailEntry[] | null>;
}

/** A tail in this process: for tests. */
export class MemoryEventTail implements EventTail {
  readonly #tails: Map<string, { fence: number; entries: TailEntry[] }> = new Map();
  readonly #max: number;

  /** Keeps so many events of each session. */
  constructor(maxEvents = 4096) {
    this.#max = maxEvents;
  }

  /** Adds events. */
  append(sessionId: string, fence: number, entries: readonly TailEntry[]): Promise<boolean> {
    const tail = this.#of(sessionId);
    if (tail.fence > fence) return Promise.resolve(false);
    tail.fence = fence;
    tail.entries.push(...entries);
    tail.entries.splice(0, tail.entries.length - this.#max);
    return Promise.resolve(true);
  }

  /** The events kept. */
  read(sessionId: string, fence: number): Promise<TailEntry[] | null> {
    const tail = this.#of(sessionId);
    if (tail.fence > fence) return Promise.resolve(null);
    tail.fence = fence;
    return Promise.resolve([...tail.entries]);
  }

  #of(sessionId: string): { fence: number; entries: TailEntry[] } {
    let tail = this.#tails.get(sessionId);
    if (tail === undefined) this.#tails.set(sessionId, tail = { fence: 0, entries: [] });
    return tail;
  }
}
