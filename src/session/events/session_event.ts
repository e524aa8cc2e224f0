/**
 * What happens on a session's thread, whoever caused it.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { ThreadItem } from "../../thread_item.ts";

/** What every event of a thread tells. */
export interface SessionEventBase {
  /** The thread. */
  threadId: string;
}

/** The thread got another name. */
export interface NameChangedEvent extends SessionEventBase {
  /** Discriminator. */
  type: "nameChanged";
  /** The name, or `null` when it has none now. */
  name: string | null;
}

/** The server began or ended working on the thread. Not told by codex 0.104. */
export interface StatusChangedEvent extends SessionEventBase {
  /** Discriminator. */
  type: "statusChanged";
  /** `idle`, `active`, `notLoaded` or `systemError`; newer servers may know more words. */
  status: "idle" | "active" | "notLoaded" | "systemError" | (string & Record<never, never>);
}

/** The thread's goal changed. */
export interface GoalUpdatedEvent extends SessionEventBase {
  /** Discriminator. */
  type: "goalUpdated";
  /** The goal as the server tells it, or `null` when it was cleared. */
  goal: JsonObject | null;
}

/** The thread's history was compacted. */
export interface CompactedEvent extends SessionEventBase {
  /** Discriminator. */
  type: "compacted";
  /** The turn that did it. */
  turnId: string;
}

/** A command that went on in the background has ended after its turn. */
export interface CommandFinishedEvent extends SessionEventBase {
  /** Discriminator. */
  type: "commandFinished";
  /** The turn that started it. */
  turnId: string;
  /** The command as it ended. */
  item: ThreadItem;
}

/** Something happened in a turn of an agent that the session's agent started. */
export interface SubAgentEvent extends SessionEventBase {
  /** Discriminator. */
  type: "subAgent";
  /** The agent's own thread. */
  threadId: string;
  /** The item of the call that named the agent, or `null` when it had no id. */
  parentItemId: string | null;
  /** What happened. */
  event: TurnEvent;
}

/** The reader stopped reading for too long: the events before the next one are gone. */
export interface SessionLaggedEvent extends SessionEventBase {
  /** Discriminator. */
  type: "lagged";
  /** How many; adjacent text deltas count as one. */
  missed: number;
}

/** What happens on a session's thread: events of all its turns, and of the thread itself. Switch on `type`. */
export type SessionEvent =
  | TurnEvent
  | NameChangedEvent
  | StatusChangedEvent
  | GoalUpdatedEvent
  | CompactedEvent
  | CommandFinishedEvent
  | SubAgentEvent
  | SessionLaggedEvent;
