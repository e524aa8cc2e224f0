/**
 * What the documentation lists is what can be imported, namespaces included. `deno doc`, with which JSR renders too, drops
 * named re-exports within `export * as`, and lists values behind `export type *`.
 */
import assert from "node:assert/strict";
import * as library from "../../mod.ts";
import { test } from "../_harness.ts";

interface Declaration {
  kind: string;
  jsDoc?: { doc?: string };
  def?: { elements?: Symbol[] };
}

interface Symbol {
  name: string;
  declarations: Declaration[];
}

const KINDS = new Set(["function", "class", "variable", "enum"]);

/** The server's own types, from its schema, which says nothing about them. */
const GENERATED = new Set([
  "ThreadItem",
  "ThreadStatus",
  "ThreadTokenUsage",
  "Turn",
  "TurnPlanStep",
]);

async function documented(): Promise<Map<string, Declaration>> {
  const root = new URL("../../", import.meta.url);
  const { stdout, success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "mod.ts"],
    cwd: root,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout));
  const found = new Map<string, Declaration>();
  const visit = (symbols: Symbol[], prefix: string) => {
    for (const { name, declarations } of symbols) {
      for (const declaration of declarations) {
        found.set(`${prefix}${name}`, declaration);
        if (declaration.kind === "namespace") {
          visit(declaration.def?.elements ?? [], `${prefix}${name}.`);
        }
      }
    }
  };
  visit(nodes[new URL("mod.ts", root).href].symbols, "");
  return found;
}

function exported(module: object, prefix = ""): string[] {
  return Object.entries(module).flatMap(([name, value]) =>
    Object.prototype.toString.call(value) === "[object Module]"
      ? exported(value, `${prefix}${name}.`)
      : [`${prefix}${name}`]
  );
}

test("the documentation lists what can be imported, and nothing else", async () => {
  const docs = await documented();
  const values = [...docs].filter(([, { kind }]) => KINDS.has(kind)).map(([name]) => name);
  const names = exported(library);
  assert.deepEqual(
    names.filter((name) => !docs.has(name)).sort(),
    [],
    "exported, not documented",
  );
  assert.deepEqual(
    values.filter((name) => !names.includes(name)).sort(),
    [],
    "documented, not exported",
  );
  const silent = [...docs].filter(([, { jsDoc }]) => !jsDoc?.doc).map(([name]) => name)
    .filter((name) => !name.startsWith("protocol.") && !GENERATED.has(name));
  assert.deepEqual(silent.sort(), [], "without a word of documentation");
  for (const [name, { kind, jsDoc }] of docs) {
    if (kind !== "namespace" || name.includes(".")) continue;
    assert.ok(jsDoc!.doc!.length > 200, `the namespace ${name} tells too little of itself`);
  }
});
