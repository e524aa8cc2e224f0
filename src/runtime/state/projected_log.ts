/**
 * A log, and what its messages add up to: folded when somebody looks, or when a message leaves the log.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import type { StateLimits } from "../config.ts";
import { decodedText, EventLog, type LogRecord } from "../log/event_log.ts";
import type { StateProjection } from "./state.ts";
import type { RuntimeState } from "./state_types.ts";

/** What is seen where nobody was going to look. */
const NOTHING: RuntimeState = { threads: {}, threadsDropped: 0 };

/** A log, and the state that its messages add up to. */
export class ProjectedLog {
  /** The messages. */
  readonly log: EventLog;
  readonly #limits: StateLimits | undefined;
  #projection: StateProjection | null = null;
  #folded = 0;

  constructor(maxMessages: number, maxBytes: number, limits: StateLimits | undefined) {
    this.#limits = limits;
    this.log = new EventLog(maxMessages, maxBytes, (record) => {
      if (record.seq > this.#folded) this.#fold(record);
    });
  }

  /** Somebody is going to look: how messages are folded is loaded for that, before the first of them. */
  async project(): Promise<void> {
    const { StateProjection } = await import("./state.ts");
    this.#projection ??= new StateProjection(this.#limits);
  }

  /** The state after the newest message; nothing unless {@linkcode project} has settled. */
  state(): RuntimeState {
    if (this.#projection === null) return NOTHING;
    const { log } = this;
    for (let seq = Math.max(this.#folded + 1, log.oldest); seq <= log.newest;) {
      const record = log.at(seq)!;
      this.#fold(record);
      seq = record.seq + record.count;
    }
    return this.#projection.snapshot();
  }

  #fold(record: LogRecord): void {
    this.#folded = record.seq + record.count - 1;
    const projection = this.#projection;
    if (projection === null) return;
    const { delta, deltas } = record;
    if (delta !== null) return projection.applyDelta(delta, decodedText(record));
    if (deltas !== null) {
      for (let from = 0, to = 0; from < deltas.length; from = to) {
        to = deltas.runEnd(from);
        projection.applyDelta(deltas.head(from), deltas.joined(from, to));
      }
      return;
    }
    const counts = record.direction === "inbound" || record.kind === "connection" ||
      record.head.method === "thread/revert";
    if (!counts || typeof record.body !== "object" || record.body === null) return;
    projection.apply({
      kind: record.kind,
      method: record.head.method,
      message: record.body as JsonObject,
    });
  }
}
