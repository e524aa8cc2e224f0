/**
 * From the event log to a sink, at the sink's own pace.
 * @module
 */
import type { EventLog } from "./event_log.ts";
import type { EventSink } from "./event_sink.ts";
import type { MetricsCounter } from "../metrics.ts";

/** Feeds one sink. A sink that throws is counted; a slow one falls behind the log and is told so. */
export class SinkPump {
  /** Settles when the log has ended and the sink is flushed and closed. Never rejects. */
  readonly finished: Promise<void>;

  /** Begins to feed. */
  constructor(sink: EventSink, log: EventLog, metrics: MetricsCounter) {
    this.finished = this.#run(sink, log, metrics);
  }

  async #run(sink: EventSink, log: EventLog, metrics: MetricsCounter): Promise<void> {
    for await (const envelope of log.read({ after: 0 })) {
      await guard(() => sink.write(envelope), metrics);
    }
    await guard(() => sink.flush?.(), metrics);
    await guard(() => sink.close?.(), metrics);
  }
}

async function guard(
  step: () => void | Promise<void> | undefined,
  metrics: MetricsCounter,
): Promise<void> {
  try {
    await step();
  } catch {
    metrics.sinkErrors++;
  }
}
