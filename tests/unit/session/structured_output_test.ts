import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../../src/errors/mod.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { validateAgainstSchema } from "../../../src/schema/json_schema.ts";
import { strictSchema } from "../../../src/session/output/strict_schema.ts";
import type { StandardSchemaV1 } from "../../../src/session/output/standard_schema.ts";
import { isStandardSchema } from "../../../src/session/output/convert_schema.ts";
import {
  repairPrompt,
  resolveOutputSchema,
} from "../../../src/session/output/structured_output.ts";
import { tries } from "../../_codex.ts";
import { test } from "../../_harness.ts";

const object = (properties: JsonObject, more: JsonObject = {}): JsonObject => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});
const STRING = { type: "string" };

const BROKEN: [string, JsonObject, string][] = [
  ["an optional key", object({ a: STRING }, { required: [] }), "$.properties.a"],
  [
    "an open object",
    object({ a: STRING }, { additionalProperties: true }),
    "$.additionalProperties",
  ],
  [
    "a map",
    object({ m: { type: "object", additionalProperties: STRING } }),
    "$.properties.m.additionalProperties",
  ],
  ["a bare object", object({ m: { type: "object" } }), "$.properties.m"],
  ["anything", object({ a: {} }), "$.properties.a"],
  ["a bare true", object({ a: true }), "$.properties.a"],
  ["a list of anything", object({ a: { type: "array" } }), "$.properties.a"],
  [
    "a deep node",
    object({ a: { type: "array", items: object({ "b c": {} }) } }),
    '$.properties.a.items.properties["b c"]',
  ],
  [
    "a tuple",
    object({ a: { type: "array", items: STRING, prefixItems: [STRING] } }),
    "$.properties.a.prefixItems",
  ],
  ["patterns for keys", object({}, { patternProperties: { x: STRING } }), "$.patternProperties"],
  ["not", object({ a: { type: "string", not: { const: "x" } } }), "$.properties.a.not"],
  ["conditions", object({ a: STRING }, { if: {} }), "$.if"],
  ["allOf", object({ a: { allOf: [object({}), object({})] } }), "$.properties.a.allOf"],
  ["a reference outside", object({ a: { $ref: "https://x.y/z" } }), "$.properties.a.$ref"],
  [
    "what stands beside a reference",
    object({ a: { $ref: "#/$defs/n", nullable: true } }, { $defs: { n: STRING } }),
    "$.properties.a.nullable",
  ],
  ["a dangling reference", object({ a: { $ref: "#/$defs/gone" } }), "$.properties.a.$ref"],
  ["an unknown type", object({ a: { type: "date" } }), "$.properties.a.type"],
  ["a list at the root", { type: "array", items: STRING }, "$"],
  ["alternatives at the root", { anyOf: [object({}), object({})] }, "$"],
];

test("a struct of a library that would take more keys is closed, and a map is refused", () => {
  const output = (schema: JsonObject): StandardSchemaV1 => ({
    "~standard": {
      version: 1,
      vendor: "effect",
      validate: (value) => ({ value }),
      jsonSchema: { input: () => schema, output: () => schema },
    },
  });
  const open = { additionalProperties: true };
  const inner = (more: JsonObject) => object({ a: object({ b: STRING }, more) }, more);
  const resolved = resolveOutputSchema({ output: output(inner(open)) });
  assert.deepEqual(resolved!.schema, inner({}));
  for (const map of [{ type: "object", ...open }, object({ a: { type: "object", ...open } })]) {
    assert.throws(() => resolveOutputSchema({ output: output(map) }), /maps are not supported/);
  }
});

test("a schema that throws is told as a misfit of the answer", async () => {
  const output: StandardSchemaV1 = {
    "~standard": {
      version: 1,
      vendor: "handmade",
      validate: () => {
        throw new RangeError("not my day");
      },
    },
  };
  const resolved = resolveOutputSchema({ outputSchema: object({ a: STRING }), output })!;
  assert.deepEqual(await resolved.parse('{"a":"x"}'), {
    ok: false,
    issues: [{ path: "$", message: "its schema threw: not my day" }],
  });
});

