/**
 * A small JSON Schema validator: for the answers that a plain `outputSchema` describes, arguments of tools, and forms.
 * @module
 */
import { messageOf, type OutputIssue } from "../errors/mod.ts";
import { asList, isJsonObject, type JsonObject, type JsonValue, objectOf } from "../json.ts";
import { memberPath } from "../check/mod.ts";
import { Pattern } from "./pattern.ts";

/** References beyond this, for one value, are a loop in the schema. */
const MAX_DEPTH = 200;
/** Differences that are told at most. */
const MOST = 20;
/** Steps of a check at most: about a second. */
const MAX_STEPS = 10_000_000;

/** What all parts of one check share. */
class Check {
  readonly root: JsonObject;
  /** What was found of a value that several alternatives look at, by its schema: without it the work doubles at each level. */
  readonly known = new Map<JsonObject, Map<JsonValue, OutputIssue[]>>();
  readonly #patterns = new Map<string, Pattern>();
  readonly #choices = new Map<readonly JsonValue[], Set<JsonValue>>();
  #left = MAX_STEPS;

  constructor(root: JsonObject) {
    this.root = root;
  }

  /** Throws when all of it takes too long. */
  readonly spend = (steps: number): void => {
    this.#left -= steps;
    if (this.#left < 0) throw new RangeError("too many steps");
  };

  matches(source: string, value: string): boolean {
    const pattern = this.#patterns.get(source) ?? Pattern.read(source);
    this.#patterns.set(source, pattern);
    return pattern.test(value, this.spend);
  }

  /** Whether a value is one of these. */
  isOneOf(choices: readonly JsonValue[], value: JsonValue): boolean {
    if (typeof value === "object" && value !== null) {
      return choices.some((choice) => isEqual(choice, value, this));
    }
    let known = this.#choices.get(choices);
    if (known === undefined) {
      this.spend(choices.length);
      this.#choices.set(choices, known = new Set(choices));
    }
    return known.has(value);
  }
}

/**
 * How a value differs from a schema, at most 20 ways; empty when it fits. Formats are not checked. Never repeats values,
 * and never takes longer than about a second: what can't be judged in that time does not fit.
 */
export function validateAgainstSchema(value: JsonValue, schema: JsonObject): OutputIssue[] {
  const issues: OutputIssue[] = [];
  try {
    check(value, schema, "$", new Check(schema), issues, 0);
    return issues.slice(0, MOST);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [{ path: "$", message: "expected a value that can be checked in bounded time" }];
  }
}

/** Values, not schemas. */
const NO_SCHEMAS: ReadonlySet<string> = new Set(["const", "default", "enum", "examples"]);

/** What is in them has names of its own, each with a schema. */
const NAMED: ReadonlySet<string> = new Set(
  ["properties", "patternProperties", "$defs", "definitions"],
);

/** Keywords of which nothing is known here. */
const UNKNOWN = /^(unevaluated.+|dependencies|dependentSchemas|m..Contains|\$.+Ref)$/;

/** The first part of a schema that no value can be held against, or not in bounded time, and why; `null`: there is none. */
export function unchecked(
  schema: JsonValue | undefined,
  path = "$",
  named = false,
  root: JsonValue | undefined = schema,
): OutputIssue | null {
  if (typeof schema !== "object" || schema === null) return null;
  for (const [key, sub] of Object.entries(schema)) {
    const at = memberPath(path, Array.isArray(schema) ? Number(key) : key);
    if (!named) {
      if (NO_SCHEMAS.has(key)) continue;
      try {
        if (key === "pattern" && typeof sub === "string") Pattern.read(sub);
        if (key === "patternProperties") Object.keys(sub ?? {}).forEach(Pattern.read);
        if (UNKNOWN.test(key)) throw new RangeError("it");
        if (key === "$ref" && followPointer(root, `${sub}`) === undefined) {
          throw new RangeError("an outer reference");
        }
      } catch (error) {
        return { path: at, message: `${messageOf(error)} can't be checked` };
      }
    }
    const below = unchecked(sub, at, !named && NAMED.has(key), root);
    if (below !== null) return below;
  }
  return null;
}

function check(
  value: JsonValue,
  schema: JsonValue | undefined,
  path: string,
  all: Check,
  issues: OutputIssue[],
  depth: number,
): void {
  all.spend(1);
  if (schema === false) issues.push({ path, message: "expected nothing here" });
  if (!isJsonObject(schema)) return;
  if (depth > MAX_DEPTH) {
    return void issues.push({ path, message: "the schema refers to itself without end" });
  }
  if (typeof value !== "object" || value === null) {
    return checkAll(value, schema, path, all, issues, depth);
  }
  let known = all.known.get(schema);
  if (known === undefined) all.known.set(schema, known = new Map());
  let found = known.get(value);
  if (found === undefined) {
    checkAll(value, schema, path, all, found = [], depth);
    known.set(value, found = found.slice(0, MOST));
  }
  issues.push(...found);
}

function checkAll(
  value: JsonValue,
  schema: JsonObject,
  path: string,
  all: Check,
  issues: OutputIssue[],
  depth: number,
): void {
  const report = (message: string) => issues.push({ path, message });
  const { $ref, type, anyOf, oneOf, allOf } = schema;
  const below = (sub: JsonValue | undefined): OutputIssue[] => {
    const found: OutputIssue[] = [];
    check(value, sub, path, all, found, depth + 1);
    return found;
  };
  if (typeof $ref === "string") {
    all.spend($ref.length >> 4);
    issues.push(...below(followPointer(all.root, $ref) as JsonValue | undefined));
  }
  if (type !== undefined && !typeList(type).some((name) => isOfType(value, name))) {
    return void report(`expected ${typeList(type).join(" or ")}, got ${typeName(value)}`);
  }
  if (Array.isArray(schema["enum"]) && !all.isOneOf(schema["enum"], value)) {
    report(`expected one of ${schema["enum"].length} given values`);
  }
  if (schema["const"] !== undefined && !isEqual(schema["const"], value, all)) {
    report("expected the one given value");
  }
  for (const sub of asList(allOf)) issues.push(...below(sub));
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
  if (typeof value === "string") checkString(value, schema, report, all);
  else if (typeof value === "number") checkNumber(value, schema, report);
  else if (Array.isArray(value)) {
    checkCount("items", value.length, schema["minItems"], schema["maxItems"], report);
    if (schema["uniqueItems"] === true && hasDoubles(value, all)) {
      report("expected different items");
    }
    const { contains, items } = schema;
    // Before 2020 a list of schemas was called `items` itself.
    const tuple = asList(schema["prefixItems"] ?? items);
    const rest = Array.isArray(items) ? schema["additionalItems"] : items;
    value.forEach((item, at) =>
      check(item, tuple[at] ?? rest, memberPath(path, at), all, issues, 0)
    );
    const fits = (item: JsonValue, at: number) => {
      const found: OutputIssue[] = [];
      check(item, contains, memberPath(path, at), all, found, 0);
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
      all,
      (member, sub, at) => check(member, sub, at, all, issues, 0),
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
  all: Check,
  descend: (member: JsonValue, schema: JsonValue | undefined, path: string) => void,
): void {
  const properties = objectOf(schema, "properties") ?? {};
  for (const key of asList(schema["required"])) {
    all.spend(1);
    if (!Object.hasOwn(value, String(key))) report(`expected the key ${JSON.stringify(key)}`);
  }
  const more = schema["additionalProperties"];
  const patterns = isJsonObject(schema["patternProperties"])
    ? Object.entries(schema["patternProperties"])
    : [];
  all.spend(patterns.length);
  const together = schema["dependentRequired"];
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    const at = memberPath(path, key.slice(0, 80));
    // The name is a value as well: what is wrong with it is told at its place.
    descend(key, schema["propertyNames"], at);
    const others = isJsonObject(together) && Object.hasOwn(together, key) ? together[key] : [];
    for (const other of asList(others)) {
      all.spend(1);
      if (Object.hasOwn(value, String(other))) continue;
      report(
        `expected the key ${JSON.stringify(other)} beside ${JSON.stringify(key.slice(0, 80))}`,
      );
    }
    const matching = patterns.filter(([pattern]) => all.matches(pattern, key));
    for (const [, sub] of matching) descend(member, sub, at);
    if (Object.hasOwn(properties, key)) descend(member, properties[key], at);
    else if (matching.length > 0) continue;
    else if (more === false) report(`expected no key ${JSON.stringify(key.slice(0, 80))}`);
    else descend(member, more, memberPath(path, key));
  }
  const count = Object.keys(value).length;
  checkCount("keys", count, schema["minProperties"], schema["maxProperties"], report);
}

function checkString(value: string, schema: JsonObject, report: Report, all: Check): void {
  const { minLength, maxLength, pattern } = schema;
  if (minLength !== undefined || maxLength !== undefined) {
    all.spend(value.length >> 4);
    checkCount("characters", [...value].length, minLength, maxLength, report);
  }
  if (typeof pattern === "string" && !all.matches(pattern, value)) {
    report(`expected to match ${pattern}`);
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
    // As exact as the two numbers are.
    if (Math.abs(times - Math.round(times)) > Math.abs(times) * 1e-15) {
      report(`expected a multiple of ${multipleOf}`);
    }
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

/** The type of these values, or the list of their types. */
export function typesOf(values: readonly JsonValue[]): JsonValue {
  const types = [...new Set(values.map(typeName))];
  return types.length === 1 ? types[0]! : types;
}

function hasDoubles(values: JsonValue[], all: Check): boolean {
  // Equal objects may have their keys in any order.
  const sorted = (_key: string, value: JsonValue): JsonValue => {
    all.spend(typeof value === "string" ? 4 + (value.length >> 4) : 4);
    if (!isJsonObject(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1));
  };
  const [alone, nested] = [new Set<JsonValue>(), new Set<string>()];
  for (const value of values) {
    all.spend(1);
    if (typeof value !== "object" || value === null) alone.add(value);
    else nested.add(JSON.stringify(value, sorted));
  }
  return alone.size + nested.size < values.length;
}

function isEqual(a: JsonValue | undefined, b: JsonValue | undefined, all: Check): boolean {
  all.spend(1);
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((entry, at) => isEqual(entry, b[at], all));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  all.spend(9);
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key], all));
}

/** What a JSON pointer fragment (`#/$defs/a`) leads to in `root`, or `undefined`. */
export function followPointer(root: unknown, pointer: string): unknown {
  if (pointer === "#") return root;
  if (!pointer.startsWith("#/")) return undefined;
  let here = root;
  let path = pointer;
  try {
    path = decodeURIComponent(pointer);
  } catch {
    // A name with a percent sign that was not encoded.
  }
  for (const part of path.slice(2).split("/")) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, key)) return undefined;
    here = (here as Record<string, unknown>)[key];
  }
  return here;
}
