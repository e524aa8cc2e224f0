import assert from "node:assert/strict";
import {
  DOC_EDIT_SCHEMA,
  DOC_GENERATE_SCHEMA,
  parseDocEdit,
  parseDocGenerate,
} from "../../../src/artifact/prompt.ts";
import { isJsonObject, type JsonObject } from "../../../src/json.ts";
import { strictSchema } from "../../../src/session/output/strict_schema.ts";
import { test } from "../../_harness.ts";

function objectsIn(value: unknown): JsonObject[] {
  if (Array.isArray(value)) return value.flatMap(objectsIn);
  if (!isJsonObject(value)) return [];
  const own = value["type"] === "object" ? [value] : [];
  return [...own, ...Object.values(value).flatMap(objectsIn)];
}

test("the output schemas say which fields may be null", () => {
  const properties = (schema: Readonly<JsonObject>) => schema["properties"] as JsonObject;
  const typeOf = (schema: Readonly<JsonObject>, field: string) =>
    (properties(schema)[field] as JsonObject)["type"];
  assert.deepEqual(typeOf(DOC_EDIT_SCHEMA, "notes"), ["string", "null"]);
  assert.equal(typeOf(DOC_GENERATE_SCHEMA, "title"), "string");
});

test("the output schemas are fit for strict mode: every object closed, every key required", () => {
  for (const [schema, count] of [[DOC_GENERATE_SCHEMA, 1], [DOC_EDIT_SCHEMA, 2]] as const) {
    const objects = objectsIn(schema);
    assert.equal(objects.length, count);
    for (const object of objects) {
      assert.equal(object["additionalProperties"], false);
      assert.deepEqual(object["required"], Object.keys(object["properties"] as JsonObject));
    }
    assert.deepEqual(strictSchema(schema), { schema, issues: [] });
  }
});

const EDIT = { startLine: 1, endLine: 2, replacement: "x" };
const EDITS = { format: "markdown", expectedRevision: "sha256:1", edits: [EDIT], notes: null };

test("parseDocEdit() reads a value, its JSON, and JSON in a fence", () => {
  const json = JSON.stringify(EDITS, null, 1);
  for (
    const answer of [
      EDITS,
      json,
      "Here:\n```json\n" + json + "\n```\nDone.",
      "```\n" + json + "```",
    ]
  ) {
    assert.deepEqual(parseDocEdit(answer), { ok: true, value: EDITS });
  }
  const { notes: _, ...withoutNotes } = EDITS;
  assert.deepEqual(parseDocEdit({ ...withoutNotes, extra: 1 }), { ok: true, value: EDITS });
});

test("parseDocEdit() names every field that does not fit, and no value", () => {
  const secret = "s3cret";
  const cases: [unknown, string[]][] = [
    ["no JSON", ["$"]],
    [null, ["$"]],
    [[], ["$"]],
    [{}, ["$.format", "$.expectedRevision", "$.edits"]],
    [{ ...EDITS, notes: 5 }, ["$.notes"]],
    [{ ...EDITS, edits: [EDIT, secret] }, ["$.edits[1]"]],
    [{ ...EDITS, edits: [{ ...EDIT, startLine: "1", endLine: 1.5, replacement: [secret] }] }, [
      "$.edits[0].startLine",
      "$.edits[0].endLine",
      "$.edits[0].replacement",
    ]],
  ];
  for (const [answer, paths] of cases) {
    const parsed = parseDocEdit(answer);
    assert.ok(!parsed.ok);
    assert.deepEqual(parsed.issues.map((i) => i.path), paths);
    assert.ok(!JSON.stringify(parsed.issues).includes(secret));
  }
});

test("parseDocGenerate() reads a document and makes its text well-formed", () => {
  const value = { format: "markdown", title: "T", text: "a\r\n" };
  assert.deepEqual(parseDocGenerate(JSON.stringify(value)), { ok: true, value });
  const parsed = parseDocGenerate(String.raw`{"format":"f","title":"t","text":"\ud83d"}`);
  assert.equal(parsed.ok && parsed.value.text, "\ufffd");
  assert.deepEqual(parseDocGenerate({ format: "f", title: "t" }), {
    ok: false,
    issues: [{ path: "$.text", message: "expected a string" }],
  });
});
