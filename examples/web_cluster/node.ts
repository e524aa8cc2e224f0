/**
 * One bridge of several: any number of these behind any balancer, with one Redis and one shared directory.
 *
 *     HOST=0.0.0.0 PORT=8081 ADDRESS=http://10.0.0.7:8081 REDIS=redis://10.0.0.2:6379 DATA=/srv/shared SECRET=… \
 *       deno run -A examples/web_cluster/node.ts
 *
 * `main.ts` starts three of them with all they need. Each serves the chat page of `examples/web_chat`, whose browsers are
 * known by a cookie; programs are known by `authorization: Bearer NAME.KEY`, of which DATA/keys.json lists the keys by name. SIGTERM drains it:
 * balancers are told by `/codex/health`, turns end, the sessions go on elsewhere.
 *
 * On Node leave out `npm:` and the versions, here and in `redis.ts`, after `npm install @hono/node-server@2.1.9 redis@6.3.1`.
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { Client, type ClientConfig, web } from "../../mod.ts";
import { browserOf, directoryName, page } from "../web_chat/page.ts";
import { connectRedis, redisOwners, redisSessions, redisTail } from "./redis.ts";

const {
  HOST = "127.0.0.1",
  PORT = "0",
  REDIS = "redis://127.0.0.1:6379",
  DATA,
  SECRET,
  CODEX_CLIENT = "{}",
  LEASE_MS = "10000",
  DRAIN_MS = "30000",
  HEARTBEAT_MS = "5000",
  SESSION_TTL_MS = "Infinity",
}: Record<string, string | undefined> = process.env;
if (DATA === undefined || SECRET === undefined) throw new Error("DATA and SECRET must be set.");
const keys: Record<string, string> = JSON.parse(await readFile(join(DATA, "keys.json"), "utf8"));

// How codex is run, such as with a scripted model; CODEX_HOME must be the same on all nodes.
const config: ClientConfig = JSON.parse(CODEX_CLIENT);
const client = await Client.connect({ approvalTimeoutMs: 60_000, ...config });
const redis = await connectRedis(REDIS);
let bridge: web.Bridge | null = null;

const server = await serve(async (request) =>
  await page(request) ?? await bridge?.fetch(request) ??
    new Response(null, { status: 503 })
);
const url = `http://127.0.0.1:${server.port}`;
// Where the other nodes reach it.
const { ADDRESS = url } = process.env;
bridge = web.createBridge({
  client,
  authorize: (request) =>
    browserOf(request) ?? tenantOf(request.headers.get("authorization") ?? ""),
  cwd: async (tenant) => {
    const path = join(DATA, "workspaces", await directoryName(tenant));
    await mkdir(path, { recursive: true });
    return path;
  },
  profile: {
    approvalPolicy: "untrusted",
    sandbox: "workspace-write",
    allowPrivilegedEscalation: true,
  },
  store: redisSessions(redis),
  cluster: {
    url: ADDRESS,
    owners: redisOwners(redis),
    tail: redisTail(redis),
    secret: SECRET,
    leaseMs: Number(LEASE_MS),
    drainMs: Number(DRAIN_MS),
  },
  heartbeatMs: Number(HEARTBEAT_MS),
  sessionTtlMs: Number(SESSION_TTL_MS),
  onError: (error) => console.error(error),
});
console.log(url);

await new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
await bridge.drain();
// Codex ends before the sessions are given up: it keeps their threads while it lives.
await client.shutdown();
await bridge.close();
await server.end();
redis.close();

/** What is used of Bun, where this runs on it. */
declare const Bun: undefined | {
  serve(options: {
    hostname: string;
    port: number;
    fetch: (request: Request) => Promise<Response>;
    idleTimeout: number;
  }): { port: number; stop: () => Promise<void> };
};

/** A server on Deno, Bun or Node. */
async function serve(
  handler: (request: Request) => Promise<Response>,
): Promise<{ port: number; end: () => Promise<void> }> {
  const at = { hostname: HOST, port: Number(PORT) };
  if (typeof Bun !== "undefined") {
    const server = Bun.serve({ ...at, fetch: handler, idleTimeout: 120 });
    return { port: server.port, end: () => server.stop() };
  }
  if (typeof Deno !== "undefined") {
    const server = Deno.serve({ ...at, onListen: () => {} }, handler);
    return { port: server.addr.port, end: () => server.shutdown() };
  }
  const node = await import("npm:@hono/node-server@2.1.9");
  return await new Promise((resolve) => {
    const server = node.serve({ ...at, fetch: handler }, ({ port }) =>
      resolve({
        port,
        end: () => new Promise<void>((ended) => void server.close(() => ended())),
      }));
  });
}

function tenantOf(header: string): string | null {
  const [, name, key] = /^Bearer ([a-z0-9_-]{1,64})\.(\S+)$/.exec(header) ?? [];
  return name !== undefined && Object.hasOwn(keys, name) && keys[name] === key ? name : null;
}
