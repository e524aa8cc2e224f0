/**
 * Who owns which thread.
 * @module
 */
import {
  checkArgument,
  count,
  date,
  either,
  flag,
  type Kind,
  nothing,
  object,
  required,
  shape,
  text,
} from "../../check/mod.ts";
import { isJsonObject, stringOf } from "../../json.ts";
import { commitValue, type KvDatabase, type KvKey, takeKv } from "../../kv.ts";

/** What is remembered of a session. */
export interface StoredSession {
  /** Names the session; can't be guessed. */
  sessionId: string;
  /** Who owns it. */
  tenant: string;
  /** Codex's thread. */
  threadId: string;
  /** The beginning of the first prompt; `null` before it. */
  title: string | null;
  /** When it was created. */
  createdAt: Date;
  /** The model chosen for it, or `null`. */
  model: string | null;
  /** The effort chosen for it, or `null`. */
  effort: string | null;
  /** Whether a turn has been started; codex forgets a thread without one. */
  used: boolean;
  /** When it was last used; it may be ten minutes behind. */
  usedAt: Date;
  /** 1 for a new record, and one more with each change. */
  revision: number;
}

/**
 * Keeps the sessions, so that a restarted bridge still knows who owns which thread. One that throws, or gives no answer
 * within ten seconds (a cluster's `leaseMs`), costs the request a 503.
 */
export interface SessionStore {
  /** The session with this id, or `null`. */
  get(sessionId: string): Promise<StoredSession | null>;
  /** The tenant's session on this thread, or `null`. */
  findThread(tenant: string, threadId: string): Promise<StoredSession | null>;
  /** The tenant's sessions, newest first. */
  list(tenant: string): Promise<StoredSession[]>;
  /** Sessions of all tenants that were last used before this. Needed for `sessionTtlMs`. */
  unusedSince?(before: Date): Promise<StoredSession[]>;
  /**
   * Adds a session (`revision` 1), or replaces what is remembered of it. `false`, and nothing changes, unless the one
   * before it is there: none for revision 1, else the one with `revision - 1`. One atomic step.
   */
  put(session: StoredSession): Promise<boolean>;
  /** Forgets a session; nothing happens when there is none. */
  delete(sessionId: string): Promise<void>;
}

const wordOrNull: Kind = required(either(text, nothing));
const sessionKind: Kind = required(object(shape<StoredSession>({
  sessionId: required(text),
  tenant: required(text),
  threadId: required(text),
  title: wordOrNull,
  createdAt: required(date),
  model: wordOrNull,
  effort: wordOrNull,
  used: required(flag),
  usedAt: required(date),
  revision: required(count(1)),
})));

function check(where: string, texts: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(texts)) {
    checkArgument(where, name, value, required(text));
  }
}

/**
 * Keeps sessions in this process.
 *
 * ```ts
 * import { web } from "@codex/runtime";
 *
 * const store = new web.MemorySessionStore(); // `store` of a bridge or adapter; its default
 * console.log(store);
 * ```
 */
export class MemorySessionStore implements SessionStore {
  readonly #sessions: Map<string, StoredSession> = new Map();

  /** The session with this id, or `null`. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async get(sessionId: string): Promise<StoredSession | null> {
    check("get", { sessionId });
    const found = this.#sessions.get(sessionId);
    return found === undefined ? null : { ...found };
  }

  /** The tenant's session on this thread, or `null`. */
  async findThread(tenant: string, threadId: string): Promise<StoredSession | null> {
    check("findThread", { tenant, threadId });
    return (await this.list(tenant)).find((session) => session.threadId === threadId) ?? null;
  }

  /** The tenant's sessions, newest first. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async list(tenant: string): Promise<StoredSession[]> {
    check("list", { tenant });
    const own = [...this.#sessions.values()].filter((session) => session.tenant === tenant);
    own.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
    return own.map((session) => ({ ...session }));
  }

  /** Sessions of all tenants that were last used before this. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async unusedSince(before: Date): Promise<StoredSession[]> {
    checkArgument("unusedSince", "before", before, required(date));
    return [...this.#sessions.values()].filter(({ usedAt }) => usedAt < before);
  }

  /** Adds a session, or replaces the one before it. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async put(session: StoredSession): Promise<boolean> {
    checkArgument("put", "session", session, sessionKind);
    const before = this.#sessions.get(session.sessionId)?.revision ?? 0;
    if (before !== session.revision - 1) return false;
    this.#sessions.set(session.sessionId, { ...session });
    return true;
  }

  /** Forgets a session. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async delete(sessionId: string): Promise<void> {
    check("delete", { sessionId });
    this.#sessions.delete(sessionId);
  }
}

// Sessions in Deno KV.
//
// ```text
// […prefix, "session", sessionId]          what is remembered
// […prefix, "tenant", tenant, sessionId]   the sessions of a tenant
// ```

/** How a {@linkcode KvSessionStore} names its keys. */
export interface KvSessionStoreOptions {
  /** First parts of every key. Default `["codex-web"]`. */
  prefix?: KvKey;
}

/**
 * Keeps sessions in Deno KV, for bridges that restart and for several machines.
 *
 * ```ts ignore
 * import { web } from "@codex/runtime";
 * const store = new web.KvSessionStore(await Deno.openKv()); // on Bun and Node: openKv() of npm:@deno/kv
 * ```
 *
 * The database stays yours to close. Several machines need a `cluster` as well, since each session's codex runs on one.
 */
export class KvSessionStore implements SessionStore {
  readonly #kv: KvDatabase;
  readonly #prefix: KvKey;

