/**
 * One session of a client: one codex thread, its prompts, its questions.
 * @module
 */
import type {
  ApprovalDecision,
  ApprovalHandlerContext,
  ApprovalRequest,
} from "../../approvals/mod.ts";
import {
  BudgetExceededError,
  EmptyAnswerError,
  messageOf,
  TurnInterruptedError,
} from "../../errors/mod.ts";
import { type JsonValue, keepNewest } from "../../json.ts";
import type { PromptRunResult, Session, TurnEvent, TurnSnapshot } from "../../session/mod.ts";
import { type ReadPrompt, readPrompt } from "./content.ts";
import type { Peer } from "./peer.ts";
import { answersOf, askedOf, decisionOf, formOf } from "./permission.ts";
import type { Settings } from "./settings.ts";
import { Updates } from "./updates.ts";
import {
  type AvailableCommand,
  type ClientAbilities,
  Fault,
  FAULTS,
  type PermissionParams,
  type PromptResult,
  type SessionUpdate,
} from "./wire.ts";

/** What prompts may begin with. */
export const COMMANDS: AvailableCommand[] = [
  { name: "compact", description: "Sum up the conversation, so that its context has room again" },
  {
    name: "review",
    description: "Review the changes that are in no commit, or what you say",
    input: { hint: "what to review" },
  },
  {
    name: "review-branch",
    description: "Review the changes since another branch",
    input: { hint: "branch" },
  },
  { name: "review-commit", description: "Review one commit", input: { hint: "commit" } },
];

const DECLINED: ApprovalDecision = {
  decision: "decline",
  reason: "The client can't ask its user this.",
};
const BEYOND_MODE = "The session's mode asks nobody for what its sandbox does not hold.";

/** Turns whose events are not told a second time. */
const KEPT_TURNS = 256;

/** A prompt that runs. */
interface Running {
  /** Aborted when it is given up. */
  stop: AbortController;
  cancelled: boolean;
  /** Settles when it is over. */
  over: Promise<void>;
}

/** What a session of a client is made of. */
export interface AgentSessionParts {
  session: Session;
  peer: Peer;
  can: ClientAbilities;
  settings: Settings;
}

/** One session of a client. */
export class AgentSession {
  /** The client's name for it: its first thread's, which another replaces when codex ends before it is used. */
  readonly id: string;
  readonly session: Session;
  readonly settings: Settings;
  readonly #peer: Peer;
  readonly #can: ClientAbilities;
  readonly #updates: Updates;
  #running: Running | null = null;
  /** How often the client has cancelled. */
  #cancels = 0;
  /** Tools of MCP servers that the user allowed for the session: codex, told so, would run them in every mode. */
  readonly #allowed: Set<string> = new Set();
  /** Turns of prompts, whose events come by the prompt. */
  readonly #own: Set<string> = new Set();

  /** Begins to tell the client what happens. */
  constructor({ session, peer, can, settings }: AgentSessionParts) {
    this.id = session.threadId;
    this.session = session;
    this.settings = settings;
    this.#peer = peer;
    this.#can = can;
    this.#updates = new Updates({ cwd: session.cwd, can, context: () => session.context });
    void this.#follow();
  }

  /** Tells the client. */
  tell(updates: readonly SessionUpdate[]): void {
    for (const update of updates) this.#peer.update({ sessionId: this.id, update });
  }

