/**
 * What goes to a client of the Agent Client Protocol, version 1: the part of its schema that this agent speaks, and what
 * a program says that serves one.
 * @module
 */
import type { ApprovalRules } from "../../approvals/mod.ts";
import { type JsonObject, type JsonValue, stringOf } from "../../json.ts";
import { isAbsolutePath } from "../../platform/mod.ts";
import type { RunProfile } from "../../session/mod.ts";

/** How the sessions of an editor run. */
export interface ServeProfile extends RunProfile {
  /** Rules that answer before the editor's user is asked. Default: the codex client's own. */
  approvals?: Pick<ApprovalRules, "rules" | "default">;
  /** Ends serving as if the editor had gone. */
  signal?: AbortSignal;
}

/** The two directions of a connection, such as standard input and output. */
export interface ByteStreams {
  /** What the editor says. */
  readable: ReadableStream<Uint8Array>;
  /** What the editor hears; nothing else may be written there. */
  writable: WritableStream<Uint8Array>;
}

/** The protocol's version. */
export const PROTOCOL_VERSION = 1;

/** Text, an image, a link or a file within a message. */
export type ContentBlock =
  | { type: "text"; text: string }
  | { type: "image"; data: string; mimeType: string; uri?: string }
  | { type: "resource_link"; uri: string; name: string };

/** What a tool does, so that a client can choose an icon. */
export type ToolKind =
  | "read"
  | "edit"
  | "delete"
  | "move"
  | "search"
  | "execute"
  | "think"
  | "fetch"
  | "switch_mode"
  | "other";

/** How far a call of a tool is. */
export type ToolStatus = "pending" | "in_progress" | "completed" | "failed";

/** What a call of a tool shows. */
export type ToolContent =
  | { type: "content"; content: ContentBlock }
  | { type: "diff"; path: string; oldText?: string; newText: string }
  | { type: "terminal"; terminalId: string };

/** Where a tool works. */
export interface ToolLocation {
  path: string;
  line?: number;
}

/** A call of a tool; an update has only what changed. */
export interface ToolCallFields {
  title?: string;
  kind?: ToolKind;
  status?: ToolStatus;
  content?: ToolContent[];
  locations?: ToolLocation[];
  rawInput?: JsonValue;
  rawOutput?: JsonValue;
  _meta?: JsonObject;
}

/** One step of the agent's plan. */
export interface PlanEntry {
  content: string;
  priority: "high" | "medium" | "low";
  status: "pending" | "in_progress" | "completed";
}

/** A command that a prompt may begin with. */
export interface AvailableCommand {
  name: string;
  description: string;
  input?: { hint: string };
}

/** A mode that a session can be in. */
export interface SessionMode {
  id: string;
  name: string;
  description: string;
}

/** A setting that the user chooses. */
export interface ConfigOption {
  type: "select";
  id: string;
  name: string;
  category: "mode" | "model" | "thought_level";
  currentValue: string;
  options: { value: string; name: string; description?: string }[];
}

/** What the settings of a session are. */
export interface SessionState {
  modes: { currentModeId: string; availableModes: SessionMode[] };
  configOptions: ConfigOption[];
}

/** What happens in a session. */
export type SessionUpdate =
  | {
    sessionUpdate: "user_message_chunk" | "agent_message_chunk" | "agent_thought_chunk";
    content: ContentBlock;
    messageId?: string;
  }
  | ({ sessionUpdate: "tool_call"; toolCallId: string; title: string } & ToolCallFields)
  | ({ sessionUpdate: "tool_call_update"; toolCallId: string } & ToolCallFields)
  | { sessionUpdate: "plan"; entries: PlanEntry[] }
  | { sessionUpdate: "available_commands_update"; availableCommands: AvailableCommand[] }
  | { sessionUpdate: "current_mode_update"; currentModeId: string }
  | { sessionUpdate: "config_option_update"; configOptions: ConfigOption[] }
  | { sessionUpdate: "session_info_update"; title: string | null }
  | { sessionUpdate: "usage_update"; used: number; size: number }
  | { sessionUpdate: "notice"; severity: "info" | "warning" | "error"; title: string }
  | {
    sessionUpdate: "compaction_update";
    compactionId: string;
    status: "in_progress" | "completed" | "failed" | "cancelled";
  };

