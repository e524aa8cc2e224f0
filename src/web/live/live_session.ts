/**
 * One session that is in use: its thread, its turn, its events.
 * @module
 */
import type { ApprovalDecision } from "../../approvals/mod.ts";
import { SessionClosedError } from "../../errors/mod.ts";
import { isRefusal } from "../../protocol/mod.ts";
import type { SessionConfig, TurnEvent, TurnSnapshot } from "../../session/mod.ts";
import type { PromptWithAttachments } from "../../prompt.ts";
import { badRequest, conflict, notFound } from "../http/refusals.ts";
import type { CheckedTurn } from "../http/check_request.ts";
import type { WebClient, WebThread, WebTurnStream } from "../client.ts";
import { SessionLog } from "./session_log.ts";
import type { SessionStore, StoredSession } from "../store/session_store.ts";
import { Transcript } from "./transcript.ts";
import type { ClosedWebSession, WebApproval, WebSession, WebSnapshot } from "../types.ts";

/** What a live session is made of. */
export interface LiveSessionParts {
  /** What is remembered of it. */
  record: StoredSession;
  /** Who remembers. */
  store: SessionStore;
  /** Who runs it. */
  client: WebClient;
  /** How its thread is opened. */
  config: () => Promise<SessionConfig>;
  /** The open thread; `null` to open it when a turn needs it. */
  thread: WebThread | null;
  /** The turns before this process. */
  history: readonly TurnSnapshot[];
  /** Events kept. */
  maxLogEvents: number;
  /** Characters of events kept, and of turns. */
  maxLogBytes: number;
}

/** Answered questions that are remembered, to tell a late answer from a wrong one. */
const MAX_ANSWERED = 256;
const TITLE_LENGTH = 80;

/** A session in use. Knows nothing of tenants: who may call is decided before. */
export class LiveSession {
  /** Its events. */
  readonly log: SessionLog;
  /** Subscriptions that are open. */
  subscribers = 0;
  /** When it was last used. */
  usedAt: number = Date.now();
  readonly #parts: LiveSessionParts;
  readonly #transcript: Transcript;
  readonly #answered: Set<string> = new Set();
  #record: StoredSession;
  #thread: Promise<WebThread> | null;
  #opened: WebThread | null;
  #busy = false;
  #stream: WebTurnStream | null = null;
  #pump: Promise<void> = Promise.resolve();
  #leaving: Promise<unknown> | null = null;
  #closing: Promise<ClosedWebSession> | null = null;

  /** Creates it; its thread is opened when it is needed. */
  constructor(parts: LiveSessionParts) {
    this.#parts = parts;
    this.#record = parts.record;
    this.#opened = parts.thread;
    this.#thread = parts.thread === null ? null : Promise.resolve(parts.thread);
    this.log = new SessionLog(parts.maxLogEvents, parts.maxLogBytes);
    this.#transcript = new Transcript(parts.history, parts.maxLogBytes);
  }

  /** Who owns it. */
  get tenant(): string {
    return this.#record.tenant;
  }

  /** Its thread. */
  get threadId(): string {
    return this.#opened?.threadId ?? this.#record.threadId;
  }

  /** Whether nobody would miss it. */
  get idle(): boolean {
    return !this.#busy && this.subscribers === 0 && this.#leaving === null;
  }

  /** What a list shows. */
  view(): WebSession {
    const { sessionId, title, createdAt, model, effort } = this.#record;
    const runningTurnId = this.#stream?.turnId ?? null;
    return { sessionId, threadId: this.threadId, title, createdAt, model, effort, runningTurnId };
  }

  /** Everything, as of the log's newest event. */
  snapshot(): WebSnapshot {
    return {
      ...this.view(),
      cursor: this.log.cursor,
      turns: this.#transcript.turns(),
      omittedTurns: this.#transcript.omitted,
      approvals: this.approvals(),
    };
  }

  /** The questions that wait for a person. */
  approvals(): WebApproval[] {
    return this.#parts.client.approvals.pending()
      .filter(({ request, waitingFor }) =>
        request.threadId === this.threadId && waitingFor === "handler"
      )
      .map(({ request, deadline }) => ({ request, deadline }));
  }

