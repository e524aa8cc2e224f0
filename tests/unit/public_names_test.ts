import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as library from "../../mod.ts";
import { test } from "../_harness.ts";
import { ROOT } from "../_module_graph.ts";
import { LIST, publicNames } from "../_public_names.ts";

const HOW = "If that is meant, `deno run -RW tests/_public_names.ts` and commit the list";

function pinned(): string[] {
  return readFileSync(join(ROOT, LIST), "utf8").trimEnd().split(/\r?\n/);
}

test("public names neither vanish nor appear unseen", () => {
  const [names, list] = [publicNames(), pinned()];
  const gone = list.filter((name) => !names.includes(name));
  const added = names.filter((name) => !list.includes(name));
  assert.deepEqual({ gone, added }, { gone: [], added: [] }, HOW);
});

test("the list of public names has exactly the values that can be imported", () => {
  const values = (module: object, prefix: string): string[] =>
    Object.entries(module).flatMap(([name, value]) =>
      Object.prototype.toString.call(value) === "[object Module]"
        ? [prefix + name, ...values(value, `${prefix}${name}.`)]
        : [prefix + name]
    );
  const listed = pinned().filter((name) => !name.endsWith(" (type)"));
  assert.deepEqual(values(library, "").sort(), listed.sort());
});
