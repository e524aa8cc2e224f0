/**
 * JSON Schemas: what fits them.
 * @module
 */
export { followPointer, unboundedPattern, validateAgainstSchema } from "./json_schema.ts";