test("resolveOutputSchema() refuses what strict output does not take, with the path of the node", async (t) => {
  for (const [name, outputSchema, path] of BROKEN) {
    await t.step(name, () => {
      assert.throws(() => resolveOutputSchema({ outputSchema }), (error) => {
        assert(error instanceof InvalidArgumentError, String(error));
        assert.equal(error.argument, `outputSchema${path.slice(1)}`);
        return true;
      });
    });
  }
});

const FINE: [string, JsonObject, JsonObject][] = [
  ["a strict schema stays", object({ a: STRING }), object({ a: STRING })],
  [
    "objects are closed",
    { type: "object", properties: { a: STRING }, required: ["a"] },
    object({ a: STRING }),
  ],
  [
    "an object may leave out that it is one",
    { properties: { a: STRING }, required: ["a"] },
    object({ a: STRING }),
  ],
  [
    "keys with a default are required",
    { type: "object", properties: { a: { type: "string", default: "x" } } },
    object({ a: STRING }),
  ],
  ["an empty object", { type: "object", properties: {} }, object({})],
  [
    "annotations and unsupported checks are left out",
    object({
      a: { type: "string", minLength: 2, format: "uri", examples: ["x"], title: "A" },
    }, { $schema: "https://json-schema.org/draft/2020-12/schema" }),
    object({ a: { type: "string", title: "A" } }),
  ],
  [
    "supported checks stay",
    object({
      a: { type: "string", pattern: "^x", format: "date" },
      n: { type: "integer", minimum: 1 },
    }),
    object({
      a: { type: "string", pattern: "^x", format: "date" },
      n: { type: "integer", minimum: 1 },
    }),
  ],
  [
    "a pattern that looks ahead, as zod's of an address, or behind is left out",
    object({
      a: { type: "string", pattern: "^(?!\\.)(?:[^@]+)@", format: "email" },
      b: { type: "string", pattern: "(?<!a)b" },
      c: { type: "string", pattern: "(?<b>b)" },
    }),
    object({
      a: { type: "string", format: "email" },
      b: STRING,
      c: { type: "string", pattern: "(?<b>b)" },
    }),
  ],
  [
    "oneOf becomes anyOf",
    object({ a: { oneOf: [STRING, { type: "null" }] } }),
    object({ a: { anyOf: [STRING, { type: "null" }] } }),
  ],
  [
    "enums and constants get their type",
    object({ a: { enum: ["x", null] }, b: { const: 1 } }),
    object({ a: { enum: ["x", null], type: ["string", "null"] }, b: { const: 1, type: "number" } }),
  ],
  [
    "a single allOf is what it holds",
    object({ a: { description: "d", allOf: [STRING] } }),
    object({ a: { description: "d", type: "string" } }),
  ],
  [
    "a single allOf beside definitions",
    { $defs: { n: STRING }, allOf: [object({ a: { $ref: "#/$defs/n" } })] },
    object({ a: { $ref: "#/$defs/n" } }, { $defs: { n: STRING } }),
  ],
  [
    "definitions are walked",
    object({ a: { $ref: "#/$defs/n" } }, {
      $defs: {
        n: {
          type: "object",
          properties: { next: { anyOf: [{ $ref: "#/$defs/n" }, { type: "null" }] } },
          required: ["next"],
        },
      },
    }),
    object({ a: { $ref: "#/$defs/n" } }, {
      $defs: { n: object({ next: { anyOf: [{ $ref: "#/$defs/n" }, { type: "null" }] } }) },
    }),
  ],
  [
    "what a reference leads to takes its place, where more is said of it",
    object({
      a: { $ref: "#/$defs/n", description: "d", minLength: 1 },
      b: { $ref: "#/$defs/n", description: "e" },
      c: { $ref: "#/$defs/n", minLength: 1, readOnly: true },
    }, { $defs: { n: STRING } }),
    object({
      a: { type: "string", description: "d" },
      b: { type: "string", description: "e" },
      c: { $ref: "#/$defs/n" },
    }, { $defs: { n: STRING } }),
  ],
  [
    "and at the root, as of a schema with an id",
    { $ref: "#/$defs/n", $defs: { n: object({ a: { $ref: "#/$defs/n" } }) } },
    object({ a: { $ref: "#/$defs/n" } }, { $defs: { n: object({ a: { $ref: "#/$defs/n" } }) } }),
  ],
  [
    "and where it leads to no definition",
    object({ a: object({ b: STRING }), c: { $ref: "#/properties/a" } }),
    object({ a: object({ b: STRING }), c: object({ b: STRING }) }),
  ],
  [
    "and once where it refers to itself",
    object({ a: { $ref: "#", description: "d" }, b: { $ref: "#/$defs/n" } }, {
      $defs: { n: object({ n: { $ref: "#/$defs/n", description: "d" } }) },
    }),
    object({ a: { $ref: "#" }, b: { $ref: "#/$defs/n" } }, {
      $defs: {
        n: object({ n: { ...object({ n: { $ref: "#/$defs/n" } }), description: "d" } }),
      },
    }),
  ],
  [
    "a key may be called like a keyword",
    object({ additionalProperties: STRING, not: STRING }),
    object({ additionalProperties: STRING, not: STRING }),
  ],
];

