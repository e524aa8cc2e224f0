/** A stand-in for JSR on the loopback interface: the registry protocol, and this package as published. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { PACKAGE, publishedFiles } from "./_package.ts";

/** A registry that runs. */
export interface Registry extends AsyncDisposable {
  /** For the variable JSR_URL. */
  url: string;
  /** Paths that were asked for, oldest first. */
  requests: string[];
}

/** Publishes the package and serves it. */
export async function registry(): Promise<Registry> {
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
  const { exports } = PACKAGE as unknown as { exports: unknown };
  const versions = { [version]: {} };
  bodies.set(
    `/${name}/meta.json`,
    JSON.stringify({ scope, name: short, latest: version, versions }),
  );
  bodies.set(`/${name}/${version}_meta.json`, JSON.stringify({ exports, manifest }));

  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURI(request.url ?? "/");
    requests.push(path);
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
