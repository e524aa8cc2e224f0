/**
 * What JSON can say and the server can read, where in a JSON value something is (`$.items[2].name`), and how it differs
 * from a schema.
 * @module
 */
import type { OutputIssue } from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";

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

/** What a JSON pointer fragment (`#/$defs/a`) leads to in `root`, or `undefined`. */
export function followPointer(root: unknown, pointer: string): unknown {
  if (pointer === "#") return root;
  if (!pointer.startsWith("#/")) return undefined;
  let here = root;
  for (const part of pointer.slice(2).split("/")) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, key)) return undefined;
    here = (here as Record<string, unknown>)[key];
  }
  return here;
}

// A small JSON Schema validator: for the answers that a plain `outputSchema` describes, arguments of tools, and forms.

/** Nested references beyond this are a loop in the schema. */
const MAX_DEPTH = 200;

/**
 * How a value differs from a schema, at most 20 ways; empty when it fits. Formats are not checked. Never repeats
 * values.
 */
export function validateAgainstSchema(value: JsonValue, schema: JsonObject): OutputIssue[] {
  const issues: OutputIssue[] = [];
  check(value, schema, "$", schema, issues, 0);
  return issues.slice(0, 20);
}

function check(
  value: JsonValue,
  schema: JsonValue | undefined,
  path: string,
  root: JsonObject,
  issues: OutputIssue[],
  depth: number,
): void {
  const report = (message: string) => issues.push({ path, message });
  if (schema === false) report("expected nothing here");
  if (!isJsonObject(schema)) return;
  if (depth > MAX_DEPTH) return void report("the schema refers to itself without end");
  const { $ref, type, anyOf, oneOf, allOf } = schema;
  const below = (sub: JsonValue | undefined): OutputIssue[] => {
    const found: OutputIssue[] = [];
    check(value, sub, path, root, found, depth + 1);
    return found;
  };
  if (typeof $ref === "string") {
    issues.push(...below(followPointer(root, $ref) as JsonValue | undefined));
  }
  if (type !== undefined && !typeList(type).some((name) => isOfType(value, name))) {
    return void report(`expected ${typeList(type).join(" or ")}, got ${typeName(value)}`);
  }
  if (Array.isArray(schema["enum"]) && !schema["enum"].some((entry) => isEqual(entry, value))) {
    report(`expected one of ${schema["enum"].length} given values`);
  }
  if (schema["const"] !== undefined && !isEqual(schema["const"], value)) {
    report("expected the one given value");
  }
  for (const sub of Array.isArray(allOf) ? allOf : []) issues.push(...below(sub));
  if (Array.isArray(anyOf)) reportClosest(anyOf.map(below), issues, report);
  if (Array.isArray(oneOf)) {
    const outcomes = oneOf.map(below);
    const fitting = outcomes.filter((found) => found.length === 0).length;
    if (fitting > 1) report(`expected exactly one alternative to fit, ${fitting} do`);
    else reportClosest(outcomes, issues, report);
  }
  if (schema["not"] !== undefined && below(schema["not"]).length === 0) {
    report("expected the value not to fit the schema under `not`");
  }
  if (schema["if"] !== undefined) {
    issues.push(...below(schema[below(schema["if"]).length === 0 ? "then" : "else"]));
  }
  if (typeof value === "string") checkString(value, schema, report);
  else if (typeof value === "number") checkNumber(value, schema, report);
  else if (Array.isArray(value)) {
    checkCount("items", value.length, schema["minItems"], schema["maxItems"], report);
    if (schema["uniqueItems"] === true && hasDoubles(value)) report("expected different items");
    const tuple = Array.isArray(schema["prefixItems"]) ? schema["prefixItems"] : [];
    value.forEach((item, at) =>
      check(item, tuple[at] ?? schema["items"], memberPath(path, at), root, issues, depth + 1)
    );
    const { contains } = schema;
    const fits = (item: JsonValue) => {
      const found: OutputIssue[] = [];
      check(item, contains, path, root, found, depth + 1);
      return found.length === 0;
    };
    if (contains !== undefined && !value.some(fits)) {
      report("expected an item that fits `contains`");
    }
  } else if (isJsonObject(value)) {
    checkObject(
      value,
      schema,
      path,
      report,
      (member, sub, at) => check(member, sub, at, root, issues, depth + 1),
    );
  }
}

type Report = (message: string) => void;