test("resolveOutputSchema() brings a schema into strict form where its meaning is kept", async (t) => {
  for (const [name, outputSchema, sent] of FINE) {
    await t.step(name, () => {
      assert.deepEqual(resolveOutputSchema({ outputSchema })!.schema, sent);
      assert.deepEqual(strictSchema(sent), { schema: sent, issues: [] });
    });
  }
});

test("resolveOutputSchema() takes references that would be written out without end", () => {
  const twice = (n: number) =>
    object({ a: { $ref: `#/$defs/${n}`, title: "a" }, b: { $ref: `#/$defs/${n}`, title: "b" } });
  const $defs = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [n, twice((n + 1) % 30)]));
  const sent = JSON.stringify(strictSchema({ ...twice(0), $defs }));
  assert.ok(sent.length < 1_000_000, `${sent.length}`);
});

test("resolveOutputSchema() is null when no schema is given", () => {
  assert.equal(resolveOutputSchema({}), null);
  assert.equal(resolveOutputSchema({ outputSchema: null }), null);
});

test("ResolvedOutput.parse() takes plain and fenced JSON", async (t) => {
  const { parse } = resolveOutputSchema({ outputSchema: object({ a: { type: "number" } }) })!;
  const good = { ok: true, value: { a: 1 } };
  for (
    const text of [
      '{"a":1}',
      ' \n{"a": 1}\n',
      '```json\n{"a":1}\n```',
      'Here it is:\n\n```\n{"a":1}\n```\nDone.',
      '```JSON\r\n{"a":1}\r\n```',
    ]
  ) await t.step(JSON.stringify(text), async () => assert.deepEqual(await parse(text), good));
  await t.step("not text", async () => {
    assert.deepEqual(await parse("I can't."), {
      ok: false,
      issues: [{ path: "$", message: "expected JSON, got text" }],
    });
    assert.deepEqual(await parse(" "), {
      ok: false,
      issues: [{ path: "$", message: "expected JSON, got nothing" }],
    });
  });
  await t.step("not another shape", async () => {
    assert.deepEqual(await parse('{"a":"x","b":1}'), {
      ok: false,
      issues: [
        { path: "$.a", message: "expected number, got string" },
        { path: "$", message: 'expected no key "b"' },
      ],
    });
  });
});

test("ResolvedOutput.parse() still checks what could not be sent", async () => {
  const { schema, parse } = resolveOutputSchema({
    outputSchema: object({ a: { type: "string", minLength: 3 } }),
  })!;
  assert.deepEqual(schema, object({ a: STRING }));
  assert.deepEqual(await parse('{"a":"xy"}'), {
    ok: false,
    issues: [{ path: "$.a", message: "expected 3 or more characters" }],
  });
});

