import assert from "node:assert/strict";
import { test } from "../../_harness.ts";
import { constantName } from "../../../src/protocol/generator/emit_methods.ts";
import { emitSchema } from "../../../src/protocol/generator/emit_schema.ts";
import { emitTypes } from "../../../src/protocol/generator/emit_types.ts";
import type { Bundle, SchemaObject } from "../../../src/protocol/generator/json_schema.ts";
import { toIr } from "../../../src/protocol/generator/json_schema.ts";
import { protocolOf } from "../../../src/protocol/generator/read_protocol.ts";
import { relax } from "../../../src/protocol/generator/relax.ts";

const text: SchemaObject = { type: "string" };
const constant = (value: string): SchemaObject => ({ enum: [value], type: "string" });
const variant = (tag: string, properties: Record<string, SchemaObject>): SchemaObject => ({
  type: "object",
  properties: { type: constant(tag), ...properties },
  required: ["type", ...Object.keys(properties)],
});

/** A protocol with one request, `go`, that takes `GoParams` and answers `GoResponse`. */
function bundle(version: string, params: SchemaObject, result: SchemaObject): Bundle {
  const properties = { method: constant("go"), params: { $ref: "GoParams" } };
  return {
    version,
    definitions: {
      ClientRequest: { oneOf: [{ type: "object", properties, required: ["method"] }] },
      GoParams: params,
      GoResponse: result,
    },
  };
}

const object = (
  properties: Record<string, SchemaObject>,
  required = Object.keys(properties),
): SchemaObject => ({ type: "object", properties, required });

test("toIr() recognises the shapes of the source", () => {
  const kinds: [SchemaObject | boolean, string][] = [
    [true, "any"],
    [{}, "any"],
    [text, "string"],
    [{ type: ["string", "null"] }, "nullable"],
    [{ anyOf: [{ $ref: "A" }, { type: "null" }] }, "nullable"],
    [{ allOf: [{ $ref: "A" }] }, "ref"],
    [{ oneOf: [constant("a"), { enum: ["b", "c"], type: "string" }] }, "enum"],
    [{ oneOf: [variant("a", {}), variant("b", { x: text })] }, "tagged"],
    [
      { oneOf: [constant("a"), { ...object({ b: text }), additionalProperties: false }] },
      "external",
    ],
    [{ anyOf: [text, { type: "array", items: text }] }, "union"],
    [{ type: "object", additionalProperties: text }, "map"],
    [{ type: "object" }, "object"],
    [{ ...object({ a: text }), anyOf: [object({ b: text }), object({ c: text })] }, "object"],
  ];
  for (const [schema, kind] of kinds) assert.equal(toIr(schema).k, kind, JSON.stringify(schema));
});

test("toIr() refuses what it has never met", () => {
  for (
    const schema of [{ allOf: [text, text] }, { type: "date" }, { type: "integer", minimum: 2 }, {
      maxItems: 1,
    }]
  ) {
    assert.throws(() => toIr(schema), Error, JSON.stringify(schema));
  }
});

test("emitTypes() closes what is sent, opens what is received, and names both when they differ", () => {
  const mode = { $ref: "Mode" };
  const source = bundle(
    "1.0.0",
    object({ mode }),
    object({ mode, n: { type: "integer" } }, ["mode"]),
  );
  source.definitions["Mode"] = { enum: ["a", "b"], type: "string" };
  const types = emitTypes(protocolOf(source, null));
  assert.match(types, /export type Mode = "a" \| "b";/);
  assert.match(types, /export type ReceivedMode = "a" \| "b" \| \(string & \{\}\);/);
  assert.match(types, /interface GoParams \{\n {2}mode: Mode;\n\}/);
  assert.match(types, /interface GoResponse \{\n {2}mode: ReceivedMode;\n {2}n\?: number;\n\}/);
  assert.match(types, /"go": \{ params: GoParams; result: GoResponse \};/);
});

test("emitTypes() adds a variant for the unknown to unions that are received", () => {
  const union = { oneOf: [variant("a", { id: text, x: text }), variant("b", { id: text })] };
  const types = emitTypes(
    protocolOf(bundle("1.0.0", object({ u: union }), object({ u: union })), null),
  );
  const [sent, received] = types.split("interface GoResponse");
  assert.ok(!sent!.includes("type: UnknownTag"));
  assert.match(received!, /type: UnknownTag;\s+id: string;\s+\[key: string\]: unknown;/);
});

test("relax() requires only what the older version sends too", () => {
  const now = protocolOf(
    bundle("2.0.0", object({ a: text }), object({ a: text, b: text, c: text, d: { $ref: "D" } })),
    null,
  );
  now.definitions.set("D", toIr(object({ x: text })));
  const older = protocolOf(
    bundle(
      "1.0.0",
      object({}),
      object({ a: text, b: text, c: { type: ["string", "null"] }, d: { type: "boolean" } }, [
        "a",
        "d",
      ]),
    ),
    null,
  );
  assert.deepEqual(relax(now, older), []);
  const result = now.definitions.get("GoResponse")!;
  assert.ok(result.k === "object");
  const facts = result.fields.map((
    f,
  ) => [f.name, f.required, f.requiredIn, f.alsoIn.map((i) => i.k)]);
  assert.deepEqual(facts, [
    ["a", true, true, []],
    ["b", true, false, []],
    ["c", true, false, ["null"]],
    ["d", true, true, ["boolean"]],
  ]);
  const params = now.definitions.get("GoParams")!;
  assert.ok(params.k === "object" && params.fields[0]!.requiredIn, "what is sent is not relaxed");
  assert.match(
    emitSchema(now),
    /"GoResponse":\["o",0,"a",1,"b!",1,"c!",\["i",1,8\],"d",\["i","D",7\]\]/,
  );
});

test("relax() reports what it cannot express", () => {
  const list = { type: "array", items: text };
  const now = protocolOf(bundle("2.0.0", object({}), object({ a: text })), null);
  const older = protocolOf(bundle("1.0.0", object({}), object({ a: list })), null);
  assert.deepEqual(relax(now, older), ["GoResponse.a: array → string"]);
});

test("constantName() spells methods as constants", () => {
  const names: [string, string][] = [
    ["initialize", "INITIALIZE"],
    ["thread/name/set", "THREAD_NAME_SET"],
    ["config/batchWrite", "CONFIG_BATCH_WRITE"],
    ["account/gatewayOAuth/read", "ACCOUNT_GATEWAY_OAUTH_READ"],
  ];
  for (const [method, name] of names) assert.equal(constantName(method), name);
});
