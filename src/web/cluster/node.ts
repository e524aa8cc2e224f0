/**
 * This bridge's part in a cluster.
 * @module
 */
import { WebError } from "../../errors/mod.ts";
import { randomId } from "../ids.ts";
import type { ClusterOptions } from "../options.ts";
import type { SessionStore } from "../store/session_store.ts";
import { changedElsewhere } from "../http/refusals.ts";
import { type Restored, restoredFrom, type TailParts } from "../live/tail_pump.ts";
import { Leases } from "./leases.ts";

/** Milliseconds that a lease lasts by default. */
const LEASE_MS = 10_000;

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
    const { tail } = this.#options;
    if (tail === undefined) return null;
    const onFenced = () => {
      void this.release(sessionId);
      this.#onLost(sessionId);
    };
    return { tail, sessionId, fence, onFenced, onError: this.#onError };
  }

  /** What the owners before told, or `null` without a tail. */
  async restored(sessionId: string, fence: number): Promise<Restored | null> {
    const { tail } = this.#options;
    if (tail === undefined) return null;
    const entries = await tail.read(sessionId, fence).catch((error) => {
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

/** The store, whose failures are an engine's that is away for a while: 503, and not this server's own. */
export function sharedStore(store: SessionStore): SessionStore {
  const guarded = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      throw new WebError(503, "storeUnavailable", "The sessions can't be read. Try again soon.", {
        cause: error,
      });
    }
  };
  const { unusedSince } = store;
  return {
    get: (sessionId) => guarded(store.get(sessionId)),
    findThread: (tenant, threadId) => guarded(store.findThread(tenant, threadId)),
    list: (tenant) => guarded(store.list(tenant)),
    put: (session) => guarded(store.put(session)),
    delete: (sessionId) => guarded(store.delete(sessionId)),
    ...(unusedSince === undefined
      ? {}
      : { unusedSince: (before) => guarded(unusedSince.call(store, before)) }),
  };
}
