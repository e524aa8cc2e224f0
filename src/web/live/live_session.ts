/**
 * One session that is in use: its thread, its turn, its events.
 * @module
 */
import type { ApprovalDecision } from "../../approvals/mod.ts";
import { delay, within } from "../../async.ts";
import { RpcError, SessionClosedError, ThreadInUseError } from "../../errors/mod.ts";
import { isRefusal } from "../../protocol/mod.ts";
import type { SessionConfig, TurnEvent, TurnSnapshot } from "../../session/mod.ts";
import type { PromptWithAttachments } from "../../prompt.ts";
import { badRequest, changedElsewhere, conflict, notFound } from "../http/refusals.ts";
import type { CheckedTurn } from "../http/check_request.ts";
import type { WebClient, WebThread, WebTurnStream } from "../client.ts";
import { forTenants } from "./for_tenants.ts";
import { SessionLog } from "./session_log.ts";
import type { SessionStore, StoredSession } from "../store/session_store.ts";
import { type Restored, TailPump } from "./tail_pump.ts";
import type { TailParts } from "./tail_pump.ts";
import { Transcript } from "./transcript.ts";
import type {
  ClosedWebSession,
  WebApproval,
  WebSession,
  WebSessionEvent,
  WebSnapshot,
} from "../types.ts";

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
  /** Codex has lost its thread: it can be read and closed. */
  gone: boolean;
  /** Events kept. */
  maxLogEvents: number;
  /** Characters of events kept, and of turns. */
  maxLogBytes: number;
  /** Who this owner is in a cluster; `null` without one. */
  fence: number | null;
  /** Where the events are kept for the next owner; `null` for nowhere. */
  tail: TailParts | null;
  /** The events of earlier owners. */
  restored: Restored | null;
}

