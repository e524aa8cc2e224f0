/**
 * The thread behind a session: opened when it is needed, written down, closed for good.
 * @module
 */
import { keepNewest } from "../../json.ts";
import type { ApprovalDecision } from "../../approvals/mod.ts";
import { delay } from "../../async.ts";
import { RpcError, ThreadInUseError } from "../../errors/mod.ts";
import { isRefusal } from "../../protocol/mod.ts";
import type {
  PendingApprovals,
  SessionConfig,
  SessionEvent,
  TurnEvent,
} from "../../session/mod.ts";
import type { WebClient, WebThread, WebTurnStream } from "../client.ts";
import { badRequest, changedElsewhere, conflict, notFound } from "../http/refusals.ts";
import type { SessionStore, StoredSession } from "../store/session_store.ts";
import type { WebApproval, WebSession, WebSessionEvent, WebThreadEvent } from "../types.ts";
import { threadEvent } from "./transcript.ts";

const TITLE_LENGTH = 80;
const IN_USE_TRIES = 4;
const IN_USE_DELAY_MS = 250;

/** What a {@linkcode SessionThread} is made of. */
export interface SessionThreadParts {
  /** What is remembered of the session. */
  record: StoredSession;
  /** Who remembers. */
  store: SessionStore;
  /** Who runs it. */
  client: WebClient;
  /** How its thread is opened. */
  config: () => Promise<SessionConfig>;
  /** The open thread; `null` to open it when a turn needs it. */
  thread: WebThread | null;
  /** Codex has lost its thread: it can be read and closed. */
  gone: boolean;
  /** How exactly it is remembered when the session was used, in milliseconds. */
  usedAtStepMs: number;
}

/** The thread of one session and what is remembered of it. */
export class SessionThread {
  readonly #parts: SessionThreadParts;
  #record: StoredSession;
  #opened: WebThread | null;
  #opening: Promise<WebThread> | null;
  #closeFailed = false;
  /** A record of which nobody knows whether the store has it: its answer was lost. */
  #unsure: StoredSession | null = null;
  /** What has to be taken back in the store: with the next change, where it could not be told by itself. */
  #owed: Partial<StoredSession> | null = null;
  /** What is being written down: one change after the other. */
  #storing: Promise<unknown> = Promise.resolve();

  /** Nothing is opened yet. */
  constructor(parts: SessionThreadParts) {
    this.#parts = parts;
    this.#record = parts.record;
    this.#opened = parts.thread;
    this.#opening = parts.thread === null ? null : Promise.resolve(parts.thread);
  }

  /** What is remembered of the session. */
  get record(): StoredSession {
    return this.#record;
  }

  /** The thread's id. */
  get threadId(): string {
    return this.#opened?.threadId ?? this.#record.threadId;
  }

  /** Opens the thread, if it is not. */
  open(): Promise<WebThread> {
    this.#opening ??= this.#open().catch((error) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  /** The thread was closed behind our back: it is opened anew next time. */
  forget(): void {
    this.#opening = this.#opened = null;
  }

  /** Releases the thread, if it is open. */
  async release(): Promise<void> {
    await (await this.#opening)?.release();
  }

  /** Archives the thread and forgets the session; tells whether codex could archive it. */
  async close(): Promise<boolean> {
    const archived = this.#opening === null
      ? await this.#archive()
      : await this.#close(await this.#opening);
    // What came later would be written into a chat that begins anew under the name.
    await this.#storing;
    await this.#parts.store.delete(this.#record.sessionId);
    return archived;
  }

  /** It was used then, in milliseconds of the clock. */
  async used(at: number): Promise<void> {
    const recent = at - this.#record.usedAt.getTime() < this.#parts.usedAtStepMs;
    if (recent && this.#owed === null) return;
    await this.#store({ usedAt: new Date(at) });
  }

  /**
   * Before the first turn: a thread that has one must be resumed later, not started anew. What it settles with takes that
   * back, for a first turn that did not begin.
   */
  async remember(thread: WebThread, text: string): Promise<() => Promise<void>> {
    const { used, title, threadId, usedAt } = this.#record;
    const recent = Date.now() - usedAt.getTime() < this.#parts.usedAtStepMs;
    const takeBack = async () => {
      if (used) return;
      this.#owed = { used, title };
      await this.#store({});
    };
    // What is on its way, or may have arrived, can say that nothing was asked.
    const isSure = this.#unsure === null && this.#owed === null;
    if (!used || threadId !== thread.threadId || !recent || !isSure) {
      await this.#store({
        threadId: thread.threadId,
        usedAt: new Date(),
        title: title ?? text.trim().split("\n")[0]!.slice(0, TITLE_LENGTH).toWellFormed(),
        used: true,
      }).catch((error) => {
        // The store may have it all the same.
        takeBack().catch(() => {});
        throw error;
      });
    }
    return takeBack;
  }

  async #open(): Promise<WebThread> {
    const { client, config } = this.#parts;
    const { threadId, used } = this.#record;
    if (!used) {
      // Codex forgets a thread without turns.
      return await this.#instead(await client.startSession(await config()));
    }
    if (this.#parts.gone) throw notFound("thread any more");
    try {
      this.#opened = await this.#resume(threadId, await config());
    } catch (error) {
      throw isRefusal(error, "threadGone") ? notFound("thread any more") : error;
    }
    return this.#opened;
  }

  /** A thread that another codex keeps, such as that of an owner before this one, goes on as a copy. */
  async #resume(threadId: string, config: SessionConfig): Promise<WebThread> {
    const { client } = this.#parts;
    for (let tried = 0;; tried++) {
      try {
        return await client.resumeSession(threadId, config);
      } catch (error) {
        if (!(error instanceof ThreadInUseError) || client.forkSession === undefined) throw error;
        // A codex that is just ending releases it in a moment.
        if (tried < IN_USE_TRIES) await delay(IN_USE_DELAY_MS);
        else break;
      }
    }
    return await this.#instead(await client.forkSession(threadId, config));
  }

