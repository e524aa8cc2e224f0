/** A key-value database in memory with Deno KV's semantics and limits. */
import type { KvAtomic, KvDatabase, KvEntry, KvKey, KvListEntry } from "../../src/kv.ts";

const MAX_VALUE = 65_536;
const MAX_COMMIT = 819_200;

/** As Deno sends each commit to a remote database that it has lost the answer of: twice. */
export function sentTwice(kv: KvDatabase): KvDatabase {
  return {
    get: (key) => kv.get(key),
    list: (selector) => kv.list(selector),
    atomic: () => {
      const atomic = kv.atomic();
      const { commit } = atomic;
      atomic.commit = async () => {
        await commit();
        return await commit();
      };
      return atomic;
    },
  };
}

/** Deno KV as the store sees it. */
export class FakeKv implements KvDatabase {
  /** What is stored, by encoded key. */
  readonly entries: Map<string, { key: KvKey; value: unknown; versionstamp: string }> = new Map();
  /** Called before each commit; may throw. */
  beforeCommit: () => void = () => {};
  #stamp = 0;

  async get(key: KvKey): Promise<KvEntry> {
    await Promise.resolve();
    const entry = this.entries.get(encode(key));
    return entry === undefined
      ? { value: null, versionstamp: null }
      : { value: structuredClone(entry.value), versionstamp: entry.versionstamp };
  }

  async *list(selector: { prefix: KvKey }): AsyncIterable<KvListEntry> {
    const { prefix } = selector;
    const found = [...this.entries.values()].filter(({ key }) =>
      key.length > prefix.length && prefix.every((part, i) => key[i] === part)
    ).sort((a, b) => compare(a.key, b.key));
    for (const entry of found) {
      await Promise.resolve();
      yield structuredClone(entry);
    }
  }

  atomic(): KvAtomic {
    const checks: { key: KvKey; versionstamp: string | null }[] = [];
    const writes: { key: KvKey; value?: unknown; remove: boolean }[] = [];
    const atomic: KvAtomic = {
      check: (...more) => (checks.push(...more), atomic),
      set: (key, value) => (writes.push({ key, value, remove: false }), atomic),
      delete: (key) => (writes.push({ key, remove: true }), atomic),
      commit: async () => {
        await Promise.resolve();
        this.beforeCommit();
        return this.#commit(checks, writes);
      },
    };
    return atomic;
  }

  #commit(
    checks: { key: KvKey; versionstamp: string | null }[],
    writes: { key: KvKey; value?: unknown; remove: boolean }[],
  ): { ok: false } | { ok: true; versionstamp: string } {
    let total = 0;
    if (checks.length > 100 || writes.length > 1_000) throw new TypeError("too many operations");
    for (const { key, value, remove } of writes) {
      const size = remove ? 0 : sizeOf(value);
      if (size > MAX_VALUE) throw new TypeError(`Value too large (max ${MAX_VALUE} bytes)`);
      if (encode(key).length > 2_048) throw new TypeError("Key too large (max 2048 bytes)");
      total += size + encode(key).length;
    }
    if (total > MAX_COMMIT) {
      throw new TypeError(`Total mutation size too large (max ${MAX_COMMIT} bytes)`);
    }
    for (const { key, versionstamp } of checks) {
      if ((this.entries.get(encode(key))?.versionstamp ?? null) !== versionstamp) {
        return { ok: false };
      }
    }
    const versionstamp = String(++this.#stamp).padStart(20, "0");
    for (const { key, value, remove } of writes) {
      if (remove) this.entries.delete(encode(key));
      else this.entries.set(encode(key), { key, value: structuredClone(value), versionstamp });
    }
    return { ok: true, versionstamp };
  }
}

function encode(key: KvKey): string {
  return JSON.stringify(key);
}

function compare(a: KvKey, b: KvKey): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [x, y] = [a[i] as string | number, b[i] as string | number];
    if (x === y) continue;
    if (typeof x !== typeof y) return typeof x === "string" ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

/** About what a structured clone takes. */
function sizeOf(value: unknown): number {
  if (value instanceof Uint8Array) return value.length + 8;
  if (typeof value === "string") return value.length * 2 + 8;
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).reduce((sum, [k, v]) => sum + k.length + sizeOf(v), 8);
  }
  return 8;
}
