/**
 * What the nodes of a cluster share: which of them has which session, and the newest events of each.
 * @module
 */
import {
  checkArgument,
  checkArguments,
  count,
  list,
  milliseconds,
  name,
  object,
  required,
  type Shape,
  shape,
  text,
} from "../../check/mod.ts";
import { isJsonObject } from "../../json.ts";
import { type KvDatabase, type KvKey, takeKv } from "../../kv.ts";

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

function check(where: string, sessionId: unknown, fence: unknown, ttlMs: unknown): void {
  checkArguments(where, {
    sessionId: [sessionId, required(name)],
    fence: [fence, required(count(0))],
    ttlMs: [ttlMs, required(milliseconds)],
  });
}

interface Lease {
  url: string;
  fence: number;
  until: number;
}

/**
 * Owners in this process: for tests, and for several bridges in one process.
 *
 * ```ts
 * import { web } from "@codex/runtime";
 *
 * const owners = new web.MemorySessionOwners(); // given to each bridge as `cluster.owners`
 * console.log(owners);
 * ```
 */
export class MemorySessionOwners implements SessionOwners {
  readonly #leases: Map<string, Lease> = new Map();
  readonly #now: () => number;

  /** `now` tells the time in milliseconds. Default: the clock. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Takes the session unless another node has it. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async claim(sessionId: string, url: string, ttlMs: number): Promise<SessionClaim> {
    check("claim", sessionId, 0, ttlMs);
    checkArgument("claim", "url", url, required(name));
    const now = this.#now();
    const held = this.#leases.get(sessionId);
    if (held !== undefined && held.until > now && held.url !== url) {
      return { mine: false, url: held.url, fence: held.fence };
    }
    const kept = held !== undefined && held.until > now;
    const fence = kept ? held.fence : (held?.fence ?? 0) + 1;
    this.#leases.set(sessionId, { url, fence, until: now + ttlMs });
    return { mine: true, url, fence };
  }

  /** Keeps the session for so long from now. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async renew(sessionId: string, fence: number, ttlMs: number): Promise<boolean> {
    check("renew", sessionId, fence, ttlMs);
    const now = this.#now();
    const held = this.#leases.get(sessionId);
    if (held === undefined || held.fence !== fence || held.until <= now) {
      return false;
    }
    held.until = now + ttlMs;
    return true;
  }

  /** Gives the session up. The fence is remembered. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async release(sessionId: string, fence: number): Promise<void> {
    check("release", sessionId, fence, Infinity);
    const held = this.#leases.get(sessionId);
    if (held?.fence === fence) held.until = 0;
  }
}

// Session owners in Deno KV.

/** How a {@linkcode KvSessionOwners} names its keys. */
export interface KvSessionOwnersOptions {
  /** First parts of every key. Default `["codex-web"]`. */
  prefix?: KvKey;
}

const TRIES = 20;

/**
 * Keeps the owners of sessions in Deno KV. The time is that of the machines, whose clocks must agree to about a second:
 * KV has none of its own. The database stays yours to close.
 *
 * ```ts ignore
 * const owners = new web.KvSessionOwners(await Deno.openKv("https://…"));
 * ```
 */
export class KvSessionOwners implements SessionOwners {
  readonly #kv: KvDatabase;
  readonly #prefix: KvKey;

  /** Creates it on an open database. */
  constructor(kv: KvDatabase, options: KvSessionOwnersOptions = {}) {
    ({ kv: this.#kv, prefix: this.#prefix } = takeKv("KvSessionOwners", kv, options, "codex-web"));
  }

  /** Takes the session unless another node has it. */
  async claim(sessionId: string, url: string, ttlMs: number): Promise<SessionClaim> {
    check("claim", sessionId, 0, ttlMs);
    checkArgument("claim", "url", url, required(name));
    return await this.#change<SessionClaim>(sessionId, (held, now) => {
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
  async renew(sessionId: string, fence: number, ttlMs: number): Promise<boolean> {
    check("renew", sessionId, fence, ttlMs);
    return await this.#change<boolean>(sessionId, (held, now) => {
      if (held === null || held.fence !== fence || held.until <= now) return { result: false };
      return { result: true, lease: { ...held, until: now + ttlMs } };
    });
  }

  /** Gives the session up. The fence is remembered. */
  async release(sessionId: string, fence: number): Promise<void> {
    check("release", sessionId, fence, Infinity);
    return await this.#change<void>(
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
      held: Lease | null,
      now: number,
    ) => { result: T; lease?: Lease },
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

function decode(value: unknown): Lease | null {
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

const ENTRY: Shape = shape<TailEntry>({ seq: required(count(0)), text: required(text) });

/**
 * A tail in this process: for tests.
 *
 * ```ts
 * import { web } from "@codex/runtime";
 *
 * const tail = new web.MemoryEventTail(); // given to each bridge as `cluster.tail`
 * console.log(tail);
 * ```
 */
export class MemoryEventTail implements EventTail {
  readonly #tails: Map<string, { fence: number; entries: TailEntry[] }> = new Map();
  readonly #max: number;

  /** Keeps so many events of each session. */
  constructor(maxEvents = 4096) {
    checkArgument("MemoryEventTail", "maxEvents", maxEvents, count(1));
    this.#max = maxEvents;
  }

  /** Adds events. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async append(sessionId: string, fence: number, entries: readonly TailEntry[]): Promise<boolean> {
    check("append", sessionId, fence, Infinity);
    checkArgument("append", "entries", entries, required(list(object(ENTRY))));
    const tail = this.#of(sessionId);
    if (tail.fence > fence) return false;
    tail.fence = fence;
    tail.entries.push(...entries);
    tail.entries.splice(0, tail.entries.length - this.#max);
    return true;
  }

  /** The events kept. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async read(sessionId: string, fence: number): Promise<TailEntry[] | null> {
    check("read", sessionId, fence, Infinity);
    const tail = this.#of(sessionId);
    if (tail.fence > fence) return null;
    tail.fence = fence;
    return [...tail.entries];
  }

  #of(sessionId: string): { fence: number; entries: TailEntry[] } {
    let tail = this.#tails.get(sessionId);
    if (tail === undefined) this.#tails.set(sessionId, tail = { fence: 0, entries: [] });
    return tail;
  }
}
