/**
 * Whether what callers give is what the library takes.
 *
 * @module
 */
export { fitsJson, jsonMisfit } from "./json_fit.ts";
export { followPointer, jsonPath, memberPath } from "./json_path.ts";
