/**
 * A codex that listens, perhaps on another machine, and a client that attaches to it by WebSocket. The server here is
 * started by the example itself; its address and token are all that the client needs.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-net=127.0.0.1 --allow-env examples/remote.ts --live
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import process from "node:process";
import { Client, type ClientConfig } from "../mod.ts";
import { setup } from "./_setup.ts";

/** Starts `codex app-server` on a free port, behind a token: it is told the token's digest, which anybody may read. */
async function listen(
  config: ClientConfig,
): Promise<{ url: string; token: string; server: ChildProcess }> {
  const token = randomUUID();
  const digest = createHash("sha256").update(token).digest("hex");
  const settings = Object.entries(config.configOverrides ?? {})
    .flatMap(([key, value]) => ["-c", `${key}=${JSON.stringify(value)}`]);
  const server = spawn(process.env["CODEX_PATH"] ?? "codex", [
    ...settings,
    "app-server",
    ...["--listen", "ws://127.0.0.1:0"],
    ...["--ws-auth", "capability-token", "--ws-token-sha256", digest],
  ], {
    env: { ...process.env, ...config.env?.set },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const url = await new Promise<string>((resolve, reject) => {
    let said = "";
    server.stderr.on("data", (piece) => {
      said += piece;
      const found = /listening on: (ws:\/\/\S+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    server.once("error", reject);
    server.once("close", () => reject(new Error(`codex ended at once: ${said}`)));
  });
  return { url, token, server };
}

await using env = await setup((request) => `Answer ${request.userTexts.length - 1}.`);
const { url, token, server } = await listen(env.client);
const ended = new Promise((resolve) => server.once("close", resolve));
await using _server = {
  // Also when something below fails: it is no process of the library's.
  [Symbol.asyncDispose]: async () => {
    server.kill();
    await ended;
  },
};
console.log(`codex listens on ${url}`);

const client = await Client.connect({
  transport: { type: "websocket", url, token },
  restart: { type: "onCrash" },
});
console.log(`attached to codex ${client.server.version}`);
const session = await client.startSession({ cwd: env.cwd });
console.log((await session.ask("What do you see here?")).assistantText);
const { threadId } = session;
await session.release();
await client.shutdown();
console.log("detached; the server goes on");

const again = await Client.connect({ transport: { type: "websocket", url, token } });
const resumed = await again.resumeSession(threadId, { cwd: env.cwd });
console.log((await resumed.ask("And what else?")).assistantText);
await resumed.close();
await again.shutdown();
