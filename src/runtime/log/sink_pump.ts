/**
 * From the event log to a sink, at the sink's own pace. Loaded where there is one.
 * @module
 */
import { settlesWithin } from "../../async.ts";
import type { MetricsCounter } from "../metrics.ts";
import type { EventLog } from "./event_log.ts";
import type { EventSink } from "./event_sink.ts";
import { readLog } from "./log_reader.ts";

/** How much longer than a step of codex's end one call of a sink may take. */
const GRACES = 10;
/** Milliseconds that it may take however short that step is: a disk has its own pace. */
const LEAST_MS = 1_000;

/** Feeds sinks; the result waits for their end, once the log is closed, and says how many were given up. */
export function feedSinks(
  sinks: EventSink | readonly EventSink[],
  log: EventLog,
  metrics: MetricsCounter,
): (graceMs: number) => Promise<number> {
  const pumps = [sinks].flat().map((sink) => new SinkPump(sink, log, metrics));
  return async (graceMs) => {
    const ms = Math.max(LEAST_MS, graceMs * GRACES);
    const ended = await Promise.all(pumps.map((pump) => pump.end(ms)));
    return ended.filter((end) => !end).length;
  };
}

/** Feeds one sink. A sink that throws is counted; a slow one falls behind the log and is told so. */
class SinkPump {
  readonly #log: EventLog;
  readonly #metrics: MetricsCounter;
  readonly #finished: Promise<void>;
  /** Calls of the sink that have ended. */
  #steps = 0;
  /** The last message that it has taken. */
  #taken = 0;
  #givenUp = false;

  /** Begins to feed. */
  constructor(sink: EventSink, log: EventLog, metrics: MetricsCounter) {
    this.#log = log;
    this.#metrics = metrics;
    this.#finished = this.#run(sink);
  }

  /**
   * Waits until the sink has got all, is flushed and closed; the log is closed before. `false`: it was given up, because
   * one call took longer than so many milliseconds. Never rejects.
   */
  async end(ms: number): Promise<boolean> {
    for (let steps = -1; steps !== this.#steps;) {
      steps = this.#steps;
      if (await settlesWithin(this.#finished, ms)) return true;
    }
    this.#givenUp = true;
    this.#metrics.sinkErrors++;
    this.#metrics.dropped += this.#log.newest - this.#taken;
    return false;
  }

  async #run(sink: EventSink): Promise<void> {
    for await (const envelope of readLog(this.#log, { after: 0 })) {
      await this.#step(() => sink.write(envelope));
      if (this.#givenUp) return;
      this.#taken = envelope.mergedTo ?? envelope.seq;
    }
    await this.#step(() => sink.flush?.());
    if (!this.#givenUp) await this.#step(() => sink.close?.());
  }

  async #step(call: () => void | Promise<void> | undefined): Promise<void> {
    try {
      await call();
    } catch {
      this.#metrics.sinkErrors++;
    }
    this.#steps++;
  }
}
