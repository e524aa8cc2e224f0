/**
 * What a connection to a test is made of. It is loaded when the first one is opened.
 * @module
 */
export { decode, LineFramer } from "../rpc/mod.ts";
export { transportFactory } from "../runtime/mod.ts";
export { memoryPair } from "../transport/memory.ts";
