/**
 * Session owners in Deno KV.
 * @module
 */
import { type KvDatabase, type KvKey, patientKv } from "../../kv.ts";
import { isJsonObject } from "../../json.ts";
import type { SessionClaim, SessionOwners } from "./session_owners.ts";

/** How a {@linkcode KvSessionOwners} names its keys. */
export interface KvSessionOwnersOptions {
  /** First parts of every key. Default `["codex-web"]`. */
  prefix?: KvKey;
}

interface Lease {
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
    step: (held: Lease | null, now: number) => { result: T; lease?: Lease },
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
