/**
 * What a turn's messages mean: a reducer over plain data.
 * @module
 */
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  numberOf,
  objectsOf,
  stringOf,
} from "../../json.ts";
import { DELTAS, isNoise } from "../../protocol/mod.ts";
import type { ExceededLimit } from "../../errors/mod.ts";
import type { Deltas } from "../../rpc/mod.ts";
import type { TurnEvent } from "./turn_event.ts";
import { classifyFailure, type TurnFailure } from "./turn_failure.ts";
import { fileChanges, TurnItems } from "./turn_items.ts";
import type { PlanStep, TokenCount, TokenUsage, TurnStatus } from "./turn_result.ts";
import { addTokens, nextUsage, NO_TOKENS } from "./turn_usage.ts";

/** How the server says a turn ended. */
export type ServerTurnStatus = Extract<TurnStatus, "completed" | "interrupted" | "failed">;

/** Receives the events of a turn; `null` where nobody listens, so that none is made. */
export type EmitTurnEvent = ((event: TurnEvent) => void) | null;

/** Who listens to everything on a thread; asked for each message, since listeners come and go. */
export interface ThreadListeners {
  /** Tells them; `null` while there are none, so that no event is made. */
  readonly emit: EmitTurnEvent;
}

/**
 * One turn, from its messages. Feed it in order; it settles once, with the status in `turn/completed`. It does no
 * waiting and no sending.
 */
export class TurnOutcome {
  /** The thread. */
  readonly threadId: string;
  /** The turn. */
  readonly turnId: string;
  /** Messages, commands, changes and calls. */
  readonly items: TurnItems = new TurnItems();
  /** Tokens so far, without those of agents that this one started. */
  ownTokens: TokenUsage | null = null;
  /** Tokens of the agents that this one started. */
  subAgentTokens: TokenCount = NO_TOKENS;
  /** Unified diff so far. */
  diff: string | null = null;
  /** The last plan. */
  plan: PlanStep[] | null = null;
  /** How it ended, or `null` while it runs. */
  status: ServerTurnStatus | null = null;
  /** Why it failed, or `null`. */
  failure: TurnFailure | null = null;
  /** Why it is being stopped, told with its end if it is interrupted; `null`: because somebody wants it. */
  stoppedBy: { kind: string; message: string } | null = null;
  /** The server's own measure. */
  durationMs: number | null = null;
  /** Whether the server has begun it. */
  started = false;
  /** Why the server tries again to reach the model; `null` when the model has said something since. */
  unreached: string | null = null;
  /** The error that the server does not get over; it is told before the end. */
  finalError: JsonValue | undefined;
  /** What the thread had used before, as far as that is known. */
  threadTotal: TokenCount | null;
  readonly #staleError: JsonValue | undefined;

  /**
   * Begins with what is known of the thread's tokens, and with an error that belongs to a turn before: codex up to 0.145
   * gives it to the next turn when that one never began.
   */
  constructor(
    threadId: string,
    turnId: string,
    threadTotal: TokenCount | null,
    staleError?: JsonValue,
  ) {
    this.#staleError = staleError;
    this.threadId = threadId;
    this.turnId = turnId;
    this.threadTotal = threadTotal;
  }

