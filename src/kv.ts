/**
 * What stores need of a key-value database. Deno KV fits it.
 * @module
 */

import { delay } from "./async.ts";
import {
  callback,
  checkArgument,
  checkOptions,
  having,
  type Kind,
  kind,
  list,
  required,
  shape,
} from "./check/mod.ts";
import { CodexError, messageOf } from "./errors/mod.ts";
import { type JsonValue, memberOf } from "./json.ts";
import { redactText } from "./redact.ts";

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

/** Waits before each new try, in milliseconds; about 3 s in all. */
const BUSY_DELAYS = [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000];

/**
 * The same database, which tries again while another process keeps its file locked. When that lasts, it rejects with
 * `CodexError` `kvBusy`, which is retryable: nothing was written. What else fails is a `kvFailed`.
 */
export function patientKv(kv: KvDatabase): KvDatabase {
  return {
    get: (key) => patiently(() => kv.get(key)),
    list: (selector) => patientList(kv, selector),
    atomic: () => patientAtomic(kv.atomic()),
  };
}

function patientAtomic(atomic: KvAtomic): KvAtomic {
  const same: KvAtomic = {
    check: (...checks) => (atomic = atomic.check(...checks), same),
    set: (key, value) => (atomic = atomic.set(key, value), same),
    delete: (key) => (atomic = atomic.delete(key), same),
    commit: () => patiently(() => atomic.commit()),
  };
  return same;
}

/** A listing that was cut short begins anew and leaves out what it has told. */
async function* patientList(
  kv: KvDatabase,
  selector: { prefix: KvKey },
): AsyncIterable<KvListEntry> {
  const told = new Set<string>();
  const begin = () => kv.list(selector)[Symbol.asyncIterator]();
  let entries = begin();
  try {
    for (;;) {
      const { done, value } = await patiently(async () => {
        try {
          return await entries.next();
        } catch (error) {
          entries = begin();
          throw error;
        }
      });
      if (done) return;
      const key = JSON.stringify(value.key);
      if (told.has(key)) continue;
      told.add(key);
      yield value;
    }
  } finally {
    await entries.return?.();
  }
}

async function patiently<T>(step: () => Promise<T>): Promise<T> {
  for (let tried = 0;; tried++) {
    try {
      return await step();
    } catch (error) {
      if (!/database (?:table )?is locked|SQLITE_BUSY/i.test(messageOf(error))) {
        // As of a full disk, or one that is closed. A remote one may name its password with its address.
        const message = redactText(`The key-value database: ${messageOf(error)}`);
        throw new CodexError("kvFailed", message, { cause: error });
      }
      const ms = BUSY_DELAYS[tried];
      if (ms === undefined) {
        throw new CodexError("kvBusy", "The key-value database is locked by other processes.", {
          retryable: true,
          cause: error,
        });
      }
      await delay(ms * (0.5 + Math.random()));
    }
  }
}

/**
 * Commits, with this value; whether it is there. Deno asks a remote database again when an answer was lost: what was faster
 * may be this very write, which is known by a name of its own. Others may write the same.
 */
export async function commitValue(
  kv: KvDatabase,
  commit: KvAtomic,
  key: KvKey,
  value: object,
): Promise<boolean> {
  const write = crypto.randomUUID();
  return (await commit.set(key, { ...value, write }).commit()).ok ||
    memberOf((await kv.get(key)).value as JsonValue, "write") === write;
}

/** A database of the caller's and the first parts of the keys in it, by default `first`. Throws `InvalidArgumentError` for what is none. */
export function takeKv(
  where: string,
  kv: KvDatabase,
  options: KvOptions,
  first: string,
): { kv: KvDatabase; prefix: KvKey } {
  checkArgument(where, "kv", kv, KV);
  checkOptions(where, options, OPTIONS);
  return { kv: patientKv(kv), prefix: [...options.prefix ?? [first]] };
}

interface KvOptions {
  readonly prefix?: KvKey;
}

const KV: Kind = required(
  having("a key-value database { get, list, atomic }, such as Deno.openKv() gives", {
    get: required(callback),
    list: required(callback),
    atomic: required(callback),
  }),
);

const OPTIONS = shape<KvOptions>({
  prefix: list(kind("a string or a number", ["string", "number"])),
});
