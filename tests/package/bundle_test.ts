/** What users' bundlers make of the package: only what is used, and names that minifiers leave alone. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { nodePath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { machine } from "./_machine.ts";
import { unpackPackage } from "./_package.ts";
import { succeed } from "./_run.ts";
import { esbuildPath, rollupPath } from "./_tools.ts";

/**
 * Bytes, minified. In parts (`--splitting`): what one prompt loads, the entry and the parts that it comes by, measured on a
 * bundle that runs. In one file, where what is loaded when it is used is there from the beginning: all of it.
 */
const MOST = { inParts: 251 * 1024, inOneFile: 553 * 1024 } as const;
/** Rooms that quickRun never enters: nothing of them is in a bundle. */
const UNUSED = /\/src\/(?:web|artifact|testing|automation|app_server|adapters|workflow\.js)/;

const QUICK_RUN = `import { quickRun } from "@codex/runtime";
console.log((await quickRun(process.cwd(), "hi")).assistantText);
`;

/** Bundles with rollup, on Node; prints what each part has of each module. */
const ROLLUP = `import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
const { rollup } = await import(pathToFileURL(process.argv[2]).href);
const entry = process.cwd() + "/node_modules/@codex/runtime/mod.js";
// As Vite does it, which goes by the package.json that is nearest to each module.
const source = dirname(entry) + "/src/";
const { sideEffects } = JSON.parse(readFileSync(source + "package.json", "utf8"));
const resolveId = (id, importer) => {
  if (id === "@codex/runtime") return entry;
  if (importer === undefined || !id.startsWith(".")) return null;
  const path = resolve(dirname(importer), id);
  return { id: path, moduleSideEffects: path.startsWith(source) ? sideEffects : true };
};
const build = await rollup({ input: "quick.mjs", plugins: [{ name: "package", resolveId }] });
const names = { entryFileNames: "[name].mjs", chunkFileNames: "[name]-[hash].mjs" };
const { output } = await build.write({ format: "es", dir: "rolled", ...names });
await build.close();
const sizes = ({ modules }) => Object.keys(modules).map((path) => [path, modules[path].renderedLength]);
console.log(JSON.stringify(output.map((part) => [part.fileName, sizes(part)])));
`;

/** Constructs each error in its own way; prints the names that differ from what is exported. */
const NAMES = `import * as lib from "@codex/runtime";
const partial = { threadId: "t", turnId: "u", assistantText: "", items: [] };
const own = {
  OutputValidationError: [[], partial],
  PermissionDeniedError: ["x", ["--allow-run"]],
  PolicyMismatchError: [[]],
  RpcError: ["m", 1, "message"],
  TurnFailedError: ["other", "message", partial],
};
// The bases take a code of the caller's.
const bases = ["CodexError", "TurnError"];
const bad = [];
let count = 0;
for (const [name, value] of Object.entries(lib)) {
  if (typeof value !== "function" || !(value.prototype instanceof Error)) continue;
  if (bases.includes(name)) continue;
  count++;
  const error = new value(...(own[name] ?? ["x", partial, partial]));
  if (error.name !== name || !String(error).startsWith(name)) bad.push(name + ": " + error.name);
}
console.log(JSON.stringify({ count, bad }));
`;

