/**
 * How stores make, name and read a version.
 * @module
 */
import { ArtifactConflictError, CodexError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import { EMPTY_REVISION, revisionOf } from "../edits.ts";
import type { ArtifactMeta, ArtifactSave, ArtifactSaveRecord, StoredArtifact } from "./store.ts";

/**
 * A readable part of at most 40 safe characters, then 32 hex digits of the id's hash, so that ids
 * which differ only in case, length or odd characters never share a name.
 */
export async function safeName(artifactId: string): Promise<string> {
  const readable = artifactId.slice(0, 40).replace(/[^A-Za-z0-9_-]/g, "_") || "artifact";
  // JSON escapes lone surrogates, which UTF-8 would fold into one replacement character.
  const digest = (await revisionOf(JSON.stringify(artifactId))).slice("sha256:".length);
  return `${readable}-${digest.slice(0, 32)}`;
}

/** The version that follows `current`; stores call it again when another writer was faster. */
export type ArtifactChange = (current: StoredArtifact) => Promise<StoredArtifact>;

/** The change that a save makes. */
export function saveChange(save: ArtifactSave): ArtifactChange {
  return async (current) => {
    if (current.revision !== save.expectedRevision) {
      throw new ArtifactConflictError(
        current.artifactId,
        save.expectedRevision,
        current.revision,
      );
    }
    const text = save.text.toWellFormed();
    return {
      artifactId: current.artifactId,
      text,
      revision: await revisionOf(text),
      meta: mergeMeta({ ...current.meta, lastSave: null }, save.meta ?? {}),
    };
  };
}

/** The change that `updateMeta` makes. */
export function metaChange(
  change: (meta: Readonly<ArtifactMeta>) => Partial<ArtifactMeta>,
): ArtifactChange {
  return (current) =>
    Promise.resolve({ ...current, meta: mergeMeta(current.meta, change(current.meta)) });
}

/** What stores keep beside the text. */
export function encodeMeta(artifact: StoredArtifact): string {
  const { title, format, threadId, lastSave } = artifact.meta;
  return JSON.stringify({
    layout: 1,
    artifactId: artifact.artifactId,
    revision: artifact.revision,
    title,
    format,
    threadId,
    lastSave,
  });
}

/** Puts a version together again; `null` when text and meta do not belong together. */
export async function decodeArtifact(
  artifactId: string,
  text: string,
  metaText: string,
): Promise<StoredArtifact | null> {
  const value = parseObject(metaText);
  if (value === null || value["artifactId"] !== artifactId) return null;
  const revision = await revisionOf(text);
  if (value["revision"] !== revision) return null;
  return {
    artifactId,
    text,
    revision,
    meta: {
      title: stringOr(value["title"], artifactId),
      format: stringOr(value["format"], "markdown"),
      threadId: stringOr(value["threadId"], null),
      lastSave: decodeSave(value["lastSave"]),
    },
  };
}

/** The error for a version that can't be read and for a disk that fails. */
export function storeError(message: string, cause?: unknown): CodexError {
  return new CodexError("artifactStore", message, cause === undefined ? {} : { cause });
}

function mergeMeta(meta: Readonly<ArtifactMeta>, change: Partial<ArtifactMeta>): ArtifactMeta {
  return {
    title: change.title ?? meta.title,
    format: change.format ?? meta.format,
    threadId: change.threadId === undefined ? meta.threadId : change.threadId,
    lastSave: change.lastSave === undefined ? meta.lastSave : change.lastSave,
  };
}

function decodeSave(value: JsonValue | undefined): ArtifactSaveRecord | null {
  if (!isJsonObject(value)) return null;
  return {
    task: stringOr(value["task"], ""),
    threadId: stringOr(value["threadId"], null),
    turnId: stringOr(value["turnId"], null),
    previousRevision: stringOr(value["previousRevision"], EMPTY_REVISION),
  };
}

function parseObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}

function stringOr<T extends string | null>(value: unknown, fallback: T): string | T {
  return typeof value === "string" ? value : fallback;
}
