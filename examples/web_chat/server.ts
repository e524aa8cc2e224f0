/// <reference lib="deno.unstable" />
/**
 * A chat page on the web bridge: every browser is a tenant with a directory of its own.
 *
 *     deno run -A --unstable-kv examples/web_chat/server.ts           # a scripted model: no account, no network
 *     deno run -A --unstable-kv examples/web_chat/server.ts --live    # your own account
 *     bun examples/web_chat/server.ts
 *
 * Then open the address that it prints. `--port 8000` and `--data DIRECTORY` choose where it listens and what it keeps.
 * Needs `codex` on PATH, or CODEX_PATH. With Deno KV conversations survive a restart.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { Client, testing, web } from "../../mod.ts";
import { browserOf, directoryName, page } from "./page.ts";
import { answer } from "./scripted_answers.ts";

const { values: options } = parseArgs({
  options: {
    live: { type: "boolean", default: false },
    port: { type: "string", default: "8000" },
    data: { type: "string", default: join(homedir(), ".cache", "codex-web-chat") },
  },
});
const data = options.data;
const home = join(data, "codex_home");
await mkdir(home, { recursive: true });

const model = options.live ? null : await testing.ScriptedModel.start(answer, { model: "gpt-5.5" });
const client = await Client.connect({
  ...model?.clientConfig({ home }),
  restart: { type: "onCrash" },
  // People need longer than the default of 30 s.
  approvalTimeoutMs: 10 * 60_000,
});

const kv = typeof Deno === "undefined" || Deno.openKv === undefined
  ? null
  : await Deno.openKv(join(data, "sessions.kv"));

const bridge = web.createBridge({
  client,
  authorize: browserOf,
  cwd: workspace,
  profile: {
    approvalPolicy: "untrusted",
    // In a directory of the browser's own; the bridge keeps the agent there.
    sandbox: "workspace-write",
    allowPrivilegedEscalation: true,
    timeoutMs: 15 * 60_000,
  },
  // The bridge keeps even what asks to leave the sandbox in the browser's own directory, so looking around is harmless.
  rules: ["ls", "cat", "pwd", "wc", "head", "tail"].map((command) => ({
    name: "looking is fine",
    effect: "allow" as const,
    kind: "command" as const,
    command: [command],
    outsideSandbox: true,
  })),
  // Only this machine's browsers, and only under these names.
  hosts: ["127.0.0.1", "localhost"],
  ...(kv === null ? {} : { store: new web.KvSessionStore(kv) }),
  onError: (error) => console.error(error),
});

const server = serve(async (request) => await page(request) ?? await bridge.fetch(request));
console.log(`http://127.0.0.1:${server.port}/`);

await new Promise<void>((resolve) => {
  process.once("SIGINT", () => resolve());
  process.once("SIGTERM", () => resolve());
});
await bridge.close();
await server.close();
await client.shutdown();
await model?.close();
kv?.close();

/** The tenant's own directory, with something in it to talk about. */
async function workspace(tenant: string): Promise<string> {
  const path = join(data, "workspaces", await directoryName(tenant));
  if (await mkdir(path, { recursive: true }) !== undefined) {
    await writeFile(join(path, "greeting.txt"), "Hello.\nThis is a greeting.\n");
    await writeFile(join(path, "README.md"), "# Greeter\n\nA small project with one greeting.\n");
  }
  return path;
}

/** The part of Bun that is used here; Deno brings no types of it. */
declare const Bun: {
  serve(options: {
    hostname: string;
    port: number;
    fetch(request: Request): Promise<Response>;
  }): { port: number; stop(): Promise<void> };
};

/** The same on Deno and on Bun. */
function serve(
  handler: (request: Request) => Promise<Response>,
): { port: number; close(): Promise<void> } {
  const at = { hostname: "127.0.0.1", port: Number(options.port) };
  if (typeof Bun !== "undefined") {
    const bun = Bun.serve({ ...at, fetch: handler });
    return { port: bun.port, close: () => bun.stop() };
  }
  const deno = Deno.serve({ ...at, onListen: () => {} }, handler);
  return { port: deno.addr.port, close: () => deno.shutdown() };
}