test("bundles hold what is used, run, and keep the names of errors", {
  timeoutMs: 180_000,
}, async (t) => {
  const [node, esbuild] = await Promise.all([nodePath(), esbuildPath()]);
  await using user = await machine(Array(3).fill(["from a bundle"]));
  const project = user.workspace;
  await unpackPackage(project);
  await mkdir(join(project, "work"));
  await writeFile(join(project, "quick.mjs"), QUICK_RUN);
  await writeFile(join(project, "names.mjs"), NAMES);
  const flags = ["--bundle", "--minify", "--format=esm", "--platform=node", "--target=es2022"];

  /** Runs a bundle in parts; returns the parts that it loaded. */
  const loadedParts = async (folder: string, entry: string): Promise<string[]> => {
    const coverage = join(project, `${folder}-coverage`);
    const { stdout } = await succeed(node, [join(project, folder, entry)], {
      cwd: join(project, "work"),
      env: { ...user.env, NODE_V8_COVERAGE: coverage },
    });
    assert.equal(stdout, "from a bundle\n");
    const loaded = new Set<string>();
    for (const name of await readdir(coverage)) {
      const { result } = JSON.parse(await readFile(join(coverage, name), "utf8"));
      for (const { url } of result as { url: string }[]) {
        if (url.includes(`/${folder}/`)) loaded.add(url.slice(url.lastIndexOf("/") + 1));
      }
    }
    assert.ok(loaded.has(entry), `${[...loaded]}`);
    return [...loaded];
  };

  await t.step("esbuild, in parts: what one prompt loads", async () => {
    const files = ["--splitting", "--outdir=parts", "--metafile=parts.json"];
    await succeed(esbuild, ["quick.mjs", ...flags, ...files, "--log-level=warning"], {
      cwd: project,
    });
    const { outputs } = JSON.parse(await readFile(join(project, "parts.json"), "utf8"));
    const loaded = (await loadedParts("parts", "quick.js")).map((name) => outputs[`parts/${name}`]);
    const bytes = loaded.reduce((sum, output) => sum + output.bytes, 0);
    report("esbuild, in parts", bytes, loaded.flatMap(partsOf), MOST.inParts);
  });

  await t.step("esbuild, in one file: it runs", async () => {
    const files = ["--outfile=one/quick.js", "--metafile=one.json", "--log-level=warning"];
    await succeed(esbuild, ["quick.mjs", ...flags, ...files], { cwd: project });
    const { outputs } = JSON.parse(await readFile(join(project, "one.json"), "utf8"));
    await loadedParts("one", "quick.js");
    report(
      "esbuild, in one file",
      outputs["one/quick.js"].bytes,
      partsOf(outputs["one/quick.js"]),
      MOST.inOneFile,
    );
  });

  await t.step("rollup, which is Vite's, in parts: what one prompt loads", async () => {
    await writeFile(join(project, "rollup.mjs"), ROLLUP);
    const { stdout } = await succeed(node, ["rollup.mjs", await rollupPath()], { cwd: project });
    const parts = new Map<string, [string, number][]>(JSON.parse(stdout));
    const loaded = await loadedParts("rolled", "quick.mjs");
    const from = loaded.map((name) => `rolled/${name}`);
    const minify = [...from, "--minify", "--format=esm", "--outdir=rolled.min"];
    await succeed(esbuild, [...minify, "--log-level=warning"], { cwd: project });
    let bytes = 0;
    for (const name of await readdir(join(project, "rolled.min"))) {
      bytes += (await readFile(join(project, "rolled.min", name))).length;
    }
    const modules = loaded.flatMap((name) => parts.get(name) ?? []);
    report("rollup, in parts", bytes, modules, MOST.inParts);
  });

  await t.step("errors keep their names", async () => {
    const files = ["--outfile=names.min.mjs", "--log-level=warning"];
    await succeed(esbuild, ["names.mjs", ...flags, ...files], { cwd: project });
    const { stdout } = await succeed(node, ["names.min.mjs"], { cwd: project });
    const { count, bad } = JSON.parse(stdout);
    assert.deepEqual(bad, []);
    assert.ok(count >= 20, `${count} errors`);
  });
});

function partsOf(output: { inputs: Record<string, { bytesInOutput: number }> }) {
  return Object.entries(output.inputs)
    .map(([path, { bytesInOutput }]): [string, number] => [path, bytesInOutput]);
}

function report(
  what: string,
  bytes: number,
  parts: [path: string, bytes: number][],
  most: number,
): void {
  const unused = parts.filter(([path, size]) => size > 0 && UNUSED.test(path));
  const sum = unused.reduce((total, [, size]) => total + size, 0);
  console.log(`${what}: ${bytes} bytes, of them ${sum} of rooms that are not used`);
  assert.equal(sum, 0, JSON.stringify(unused, null, 2));
  assert.ok(bytes <= most, `${bytes} bytes`);
}
