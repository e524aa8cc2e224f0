/**
 * The validator against ajv, on the schema as codex generates it and thousands of damaged messages.
 *
 * The schema is rewritten only where the library's policy differs from it:
 *
 * - sent: an object takes no members that the schema does not name (`unevaluatedProperties: false`);
 * - received: objects take any more members, string enums any string, tagged unions any unknown tag (with the
 *   fields beside the union, and the `id` that all variants have), externally tagged unions any string and any
 *   key; fields that an older supported version leaves out are not required.
 */
import assert from "node:assert/strict";
import { Ajv2019, type ValidateFunction } from "npm:ajv@8.20.0/dist/2019.js";
import { test } from "../_harness.ts";
import { readBundle } from "../../src/protocol/generator/codex.ts";
import type { Field, Ir } from "../../src/protocol/generator/ir.ts";
import type { SchemaObject } from "../../src/protocol/generator/json_schema.ts";
import { buildProtocol, PINNED } from "../../src/protocol/generator/protocol.ts";
import { methodInfo, methodsOfKind } from "../../src/protocol/inventory.ts";
import * as validator from "../../src/protocol/validator.ts";
import { mutate, Random, sampleParams, sampleResult } from "../unit/protocol/_sample.ts";

type Json = Record<string, unknown>;

const isTag = (schema: unknown): schema is { enum: [string] } =>
  Array.isArray((schema as Json | undefined)?.["enum"]) &&
  ((schema as Json)["enum"] as unknown[]).length === 1;

const reference = (name: string): string => `#/definitions/${name}`;

/** Rewrites every schema inside `schema`, but not the names of properties. */
function inside(schema: unknown, rewrite: (inner: unknown, key: string) => unknown): unknown {
  if (typeof schema !== "object" || schema === null) return schema;
  const out: Json = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "properties") {
      out[key] = Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [name, rewrite(inner, "properties")]),
      );
    } else if (Array.isArray(value) && ["oneOf", "anyOf", "allOf"].includes(key)) {
      out[key] = value.map((inner) => rewrite(inner, key));
    } else if (key === "items" || key === "additionalProperties") out[key] = rewrite(value, key);
    else if (key === "$ref") out[key] = reference(value as string);
    else out[key] = value;
  }
  return out;
}

/** The schema for what is sent. */
function strict(schema: unknown, besideFields = false): unknown {
  const source = schema as Json;
  const out = inside(
    schema,
    (inner, key) => strict(inner, key !== "properties" && hasFields(source)),
  );
  const isObject = [source?.["type"]].flat().includes("object");
  if (isObject && !besideFields && source["additionalProperties"] === undefined) {
    (out as Json)["unevaluatedProperties"] = false;
  }
  return out;
}

function hasFields(schema: Json | undefined): boolean {
  return schema?.["properties"] !== undefined;
}

/** The schema for what is received; `at` finds the fields that older versions leave out. */
function tolerant(
  schema: unknown,
  at: string,
  relaxed: ReadonlyMap<string, Field>,
): Json | boolean {
  if (typeof schema === "boolean") return schema;
  const source = schema as Json;
  if (Array.isArray(source["enum"])) return { type: "string" };
  const nested = (inner: unknown): Json | boolean => tolerant(inner, `${at}.`, relaxed);
  const { oneOf, anyOf, ...others } = source;
  const open = inside(others, nested) as Json;
  if (open["additionalProperties"] === false) delete open["additionalProperties"];
  const members = (oneOf ?? anyOf) as Json[] | undefined;
  if (members !== undefined) open["anyOf"] = opened(members, at, relaxed);
  for (const [name, field] of fieldsAt(at, relaxed)) {
    const properties = open["properties"] as Json;
    if (field.required && !field.requiredIn) {
      open["required"] = (open["required"] as string[]).filter((entry) => entry !== name);
    }
    const also = field.alsoIn.map(({ k }) => ({ type: k }));
    if (also.length > 0) properties[name] = { anyOf: [properties[name], ...also] };
  }
  return open;
}

/** Members of a union, with room for those of the future. */
function opened(members: Json[], at: string, relaxed: ReadonlyMap<string, Field>): unknown[] {
  const tag = tagOf(members);
  if (tag !== undefined) {
    const values = members.map((member) => tagValue(member, tag)!);
    const known = members.map((member, index) => {
      const out = tolerant(member, `${at}/${values[index]}`, relaxed) as Json;
      (out["properties"] as Json)[tag] = { enum: [values[index]] };
      return out;
    });
    const properties: Json = { [tag]: { type: "string", not: { enum: values } } };
    const required = [tag];
    const withId = (member: Json): boolean =>
      (member["required"] as string[]).includes("id") &&
      ((member["properties"] as Json)["id"] as Json)["type"] === "string";
    if (members.length > 1 && members.every(withId)) {
      properties["id"] = { type: "string" };
      required.push("id");
    }
    return [...known, { type: "object", properties, required }];
  }
  const rewritten = members.map((member) => tolerant(member, `${at}.`, relaxed) as Json);
  const keyed = members.map((member) =>
    member["additionalProperties"] === false && hasFields(member) &&
    Object.keys(member["properties"] as Json).length === 1
  );
  const named = members.some((member) => Array.isArray(member["enum"]));
  if (!named || !keyed.includes(true)) return rewritten;
  const keys = rewritten.filter((_, index) => keyed[index])
    .flatMap((member) => Object.entries(member["properties"] as Json));
  return [{ type: "string" }, { type: "object", properties: Object.fromEntries(keys) }];
}

