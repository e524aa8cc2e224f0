/**
 * JSON Schemas: what fits them.
 * @module
 */
export { followPointer, typesOf, unchecked, validateAgainstSchema } from "./json_schema.ts";
