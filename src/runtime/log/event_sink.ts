/**
 * Where the event log can be recorded.
 * @module
 */
import type { EventEnvelope } from "./event_envelope.ts";

/** Receives every message of a connection, in order. A sink that throws is counted, and never disturbs the connection. */
export interface EventSink {
  /** Takes one message. */
  write(envelope: EventEnvelope): void | Promise<void>;
  /** Writes out what is buffered; called at shutdown. */
  flush?(): Promise<void>;
  /** Releases what the sink holds; called once, after the last message. */
  close?(): Promise<void>;
}
