/**
 * One message of a connection, numbered.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";

/** Which way a message went: to the server, from it, or neither (`"local"`: told by this library). */
export type EventDirection = "inbound" | "outbound" | "local";

/** What a message is. */
export type EventKind =
  /** A call of this client. */
  | "request"
  /** The server's answer to a call. */
  | "response"
  /** A notification, either way. */
  | "notification"
  /** A question of the server. */
  | "serverRequest"
  /** This client's answer to a question. */
  | "serverResponse"
  /** A line that is not a JSON-RPC message; `message` holds its size and the reason, not its content. */
  | "malformed"
  /** The connection's state changed; `message` holds the new state. */
  | "connection"
  /** A question was decided; `message` holds who decided, by which rule, and how long it took. */
  | "approval"
  /** The reader fell out of the log; `message` holds the first and last sequence number that it missed. */
  | "lagged";

/** One message of a connection. */
export interface EventEnvelope {
  /** Position in the connection's log, from 1, without gaps. */
  readonly seq: number;
  /** When this library saw it. */
  readonly at: Date;
  /** Which way it went. */
  readonly direction: EventDirection;
  /** What it is. */
  readonly kind: EventKind;
  /** The method, for requests and notifications, and for responses whose request is known. */
  readonly method?: string;
  /** The JSON-RPC id, for requests and responses. */
  readonly rpcId?: number | string;
  /** The thread it belongs to, when it names one. */
  readonly threadId?: string;
  /** The turn it belongs to, when it names one. */
  readonly turnId?: string;
  /** The item it belongs to, when it names one. */
  readonly itemId?: string;
  /** When adjacent deltas were merged for a slow reader: the last sequence number that this envelope covers. */
  readonly mergedTo?: number;
  /** The message itself; decoded when first read. */
  readonly message: JsonValue;
}

/** An envelope as plain data, for logs and the wire. */
export function envelopeToJson(envelope: EventEnvelope): JsonObject {
  const { seq, at, direction, kind, method, rpcId, threadId, turnId, itemId, mergedTo } = envelope;
  return {
    seq,
    at: at.toISOString(),
    direction,
    kind,
    method,
    rpcId,
    threadId,
    turnId,
    itemId,
    mergedTo,
    message: envelope.message,
  };
}
