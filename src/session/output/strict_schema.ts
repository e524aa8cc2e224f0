/**
 * The rules of strict structured output, checked before the call: the provider's own refusal names no usable path.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { OutputIssue } from "../../errors/mod.ts";
import { memberPath } from "../../check/mod.ts";
import { followPointer, typesOf } from "../../schema/mod.ts";

/** A schema as the provider takes it, or what stands in the way. */
export interface StrictSchema {
  /** The schema to send. */
  schema: JsonObject;
  /** What breaks the rules, with paths into the schema; empty when it can be sent. */
  issues: OutputIssue[];
}

/** Says something about the schema, nothing about the values: left out. */
const ANNOTATIONS: ReadonlySet<string> = new Set([
  "$schema",
  "$id",
  "$comment",
  "default",
  "deprecated",
  "example",
  "examples",
  "readOnly",
  "writeOnly",
]);

/** The provider does not take these. They are left out of what is sent and still checked on the answer. */
const CHECKED_AFTERWARDS: ReadonlySet<string> = new Set([
  "minLength",
  "maxLength",
  "uniqueItems",
  "minProperties",
  "maxProperties",
  "contentEncoding",
  "contentMediaType",
]);

const KEPT: ReadonlySet<string> = new Set([
  "title",
  "description",
  "$ref",
  "type",
  "enum",
  "const",
  "required",
  "multipleOf",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "minItems",
  "maxItems",
]);

const FORMATS: ReadonlySet<string> = new Set([
  "date-time",
  "time",
  "date",
  "duration",
  "email",
  "hostname",
  "ipv4",
  "ipv6",
  "uuid",
]);

const TYPES: ReadonlySet<string> = new Set([
  "string",
  "number",
  "boolean",
  "integer",
  "object",
  "array",
  "null",
]);

const TUPLE = "tuples are not supported; use an object with a key for each part";

/** What references may lead to. */
const NAMED = /^#(\/(\$defs|definitions)\/[^/]+)?$/;

/**
 * Checks a schema and brings it into the form that the provider takes, as long as its meaning is kept: objects that
 * say nothing about more keys are closed, keys with a default are required, `oneOf` becomes `anyOf`, annotations go, and what a
 * reference leads to takes its place where it is at the root, not alone, or leads to no definition. `converted`: a library has
 * written it, and objects that would take more keys are closed as well.
 */
export function strictSchema(schema: JsonObject, converted = false): StrictSchema {
  const walk = new Walk(schema, converted);
  const sent = walk.node(schema, "$");
  if (isJsonObject(sent) && sent["type"] !== "object" && walk.issues.length === 0) {
    walk.report("$", "the root must be an object; put the value under a key of one");
  }
  return { schema: isJsonObject(sent) ? sent : {}, issues: walk.issues };
}

class Walk {
  readonly issues: OutputIssue[] = [];
  readonly #root: JsonObject;
  /** References in whose place something is being written. */
  readonly #open: Set<string> = new Set(["#"]);
  /** How many more may be. */
  #left = 1_000;
  readonly #converted: boolean;

  constructor(root: JsonObject, converted: boolean) {
    this.#root = root;
    this.#converted = converted;
  }

  report(path: string, message: string): void {
    this.issues.push({ path, message });
  }

