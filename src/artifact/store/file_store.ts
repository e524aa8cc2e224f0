/**
 * Artifacts as files, and in this process's memory.
 * @module
 */
import { checkArgument, name, required } from "../../check/mod.ts";
import type { FileVersions } from "./file_versions.ts";
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
 * Keeps artifacts in a directory, safely for any number of processes and across crashes.
 *
 * A version is written aside, synced, and put in place by one rename: a reader sees it whole or not
 * at all. Saving waits for the disk. There is no lock that a crash could leave behind: of all writers
 * that build on one version, the first to publish wins, and the others are told. Needs read and write permission for `root` only.
 * Links below `root` are not followed. Keep it where no agent may write all the same: what an agent may write it may spoil.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 * const store = new artifact.FileArtifactStore("./artifacts");
 * const notes = await store.load("notes");
 * ```
 */
export class FileArtifactStore implements ArtifactStore {
  /** The directory; created by the first save. */
  readonly root: string;
  #versions: Promise<FileVersions> | undefined;

  /** Creates a store in `root`; nothing is read or written yet. */
  constructor(root: string) {
    checkArgument("FileArtifactStore", "root", root, required(name));
    this.root = root.length > 1 ? root.replace(/[/\\]+$/, "") : root;
  }

  /** The current version, or `null` when there is none. */
  async load(
    artifactId: string,
    options: ArtifactStoreOptions = {},
  ): Promise<StoredArtifact | null> {
    checkLoad("load", artifactId, options);
    return await (await this.#files()).load(artifactId, options);
  }

  /** Stores a new text; rejects with `ArtifactConflictError` when another one is stored. */
  async save(
    artifactId: string,
    save: ArtifactSave,
    options: ArtifactStoreOptions = {},
  ): Promise<StoredArtifact> {
    const change = saveChange(takeSave(artifactId, save, options));
    return await (await this.#files()).commit(artifactId, change, options);
  }

  /** Changes what is known about the artifact, never its text. */
  async updateMeta(
    artifactId: string,
    change: (meta: Readonly<ArtifactMeta>) => Partial<ArtifactMeta>,
    options: ArtifactStoreOptions = {},
  ): Promise<StoredArtifact> {
    checkUpdate(artifactId, change, options);
    return await (await this.#files()).commit(artifactId, metaChange(change), options);
  }

  /** Loaded with the first call. */
  #files(): Promise<FileVersions> {
    return this.#versions ??= import("./file_versions.ts")
      .then(({ FileVersions }) => new FileVersions(this.root));
  }
}

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