const NODE: JsonObject = {
  type: "object",
  properties: { next: { anyOf: [{ $ref: "#" }, { type: "null" }] } },
  required: ["next"],
  additionalProperties: false,
};
const VALUES: [JsonObject, JsonValue, string[]][] = [
  [{ type: "integer" }, 1.5, ["$"]],
  [{ type: "integer" }, 2, []],
  [{ type: ["string", "null"] }, null, []],
  [{ type: "null" }, 0, ["$"]],
  [{ enum: [{ a: [1] }, "x"] }, { a: [1] }, []],
  [{ enum: ["a"] }, "b", ["$"]],
  [{ items: { enum: [0, null, [1]] } }, [-0, null, [1], [2], "0"], ["$[3]", "$[4]"]],
  [{ const: null }, null, []],
  [{ type: "number", minimum: 1, maximum: 2 }, 3, ["$"]],
  [{ type: "number", exclusiveMinimum: 1 }, 1, ["$"]],
  [{ type: "number", exclusiveMaximum: 1 }, 1, ["$"]],
  [{ type: "number", multipleOf: 0.1 }, 0.3, []],
  [{ type: "number", multipleOf: 2 }, 3, ["$"]],
  [{ items: { multipleOf: 0.01 } }, [1234567.89, 9999999999.99, 0, 0.011], ["$[3]"]],
  [{ items: { multipleOf: 1 } }, [3, 3.0000000001, 1e-10], ["$[1]", "$[2]"]],
  [{ items: [STRING], additionalItems: false }, [1, 1], ["$[0]", "$[1]"]],
  [{ items: [STRING] }, [1, 1], ["$[0]"]],
  [{ prefixItems: [STRING], items: STRING }, [1, 1], ["$[0]", "$[1]"]],
  [{ $ref: "#/$defs/100%", $defs: { "100%": STRING } }, 1, ["$"]],
  [{ $ref: "#/$defs/a%20b%2F~1", $defs: { "a b": { "/": STRING } } }, 1, ["$"]],
  [{ type: "string", pattern: "^a+$" }, "b", ["$"]],
  [{ type: "string", maxLength: 2 }, "🦕🦕", []],
  [{ type: "array", items: STRING, minItems: 1, maxItems: 2 }, [], ["$"]],
  [{ type: "array", items: STRING }, ["a", 1, 2], ["$[1]", "$[2]"]],
  [{ type: "array", items: { type: "number" }, uniqueItems: true }, [1, 1], ["$"]],
  [object({ "a b": STRING }), { "a b": 1 }, ['$["a b"]']],
  [object({ a: STRING }), {}, ["$"]],
  [object({ a: STRING }), [], ["$"]],
  [NODE, { next: { next: null } }, []],
  [NODE, { next: { next: 1 } }, ["$.next.next"]],
  [{ oneOf: [STRING, { type: "string" }] }, "x", ["$"]],
  [{ allOf: [STRING, { type: "string", minLength: 2 }] }, "x", ["$"]],
  [{ $ref: "#" }, 1, ["$"]],
  [{ anyOf: [{ $ref: "#" }, { $ref: "#" }] }, { a: 1 }, ["$"]],
  [{ contains: { const: 1 } }, [2, 3], ["$"]],
  [{ uniqueItems: true }, [{ a: 1, b: [2] }, { b: [2], a: 1 }], ["$"]],
  [{ uniqueItems: true }, [{ a: 1 }, { a: "1" }, [1], 1, "1", null], []],
  [{ patternProperties: { "^(a+)+$": STRING } }, { aa: 1, ["a".repeat(99) + "!"]: 1 }, ["$.aa"]],
  [object({ toString: STRING }), {}, ["$"]],
];

test("validateAgainstSchema() says where a value does not fit", async (t) => {
  for (const [schema, value, paths] of VALUES) {
    await t.step(`${JSON.stringify(schema)} ${JSON.stringify(value)}`, () => {
      assert.deepEqual(validateAgainstSchema(value, schema).map((issue) => issue.path), paths);
    });
  }
});

test("validateAgainstSchema() takes no longer than the value is long", async (t) => {
  const long = "a".repeat(50_000) + "!";
  await t.step("for an expression", () => {
    const pattern = "^(?:[a-z]+)*$";
    const [issue, ...more] = validateAgainstSchema(long, { type: "string", pattern });
    assert.deepEqual([issue, more], [{ path: "$", message: `expected to match ${pattern}` }, []]);
  });
  await t.step("for alternatives that refer to each other", () => {
    // A tree of expressions, as every language has one: each kind of node holds nodes of any kind.
    const kind = (name: string): JsonObject =>
      object({ kind: { const: name }, of: { anyOf: [{ $ref: "#" }, { type: "number" }] } });
    const schema: JsonObject = { anyOf: [kind("not"), kind("minus"), kind("deref")] };
    const nest = (depth: number, inner: JsonValue): JsonValue =>
      depth === 0 ? inner : { kind: "deref", of: nest(depth - 1, inner) };
    assert.deepEqual(validateAgainstSchema(nest(60, 1), schema), []);
    assert.equal(validateAgainstSchema(nest(60, "x"), schema).length, 1);
  });
  await t.step("for items that are to differ", () => {
    const items = Array.from({ length: 50_000 }, (_, n) => n);
    assert.deepEqual(validateAgainstSchema(items, { uniqueItems: true }), []);
  });
  await t.step("for many texts and a long expression", () => {
    // Minutes, when the expression is read anew for each of them.
    const texts = Array<string>(200_000).fill("");
    const pattern = "^[a-z]{0,4900}$";
    assert.deepEqual(validateAgainstSchema(texts, { items: { pattern } }), []);
  });
  await t.step("for many items and many choices", () => {
    const choices = Array.from({ length: 2_000 }, (_, n) => `${n}`);
    const items = Array.from({ length: 50_000 }, (_, n) => `${n % 2_000}`);
    assert.deepEqual(validateAgainstSchema(items, { items: { enum: choices } }), []);
  });
});

