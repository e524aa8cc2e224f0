/**
 * How sessions take part in answering, and what the broker is told.
 * @module
 */
import type { Timers } from "../../async.ts";
import { CodexError } from "../../errors/mod.ts";
import type { HookVerdict } from "../../plugin/mod.ts";
import type { ProposedChange } from "../../thread_item.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import type {
  ApprovalAudit,
  ApprovalHandler,
  ApprovalRequest,
  FileChangeApprovalRequest,
} from "../request/types.ts";
import type { ApprovalRules } from "../rules/rule_types.ts";
import { OpenChanges } from "./open_changes.ts";

/** What handlers let nobody accept, rules included: why, or nothing. */
export const handlerLimits: WeakMap<
  ApprovalHandler,
  (request: ApprovalRequest) => string | null | undefined
> = new WeakMap();

/** A call of a tool of this process. */
export interface GateToolCall {
  /** The tool. */
  tool: string;
  /** Its namespace, or `null`. */
  namespace: string | null;
  /** Its arguments, as the model gave them. */
  arguments: JsonValue;
  /** The call. */
  callId: string;
  /** The thread. */
  threadId: string;
  /** The turn. */
  turnId: string;
}

/** How one open session takes part. Nothing of it is ever called for another thread. */
export interface ThreadGate {
  /** Asked first about commands, file changes, permissions, MCP tools and tool calls. A throw refuses. */
  preToolUse?(
    request: ApprovalRequest,
    context: {
      /** Aborted when the answer is no longer wanted. */
      signal: AbortSignal;
    },
  ): Promise<HookVerdict>;
  /** Whether `preToolUse` is to see every use, also of what was accepted for the session. Default: where there is one. */
  watches?(): boolean;
  /** Told about the answer to what `preToolUse` is asked about. */
  postToolUse?(request: ApprovalRequest, audit: ApprovalAudit): void;
  /** Whether the thread's commands have a sandbox that they could leave. Default: they have. */
  sandboxed?(): boolean;
  /** The directories that the agent works in; `null` where no sandbox holds it. Default: none is known. */
  workspace?(): readonly string[] | null;
  /** What the agent may do by itself now: files accepted for the session under something else are asked about again. */
  reach?(): string;
  /** The session's own handler or rules. Default: the client's. */
  approvals?: ApprovalHandler | ApprovalRules;
  /** Runs a handler that the session waits for. */
  within?<T>(call: () => T | Promise<T>): Promise<T>;
  /**
   * Runs a tool of this process and resolves with the wire's `DynamicToolCallResponse`, or with `undefined` when the
   * session has no such tool.
   */
  runTool?(
    call: GateToolCall,
    context: {
      /** Aborted when the turn ends before the tool does. */
      signal: AbortSignal;
    },
  ): Promise<JsonValue | undefined>;
  /** Finds an item of the thread, as the server last described it. */
  item?(itemId: string): unknown;
  /** Whether codex keeps the thread's commands in the sandbox even when they are accepted. Default: it does not. */
  contained?(): boolean;
  /** Told what went wrong with whoever answers, in a sentence. */
  onProblem?(request: ApprovalRequest, sentence: string): void;
  /** Told about each question of the thread: when somebody is asked, else with its answer. */
  onRequested?(request: ApprovalRequest): void;
  /**
   * Told before codex is answered so that it does not ask again, be it for the session or for ever. `grant`: what it goes on
   * with on its machine, or `null`.
   */
  onKept?(request: ApprovalRequest, grant: Grant | null): void;
  /** Told about each answer. */
  onResolved?(audit: ApprovalAudit): void;
}

/** What an answer would let the agent do, outside its sandbox. */
export type Grant =
  | {
    /** Discriminator: a command runs, or reaches a host. */
    type: "command";
    /** The host, when nothing but the network is granted. */
    network: {
      /** The host; empty when it can't be told. */
      host: string;
    } | null;
    /** Whether nothing but this command is granted: no more permissions, no rule for later ones. */
    plain: boolean;
  }
  | {
    /** Discriminator: files are changed. */
    type: "fileChange";
    /** The files; `null` when they are not known. */
    changes: readonly ProposedChange[] | null;
    /** A directory that becomes writable, or `null`. */
    grantRoot: string | null;
  }
  | {
    /** Discriminator: later commands get permissions. */
    type: "permissions";
    /** The permissions, as answered. */
    permissions: {
      /** Access to the network. */
      network: JsonObject | null;
      /** Access to files. */
      fileSystem: JsonObject | null;
    };
  };

/** A request of the server, as it came. */
export interface ServerCall {
  /** The JSON-RPC id; may be 0. */
  rpcId: number | string;
  /** The method. */
  method: string;
  /** The params. */
  params: JsonValue;
  /** The thread, when the connection knows it. Default: the one the params name. */
  threadId?: string;
}

/** How an answer gets back. Called once at most. */
export interface BrokerReply {
  /** Sends a result. */
  respond(result: JsonValue): void;
  /** Sends a JSON-RPC error. */
  reject(code: number, message: string): void;
}

