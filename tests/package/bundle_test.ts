/** What users' bundlers make of the package: only what is used, and names that minifiers leave alone. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { nodePath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { machine } from "./_machine.ts";
import { installPackage } from "./_package.ts";
import { succeed } from "./_run.ts";
import { esbuildPath, rollupPath } from "./_tools.ts";

/** Bytes of the minified bundle. A prompt may bring approvals, hooks, tools and schemas: all of that is reachable. */
const MOST = 500_000;
/** Rooms that quickRun never enters, and what may be left of all of them together. */
const UNUSED = /\/src\/(?:web|artifact|testing|automation|app_server|adapters|workflow\.js)/;
const MOST_UNUSED = 26_000;

const QUICK_RUN = `import { quickRun } from "@codex/runtime";
console.log((await quickRun(process.cwd(), "hi")).assistantText);
`;

/** Bundles with rollup, on Node; prints what is left of each module. */
const ROLLUP = `import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const { rollup } = await import(pathToFileURL(process.argv[2]).href);
const entry = process.cwd() + "/node_modules/@codex/runtime/mod.js";
const resolveId = (id) => id === "@codex/runtime" ? entry : null;
const build = await rollup({ input: "quick.mjs", plugins: [{ name: "package", resolveId }] });
const { output: [{ code, modules }] } = await build.generate({ format: "es" });
await build.close();
writeFileSync("rolled.mjs", code);
console.log(JSON.stringify(Object.keys(modules).map((path) => [path, modules[path].renderedLength])));
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
  await using user = await machine([["from a bundle"]]);
  const project = user.workspace;
  await installPackage(project);
  await mkdir(join(project, "work"));
  await writeFile(join(project, "quick.mjs"), QUICK_RUN);
  await writeFile(join(project, "names.mjs"), NAMES);
  const flags = ["--bundle", "--minify", "--format=esm", "--platform=node", "--target=es2022"];

  await t.step("esbuild: quickRun brings along no other room", async () => {
    const files = ["--outfile=quick.min.mjs", "--metafile=meta.json", "--log-level=warning"];
    await succeed(esbuild, ["quick.mjs", ...flags, ...files], { cwd: project });
    const { outputs } = JSON.parse(await readFile(join(project, "meta.json"), "utf8"));
    const { bytes, inputs } = outputs["quick.min.mjs"];
    const parts = Object.entries<{ bytesInOutput: number }>(inputs)
      .map(([path, { bytesInOutput }]): [string, number] => [path, bytesInOutput]);
    report("esbuild, minified", bytes, parts);
  });

  await t.step("what esbuild made runs", async () => {
    const { stdout } = await succeed(node, [join(project, "quick.min.mjs")], {
      cwd: join(project, "work"),
      env: user.env,
    });
    assert.equal(stdout, "from a bundle\n");
  });

  await t.step("rollup, which is Vite's: quickRun brings along no other room", async () => {
    await writeFile(join(project, "rollup.mjs"), ROLLUP);
    const { stdout } = await succeed(node, ["rollup.mjs", await rollupPath()], { cwd: project });
    const minify = ["rolled.mjs", "--minify", "--format=esm", "--outfile=rolled.min.mjs"];
    await succeed(esbuild, [...minify, "--log-level=warning"], { cwd: project });
    const { length } = await readFile(join(project, "rolled.min.mjs"));
    report("rollup, minified", length, JSON.parse(stdout));
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

function report(what: string, bytes: number, parts: [path: string, bytes: number][]): void {
  const unused = parts.filter(([path, size]) => size > 0 && UNUSED.test(path));
  const sum = unused.reduce((total, [, size]) => total + size, 0);
  console.log(`${what}: ${bytes} bytes, of them ${sum} of rooms that are not used`);
  assert.ok(sum <= MOST_UNUSED, JSON.stringify(unused, null, 2));
  assert.ok(bytes <= MOST, `${bytes} bytes`);
}
