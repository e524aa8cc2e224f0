/**
 * The bridge's client as a module of its own, for what is bundled for browsers: {@linkcode connect}.
 *
 * @module
 */
export * from "./connect.ts";
export type * from "./connect_types.ts";
export { CodexError, InvalidArgumentError, WebError } from "../errors/mod.ts";
export type * from "./types.ts";
