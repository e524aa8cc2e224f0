/**
 * Every name that `mod.ts` exports, those in its namespaces included, read from the source.
 *
 *     deno run -RW tests/_public_names.ts     writes the list that `tests/unit/public_names_test.ts` compares
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSource, ROOT, type SourceFile } from "./_module_graph.ts";

/** Where the list is kept, relative to the root. */
export const LIST = "tests/unit/public_names.txt";

/** Each name on a line: dotted within a namespace, and with `(type)` behind it when it has no value. */
export function publicNames(): string[] {
  const source = readSource();
  const names = exportsOf(source, "mod.ts");
  return [...names].map(([name, isType]) => isType ? `${name} (type)` : name).sort();
}

/** Whether each exported name of a file is a type only. */
function exportsOf(source: Map<string, SourceFile>, path: string): Map<string, boolean> {
  const file = source.get(path)!;
  const found = new Map(file.exports.map((name) => [name, file.types.has(name)]));
  for (const edge of file.edges.filter((edge) => edge.reExport)) {
    const theirs = exportsOf(source, edge.to);
    for (const name of edge.names) {
      if (name.theirs !== "*") {
        found.set(name.ours, edge.typeOnly || (theirs.get(name.theirs) ?? false));
      } else if (name.ours === "*") {
        for (const [each, isType] of theirs) found.set(each, edge.typeOnly || isType);
      } else {
        found.set(name.ours, edge.typeOnly);
        for (const [each, isType] of theirs) {
          found.set(`${name.ours}.${each}`, edge.typeOnly || isType);
        }
      }
    }
  }
  return found;
}

if (import.meta.main) writeFileSync(join(ROOT, LIST), `${publicNames().join("\n")}\n`);
