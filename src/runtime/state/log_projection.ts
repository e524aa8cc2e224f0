/** The state projection of a log: folded when somebody looks, or when a message leaves the log. */
import type { JsonObject } from "../../json.ts";
import type { StateLimits } from "../config.ts";
import { deltaText, EventLog, type LogRecord } from "../log/event_log.ts";
import { StateProjection } from "./state.ts";

/** A log, and what its messages add up to. */
export class ProjectedLog {
  /** The messages. */
  readonly log: EventLog;
  readonly #projection: StateProjection;
  #folded = 0;

  constructor(maxMessages: number, maxBytes: number, limits: StateLimits | undefined) {
    this.#projection = new StateProjection(limits);
    this.log = new EventLog(maxMessages, maxBytes, (record) => {
      if (record.seq > this.#folded) this.#fold(record);
    });
  }

  /** The state after the newest message. */
  state(): StateProjection {
    const { log } = this;
    for (let seq = Math.max(this.#folded + 1, log.oldest); seq <= log.newest;) {
      const record = log.at(seq)!;
      this.#fold(record);
      seq = record.seq + record.count;
    }
    return this.#projection;
  }

  #fold(record: LogRecord): void {
    this.#folded = record.seq + record.count - 1;
    if (record.delta !== null) {
      return this.#projection.applyDelta(record.delta, deltaText(record));
    }
    const counts = record.direction === "inbound" || record.kind === "connection";
    if (!counts || typeof record.body !== "object" || record.body === null) return;
    this.#projection.apply({
      kind: record.kind,
      method: record.head.method,
      message: record.body as JsonObject,
    });
  }
}
