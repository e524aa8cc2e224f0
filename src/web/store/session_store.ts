/**
 * Who owns which thread.
 * @module
 */

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
  /** When it was last used, to some minutes. */
  usedAt: Date;
  /** 1 for a new record, and one more with each change. */
  revision: number;
}

/** Keeps the sessions, so that a restarted bridge still knows who owns which thread. */
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

/** Keeps sessions in this process. */
export class MemorySessionStore implements SessionStore {
  readonly #sessions: Map<string, StoredSession> = new Map();

  /** The session with this id, or `null`. */
  get(sessionId: string): Promise<StoredSession | null> {
    const found = this.#sessions.get(sessionId);
    return Promise.resolve(found === undefined ? null : { ...found });
  }

  /** The tenant's session on this thread, or `null`. */
  async findThread(tenant: string, threadId: string): Promise<StoredSession | null> {
    return (await this.list(tenant)).find((session) => session.threadId === threadId) ?? null;
  }

  /** The tenant's sessions, newest first. */
  list(tenant: string): Promise<StoredSession[]> {
    const own = [...this.#sessions.values()].filter((session) => session.tenant === tenant);
    own.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
    return Promise.resolve(own.map((session) => ({ ...session })));
  }

  /** Sessions of all tenants that were last used before this. */
  unusedSince(before: Date): Promise<StoredSession[]> {
    return Promise.resolve([...this.#sessions.values()].filter(({ usedAt }) => usedAt < before));
  }

  /** Adds a session, or replaces the one before it. */
  put(session: StoredSession): Promise<boolean> {
    const before = this.#sessions.get(session.sessionId)?.revision ?? 0;
    if (before !== session.revision - 1) return Promise.resolve(false);
    this.#sessions.set(session.sessionId, { ...session });
    return Promise.resolve(true);
  }

  /** Forgets a session. */
  delete(sessionId: string): Promise<void> {
    this.#sessions.delete(sessionId);
    return Promise.resolve();
  }
}
