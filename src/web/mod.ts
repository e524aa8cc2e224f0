/**
 * Many people's browsers on one codex: {@linkcode createBridge} over HTTP, {@linkcode WebAdapter} without; {@linkcode connect} is its client.
 *
 * @module
 */
export * from "./adapter.ts";
export * from "./bridge.ts";
export type * from "./client.ts";
export * from "./connect.ts";
export type * from "./connect_types.ts";
export type * from "./options.ts";
export * from "./cluster/session_owners.ts";
export * from "./live/subscription.ts";
export * from "./store/session_store.ts";
export type * from "./types.ts";
