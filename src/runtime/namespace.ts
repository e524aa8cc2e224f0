/**
 * One connection to one codex: raw requests, every message as an event, state and metrics.
 *
 * @module
 */
import type { RuntimeConfig } from "./config.ts";
import type { Diagnosis } from "./diagnose/diagnosis_types.ts";

export * from "./runtime.ts";
export * from "./log/jsonl_file_sink.ts";
export type * from "./config.ts";
export type * from "./diagnose/diagnosis_types.ts";
export type { EventDirection, EventEnvelope, EventKind } from "./log/event_envelope.ts";
export type * from "./log/event_sink.ts";
export type * from "./runtime_types.ts";
export type * from "./state/state_types.ts";

/**
 * Starts codex, asks it what it is, ends it again and tells what was found. Rejects only with the reason of
 * `config.signal`: whatever else goes wrong is a problem in the result.
 *
 * ```ts ignore
 * const { ok, problems, codex } = await runtime.diagnose();
 * console.log(ok ? `codex ${codex.version} works` : problems.map((p) => p.message).join("\n"));
 * ```
 */
export async function diagnose(config: RuntimeConfig = {}): Promise<Diagnosis> {
  const looking = await import("./diagnose/diagnose.ts");
  return await looking.diagnose(config);
}
