/** Numbers of a noisy machine: processor time instead of wall time, medians, ratios of things done side by side. */
import process from "node:process";

/** The middle one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** The value below which this part of the values lies. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

/** A ratio, and how sure it is. */
export interface Ratio {
  /** The middle of what was measured. */
  middle: number;
  /** The true middle lies between these in at least nine of ten cases. */
  low: number;
  high: number;
  /** How many pairs were measured. */
  pairs: number;
}

/** The ratio of pairs that were measured one after the other. */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): Ratio {
  const ratios = ours.map((value, i) => value / theirs[i]!).sort((a, b) => a - b);
  const outside = outerRanks(ratios.length);
  return {
    middle: median(ratios),
    low: ratios[outside]!,
    high: ratios[ratios.length - 1 - outside]!,
    pairs: ratios.length,
  };
}

/** How many of the sorted values on either side can be left out so that the rest still holds the median: by the signs of coins. */
function outerRanks(count: number): number {
  let ways = 1;
  let below = 1;
  for (let rank = 0;; rank++) {
    if (2 * below > 0.1 * 2 ** count) return Math.max(0, rank - 1);
    ways = ways * (count - rank) / (rank + 1);
    below += ways;
  }
}

/** Pairs below which no interval says anything. */
export const FEWEST_PAIRS = 5;
/** An interval that is this part of its middle is narrow enough. */
const NARROW = 0.15;

/** Whether more pairs would hardly say anything else. */
export function isSettled({ middle, low, high, pairs }: Ratio): boolean {
  return pairs >= FEWEST_PAIRS && high - low <= NARROW * middle;
}

/** What something cost this process. */
export interface Cost {
  /** Milliseconds of processor time, all threads. */
  cpuMs: number;
  /** Milliseconds on the clock. */
  wallMs: number;
}

/** Starts to measure; the result stops. */
export function measure(): () => Cost {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { cpuMs: (user + system) / 1000, wallMs: performance.now() - begun };
  };
}

/** Megabytes of memory that this process holds. */
export function residentMb(): number {
  return process.memoryUsage.rss() / 2 ** 20;
}

/** Watches the memory of this process; the result is the highest it saw, in megabytes. */
export function watchMemory(everyMs = 20): () => number {
  let peak = residentMb();
  const timer = setInterval(() => peak = Math.max(peak, residentMb()), everyMs);
  return () => {
    clearInterval(timer);
    return Math.max(peak, residentMb());
  };
}
