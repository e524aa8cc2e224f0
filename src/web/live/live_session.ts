/**
 * One session that is in use: its thread, its turn, its events.
 * @module
 */
import type { ApprovalDecision } from "../../approvals/mod.ts";
import { delay, roundNow, within } from "../../async.ts";
import { type JsonObject, present } from "../../json.ts";
import {
  AttachmentNotFoundError,
  HookBlockedError,
  InvalidArgumentError,
  RpcError,
  SessionClosedError,
} from "../../errors/mod.ts";
import { isRefusal, supports } from "../../protocol/mod.ts";
import type { TurnEvent, TurnSnapshot } from "../../session/mod.ts";
import type { PromptWithAttachments } from "../../prompt.ts";
import type { WebThread, WebTurnStream } from "../client.ts";
import { type CheckedTurn, isForPeople } from "../http/check_request.ts";
import { conflict } from "../http/refusals.ts";
import {
  completedUntold,
  endsOfQuestions,
  forTenants,
  misses,
  ThreadState,
  Transcript,
} from "./transcript.ts";
import { type RestoredEvent, SessionLog, type TailParts, TailPump } from "./session_log.ts";
import {
  type Question,
  SessionQuestions,
  SessionThread,
  type SessionThreadParts,
  ThreadListener,
  type ToldQuestions,
  viewOf,
} from "./session_thread.ts";
import type {
  ClosedWebSession,
  WebApproval,
  WebApprovalEvent,
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
  /** Where the events are kept for the next owner; `null` for nowhere. */
  tail: TailParts | null;
  /** The events of earlier owners. */
  restored: readonly RestoredEvent[];
}

/** Milliseconds that the last events may take to the tail. */
const LAST_EVENTS_MS = 2_000;

/** A session in use. Knows nothing of tenants: who may call is decided before. */
export class LiveSession {
  /** Its events. */
  readonly log: SessionLog;
  /** Subscriptions that are open. */
  subscribers = 0;
  /** When it was last used, in milliseconds of `roundNow`. */
  usedAt: number = roundNow();
  /** When somebody read or asked last, or a turn ran, by the clock; 0 before that. */
  #touchedAt = 0;
  readonly #gone: boolean;
  readonly #thread: SessionThread;
  readonly #questions: SessionQuestions;
  readonly #transcript: Transcript;
  readonly #tail: TailPump | null;
  readonly #listener: ThreadListener;
  readonly #state: ThreadState;
  /** Settles when the turn that is being started has begun, or will not. */
  #starting: Promise<void> | null = null;
  /** The turns that run, with what settles when they are over; one, unless something else begins one meanwhile. */
  readonly #running: Map<WebTurnStream, Promise<void>> = new Map();
  /** Settles when the turn that somebody stopped is over. */
  #stopping: Promise<void> | null = null;
  #leaving: Promise<unknown> | null = null;
  #closing: Promise<ClosedWebSession> | null = null;

