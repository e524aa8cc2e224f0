/**
 * Where the event log can be recorded.
 * @module
 */
import type { EventEnvelope } from "./event_envelope.ts";

/**
 * Receives every message of a connection, in order. A sink that throws is counted, and never disturbs the connection. At
 * shutdown it gets what it has not taken yet, as long as each call takes less than ten times `closeGraceMs` (10 s), and a
 * second at least; else it is given up and not called again, and the report says so.
 */
export interface EventSink {
  /** Takes one message. */
  write(envelope: EventEnvelope): void | Promise<void>;
  /** Writes out what is buffered; called at shutdown. */
  flush?(): Promise<void>;
  /** Releases what the sink holds; called once, after the last message. */
  close?(): Promise<void>;
}
