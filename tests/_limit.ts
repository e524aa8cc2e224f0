/** Waits of tests that end: what never comes is named. */

/** What is waited for now, with when that began. */
const waits: Map<symbol, { what: string; since: number }> = new Map();

/** What is waited for now, the longest wait first. */
export function openWaits(): string[] {
  const now = performance.now();
  return [...waits.values()].map(({ what, since }) => `${what} (${Math.round(now - since)} ms)`);
}

/** The promise's outcome; rejects after so many milliseconds with what was waited for, and what else was then. */
export async function limited<T>(
  what: string,
  promise: Promise<T>,
  ms: number = 60_000,
): Promise<T> {
  const key = Symbol();
  waits.set(key, { what, since: performance.now() });
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`waited ${ms} ms for ${what}; open: ${openWaits().join("; ")}`)),
    ms,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
    waits.delete(key);
  }
}

/** Settles when it looks as it should below a directory; looked at whenever something changes there. Deno only. */
export async function seen(
  what: string,
  directory: string,
  look: () => Promise<boolean>,
): Promise<void> {
  using watcher = Deno.watchFs(directory);
  const changes = watcher[Symbol.asyncIterator]();
  while (!await look()) await limited(what, changes.next());
}
