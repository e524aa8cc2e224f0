/** What users copy, the documents and the examples, needs no cast: where it would, a type of the library is wrong. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";

/** A cast of a value, or a way around its type; `as const`, renamed imports and `export * as` are none. */
const CAST = /[\w)\]}"'`] as (?!const\b)[A-Za-z{[(]|\bany\b\s*[;,)=>[\]]/;

/** Redis and Node's servers answer without types. */
const FOREIGN = /node_modules|^web_cluster\/(?:redis|proxy)\.ts$/;

function casts(name: string, code: string): string[] {
  const plain = code
    .replace(/^import[^;]*;|^export \*[^;]*;/gm, (text) => text.replace(/[^\n]/g, ""))
    .replace(/\/\*[\s\S]*?\*\//g, (text) => text.replace(/[^\n]/g, ""))
    .replace(/(?<!:)\/\/.*$|(["'`])(?:\\.|(?!\1)[^\\\n])*\1/gm, "");
  return plain.split("\n").flatMap((line, index) =>
    CAST.test(line) ? [`${name}:${index + 1}: ${line.trim()}`] : []
  );
}

test("neither the documents nor an example needs a cast", () => {
  const found = ["README.md", ".github/guide.md"].flatMap((name) => {
    const text = readFileSync(join(ROOT, name), "utf8");
    const blocks = [...text.matchAll(/^```ts[^\n]*\n([\s\S]*?)^```/gm)].map((match) => match[1]!);
    assert.ok(blocks.length > 10, `${name}: ${blocks.length} blocks`);
    return blocks.flatMap((block, index) => casts(`${name}, block ${index + 1}`, block));
  });
  const examples = join(ROOT, "examples");
  for (const name of readdirSync(examples, { recursive: true, encoding: "utf8" })) {
    if (!/\.tsx?$/.test(name) || FOREIGN.test(name.replaceAll("\\", "/"))) continue;
    found.push(...casts(name, readFileSync(join(examples, name), "utf8")));
  }
  assert.deepEqual(found, []);
});

test("a cast would be found", () => {
  for (const line of ["f(x as Y)", "const a = globalThis as any;", "f(a: any)", "f(a: any[])"]) {
    assert.equal(casts("x", line).length, 1, line);
  }
  assert.deepEqual(casts("x", 'import { a as b } from "c";\nconst d = { e: 1 } as const;'), []);
});