/** `session/update`. */
export interface SessionNotification {
  sessionId: string;
  update: SessionUpdate;
}

/** An answer that a person may choose. */
export interface PermissionOption {
  optionId: "accept" | "acceptForSession" | "decline";
  name: string;
  kind: "allow_once" | "allow_always" | "reject_once";
}

/** `session/request_permission`. */
export interface PermissionParams {
  sessionId: string;
  toolCall: { toolCallId: string } & ToolCallFields;
  options: PermissionOption[];
}

/** The form of `elicitation/create`. */
export interface ElicitationForm {
  mode: "form";
  sessionId: string;
  message: string;
  requestedSchema: {
    type: "object";
    properties: Record<string, {
      type: "string";
      title: string;
      description: string;
      oneOf?: { const: string; title: string; description: string }[];
    }>;
    required: string[];
  };
}

/** The answer to `initialize`. */
export interface InitializeResult {
  protocolVersion: typeof PROTOCOL_VERSION;
  agentInfo: { name: string; title: string; version: string };
  agentCapabilities: {
    loadSession: true;
    promptCapabilities: { image: true; audio: false; embeddedContext: true };
    mcpCapabilities: { http: true; sse: false };
    sessionCapabilities: {
      list: Record<never, never>;
      resume: Record<never, never>;
      close: Record<never, never>;
      fork: Record<never, never>;
    };
  };
  authMethods: { id: string; name: string; description: string }[];
}

/** Why a prompt ended. */
export type StopReason =
  | "end_turn"
  | "max_tokens"
  | "max_turn_requests"
  | "refusal"
  | "cancelled";

/** The answer to `session/prompt`. */
export interface PromptResult {
  stopReason: StopReason;
  usage?: {
    totalTokens: number;
    inputTokens: number;
    outputTokens: number;
    thoughtTokens: number;
    cachedReadTokens: number;
  };
}

/** The answer to `session/list`. */
export interface ListResult {
  sessions: { sessionId: string; cwd: string; title?: string; updatedAt?: string }[];
  nextCursor?: string;
}

/** What the client can show, as it said at the beginning. */
export interface ClientAbilities {
  /** Shows the output of commands that the agent runs, told in `_meta`. */
  terminalOutput: boolean;
  /** Shows messages of the agent that are no part of the conversation. */
  notices: boolean;
  /** Shows that the history is made shorter. */
  compaction: boolean;
  /** Lets a person fill a form. */
  forms: boolean;
}

/** A refusal, as JSON-RPC spells it. */
export class Fault extends Error {
  readonly code: number;
  readonly data: JsonObject | undefined;

  /** Creates it; the codes are those of {@linkcode FAULTS}. */
  constructor(code: number, message: string, data?: JsonObject) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** Codes of JSON-RPC and of the protocol. */
export const FAULTS = {
  parse: -32700,
  invalidRequest: -32600,
  unknownMethod: -32601,
  invalidParams: -32602,
  internal: -32603,
  cancelled: -32800,
  authRequired: -32000,
  notFound: -32002,
} as const;

/** The refusal of a member that is not what the protocol has there. */
export function misfit(at: string, accepts: string): Fault {
  return new Fault(FAULTS.invalidParams, `\`${at}\` must be ${accepts}.`);
}

/** Whether it is a path that does not depend on where somebody stands. */
export function isAbsolute(path: JsonValue | undefined): path is string {
  return typeof path === "string" && isAbsolutePath(path) && !path.includes("\0");
}

/** A member that has to be a string. */
export function need(object: JsonObject, field: string, at: string): string {
  const value = stringOf(object, field);
  if (value !== null) return value;
  throw misfit(`${at}.${field}`, "a string");
}
