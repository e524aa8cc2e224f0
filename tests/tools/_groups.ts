/**
 * Test files that Deno loads into one isolate. It makes a new one for each file that it is given, and loads the library into
 * it: a tenth of a second of the processor for each of 300 files. Bun has one for all files anyway.
 */
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "../_codex.ts";

/** Outside of the project, whose configuration has Deno look for no tests in `.cache`. */
let folder: Promise<string> | undefined;
let made = 0;

/** Writes a module for each so many files, which loads them one after the other; returns the paths of the modules. */
export async function grouped(files: string[], size: number): Promise<string[]> {
  // A file alone keeps its own place in what Deno prints.
  if (files.length < 2) return files;
  folder ??= temporaryFolder();
  const modules: string[] = [];
  for (let at = 0; at < files.length; at += size) {
    const group = files.slice(at, at + size);
    const [first, last] = [group[0]!, group.at(-1)!].map((file) => basename(file, "_test.ts"));
    const path = join(await folder, `${made++}-${first}-to-${last}.ts`);
    modules.push(path);
    await Deno.writeTextFile(path, moduleOf(group));
  }
  return modules;
}

/** Takes them away again. */
export async function removeGroups(): Promise<void> {
  if (folder !== undefined) await Deno.remove(await folder, { recursive: true });
}

/** By its real path: Deno looks for no tests behind a link, as macOS has one for temporary files. */
async function temporaryFolder(): Promise<string> {
  return await Deno.realPath(await Deno.makeTempDir({ prefix: "codex-runtime-tests-" }));
}

function moduleOf(files: string[]): string {
  const url = (path: string) => JSON.stringify(pathToFileURL(join(ROOT, path)).href);
  return [
    `import { testsOf } from ${url("tests/_harness.ts")};`,
    ...files.map((file) => `testsOf(${JSON.stringify(file)});\nawait import(${url(file)});`),
  ].join("\n");
}
