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

/** The median ratio of pairs that were measured one after the other. */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((value, i) => value / theirs[i]!));
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
