/** The package as Deno gets it: published to a registry, imported by name. */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "../_harness.ts";
import { registry } from "./_jsr.ts";
import { machine } from "./_machine.ts";
import { PACKAGE, publishedFiles } from "./_package.ts";
import { PROGRAMS, runProgram } from "./_programs.ts";
import { succeed } from "./_run.ts";

const LIMIT_MS = 120_000;

test("what is published is the library, its front page and its licence", async () => {
  const files = [...(await publishedFiles()).keys()];
  for (const path of ["/mod.ts", "/README.md", "/LICENSE", "/deno.json", "/src/quick_run.ts"]) {
    assert.ok(files.includes(path), `${path} is missing`);
  }
  const others = files.filter((path) =>
    // Bundlers read in `src/package.json` that nothing of the library runs by being imported.
    !/^\/(mod\.ts|README\.md|LICENSE|deno\.json|src\/(.+\.ts|package\.json))$/.test(path) ||
    /generator|_test\.ts$/.test(path)
  );
  assert.deepEqual(others, [], "these files have no place in the package");
});

test("nothing that is published needs syntax that Node 22 lacks, or another package", async () => {
  for (const [path, url] of await publishedFiles()) {
    if (!path.endsWith(".ts")) continue;
    const text = await Deno.readTextFile(new URL(url));
    assert.doesNotMatch(text, /^\s*(await )?using \w/m, `${path} has a using declaration`);
    assert.doesNotMatch(text, /^(import|export) .*"(npm|jsr|node|https?):/m, path);
  }
});

test("jsr:@codex/runtime does on Deno what its users expect", {
  timeoutMs: LIMIT_MS,
}, async (t) => {
  await using jsr = await registry();
  await using user = await machine();
  const env = { JSR_URL: jsr.url, DENO_DIR: await user.directory("deno") };
  const specifier = `jsr:${PACKAGE.name}@^${PACKAGE.version}`;
  for (const name of Object.keys(PROGRAMS)) {
    await t.step(
      name,
      () =>
        runProgram(name, [process.execPath, "run", "-A"], user.workspace, user, {
          specifier,
          env,
        }),
    );
  }
  await t.step("types are not downloaded to run a program", () => {
    const types = jsr.requests.filter((path) => /generated\/types\.ts$/.test(path));
    assert.deepEqual(types, []);
  });
  await t.step("the programs type-check against the published types", async () => {
    const files = Object.keys(PROGRAMS).map((name) => `${name}.ts`);
    await succeed(process.execPath, ["check", ...files], {
      cwd: user.workspace,
      env: { ...user.env, ...env },
      timeoutMs: LIMIT_MS,
    });
  });
});

test("Deno learns the module graph from the version's metadata, as it does from JSR's", {
  timeoutMs: LIMIT_MS,
}, async () => {
  const { name, version } = PACKAGE;
  const entry = `/${name}/${version}/mod.ts`;
  const imported = `/${name}/${version}/src/quick_run.ts`;
  let arrived = () => {};
  const importedIsAskedFor = new Promise<void>((resolve) => arrived = resolve);
  await using jsr = await registry({
    beforeAnswer: async (path) => {
      if (path === imported) arrived();
      // Without the graph, only the text of the entry point tells what it imports.
      if (path === entry) await importedIsAskedFor;
    },
  });
  await using user = await machine();
  const env = { JSR_URL: jsr.url, DENO_DIR: await user.directory("deno") };
  await succeed(process.execPath, ["cache", `jsr:${name}@${version}`], {
    cwd: user.workspace,
    env: { ...user.env, ...env },
    timeoutMs: LIMIT_MS,
  });

  const meta = await (await fetch(`${jsr.url}${name}/${version}_meta.json`)).json();
  const graph: Record<string, { dependencies?: { type: string; specifier?: string }[] }> =
    meta.moduleGraph2;
  const reached = new Set(
    Object.values(meta.exports as Record<string, string>)
      .map((path) => path.slice(1)),
  );
  // The loop goes on to what it adds.
  for (const path of reached) {
    assert.ok(path in graph, `the graph lacks ${path}`);
    for (const { specifier } of graph[path]!.dependencies ?? []) {
      if (specifier !== undefined) reached.add(new URL(specifier, `file://${path}`).pathname);
    }
  }
  assert.ok(reached.size > 300, `${reached.size} modules are reached`);
});