function tagOf(members: Json[]): string | undefined {
  const [first] = members;
  return Object.keys((first?.["properties"] ?? {}) as Json).find((name) =>
    members.every((member) => tagValue(member, name) !== undefined)
  );
}

function tagValue(member: Json, tag: string): string | undefined {
  const property = ((member?.["properties"] ?? {}) as Json)[tag];
  const required = (member?.["required"] ?? []) as string[];
  return isTag(property) && required.includes(tag) ? property.enum[0] : undefined;
}

function fieldsAt(at: string, relaxed: ReadonlyMap<string, Field>): [string, Field][] {
  return [...relaxed]
    .filter(([key]) => key.startsWith(`${at} `))
    .map(([key, field]) => [key.slice(at.length + 1), field]);
}

/** The fields that older versions leave out or fill differently, as `Definition field`. */
function relaxations(definitions: ReadonlyMap<string, Ir>): Map<string, Field> {
  const found = new Map<string, Field>();
  const collect = (at: string, fields: readonly Field[]): void => {
    for (const field of fields) {
      if (field.required !== field.requiredIn || field.alsoIn.length > 0) {
        found.set(`${at} ${field.name}`, field);
      }
    }
  };
  for (const [name, node] of definitions) {
    if (node.k === "object") collect(name, node.fields);
    if (node.k !== "tagged") continue;
    for (const { values, of } of node.variants) collect(`${name}/${values[0]}`, of.fields);
  }
  return found;
}

/** Compiles all definitions for one direction. */
function compiled(definitions: Record<string, unknown>): (name: string) => ValidateFunction {
  const ajv = new Ajv2019({ strict: false, validateFormats: false });
  ajv.addSchema({ definitions }, "codex");
  return (name) => ajv.getSchema(`codex#/definitions/${name}`)!;
}

test(
  "the validator and ajv agree on thousands of damaged messages",
  { timeoutMs: 240_000 },
  async () => {
    const bundle = await readBundle(PINNED, true);
    const { protocol } = await buildProtocol();
    const relaxed = relaxations(protocol.definitions);
    const map = (
      rewrite: (name: string, schema: SchemaObject) => unknown,
    ): Record<string, unknown> =>
      Object.fromEntries(
        Object.entries(bundle.definitions).map(([name, schema]) => [name, rewrite(name, schema)]),
      );
    const sent = compiled(map((_, schema) => strict(schema)));
    const received = compiled(map((name, schema) => tolerant(schema, name, relaxed)));

    const random = new Random(20_260_801);
    const seen = { fit: 0, unfit: 0 };
    const disagreements: string[] = [];
    const compare = (
      method: string,
      check: (method: string, value: unknown) => validator.Issue | null,
      [schemaOf, name]: [typeof sent, string | null],
      sampler: typeof sampleParams,
    ): void => {
      if (name === null) return;
      const theirs = schemaOf(name);
      for (let round = 0; round < 40; round++) {
        const whole = sampler(method, { random, optional: random.next() });
        const value = round < 4 ? whole : mutate(whole, random);
        // Parameters that may be left out are refused by no schema of their own.
        if (value === null && methodInfo(method)!.paramsOptional) continue;
        const issue = check(method, value);
        const fits = theirs(value);
        seen[fits ? "fit" : "unfit"]++;
        if (fits === (issue === null)) continue;
        const ours = JSON.stringify(issue);
        disagreements.push(
          `${method} ${name}: ours ${ours}, ajv ${JSON.stringify(theirs.errors?.[0])}\n  ${
            JSON.stringify(value)
          }`,
        );
      }
    };
    for (const { method, params, result } of methodsOfKind("clientRequest")) {
      compare(method, validator.validateParams, [sent, params], sampleParams);
      compare(method, validator.validateResult, [received, result], sampleResult);
    }
    for (const { method, params, result } of methodsOfKind("serverRequest")) {
      compare(method, validator.validateServerRequestParams, [received, params], sampleParams);
      compare(method, validator.validateServerRequestResult, [sent, result], sampleResult);
    }
    for (const { method, params } of methodsOfKind("serverNotification")) {
      compare(method, validator.validateNotification, [received, params], sampleParams);
    }
    assert.equal(disagreements.length, 0, disagreements.slice(0, 12).join("\n"));
    assert.ok(seen.fit > 4_000 && seen.unfit > 4_000, JSON.stringify(seen));
  },
);
