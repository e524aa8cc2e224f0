/**
 * What an artifact store promises.
 * @module
 */
import { checkArgument, required, text } from "../../check/mod.ts";
import { EMPTY_REVISION } from "../edits.ts";

/** Who wrote the stored text. */
export interface ArtifactSaveRecord {
  /** The task that wrote it: `"docGenerate"`, `"docEdit"`, or a word of your own. */
  task: string;
  /** The thread that wrote it, or `null`. */
  threadId: string | null;
  /** The turn that wrote it, or `null`. */
  turnId: string | null;
  /** The revision before. */
  previousRevision: string;
}

/** What is known about an artifact besides its text. */
export interface ArtifactMeta {
  /** Its title; the artifact's id until something sets it. */
  title: string;
  /** Its format, such as `"markdown"`, which is the default. */
  format: string;
  /** The codex thread that works on it, or `null`. */
  threadId: string | null;
  /** Who wrote the current text, or `null` when that was not told. */
  lastSave: ArtifactSaveRecord | null;
}

/** One whole version of an artifact: its parts always belong together. */
export interface StoredArtifact {
  /** The artifact's id. */
  readonly artifactId: string;
  /** The text, well-formed Unicode. */
  readonly text: string;
  /** The text's revision, as {@linkcode revisionOf} gives it. */
  readonly revision: string;
  /** Title, format, thread and origin. */
  readonly meta: Readonly<ArtifactMeta>;
}

/** A new text for an artifact. */
export interface ArtifactSave {
  /** The whole new text. Lone surrogates become U+FFFD, as in UTF-8. */
  text: string;
  /** The revision that the new text was made from; {@linkcode EMPTY_REVISION} for a new artifact. */
  expectedRevision: string;
  /** What changes besides; members left out stay. `lastSave` left out becomes `null`. */
  meta?: Partial<ArtifactMeta>;
}

/** Options of all store calls. */
export interface ArtifactStoreOptions {
  /** Gives up before the next step; a version that is already being published is not taken back. */
  signal?: AbortSignal;
}

/**
 * Keeps artifacts, safely for any number of writers.
 *
 * A version is stored whole or not at all, and a save never replaces a text that it does not name.
 */
export interface ArtifactStore {
  /** The current version, or `null` when there is none. */
  load(artifactId: string, options?: ArtifactStoreOptions): Promise<StoredArtifact | null>;
  /**
   * Stores a new text and gives the new version.
   *
   * @throws {ArtifactConflictError} when the stored revision is not `save.expectedRevision`.
   */
  save(
    artifactId: string,
    save: ArtifactSave,
    options?: ArtifactStoreOptions,
  ): Promise<StoredArtifact>;
  /**
   * Changes what is known about the artifact, never its text; creates an empty one when there is
   * none. `change` is pure: it may be called again on newer values when another writer was faster.
   */
  updateMeta(
    artifactId: string,
    change: (meta: Readonly<ArtifactMeta>) => Partial<ArtifactMeta>,
    options?: ArtifactStoreOptions,
  ): Promise<StoredArtifact>;
}

/**
 * What an artifact is before anything was stored: empty, titled by its id, in markdown.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 *
 * const { revision, meta } = artifact.emptyArtifact("guide");
 * console.log(revision === artifact.EMPTY_REVISION, meta.title); // true, guide
 * ```
 */
export function emptyArtifact(artifactId: string): StoredArtifact {
  checkArgument("emptyArtifact", "artifactId", artifactId, required(text));
  return {
    artifactId,
    text: "",
    revision: EMPTY_REVISION,
    meta: { title: artifactId, format: "markdown", threadId: null, lastSave: null },
  };
}
