/**
 * What a connection tells of itself.
 * @module
 */
import type { TransportCloseReport } from "../transport/mod.ts";

/** What the connection is doing. */
export type ConnectionState = "starting" | "running" | "restarting" | "closed";

/** How a shutdown went. */
export interface ShutdownReport extends TransportCloseReport {
  /** Servers started in the life of this runtime. */
  generations: number;
  /**
   * Sinks of the event log that were given up, because one call of theirs took longer than ten times `closeGraceMs`, and
   * than a second. What they had not taken is in {@linkcode RuntimeMetrics.dropped}.
   */
  sinksGivenUp: number;
}

/** What the server said of itself. */
export interface ServerInfo {
  /** Version of codex, or `"unknown"` when it told none and the gate is off. */
  version: string;
  /** The server's own description. */
  userAgent: string;
  /** Codex's home directory on the server's machine; absent on old servers. */
  codexHome?: string;
  /** `unix` or `windows`; absent on old servers. */
  platformFamily?: string;
  /** Operating system, such as `linux`; absent on old servers. */
  platformOs?: string;
}

/** How a connection has fared so far. Counts are since the runtime was started. */
export interface RuntimeMetrics {
  /** Milliseconds since the runtime was started. */
  readonly uptimeMs: number;
  /** Messages from the server. */
  readonly messagesIn: number;
  /** Messages to the server. */
  readonly messagesOut: number;
  /** Bytes from the server. */
  readonly bytesIn: number;
  /** Bytes to the server. */
  readonly bytesOut: number;
  /** Messages from the server a second, over the last ten seconds. */
  readonly messagesInPerSecond: number;
  /** Messages to the server a second, over the last ten seconds. */
  readonly messagesOutPerSecond: number;
  /** Characters that wait to be written to the server. */
  readonly queuedCharacters: number;
  /** Calls that wait for the server's answer. */
  readonly pendingCalls: number;
  /** Questions of the server that wait for an answer. */
  readonly pendingServerRequests: number;
  /** Lines that were no JSON-RPC messages. */
  readonly malformed: number;
  /** Messages that were larger than `maxMessageBytes`. */
  readonly oversize: number;
  /** Answers to calls that nobody waits for: late, double or with an unknown id. */
  readonly unmatched: number;
  /** Messages that a reader or sink of the event log missed because it was too slow. */
  readonly dropped: number;
  /** Times that a sink failed. */
  readonly sinkErrors: number;
  /** Messages kept in the event log. */
  readonly eventLogDepth: number;
  /** Bytes kept in the event log. */
  readonly eventLogBytes: number;
  /** Servers started again after a crash. */
  readonly restarts: number;
  /** How long calls took that were answered. */
  readonly latency: LatencySummary;
}

/** How long calls took, in milliseconds. Percentiles are exact to 10 %. */
export interface LatencySummary {
  /** Calls counted. */
  readonly count: number;
  /** Half of them took at most this long; 0 when there were none. */
  readonly p50Ms: number;
  /** 95 of 100 took at most this long; 0 when there were none. */
  readonly p95Ms: number;
  /** The longest. */
  readonly maxMs: number;
}

/** What a reader wants to see. All given conditions must hold. */
export interface EventFilter {
  /** Only this thread's messages. */
  threadId?: string;
  /** Only this turn's messages. */
  turnId?: string;
  /** Only these methods. */
  methods?: readonly string[];
  /** Begin after this sequence number; `0` is the oldest kept. Default: begin with the next message. */
  after?: number;
}
