/**
 * Bringing a thread to rest: waiting until the server works on nothing of it, stopping all that does, and releasing it.
 *
 * What the server works on is known from what it told; where that is in doubt, it is asked, and where it can't say, the
 * thread is resumed.
 * @module
 */
import { abortable, delay, longTimeout, within } from "../../async.ts";
import { ConnectionClosedError, TurnTimeoutError } from "../../errors/mod.ts";
import type { JsonObject } from "../../json.ts";
import { isRefusal } from "../../protocol/mod.ts";
import { isAttached, type RuntimeCore } from "../../runtime/mod.ts";
import {
  activeTurnId,
  endCommands,
  STATUS_MS,
  type ThreadStatus,
  threadStatus,
} from "./stop_turn.ts";
import { LEAVING_MS, whenClosed } from "../thread/when_closed.ts";
import type { Turn } from "./turn.ts";

/** What few threads need. */
const rarely = () => import("./resume_turns.ts");

/** How often a turn that could not be stopped is asked about while somebody waits for its end. */
const STUCK_CHECK_MS = 1_000;
/** How long stopping everything looks for turns that begin meanwhile. */
const STOP_ALL_MS = 5_000;
/** How long it waits to hear of a turn that the server is about to begin. */
const STOP_ROUND_MS = 50;
/** How long after an unanswered prompt the server may call the thread idle before it begins the turn. */
const BEGIN_ROUND_MS = 300;
/** How often a thread that is released is stopped again, because somebody starts turns meanwhile. */
const LEAVE_ROUNDS = 3;
const UNSUBSCRIBE_MS = 5_000;

/** The thread, and what has to be done with it. */
export interface RestingThread {
  /** The connection. */
  readonly core: RuntimeCore;
  /** The thread. */
  readonly threadId: string;
  /** An item of which only the server's record tells. */
  missed(item: JsonObject): void;
  /** Resumes the thread on the same server, as after a restart. */
  resumeThread(): Promise<void>;
}

/** The turns of the thread, as far as they are known. */
export interface KnownTurns {
  /** Those that are not released. */
  all(): Turn[];
  /** The one that the server works on, as far as it told. */
  active(): Turn | null;
  /** Whether it is a prompt's own, or may be. */
  asked(turn: Turn): boolean;
  /** Whether one was seen that nobody asked for: more of them may begin. */
  adopted(): boolean;
  /** Whether the thread has a goal that makes codex start turns. */
  goalActive(): boolean;
  /** Adds one that only the server's record tells of. */
  begin(turnId: string): Turn | null;
}

/** Brings one thread to rest. */
export class ThreadStop {
  /** Whether the server has to be asked what it works on before another turn is started. */
  inDoubt = false;
  /** Whether a turn may be about to begin that it does not tell of yet. */
  #unanswered = false;
  readonly #host: RestingThread;
  readonly #turns: KnownTurns;
  /** Beginnings of turns that the server was asked for and has not named. */
  readonly #expected: Set<Promise<unknown>> = new Set();
  /** Ends the time limits of turns that no prompt asked for. */
  readonly #limits: Map<Turn, () => void> = new Map();

  /** Begins with a thread of which nothing is in doubt. */
  constructor(host: RestingThread, turns: KnownTurns) {
    this.#host = host;
    this.#turns = turns;
  }

  /**
   * Waits until the server works on nothing of the thread, as far as it can be made to. Rejects with the signal's
   * reason, and with `TurnTimeoutError` when a turn that could not be stopped is still there after `timeoutMs`.
   */
  async idle(signal: AbortSignal, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal.throwIfAborted();
      const turn = this.#turns.all().at(-1);
      if (turn !== undefined) {
        await abortable(turn.over(), signal);
        if (turn.phase === "released") continue;
        if (performance.now() > deadline) throw new TurnTimeoutError(timeoutMs, turn.partial());
        if (await abortable(turn.stop(), signal)) continue;
        await delay(STUCK_CHECK_MS, signal);
        continue;
      }
      if (!this.inDoubt) return;
      const again = this.#unanswered;
      this.#unanswered = false;
      const status = await abortable(this.#findActive(true), signal);
      if (!again || status !== "idle") continue;
      // The server calls the thread idle for a moment before it begins what it was asked for.
      this.inDoubt = true;
      await delay(BEGIN_ROUND_MS, signal);
    }
  }

  /** The same for what is no prompt: a turn that was promised goes first, which a compaction would end. */
  async free(signal: AbortSignal, timeoutMs: number): Promise<void> {
    await abortable(this.begun(), signal);
    await this.idle(signal, timeoutMs);
  }

