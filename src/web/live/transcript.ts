/**
 * What a session looks like, from its events: a bounded reducer.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import {
  type TokenUsage,
  type TurnEvent,
  TurnItems,
  type TurnSnapshot,
} from "../../session/mod.ts";
import type { WebTurn } from "../types.ts";

/** Turns kept at most. */
const MAX_TURNS = 500;

interface Turn {
  turnId: string;
  status: string;
  items: TurnItems;
  diff: string | null;
  usage: TokenUsage | null;
  error: WebTurn["error"];
  /** Characters, once it has ended. */
  size: number;
}

/** The turns of a session, in step with its log. */
export class Transcript {
  readonly #maxBytes: number;
  #turns: Turn[] = [];
  #bytes = 0;
  #omitted = 0;

  /** Begins with what the thread's history holds. */
  constructor(history: readonly TurnSnapshot[], maxBytes: number) {
    this.#maxBytes = maxBytes;
    for (const { turnId, status, items } of history) {
      const turn = this.#begin(turnId);
      // What ran when its server ended does not run any more.
      turn.status = status === "inProgress" ? "interrupted" : status;
      for (const item of items) turn.items.complete(item as unknown as JsonObject);
      this.#settle(turn);
    }
  }

  /** Older turns that were left out. */
  get omitted(): number {
    return this.#omitted;
  }

  /** The turns as they stand. */
  turns(): WebTurn[] {
    return this.#turns.map(view);
  }

  /** Takes the next event. */
  apply(event: TurnEvent): void {
    // News before the turn has an id are for the log alone.
    if (event.turnId === "") return;
    const turn = this.#turns.find(({ turnId }) => turnId === event.turnId) ??
      this.#begin(event.turnId);
    switch (event.type) {
      case "itemStarted":
        turn.items.begin(event.item as unknown as JsonObject);
        break;
      case "itemCompleted":
        turn.items.complete(event.item as unknown as JsonObject);
        break;
      case "assistantMessageDelta":
        turn.items.grow(event.itemId, "agentMessage", event.delta);
        break;
      case "reasoningDelta":
        turn.items.grow(event.itemId, "reasoning", event.delta);
        break;
      case "commandOutputDelta":
        turn.items.grow(event.itemId, "commandExecution", event.delta);
        break;
      case "diffUpdated":
        turn.diff = event.diff;
        break;
      case "tokenUsage":
        turn.usage = event.usage;
        break;
      case "turnCompleted":
        turn.status = event.status;
        turn.error = event.error;
        this.#settle(turn);
        break;
    }
  }

  #begin(turnId: string): Turn {
    const turn: Turn = {
      turnId,
      status: "inProgress",
      items: new TurnItems(),
      diff: null,
      usage: null,
      error: null,
      size: 0,
    };
    this.#turns.push(turn);
    return turn;
  }

  #settle(turn: Turn): void {
    this.#bytes -= turn.size;
    turn.size = JSON.stringify(view(turn)).length;
    this.#bytes += turn.size;
    while (
      this.#turns.length > 1 &&
      (this.#bytes > this.#maxBytes || this.#turns.length > MAX_TURNS)
    ) {
      this.#bytes -= this.#turns.shift()!.size;
      this.#omitted++;
    }
  }
}

function view(turn: Turn): WebTurn {
  const { turnId, status, diff, usage, error } = turn;
  return { turnId, status, items: turn.items.all(), diff, usage, error };
}
