/**
 * What the log holds besides the server's own words: what was sent, what was too long to be read, what was decided, and
 * how the connection is.
 */
import type { ApprovalAudit } from "../../approvals/mod.ts";
import { isJsonObject, type JsonObject, jsonOf } from "../../json.ts";
import { redact } from "../../redact.ts";
import type { OutboundMessage, OversizeMessage } from "../../rpc/mod.ts";
import type { PlannedRestart } from "../restart.ts";
import type { ConnectionState } from "../runtime_types.ts";
import { MessageHead } from "../thread_routes.ts";
import type { EventLog } from "./event_log.ts";

/** Methods that keys, tokens and other people's variables go along with. */
const TAKES_SECRETS = /^(?:account\/login|config|mcpServer)\/|^thread\/(?:start|resume|fork)$/;

/** What is told with a change of the connection's state. */
export interface StateChange {
  /** Why the last server ended. */
  error?: unknown;
  /** When the next one is started. */
  plan?: PlannedRestart;
  /** Threads that were resumed. */
  resumed?: number;
  /** Threads that could not be. */
  lost?: number;
}

/** Something was sent. */
export function logSent(
  log: EventLog,
  kind: "request" | "notification" | "response",
  size: number,
  message: OutboundMessage,
): void {
  if (!log.keeps) return;
  const head = new MessageHead(message.method, message.id, message.params);
  const said = message as unknown as JsonObject;
  // Keys and tokens are for codex alone: not for sinks, nor for readers of events.
  const body = TAKES_SECRETS.test(message.method ?? "") || isToken(message) ? redact(said) : said;
  log.append("outbound", kind === "response" ? "serverResponse" : kind, head, body, size);
}

/** Whether it is the answer to `account/chatgptAuthTokens/refresh`: answers name no method. */
function isToken({ result }: OutboundMessage): boolean {
  return isJsonObject(result) && Object.hasOwn(result, "accessToken");
}

/** A message was passed over. */
export function logOversize(
  log: EventLog,
  { bytes, method, rpcId, threadId }: OversizeMessage,
): void {
  const head = {
    method: method ?? undefined,
    rpcId: rpcId ?? undefined,
    threadId: threadId ?? undefined,
  };
  const told = { reason: "larger than maxMessageBytes", size: bytes };
  log.append("inbound", "malformed", head, told, 0);
}

/** The connection begins, works, is lost or ends. */
export function logState(
  log: EventLog,
  state: ConnectionState,
  generation: number,
  { error, plan, resumed, lost }: StateChange,
): void {
  log.append("local", "connection", {}, {
    state,
    generation,
    reason: error instanceof Error ? error.message : undefined,
    attempt: plan?.attempt,
    delayMs: plan?.delayMs,
    resumed,
    lost,
  }, 0);
}

/** A question of the server was answered. */
export function logAudit(log: EventLog, audit: ApprovalAudit): void {
  const head = new MessageHead(audit.method, undefined, {
    threadId: audit.threadId ?? undefined,
    turnId: audit.turnId ?? undefined,
    itemId: audit.itemId ?? undefined,
  });
  log.append("local", "approval", head, jsonOf(audit), 0);
}