  /** Opens the thread, if it is not. */
  open(): Promise<WebThread> {
    this.#assertStays();
    this.#thread ??= this.#openThread().catch((error) => {
      this.#thread = null;
      throw error;
    });
    return this.#thread;
  }

  /** Starts a turn. One at a time: a second one is refused, since it would wait for who knows how long. */
  async startTurn(turn: CheckedTurn): Promise<string> {
    this.#assertStays();
    if (this.#busy) {
      throw conflict("turnRunning", "A turn is running. Steer it, or wait for its end.");
    }
    this.#busy = true;
    try {
      const thread = await this.open();
      await this.#remember(thread, turn.prompt.text);
      const { model, effort, timeoutMs } = turn;
      const stream = await thread.askStream(turn.prompt, {
        ...(model === null ? {} : { model }),
        ...(effort === null ? {} : { effort }),
        ...(timeoutMs === null ? {} : { timeoutMs }),
      });
      this.#stream = stream;
      this.#pump = this.#follow(stream);
      return stream.turnId;
    } catch (error) {
      this.#busy = false;
      // A thread that was closed behind our back is opened anew next time.
      if (error instanceof SessionClosedError && this.#leaving === null) {
        this.#thread = this.#opened = null;
      }
      throw error;
    }
  }

  /** Adds to the running turn. */
  async steer(turnId: string, input: PromptWithAttachments): Promise<void> {
    try {
      await this.#running(turnId).steer(input);
    } catch (error) {
      const over = error instanceof SessionClosedError ||
        isRefusal(error, "noActiveTurn");
      throw over ? notRunning() : error;
    }
  }

  /** Stops the running turn. */
  async interrupt(turnId: string): Promise<void> {
    await this.#running(turnId).interrupt();
  }

  /** Answers a question of this session. Throws `WebError` when it does not wait, or the answer does not fit. */
  answer(id: string, decision: ApprovalDecision): void {
    const { approvals } = this.#parts.client;
    const pending = approvals.pending().find(({ request }) =>
      request.id === id && request.threadId === this.threadId
    );
    if (pending === undefined) {
      if (!this.#answered.has(id)) throw notFound("question");
      throw conflict("alreadyAnswered", "This question has been answered.");
    }
    if (pending.waitingFor !== "handler") {
      throw conflict("notReady", "This question does not wait for a person yet. Try again.");
    }
    if (!approvals.answer(id, decision)) {
      throw badRequest("The answer does not fit the question.", "invalidAnswer");
    }
    this.#settled(id);
  }

  /** Stops the turn, archives the thread, forgets the session. When that fails it can be tried again. */
  close(): Promise<ClosedWebSession> {
    if (this.#closing !== null) return this.#closing;
    this.#assertStays();
    const closing = this.#leave(async (): Promise<ClosedWebSession> => {
      const { threadId } = this;
      const { client, store } = this.#parts;
      if (this.#thread === null) await this.#archiveUnopened(client);
      else await (await this.#thread).close();
      await store.delete(this.#record.sessionId);
      await this.#pump;
      this.log.append({ type: "sessionClosed", sessionId: this.#record.sessionId });
      this.log.close();
      return { threadId, archived: true };
    });
    this.#closing = closing;
    closing.catch(() => this.#closing = null);
    return closing;
  }

  /** Stops the turn and lets go of the thread; the session can be taken up again. */
  async release(): Promise<void> {
    await (this.#leaving ?? this.#leave(async () => {
      try {
        await (await this.#thread)?.release();
        await this.#pump;
      } finally {
        this.log.close();
      }
    }));
  }

  #leave<T>(action: () => Promise<T>): Promise<T> {
    const leaving = action().catch((error) => {
      this.#leaving = null;
      throw error;
    });
    this.#leaving = leaving;
    return leaving;
  }

  #assertStays(): void {
    if (this.#leaving !== null) {
      throw conflict("sessionClosing", "The session is being closed.");
    }
  }

  async #openThread(): Promise<WebThread> {
    const { client, config } = this.#parts;
    const { threadId, used } = this.#record;
    if (!used) {
      // Codex forgets a thread without turns.
      this.#opened = await client.startSession(await config());
      await this.#store({ threadId: this.#opened.threadId });
      return this.#opened;
    }
    try {
      this.#opened = await client.resumeSession(threadId, await config());
    } catch (error) {
      throw isRefusal(error, "threadGone") ? notFound("thread any more") : error;
    }
    return this.#opened;
  }

  async #archiveUnopened(client: WebClient): Promise<void> {
    try {
      await client.archiveThread(this.#record.threadId);
    } catch (error) {
      if (this.#record.used && !isRefusal(error, "threadGone")) throw error;
    }
  }

  /** Before the first turn: a thread that has one must be resumed later, not started anew. */
  async #remember(thread: WebThread, text: string): Promise<void> {
    const { used, title, threadId } = this.#record;
    if (used && threadId === thread.threadId) return;
    await this.#store({
      threadId: thread.threadId,
      title: title ?? text.trim().split("\n")[0]!.slice(0, TITLE_LENGTH),
      used: true,
    });
  }

  async #store(change: Partial<StoredSession>): Promise<void> {
    const record = { ...this.#record, ...change };
    await this.#parts.store.put(record);
    this.#record = record;
  }

  #running(turnId: string): WebTurnStream {
    this.#assertStays();
    if (this.#stream?.turnId !== turnId) throw notRunning();
    return this.#stream;
  }

  async #follow(stream: WebTurnStream): Promise<void> {
    let ended = false;
    for (let event = await stream.recv(); event !== null; event = await stream.recv()) {
      if (event.type === "turnCompleted") {
        ended = true;
        this.#free(stream);
      }
      this.#take(event);
    }
    if (ended) return;
    this.#free(stream);
    const error = { kind: "other", message: "The turn ended without a word." };
    const { threadId } = this;
    this.#take({
      type: "turnCompleted",
      threadId,
      turnId: stream.turnId,
      status: "failed",
      error,
    });
  }

  /** Before its last event is told: who hears it may start the next turn at once. */
  #free(stream: WebTurnStream): void {
    this.usedAt = Date.now();
    if (this.#stream !== stream) return;
    this.#stream = null;
    this.#busy = false;
  }

  #take(event: TurnEvent): void {
    // Nobody knows what a newer codex says in them; they are not for tenants.
    if (event.type === "unknown") return;
    if (event.type === "approvalResolved") this.#settled(event.audit.id);
    const told = forTenants(event);
    this.#transcript.apply(told);
    this.log.append(told);
  }

  #settled(id: string): void {
    this.#answered.add(id);
    if (this.#answered.size <= MAX_ANSWERED) return;
    for (const oldest of this.#answered) {
      this.#answered.delete(oldest);
      break;
    }
  }
}

type KnownTurnEvent = Exclude<TurnEvent, { type: "unknown" }>;

/** The end of codex is told with its stderr, which is for the operator alone. */
function forTenants(event: KnownTurnEvent): KnownTurnEvent {
  if (event.type !== "turnCompleted" || event.status !== "connectionClosed") return event;
  return { ...event, error: { kind: "other", message: "The connection to codex was lost." } };
}

function notRunning(): Error {
  return conflict("turnNotRunning", "This turn is not running.");
}
