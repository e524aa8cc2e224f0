/**
 * The web bridge inside a Hono application, beside its own routes: each person has a directory below the current one, and
 * a key in place of a login.
 *
 *     deno run --allow-run=codex --allow-read --allow-net=127.0.0.1 --allow-env=ANN_KEY,BEN_KEY examples/recipes/hono.ts 8080
 *
 * `web.createBridge` refuses where tenants can't be kept apart: it needs codex 0.145, and for approvals Linux.
 */
import process from "node:process";
import { Hono } from "npm:hono@4.13.19";
import { Client, web } from "../../mod.ts";

const keys = new Map([[process.env["ANN_KEY"], "ann"], [process.env["BEN_KEY"], "ben"]]);

const client = await Client.connect({ approvalTimeoutMs: 5 * 60_000 });
const bridge = web.createBridge({
  client,
  authorize: (request) => {
    const key = request.headers.get("authorization")?.replace(/^Bearer /, "");
    return key ? keys.get(key) ?? null : null;
  },
  cwd: (tenant) => `${process.cwd()}/${tenant}`,
});

const app = new Hono();
app.get("/", (c) => c.text("The application's own page"));
app.all("/codex/*", (c) => bridge.fetch(c.req.raw));

const port = Number(process.argv[2] ?? 8080);
const server = Deno.serve({ hostname: "127.0.0.1", port }, app.fetch);
Deno.addSignalListener("SIGTERM", async () => {
  await bridge.close();
  await server.shutdown();
  await client.shutdown();
  Deno.exit();
});
