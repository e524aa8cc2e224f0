/**
 * Documents that an agent writes and edits without losing anyone's work.
 *
 * A document is an artifact: a text, its revision (`sha256:…`), and what is known about it, always
 * loaded and stored as one. {@linkcode ArtifactSessionManager} shows a version to the model, takes a
 * validated answer, and stores it only while that version is still the current one. Stores are
 * for one process ({@linkcode MemoryArtifactStore}), one machine ({@linkcode FileArtifactStore}) or
 * several ({@linkcode KvArtifactStore}).
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 *
 * const store = new artifact.MemoryArtifactStore();
 * const first = await store.save("notes", {
 *   text: "# Notes\n",
 *   expectedRevision: artifact.EMPTY_REVISION,
 * });
 * const text = artifact.applyEdits(first.text, [
 *   { startLine: 2, endLine: 2, replacement: "- one\n" },
 * ]);
 * await store.save("notes", { text, expectedRevision: first.revision });
 * ```
 * @module
 */
export type { ArtifactClient, ArtifactThread } from "./client.ts";
export { applyEdits, type ArtifactEdit, checkEdits, countLines } from "./edits.ts";
export { FileArtifactStore } from "./store/file_store.ts";
export type { KvAtomic, KvDatabase, KvEntry, KvKey, KvListEntry } from "../kv.ts";
export { KvArtifactStore, type KvArtifactStoreOptions } from "./store/kv_store.ts";
export {
  type ArtifactCallOptions,
  type ArtifactManagerOptions,
  ArtifactSessionManager,
  type OpenArtifact,
} from "./manager.ts";
export { MemoryArtifactStore } from "./store/memory_store.ts";
export {
  DOC_EDIT_SCHEMA,
  DOC_GENERATE_SCHEMA,
  type DocEditOutput,
  type DocGenerateOutput,
  parseDocEdit,
  parseDocGenerate,
  type ParsedOutput,
} from "./output.ts";
export { buildArtifactPrompt } from "./prompt.ts";
export { EMPTY_REVISION, revisionOf } from "./revision.ts";
export {
  type ArtifactMeta,
  type ArtifactSave,
  type ArtifactSaveRecord,
  type ArtifactStore,
  type ArtifactStoreOptions,
  emptyArtifact,
  type StoredArtifact,
} from "./store/store.ts";
export type {
  ArtifactTaskBase,
  ArtifactTaskResult,
  ArtifactTaskResultBase,
  ArtifactTaskResults,
  ArtifactTaskSpec,
  DocEditResult,
  DocEditTask,
  DocGenerateResult,
  DocGenerateTask,
  PassthroughResult,
  PassthroughTask,
} from "./task.ts";
