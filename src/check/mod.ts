/**
 * Whether what callers give is what the library takes.
 *
 * @module
 */
export { fitsJson, type JsonMisfit, jsonMisfit, kindOf, MAX_JSON_DEPTH } from "./json_fit.ts";
export { followPointer, jsonPath, memberPath } from "./json_path.ts";
