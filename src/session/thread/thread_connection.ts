/**
 * The thread of a session on its server: where its messages go, and how it is lost and resumed.
 * @module
 */
import { abortable, Latch } from "../../async.ts";
import { type ConnectionClosedError, messageOf } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, stringOf } from "../../json.ts";
import type { OversizeMessage, RpcNotification } from "../../rpc/mod.ts";
import { isAttached } from "../../runtime/mod.ts";
import { failedMcpServer, lateCommand, type SessionEvents } from "../events/session_events.ts";
import type { SessionGate } from "../policy/session_gate.ts";
import type { LastingParts, SessionSettings } from "../session_settings.ts";
import { endCommands, STATUS_MS } from "../turn/stop_turn.ts";
import type { ThreadTurns } from "../turn/thread_turns.ts";
import type { ForeignTurns } from "./foreign_turns.ts";
import type { ThreadHolder, TurnQueue } from "./thread_host.ts";

/** Whose thread it is: `SessionThread`. */
export interface ConnectedSession {
  /** What the session is made of. */
  readonly parts: LastingParts;
  /** What it runs with. */
  readonly settings: SessionSettings;
  /** Who has the thread. */
  readonly queue: TurnQueue<ThreadHolder>;
  /** Its turns. */
  readonly turns: ThreadTurns;
  /** Those that no prompt began. */
  readonly foreign: ForeignTurns;
  /** Its part in approvals, hooks and tools. */
  readonly gate: SessionGate;
  /** Who listens to it. */
  readonly events: SessionEvents;
  /** Aborted when the session takes no more prompts. */
  readonly ended: AbortController;
  /** Whether nobody has begun to end it. */
  readonly isOpen: boolean;
  /** Whether the thread is one to go on with. */
  readonly isUsed: boolean;
  /** Whether something else has begun a turn of it. */
  readonly used: boolean;
  /** Stores what the turns left. */
  store(): Promise<void>;
  /** Takes the thread up anew: on a new server when the old one is `lost`, else on the one that has closed it. */
  openAnew(lost: boolean): Promise<void>;
  /** The thread can't be used any more. */
  fail(error: unknown): void;
}

/** What the server says when it has closed a thread. */
const CLOSED = /^thread\/(closed|archived|deleted)$/;

/** One session's thread on its server. */
export class ThreadConnection {
  /** The thread; one that was never used is another one after its server was started again. */
  threadId: string;
  /** Open while the server has the thread. */
  readonly ready: Latch = new Latch();
  /** Aborted when the server lets a turn do more than it was asked to. */
  readonly refused: AbortController = new AbortController();
  /** Settles when it is not being resumed with goals, or without, any more. Never rejects. */
  reopened: Promise<void> = Promise.resolve();
  /** Whether the server was lost in the middle of a goal that is over for its caller. */
  goalLost = false;
  /** Whether it was opened with goals for the one that is worked on. */
  goals = false;
  readonly #session: ConnectedSession;
  readonly #routes: (() => void)[] = [];
  /** Whether the server has closed the thread, or tells nothing more of it. */
  isClosed = false;
  /** Whether a server has told of a turn. */
  hadTurn = false;
  /** Settles when a thread that was closed is there again. */
  #resuming: Promise<void> | null = null;
  /** Why the connection was lost last. */
  lostBy: ConnectionClosedError | null = null;
  /** The turn that a server works on without us, and that can't be resumed. */
  left: string | null = null;

  /** Begins with a thread that the server has opened. */
  constructor(session: ConnectedSession, threadId: string) {
    this.#session = session;
    this.threadId = threadId;
  }