  node(schema: JsonValue | undefined, path: string): JsonValue {
    if (!isJsonObject(schema)) {
      this.report(path, "expected a schema object; `true` and `false` are not supported");
      return {};
    }
    const single = Array.isArray(schema["allOf"]) && schema["allOf"].length === 1
      ? schema["allOf"][0]
      : undefined;
    if (isJsonObject(single) && meaningful(schema).length === 1) {
      const { allOf: _, ...rest } = schema;
      return this.node({ ...rest, ...single }, memberPath(memberPath(path, "allOf"), 0));
    }
    const { $ref, ...beside } = schema;
    const bare = Object.keys(beside)
      .every((key) => ANNOTATIONS.has(key) || CHECKED_AFTERWARDS.has(key));
    const target = typeof $ref === "string" ? followPointer(this.#root, $ref) : undefined;
    if (typeof $ref === "string" && isJsonObject(target) && !(bare && NAMED.test($ref))) {
      // What refers to itself, and what would grow without end, stays without its description.
      if (this.#open.has($ref) || this.#left-- < 1) return { $ref };
      this.#open.add($ref);
      const written = this.node({ ...target, ...beside }, path);
      this.#open.delete($ref);
      return written;
    }
    const sent: JsonObject = {};
    for (const [key, value] of Object.entries(schema)) {
      if (value !== undefined) this.#keyword(key, value, schema, path, sent);
    }
    if (schema["properties"] !== undefined && schema["type"] === undefined) sent["type"] = "object";
    if (isOf("object", sent["type"])) this.#close(schema, path, sent);
    if (isOf("array", sent["type"]) && schema["items"] === undefined) {
      this.report(path, "an array must say what its `items` are");
    }
    this.#named(schema, path, sent);
    return sent;
  }

  #keyword(
    key: string,
    value: JsonValue,
    schema: JsonObject,
    path: string,
    sent: JsonObject,
  ): void {
    const at = memberPath(path, key);
    if (ANNOTATIONS.has(key) || CHECKED_AFTERWARDS.has(key)) return;
    if (KEPT.has(key)) {
      sent[key] = value;
      return;
    }
    switch (key) {
      case "pattern":
        // The provider takes none that looks ahead or behind.
        if (!/\(\?<?[=!]/.test(`${value}`)) sent[key] = value;
        return;
      case "format":
        if (typeof value === "string" && FORMATS.has(value)) sent[key] = value;
        return;
      case "properties":
      case "$defs":
      case "definitions":
        sent[key] = this.#members(value, at);
        return;
      case "items":
        sent[key] = Array.isArray(value) ? this.#refuse(at, TUPLE) : this.node(value, at);
        return;
      case "anyOf":
      case "oneOf":
        sent["anyOf"] = this.#alternatives(value, at);
        return;
      case "additionalProperties":
        // Effect says it of each of its structs.
        if (value !== false && !(this.#converted && value === true && "properties" in schema)) {
          this.report(
            at,
            "maps are not supported: expected false; use a list of objects with a key and a value",
          );
        }
        return;
      case "propertyNames":
        // Part of how libraries spell maps, which are reported where the values are.
        if (schema["additionalProperties"] === undefined) this.report(at, "not supported");
        return;
      case "prefixItems":
        this.report(at, TUPLE);
        return;
      case "allOf":
        this.report(at, "`allOf` is not supported; write the merged schema");
        return;
      default:
        this.report(at, "this keyword is not supported in strict output");
    }
  }

  #refuse(path: string, message: string): JsonObject {
    this.report(path, message);
    return {};
  }

  #members(value: JsonValue, path: string): JsonObject {
    if (!isJsonObject(value)) return this.#refuse(path, "expected an object of schemas");
    return Object.fromEntries(
      Object.entries(value).map((
        [key, member],
      ) => [key, this.node(member, memberPath(path, key))]),
    );
  }

  #alternatives(value: JsonValue, path: string): JsonValue[] {
    if (!Array.isArray(value) || value.length === 0) {
      this.report(path, "expected a list of schemas");
      return [];
    }
    return value.map((schema, at) => this.node(schema, memberPath(path, at)));
  }

  /** Every object is closed, and every key of it required. */
  #close(schema: JsonObject, path: string, sent: JsonObject): void {
    sent["additionalProperties"] = false;
    sent["properties"] ??= {};
    const properties = isJsonObject(schema["properties"]) ? schema["properties"] : {};
    if (schema["properties"] === undefined && schema["additionalProperties"] === undefined) {
      this.report(path, "an object without `properties` is a map, which is not supported");
    }
    const required = Array.isArray(schema["required"]) ? [...schema["required"]] : [];
    for (const [key, member] of Object.entries(properties)) {
      if (required.includes(key)) continue;
      // The model gives a value where the caller would fill one in; both are valid.
      if (isJsonObject(member) && Object.hasOwn(member, "default")) required.push(key);
      else {
        this.report(
          memberPath(memberPath(path, "properties"), key),
          "every key must be required; let an optional one be null instead",
        );
      }
    }
    sent["required"] = required;
  }

  /** Every node says which values it takes. */
  #named(schema: JsonObject, path: string, sent: JsonObject): void {
    const { type } = sent;
    const types = Array.isArray(type) ? type : type === undefined ? [] : [type];
    for (const name of types) {
      if (typeof name !== "string" || !TYPES.has(name)) {
        this.report(memberPath(path, "type"), "expected a type name of JSON Schema");
      }
    }
    if (type === undefined && Array.isArray(schema["enum"])) {
      sent["type"] = typesOf(schema["enum"]);
    } else if (type === undefined && schema["const"] !== undefined) {
      sent["type"] = typesOf([schema["const"]]);
    } else if (
      type === undefined && sent["anyOf"] === undefined && sent["$ref"] === undefined &&
      !this.issues.some((issue) => issue.path.startsWith(path))
    ) {
      this.report(path, "a schema must name a `type`; one for any value is not supported");
    }
  }
}

function meaningful(schema: JsonObject): string[] {
  return Object.keys(schema).filter((key) =>
    !ANNOTATIONS.has(key) && key !== "title" && key !== "description" && key !== "$defs"
  );
}

function isOf(name: string, type: JsonValue | undefined): boolean {
  return [type].flat().includes(name);
}