  /** Creates it; its thread is opened when it is needed. */
  constructor(parts: LiveSessionParts) {
    this.#gone = parts.gone;
    this.#thread = new SessionThread(parts);
    this.#questions = new SessionQuestions(parts.client.approvals, () => this.threadId);
    const { maxLogEvents: maxEvents, maxLogBytes: maxBytes, tail, restored } = parts;
    this.log = new SessionLog({ maxEvents, maxBytes, held: tail !== null });
    this.#tail = tail === null ? null : new TailPump(this.log, tail);
    this.#transcript = new Transcript(parts.history, maxBytes);
    this.#state = new ThreadState(maxBytes);
    this.#listener = new ThreadListener({
      turn: (stream) => this.#begin(stream),
      event: (event) => {
        if (event.type === "commandFinished") {
          this.#transcript.finished(event.turnId, event.item as unknown as JsonObject);
        }
        this.#append(event);
      },
      question: (event) => this.#question(event),
    });
    if (parts.thread !== null) this.#listener.listen(parts.thread);
    this.#restore(restored, parts);
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
    return this.#starting !== null || this.#running.size > 0;
  }

  /** Whether nobody would miss it. */
  get idle(): boolean {
    return !this.busy && this.subscribers === 0 && this.#leaving === null;
  }

  /** What a list shows. */
  view(): WebSession {
    const runningTurnId = [...this.#running.keys()].at(-1)?.turnId ?? null;
    return { ...viewOf(this.#thread.record), threadId: this.threadId, runningTurnId };
  }

  /** Everything, as of the log's newest event. */
  snapshot(): WebSnapshot {
    return {
      ...this.view(),
      cursor: this.log.cursor,
      turns: this.#transcript.turns(),
      omittedTurns: this.#transcript.omitted,
      approvals: this.approvals(),
      goal: this.#state.goal,
      agents: this.#state.agents(),
      gone: this.#gone,
    };
  }

  /** The questions that wait for a person. */
  approvals(): WebApproval[] {
    return this.#questions.waiting();
  }

  /** What a reader of them has to know who has just come, or for whom events are gone. */
  missed(told: ToldQuestions): WebApprovalEvent[] {
    const { threadId } = this;
    const waiting = this.approvals().map(({ request }): WebApprovalEvent => {
      return { type: "approvalRequested", threadId, turnId: request.turnId ?? "", request };
    });
    return told.missed(waiting, this.#questions);
  }

  /** Somebody uses it. */
  touch(): void {
    this.usedAt = roundNow();
    this.#touchedAt = Date.now();
  }

  /** Whether somebody has used it since, here or before it was in use here. */
  usedSince(date: Date): boolean {
    return Math.max(this.#touchedAt, this.#thread.record.usedAt.getTime()) >= date.getTime();
  }

  /** Writes down when it was last used: what only reads is use as well. */
  async remember(): Promise<void> {
    if (this.subscribers > 0) this.touch();
    if (this.#leaving === null) await this.#thread.used(this.#touchedAt);
  }

  /** Opens the thread, if it is not. */
  async open(): Promise<WebThread> {
    this.#assertStays();
    const thread = await this.#thread.open();
    if (this.#leaving === null) this.#listener.listen(thread);
    return thread;
  }

  /** Starts a turn. One at a time: a second one is refused, since it would wait for who knows how long. */
  async startTurn(turn: CheckedTurn): Promise<string> {
    this.#assertStays();
    if (this.#starting !== null || (this.#running.size > 0 && this.#stopping === null)) {
      throw running();
    }
    const begun = Promise.withResolvers<void>();
    this.#starting = begun.promise;
    try {
      // Whoever has stopped a turn may go on at once: a page is ready before the end is told.
      await this.#stopping;
      this.#assertStays();
      if (this.#running.size > 0) throw running();
      const thread = await this.open();
      const takeBack = await this.#thread.remember(thread, turn.prompt.text);
      const { model, effort, timeoutMs } = turn;
      const options = present({ model, effort, timeoutMs });
      const stream = await thread.askStream(turn.prompt, options).catch(async (error) => {
        if (neverBegun(error)) await takeBack().catch(() => {});
        throw error;
      });
      this.#begin(stream);
      // It was stopped with what told of it: nobody would hear of its end.
      if (this.log.closed) throw conflict("sessionClosed", "The session was released. Try again.");
      return stream.turnId;
    } catch (error) {
      // A thread that was closed behind our back is opened anew next time.
      if (error instanceof SessionClosedError && this.#leaving === null) {
        this.#thread.forget();
      }
      throw error;
    } finally {
      this.#starting = null;
      begun.resolve();
    }
  }

  /** Adds to the running turn. */
  async steer(turnId: string, input: PromptWithAttachments): Promise<void> {
    try {
      await this.#turn(turnId).steer(input);
    } catch (error) {
      const over = error instanceof SessionClosedError || isRefusal(error, "noActiveTurn");
      throw over ? notRunning() : error;
    }
  }

  /** Stops the running turn. */
  async interrupt(turnId: string): Promise<void> {
    const stream = this.#turn(turnId);
    const stopped = stream.interrupt();
    const over = stopped.then(() => this.#running.get(stream)).catch(() => {}).finally(() => {
      if (this.#stopping === over) this.#stopping = null;
    });
    this.#stopping = over;
    await stopped;
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
      await this.turnOver();
      this.#append({ type: "sessionClosed", sessionId });
      await this.#endLog();
      return { threadId, archived };
    });
    this.#closing = closing;
    closing.catch(() => this.#closing = null);
    return closing;
  }

  /** Stops the turn and releases the thread; the session can be resumed. `isOurs`: no other node has it. */
  async release(isOurs = true): Promise<void> {
    await (this.#leaving ?? this.#leave(async () => {
      // A store that is away keeps no thread open.
      if (isOurs) await this.#thread.used(this.#touchedAt).catch(() => {});
      try {
        await this.#thread.release();
        await this.turnOver();
      } finally {
        await this.#endLog();
      }
    }));
  }

  /** Another node has the session: nothing more is told or written down, and what runs is stopped. */
  async fenced(): Promise<void> {
    this.#tail?.stop();
    this.log.close();
    await this.release(false);
  }

  /** Stops the running turn, if there is one; settles when it has ended. */
  async stopTurn(): Promise<void> {
    await Promise.allSettled([...this.#running.keys()].map((stream) => stream.interrupt()));
    await this.turnOver();
  }

  /** Settles when no turn runs, nor begins. */
  async rest(): Promise<void> {
    await this.#starting;
    await this.turnOver();
  }

  /** Settles when no turn runs. */
  async turnOver(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  #leave<T>(action: () => Promise<T>): Promise<T> {
    const leaving = action().catch((error) => {
      this.#leaving = null;
      throw error;
    });
    this.#leaving = leaving;
    leaving.then(() => this.#listener.stop(), () => {});
    return leaving;
  }

  #assertStays(): void {
    if (this.#leaving !== null) {
      throw conflict("sessionClosing", "The session is being closed.");
    }
  }

  #turn(turnId: string): WebTurnStream {
    this.#assertStays();
    const stream = [...this.#running.keys()].find((each) => each.turnId === turnId);
    if (stream === undefined) throw notRunning();
    return stream;
  }

  /** A turn runs, whoever began it. */
  #begin(stream: WebTurnStream): void {
    this.touch();
    this.#running.set(stream, Promise.resolve());
    const followed = this.#follow(stream);
    if (this.#running.has(stream)) this.#running.set(stream, followed);
  }

  async #follow(stream: WebTurnStream): Promise<void> {
    let ended = false;
    try {
      // The end of the turn before may be there, and not told yet.
      if (this.#running.size > 1) await delay(0);
      for (let event = await stream.recv(); event !== null; event = await stream.recv()) {
        if (event.type === "turnCompleted") {
          ended = true;
          this.#free(stream);
        }
        this.#take(event);
      }
    } catch {
      // It ends here all the same.
    }
    if (ended) return;
    this.#free(stream);
    const error = { kind: "other", message: "The turn ended without a word." };
    const { threadId } = this;
    const { turnId } = stream;
    this.#take({ type: "turnCompleted", threadId, turnId, status: "failed", error });
  }

  /** Before its last event is told: who hears it may start the next turn at once. */
  #free(stream: WebTurnStream): void {
    this.touch();
    this.#running.delete(stream);
  }

  #take(event: TurnEvent): void {
    // Nobody knows what a newer codex says in them; they are not for tenants.
    if (event.type === "unknown") return;
    if (event.type === "approvalRequested" || event.type === "approvalResolved") {
      return this.#question(event);
    }
    const told = forTenants(event);
    // What the agent's own agents do is told, and is no turn of this thread.
    if (told.threadId !== this.threadId) return this.#append({ ...told, turnId: "" });
    this.#transcript.apply(told);
    this.#append(told);
  }

  /** Heard of by the turn and by the thread: told once. */
  #question(event: Question): void {
    // What a newer codex asks, and what it asks of this process, is not for tenants either.
    if (!isForPeople(event.type === "approvalRequested" ? event.request : event.audit)) return;
    const told = forTenants(event) as Question;
    const isNew = told.type === "approvalRequested"
      ? this.#questions.ask(told.request.id)
      : this.#questions.settle(told);
    if (!isNew) return;
    if (told.threadId === this.threadId) this.#transcript.apply(told);
    this.#append(told);
  }

  #append(event: WebSessionEvent): void {
    this.#state.apply(event);
    this.log.append(event);
    this.#tail?.kick();
  }

  async #endLog(): Promise<void> {
    if (this.#tail !== null) await within(this.#tail.flushed(), LAST_EVENTS_MS, undefined);
    this.#tail?.stop();
    this.log.close();
  }

  /** What the owner before told goes on from there; its turn does not, unless codex has completed it. */
  #restore(restored: readonly RestoredEvent[], { client, history }: LiveSessionParts): void {
    const told = restored.map(({ event }) => event);
    const knows = supports(client.server?.version ?? null, "truthfulTurnRecord");
    const untold = knows ? completedUntold(told, history) : [];
    const events = told.filter((event) => !("turnId" in event && untold.includes(event.turnId)));
    // Who comes back reads what nobody was told.
    if (untold.length === 0 && !misses(told, history)) this.log.restore(restored);
    const open = this.#transcript.replay(events, this.threadId);
    for (const event of events) this.#state.apply(event);
    for (const end of endsOfQuestions(events, Date.now())) this.#append(end);
    const error = { kind: "other", message: "The server that ran it has ended." };
    const { threadId } = this;
    for (const event of this.#state.ends(error)) this.#append(event);
    for (const turnId of open) {
      this.#take({ type: "turnCompleted", threadId, turnId, status: "interrupted", error });
    }
  }
}

/** Whether codex certainly has not begun with the prompt: it was not sent, or refused. */
function neverBegun(error: unknown): boolean {
  return [AttachmentNotFoundError, HookBlockedError, InvalidArgumentError, RpcError]
    .some((kind) => error instanceof kind);
}

function running(): Error {
  return conflict("turnRunning", "A turn is running. Steer it, or wait for its end.");
}

function notRunning(): Error {
  return conflict("turnNotRunning", "This turn is not running.");
}