  /** Takes the next texts of an item: some of these deltas. */
  deltas(deltas: Deltas, from: number, to: number, emit: EmitTurnEvent): void {
    const { method, itemId } = deltas.head(from);
    if (emit === null || to - from === 1) {
      const text = deltas.joined(from, to);
      this.#grow(method, itemId, text);
      return emit?.(this.#deltaEvent(method, itemId, text));
    }
    const texts = deltas.texts(from, to);
    this.#grow(method, itemId, deltas.joined(from, to));
    for (const text of texts) emit(this.#deltaEvent(method, itemId, text));
  }

  /** Takes any other message of the turn or its thread. */
  apply(method: string, params: JsonObject, emit: EmitTurnEvent): void {
    const { threadId, turnId } = this;
    switch (method) {
      case "turn/started":
        if (this.started) return;
        this.started = true;
        return emit?.({ type: "turnStarted", threadId, turnId });
      case "item/started":
        return this.#item(params, emit, false);
      case "item/completed":
        return this.#item(params, emit, true);
      case "thread/tokenUsage/updated":
        this.ownTokens = nextUsage(this.ownTokens, this.threadTotal, params["tokenUsage"]);
        if (emit !== null && this.usage !== null) {
          emit({ type: "tokenUsage", threadId, turnId, usage: this.usage });
        }
        return;
      case "turn/diff/updated":
        return this.#diff(params["diff"], emit);
      case "turn/plan/updated":
        this.plan = readPlan(params["plan"]);
        return emit?.({
          type: "planUpdated",
          threadId,
          turnId,
          plan: this.plan,
          explanation: stringOf(params, "explanation"),
        });
      case "warning":
      case "guardianWarning":
        return this.#warning(String(params["message"] ?? ""), emit);
      // The old servers' only form of it.
      case "codex/event/warning":
        return this.#warning(String(memberOf(params, "msg", "message") ?? ""), emit);
      case "error":
        return this.#error(params, emit);
      case "turn/completed":
        return this.#completed(params, emit);
      default: {
        const { itemId, delta } = params;
        if (typeof itemId === "string" && typeof delta === "string") {
          this.#grow(method, itemId, delta);
          return emit?.(this.#deltaEvent(method, itemId, delta));
        }
        return emit?.({ type: "unknown", threadId, turnId, method, params });
      }
    }
  }

  /** It needs more than its run may use, and is being stopped. */
  exceeds({ limit, allowed }: ExceededLimit): void {
    this.stoppedBy = {
      kind: "budgetExceeded",
      message: `The run needed more than its limits.${limit} of ${allowed}.`,
    };
  }

  /** What the thread has used before the next count, also by a turn that was active meanwhile. */
  countFrom(total: TokenCount): void {
    this.threadTotal = total;
    if (this.ownTokens !== null) this.ownTokens = { ...this.ownTokens, thread: total };
  }

  /** Tokens so far, or `null` when the model told none. */
  get usage(): TokenUsage | null {
    const { ownTokens, subAgentTokens } = this;
    if (ownTokens === null || subAgentTokens.totalTokens === 0) return ownTokens;
    const sum = addTokens(ownTokens, subAgentTokens);
    return { ...ownTokens, ...sum, subAgents: subAgentTokens };
  }

  /** The answer of a completed turn. */
  get answer(): string {
    return this.items.answer();
  }

  #grow(method: string, itemId: string, text: string): void {
    this.unreached = null;
    const type = DELTAS[method]?.type;
    if (type !== undefined) this.items.grow(itemId, type, text);
  }

  #deltaEvent(method: string, itemId: string, delta: string): TurnEvent {
    const { threadId, turnId } = this;
    switch (method) {
      case "item/agentMessage/delta":
        return { type: "assistantMessageDelta", threadId, turnId, itemId, delta };
      case "item/commandExecution/outputDelta":
        return { type: "commandOutputDelta", threadId, turnId, itemId, delta };
      case "item/plan/delta":
        return { type: "planDelta", threadId, turnId, itemId, delta };
      case "item/reasoning/summaryTextDelta":
        return { type: "reasoningDelta", threadId, turnId, itemId, delta, part: "summary" };
      case "item/reasoning/textDelta":
        return { type: "reasoningDelta", threadId, turnId, itemId, delta, part: "content" };
      default:
        return { type: "unknown", threadId, turnId, method, params: { itemId, delta } };
    }
  }

  #item(params: JsonObject, emit: EmitTurnEvent, completed: boolean): void {
    const item = params["item"];
    if (!isJsonObject(item)) return;
    this.unreached = null;
    // Some servers complete an item twice, or begin it after its approval: each is told once.
    const known = completed ? this.items.complete(item) : this.items.begin(item);
    if (known === null || emit === null) return;
    const { threadId, turnId } = this;
    const itemId = String(item["id"] ?? "");
    emit({ type: completed ? "itemCompleted" : "itemStarted", threadId, turnId, item: known });
    if (item["type"] === "fileChange") {
      emit({
        type: "fileChange",
        threadId,
        turnId,
        itemId,
        changes: fileChanges(item),
        status: String(item["status"] ?? "inProgress"),
      });
    }
  }

  #diff(diff: JsonValue | undefined, emit: EmitTurnEvent): void {
    // The server repeats an unchanged diff.
    if (typeof diff !== "string" || diff === this.diff) return;
    this.diff = diff;
    emit?.({ type: "diffUpdated", ...this.#ids, diff });
  }

  #warning(message: string, emit: EmitTurnEvent): void {
    if (isNoise(message)) return;
    emit?.({ type: "warning", ...this.#ids, message });
  }

  #error(params: JsonObject, emit: EmitTurnEvent): void {
    const error = params["error"];
    if (params["willRetry"] !== true) {
      this.finalError = error;
      return;
    }
    const { message: what = "", additionalDetails: why } = isJsonObject(error) ? error : {};
    const message = typeof why === "string" && why !== "" ? `${what}: ${why}` : String(what);
    this.unreached = message;
    emit?.({ type: "retrying", ...this.#ids, message, by: "codex" });
  }

  #completed(params: JsonObject, emit: EmitTurnEvent): void {
    if (this.status !== null) return;
    const turn = params["turn"];
    const { status, error } = isJsonObject(turn) ? turn : {} as JsonObject;
    this.durationMs = numberOf(turn, "durationMs");
    // Newer servers repeat the last message here: it repairs one whose completion was lost, and is the answer.
    for (const item of objectsOf(turn, "items")) {
      this.#item({ item }, emit, true);
      if (item["type"] === "agentMessage") this.items.end(item);
    }
    this.status = this.#isStale(error) ? "completed" : readStatus(status);
    if (this.status === "failed") this.failure = classifyFailure(error ?? this.finalError);
    emit?.({
      type: "turnCompleted",
      ...this.#ids,
      status: this.status,
      error: this.failure !== null
        ? { kind: this.failure.kind, message: this.failure.message }
        : this.status === "interrupted"
        ? this.stoppedBy
        : null,
    });
  }

  /** Whether an error is that of the turn before: a turn's own one is told before its end. */
  #isStale(error: JsonValue | undefined): boolean {
    return this.#staleError !== undefined && this.finalError === undefined &&
      JSON.stringify(error) === JSON.stringify(this.#staleError);
  }

  get #ids(): { threadId: string; turnId: string } {
    const { threadId, turnId } = this;
    return { threadId, turnId };
  }
}

/** Any word but the known ones is a failure: a turn that did not complete must not pass for one that did. */
function readStatus(status: JsonValue | undefined): ServerTurnStatus {
  if (status === "completed" || status === "interrupted") return status;
  return status === "cancelled" ? "interrupted" : "failed";
}

function readPlan(plan: JsonValue | undefined): PlanStep[] {
  if (!Array.isArray(plan)) return [];
  return plan.filter(isJsonObject).map((step) => ({
    step: String(step["step"] ?? ""),
    status: String(step["status"] ?? "pending"),
  }));
}
