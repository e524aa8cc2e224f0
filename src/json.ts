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

/**
 * A JSON Schema document, as the model provider understands it. Any object type passes, since schemas come as literals
 * (`as const`), as interfaces and as what libraries convert to; what is in it is checked when it is given.
 */
export type JsonSchema = object;

/**
 * Codex settings by key, dotted or nested. Any object type passes, for the same reasons; it is checked when it is given that
 * JSON can carry what is in it.
 */
export type CodexSettings = Readonly<Record<string, string | number | boolean | null | object>>;

/** Settings as codex will read them: a copy, in which only plain data is left. */
export function plainSettings(settings: CodexSettings | undefined): Record<string, JsonValue> {
  return settings === undefined ? {} : JSON.parse(JSON.stringify(settings));
}

/** Bytes in base64, as JSON usually carries them. */
export function base64(bytes: Uint8Array): string {
  let binary = "";
  // A call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(binary);
}

/** True when `value` is a JSON object (not null, not an array). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A member that is a string. */
export function stringOf(object: JsonObject, key: string): string | null {
  return asText(object[key]);
}

/** A member that is a number. */
export function numberOf(object: JsonObject, key: string): number | null {
  const value = object[key];
  return typeof value === "number" ? value : null;
}

/** A member that is an object. */
export function objectOf(object: JsonObject, key: string): JsonObject | null {
  const value = object[key];
  return isJsonObject(value) ? value : null;
}

/** The objects of a member that is an array. */
export function objectsOf(object: JsonObject, key: string): JsonObject[] {
  return asList(object[key]).filter(isJsonObject);
}

/** The value, when it is a string. */
export function asText(value: JsonValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

/** The elements of a value that is an array. */
export function asList(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** The messages in a text of one JSON value a line; empty lines are none. */
export function splitMessages(text: string): string[] {
  const messages: string[] = [];
  for (let from = 0; from < text.length;) {
    const newline = text.indexOf("\n", from);
    const to = newline < 0 ? text.length : newline;
    if (to > from) messages.push(text.slice(from, to));
    from = to + 1;
  }
  return messages;
}

/** The members that are set: for options that are left out, where `undefined` is another thing than absence. */
export function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
