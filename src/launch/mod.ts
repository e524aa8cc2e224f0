/**
 * What other rooms may use of `launch`.
 *
 * @module
 */
export { commandTransport } from "./command.ts";
export { codexTransport } from "./codex_process.ts";
export { locateCodex } from "./locate_codex.ts";