  /** Tells what happened before. */
  replay(turns: readonly TurnSnapshot[]): void {
    for (const { turnId, items } of turns) this.tell(this.#updates.replay(turnId, items));
  }

  /** Runs a prompt. `signal`: the client gave the request up, or is gone. */
  async prompt(blocks: JsonValue | undefined, signal: AbortSignal): Promise<PromptResult> {
    const read = readPrompt(blocks);
    // A client that has cancelled may ask anew before it has heard of the end.
    const cancels = this.#cancels;
    while (this.#running?.cancelled) await this.#running.over;
    if (this.#cancels !== cancels) return { stopReason: "cancelled" };
    if (this.#running !== null) {
      const message = "The session runs another prompt. Cancel it, or wait for its end.";
      throw new Fault(FAULTS.invalidRequest, message);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const running: Running = { stop: new AbortController(), cancelled: false, over: promise };
    this.#running = running;
    const cancel = () => this.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      const result = await this.#run(read, running.stop.signal);
      return running.cancelled ? { stopReason: "cancelled" } : result;
    } catch (error) {
      if (running.cancelled) return { stopReason: "cancelled" };
      return stopReasonOf(error);
    } finally {
      signal.removeEventListener("abort", cancel);
      this.#running = null;
      resolve();
    }
  }

  /** Stops the prompt that runs, which is answered when codex has stopped, and the one that waits for its end. */
  cancel(): void {
    this.#cancels++;
    const running = this.#running;
    if (running === null || running.cancelled) return;
    running.cancelled = true;
    const told = (error: unknown) => {
      const message = `Codex did not confirm that it has stopped. ${messageOf(error)}`;
      this.tell(this.#updates.notice("error", message));
    };
    void this.session.interrupt().catch(told).finally(() =>
      running.stop.abort(new Fault(FAULTS.cancelled, "The prompt was cancelled."))
    );
  }

  /** Lets the thread go; it stays in the history. */
  async release(): Promise<void> {
    this.cancel();
    await this.session.release();
  }

  /** Asks the client's user. */
  async approve(
    request: ApprovalRequest,
    { signal }: ApprovalHandlerContext,
  ): Promise<ApprovalDecision> {
    try {
      if (request.type === "userInput") {
        const form = this.#can.forms ? formOf(request.questions, this.id) : null;
        if (form === null) return DECLINED;
        return answersOf(
          await this.#peer.call("elicitation/create", form, signal),
          request.questions,
        );
      }
      const asked = askedOf(request, this.session.cwd);
      if (asked === null) return DECLINED;
      const tool = request.type === "elicitation" && request.mcpTool !== null
        ? JSON.stringify([request.server, request.mcpTool])
        : null;
      if (tool !== null && this.#allowed.has(tool)) return { decision: "accept" };
      const { call, options } = asked;
      const ours = request.threadId === this.session.threadId;
      const known = ours ? this.#updates.nameOf(request.turnId, request.itemId) : null;
      const toolCallId = known ?? this.#updates.name();
      const toolCall = { toolCallId, status: "pending" as const, ...call };
      const params: PermissionParams = { sessionId: this.id, toolCall, options };
      let status: "completed" | "failed" = "failed";
      try {
        const answer = await this.#peer.call("session/request_permission", params, signal);
        const chosen = decisionOf(answer, options);
        if (chosen.decision !== "decline") status = "completed";
        if (tool === null || chosen.decision !== "acceptForSession") return chosen;
        this.#allowed.add(tool);
        return { decision: "accept" };
      } finally {
        // What has no item here, such as a call of an agent's agent, is a question that is over now.
        if (known === null) {
          this.tell([{ sessionUpdate: "tool_call_update", toolCallId, status }]);
        }
      }
    } catch (error) {
      return { decision: "decline", reason: `The client did not answer: ${messageOf(error)}` };
    }
  }

  /** Why nobody may accept it, rules included: in a mode that reads only what the sandbox holds, also once it is accepted. */
  limit(request: ApprovalRequest): string | null {
    const isHeld = request.type === "command" && request.network === null &&
      request.additionalPermissions === null &&
      this.session.policy.acceptedCommands === "sandboxed";
    return this.settings.reads && !isHeld && askedOf(request, this.session.cwd) !== null
      ? BEYOND_MODE
      : null;
  }

  async #run(read: ReadPrompt, signal: AbortSignal): Promise<PromptResult> {
    signal.throwIfAborted();
    const { text, attachments, command } = read;
    const onEvent = (event: TurnEvent) => {
      this.#remember(event.turnId);
      // The client shows what its own user said.
      if ("item" in event && event.item.type === "userMessage") return;
      this.tell(this.#updates.of(event));
    };
    const options = { ...this.settings.turn, signal, onEvent };
    // A review is work of its own, in whatever mode.
    const { mode: _, ...review } = options;
    const rest = text.replace(/^\s*\/\S+\s*/, "").trim();
    switch (command) {
      case "compact": {
        const { tokensBefore, tokensAfter } = await this.session.compact({ signal });
        await settled();
        const change = tokensBefore === null || tokensAfter === null
          ? ""
          : `: ${tokensBefore} tokens became ${tokensAfter}`;
        this.tell([this.#updates.message(`The conversation was summed up${change}.`)]);
        this.tell(this.#updates.usage());
        return { stopReason: "end_turn" };
      }
      case "review":
        await this.session.review(
          rest === "" ? { type: "uncommitted" } : { type: "custom", instructions: rest },
          review,
        );
        return { stopReason: "end_turn" };
      case "review-branch":
        await this.session.review({ type: "baseBranch", branch: given(rest, "a branch") }, review);
        return { stopReason: "end_turn" };
      case "review-commit":
        await this.session.review({ type: "commit", sha: given(rest, "a commit") }, review);
        return { stopReason: "end_turn" };
      default:
        return resultOf(await this.session.ask({ text, attachments }, options));
    }
  }

  /** The other reader of events comes later: what was told is kept for a while. */
  #remember(turnId: string): void {
    this.#own.add(turnId);
    keepNewest(this.#own, KEPT_TURNS);
  }

  /** Tells what happens beside prompts: the thread's name, commands that outlive their turn, turns that others begin. */
  async #follow(): Promise<void> {
    try {
      for await (const event of this.session.events()) {
        const turnId = "turnId" in event && event.type !== "commandFinished" ? event.turnId : null;
        if (turnId !== null && this.#own.has(turnId)) continue;
        this.tell(this.#updates.of(event));
      }
    } catch {
      // The session has ended; whoever asks it next is told why.
    }
  }
}

/** Lets everything that has been said be read. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function given(rest: string, what: string): string {
  if (rest !== "") return rest;
  throw new Fault(FAULTS.invalidParams, `The command needs ${what} after it.`);
}

function resultOf({ usage }: PromptRunResult): PromptResult {
  if (usage === null) return { stopReason: "end_turn" };
  return {
    stopReason: "end_turn",
    usage: {
      totalTokens: usage.totalTokens,
      inputTokens: usage.inputTokens,
      outputTokens: usage.outputTokens,
      thoughtTokens: usage.reasoningOutputTokens,
      cachedReadTokens: usage.cachedInputTokens,
    },
  };
}

/** Why a prompt without an answer ended, where the protocol has a word for it; else throws the error. */
function stopReasonOf(error: unknown): PromptResult {
  if (error instanceof EmptyAnswerError) return { stopReason: "end_turn" };
  if (error instanceof TurnInterruptedError) return { stopReason: "cancelled" };
  if (error instanceof BudgetExceededError) {
    return { stopReason: error.limit === "tokens" ? "max_tokens" : "max_turn_requests" };
  }
  throw error;
}