/** Nobody wants to read how a value misses every alternative: the nearest one is enough. */
function reportClosest(outcomes: OutputIssue[][], issues: OutputIssue[], report: Report): void {
  if (outcomes.some((found) => found.length === 0)) return;
  const [closest, next] = outcomes.toSorted((a, b) => depth(b) - depth(a));
  if (closest !== undefined && (next === undefined || depth(closest) > depth(next))) {
    issues.push(...closest);
  } else report(`expected one of ${outcomes.length} alternatives to fit`);
}

/** The deeper the first difference, the nearer the alternative. */
function depth(found: OutputIssue[]): number {
  return Math.min(...found.map((issue) => issue.path.length));
}

function checkObject(
  value: JsonObject,
  schema: JsonObject,
  path: string,
  report: Report,
  descend: (member: JsonValue, schema: JsonValue | undefined, path: string) => void,
): void {
  const properties = isJsonObject(schema["properties"]) ? schema["properties"] : {};
  for (const key of Array.isArray(schema["required"]) ? schema["required"] : []) {
    if (!Object.hasOwn(value, String(key))) report(`expected the key ${JSON.stringify(key)}`);
  }
  const more = schema["additionalProperties"];
  const patterns = isJsonObject(schema["patternProperties"])
    ? Object.entries(schema["patternProperties"])
    : [];
  const together = schema["dependentRequired"];
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    const at = memberPath(path, key.slice(0, 80));
    // The name is a value as well: what is wrong with it is told at its place.
    descend(key, schema["propertyNames"], at);
    const others = isJsonObject(together) && Object.hasOwn(together, key) ? together[key] : [];
    for (const other of Array.isArray(others) ? others : []) {
      if (Object.hasOwn(value, String(other))) continue;
      report(
        `expected the key ${JSON.stringify(other)} beside ${JSON.stringify(key.slice(0, 80))}`,
      );
    }
    const matching = patterns.filter(([pattern]) => matches(pattern, key));
    for (const [, sub] of matching) descend(member, sub, at);
    if (Object.hasOwn(properties, key)) descend(member, properties[key], at);
    else if (matching.length > 0) continue;
    else if (more === false) report(`expected no key ${JSON.stringify(key.slice(0, 80))}`);
    else descend(member, more, memberPath(path, key));
  }
  const count = Object.keys(value).length;
  checkCount("keys", count, schema["minProperties"], schema["maxProperties"], report);
}

function checkString(value: string, schema: JsonObject, report: Report): void {
  const { minLength, maxLength, pattern } = schema;
  checkCount("characters", [...value].length, minLength, maxLength, report);
  if (typeof pattern === "string" && !matches(pattern, value)) {
    report(`expected to match ${pattern}`);
  }
}

function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    // Not an expression of this language; the provider has judged it already.
    return true;
  }
}

function checkNumber(value: number, schema: JsonObject, report: Report): void {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  if (typeof minimum === "number" && value < minimum) report(`expected ${minimum} or more`);
  if (typeof maximum === "number" && value > maximum) report(`expected ${maximum} or less`);
  if (typeof exclusiveMinimum === "number" && value <= exclusiveMinimum) {
    report(`expected more than ${exclusiveMinimum}`);
  }
  if (typeof exclusiveMaximum === "number" && value >= exclusiveMaximum) {
    report(`expected less than ${exclusiveMaximum}`);
  }
  if (typeof multipleOf === "number" && multipleOf > 0) {
    const times = value / multipleOf;
    if (Math.abs(times - Math.round(times)) > 1e-9) report(`expected a multiple of ${multipleOf}`);
  }
}

function checkCount(
  what: string,
  count: number,
  least: JsonValue | undefined,
  most: JsonValue | undefined,
  report: Report,
): void {
  if (typeof least === "number" && count < least) report(`expected ${least} or more ${what}`);
  if (typeof most === "number" && count > most) report(`expected ${most} or fewer ${what}`);
}

function typeList(type: JsonValue): string[] {
  return (Array.isArray(type) ? type : [type]).map(String);
}

function isOfType(value: JsonValue, type: string): boolean {
  if (type === "integer") return Number.isInteger(value);
  return type === typeName(value);
}

function typeName(value: JsonValue): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function hasDoubles(values: JsonValue[]): boolean {
  return values.some((value, at) => values.some((other, to) => to > at && isEqual(value, other)));
}

function isEqual(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((entry, at) => isEqual(entry, b[at]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]));
}
