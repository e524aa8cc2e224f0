/**
 * What other rooms may use of `async`.
 *
 * @module
 */
export { abortable, sleep } from "./abortable.ts";
export { pause } from "./pause.ts";
export { Readiness } from "./readiness.ts";