  /** From now on this is the session's thread. One that can't be remembered is nobody's. */
  async #instead(thread: WebThread): Promise<WebThread> {
    try {
      await this.#store({ threadId: thread.threadId });
    } catch (error) {
      thread.close().catch(() => {});
      throw error;
    }
    return this.#opened = thread;
  }

  /** `false` when codex can't archive it: what is lost is forgotten all the same. */
  async #archive(): Promise<boolean> {
    try {
      await this.#parts.client.archiveThread(this.#record.threadId);
      return true;
    } catch (error) {
      if (this.#record.used && !isFinal(error)) throw error;
      return false;
    }
  }

  async #close(thread: WebThread): Promise<boolean> {
    try {
      await thread.close();
      // Without a codex that has archived nothing.
      return this.#parts.client.runtime?.connection !== "closed" || await this.#archive();
    } catch (error) {
      // The first time it may be tried again; what fails again will go on to fail.
      if (!isFinal(error) || !(this.#closeFailed || isRefusal(error, "threadGone"))) {
        this.#closeFailed = true;
        throw error;
      }
      await thread.release().catch(() => {});
      return false;
    }
  }

  async #store(change: Partial<StoredSession>): Promise<void> {
    const storing = this.#storing.then(() => this.#put(change));
    this.#storing = storing.catch(() => {});
    await storing;
  }

  async #put(change: Partial<StoredSession>): Promise<void> {
    const { store } = this.#parts;
    const sent = this.#unsure;
    if (sent !== null && isSame(sent, await store.get(sent.sessionId))) this.#record = sent;
    const revision = this.#record.revision + 1;
    const record = { ...this.#record, ...this.#owed, ...change, revision };
    this.#unsure = record;
    const isStored = await store.put(record);
    this.#unsure = null;
    if (!isStored) throw changedElsewhere();
    this.#record = record;
    this.#owed = null;
  }
}

/** What its tenant sees of a session that is not open. */
export function viewOf(record: StoredSession): WebSession {
  const { sessionId, threadId, title, createdAt, model, effort } = record;
  return { sessionId, threadId, title, createdAt, model, effort, runningTurnId: null };
}

/** Whether a record is the very one that was sent, so that nobody else has changed the session. */
function isSame(sent: StoredSession, found: StoredSession | null): boolean {
  return found !== null &&
    Object.entries(sent).every(([name, value]) =>
      JSON.stringify(found[name as keyof StoredSession]) === JSON.stringify(value)
    );
}

/** Whether trying again is of no use. */
function isFinal(error: unknown): boolean {
  return error instanceof RpcError && !error.retryable;
}

// The questions of a session.

/** Questions that are remembered, to tell a late answer from a wrong one. */
const MAX_REMEMBERED = 256;

/** Which of the client's questions are a session's, and which are answered. */
export class SessionQuestions {
  readonly #pending: PendingApprovals;
  readonly #threadId: () => string;
  /** Told in this session's events: those of its agent's own agents name another thread. */
  readonly #asked: Set<string> = new Set();
  /** Answered in these events, or by a person here. */
  readonly #answered: Set<string> = new Set();
  /** Ends that were told, the newest ones. */
  readonly #ends: Map<string, Resolved> = new Map();

  /** None is known yet. */
  constructor(pending: PendingApprovals, threadId: () => string) {
    this.#pending = pending;
    this.#threadId = threadId;
  }

