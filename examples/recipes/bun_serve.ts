/**
 * The web bridge in `Bun.serve`: each person has a directory below the current one, and a key in place of a login.
 *
 *     bun examples/recipes/bun_serve.ts 8080
 */
import process from "node:process";
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

/** What is used of Bun; a project with `@types/bun` needs no such line. */
declare const Bun: {
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    fetch: (request: Request) => Promise<Response>;
  }): { url: URL; stop(): Promise<void> };
};
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2] ?? 8080),
  idleTimeout: 30, // longer than the heartbeat of idle event streams, which is 5 s
  fetch: bridge.fetch,
});
console.log(`Listening on ${server.url}`);
process.once("SIGTERM", async () => {
  await bridge.close();
  await server.stop();
  await client.shutdown();
});
