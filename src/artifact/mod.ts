/**
 * Documents that an agent writes and edits without losing anyone's work.
 *
 * @module
 */
export type * from "./client.ts";
export * from "./edits.ts";
export * from "./manager.ts";
export type * from "./options.ts";
export * from "./prompt.ts";
export * from "./store/file_store.ts";
export * from "./store/kv_store.ts";
export * from "./store/store.ts";
export * from "./store/memory_store.ts";
export type * from "./task.ts";
export type { KvAtomic, KvDatabase, KvEntry, KvKey, KvListEntry } from "../kv.ts";
