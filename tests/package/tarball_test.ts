/** The package as Bun and Node get it: JSR serves npm clients the tarball that `deno pack` makes. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bunPath, install, nodePath, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { machine } from "./_machine.ts";
import { installPackage, pack } from "./_package.ts";
import { PROGRAMS, runProgram } from "./_programs.ts";
import { succeed } from "./_run.ts";

const LIMIT_MS = 120_000;
/** The one in Go, which takes a tenth of the time; and the last before it, which most projects have, for a short look. */
const TYPESCRIPTS = ["typescript@7.0.2", "typescript-5@npm:typescript@5.9.3"];
/** The types of a program without a page. */
const NODE_TYPES = "@types/node@22.20.5";

test("the tarball in an empty Node project does what its users expect", {
  timeoutMs: 3 * LIMIT_MS,
}, async (t) => {
  const node = await nodePath();
  await using user = await machine();
  const project = user.workspace;
  await installPackage(project);
  await t.step("its declarations refer to nothing that has none", async () => {
    const root = join(project, "node_modules", "@codex", "runtime");
    const files = await readdir(root, { recursive: true });
    const declarations = files.filter((name) => name.endsWith(".d.ts"));
    assert.ok(declarations.length > 50, `${declarations.length} declarations`);
    // Each is read by whoever checks a program that imports the package, which takes 2 ms. What is not public gets in by way
    // of types in public constructors: those that only this package calls are private, or say what they need.
    assert.ok(declarations.length <= 122, `${declarations.length} declarations`);
    for (const name of declarations) {
      // Examples in comments name packages and files of the checkout.
      const text = (await readFile(join(root, name), "utf8")).replace(/\/\*\*[^]*?\*\//g, "");
      for (const [, specifier] of text.matchAll(/(?:from|import\()\s*"([^"]+)"/g)) {
        const target = join(dirname(name), specifier!).replace(/\.js$/, ".d.ts");
        if (specifier!.startsWith(".")) assert.ok(files.includes(target), `${name}: ${specifier}`);
      }
    }
  });
  for (const name of Object.keys(PROGRAMS)) {
    await t.step(name, () => runProgram(name, [node], project, user));
  }
  await t.step("its declarations type-check with tsc", async () => {
    const base = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      target: "es2024",
      module: "nodenext",
      noEmit: true,
      skipLibCheck: false,
      types: [],
    };
    // What takes arguments from the command line needs Node's own types, which are not the point here.
    const files = Object.keys(PROGRAMS).filter((name) => name !== "websocket")
      .map((name) => `${name}.ts`);
    // The second one is what the guide names as enough; the programs themselves want more than the declarations do.
    const own = "only_declarations.ts";
    await writeFile(join(project, own), 'export { quickRun } from "@codex/runtime";\n');
    // What callers write without a cast; the same source type-checks against the checkout.
    const typed = "options_types.ts";
    const source = await readFile(
      new URL("../types/options_types_test.ts", import.meta.url),
      "utf8",
    );
    await writeFile(
      join(project, typed),
      source.replaceAll(/"npm:((?:@[\w-]+\/)?[\w-]+)@[\d.]+"/g, '"$1"')
        .replace('"../../mod.ts"', '"@codex/runtime"'),
    );
    const libraries = [...source.matchAll(/"npm:([^"]+)"/g)].map((match) => match[1]!);
    await linkPackages(join(project, "node_modules"), [...TYPESCRIPTS, NODE_TYPES, ...libraries]);
    const modern = ["esnext", "dom", "dom.iterable", "dom.asynciterable"];
    const bundler = { module: "esnext", moduleResolution: "bundler" };
    const small = ["es2022", "dom", "esnext.disposable"];
    const more: [string[], string[], object?, string?][] = [
      [small, [own]],
      // As Vite's templates have it, whose projects look into no declarations.
      [["es2022", "dom"], [own], { skipLibCheck: true }],
    ];
    const projects: typeof more = [
      [modern, [...files, typed]],
      // Resolution is what differs; what it finds are the same declarations.
      [modern, [own], bundler],
      [small, [own], {}, "typescript-5"],
      // As most programs on Node have it: its types, and none of a page's.
      [["es2023"], [own], { types: ["node"] }],
      ...tries<typeof more>(more, []),
    ];
    for (const [lib, files, resolution, compiler = "typescript"] of projects) {
      const compilerOptions = { ...base, ...resolution, lib };
      await writeFile(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
      await succeed(node, [`node_modules/${compiler}/bin/tsc`, "-p", "."], {
        cwd: project,
        timeoutMs: LIMIT_MS,
      });
    }
  });
});

/** Has packages beside the one that is tested, from a folder that keeps them. */
async function linkPackages(target: string, packages: string[]): Promise<void> {
  const [first, ...beside] = packages;
  const [name, version] = first!.split("@");
  const from = join(await install("types", name!, version!, beside), "node_modules");
  for (const entry of (await readdir(from)).filter((entry) => !entry.startsWith("."))) {
    const [there, here] = [join(from, entry), join(target, entry)];
    // A scope that npm made for the package itself gets others in it.
    if (!entry.startsWith("@")) await symlink(there, here, "junction");
    else {
      await mkdir(here, { recursive: true });
      for (const inner of await readdir(there)) {
        await symlink(join(there, inner), join(here, inner), "junction");
      }
    }
  }
}

test("the tarball in an empty Bun project does what its users expect", {
  timeoutMs: LIMIT_MS,
}, async (t) => {
  const bun = await bunPath();
  await using user = await machine();
  const project = user.workspace;
  await writeFile(join(project, "package.json"), '{ "private": true, "type": "module" }');
  await succeed(bun, ["add", await pack()], {
    cwd: project,
    env: user.env,
    timeoutMs: LIMIT_MS,
  });
  for (const name of Object.keys(PROGRAMS)) {
    await t.step(name, () => runProgram(name, [bun, "run"], project, user));
  }
});
