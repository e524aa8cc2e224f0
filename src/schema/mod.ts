/**
 * JSON Schemas: what fits them.
 * @module
 */
export { followPointer, unchecked, validateAgainstSchema } from "./json_schema.ts";