  /** A question was told; `false` when it had been. */
  ask(id: string): boolean {
    return remember(this.#asked, id);
  }

  /** The answer to a question was told; `false` when it had been. */
  settle(end: Resolved): boolean {
    const { id } = end.audit;
    remember(this.#answered, id);
    if (this.#ends.has(id)) return false;
    this.#ends.set(id, end);
    keepNewest(this.#ends, MAX_REMEMBERED);
    return true;
  }

  /** How a question ended, while that is remembered. */
  endOf(id: string): Resolved | undefined {
    return this.#ends.get(id);
  }

  /** Those that wait for a person. */
  waiting(): WebApproval[] {
    return this.#pending.pending()
      .filter(({ request, waitingFor }) => this.#isOurs(request) && waitingFor === "handler")
      .map(({ request, deadline }) => ({ request, deadline }));
  }

  /** Answers one. Throws `WebError` when it does not wait, or the answer does not fit. */
  answer(id: string, decision: ApprovalDecision): void {
    const pending = this.#pending.pending().find(({ request }) =>
      request.id === id && this.#isOurs(request)
    );
    // An acceptance that is still being sent counts.
    if (this.#answered.has(id)) {
      throw conflict("alreadyAnswered", "This question has been answered.");
    }
    if (pending === undefined) throw notFound("question");
    if (pending.waitingFor !== "handler") {
      throw conflict("notReady", "This question does not wait for a person yet. Try again.");
    }
    if (!this.#pending.answer(id, decision)) {
      throw badRequest("The answer does not fit the question.", "invalidAnswer");
    }
    remember(this.#answered, id);
  }

  #isOurs(request: { id: string; threadId: string | null }): boolean {
    return request.threadId === this.#threadId() || this.#asked.has(request.id);
  }
}

type Resolved = Extract<Question, { type: "approvalResolved" }>;

/** What one reader of a session's questions was told, so that each is told once, and its end as well. */
export class ToldQuestions {
  /** Those whose end is still to be told. */
  readonly #open: Set<string> = new Set();
  /** Those whose end was told before its turn in the events. */
  readonly #early: Set<string> = new Set();

  /**
   * What a reader has to know who has just come, or for whom events are gone: the ends of what was told and waits no more,
   * then what waits.
   */
  missed(waiting: readonly Question[], questions: SessionQuestions): Question[] {
    const ends = [...this.#open].flatMap((id) => questions.endOf(id) ?? []);
    for (const { audit: { id } } of ends) {
      this.#open.delete(id);
      remember(this.#early, id);
    }
    return [...ends, ...waiting.filter((each) => this.take(each) !== null)];
  }

  /** The event; `null` for one that was told, and for what is about no question. */
  take(event: WebSessionEvent): Question | null {
    if (event.type === "approvalResolved") {
      this.#open.delete(event.audit.id);
      return this.#early.delete(event.audit.id) ? null : event;
    }
    if (event.type !== "approvalRequested") return null;
    const { id } = event.request;
    if (this.#open.has(id) || this.#early.has(id)) return null;
    this.#open.add(id);
    return event;
  }
}

/** The newest ones only; `false` for one that is known. */
function remember(ids: Set<string>, id: string): boolean {
  if (ids.has(id)) return false;
  ids.add(id);
  keepNewest(ids, MAX_REMEMBERED);
  return true;
}

// What happens on a session's thread besides what its people ask: turns that something else began, its goal, its agents.

/** Who is told. */
export interface ThreadListenerParts {
  /** A turn that nobody asked for has begun. */
  turn: (stream: WebTurnStream) => void;
  /** Something else happened. */
  event: (event: WebThreadEvent) => void;
  /** A question, or its answer; those of running turns come with them as well. */
  question: (event: Question) => void;
}

/** About a question. */
export type Question = Extract<TurnEvent, { type: "approvalRequested" | "approvalResolved" }>;

/** Listens to a session's thread until the session leaves it. */
export class ThreadListener {
  readonly #parts: ThreadListenerParts;
  #heard: WebThread | null = null;
  #leave: () => void = () => {};

  /** Listens to nothing yet. */
  constructor(parts: ThreadListenerParts) {
    this.#parts = parts;
  }

  /** From now on to this thread. */
  listen(thread: WebThread): void {
    if (this.#heard === thread) return;
    this.stop();
    const left = new AbortController();
    const events = thread.events?.({ subAgents: true });
    this.#heard = thread;
    this.#leave = () => {
      left.abort();
      events?.return?.().catch(() => {});
    };
    void this.#turns(thread, left.signal);
    if (events !== undefined) void this.#events(events, left.signal);
  }

  /** Hears no more. */
  stop(): void {
    this.#leave();
    this.#heard = null;
  }

  async #turns(thread: WebThread, signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted && thread.nextTurn !== undefined) {
        this.#parts.turn(await thread.nextTurn({ signal }));
      }
    } catch {
      // The thread was left, or is closed: it is heard again when it is opened again.
      if (this.#heard === thread) this.stop();
    }
  }

  async #events(events: AsyncIterableIterator<SessionEvent>, signal: AbortSignal): Promise<void> {
    try {
      for await (const event of events) {
        if (signal.aborted) return;
        if (event.type === "approvalRequested" || event.type === "approvalResolved") {
          this.#parts.question(event);
        } else {
          const told = threadEvent(event);
          if (told !== null) this.#parts.event(told);
        }
      }
    } catch {
      // As above.
    }
  }
}
