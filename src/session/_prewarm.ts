/** Initialised servers that wait for their client. */
import type { ClientConfig } from "../runtime/config.ts";
import { Runtime } from "../runtime/runtime.ts";

/** How long a server waits before it is ended. */
const IDLE_MS = 60_000;

interface Warm {
  runtime: Runtime;
  timer: ReturnType<typeof setTimeout>;
}

const waiting: Map<string, Warm> = new Map();

/** Starts a server ahead of time. One for each configuration; a second call while one waits does nothing. */
export async function prewarm(config: ClientConfig): Promise<void> {
  const key = keyOf(config);
  if (key === null || waiting.get(key)?.runtime.connection === "running") return;
  const runtime = await Runtime.spawn(config);
  const timer = setTimeout(() => {
    waiting.delete(key);
    runtime.shutdown();
  }, IDLE_MS);
  unref(timer);
  waiting.set(key, { runtime, timer });
}

/** The server that waits for this configuration, if there is one and it lives. */
export function takePrewarmed(config: ClientConfig): Runtime | null {
  const key = keyOf(config);
  const warm = key === null ? undefined : waiting.get(key);
  if (warm === undefined) return null;
  waiting.delete(key!);
  clearTimeout(warm.timer);
  return warm.runtime.connection === "running" ? warm.runtime : null;
}

/** Ends every server that waits. */
export async function coolDown(): Promise<void> {
  const all = [...waiting.values()];
  waiting.clear();
  for (const { timer } of all) clearTimeout(timer);
  await Promise.all(all.map(({ runtime }) => runtime.shutdown()));
}

const objects: WeakMap<object, number> = new WeakMap();
let nextObject = 1;

/** Configurations are the same when their data is equal and their functions and objects with methods are identical. */
function keyOf(config: ClientConfig): string | null {
  try {
    return JSON.stringify(sorted(config));
  } catch {
    return null;
  }
}

function sorted(value: unknown): unknown {
  if (typeof value === "function") return identity(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  if (Object.getPrototypeOf(value) !== Object.prototype) return identity(value);
  const entries = Object.entries(value).filter(([key]) => key !== "signal");
  return Object.fromEntries(
    entries.sort(([a], [b]) => a < b ? -1 : 1).map(([key, each]) => [key, sorted(each)]),
  );
}

function identity(value: object): string {
  let id = objects.get(value);
  if (id === undefined) objects.set(value, id = nextObject++);
  return `object ${id}`;
}

/** A waiting server must not keep a script alive; where the runtime can say so, it is said. */
function unref(timer: unknown): void {
  const host = globalThis as { Deno?: { unrefTimer?: (id: number) => void } };
  if (typeof timer === "number") host.Deno?.unrefTimer?.(timer);
  else (timer as { unref?: () => void }).unref?.();
}
