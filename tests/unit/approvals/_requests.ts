/** Requests as the server sends them, and a broker with everything in reach. */
import { ApprovalBroker } from "../../../src/approvals/broker/broker.ts";
import {
  attachReader,
  type BrokerOptions,
  brokerState,
  type ReaderRequest,
  registerThread,
  type ThreadGate,
} from "../../../src/approvals/broker/gate.ts";
import type { ApprovalAudit, ApprovalRequest } from "../../../src/approvals/mod.ts";
import { parseRequest } from "../../../src/approvals/request/parse_request.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";

export const THREAD = "T";
export const TURN = "U";
const ids: JsonObject = { threadId: THREAD, turnId: TURN, itemId: "call_1" };

/** Params of each method, as 0.169 sends them. */
export const PARAMS: Record<string, JsonObject> = {
  "item/commandExecution/requestApproval": {
    ...ids,
    kind: "command",
    command: "/bin/bash -lc 'git status'",
    cwd: "/w",
    commandActions: [{ type: "unknown", command: "git status" }],
    proposedExecpolicyAmendment: ["git", "status"],
  },
  "item/fileChange/requestApproval": { ...ids, reason: null, grantRoot: null },
  "item/permissions/requestApproval": {
    ...ids,
    cwd: "/w",
    reason: "need net",
    permissions: { network: { enabled: true }, fileSystem: { read: null, write: ["/extra"] } },
  },
  "item/tool/requestUserInput": {
    ...ids,
    questions: [{
      id: "color",
      header: "Color",
      question: "Which color?",
      isOther: true,
      isSecret: false,
      options: [{ label: "Red", description: "r" }, { label: "Blue", description: "b" }],
    }],
  },
  "mcpServer/elicitation/request": {
    threadId: THREAD,
    turnId: TURN,
    serverName: "probe",
    mode: "form",
    _meta: null,
    message: "Your name?",
    requestedSchema: {
      type: "object",
      properties: { name: { type: "string", title: "Name" } },
      required: ["name"],
    },
  },
  "item/tool/call": {
    threadId: THREAD,
    turnId: TURN,
    callId: "call_1",
    namespace: null,
    tool: "lookup_ticket",
    arguments: { id: "T-1" },
  },
  "account/chatgptAuthTokens/refresh": { reason: "unauthorized", previousAccountId: "a" },
  "attestation/generate": {},
  "currentTime/read": { threadId: THREAD },
  "execCommandApproval": {
    conversationId: THREAD,
    callId: "call_1",
    approvalId: null,
    command: ["bash", "-lc", "git status"],
    cwd: "/w",
    reason: null,
    parsedCmd: [],
  },
  "applyPatchApproval": {
    conversationId: THREAD,
    callId: "call_1",
    fileChanges: {
      "/w/a.txt": { type: "update", unified_diff: "@@ -1 +1 @@\n-a\n+b\n", move_path: null },
    },
    reason: null,
    grantRoot: null,
  },
};

/** An approval elicitation for an MCP tool. */
export const MCP_APPROVAL: JsonObject = {
  ...PARAMS["mcpServer/elicitation/request"],
  message: 'Allow the probe MCP server to run tool "ask"?',
  requestedSchema: { type: "object", properties: {} },
  _meta: {
    codex_approval_kind: "mcp_tool_call",
    tool_params: { q: 1 },
    persist: ["session", "always"],
  },
};

export const COMMAND = "item/commandExecution/requestApproval";
export const PATCH = "item/fileChange/requestApproval";
export const PERMISSIONS = "item/permissions/requestApproval";
export const ELICITATION = "mcpServer/elicitation/request";

/** A request of the method, with some fields changed. */
export function requestOf(
  method: string,
  change: JsonObject = {},
  item?: unknown,
): ApprovalRequest {
  return parseRequest(method, { ...PARAMS[method], ...change }, {
    id: "request-1",
    now: new Date(0),
    item: () => item,
  });
}

export function commandOf(command: JsonValue, change: JsonObject = {}): ApprovalRequest {
  return requestOf(COMMAND, { command, ...change });
}

export function patchOf(...paths: string[]): ApprovalRequest {
  return requestOf(PATCH, {}, {
    type: "fileChange",
    changes: paths.map((path) => ({ path, kind: { type: "add" }, diff: "x\n" })),
  });
}

/** Whatever the server got for one request. */
export type Reply = { result: JsonValue } | { code: number; message: string };

export interface Bench {
  broker: ApprovalBroker;
  /** Lets a session take part. */
  register(threadId: string, gate: ThreadGate): () => void;
  /** Gives every request to a reader. */
  attach(reader: (request: ReaderRequest) => void): () => void;
  audits: ApprovalAudit[];
  /** Sends a request; its replies gather in the list, which must end with one entry. */
  send(method: string, change?: JsonObject, rpcId?: number | string): Reply[];
  /** Waits until an audit is there. */
  audited(count?: number): Promise<ApprovalAudit>;
  /** Fires every timer that is set. */
  elapse(): void;
  timers: Set<() => void>;
}

/** A broker whose replies, audits and timers are in reach. */
export function bench(options: Partial<BrokerOptions> = {}): Bench {
  const audits: ApprovalAudit[] = [];
  const timers = new Set<() => void>();
  const waiting: (() => void)[] = [];
  let nextId = 0;
  let sent = 0;
  const state = brokerState();
  const broker = new ApprovalBroker({
    timeoutMs: 1000,
    maxPending: 100,
    onAudit: (audit) => {
      audits.push(audit);
      for (const wake of waiting.splice(0)) wake();
    },
    timers: {
      set: (fn) => {
        timers.add(fn);
        return fn;
      },
      clear: (handle) => timers.delete(handle as () => void),
    },
    ...options,
  }, state);
  return {
    broker,
    register: (threadId, gate) => registerThread(state, threadId, gate),
    attach: (reader) => attachReader(state, reader),
    audits,
    timers,
    send(method, change = {}, rpcId = nextId++) {
      const replies: Reply[] = [];
      if (method === ELICITATION) startCall(broker, { ...PARAMS[method], ...change });
      const own = PARAMS[method]?.["itemId"] === undefined ? {} : { itemId: `call_${++sent}` };
      broker.handle({ rpcId, method, params: { ...PARAMS[method], ...own, ...change } }, {
        respond: (result) => void replies.push({ result }),
        reject: (code, message) => void replies.push({ code, message }),
      });
      return replies;
    },
    async audited(count = 1) {
      while (audits.length < count) await new Promise<void>((wake) => waiting.push(wake));
      return audits[count - 1] as ApprovalAudit;
    },
    elapse() {
      for (const fire of [...timers]) fire();
    },
  };
}

/** Tells of the MCP call that consent is asked for, as codex does before it asks. */
function startCall(
  broker: ApprovalBroker,
  { threadId, serverName, message, _meta }: JsonObject,
): void {
  const meta = (_meta ?? {}) as JsonObject;
  if (meta["codex_approval_kind"] !== "mcp_tool_call") return;
  const tool = meta["tool_name"] ?? /run tool "(.*)"/.exec(String(message))?.[1] ?? null;
  const item = {
    type: "mcpToolCall",
    id: "mcp_1",
    server: serverName ?? null,
    tool,
    arguments: meta["tool_params"] ?? null,
  };
  broker.noticed(String(threadId), "item/started", { item });
}

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
