/** A stand-in for JSR on the loopback interface: the registry protocol, and this package as published. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { PACKAGE, publishedFiles } from "./_package.ts";
import { succeed } from "./_run.ts";

/** How a registry answers. */
export interface RegistryOptions {
  /** Runs before the answer to a request, which waits for it. */
  beforeAnswer?: (path: string) => Promise<void> | void;
}

/** A registry that runs. */
export interface Registry extends AsyncDisposable {
  /** For the variable JSR_URL. */
  url: string;
  /** Paths that were asked for, oldest first. */
  requests: string[];
}

/** Publishes the package and serves it. */
export async function registry(options: RegistryOptions = {}): Promise<Registry> {
  const { name, version } = PACKAGE;
  const [scope, short] = name.slice(1).split("/");
  const bodies = new Map<string, Uint8Array | string>();
  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const [path, url] of await publishedFiles()) {
    const bytes = await readFile(new URL(url));
    bodies.set(`/${name}/${version}${path}`, bytes);
    const sum = createHash("sha256").update(bytes).digest("hex");
    manifest[path] = { size: bytes.length, checksum: `sha256-${sum}` };
  }
  const { exports } = PACKAGE as unknown as { exports: Record<string, string> };
  const moduleGraph2 = await moduleGraph(Object.values(exports), await publishedFiles());
  const versions = { [version]: {} };
  bodies.set(
    `/${name}/meta.json`,
    JSON.stringify({ scope, name: short, latest: version, versions }),
  );
  bodies.set(`/${name}/${version}_meta.json`, JSON.stringify({ manifest, moduleGraph2, exports }));

  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const path = decodeURI(request.url ?? "/");
    requests.push(path);
    await options.beforeAnswer?.(path);
    const body = bodies.get(path);
    response.writeHead(body === undefined ? 404 : 200, {
      "content-type": path.endsWith(".json") ? "application/json" : "text/typescript",
    });
    response.end(body ?? "not found");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    requests,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * What the registry's analysis keeps of each module that the entry points reach: its imports and exports, by which Deno
 * knows the graph before it has a module. The CLI's cache of analyses holds them in the same form; `deno info --json`
 * tells the edges of the graph alone.
 */
async function moduleGraph(
  entries: string[],
  files: Map<string, string>,
): Promise<Record<string, unknown>> {
  await using directory = await tempDir("jsr-");
  const env = { ...process.env as Record<string, string>, DENO_DIR: directory.path };
  for (const entry of entries) {
    await succeed(process.execPath, ["info", "--json", entry], { cwd: ROOT, env });
  }
  // Bun, which measures other things with this file's importers, has no such module.
  const { DatabaseSync } = await import("node:sqlite");
  const analyses = new DatabaseSync(join(directory.path, "dep_analysis_cache_v2"));
  try {
    const rows = analyses.prepare("SELECT specifier, module_info FROM moduleinfocache").all();
    const found = new Map(rows.map((row) => [row["specifier"], String(row["module_info"])]));
    const graph: Record<string, unknown> = {};
    for (const [path, url] of files) {
      const analysis = found.get(url);
      if (analysis !== undefined) graph[path] = JSON.parse(analysis);
    }
    return graph;
  } finally {
    analyses.close();
  }
}
