/**
 * The types of the codex app-server protocol: every method's parameters and result, and every named type in them.
 *
 * Types only: importing this costs nothing at run time. What the server sends is open (unknown enum values and
 * variants are part of the type), what a client sends is closed. Where a type goes both ways and differs, the
 * plain name is what is sent and `Received…` what is received.
 *
 * @module
 */
export type * from "./generated/types.ts";
