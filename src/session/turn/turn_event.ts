/**
 * What happens during a turn, as it happens.
 * @module
 */
import type { ApprovalAudit, ApprovalRequest } from "../../approvals/mod.ts";
import type { JsonValue } from "../../json.ts";
import type { ThreadItem } from "../../thread_item.ts";
import type { FileChange, PlanStep, TokenUsage, TurnStatus } from "./turn_result.ts";

/** What every event of a turn tells. */
export interface TurnEventBase {
  /** The thread. */
  threadId: string;
  /** The turn. */
  turnId: string;
}

/** The server began the turn. */
export interface TurnStartedEvent extends TurnEventBase {
  /** Discriminator. */
  type: "turnStarted";
}

/** More text of an assistant message. */
export interface AssistantMessageDeltaEvent extends TurnEventBase {
  /** Discriminator. */
  type: "assistantMessageDelta";
  /** The message. */
  itemId: string;
  /** The text that was added. */
  delta: string;
}

/** More of the model's reasoning. */
export interface ReasoningDeltaEvent extends TurnEventBase {
  /** Discriminator. */
  type: "reasoningDelta";
  /** The reasoning item. */
  itemId: string;
  /** The text that was added. */
  delta: string;
  /** Whether this is the summary or the raw reasoning. */
  part: "summary" | "content";
}

/** More text of the plan that the agent proposes in the mode `"plan"`. */
export interface PlanDeltaEvent extends TurnEventBase {
  /** Discriminator. */
  type: "planDelta";
  /** The plan's item. */
  itemId: string;
  /** The text that was added. */
  delta: string;
}

/** The agent began something: a message, a command, a file change, a tool call. */
export interface ItemStartedEvent extends TurnEventBase {
  /** Discriminator. */
  type: "itemStarted";
  /** The item as it began. */
  item: ThreadItem;
}

/** The agent finished something; the item holds the truth, whatever the deltas said. */
export interface ItemCompletedEvent extends TurnEventBase {
  /** Discriminator. */
  type: "itemCompleted";
  /** The item as it ended. */
  item: ThreadItem;
}

/** More output of a running command; early and voluminous output may be missing, the completed item has it. */
export interface CommandOutputDeltaEvent extends TurnEventBase {
  /** Discriminator. */
  type: "commandOutputDelta";
  /** The command's item. */
  itemId: string;
  /** The output that was added. */
  delta: string;
}

/** Files were changed, or the change was refused; see `status`. */
export interface FileChangeEvent extends TurnEventBase {
  /** Discriminator. */
  type: "fileChange";
  /** The change's item. */
  itemId: string;
  /** What changed in which file. */
  changes: FileChange[];
  /** `inProgress`, `completed`, `failed` or `declined`. */
  status: string;
}

/** The agent's plan changed. */
export interface PlanUpdatedEvent extends TurnEventBase {
  /** Discriminator. */
  type: "planUpdated";
  /** The plan's steps. */
  plan: PlanStep[];
  /** Why it changed, or `null`. */
  explanation: string | null;
}

/** The cumulative diff of the turn changed. */
export interface DiffUpdatedEvent extends TurnEventBase {
  /** Discriminator. */
  type: "diffUpdated";
  /** Unified diff of all file changes so far. */
  diff: string;
}

/** Tokens were counted. */
export interface TokenUsageEvent extends TurnEventBase {
  /** Discriminator. */
  type: "tokenUsage";
  /** The turn's tokens so far, and the thread's. */
  usage: TokenUsage;
}

/** The server asks for a decision. Told when somebody is asked; of what a hook or a rule decides, with its answer. */
export interface ApprovalRequestedEvent extends TurnEventBase {
  /** Discriminator. */
  type: "approvalRequested";
  /** What it asks. */
  request: ApprovalRequest;
}

/** A decision was made. */
export interface ApprovalResolvedEvent extends TurnEventBase {
  /** Discriminator. */
  type: "approvalResolved";
  /** Who decided, what, and how long it took. */
  audit: ApprovalAudit;
}

/** Something a person should know. */
export interface WarningEvent extends TurnEventBase {
  /** Discriminator. */
  type: "warning";
  /** What. */
  message: string;
}

/** The model could not be reached; codex tries again by itself, or this client does. */
export interface RetryingEvent extends TurnEventBase {
  /** Discriminator. */
  type: "retrying";
  /** Why. */
  message: string;
  /** Who tries again. */
  by: "codex" | "client";
}

/** The turn ended. The last event of a turn. */
export interface TurnCompletedEvent extends TurnEventBase {
  /** Discriminator. */
  type: "turnCompleted";
  /** How it ended. */
  status: TurnStatus;
  /** Why it failed, or which of the run's `limits` stopped it (`budgetExceeded`), or `null`. */
  error: { kind: string; message: string } | null;
}

/** An event that this version of the library has no name for. */
export interface UnknownTurnEvent extends TurnEventBase {
  /** Discriminator. */
  type: "unknown";
  /** The server's method. */
  method: string;
  /** The server's params. */
  params: JsonValue;
}

/** What happens during a turn. Switch on `type`; unknown ones keep the server's method and params. */
export type TurnEvent =
  | TurnStartedEvent
  | AssistantMessageDeltaEvent
  | ReasoningDeltaEvent
  | PlanDeltaEvent
  | ItemStartedEvent
  | ItemCompletedEvent
  | CommandOutputDeltaEvent
  | FileChangeEvent
  | PlanUpdatedEvent
  | DiffUpdatedEvent
  | TokenUsageEvent
  | ApprovalRequestedEvent
  | ApprovalResolvedEvent
  | WarningEvent
  | RetryingEvent
  | TurnCompletedEvent
  | UnknownTurnEvent;
