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
}

/** Keeps the sessions, so that a restarted bridge still knows who owns which thread. */
export interface SessionStore {
  /** The session with this id, or `null`. */
  get(sessionId: string): Promise<StoredSession | null>;
  /** The tenant's session on this thread, or `null`. */
  findThread(tenant: string, threadId: string): Promise<StoredSession | null>;
  /** The tenant's sessions, newest first. */
  list(tenant: string): Promise<StoredSession[]>;
  /** Adds a session, or replaces what is remembered of it. */
  put(session: StoredSession): Promise<void>;
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

  /** Adds a session, or replaces what is remembered of it. */
  put(session: StoredSession): Promise<void> {
    this.#sessions.set(session.sessionId, { ...session });
    return Promise.resolve();
  }

  /** Forgets a session. */
  delete(sessionId: string): Promise<void> {
    this.#sessions.delete(sessionId);
    return Promise.resolve();
  }
}
