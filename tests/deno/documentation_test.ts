/** The documentation that users read: nothing public is without it, and its tables say what the code says. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { matchRoute } from "../../src/web/http/routes.ts";
import { LIBRARY_VERSION } from "../../src/protocol/dialect.ts";
import { docGaps, documentation } from "../tools/doc_symbols.ts";
import { jsrScore, report } from "../tools/jsr_score.ts";
import { REFERENCE, reference } from "../tools/reference.ts";

let json: Promise<string> | undefined;
const read = () => json ??= documentation();

test("every public symbol is described; namespaces, classes and functions by an example", async () => {
  const { all, undocumented, withoutExample } = docGaps(await read());
  assert.ok(all > 1_500, `${all} symbols`);
  assert.deepEqual(undocumented, []);
  assert.deepEqual(withoutExample, []);
});

test("docGaps() finds what is missing, in namespaces and classes too", () => {
  const declared = (kind: string, jsDoc?: object, def?: object) => [
    { kind, declarationKind: "export", ...(jsDoc === undefined ? {} : { jsDoc }), def },
  ];
  const symbols = [
    { name: "bare", declarations: declared("function") },
    {
      name: "ns",
      declarations: declared("namespace", { doc: "```ts\n```" }, {
        elements: [{
          name: "C",
          declarations: declared("class", { doc: "A class." }, {
            methods: [{ name: "m" }, { name: "hidden", accessibility: "private" }],
          }),
        }],
      }),
    },
  ];
  assert.deepEqual(docGaps(JSON.stringify({ version: 2, nodes: { "mod.ts": { symbols } } })), {
    all: 4,
    undocumented: ["bare", "ns.C.m"],
    withoutExample: ["bare", "ns.C"],
  });
});

test("the reference is what the documentation of the code says", async () => {
  const said = await reference(await read());
  assert.ok(said.split("\n").length > 200, `${said.length} characters`);
  assert.equal(
    await readFile(REFERENCE, "utf8"),
    said,
    "deno run -A tests/tools/reference.ts writes it",
  );
});

test("the table of routes is the bridge's own", async () => {
  const source = await readFile(join(ROOT, "src", "web", "http", "routes.ts"), "utf8");
  const served = [...source.matchAll(/^ {2}\["([A-Z]+)", "([^"]+)", "\w+"\],$/gm)]
    .map(([, method, path]) => `${method} /${path!.replaceAll(/:(\w+)/g, "{$1}")}`);
  assert.ok(served.length > 15, `${served.length} routes`);
  const table = (await readFile(REFERENCE, "utf8")).split("## Routes")[1]!;
  const told = [...table.matchAll(/`((?:GET|POST|DELETE) \/[^`]*)`/g)].map(([, route]) => route!);
  // One name for an id is as good as another.
  const plain = (routes: string[]) =>
    routes.map((route) => route.replaceAll(/\{\w+\}/g, "{}")).sort();
  assert.deepEqual(plain(told), plain(served));
  for (const route of told) {
    const [method, path] = route.replaceAll(/\{\w+\}/g, "x").split(" ");
    const { name } = matchRoute(method!, `/codex${path}`, "/codex");
    assert.ok(name !== "none" && name !== "otherMethod", route);
  }
});

test("the package keeps every rule of JSR's score that can be checked here", async () => {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  // Slow types are looked for by `deno publish --dry-run`, in `deno task check`.
  const good = report(jsrScore({ readme, json: await read(), fastTypes: true }));
  assert.deepEqual(good.broken, []);
  assert.equal(good.lines.at(-1), "14 of 14 that can be checked here");
  const bare = JSON.stringify({
    nodes: {
      "mod.ts": {
        symbols: [{ name: "f", declarations: [{ kind: "function", declarationKind: "export" }] }],
      },
    },
  });
  assert.equal(report(jsrScore({ readme: "", json: bare, fastTypes: false })).broken.length, 5);
});

test("the changelog tells of this version, first", async () => {
  const text = await readFile(join(ROOT, ".github", "CHANGELOG.md"), "utf8");
  const versions = [...text.matchAll(/^## (\d+\.\d+\.\d+)$/gm)].map(([, version]) => version);
  assert.equal(versions[0], LIBRARY_VERSION);
});
