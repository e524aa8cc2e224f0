/**
 * A small balancer: each request goes to the next node that says it is well, whoever has the session.
 *
 *     deno run -A examples/web_cluster/proxy.ts nodes.json 8080
 *
 * The file lists the nodes' addresses and is read again all the time. What a node that does not answer its probe still holds
 * is cut, so that browsers come back through another one.
 */
import { readFile } from "node:fs/promises";
import { Buffer } from "node:buffer";
import {
  createServer,
  type IncomingMessage,
  request as send,
  type ServerResponse,
} from "node:http";
import process from "node:process";

const [file, port = "0"] = process.argv.slice(2);
if (file === undefined) throw new Error("usage: proxy.ts NODES.json [PORT]");
const PROBE_MS = Number(process.env["PROBE_MS"] ?? 500);

/** Nodes that are well, with the requests that they hold. */
const well: Map<string, Set<IncomingMessage | ServerResponse>> = new Map();
let next = 0;

async function probe(): Promise<void> {
  const nodes: string[] = JSON.parse(await readFile(file!, "utf8").catch(() => "[]"));
  for (const node of well.keys()) if (!nodes.includes(node)) well.delete(node);
  await Promise.all(nodes.map(async (node) => {
    const signal = AbortSignal.timeout(2 * PROBE_MS);
    const answer = await fetch(`${node}/codex/health`, { signal }).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.ok) {
      if (!well.has(node)) well.set(node, new Set());
      return;
    }
    const held = well.get(node);
    well.delete(node);
    // One that drains ends by itself.
    if (answer === null) { for (const each of held ?? []) each.destroy(); }
  }));
}

function pass(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  body: Uint8Array,
  tried: Set<string>,
): void {
  const nodes = [...well.keys()].filter((node) => !tried.has(node));
  const node = nodes[next++ % nodes.length];
  if (node === undefined) {
    outgoing.writeHead(503, { "retry-after": "1", "content-type": "application/json" });
    outgoing.end('{"code":"unavailable","message":"No server is well. Try again in a moment."}');
    return;
  }
  tried.add(node);
  const held = well.get(node)!;
  const { method, url, headers } = incoming;
  const there = new URL(node);
  // The name that the browser asked for stays: the bridge compares it with the page's origin.
  const asked = send({ hostname: there.hostname, port: there.port, method, path: url, headers });
  held.add(outgoing);
  outgoing.once("close", () => {
    held.delete(outgoing);
    asked.destroy();
  });
  asked.on("response", (answer) => {
    outgoing.writeHead(answer.statusCode!, answer.headers);
    // A stream's first byte may take a while; the browser must know that it is connected.
    outgoing.flushHeaders();
    answer.pipe(outgoing);
    answer.on("error", () => outgoing.destroy());
    answer.on("aborted", () => outgoing.destroy());
  });
  asked.on("error", (error: Error & { code?: string }) => {
    held.delete(outgoing);
    if (outgoing.headersSent || outgoing.destroyed) return void outgoing.destroy();
    // It never got there, so that another one may have it.
    if (error.code === "ECONNREFUSED") return pass(incoming, outgoing, body, tried);
    outgoing.writeHead(504, { "content-type": "application/json" });
    outgoing.end('{"code":"timeout","message":"The server went away meanwhile."}');
  });
  asked.end(body);
}

await probe();
setInterval(() => void probe(), PROBE_MS);
const server = createServer((incoming, outgoing) => {
  const parts: Uint8Array[] = [];
  incoming.on("data", (part: Uint8Array) => parts.push(part));
  incoming.on(
    "end",
    () => pass(incoming, outgoing, new Uint8Array(Buffer.concat(parts)), new Set()),
  );
});
server.listen(Number(port), "127.0.0.1", () => {
  const { port: at } = server.address() as { port: number };
  console.log(`http://127.0.0.1:${at}`);
});
