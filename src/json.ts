/**
 * JSON as data: the value types that cross the wire.
 * @module
 */

/** Any value that JSON can carry. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  /** Members by name; an `undefined` member is left out when encoded. */
  [key: string]: JsonValue | undefined;
}

/** A JSON Schema document, as the model provider understands it. */
export type JsonSchema = JsonObject;

/** True when `value` is a JSON object (not null, not an array). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
