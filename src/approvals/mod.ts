/**
 * Who answers the server's requests: rules, handlers, time-outs, and the exact shape that each method wants.
 *
 * The desk takes the server's questions. Few programs are asked anything: how a question is judged is loaded with the first one,
 * or before by who expects one.
 *
 * @module
 */
import type { JsonObject } from "../json.ts";
import type { HookToolInput } from "../plugin/mod.ts";
import type { ApprovalBroker } from "./broker/broker.ts";
import {
  attachReader,
  type BrokerHost,
  type BrokerOptions,
  type BrokerReply,
  type BrokerState,
  brokerState,
  type ReaderRequest,
  registerThread,
  type ServerCall,
  type ThreadGate,
} from "./broker/gate.ts";
import type * as facts from "./request/tool_facts.ts";
import type { ApprovalDecision, PendingApproval } from "./request/types.ts";
import type * as sessionRules from "./rules/check_rules.ts";

export { handlerLimits } from "./broker/gate.ts";
export type { BrokerHost, GateToolCall, Grant, ReaderRequest, ThreadGate } from "./broker/gate.ts";
export type {
  ApprovalAudit,
  ApprovalDecider,
  ApprovalDecision,
  ApprovalHandler,
  ApprovalHandlerContext,
  ApprovalRequest,
  ApprovalRequestBase,
  ApprovalWord,
  AttestationAnswer,
  AttestationRequest,
  AuthTokenAnswer,
  AuthTokenRefreshRequest,
  CommandApprovalRequest,
  CurrentTimeRequest,
  DeferredAnswer,
  ElicitationAnswer,
  ElicitationRequest,
  FailClosedReason,
  FileChangeApprovalRequest,
  NetworkContext,
  NetworkPolicyAmendment,
  PendingApproval,
  PermissionsAnswer,
  PermissionsApprovalRequest,
  RequestedPermissions,
  ReviewAnswer,
  ToolCallAnswer,
  ToolCallRequest,
  UnknownServerRequest,
  UserInputAnswer,
  UserInputQuestion,
  UserInputRequest,
} from "./request/types.ts";
export type {
  ApprovalKind,
  ApprovalRule,
  ApprovalRules,
  CommandMatcher,
} from "./rules/rule_types.ts";

/** What waits until the broker is there. */
interface Waiting {
  /** Does it. */
  run(broker: ApprovalBroker): void;
  /** It can't be done: the broker could not be loaded. */
  fail?(): void;
}

/** JSON-RPC's code for an error of ours. */
const INTERNAL_ERROR = -32603;

/** The broker of a connection, which is loaded when there is something for it to do. */
export class ApprovalDesk {
  readonly #options: Omit<BrokerOptions, keyof BrokerHost>;
  readonly #host: () => Promise<BrokerHost>;
  readonly #state: BrokerState = brokerState();
  #broker: ApprovalBroker | null = null;
  #loading: Promise<ApprovalBroker> | null = null;
  /** In the order in which it was said. */
  #waiting: Waiting[] = [];

  /** `host` is loaded with the broker, which takes well-formed rules only. */
  constructor(
    options: Omit<BrokerOptions, keyof BrokerHost>,
    host: () => Promise<BrokerHost> = () => Promise.resolve({}),
  ) {
    this.#options = options;
    this.#host = host;
  }

  /** Settles when a question would be judged at once: for who expects one. */
  async ready(): Promise<void> {
    await this.#load();
  }