  /** Creates a store on an open database. */
  constructor(kv: KvDatabase, options: KvSessionStoreOptions = {}) {
    ({ kv: this.#kv, prefix: this.#prefix } = takeKv("KvSessionStore", kv, options, "codex-web"));
  }

  /** The session with this id, or `null`. */
  async get(sessionId: string): Promise<StoredSession | null> {
    check("get", { sessionId });
    return decode((await this.#kv.get(this.#session(sessionId))).value);
  }

  /** The tenant's session on this thread, or `null`. */
  async findThread(tenant: string, threadId: string): Promise<StoredSession | null> {
    check("findThread", { tenant, threadId });
    return (await this.list(tenant)).find((session) => session.threadId === threadId) ?? null;
  }

  /** The tenant's sessions, newest first. */
  async list(tenant: string): Promise<StoredSession[]> {
    check("list", { tenant });
    const sessions: StoredSession[] = [];
    const prefix = [...this.#prefix, "tenant", tenant];
    for await (const { key } of this.#kv.list({ prefix })) {
      const session = await this.get(String(key[key.length - 1]));
      // The index only finds sessions; the session itself says whose it is.
      if (session !== null && session.tenant === tenant) sessions.push(session);
    }
    return sessions.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  /** Sessions of all tenants that were last used before this. */
  async unusedSince(before: Date): Promise<StoredSession[]> {
    checkArgument("unusedSince", "before", before, required(date));
    const found: StoredSession[] = [];
    for await (const { value } of this.#kv.list({ prefix: [...this.#prefix, "session"] })) {
      const session = decode(value);
      if (session !== null && session.usedAt < before) found.push(session);
    }
    return found;
  }

  /** Adds a session, or replaces the one before it. */
  async put(session: StoredSession): Promise<boolean> {
    checkArgument("put", "session", session, sessionKind);
    const key = this.#session(session.sessionId);
    const { value, versionstamp } = await this.#kv.get(key);
    if ((decode(value)?.revision ?? 0) !== session.revision - 1) return false;
    const commit = this.#kv.atomic()
      .check({ key, versionstamp })
      .set(this.#owner(session), true);
    return await commitValue(this.#kv, commit, key, session);
  }

  /** Forgets a session. */
  async delete(sessionId: string): Promise<void> {
    check("delete", { sessionId });
    const session = await this.get(sessionId);
    if (session === null) return;
    await this.#kv.atomic()
      .delete(this.#session(sessionId))
      .delete(this.#owner(session))
      .commit();
  }

  #session(sessionId: string): KvKey {
    return [...this.#prefix, "session", sessionId];
  }

  #owner({ tenant, sessionId }: StoredSession): KvKey {
    return [...this.#prefix, "tenant", tenant, sessionId];
  }
}

/** A record that is not whole belongs to nobody. */
function decode(value: unknown): StoredSession | null {
  if (!isJsonObject(value)) return null;
  const { sessionId, tenant, threadId, createdAt, used, usedAt, revision } = value as Record<
    string,
    unknown
  >;
  if (
    typeof sessionId !== "string" || typeof tenant !== "string" || typeof threadId !== "string"
  ) return null;
  return {
    sessionId,
    tenant,
    threadId,
    title: stringOf(value, "title"),
    createdAt: createdAt instanceof Date ? createdAt : new Date(0),
    model: stringOf(value, "model"),
    effort: stringOf(value, "effort"),
    used: used === true,
    // Records of an earlier version lack these.
    usedAt: usedAt instanceof Date ? usedAt : createdAt instanceof Date ? createdAt : new Date(0),
    revision: typeof revision === "number" ? revision : 1,
  };
}
