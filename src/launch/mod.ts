/**
 * What other rooms may use of `launch`.
 *
 * @module
 */
export { codexTransport } from "./codex_process.ts";
export { locateCodex } from "./locate_codex.ts";
export { dotenvIsDirect } from "./settings.ts";
