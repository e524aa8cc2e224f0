/**
 * Artifacts in this process's memory.
 * @module
 */
import {
  type ArtifactChange,
  checkLoad,
  checkUpdate,
  metaChange,
  saveChange,
  takeSave,
} from "./record.ts";
import {
  type ArtifactMeta,
  type ArtifactSave,
  type ArtifactStore,
  type ArtifactStoreOptions,
  emptyArtifact,
  type StoredArtifact,
} from "./store.ts";

/**
 * Keeps artifacts in memory, for tests and short-lived programs.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 * const store = new artifact.MemoryArtifactStore();
 * await store.save("notes", { text: "# Notes\n", expectedRevision: artifact.EMPTY_REVISION });
 * ```
 */
export class MemoryArtifactStore implements ArtifactStore {
  readonly #artifacts = new Map<string, StoredArtifact>();

  /** The current version, or `null` when there is none. */
  // deno-lint-ignore require-await -- what is wrong must reject
  async load(
    artifactId: string,
    options: ArtifactStoreOptions = {},
  ): Promise<StoredArtifact | null> {
    checkLoad("load", artifactId, options);
    options.signal?.throwIfAborted();
    const stored = this.#artifacts.get(artifactId);
    return stored === undefined ? null : structuredClone(stored);
  }

  /** Stores a new text; rejects with `ArtifactConflictError` when another one is stored. */
  async save(
    artifactId: string,
    save: ArtifactSave,
    options: ArtifactStoreOptions = {},
  ): Promise<StoredArtifact> {
    const change = saveChange(takeSave(artifactId, save, options));
    return await this.#commit(artifactId, change, options);
  }

  /** Changes what is known about the artifact, never its text. */
  async updateMeta(
    artifactId: string,
    change: (meta: Readonly<ArtifactMeta>) => Partial<ArtifactMeta>,
    options: ArtifactStoreOptions = {},
  ): Promise<StoredArtifact> {
    checkUpdate(artifactId, change, options);
    return await this.#commit(artifactId, metaChange(change), options);
  }

  async #commit(
    artifactId: string,
    change: ArtifactChange,
    options: ArtifactStoreOptions,
  ): Promise<StoredArtifact> {
    while (true) {
      options.signal?.throwIfAborted();
      const current = this.#artifacts.get(artifactId);
      const next = structuredClone(await change(current ?? emptyArtifact(artifactId)));
      if (this.#artifacts.get(artifactId) !== current) continue;
      this.#artifacts.set(artifactId, next);
      return structuredClone(next);
    }
  }
}
