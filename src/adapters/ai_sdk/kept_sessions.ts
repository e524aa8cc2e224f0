/**
 * The sessions of a model between two calls: each conversation keeps its own, a limited number of them.
 * @module
 */
import type { ModelSession } from "./model_client.ts";

interface Kept {
  readonly session: ModelSession;
  readonly key: string;
}

/** Sessions that wait for the next message of their conversation, the one that was used last at the end. */
export class KeptSessions {
  readonly #max: number;
  readonly #kept: Map<string, Kept> = new Map();
  /** Sessions whose turn has ended, and whose answer is not read to its end. */
  readonly #unread: Set<ModelSession> = new Set();
  #closed = false;

  /** Keeps so many at most. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Whether it takes no more. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The session that has had this conversation; nobody else gets it until it is kept again. Where the history names a thread
   * it must be that one: other people may have said the same words.
   */
  take(key: string, threadId: string | null): ModelSession | null {
    for (const [id, kept] of [...this.#kept].reverse()) {
      if (kept.session.closed) this.#kept.delete(id);
      else if (kept.key === key && (threadId === null || id === threadId)) {
        this.#kept.delete(id);
        return kept.session;
      }
    }
    return null;
  }

  /** Keeps a session for the conversation that it has had now. */
  keep(key: string, session: ModelSession): void {
    if (this.#closed || this.#max === 0) return releaseSession(session);
    // It was given up while its answer was unread.
    if (session.closed) return;
    this.#kept.set(session.threadId, { key, session });
    for (const [id, kept] of this.#kept) {
      if (this.#kept.size <= this.#max) break;
      this.#kept.delete(id);
      releaseSession(kept.session);
    }
  }

  /** A session's turn has ended; nobody may ever read of it, so that no more of them wait than are kept. */
  answered(session: ModelSession): void {
    this.#unread.add(session);
    for (const oldest of this.#unread) {
      if (!this.#closed && this.#unread.size <= this.#max) break;
      this.#unread.delete(oldest);
      releaseSession(oldest);
    }
  }

  /** Its answer was read, or is not wanted any more. */
  read(session: ModelSession): void {
    this.#unread.delete(session);
  }

  /** Releases all; those in use follow when their turns end. */
  async close(): Promise<void> {
    this.#closed = true;
    const kept = [...this.#kept.values()].map(({ session }) => session);
    const sessions = [...kept, ...this.#unread];
    this.#kept.clear();
    this.#unread.clear();
    await Promise.allSettled(sessions.map((session) => session.release()));
  }
}

/** Nobody waits for it, and one that can't be released goes with its client. */
export function releaseSession(session: ModelSession): void {
  session.release().catch(() => {});
}
