/**
 * Turns whose end was not heard, because the next turn of the thread begins. A thread works on one turn at a time (0.104 to 0.169):
 * `turn/completed` of the one comes before `turn/started` of the other, and what was lost is told before what comes is taken.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import type { RpcNotification } from "../../rpc/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { endOf, unheardEnd } from "./stop_turn.ts";
import type { Turn } from "./turn.ts";

/** Messages that only an active turn sends. Commands and token counts are told of after its end as well. */
export function works(method: string): boolean {
  return /^item\/(?:started$|agentMessage\/delta$|reasoning\/)/.test(method);
}

/** Messages by which a turn may be heard of first. */
export function begins(method: string): boolean {
  return method.startsWith("turn/") || works(method);
}

/**
 * Whether a message that names this turn proves that those before it are over. Codex before 0.125 says `turn/started` of turns
 * that never work, and of a review before it ends the active turn for it; `joins`: it is such a one.
 */
export function provesOver(method: string, joins: boolean): boolean {
  return joins ? works(method) : method === "turn/started";
}

/** Whether a turn is over when that is said of another id. What a lost connection hid of it is looked for already. */
export function isOverBy(
  { phase, turnId, activeId, outcome, lateEnd }: Pick<
    Turn,
    "phase" | "turnId" | "activeId" | "outcome" | "lateEnd"
  >,
  named: string,
): boolean {
  if (phase !== "started" || outcome.status !== null || named === turnId) return false;
  if (lateEnd) return false;
  // The turn within a review has an id of its own.
  return !(outcome.items.has("enteredReviewMode") && (activeId === turnId || activeId === named));
}

/** Tells such ends, and keeps the messages of the thread until then. */
export class UnheardEnds {
  readonly #core: RuntimeCore;
  readonly #turns: () => Turn[];
  readonly #take: (message: RpcNotification) => void;
  #waiting: { turn: Turn; messages: RpcNotification[] } | null = null;

  /** `turns` are those that are not released; `take` takes the messages that were kept. */
  constructor(
    core: RuntimeCore,
    turns: () => Turn[],
    take: (message: RpcNotification) => void,
  ) {
    this.#core = core;
    this.#turns = turns;
    this.#take = take;
  }

  /** Whether the message of this turn waits for such an end. */
  keeps(message: RpcNotification, turnId: string | null): boolean {
    if (this.#waiting !== null) return this.#waiting.messages.push(message) > 0;
    const { version } = this.#core.server;
    const joins = supports(version, "startsJoinedTurns");
    const turn = turnId !== null && provesOver(message.method, joins)
      ? this.#turns().find((each) => isOverBy(each, turnId))
      : undefined;
    if (turn === undefined) return false;
    const waiting = this.#waiting = { turn, messages: [message] };
    if (!supports(version, "truthfulTurnRecord")) this.flush();
    else {
      void unheardEnd(this.#core, turn.outcome).then((end) => {
        if (this.#waiting === waiting) this.flush(end);
      });
    }
    return true;
  }

  /** Waits for no record any more: the texts of the next turn, or the end of the connection, have come before it. */
  flush(end?: JsonObject): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    const { turn, messages } = waiting;
    turn.endFound = true;
    turn.notification("turn/completed", end ?? endOf(turn.outcome));
    messages.forEach(this.#take);
  }
}