/** Answered questions that are remembered, to tell a late answer from a wrong one. */
const MAX_ANSWERED = 256;
const TITLE_LENGTH = 80;
/** How exactly it is remembered when a session was used. */
const USED_AT_STEP_MS = 10 * 60_000;
const IN_USE_TRIES = 4;
const IN_USE_DELAY_MS = 250;
/** Milliseconds that the last events may take to the tail. */
const LAST_EVENTS_MS = 2_000;

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
  /** Questions told in this session's events: those of its agent's own agents name another thread. */
  readonly #asked: Set<string> = new Set();
  readonly #tail: TailPump | null;
  #closeFailed = false;

  /** Creates it; its thread is opened when it is needed. */
  constructor(parts: LiveSessionParts) {
    this.#parts = parts;
    this.#record = parts.record;
    this.#opened = parts.thread;
    this.#thread = parts.thread === null ? null : Promise.resolve(parts.thread);
    const { maxLogEvents: maxEvents, maxLogBytes: maxBytes, fence, tail, restored } = parts;
    const fenced = fence === null ? {} : { fence };
    this.log = new SessionLog({ maxEvents, maxBytes, ...fenced, held: tail !== null });
    this.#tail = tail === null ? null : new TailPump(this.log, tail);
    this.#transcript = new Transcript(parts.history, maxBytes);
    if (restored !== null) this.#restore(restored);
  }

  /** Who owns it. */
  get tenant(): string {
    return this.#record.tenant;
  }

  /** Its thread. */
  get threadId(): string {
    return this.#opened?.threadId ?? this.#record.threadId;
  }

  /** Whether a turn runs or begins. */
  get busy(): boolean {
    return this.#busy;
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
      gone: this.#parts.gone,
    };
  }

  /** The questions that wait for a person. */
  approvals(): WebApproval[] {
    return this.#parts.client.approvals.pending()
      .filter(({ request, waitingFor }) => this.#isOurs(request) && waitingFor === "handler")
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
      request.id === id && this.#isOurs(request)
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
      const archived = this.#thread === null
        ? await this.#archiveUnopened(client)
        : await this.#closeThread(await this.#thread);
      await store.delete(this.#record.sessionId);
      await this.#pump;
      this.#append({ type: "sessionClosed", sessionId: this.#record.sessionId });
      await this.#endLog();
      return { threadId, archived };
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
        await this.#endLog();
      }
    }));
  }

  /** Another node has the session: nothing more is told or written down, and what runs is stopped. */
  async fenced(): Promise<void> {
    this.#tail?.stop();
    this.log.close();
    await this.release();
  }

  /** Stops the running turn, if there is one; settles when it has ended. */
  async stopTurn(): Promise<void> {
    await this.#stream?.interrupt().catch(() => {});
    await this.#pump;
  }

  /** Settles when no turn runs. */
  async turnOver(): Promise<void> {
    await this.#pump;
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
        // A codex that is just ending lets go in a moment.
        if (tried < IN_USE_TRIES) await delay(IN_USE_DELAY_MS);
        else break;
      }
    }
    const copy = await client.forkSession(threadId, config);
    try {
      await this.#store({ threadId: copy.threadId });
    } catch (error) {
      copy.close().catch(() => {});
      throw error;
    }
    return copy;
  }

  /** `false` when codex can't archive it: what is lost is forgotten all the same. */
  async #archiveUnopened(client: WebClient): Promise<boolean> {
    try {
      await client.archiveThread(this.#record.threadId);
      return true;
    } catch (error) {
      if (this.#record.used && !isFinal(error)) throw error;
      return false;
    }
  }

  async #closeThread(thread: WebThread): Promise<boolean> {
    try {
      await thread.close();
      return true;
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

  /** Before the first turn: a thread that has one must be resumed later, not started anew. */
  async #remember(thread: WebThread, text: string): Promise<void> {
    const { used, title, threadId, usedAt } = this.#record;
    const recent = Date.now() - usedAt.getTime() < USED_AT_STEP_MS;
    if (used && threadId === thread.threadId && recent) return;
    await this.#store({
      threadId: thread.threadId,
      usedAt: new Date(),
      title: title ?? text.trim().split("\n")[0]!.slice(0, TITLE_LENGTH),
      used: true,
    });
  }

  async #store(change: Partial<StoredSession>): Promise<void> {
    const record = { ...this.#record, ...change, revision: this.#record.revision + 1 };
    if (!await this.#parts.store.put(record)) throw changedElsewhere();
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
    if (event.type === "approvalRequested") this.#ask(event.request.id);
    const told = forTenants(event);
    // What the agent's own agents do is told, and is no turn of this thread.
    if (told.threadId === this.threadId) this.#transcript.apply(told);
    this.#append(told);
  }

  #append(event: WebSessionEvent): void {
    this.log.append(event);
    this.#tail?.kick();
  }

  async #endLog(): Promise<void> {
    if (this.#tail !== null) await within(this.#tail.flushed(), LAST_EVENTS_MS, undefined);
    this.#tail?.stop();
    this.log.close();
  }

  /** What the owner before told goes on from there; its turn does not. */
  #restore({ events, base }: Restored): void {
    this.log.restore(events, base);
    const open = this.#transcript.replay(events.map(({ event }) => event), this.threadId);
    for (const turnId of open) {
      this.#take({
        type: "turnCompleted",
        threadId: this.threadId,
        turnId,
        status: "interrupted",
        error: { kind: "other", message: "The server that ran it has ended." },
      });
    }
  }

  #isOurs(request: { id: string; threadId: string | null }): boolean {
    return request.threadId === this.threadId || this.#asked.has(request.id);
  }

  #ask(id: string): void {
    this.#asked.add(id);
    if (this.#asked.size > MAX_ANSWERED) this.#asked.delete(this.#asked.values().next().value!);
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

/** Whether trying again is of no use. */
function isFinal(error: unknown): boolean {
  return error instanceof RpcError && !error.retryable;
}

function notRunning(): Error {
  return conflict("turnNotRunning", "This turn is not running.");
}
