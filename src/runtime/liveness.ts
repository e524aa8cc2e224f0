/**
 * Noticing a server that neither speaks nor closes: a half-open socket, a stopped process.
 * @module
 */
import { unrefTimer } from "../platform/mod.ts";
import type { Connection } from "../rpc/mod.ts";
import type { RuntimeConfig } from "./config.ts";

/** What is known about a silent server. Times are on one clock. */
export interface LivenessSigns {
  now: number;
  /** The last sign of life, or the moment that somebody began to wait for one. */
  lastSign: number;
  /** When the server was asked for a sign of life, if it was since the last one. */
  askedAt: number | null;
}

/** What to do about it. */
export type LivenessStep = "wait" | "ask" | "lost";

/** Half of the limit may pass in silence, the other half without an answer; pure. */
export function judgeLiveness(signs: LivenessSigns, limitMs: number): LivenessStep {
  const { now, lastSign, askedAt } = signs;
  if (now - lastSign < limitMs / 2) return "wait";
  if (askedAt === null || askedAt <= lastSign) return "ask";
  return now - askedAt < limitMs / 2 ? "wait" : "lost";
}

/** How a connection is watched. */
export interface LivenessOptions {
  /** Milliseconds without a sign of life until the connection counts as lost. */
  limitMs: number;
  /** Ask also while nobody waits for the server, as the end of a socket may never be told. */
  whenIdle: boolean;
  /** Default `performance.now`. */
  now?: () => number;
}

const SOCKET_LIMIT_MS = 30_000;
const PROCESS_LIMIT_MS = 60_000;

/** How the configured connection is watched; one that the caller made, only when the caller says how long. */
export function livenessOf(config: RuntimeConfig): LivenessOptions {
  const type = config.transport?.type ?? "stdio";
  const usual = type === "custom"
    ? Infinity
    : type === "stdio"
    ? PROCESS_LIMIT_MS
    : SOCKET_LIMIT_MS;
  return { limitMs: config.unresponsiveAfterMs ?? usual, whenIdle: type !== "stdio" };
}

/** Costs the server nothing, and every version has it. */
const PROBE = "thread/loaded/list";

/**
 * Watches a connection and drops it when it counts as lost. Returns the end of the watch. A clock that jumps (the script
 * was blocked, the machine slept) is no silence of the server's: what it said then is still to be read.
 */
export function watchLiveness(connection: Connection, options: LivenessOptions): () => void {
  const { limitMs, whenIdle, now = () => performance.now() } = options;
  if (!Number.isFinite(limitMs)) return () => {};
  const stepMs = Math.max(5, limitMs / 8);
  let lastTick = now();
  let lastSign = lastTick;
  let askedAt: number | null = null;
  let asking = 0;
  const timer = setInterval(() => {
    const at = now();
    const waits = whenIdle || connection.pendingCalls > asking;
    if (at - lastTick > 3 * stepMs || !waits) {
      lastSign = at;
      askedAt = null;
    }
    lastTick = at;
    lastSign = Math.max(lastSign, connection.heardAt);
    const step = judgeLiveness({ now: at, lastSign, askedAt }, limitMs);
    if (step === "lost") {
      stop();
      connection.drop(
        `codex gave no sign of life for ${
          Math.round(at - lastSign)
        } ms, although it was asked for one; ` +
          "the connection counts as lost.",
      );
    } else if (step === "ask") {
      askedAt = at;
      asking++;
      connection.call(PROBE, {}, { timeoutMs: limitMs }).catch(() => {}).finally(() => asking--);
    }
  }, stepMs);
  unrefTimer(timer);
  const stop = () => clearInterval(timer);
  connection.ended.then(stop);
  return stop;
}
