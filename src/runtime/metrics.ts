/**
 * Counts, rates and latencies of one connection.
 * @module
 */
import type { LatencySummary, RuntimeMetrics } from "./runtime_types.ts";

/** What is read from other parts when a snapshot is taken. */
export interface MetricsGauges {
  /** Bytes from the present server. */
  bytesIn: number;
  /** Bytes to the present server. */
  bytesOut: number;
  /** Characters that wait to be written. */
  queuedCharacters: number;
  /** Calls that wait. */
  pendingCalls: number;
  /** Questions that wait. */
  pendingServerRequests: number;
  /** Messages kept in the event log. */
  eventLogDepth: number;
  /** Bytes kept in the event log. */
  eventLogBytes: number;
}

/** Counts for one connection; every method costs a few nanoseconds. */
export class MetricsCounter {
  /** Lines that were no JSON-RPC messages. */
  malformed = 0;
  /** Messages beyond the limit. */
  oversize = 0;
  /** Answers that nobody waits for. */
  unmatched = 0;
  /** Messages that readers and sinks missed. */
  dropped = 0;
  /** Failures of sinks. */
  sinkErrors = 0;
  /** Servers started again. */
  restarts = 0;
  readonly #now: () => number;
  readonly #start: number;
  readonly #in: RateWindow = new RateWindow();
  readonly #out: RateWindow = new RateWindow();
  readonly #latency: LatencyHistogram = new LatencyHistogram();
  #sizeIn = 0;
  #sizeOut = 0;

  /** Starts to count; `now` tells the time in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#start = now();
  }

  /** Messages came, now or at a known time on the counter's clock. */
  received(size: number, at: number = this.#now(), count = 1): void {
    this.#sizeIn += size;
    this.#in.add(this.#second(at), count);
  }

  /** A message was sent, now or at a known time on the counter's clock. */
  sent(size: number, at: number = this.#now()): void {
    this.#sizeOut += size;
    this.#out.add(this.#second(at));
  }

  /** A call was answered after `ms` milliseconds. */
  latency(ms: number): void {
    this.#latency.add(ms);
  }

  /** All counts now. */
  snapshot(gauges: MetricsGauges): RuntimeMetrics {
    const second = this.#second();
    const uptimeMs = this.#now() - this.#start;
    return {
      uptimeMs: Math.round(uptimeMs),
      messagesIn: this.#in.total,
      messagesOut: this.#out.total,
      // Servers that are gone took their own count with them; what their messages measured is what remains.
      bytesIn: Math.max(gauges.bytesIn, this.#sizeIn),
      bytesOut: Math.max(gauges.bytesOut, this.#sizeOut),
      messagesInPerSecond: this.#in.rate(second, uptimeMs),
      messagesOutPerSecond: this.#out.rate(second, uptimeMs),
      queuedCharacters: gauges.queuedCharacters,
      pendingCalls: gauges.pendingCalls,
      pendingServerRequests: gauges.pendingServerRequests,
      malformed: this.malformed,
      oversize: this.oversize,
      unmatched: this.unmatched,
      dropped: this.dropped,
      sinkErrors: this.sinkErrors,
      eventLogDepth: gauges.eventLogDepth,
      eventLogBytes: gauges.eventLogBytes,
      restarts: this.restarts,
      latency: this.#latency.summary(),
    };
  }

  #second(at: number = this.#now()): number {
    return Math.floor((at - this.#start) / 1000);
  }
}

/** Seconds that a rate looks back. */
const WINDOW = 10;

/** A count in total and for each of the last seconds. */
class RateWindow {
  /** Everything counted. */
  total = 0;
  readonly #counts: number[] = new Array(WINDOW).fill(0);
  #newest = 0;

  /** Counts one or more, in this second. */
  add(second: number, count = 1): void {
    this.total += count;
    if (second !== this.#newest) this.#advance(second);
    this.#counts[second % WINDOW]! += count;
  }

  /** Events a second, over the last ten seconds or the time since the start. */
  rate(second: number, uptimeMs: number): number {
    this.#advance(second);
    const span = Math.max(1000, Math.min(uptimeMs, (WINDOW - 1) * 1000 + uptimeMs % 1000));
    const sum = this.#counts.reduce((total, count) => total + count, 0);
    return Math.round(sum / span * 100_000) / 100;
  }

  #advance(second: number): void {
    const passed = Math.min(WINDOW, second - this.#newest);
    for (let i = 1; i <= passed; i++) this.#counts[(this.#newest + i) % WINDOW] = 0;
    if (passed > 0) this.#newest = second;
    if (passed === WINDOW) this.#counts.fill(0);
  }
}

/** Buckets between a time and its double: a percentile is at most 2^(1/8), nine percent, too high. */
const PER_OCTAVE = 8;
const SMALLEST_MS = 0.01;
const BUCKETS = 34 * PER_OCTAVE;

/** Times in buckets that grow with them. */
export class LatencyHistogram {
  readonly #buckets: Uint32Array = new Uint32Array(BUCKETS);
  #count = 0;
  #max = 0;

  /** Counts one time. */
  add(ms: number): void {
    if (!(ms >= 0)) return;
    this.#count++;
    if (ms > this.#max) this.#max = ms;
    const octaves = Math.log2(Math.max(ms, SMALLEST_MS) / SMALLEST_MS);
    this.#buckets[Math.min(BUCKETS - 1, Math.ceil(octaves * PER_OCTAVE))]!++;
  }

  /** The percentiles. */
  summary(): LatencySummary {
    return {
      count: this.#count,
      p50Ms: this.#percentile(0.5),
      p95Ms: this.#percentile(0.95),
      maxMs: rounded(this.#max),
    };
  }

  #percentile(part: number): number {
    if (this.#count === 0) return 0;
    let left = Math.ceil(this.#count * part);
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#buckets[i]!;
      if (left <= 0) return rounded(Math.min(this.#max, SMALLEST_MS * 2 ** (i / PER_OCTAVE)));
    }
    return rounded(this.#max);
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
