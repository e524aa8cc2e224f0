/** Counts, rates and latencies. */
import assert from "node:assert/strict";
import {
  LatencyHistogram,
  MetricsCounter,
  type MetricsGauges,
} from "../../../src/runtime/metrics.ts";
import { test } from "../../_harness.ts";

const GAUGES: MetricsGauges = {
  bytesIn: 0,
  bytesOut: 0,
  queuedCharacters: 1,
  pendingCalls: 2,
  pendingServerRequests: 3,
  eventLogDepth: 4,
  eventLogBytes: 5,
};

/** A clock that stands still until it is set. */
function clock(): { ms: number; now: () => number } {
  const hand = { ms: 5000, now: () => hand.ms };
  return hand;
}

test("metrics: everything counted and every gauge is in the snapshot", () => {
  const time = clock();
  const counter = new MetricsCounter(time.now);
  counter.received(10);
  counter.received(20);
  counter.sent(7);
  counter.malformed = 1;
  counter.oversize = 2;
  counter.unmatched = 3;
  counter.dropped = 4;
  counter.sinkErrors = 5;
  counter.restarts = 6;
  counter.latency(8);
  time.ms += 1500;
  assert.deepEqual(counter.snapshot({ ...GAUGES, bytesIn: 31 }), {
    uptimeMs: 1500,
    messagesIn: 2,
    messagesOut: 1,
    bytesIn: 31,
    bytesOut: 7,
    messagesInPerSecond: 1.33,
    messagesOutPerSecond: 0.67,
    queuedCharacters: 1,
    pendingCalls: 2,
    pendingServerRequests: 3,
    malformed: 1,
    oversize: 2,
    unmatched: 3,
    dropped: 4,
    sinkErrors: 5,
    eventLogDepth: 4,
    eventLogBytes: 5,
    restarts: 6,
    latency: { count: 1, p50Ms: 8, p95Ms: 8, maxMs: 8 },
  });
});

test("metrics: a rate looks ten seconds back", () => {
  const time = clock();
  const counter = new MetricsCounter(time.now);
  const rate = () => counter.snapshot(GAUGES).messagesInPerSecond;
  for (let second = 0; second < 60; second++) {
    for (let i = 0; i < 50; i++) {
      counter.received(1);
      time.ms += 20;
    }
  }
  assert.ok(Math.abs(rate() - 50) < 1, String(rate()));
  time.ms += 5000;
  assert.ok(rate() > 15 && rate() < 35, String(rate()));
  time.ms += 5000;
  assert.equal(rate(), 0);
  time.ms += 3_600_000;
  counter.received(1);
  assert.ok(rate() <= 0.12);
});

test("metrics: percentiles are at most a tenth too high, the maximum is exact", () => {
  const histogram = new LatencyHistogram();
  for (let ms = 1; ms <= 1000; ms++) histogram.add(ms);
  const { count, p50Ms, p95Ms, maxMs } = histogram.summary();
  assert.equal(count, 1000);
  assert.ok(p50Ms >= 500 && p50Ms <= 550, String(p50Ms));
  assert.ok(p95Ms >= 950 && p95Ms <= 1000, String(p95Ms));
  assert.equal(maxMs, 1000);
});

test("metrics: odd latencies do no harm", () => {
  const histogram = new LatencyHistogram();
  assert.deepEqual(histogram.summary(), { count: 0, p50Ms: 0, p95Ms: 0, maxMs: 0 });
  for (const ms of [0, 1e-9, NaN, -1, 1e12]) histogram.add(ms);
  assert.equal(histogram.summary().count, 3);
  assert.equal(histogram.summary().maxMs, 1e12);
});

test("metrics: counting a million messages is quick", () => {
  const counter = new MetricsCounter();
  const begun = performance.now();
  for (let i = 0; i < 1_000_000; i++) counter.received(100);
  const ms = performance.now() - begun;
  assert.ok(ms < 15_000, `took ${ms} ms`);
});