test("validateAgainstSchema() gives up what would take too long", {
  denoOnly: "steps are counted, which is the same everywhere, and each case uses up all of them",
}, () => {
  const long = "a".repeat(50_000) + "!";
  const names = Array.from({ length: 2_000 }, (_, n) => `${n}`);
  const objects = names.map((n) => ({ [n]: n }));
  const same = { allOf: Array.from({ length: 2_000 }, () => ({ uniqueItems: true })) };
  const items = Array.from({ length: 20_000 }, (_, n) => n % 10);
  // Each a schema of its own: what is known of a value under one is not looked for again.
  const each = (length: number, schema: JsonObject): JsonObject => ({
    allOf: Array.from({ length }, () => ({ ...schema })),
  });
  const longer = "a".repeat(500_000);
  const name = "n".repeat(10_000);
  const tooLong: [JsonValue, JsonObject][] = [
    [long, { type: "string", pattern: "^(?:a?){4000}b" }],
    [Array.from({ length: 10_000 }, () => ({})), { items: { enum: objects } }],
    [items, same],
    [longer, each(400, { pattern: "a" })],
    [longer, each(400, { minLength: 1 })],
    [[{ a: longer }, [longer]], each(200, { uniqueItems: true })],
    [[Array(5_000).fill(1)], each(600, { uniqueItems: true })],
    [Array(20_000).fill(0), { items: { $ref: `#/$defs/${name}` }, $defs: { [name]: true } }],
    [Array.from({ length: 2_500 }, () => ({ a: 1 })), {
      items: { required: Array(5_000).fill("a") },
    }],
  ];
  // Each takes a second: an expression, a comparison and a name are enough in a short run.
  for (const at of tries([...tooLong.keys()], [0, 1, 7])) {
    const [value, schema] = tooLong[at]!;
    assert.deepEqual(validateAgainstSchema(value, schema), [
      { path: "$", message: "expected a value that can be checked in bounded time" },
    ]);
  }
});

test("resolveOutputSchema() refuses an expression that no answer can be held against in bounded time", () => {
  const outputSchema = object({ a: { type: "string", pattern: "^(a|b)\\1$" } });
  assert.throws(() => resolveOutputSchema({ outputSchema }), (error) => {
    assert(error instanceof InvalidArgumentError, String(error));
    assert.match(error.message, /outputSchema\.properties\.a\.pattern: a back reference/);
    return true;
  });
  // A schema of a library is checked by the library.
  assert.ok(resolveOutputSchema({ outputSchema, output: standard({}) }));
  const unsafe: JsonObject = { type: "string", pattern: "^(a|b)\\1$" };
  for (const name of ["enum", "const", "default", "examples", "pattern", "properties"]) {
    // A name that is a word of schemas as well.
    assert.throws(() => resolveOutputSchema({ outputSchema: object({ [name]: unsafe }) }), {
      message: new RegExp(`properties\\.${name}\\.pattern: a back reference`),
    });
    const values = { ...object({ a: STRING }), default: { [name]: unsafe } };
    assert.ok(resolveOutputSchema({ outputSchema: values }), name);
  }
});

