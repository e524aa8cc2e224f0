/** Initialised servers that wait for their client. */
import type { ClientConfig, Runtime } from "../../runtime/mod.ts";
import { abortable } from "../../async.ts";
import { unrefTimer } from "../../platform/runtime.ts";

/** How long a server waits before it is ended. */
const IDLE_MS = 60_000;

interface Warm {
  runtime: Runtime;
  /** Ends it when nobody came. */
  timer: ReturnType<typeof setTimeout>;
}

const waiting: Map<string, Promise<Warm>> = new Map();

/**
 * Starts a server ahead of time, by `spawn`. One for each configuration; a second call while one waits does nothing. Rejects
 * like `Runtime.spawn`.
 */
export async function prewarm(
  config: ClientConfig,
  spawn: typeof Runtime.spawn,
  idleMs: number = IDLE_MS,
): Promise<void> {
  const key = keyOf(config);
  const known = waiting.get(key);
  if (known !== undefined) {
    const { runtime, timer } = await known;
    if (runtime.connection === "running") return;
    clearTimeout(timer);
  }
  const warm = start(spawn(config), () => forget(key, warm), idleMs);
  waiting.set(key, warm);
  try {
    await warm;
  } catch (error) {
    forget(key, warm);
    throw error;
  }
}

/** The server that waits for this configuration, or is being started for it, if it lives. */
export async function takePrewarmed(
  config: ClientConfig & { signal?: AbortSignal },
): Promise<Runtime | null> {
  const key = keyOf(config);
  const warm = waiting.get(key);
  if (warm === undefined) return null;
  waiting.delete(key);
  try {
    const { runtime, timer } = await abortable(warm, config.signal);
    clearTimeout(timer);
    if (runtime.connection !== "running") {
      await runtime.shutdown();
      return null;
    }
    return runtime;
  } catch {
    if (config.signal?.aborted === true) {
      // Who gave up leaves it to the next one.
      if (!waiting.has(key)) waiting.set(key, warm);
      throw config.signal.reason;
    }
    // It could not be started, and the caller's own try will tell why.
    return null;
  }
}

/** Ends every server that waits. */
export async function coolDown(): Promise<void> {
  const all = [...waiting.values()];
  waiting.clear();
  await Promise.all(all.map(async (each) => {
    const warm = await each.catch(() => null);
    if (warm === null) return;
    clearTimeout(warm.timer);
    await warm.runtime.shutdown();
  }));
}

async function start(
  started: Promise<Runtime>,
  onIdle: () => void,
  idleMs: number,
): Promise<Warm> {
  const runtime = await started;
  const timer = setTimeout(() => {
    onIdle();
    runtime.shutdown();
  }, idleMs);
  // A waiting server must not keep a script alive.
  unrefTimer(timer);
  return { runtime, timer };
}

function forget(key: string, warm: Promise<Warm>): void {
  if (waiting.get(key) === warm) waiting.delete(key);
}

const objects: WeakMap<object, number> = new WeakMap();
let nextObject = 1;

/** Configurations are the same when their data is equal and their functions and objects with methods are identical. */
function keyOf(config: ClientConfig): string {
  return JSON.stringify(sorted(config, new Set()));
}

function sorted(value: unknown, above: ReadonlySet<object>): unknown {
  if (typeof value === "bigint") return `bigint ${value}`;
  if (typeof value === "function") return identity(value);
  if (typeof value !== "object" || value === null) return value;
  if (above.has(value)) return identity(value);
  const path = new Set(above).add(value);
  if (Array.isArray(value)) return value.map((each) => sorted(each, path));
  // Of records without a prototype, which are data too, each call has a copy of its own.
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return identity(value);
  const entries = Object.entries(value).filter(([key]) => key !== "signal");
  return Object.fromEntries(
    entries.sort(([a], [b]) => a < b ? -1 : 1).map(([key, each]) => [key, sorted(each, path)]),
  );
}

function identity(value: object): string {
  let id = objects.get(value);
  if (id === undefined) objects.set(value, id = nextObject++);
  return `object ${id}`;
}
