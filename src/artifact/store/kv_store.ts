/**
 * Artifacts in Deno KV.
 *
 * ```text
 * […prefix, "head", name]              the current version, or where its chunks are
 * […prefix, "chunk", name, set, i]     a version too large for one value
 * […prefix, "set", name, set]          a set of chunks that no head names: being written, or garbage
 * ```
 *
 * A head is only ever replaced under a check of its versionstamp. Chunks are written before the head
 * that names them, and a set is collected only by marking it first, which fails the commit of
 * a writer that still works on it.
 * @module
 */
import { isJsonObject, joinBytes } from "../../json.ts";
import { commitValue, type KvDatabase, type KvKey, takeKv } from "../../kv.ts";
import {
  type ArtifactChange,
  checkLoad,
  checkUpdate,
  decodeArtifact,
  encodeMeta,
  metaChange,
  safeName,
  saveChange,
  storeError,
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

/** Deno KV takes values up to 64 KiB, with its own encoding included. */
const CHUNK_BYTES = 60_000;
/** Deno KV takes up to 800 KiB per commit. */
const CHUNKS_PER_COMMIT = 10;
const DELETES_PER_COMMIT = 200;
const MAX_ATTEMPTS = 1_000;
/** A writer needs seconds; a set this old was left behind by one that died. */
const ABANDONED_MS = 10 * 60_000;

/** How a {@linkcode KvArtifactStore} names its keys. */
export interface KvArtifactStoreOptions {
  /** First parts of every key. Default `["codex-artifacts"]`. */
  prefix?: KvKey;
}

/** A version whose bytes lie in the head itself, or in a set of chunks. */
type Head = { bytes: Uint8Array } | ChunkSet;

interface ChunkSet {
  set: string;
  chunks: number;
}

interface Located {
  artifact: StoredArtifact;
  versionstamp: string | null;
  head: Head | null;
}

/**
 * Keeps artifacts in Deno KV, for programs on more than one machine.
 *
 * ```ts ignore
 * import { artifact } from "@codex/runtime";
 * const kv = await Deno.openKv(); // on Bun and Node: openKv() of npm:@deno/kv
 * const store = new artifact.KvArtifactStore(kv);
 * ```
 *
 * The database stays yours to close.
 */
export class KvArtifactStore implements ArtifactStore {
  readonly #kv: KvDatabase;
  readonly #prefix: KvKey;

  /** Creates a store on an open database. */
  constructor(kv: KvDatabase, options: KvArtifactStoreOptions = {}) {
    ({ kv: this.#kv, prefix: this.#prefix } = takeKv(
      "KvArtifactStore",
      kv,
      options,
      "codex-artifacts",
    ));
  }

  /** The current version, or `null` when there is none. */
  async load(
    artifactId: string,
    options: ArtifactStoreOptions = {},
  ): Promise<StoredArtifact | null> {
    checkLoad("load", artifactId, options);
    const name = await safeName(artifactId);
    const latest = await this.#latest(name, artifactId, options);
    return latest.versionstamp === null ? null : latest.artifact;
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
    const name = await safeName(artifactId);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const current = await this.#latest(name, artifactId, options);
      const next = await change(current.artifact);
      options.signal?.throwIfAborted();
      if (await this.#publish(name, current, encode(next), options)) {
        await this.#collect(name);
        return next;
      }
    }
    throw storeError(`Saving an artifact lost ${MAX_ATTEMPTS} times against other writers.`);
  }

  /** Reads the current version; looks again when its chunks went away while being read. */
  async #latest(
    name: string,
    artifactId: string,
    options: ArtifactStoreOptions,
  ): Promise<Located> {
    let before: string | null = null;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      options.signal?.throwIfAborted();
      const { value, versionstamp } = await this.#kv.get(this.#key("head", name));
      if (versionstamp === null) {
        return { artifact: emptyArtifact(artifactId), versionstamp, head: null };
      }
      const head = asHead(value);
      const bytes = head === null ? null : await this.#bytes(name, head);
      const artifact = bytes === null ? null : await decode(artifactId, bytes);
      if (artifact !== null) return { artifact, versionstamp, head };
      if (versionstamp === before) break;
      before = versionstamp;
    }
    throw storeError(
      `The stored artifact under the key part "${name}" is damaged: its text does not have the ` +
        `revision that is stored with it. Restore it from a backup, or delete that head to start anew.`,
    );
  }

  async #bytes(name: string, head: Head): Promise<Uint8Array | null> {
    if ("bytes" in head) return head.bytes;
    const parts: Uint8Array[] = [];
    for await (const entry of this.#kv.list({ prefix: this.#key("chunk", name, head.set) })) {
      if (!(entry.value instanceof Uint8Array)) return null;
      parts.push(entry.value);
    }
    return parts.length === head.chunks ? joinBytes(parts) : null;
  }

  /** Puts a version in the place of `current`; `false` when another writer was there first. */
  async #publish(
    name: string,
    current: Located,
    bytes: Uint8Array,
    options: ArtifactStoreOptions,
  ): Promise<boolean> {
    const headKey = this.#key("head", name);
    const commit = this.#kv.atomic()
      .check({ key: headKey, versionstamp: current.versionstamp });
    // From this commit on, the chunks of the version before are garbage.
    if (current.head !== null && "set" in current.head) {
      commit.set(this.#key("set", name, current.head.set), {
        chunks: current.head.chunks,
        since: 0,
      });
    }
    if (bytes.length <= CHUNK_BYTES) return await commitValue(this.#kv, commit, headKey, { bytes });

    const set = crypto.randomUUID();
    const setKey = this.#key("set", name, set);
    const chunks = Math.ceil(bytes.length / CHUNK_BYTES);
    const begun = await this.#kv.atomic().set(setKey, { chunks, since: Date.now() }).commit();
    if (!begun.ok) return false;
    let published = false;
    try {
      await this.#writeChunks(name, set, bytes, options);
      commit.check({ key: setKey, versionstamp: begun.versionstamp }).delete(setKey);
      return published = await commitValue(this.#kv, commit, headKey, { set, chunks });
    } finally {
      // After an error nobody knows whether the commit arrived: the set's own record decides later.
      if (!published) await this.#drop(name, set, chunks, begun.versionstamp).catch(() => {});
    }
  }

  async #writeChunks(
    name: string,
    set: string,
    bytes: Uint8Array,
    options: ArtifactStoreOptions,
  ): Promise<void> {
    const chunks = Math.ceil(bytes.length / CHUNK_BYTES);
    for (let from = 0; from < chunks; from += CHUNKS_PER_COMMIT) {
      options.signal?.throwIfAborted();
      const write = this.#kv.atomic();
      for (let i = from; i < Math.min(chunks, from + CHUNKS_PER_COMMIT); i++) {
        const chunk = bytes.slice(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);
        write.set(this.#key("chunk", name, set, i), chunk);
      }
      await write.commit();
    }
  }

  /** Removes the sets that no head names. Whatever fails here is done by a later save. */
  async #collect(name: string): Promise<void> {
    try {
      const prefix = this.#key("set", name);
      const garbage: { set: string; chunks: number; versionstamp: string }[] = [];
      for await (const entry of this.#kv.list({ prefix })) {
        const { value, versionstamp } = entry;
        const set = entry.key.at(-1);
        if (typeof set !== "string" || versionstamp === null || !isJsonObject(value)) continue;
        const { chunks, since } = value;
        if (typeof chunks !== "number" || typeof since !== "number") continue;
        if (Date.now() - since > ABANDONED_MS) garbage.push({ set, chunks, versionstamp });
      }
      for (const { set, chunks, versionstamp } of garbage) {
        await this.#drop(name, set, chunks, versionstamp);
      }
    } catch {
      // Collecting is never worth failing a save that has succeeded.
    }
  }

  /** Removes a set of chunks, unless its record changed: then its writer or another collector was faster. */
  async #drop(name: string, set: string, chunks: number, versionstamp: string): Promise<void> {
    const key = this.#key("set", name, set);
    const marked = await this.#kv.atomic()
      .check({ key, versionstamp })
      .set(key, { chunks, since: 0 })
      .commit();
    if (!marked.ok) return;
    for (let from = 0; from < chunks; from += DELETES_PER_COMMIT) {
      const remove = this.#kv.atomic();
      for (let i = from; i < Math.min(chunks, from + DELETES_PER_COMMIT); i++) {
        remove.delete(this.#key("chunk", name, set, i));
      }
      await remove.commit();
    }
    await this.#kv.atomic().delete(key).commit();
  }

  #key(...parts: (string | number)[]): KvKey {
    return [...this.#prefix, ...parts];
  }
}

function asHead(value: unknown): Head | null {
  if (typeof value !== "object" || value === null) return null;
  const { bytes, set, chunks } = value as Record<string, unknown> & Partial<ChunkSet>;
  if (bytes instanceof Uint8Array) return { bytes };
  return typeof set === "string" && typeof chunks === "number" ? { set, chunks } : null;
}

/** Meta on the first line, then the text: JSON has no raw newlines. */
function encode(artifact: StoredArtifact): Uint8Array {
  return new TextEncoder().encode(`${encodeMeta(artifact)}\n${artifact.text}`);
}

async function decode(artifactId: string, bytes: Uint8Array): Promise<StoredArtifact | null> {
  const all = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const at = all.indexOf("\n");
  return at === -1 ? null : await decodeArtifact(artifactId, all.slice(at + 1), all.slice(0, at));
}