function standard(more: Record<string, unknown>, json?: Record<string, unknown>): StandardSchemaV1 {
  return {
    "~standard": {
      version: 1,
      vendor: "handmade",
      validate: (value) =>
        (value as { n?: unknown }).n === "1"
          ? { value: { n: 1 } }
          : { issues: [{ message: "expected a digit", path: ["list", { key: 0 }, "n"] }] },
      ...(json === undefined ? {} : { jsonSchema: { input: () => json, output: () => ({}) } }),
    },
    ...more,
  } as StandardSchemaV1;
}

test("resolveOutputSchema() converts a Standard Schema and answers with its output", async () => {
  const sent = object({ n: STRING });
  for (
    const output of [
      standard({}, sent),
      standard({ toJSONSchema: () => sent }),
      standard({ toJsonSchema: () => sent }),
    ]
  ) {
    const { schema, parse } = resolveOutputSchema({ output })!;
    assert.deepEqual(schema, sent);
    assert.deepEqual(await parse('{"n":"1"}'), { ok: true, value: { n: 1 } });
    assert.deepEqual(await parse('{"n":"x"}'), {
      ok: false,
      issues: [{ path: "$.list[0].n", message: "expected a digit" }],
    });
  }
});

test("resolveOutputSchema() takes outputSchema besides a Standard Schema that can't be converted", async () => {
  const output = standard({});
  assert.throws(
    () => resolveOutputSchema({ output }),
    /output: schemas of handmade .* give `outputSchema` besides/,
  );
  const failing = standard({
    toJSONSchema: () => {
      throw new Error("transforms cannot be represented");
    },
  });
  assert.throws(() => resolveOutputSchema({ output: failing }), /transforms cannot be represented/);
  const { schema, parse } = resolveOutputSchema({ output, outputSchema: object({ n: STRING }) })!;
  assert.deepEqual(schema, object({ n: STRING }));
  assert.deepEqual(await parse('{"n":"1"}'), { ok: true, value: { n: 1 } });
});

test("repairPrompt() names the issues and nothing of the answer", () => {
  const prompt = repairPrompt([{ path: "$.a", message: "expected number, got string" }]);
  assert.match(prompt, /- \$\.a: expected number, got string/);
  assert.match(prompt, /JSON only/);
});

test("resolveOutputSchema() says how many more nodes are wrong, when there are more", () => {
  const message = (outputSchema: JsonObject) => {
    try {
      resolveOutputSchema({ outputSchema });
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  const wrong = { type: "nothing" };
  const one = message(object({ a: wrong }));
  assert.notEqual(one, "");
  assert.doesNotMatch(one, /more\)/);
  assert.match(message(object({ a: wrong, b: wrong })), /\(and 1 more\)/);
});

test("isStandardSchema() takes a converted document for a JSON Schema, and a library's own object for one of the library", () => {
  const standard = { version: 1, vendor: "v", validate: () => ({ value: 1 }) };
  const with_ = (members: object, enumerable: boolean) =>
    Object.defineProperty({ ...members }, "~standard", { value: standard, enumerable });
  assert.equal(isStandardSchema(with_({ type: "object" }, false)), false);
  assert.equal(isStandardSchema(with_({ type: "object" }, true)), true);
  assert.equal(isStandardSchema(with_({ type: "object", _def: {} }, false)), true);
  assert.equal(isStandardSchema(with_({ type: "object", def: {} }, false)), true);
  assert.equal(isStandardSchema(with_({}, false)), true);
});

test("a Standard Schema that never answers, or anything, keeps no prompt waiting", async () => {
  const parse = (
    validate: () => unknown,
    more: { signal?: AbortSignal; timeoutMs?: number } = {},
  ) =>
    resolveOutputSchema({
      outputSchema: object({ a: STRING }),
      output: { "~standard": { version: 1, vendor: "x", validate } } as StandardSchemaV1,
      ...more,
    })!.parse('{"a":"x"}');
  const never = () => new Promise(() => {});
  const late = await parse(never, { timeoutMs: 1 });
  assert.ok(!late.ok && /no answer in time/.test(late.issues[0]!.message));
  const gone = new AbortController();
  const given = parse(never, { signal: gone.signal, timeoutMs: 600_000 });
  gone.abort(new Error("enough"));
  await assert.rejects(given, /enough/);
  for (const result of [null, undefined, { issues: "bad" }, { issues: [null] }]) {
    const parsed = await parse(() => result);
    assert.ok(!parsed.ok && parsed.issues.length === 1, JSON.stringify(result));
  }
});
