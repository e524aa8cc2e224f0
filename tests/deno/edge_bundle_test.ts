/** The library as browsers and edge workers get it: bundled without Node, evaluated without a host. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { succeed } from "../package/_run.ts";
import { esbuildPath } from "../package/_tools.ts";
import { listen } from "../real/websocket_world.ts";
import { tempDir } from "../_temp.ts";
import type { EdgeJob, EdgeReport } from "./_edge_worker.ts";

/** Bundles `mod.ts` for pages; returns the text, and what it would still import. */
async function bundle(dir: string): Promise<{ code: string; imports: string[] }> {
  const [outfile, metafile] = [join(dir, "bundle.js"), join(dir, "meta.json")];
  const { output } = await succeed(await esbuildPath(), [
    join(ROOT, "mod.ts"),
    "--bundle",
    "--format=esm",
    "--platform=browser",
    "--log-level=warning",
    `--outfile=${outfile}`,
    `--metafile=${metafile}`,
  ], { cwd: dir });
  assert.equal(output, "", "esbuild complains");
  const meta = JSON.parse(await readFile(metafile, "utf8"));
  const outputs = Object.values(meta.outputs) as { imports: { path: string }[] }[];
  return {
    code: await readFile(outfile, "utf8"),
    imports: outputs.flatMap(({ imports }) => imports.map(({ path }) => path)),
  };
}

/** Runs the bundle in a worker that has lost its host. */
async function evaluate(job: EdgeJob): Promise<EdgeReport> {
  const worker = new Worker(new URL("_edge_worker.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) =>
        "failed" in data ? reject(new Error(data.failed)) : resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      worker.postMessage(job);
    });
  } finally {
    worker.terminate();
  }
}

test("mod.ts bundles for browsers: no Node in it, no side effect, and its WebSocket client works", {
  timeoutMs: 120_000,
  denoOnly: "its workers can lose their host",
}, async (t) => {
  await using directory = await tempDir();
  const { code, imports } = await bundle(directory.path);

  await t.step("nothing is left to import", () => {
    assert.deepEqual(imports, []);
    assert.doesNotMatch(code, /(?:from|import|require)\s*\(?\s*["'`](?:node|npm|jsr):/);
  });

  await using model = await ScriptedModel.start(["from the edge"]);
  const server = await listen(model, directory.path, { open: true });
  try {
    const report = await evaluate({ code, url: server.url, cwd: directory.path });

    await t.step("the import touches nothing of its host", () => {
      assert.deepEqual(report.touched, []);
      for (const name of ["Session", "quickRun", "AppServer", "runtime", "rpcMethods"]) {
        assert.ok(report.names.includes(name), name);
      }
    });

    await t.step("starting a process fails with what to use instead", () => {
      assert.equal(report.spawning.code, "spawn");
      assert.match(report.spawning.message, /websocket|web\.createBridge/);
    });

    await t.step("a token that a page can't send is refused with what to use instead", () => {
      assert.equal(report.withToken.code, "spawn");
      assert.match(report.withToken.message, /web\.createBridge/);
    });

    await t.step("a turn runs over a WebSocket", () => {
      assert.deepEqual([report.version, report.answer], ["0.169.0", "from the edge"]);
    });
  } finally {
    await server.close();
  }
});
