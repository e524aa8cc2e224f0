/** The schema libraries themselves: what each one's schemas become, and what comes back typed. */
import assert from "node:assert/strict";
import { toStandardJsonSchema } from "npm:@valibot/to-json-schema@1.8.0";
import { type } from "npm:arktype@2.2.9";
import * as v from "npm:valibot@1.5.0";
import * as z from "npm:zod@4.6.7";
import { InvalidArgumentError } from "../../src/errors/mod.ts";
import type { JsonObject } from "../../src/json.ts";
import type { Session } from "../../src/session/mod.ts";
import type { InferOutput, StandardSchemaV1 } from "../../src/session/output/standard_schema.ts";
import { resolveOutputSchema } from "../../src/session/output/structured_output.ts";
import { test } from "../_harness.ts";

interface Report {
  title: string;
  score: number;
  tags: string[];
  level: "low" | "high";
  note: string | null;
  files: { path: string; lines: number }[];
}

const zod = z.object({
  title: z.string().min(1),
  score: z.number().min(0).max(10),
  tags: z.array(z.string()),
  level: z.enum(["low", "high"]),
  note: z.string().nullable(),
  files: z.array(z.object({ path: z.string(), lines: z.int() })),
});
const valibot = v.object({
  title: v.pipe(v.string(), v.minLength(1)),
  score: v.pipe(v.number(), v.minValue(0), v.maxValue(10)),
  tags: v.array(v.string()),
  level: v.picklist(["low", "high"]),
  note: v.nullable(v.string()),
  files: v.array(v.object({ path: v.string(), lines: v.pipe(v.number(), v.integer()) })),
});
const ark = type({
  title: "string >= 1",
  score: "0 <= number <= 10",
  tags: "string[]",
  level: "'low' | 'high'",
  note: "string | null",
  files: type({ path: "string", lines: "number.integer" }).array(),
});

// Each library's inferred type is the one that a caller works with.
const typed: [Report, Report, Report] = [
  null as unknown as InferOutput<typeof zod>,
  null as unknown as InferOutput<typeof valibot>,
  null as unknown as InferOutput<typeof ark>,
];

/** Types only: an intersection with a schema of arktype was too deep for TypeScript before 7. */
export async function typedByArktype(session: Session): Promise<Report> {
  return (await session.ask("x", { output: ark })).output;
}

const GOOD: Report = {
  title: "t",
  score: 3,
  tags: ["a"],
  level: "low",
  note: null,
  files: [{ path: "a.ts", lines: 2 }],
};

const LIBRARIES: [string, StandardSchemaV1][] = [
  ["zod", zod],
  ["valibot", toStandardJsonSchema(valibot) as unknown as StandardSchemaV1],
  ["arktype", ark],
];

/** Every object of a strict schema is closed and requires all its keys. */
function assertStrict(node: unknown): void {
  if (Array.isArray(node)) return node.forEach(assertStrict);
  if (typeof node !== "object" || node === null) return;
  const { type, properties, required, additionalProperties } = node as Record<string, unknown>;
  if (type === "object") {
    assert.equal(additionalProperties, false);
    assert.deepEqual(
      [...required as string[]].sort(),
      Object.keys(properties as Record<string, unknown>).sort(),
    );
  }
  Object.values(node).forEach(assertStrict);
}

for (const [name, output] of LIBRARIES) {
  test(`a schema of ${name} is sent in strict form and gives its answers out`, async (t) => {
    assert.equal(typed.length, 3);
    const resolved = resolveOutputSchema({ output })!;
    await t.step("sent", () => {
      assertStrict(resolved.schema);
      assert.deepEqual(
        Object.keys(resolved.schema["properties"] as JsonObject).sort(),
        Object.keys(GOOD).sort(),
      );
      assert.equal(resolved.schema["$schema"], undefined);
    });
    await t.step("fitting", async () => {
      assert.deepEqual(await resolved.parse(JSON.stringify(GOOD)), { ok: true, value: GOOD });
    });
    await t.step("not fitting", async () => {
      const bad = { ...GOOD, files: [{ path: 1, lines: 2 }], score: 11 };
      const result = await resolved.parse(JSON.stringify(bad));
      assert(!result.ok);
      assert.deepEqual(result.issues.map((issue) => issue.path).sort(), [
        "$.files[0].path",
        "$.score",
      ]);
    });
    await t.step("what can't be sent is still checked", async () => {
      const result = await resolved.parse(JSON.stringify({ ...GOOD, title: "" }));
      assert(!result.ok);
      assert.equal(result.issues[0]!.path, "$.title");
    });
  });
}

test("a transforming schema is sent as what the model writes and gives out what the caller wants", async () => {
  const output = z.object({ at: z.string().transform((text) => new Date(text)) });
  const { schema, parse } = resolveOutputSchema({ output })!;
  assert.deepEqual(schema["properties"], { at: { type: "string" } });
  assert.deepEqual(await parse('{"at":"2026-01-01T00:00:00Z"}'), {
    ok: true,
    value: { at: new Date("2026-01-01T00:00:00Z") },
  });
});

test("a plain valibot schema needs outputSchema besides, and then works", async () => {
  const output = v.object({ n: v.number() }) as unknown as StandardSchemaV1;
  assert.throws(() => resolveOutputSchema({ output }), (error) => {
    assert(error instanceof InvalidArgumentError);
    assert.match(error.message, /valibot .* give `outputSchema` besides/);
    return true;
  });
  const outputSchema: JsonObject = {
    type: "object",
    properties: { n: { type: "number" } },
    required: ["n"],
  };
  const { parse } = resolveOutputSchema({ output, outputSchema })!;
  assert.deepEqual(await parse('{"n":1}'), { ok: true, value: { n: 1 } });
});

const REFUSED: [string, StandardSchemaV1, string][] = [
  ["an optional key", z.object({ a: z.string().optional() }), "outputSchema.properties.a"],
  [
    "a map",
    z.object({ m: z.record(z.string(), z.number()) }),
    "outputSchema.properties.m.additionalProperties",
  ],
  ["a loose object", z.looseObject({ a: z.string() }), "outputSchema.additionalProperties"],
  ["anything", z.object({ a: z.unknown() }), "outputSchema.properties.a"],
  [
    "a tuple",
    z.object({ t: z.tuple([z.string(), z.number()]) }),
    "outputSchema.properties.t.prefixItems",
  ],
  ["a list at the root", z.array(z.string()), "outputSchema"],
  ["a bigint", z.object({ b: z.bigint() }), "output"],
  [
    "arktype's optional key",
    type({ "a?": "string" }) as unknown as StandardSchemaV1,
    "outputSchema.properties.a",
  ],
];

test("what strict output does not take is refused with the path of the node", async (t) => {
  for (const [name, output, path] of REFUSED) {
    await t.step(name, () => {
      assert.throws(() => resolveOutputSchema({ output }), (error) => {
        assert(error instanceof InvalidArgumentError, String(error));
        assert.equal(error.argument, path);
        return true;
      });
    });
  }
});

test("zod's alternatives, recursion and defaults are sent", () => {
  const shape = z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("dot") }),
    z.object({ kind: z.literal("line"), length: z.number().default(1) }),
  ]);
  const node = z.object({
    shape,
    get children() {
      return z.array(node);
    },
  });
  const { schema } = resolveOutputSchema({ output: node as unknown as StandardSchemaV1 })!;
  assertStrict(schema);
  assert.match(JSON.stringify(schema), /"anyOf"/);
  assert.doesNotMatch(JSON.stringify(schema), /"oneOf"|"default"/);
});
