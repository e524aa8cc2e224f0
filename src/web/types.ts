/**
 * What goes to and from a browser. Dates become ISO strings on the wire.
 * @module
 */
import type { ApprovalRequest } from "../approvals/mod.ts";
import type { JsonObject } from "../json.ts";
import type { Attachment } from "../prompt.ts";
import type {
  CommandFinishedEvent,
  CompactedEvent,
  GoalUpdatedEvent,
  NameChangedEvent,
  TokenUsage,
  TurnEvent,
} from "../session/mod.ts";
import type { ThreadItem } from "../thread_item.ts";

/** A conversation of one tenant. */
export interface WebSession {
  /** Names the session in every call; can't be guessed. */
  sessionId: string;
  /** Codex's thread. */
  threadId: string;
  /** The beginning of the first prompt; `null` before it. */
  title: string | null;
  /** When the session was created. */
  createdAt: Date;
  /** The model chosen for it, or `null` for the bridge's own. */
  model: string | null;
  /** The effort chosen for it, or `null` for the bridge's own. */
  effort: string | null;
  /** The turn that runs now, or `null`; in a list also `null` where another node of the cluster has the session. */
  runningTurnId: string | null;
}

/** A session as it stands at one point of its events: show this, then follow the events after `cursor`. */
export interface WebSnapshot extends WebSession {
  /** The last event that this snapshot holds; subscribe after it. */
  cursor: string;
  /** The turns, oldest first; also those that nobody asked for, such as a goal's. */
  turns: WebTurn[];
  /** Older turns that are left out because the bridge keeps a limited number. */
  omittedTurns: number;
  /** The questions that wait for an answer. */
  approvals: WebApproval[];
  /** The thread's goal as codex tells it; `null` without one, and until it changes after a restart. */
  goal: JsonObject | null;
  /** The agents that its agent started, at most the last 16; empty after a restart. */
  agents: WebAgent[];
  /** Codex has lost the conversation: the session can be read as far as it is known, and closed. */
  gone: boolean;
}

/** One turn as far as it has come. */
export interface WebTurn {
  /** The turn. */
  turnId: string;
  /** `inProgress`, or how it ended. */
  status: "inProgress" | "completed" | "interrupted" | "failed" | (string & Record<never, never>);
  /** Prompts, messages, reasoning, commands and changes, with the text so far. */
  items: ThreadItem[];
  /** Unified diff of the files changed so far; `null` without changes, and for turns before a restart. */
  diff: string | null;
  /** The turn's tokens; `null` when not told, and for turns before a restart. */
  usage: TokenUsage | null;
  /** Older items that are left out, and texts that are cut, because the bridge keeps a limited size. Default 0. */
  omittedItems?: number;
  /** Why it failed, or `null`. */
  error: {
    /** The kind of failure, such as `rateLimit`. */
    kind: string;
    /** What happened. */
    message: string;
  } | null;
}

/** An agent that the session's agent started. */
export interface WebAgent {
  /** The agent's own thread. */
  threadId: string;
  /** The item of the call that started it, or `null`. */
  parentItemId: string | null;
  /** Its turns, oldest first. */
  turns: WebTurn[];
}

/** A question that waits for a person. */
export interface WebApproval {
  /** The question. Answer it by its `id`. */
  request: ApprovalRequest;
  /** When it is declined by itself; `null` without a time limit. */
  deadline: Date | null;
}

/** Events were missed: the cursor is not in the log any more. Read the snapshot, then subscribe after its cursor. */
export interface LaggedEvent {
  /** Discriminator. */
  type: "lagged";
  /** The cursor that is gone; `null` when none was given. */
  after: string | null;
}

/** The session was closed; no more events follow. */
export interface SessionClosedEvent {
  /** Discriminator. */
  type: "sessionClosed";
  /** The session. */
  sessionId: string;
}

/** Something happened in a turn of an agent that the session's agent started. */
export interface WebSubAgentEvent {
  /** Discriminator. */
  type: "subAgent";
  /** The agent's own thread. */
  threadId: string;
  /** The item of the call that started it, or `null`. */
  parentItemId: string | null;
  /** What happened. */
  event: Exclude<TurnEvent, { type: "unknown" }>;
}

/** What happens on a session's thread besides its turns. */
export type WebThreadEvent =
  | NameChangedEvent
  | GoalUpdatedEvent
  | CompactedEvent
  | CommandFinishedEvent
  | WebSubAgentEvent;

/**
 * What happens in a session: the events of its turns, of its thread and of its agents, and two of its own. Those of a newer
 * codex that this library has no name for are left out, and so are questions that are not put to people: what they tell may
 * not be for tenants.
 */
export type WebSessionEvent =
  | Exclude<TurnEvent, { type: "unknown" }>
  | WebThreadEvent
  | LaggedEvent
  | SessionClosedEvent;

/** An event with its place in the session's log. */
export interface WebEvent {
  /** The cursor to go on from; the `id:` line of the SSE stream. */
  id: string;
  /** What happened. A reader that is behind gets adjacent text deltas as one. */
  event: WebSessionEvent;
}

/** Something about a question: it waits for an answer, or no longer does. */
export type WebApprovalEvent = Extract<
  TurnEvent,
  { type: "approvalRequested" } | { type: "approvalResolved" }
>;

/** Body of `POST /sessions`. Anything else in it is refused. */
export interface CreateSessionRequest {
  /** One of the bridge's models. Default: the bridge's own. */
  model?: string;
  /** One of the bridge's efforts. Default: the bridge's own. */
  effort?: string;
  /** Goes on with a thread of the tenant's own, whose session keeps its model and effort. Default: a new thread. */
  threadId?: string;
}

/** Body of `POST /sessions/{sessionId}/turns`. Anything else in it is refused. */
export interface CreateTurnRequest {
  /** The prompt. */
  text: string;
  /** What the bridge's `attachments` policy allows, 256 at most. Default none. */
  attachments?: readonly (string | Attachment)[];
  /** One of the bridge's models, for this turn. Default: the session's. */
  model?: string;
  /** One of the bridge's efforts, for this turn. Default: the session's. */
  effort?: string;
  /** Milliseconds for the whole turn, up to the bridge's own. Default: the bridge's own. */
  timeoutMs?: number;
}

/** Body of `POST /sessions/{sessionId}/turns/{turnId}/steer`. Anything else in it is refused. */
export interface SteerRequest {
  /** What to add. */
  text: string;
  /** What the bridge's `attachments` policy allows, 256 at most. Default none. */
  attachments?: readonly (string | Attachment)[];
}

/** A turn that was started, steered or stopped. */
export interface WebTurnRef {
  /** The turn. */
  turnId: string;
}

/** A session that was closed. */
export interface ClosedWebSession {
  /** Its thread. */
  threadId: string;
  /** Whether the thread has left the history; `false` when codex has lost it or can't archive it. */
  archived: boolean;
}

/** What a tenant may choose. */
export interface WebSettings {
  /** The models, the bridge's own first. */
  models: string[];
  /** The efforts. */
  efforts: string[];
  /** The longest turn in milliseconds; `null` without a limit. */
  timeoutMs: number | null;
  /** Which attachments pass. */
  attachments: AttachmentPolicy;
}

/**
 * Which attachments a tenant may send: `"none"`, `"images"` (inline `data:` URLs) or `"files"` (images, and files below
 * the session's directory by relative path).
 */
export type AttachmentPolicy = "none" | "images" | "files";
