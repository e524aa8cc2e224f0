/**
 * The options of a manager.
 * @module
 */
import type { JsonValue } from "../json.ts";
import type { ReasoningEffort } from "../session/mod.ts";
import type { ArtifactStore } from "./store/store.ts";

/** How an {@linkcode ArtifactSessionManager} works. */
export interface ArtifactManagerOptions {
  /** The directory the agent may look around in; must exist. */
  cwd: string;
  /** Where artifacts are kept. Default: a {@linkcode FileArtifactStore} in `.codex-artifacts` of `cwd`. */
  store?: ArtifactStore;
  /** The model. Default: codex's own. */
  model?: string;
  /** How much the model thinks. Default: as for sessions, `"medium"` where no setting of codex's names another. */
  effort?: ReasoningEffort;
  /** Milliseconds for each turn. Default 120,000. */
  timeoutMs?: number;
  /** Instructions beside the system prompt, such as a house style. Default none. */
  developerInstructions?: string;
  /** Codex settings of the threads. Default none. */
  config?: Record<string, JsonValue>;
  /** Threads kept loaded while no task uses them. Default 16; others are resumed when needed. */
  maxIdleThreads?: number;
}

/** Options of {@linkcode ArtifactSessionManager}'s calls. */
export interface ArtifactCallOptions {
  /** Stops waiting, interrupts the turn and rejects with the signal's reason. */
  signal?: AbortSignal;
}
