/**
 * How stores make, name and read a version.
 * @module
 */
import {
  callback,
  checkArgument,
  checkOptions,
  either,
  having,
  type Kind,
  nothing,
  object,
  required,
  type Shape,
  shape,
  signal,
  takeArgument,
  text,
} from "../../check/mod.ts";
import { ArtifactConflictError, CodexError } from "../../errors/mod.ts";
import { defined, isJsonObject, type JsonValue, parseObject } from "../../json.ts";
import { EMPTY_REVISION, revisionOf } from "../edits.ts";
import type {
  ArtifactMeta,
  ArtifactSave,
  ArtifactSaveRecord,
  ArtifactStoreOptions,
  StoredArtifact,
} from "./store.ts";

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

// What callers may give to a store.

const META: Shape = shape<ArtifactMeta>({
  title: text,
  format: text,
  threadId: either(text, nothing),
  lastSave: either(
    object(shape<ArtifactSaveRecord>({
      task: required(text),
      threadId: required(either(text, nothing)),
      turnId: required(either(text, nothing)),
      previousRevision: required(text),
    })),
    nothing,
  ),
});
const saveKind: Kind = required(
  object(shape<ArtifactSave>({
    text: required(text),
    expectedRevision: required(text),
    meta: object(META),
  })),
);
const OPTIONS: Shape = shape<ArtifactStoreOptions>({ signal });

/** A stored artifact of whatever store. */
export const storedKind: Kind = required(
  having("a stored artifact { artifactId, text, revision, meta }", {
    text: required(text),
    revision: required(text),
    meta: required(
      having("what is known about it", { title: required(text), format: required(text) }),
    ),
  }),
);

/** Throws `InvalidArgumentError` when a call of a store can't be meant. */
export function checkLoad(where: string, artifactId: unknown, options: unknown): void {
  checkArgument(where, "artifactId", artifactId, required(text));
  checkOptions(where, options, OPTIONS);
}

/** What is to be saved, as it is now. Throws `InvalidArgumentError` when a call of a store can't be meant. */
export function takeSave(artifactId: unknown, save: ArtifactSave, options: unknown): ArtifactSave {
  checkLoad("save", artifactId, options);
  return takeArgument("save", "save", save, saveKind);
}

/** Throws `InvalidArgumentError` when a call of a store can't be meant. */
export function checkUpdate(artifactId: unknown, change: unknown, options: unknown): void {
  checkLoad("updateMeta", artifactId, options);
  checkArgument("updateMeta", "change", change, required(callback));
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
  return (current) => {
    const changed: unknown = change(current.meta);
    checkOptions("updateMeta", changed, META, true);
    return Promise.resolve({
      ...current,
      meta: mergeMeta(current.meta, changed as Partial<ArtifactMeta>),
    });
  };
}

/** What stores keep beside the text; no two are the same. */
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
    write: crypto.randomUUID(),
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
  return new CodexError("artifactStore", message, defined({ cause }));
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

function stringOr<T extends string | null>(value: unknown, fallback: T): string | T {
  return typeof value === "string" ? value : fallback;
}
