/**
 * One session that is in use: its thread, its turn, its events.
 * @module
 */
import type { ApprovalDecision } from "../../approvals/mod.ts";
import { within } from "../../async.ts";
import { SessionClosedError } from "../../errors/mod.ts";
import { isRefusal } from "../../protocol/mod.ts";
import type { TurnEvent, TurnSnapshot } from "../../session/mod.ts";
import type { PromptWithAttachments } from "../../prompt.ts";
import type { WebThread, WebTurnStream } from "../client.ts";
import type { CheckedTurn } from "../http/check_request.ts";
import { conflict } from "../http/refusals.ts";
import { forTenants, Transcript } from "./transcript.ts";
import { type Restored, SessionLog, type TailParts, TailPump } from "./session_log.ts";
import { SessionQuestions, SessionThread, type SessionThreadParts } from "./session_thread.ts";
import type {
  ClosedWebSession,
  WebApproval,
  WebSession,
  WebSessionEvent,
  WebSnapshot,
} from "../types.ts";

/** What a live session is made of. */
export interface LiveSessionParts extends SessionThreadParts {
  /** The turns before this process. */
  history: readonly TurnSnapshot[];
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
  readonly #gone: boolean;
  readonly #thread: SessionThread;
  readonly #questions: SessionQuestions;
  readonly #transcript: Transcript;
  readonly #tail: TailPump | null;
  #busy = false;
  #stream: WebTurnStream | null = null;
  #pump: Promise<void> = Promise.resolve();
  #leaving: Promise<unknown> | null = null;
  #closing: Promise<ClosedWebSession> | null = null;

  /** Creates it; its thread is opened when it is needed. */
  constructor(parts: LiveSessionParts) {
    this.#gone = parts.gone;
    this.#thread = new SessionThread(parts);
    this.#questions = new SessionQuestions(parts.client.approvals, () => this.threadId);
    const { maxLogEvents: maxEvents, maxLogBytes: maxBytes, fence, tail, restored } = parts;
    const fenced = fence === null ? {} : { fence };
    this.log = new SessionLog({ maxEvents, maxBytes, ...fenced, held: tail !== null });
    this.#tail = tail === null ? null : new TailPump(this.log, tail);
    this.#transcript = new Transcript(parts.history, maxBytes);
    if (restored !== null) this.#restore(restored);
  }

  /** Who owns it. */
  get tenant(): string {
    return this.#thread.record.tenant;
  }

  /** Its thread. */
  get threadId(): string {
    return this.#thread.threadId;
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
    const { sessionId, title, createdAt, model, effort } = this.#thread.record;
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
      gone: this.#gone,
    };
  }

  /** The questions that wait for a person. */
  approvals(): WebApproval[] {
    return this.#questions.waiting();
  }

  /** Opens the thread, if it is not. */
  open(): Promise<WebThread> {
    this.#assertStays();
    return this.#thread.open();
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
      await this.#thread.remember(thread, turn.prompt.text);
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
        this.#thread.forget();
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
    this.#questions.answer(id, decision);
  }

  /** Stops the turn, archives the thread, forgets the session. When that fails it can be tried again. */
  close(): Promise<ClosedWebSession> {
    if (this.#closing !== null) return this.#closing;
    this.#assertStays();
    const closing = this.#leave(async (): Promise<ClosedWebSession> => {
      const { threadId } = this;
      const { sessionId } = this.#thread.record;
      const archived = await this.#thread.close();
      await this.#pump;
      this.#append({ type: "sessionClosed", sessionId });
      await this.#endLog();
      return { threadId, archived };
    });
    this.#closing = closing;
    closing.catch(() => this.#closing = null);
    return closing;
  }

  /** Stops the turn and releases the thread; the session can be taken up again. */
  async release(): Promise<void> {
    await (this.#leaving ?? this.#leave(async () => {
      try {
        await this.#thread.release();
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
    if (event.type === "approvalResolved") this.#questions.settle(event.audit.id);
    if (event.type === "approvalRequested") this.#questions.ask(event.request.id);
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
}

function notRunning(): Error {
  return conflict("turnNotRunning", "This turn is not running.");
}