  /** The server did not answer a prompt: it may begin it all the same. */
  unanswered(): void {
    this.inDoubt = this.#unanswered = true;
  }

  /** So may one that works on while the connection to it is down. */
  refused(error: unknown): void {
    if (isConnectionLoss(error) && isAttached(this.#host.core.config)) this.inDoubt = true;
  }

  /**
   * Stops every turn of the thread, and what makes the server start more; `false` when the server did not confirm that
   * nothing runs any more. Never rejects. `last`: no prompt is to follow.
   */
  async stopAll(last = false): Promise<boolean> {
    const turns = this.#turns;
    // The next prompt in line may begin meanwhile, and is not meant.
    const before = new Set(turns.all());
    const isMeant = (turn: Turn) => last || before.has(turn) || !turns.asked(turn);
    /** Whether the goal rests; `null`: there is none. */
    let rests: boolean | null = null;
    const deadline = performance.now() + STOP_ALL_MS;
    for (let late = false;;) {
      if (turns.goalActive()) rests ??= await this.#pauseGoal();
      const stopped = await Promise.all(turns.all().filter(isMeant).map((turn) => turn.stop()));
      if (stopped.includes(false) || rests === false) return false;
      // Made by a turn that was just being stopped.
      if (rests === null && turns.goalActive()) continue;
      const { core } = this.#host;
      const left = deadline - performance.now();
      if (this.#expected.size > 0 && core.state === "running") {
        if (left > 0) {
          await within(this.begun(), left, null);
          continue;
        }
        // It may begin yet. What goes on is stopped by who has the thread.
        if (last) return false;
      }
      const active = turns.active();
      if (active !== null && !isMeant(active)) return true;
      // A server that starts turns by itself may have begun another one.
      if (!turns.adopted() && rests === null || core.state !== "running") return true;
      const status = await this.#findActive(late);
      // A server that has ended answers nothing, and works on nothing.
      const answered = status !== "unanswered" || core.state !== "running";
      if (turns.active() === null && (late || status !== "active")) return answered;
      // It has begun one of which nothing was heard yet.
      if (turns.active() === null) await delay(STOP_ROUND_MS);
      late = performance.now() > deadline;
    }
  }

  /**
   * Stops a turn that no prompt asked for. The goal that made codex begin it is paused first: the next turn would begin at once, or
   * after the next prompt (0.145, 0.169). `false` when the server would not stop it. Never rejects.
   */
  async stopForeign(turn: Turn): Promise<boolean> {
    const rests = !this.#turns.goalActive() || await this.#pauseGoal();
    return await turn.stop() && rests;
  }

  /** Stops a turn that no prompt asked for after so many milliseconds, and no sooner; `Infinity`: never. */
  limit(turn: Turn, timeoutMs: number): void {
    this.#limits.get(turn)?.();
    this.#limits.delete(turn);
    if (turn.outcome.status !== null || timeoutMs === Infinity) return;
    const stop = () => {
      turn.endsAs = "timedOut";
      void this.stopForeign(turn);
    };
    this.#limits.set(turn, longTimeout(stop, timeoutMs));
  }

  /** The server was asked for a turn; `begins` settles when it has begun or will not, and never rejects. */
  expect(begins: Promise<unknown>): void {
    this.#expected.add(begins);
    void begins.finally(() => this.#expected.delete(begins));
  }

  /** Archives the thread, or says that nobody here listens to it any more; not to a codex that is ended next (`last`). */
  async leave(archive: boolean, last = false): Promise<void> {
    const { core } = this.#host;
    if (last && !archive && !isAttached(core.config)) return await this.#endCommands();
    for (let round = 0; round < LEAVE_ROUNDS && core.state !== "closed"; round++) {
      if (archive && await this.#archive()) return;
      if (!archive) {
        // One that the server works on, and of which nothing was heard yet, would go on unseen.
        if (core.state === "running") await this.#findActive(false);
        if (this.#turns.active() !== null) await this.stopAll();
        await this.#endCommands();
        await this.#unsubscribe();
      }
      // Somebody may have started a turn since all were stopped.
      if (this.#turns.active() === null || core.state !== "running") return;
      if (!archive) await this.#host.resumeThread();
      await this.stopAll();
    }
  }

  /** Ends what completed turns have left running: codex before 0.169 goes on with it. */
  async #endCommands(): Promise<void> {
    const { core, threadId } = this.#host;
    if (core.state === "running") await endCommands(core, threadId, STATUS_MS);
  }

  /** The turns that are not released. */
  get turns(): readonly Turn[] {
    return this.#turns.all();
  }

  /** The thread is there again: goes on with what the server recorded of its turns, `before` the loss or since, or ends them. */
  async resume(error: ConnectionClosedError, before: readonly Turn[]): Promise<void> {
    const { inDoubt } = this;
    if (this.#turns.all().length === 0 && !inDoubt) return;
    const { resumeTurns } = await rarely();
    await resumeTurns({
      host: this.#host,
      all: () => this.#turns.all(),
      inDoubt,
      before,
      doubt: () => this.inDoubt = true,
      findActive: () => this.#findActive(false),
    }, error);
  }

  /** The thread was resumed in the middle of whatever it works on: what was missed is in the server's record. */
  async repair(): Promise<void> {
    const turns = this.#turns.all();
    if (turns.length === 0) return;
    const { repairTurn } = await rarely();
    // What is lost with the connection is resumed with the next one.
    for (const turn of turns) await repairTurn(this.#host, turn, true).catch(() => {});
  }

  /** Calls of tools end with the turn of this id; those that wait for the next connection, when it is being stopped. */
  toolsEnd(turn: Turn, turnId: string | null = null): void {
    const { core, threadId } = this.#host;
    const how = turnId === null ? "stopped" : turn.outcome.status === null ? "lost" : "over";
    core.approvals.toolsEnd(threadId, turnId, how);
  }

  /** Settles when all that the server was asked for has begun, or will not. */
  async begun(): Promise<void> {
    await Promise.all(this.#expected);
  }

  /**
   * The thread was released and resumed: what began meanwhile goes on, or has ended unheard. The turn that begins next
   * would be taken for a turn that still counts as active.
   */
  async reopened(): Promise<void> {
    await this.repair();
    const { stopIdle } = await rarely();
    await stopIdle(this.#host, () => this.#turns.all());
  }

  /** Whether a turn that could not be stopped is over all the same. */
  async isOver(turn: Turn): Promise<boolean> {
    const { isOver } = await rarely();
    return await isOver(this.#host, turn);
  }

  /** Whether there was something to archive: then the server has ended all that worked on it. */
  async #archive(): Promise<boolean> {
    const { core } = this.#host;
    for (;;) {
      try {
        const { threadId } = this.#host;
        const archive = () => core.call("thread/archive", { threadId });
        await whenClosed(archive, undefined, LEAVING_MS, "threadInUse", "threadReopening");
        return true;
      } catch (error) {
        // What is archived, deleted or was never used is out of the history, as was wanted.
        const gone = isRefusal(error, "threadGone") || isRefusal(error, "threadReopening");
        if (gone || core.state === "closed") return false;
        // Where codex is started again, the next one archives it.
        if (!isConnectionLoss(error)) throw error;
      }
    }
  }

  /** Old servers do not know the call, and a thread that is gone needs none. */
  async #unsubscribe(): Promise<void> {
    const { core, threadId } = this.#host;
    await core.call("thread/unsubscribe", { threadId }, { timeoutMs: UNSUBSCRIBE_MS }).catch(
      () => {},
    );
  }

  async #pauseGoal(): Promise<boolean> {
    const { pauseGoal } = await rarely();
    return await pauseGoal(this.#host);
  }

  /** What the server works on, when that has to be asked; `resumes`: resumes the thread when it can't be told. */
  async #findActive(resumes: boolean): Promise<ThreadStatus> {
    const { core, threadId } = this.#host;
    const turns = this.#turns;
    const status = await threadStatus(core, threadId);
    if (status === "active" && turns.active() === null) {
      const turnId = await activeTurnId(core, threadId);
      const turn = turnId === null ? null : turns.begin(turnId);
      // It is in the record, so it has started.
      if (turn?.phase === "identified") turn.resumed({ status: "inProgress" });
      turn?.notification("turn/started", {});
      if (turn === null && resumes) await this.#resumeThread();
      if (turn !== null && !turns.asked(turn)) turn.stop();
    }
    // An old server can't say. A prompt that it adds to another turn is found there.
    this.inDoubt = false;
    return status;
  }

  /** Resumes the thread; what ended meanwhile was not told. */
  async #resumeThread(): Promise<void> {
    await this.#host.resumeThread();
    await Promise.all(this.#turns.all().map((turn) => turn.findEnd()));
  }
}

/** Whether the connection is gone, and a new one may be made. */
export function isConnectionLoss(error: unknown): error is ConnectionClosedError {
  return error instanceof ConnectionClosedError && error.retryable;
}
