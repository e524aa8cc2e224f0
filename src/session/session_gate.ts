/**
 * What a session answers when the server asks about one of its turns: its hooks, its tools, its items.
 * @module
 */
import type { GateToolCall, GateVerdict, ThreadGate } from "../approvals/gate.ts";
import type {
  ApprovalAudit,
  ApprovalHandler,
  ApprovalRequest,
  ApprovalRules,
} from "../approvals/types.ts";
import type { JsonObject } from "../json.ts";
import type { HookRun } from "../plugin/hook_run.ts";
import type { DynamicTool } from "./dynamic_tool.ts";
import { runTool } from "./run_tool.ts";
import { toolFacts, toolOutcome } from "./_tool_facts.ts";
import type { EmitTurnEvent, TurnOutcome } from "./turn_outcome.ts";
import type { TurnRun } from "./turn_run.ts";

/** One session's part in approvals. It answers for its own thread only. */
export class SessionGate implements ThreadGate {
  /** Who answers this session's questions. */
  declare readonly approvals?: ApprovalHandler | ApprovalRules;
  readonly #current: () => TurnRun | null;
  readonly #last: () => TurnOutcome | null;
  readonly #tools: Readonly<Record<string, DynamicTool>>;
  #hooks: HookRun | null = null;
  #emit: EmitTurnEvent = null;
  #posts: Promise<void> = Promise.resolve();
  /** Questions whose tool use post-hooks want to hear the end of, by item. */
  readonly #watched: Map<string, ApprovalRequest> = new Map();

  /** Creates the gate of a session. */
  constructor(
    current: () => TurnRun | null,
    last: () => TurnOutcome | null,
    tools: Readonly<Record<string, DynamicTool>>,
    approvals?: ApprovalHandler | ApprovalRules,
  ) {
    if (approvals !== undefined) this.approvals = approvals;
    this.#current = current;
    this.#last = last;
    this.#tools = tools;
  }

  /** A turn begins, with these hooks and this listener. */
  begin(hooks: HookRun, emit: EmitTurnEvent): void {
    this.#hooks = hooks;
    this.#emit = emit;
    this.#watched.clear();
  }

  /** Asks the hooks; they may refuse, and never grant. */
  async preToolUse(
    request: ApprovalRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<GateVerdict> {
    const hooks = this.#hooks;
    if (hooks === null || !hooks.has("preToolUse")) return { type: "continue" };
    return await hooks.toolPre(toolFacts(request, this.item(request.itemId)), { signal });
  }

  /** An item ended: post-hooks hear of the tool uses that were asked about. */
  itemCompleted(item: JsonObject): void {
    const request = this.#watched.get(String(item["id"]));
    if (request === undefined || this.#hooks === null) return;
    this.#watched.delete(String(item["id"]));
    // Off the read loop, one after the other.
    const hooks = this.#hooks;
    this.#posts = this.#posts.then(() => hooks.toolPost(toolOutcome(request, item)));
  }

  /** Settles when the post-hooks of the tool uses so far have ended. */
  get postsDone(): Promise<void> {
    return this.#posts;
  }

  /** Runs a tool of this process. */
  async runTool(
    call: GateToolCall,
    { signal }: { signal: AbortSignal },
  ): Promise<JsonObject | undefined> {
    if (!Object.hasOwn(this.#tools, call.tool)) return undefined;
    const { threadId, turnId, callId } = call;
    const { response, error } = await runTool(this.#tools, call.tool, call.arguments, {
      signal,
      threadId,
      turnId,
      callId,
    });
    if (error !== null) {
      const message = `The tool ${call.tool} failed: ${
        error instanceof Error ? error.message : String(error)
      }`;
      this.#emit?.({ type: "warning", threadId, turnId, message });
    }
    return response;
  }

  /** The item a question is about. */
  item(itemId: string | null): JsonObject | undefined {
    if (itemId === null) return undefined;
    const item = this.#current()?.outcome?.items.get(itemId) ?? this.#last()?.items.get(itemId);
    return item as unknown as JsonObject | undefined;
  }

  /** A question arrived. */
  onRequested(request: ApprovalRequest): void {
    if (request.itemId !== null && this.#hooks?.has("postToolUse")) {
      this.#watched.set(request.itemId, request);
    }
    const { threadId, turnId } = request;
    if (threadId === null) return;
    this.#emit?.({ type: "approvalRequested", threadId, turnId: turnId ?? "", request });
  }

  /** A question was answered. */
  onResolved(audit: ApprovalAudit): void {
    const { threadId, turnId } = audit;
    if (threadId === null) return;
    this.#emit?.({ type: "approvalResolved", threadId, turnId: turnId ?? "", audit });
  }
}
