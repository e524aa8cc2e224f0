/**
 * What a connection is when its options do not say.
 * @module
 */
import { canReadEnv, readEnv } from "../platform/mod.ts";
import type { RuntimeConfig } from "./config.ts";

/** What the options are that are left out; in milliseconds, bytes and numbers of things. */
export const DEFAULTS: {
  readonly requestTimeoutMs: number;
  readonly approvalTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly eventLogMessages: number;
  readonly eventLogBytes: number;
  readonly maxInFlight: number;
  readonly maxPendingApprovals: number;
  readonly closeGraceMs: number;
} = {
  requestTimeoutMs: 30_000,
  approvalTimeoutMs: 30_000,
  maxMessageBytes: 64 * 1024 * 1024,
  eventLogMessages: 4096,
  eventLogBytes: 32 * 1024 * 1024,
  maxInFlight: 128,
  maxPendingApprovals: 128,
  closeGraceMs: 1000,
};

/** Whether the server runs on another machine, with files of its own and without this script's permissions. */
export function isRemote(config: RuntimeConfig | undefined): boolean {
  const type = config?.transport?.type;
  return type === "websocket" || type === "command";
}

/** Whether the server runs by itself, and goes on when the connection to it is lost. */
export function isAttached(config: RuntimeConfig | undefined): boolean {
  const type = config?.transport?.type;
  return type === "websocket" || type === "unix" || type === "daemon";
}

/** A variable as codex has it that is started so, `undefined`: it has none; `null` when this script may not read it. */
export function codexEnv({ env = {} }: RuntimeConfig, name: string): string | null | undefined {
  const { set, inherit = "all" } = env;
  if (set?.[name] !== undefined) return set[name];
  if (typeof inherit !== "string" && !inherit.includes(name)) return undefined;
  return canReadEnv(name) ? readEnv(name) : null;
}
