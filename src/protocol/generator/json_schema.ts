/**
 * The part of JSON Schema that codex uses, and how it is read into {@linkcode Ir}.
 * @module
 */
import type { Field, Ir, ObjectIr, Variant } from "./ir.ts";

/** A schema, or `true` for anything. */
export type Schema = SchemaObject | boolean;

/** A schema with keywords; `$ref` holds a bare definition name. */
export interface SchemaObject {
  $ref?: string;
  type?: string | string[];
  enum?: string[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema;
  items?: Schema;
  oneOf?: SchemaObject[];
  anyOf?: SchemaObject[];
  allOf?: SchemaObject[];
  minimum?: number;
  minLength?: number;
}

/** All definitions of one codex version, in one name space and without prose. */
export interface Bundle {
  version: string;
  definitions: Record<string, SchemaObject>;
}

const KEYWORDS: ReadonlySet<string> = new Set([
  ...["$ref", "type", "enum", "properties", "required", "additionalProperties", "items"],
  ...["oneOf", "anyOf", "allOf", "minimum", "minLength"],
  // Hints without a rule: widths that a number of JSON does not have, and fields that are never sent back.
  ...["format", "writeOnly"],
]);

/** Reads a schema. Throws on a keyword combination it has not met, so that a new codex cannot slip through. */
export function toIr(schema: Schema): Ir {
  if (typeof schema === "boolean") return { k: "any" };
  for (const keyword of Object.keys(schema)) {
    if (!KEYWORDS.has(keyword)) throw new Error(`unknown keyword ${keyword}`);
  }
  if (schema.$ref !== undefined) return { k: "ref", name: schema.$ref };
  if (schema.allOf !== undefined) {
    if (schema.allOf.length !== 1) throw new Error("allOf with more than one member");
    return toIr(schema.allOf[0]!);
  }
  if (schema.enum !== undefined) {
    const values = schema.enum.filter((value) => typeof value === "string");
    if (values.length === schema.enum.length) return { k: "enum", values };
    // Versions of a format are numbers, and the next codex has one more: the type is enough.
    if (schema.type !== "integer") throw new Error("enum of something but strings and integers");
  }
  const members = schema.oneOf ?? schema.anyOf;
  if (members !== undefined) {
    if (schema.properties === undefined) return unionOf(members.map(toIr));
    const { oneOf: _one, anyOf: _any, ...rest } = schema;
    return withAlternatives(objectOf(rest), members.map(toIr));
  }
  if (schema.type === undefined) {
    if (Object.keys(schema).length > 0) throw new Error(`untyped schema: ${Object.keys(schema)}`);
    return { k: "any" };
  }
  if (Array.isArray(schema.type)) {
    return unionOf(schema.type.map((type) => ofType(type, schema)));
  }
  return ofType(schema.type, schema);
}

function ofType(type: string, schema: SchemaObject): Ir {
  switch (type) {
    case "string":
      return { k: "string", nonEmpty: (schema.minLength ?? 0) > 0 };
    case "integer":
      return { k: "integer", minimum: minimumOf(schema) };
    case "number":
    case "boolean":
    case "null":
      return { k: type };
    case "array":
      return { k: "array", of: toIr(schema.items ?? true) };
    case "object":
      return objectOf(schema);
    default:
      throw new Error(`unknown type ${type}`);
  }
}

function minimumOf({ minimum }: SchemaObject): 0 | 1 | null {
  if (minimum === undefined || minimum === 0 || minimum === 1) return minimum ?? null;
  throw new Error(`minimum ${minimum}`);
}

function objectOf(schema: SchemaObject): Ir {
  const more = schema.additionalProperties;
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0 && more !== undefined && more !== false) {
    return { k: "map", of: toIr(more) };
  }
  return {
    k: "object",
    fields: properties.map(([name, of]): Field => ({
      name,
      of: toIr(of),
      required: schema.required?.includes(name) ?? false,
      requiredIn: schema.required?.includes(name) ?? false,
      alsoIn: [],
      experimental: false,
    })),
    rest: more === undefined || more === false ? null : toIr(more),
    closed: more === false,
    alternatives: [],
  };
}

function withAlternatives(base: Ir, members: Ir[]): Ir {
  if (base.k !== "object") throw new Error("alternatives of something but an object");
  const objects = members.filter((member) => member.k === "object");
  if (objects.length !== members.length) throw new Error("alternatives that are no objects");
  const tagged = taggedOf(objects);
  if (tagged === null) return { ...base, alternatives: objects };
  return {
    ...tagged,
    common: mergeFields(base.fields, tagged.common),
    variants: tagged.variants.map(({ values, of }) => ({
      values,
      of: { ...of, fields: mergeFields(of.fields, base.fields) },
    })),
  };
}

function mergeFields(first: Field[], second: Field[]): Field[] {
  const names = new Set(first.map((field) => field.name));
  const copies = second.filter((field) => !names.has(field.name)).map((field) => ({ ...field }));
  return [...first, ...copies];
}

function unionOf(members: Ir[]): Ir {
  const flat: Ir[] = [];
  let nullable = false;
  const add = (member: Ir): void => {
    if (member.k === "null") nullable = true;
    else if (member.k === "nullable") {
      nullable = true;
      add(member.of);
    } else if (member.k === "union") member.of.forEach(add);
    else flat.push(member);
  };
  members.forEach(add);
  if (flat.length === 0) return { k: "null" };
  const of = joined(flat);
  return nullable && of.k !== "any" ? { k: "nullable", of } : of;
}

function joined(members: Ir[]): Ir {
  if (members.every((member) => member.k === "enum")) {
    return { k: "enum", values: members.flatMap((member) => member.values) };
  }
  if (members.every((member) => member.k === "object")) {
    const tagged = taggedOf(members);
    if (tagged !== null) return tagged;
  }
  return externalOf(members) ?? (members.length === 1 ? members[0]! : { k: "union", of: members });
}

/** Finds the field whose constant tells the members apart. */
function taggedOf(members: ObjectIr[]): (Ir & { k: "tagged" }) | null {
  for (const { name: tag } of members[0]!.fields) {
    const variants: Variant[] = [];
    const seen = new Set<string>();
    for (const of of members) {
      const field = of.fields.find((candidate) => candidate.name === tag);
      if (field?.of.k !== "enum" || (members.length > 1 && field.of.values.length !== 1)) break;
      if (!field.required || field.of.values.some((value) => seen.has(value))) break;
      field.of.values.forEach((value) => seen.add(value));
      variants.push({ values: field.of.values, of });
    }
    if (variants.length < members.length) continue;
    // An item's id is what everything else is keyed by, so that variants of the future have it too.
    const id = members.map((member) => member.fields.find((field) => field.name === "id"));
    const hasId = members.length > 1 &&
      id.every((field) => field?.required && field.of.k === "string");
    return { k: "tagged", tag, variants, common: hasId ? [{ ...id[0]! }] : [] };
  }
  return null;
}

/** Serde's default enum encoding: a bare string, or an object whose only key names the variant. */
function externalOf(members: Ir[]): Ir | null {
  const values: string[] = [];
  const keys: { key: string; of: Ir }[] = [];
  let open = false;
  for (const member of members) {
    if (member.k === "enum") values.push(...member.values);
    else if (member.k === "object" && member.closed && member.fields.length === 1) {
      const field = member.fields[0]!;
      if (!field.required) return null;
      keys.push({ key: field.name, of: field.of });
    } else if (member.k === "string" || (member.k === "object" && member.fields.length === 0)) {
      open = true;
    } else return null;
  }
  return keys.length === 0 ? null : { k: "external", values, keys, open };
}
