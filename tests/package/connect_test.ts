/** The bridge's client as a page gets it: a module of its own, without the server, and small. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { succeed } from "./_run.ts";
import { esbuildPath } from "./_tools.ts";

/** Bytes, minified and compressed. */
const MOST = 6_000;
/** What the client is made of; each is a file without a host. */
const PARTS = /^src\/(?:web\/(?:browser|connect)|errors\/\w+|async|redact|secret_text|json)\.ts$/;

test("a page's client is less than 6 kB, and nothing of the server", {
  timeoutMs: 60_000,
  denoOnly: "esbuild from npm",
}, async () => {
  await using directory = await tempDir();
  const { exports } = JSON.parse(await readFile(join(ROOT, "deno.json"), "utf8"));
  const from = JSON.stringify(join(ROOT, exports["./connect"]));
  const page = join(directory.path, "page.ts");
  await writeFile(
    page,
    `import { connect } from ${from};\nglobalThis.bridge = connect("/codex");\n`,
  );
  const [outfile, metafile] = ["page.js", "meta.json"].map((name) => join(directory.path, name));
  const { output } = await succeed(await esbuildPath(), [
    page,
    "--bundle",
    "--minify",
    "--format=esm",
    "--platform=browser",
    "--target=es2022",
    "--log-level=warning",
    `--outfile=${outfile}`,
    `--metafile=${metafile}`,
  ], { cwd: ROOT });
  assert.equal(output, "", "esbuild complains");
  const { inputs } = JSON.parse(await readFile(metafile!, "utf8"));
  const parts = Object.keys(inputs).filter((path) => !path.endsWith("page.ts"));
  assert.ok(parts.length > 1);
  assert.deepEqual(parts.filter((path) => !PARTS.test(path)), []);
  const { length } = gzipSync(await readFile(outfile!), { level: 9 });
  console.log(`the browser's client: ${length} bytes, bundled, minified and compressed`);
  assert.ok(length < MOST, `${length} bytes`);
});