  /** See {@linkcode registerThread}. */
  registerThread(threadId: string, gate: ThreadGate): () => void {
    return registerThread(this.#state, threadId, gate);
  }

  /** See {@linkcode ApprovalBroker.handle}. Refused with an error of JSON-RPC when the broker can't be loaded. */
  handle(call: ServerCall, reply: BrokerReply): void {
    if (this.#broker !== null) return this.#broker.handle(call, reply);
    this.#waiting.push({
      run: (broker) => broker.handle(call, reply),
      fail: () => reply.reject(INTERNAL_ERROR, "Not approved: approvals could not be loaded."),
    });
    this.#load().catch(() => {
      for (const { fail } of this.#waiting.splice(0)) fail?.();
    });
  }

  /** A thread is being opened by a call: what its MCP servers ask before the answer is asked of whoever will answer for it. */
  opening(gate: ThreadGate, answered: Promise<unknown>): void {
    const { openings } = this.#state;
    openings.add(gate);
    const over = () => void openings.delete(gate);
    answered.then(over, over);
  }

  /** See {@linkcode ApprovalBroker.noticed}. */
  noticed(threadId: string, method: string, params: JsonObject): boolean {
    // Before there is a broker, nothing was granted that could end.
    return this.#broker?.noticed(threadId, method, params) ??
      this.#state.changes.noticed(threadId, method, params);
  }

  /** See {@linkcode ApprovalBroker.resolvedElsewhere}. */
  resolvedElsewhere(rpcId: number | string, threadId: string | null): void {
    this.#asked((broker) => broker.resolvedElsewhere(rpcId, threadId));
  }

  /** See {@linkcode ApprovalBroker.turnEnded}. */
  turnEnded(threadId: string, turnId: string): void {
    this.#state.changes.turnEnded(threadId);
    this.#asked((broker) => broker.turnEnded(threadId, turnId));
  }

  /** See {@linkcode ApprovalBroker.toolsEnd}. */
  toolsEnd(...about: Parameters<ApprovalBroker["toolsEnd"]>): void {
    this.#asked((broker) => broker.toolsEnd(...about));
  }

  /** See {@linkcode attachReader}. */
  attachReader(reader: (request: ReaderRequest) => void): () => void {
    return attachReader(this.#state, reader);
  }

  /** See {@linkcode ApprovalBroker.pending}. */
  pending(): PendingApproval[] {
    return this.#broker?.pending() ?? [];
  }

  /** See {@linkcode ApprovalBroker.answer}. */
  answer(id: string, decision: ApprovalDecision): boolean {
    return this.#broker?.answer(id, decision) ?? false;
  }

  /** See {@linkcode ApprovalBroker.close}. */
  close(reason?: string): void {
    if (this.#broker !== null) this.#broker.close(reason);
    // Whatever is asked after this finds a broker that is closed.
    else this.#waiting.push({ run: (broker) => broker.close(reason) });
  }

  /** See {@linkcode ApprovalBroker.reset}. */
  reset(reason: string, ended = false): void {
    if (ended) this.#state.changes.clear();
    this.#asked((broker) => broker.reset(reason, ended));
  }

  /** Says it to the broker; where none was needed so far, nothing waits that it could be about. */
  #asked(run: (broker: ApprovalBroker) => void): void {
    if (this.#broker !== null) run(this.#broker);
    else if (this.#loading !== null) this.#waiting.push({ run });
  }

  #load(): Promise<ApprovalBroker> {
    this.#loading ??= Promise.all([import("./broker/broker.ts"), this.#host()]).then((
      [{ ApprovalBroker }, host],
    ) => {
      const options = { ...this.#options, ...host };
      const broker = this.#broker = new ApprovalBroker(options, this.#state);
      for (const { run } of this.#waiting.splice(0)) run(broker);
      return broker;
    });
    this.#loading.catch(() => this.#loading = null);
    return this.#loading;
  }
}

/** The types of items that are uses of a tool. */
const TOOL_ITEMS: ReadonlySet<unknown> = new Set([
  "commandExecution",
  "fileChange",
  "mcpToolCall",
  "dynamicToolCall",
]);

/** Whether the item is the use of a tool. */
export function isToolItem(item: JsonObject): boolean {
  return TOOL_ITEMS.has(item["type"]);
}

/** What hooks get to know before a tool use; loaded with the first. */
export async function toolFacts(
  ...args: Parameters<typeof facts.toolFacts>
): Promise<HookToolInput> {
  return (await import("./request/tool_facts.ts")).toolFacts(...args);
}

/** What hooks get to know of a tool use that has ended; loaded with the first. */
export async function toolOutcome(
  ...args: Parameters<typeof facts.toolOutcome>
): Promise<HookToolInput> {
  return (await import("./request/tool_facts.ts")).toolOutcome(...args);
}

/** What a session's handlers and rules can do under its policy. */
export type SessionRules = typeof sessionRules;

/** Loaded by sessions that have any. */
export async function loadSessionRules(): Promise<SessionRules> {
  return await import("./rules/check_rules.ts");
}
