/**
 * The part of a key-value database that {@linkcode KvArtifactStore} uses. Deno KV fits it.
 * @module
 */

/** A key. */
export type KvKey = readonly (string | number)[];

/** What is stored under a key. */
export interface KvEntry {
  /** The value; `null` when there is none. */
  readonly value: unknown;
  /** Changes with every write; `null` when there is no value. */
  readonly versionstamp: string | null;
}

/** An entry of a list, with its key. */
export interface KvListEntry extends KvEntry {
  /** Its key. */
  readonly key: readonly unknown[];
}

/** Writes that happen all or not at all. */
export interface KvAtomic {
  /** Lets the writes happen only while each key has this versionstamp (`null`: no value). */
  check(...checks: { key: KvKey; versionstamp: string | null }[]): KvAtomic;
  /** Writes a value. */
  set(key: KvKey, value: unknown): KvAtomic;
  /** Removes a value. */
  delete(key: KvKey): KvAtomic;
  /** Does it; `ok` is `false` when a check failed. */
  commit(): Promise<{ ok: false } | { ok: true; versionstamp: string }>;
}

/**
 * A key-value database with atomic checks: what `Deno.openKv()` returns on Deno, and `openKv()` of
 * `npm:@deno/kv` on Bun and Node.
 *
 * On Bun, `npm:@deno/kv` needs `serialize` and `deserialize` of `node:v8` as its `encodeV8` and
 * `decodeV8`; such a database is for Bun only.
 */
export interface KvDatabase {
  /** The entry of a key. */
  get(key: KvKey): Promise<KvEntry>;
  /** All entries whose keys begin with `prefix`, in the order of their keys. */
  list(selector: { prefix: KvKey }): AsyncIterable<KvListEntry>;
  /** Begins a set of writes. */
  atomic(): KvAtomic;
}
