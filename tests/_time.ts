/** Waits that tests need not wait for. */

/** Lets what waits for more than `from` milliseconds, and less than `to`, have waited at once. */
export async function withoutTime<T>(
  from: number,
  to: number,
  work: () => Promise<T>,
): Promise<T> {
  const { setTimeout } = globalThis;
  const { now } = performance;
  let ahead = 0;
  performance.now = () => now.call(performance) + ahead;
  const hurry = (callback: () => void, ms = 0) => {
    if (ms <= from || ms >= to) return setTimeout(callback, ms);
    return setTimeout(() => {
      ahead += ms;
      callback();
    });
  };
  globalThis.setTimeout = hurry as typeof setTimeout;
  try {
    return await work();
  } finally {
    globalThis.setTimeout = setTimeout;
    performance.now = now;
  }
}