/** A request of the server in the hands of a reader. */
export interface ReaderRequest {
  /** Opaque id, the same as in the audit. */
  readonly id: string;
  /** The server's method. */
  readonly method: string;
  /** The server's params. */
  readonly params: JsonValue;
  /** The request as data. */
  readonly request: ApprovalRequest;
  /** Aborted when the answer is no longer wanted. */
  readonly signal: AbortSignal;
  /**
   * Answers. `false` when it was too late. Throws `RpcValidationError` and leaves the request open when the result does
   * not have the shape that the method wants.
   */
  respond(result: JsonValue): boolean;
  /** Answers with a JSON-RPC error. `false` when it was too late. */
  reject(error: {
    /** The JSON-RPC error code. Default -32000. */
    code?: number;
    /** The message. */
    message: string;
  }): boolean;
}

/** How a broker works. */
export interface BrokerOptions {
  /** Who answers threads that have nobody of their own. Default: everything is declined. */
  approvals?: ApprovalHandler | ApprovalRules;
  /** Milliseconds until the fail-closed answer; `Infinity` waits forever. Tools of this process have no limit here. */
  timeoutMs: number;
  /** Questions that may wait at once; more get the fail-closed answer. */
  maxPending: number;
  /** Told about every answer. */
  onAudit(audit: ApprovalAudit): void;
  /**
   * Who takes part for a thread that no session registered, such as a sub-agent's, and for questions of no thread
   * (`null`). A throw refuses. Default: nobody, so that only `approvals` counts.
   */
  gateFor?(threadId: string | null): ThreadGate | undefined;
  /**
   * Asked about every answer that would let the agent do something, whoever gave it: why it may not be sent, or `null`.
   * A reason declines, and nobody is asked what could not be accepted; a throw declines, too. `contained`: the command
   * stays in its sandbox. Default: nothing is held back.
   */
  guard?(grant: Grant, request: ApprovalRequest, contained: boolean): string | null;
  /**
   * Follows the links of a path, so that rules hold for what it leads to as well; `null` when it can't be told. Default:
   * paths are taken as spelled, since they are those of another machine.
   */
  realPath?: ((path: string) => string | null) | undefined;
  /** Where commands may write temporary files beside `/tmp`. Default: nowhere. */
  tmpdir?: string | null | undefined;
  /**
   * Settles when everything has been heard that the server says together with a question. Asked when one comes whose
   * subject has an id of the model's; nothing is granted before, nor where it rejects. `repeats`: the model has used this id
   * before, or one of this thread's for two things at once. Default: that is so already.
   */
  heardAll?(repeats: boolean): Promise<void>;
  /** Has the server end a turn in which something may be done that nobody has judged. Default: it is told to by the answer alone. */
  interrupt?(threadId: string, turnId: string): void;
  /**
   * Asked about every change of files before anybody else: why it may do more than the server tells of it, or `null`. A reason
   * declines, and so does a throw. Default: the server tells all of it.
   */
  conceals?(request: FileChangeApprovalRequest, signal: AbortSignal): Promise<string | null>;
  /**
   * Whether the server goes on when the connection to it is lost, and makes calls of tools again on the next one. Default
   * `false`.
   */
  repeats?: boolean;
  /** The server's version, once it is known. Default: the newest. */
  serverVersion?(): string | null;
  /** The time in milliseconds. Default `Date.now`. */
  now?(): number;
  /** Timers. Default: the host's. */
  timers?: Timers;
}

/** What the connection knows of those who are asked: loaded with the broker. */
export type BrokerHost = Pick<
  BrokerOptions,
  "conceals" | "gateFor" | "guard" | "heardAll" | "interrupt" | "realPath" | "repeats" | "tmpdir"
>;

/** What is known before there is a question. */
export interface BrokerState {
  /** Who takes part, by thread. */
  readonly gates: Map<string, ThreadGate>;
  /** Who will take part for threads that are being opened. */
  readonly openings: Set<ThreadGate>;
  /** What later questions are about. */
  readonly changes: OpenChanges;
  /** Who answers by hand, or `null`. */
  reader: ((request: ReaderRequest) => void) | null;
  /** Hears of a thread whose session has left it; set by the broker. */
  left?: (threadId: string) => void;
}

/** Nothing is known. */
export function brokerState(): BrokerState {
  return { gates: new Map(), openings: new Set(), changes: new OpenChanges(), reader: null };
}

/**
 * Lets an open session take part for its thread, until the returned function is called; what is still asked of it then gets
 * the fail-closed answer. The last one registered for a thread counts.
 */
export function registerThread(
  state: BrokerState,
  threadId: string,
  gate: ThreadGate,
): () => void {
  const { gates } = state;
  gates.set(threadId, gate);
  return () => {
    if (gates.get(threadId) !== gate) return;
    gates.delete(threadId);
    state.left?.(threadId);
  };
}

/**
 * Gives every request to one reader, which answers by hand, until the returned function is called. Hooks, `deny` rules and
 * tools of this process still come first; what it does not answer in time gets the fail-closed answer. Throws while another
 * reader is attached.
 */
export function attachReader(
  state: BrokerState,
  reader: (request: ReaderRequest) => void,
): () => void {
  if (state.reader !== null) {
    throw new CodexError(
      "serverRequestsTaken",
      "The server's requests are already read by another reader. End that one first.",
    );
  }
  state.reader = reader;
  return () => {
    if (state.reader === reader) state.reader = null;
  };
}