  /**
   * Resumes the thread if somebody had the server close it, or tell nothing more of it, and where a stopped turn may have left
   * scripts. What is archived or deleted stays so: whatever is asked of it next is refused.
   */
  async resumeIfClosed(signal: AbortSignal): Promise<void> {
    if (this.#session.turns.wasStopped) await this.#session.settings.renew();
    if (!this.isClosed) return;
    // Whoever gives up leaves it to the next in line.
    this.#resuming ??= this.#session.openAnew(false).finally(() => this.#resuming = null);
    await abortable(this.#resuming, signal);
  }

  /** Sends the thread's messages and questions to the session. */
  route(): void {
    const { core, attached } = this.#session.parts;
    const threadId = this.threadId;
    if (attached && this.#session.settings.profile.goals) this.#session.turns.goalActive = null;
    this.#routes.push(
      core.routes.add(threadId, {
        taker: (head) => this.#session.turns.taker(head),
        notification: (message: RpcNotification) => this.#notification(message),
        oversize: (message: OversizeMessage) => this.#session.turns.oversize(message),
        asked: (method, params, answer) => {
          void this.#session.turns.promised.asked(method, params, answer);
          if (method === "thread/unsubscribe") answer.then(() => this.isClosed = true, () => {});
        },
        connectionLost: (error, restarting) => this.#lost(error, restarting),
        connectionRestored: () => this.#session.openAnew(true),
      }),
      this.#session.gate.register(threadId),
    );
  }

  #notification(message: RpcNotification): void {
    const { parts: { core, portable }, settings, queue, turns, foreign, gate, events } =
      this.#session;
    const { method, params } = message;
    const { item } = params;
    const turnId = stringOf(params, "turnId");
    // Before the turn hears of its end, so that its caller is told.
    const doubt = method === "turn/completed" ? settings.unconfirmed() : null;
    if (doubt) turns.warn(doubt);
    const turn = turns.notification(message);
    const late = turn ? null : lateCommand(this.threadId, method, params);
    if (method === "turn/completed") {
      portable?.touch(completedTurn(params));
      // Whoever has the thread stores it when that is over; a goal takes many turns.
      if (queue.holder === null || turns.goalActive) this.#session.store().catch(() => {});
    }
    // Codex writes down as well how a command ended after its turn.
    if (method === "thread/name/updated" || late !== null) portable?.touch();
    if (method === "thread/settings/updated") this.#settingsUpdated(params);
    if (CLOSED.test(method)) this.isClosed = true;
    if (method === "turn/started") this.hadTurn = true;
    const failed = failedMcpServer(method, params);
    if (failed) turns.warn(failed);
    if (late !== null) events.push(late);
    events.notification(this.threadId, method, params);
    foreign.notification(method, params);
    if (!isJsonObject(item)) return;
    if (method === "item/started") {
      gate.itemStarted(item, this.threadId);
      // A script of a model that calls tools in code may begin a command when its turn was stopped (0.140 to 0.162).
      const over = turn?.outcome ?? turns.last;
      if (over?.turnId === turnId && over.status === "interrupted") {
        endCommands(core, this.threadId, STATUS_MS);
      }
    }
    if (method === "item/completed") gate.itemCompleted(item, this.threadId, turnId);
  }

  /** The server tells what the thread may do now: it must not be more than the turn was sent with. */
  #settingsUpdated(params: JsonObject): void {
    try {
      this.#session.settings.confirm(params);
    } catch (error) {
      const { active } = this.#session.turns;
      if (active === null || active.phase === "identified") {
        this.#session.settings.distrust();
        const what = messageOf(error);
        return this.#session.turns.warn(`Something else changed the thread's settings. ${what}`);
      }
      this.refused.abort(error);
      this.#session.fail(error);
    }
  }

  #lost(error: ConnectionClosedError, restarting: boolean): void {
    // A server that was only attached to works on; ephemeral threads can't be resumed.
    const worksOn = restarting && isAttached(this.#session.parts.core.config);
    const willResume = worksOn && !this.#session.settings.profile.ephemeral;
    if (worksOn && !willResume) this.left ??= this.#session.turns.active?.activeId ?? null;
    this.lostBy = error;
    this.#session.turns.connectionLost(error, willResume);
    this.#session.foreign.connectionLost(error, willResume);
    if (restarting) this.ready.close();
    else this.#session.fail(error);
  }

  /** Sends nothing more to the session. */
  unroute(): void {
    for (const leave of this.#routes.splice(0)) leave();
  }
}

/** The turn that has come to its own end. */
function completedTurn(params: JsonObject): string | null {
  return stringOf(params, "turn", "status") === "completed" ? stringOf(params, "turn", "id") : null;
}
