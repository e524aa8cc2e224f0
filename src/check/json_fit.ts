/**
 * What JSON can say and the server can read, and where in a JSON value something is (`$.items[2].name`).
 * @module
 */
/** Why a value can't be sent: where, and what is there instead. Never the value itself. */
export interface JsonMisfit {
  /** The place, such as `$.config.limits[2]`. */
  path: string;
  /** What is there, such as `NaN`. */
  found: string;
}

/**
 * Levels of objects and arrays that the server reads in one line. Its parser (serde_json) gives up at the 128th and drops
 * the line without an answer; measured on codex 0.104.0 and 0.169.0.
 */
const MAX_JSON_DEPTH = 127;

/**
 * Whether a value arrives as it is: no numbers that JSON lacks, no functions, symbols, BigInt, cycles, nor objects whose
 * content JSON loses. `depth` is the number of levels that it may have.
 */
export function fitsJson(value: unknown, depth: number = MAX_JSON_DEPTH): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      return value === null || membersFit(value, depth);
    default:
      return false;
  }
}

function membersFit(value: object, depth: number): boolean {
  // A cycle ends here as well.
  if (depth === 0) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      if (!fitsJson(value[index], depth - 1)) return false;
    }
    return true;
  }
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") {
    // Whoever says what it is in JSON may say so once only: a second `toJSON` would not be called.
    return fitsPlainly(toJSON.call(value, ""), depth);
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && losesContent(value)) return false;
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    // Left out by JSON, as the server wants it.
    if (member !== undefined && !fitsJson(member, depth - 1)) return false;
  }
  return true;
}

function fitsPlainly(said: unknown, depth: number): boolean {
  if (typeof said !== "object" || said === null) return fitsJson(said, depth);
  return typeof (said as { toJSON?: unknown }).toJSON !== "function" && membersFit(said, depth);
}

/** JSON writes these as `{}`, as a list of numbers under names, or as something else than what they hold. */
function losesContent(value: object): boolean {
  return value instanceof Map || value instanceof Set || value instanceof WeakMap ||
    value instanceof WeakSet || value instanceof Promise || value instanceof RegExp ||
    value instanceof Error || value instanceof ArrayBuffer || ArrayBuffer.isView(value) ||
    value instanceof Number || value instanceof String || value instanceof Boolean;
}

/** Where a value that does not fit stops fitting, or `null`. Slower than {@linkcode fitsJson}: for the error only. */
export function jsonMisfit(
  value: unknown,
  path: string = "$",
  depth: number = MAX_JSON_DEPTH,
): JsonMisfit | null {
  try {
    return find(value, path, depth, []);
  } catch {
    return { path, found: "an object that can't be read" };
  }
}

function find(
  value: unknown,
  path: string,
  depth: number,
  above: readonly object[],
): JsonMisfit | null {
  if (fitsJson(value, depth)) return null;
  if (typeof value !== "object" || value === null) return { path, found: kindOf(value) };
  if (above.includes(value)) return { path, found: "an object that contains itself" };
  const { toJSON } = value as { toJSON?: unknown };
  const isList = Array.isArray(value);
  if (!isList && typeof toJSON !== "function" && losesContent(value)) {
    return { path, found: kindOf(value) };
  }
  const inside = [...above, value];
  if (depth > 0) {
    const said: unknown = !isList && typeof toJSON === "function" ? toJSON.call(value, "") : value;
    if (typeof said !== "object" || said === null) return { path, found: kindOf(said) };
    const keys = isList ? value.length : Object.keys(said);
    const count = typeof keys === "number" ? keys : keys.length;
    // One by one: a list may be long and empty.
    for (let index = 0; index < count; index++) {
      const key = typeof keys === "number" ? index : keys[index]!;
      const member = (said as Record<string | number, unknown>)[key];
      if (member === undefined && !isList) continue;
      const misfit = find(member, memberPath(path, key), depth - 1, inside);
      if (misfit !== null) return misfit;
    }
  }
  return { path: shortPath(path), found: `more than ${MAX_JSON_DEPTH} levels` };
}

/** The path to the bottom of a well helps nobody. */
function shortPath(path: string): string {
  return path.length > 120 ? `${path.slice(0, 120)}…` : path;
}

/** What a value is, in words, without saying the value. */
export function kindOf(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "undefined";
    case "number":
      return Number.isFinite(value) ? "a number" : String(value);
    case "bigint":
      return "a BigInt";
    case "object":
      break;
    default:
      return `a ${typeof value}`;
  }
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  try {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
    if (typeof name !== "string" || name === "" || name === "Object") return "an object";
    return /^[A-Za-z_$][\w$]{0,39}$/.test(name)
      ? `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`
      : "an object";
  } catch {
    return "an object that can't be read";
  }
}

// Where in a JSON value something is, such as `$.items[2].name`.

/** The path of a member below `path`. */
export function memberPath(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

/** A path from its keys, from the root on. */
export function jsonPath(keys: readonly PropertyKey[]): string {
  return keys.reduce<string>(
    (path, key) => memberPath(path, typeof key === "number" ? key : String(key)),
    "$",
  );
}
