/**
 * A whole cluster on this machine: Redis, three bridges and a balancer, with the chat page in front.
 *
 *     deno run -A examples/web_cluster/main.ts           # a scripted model: no account, no network
 *     deno run -A examples/web_cluster/main.ts --live    # your own account
 *
 * Open the address that it prints, say something, end one of the processes that it names, and go on. Needs `redis-server`
 * (or REDIS_SERVER) and `codex` on PATH (or CODEX_PATH). `--data DIRECTORY` and `--port 8080` choose where.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { testing } from "../../mod.ts";
import { answer } from "../web_chat/scripted_answers.ts";

const { values: options } = parseArgs({
  options: {
    live: { type: "boolean", default: false },
    port: { type: "string", default: "8080" },
    redis: { type: "string", default: "6390" },
    data: { type: "string", default: join(homedir(), ".cache", "codex-web-cluster") },
  },
});
const { data } = options;
const home = join(data, "codex_home");
await mkdir(home, { recursive: true });
await mkdir(join(data, "redis"), { recursive: true });
await writeFile(join(data, "keys.json"), "{}");

const model = options.live ? null : await testing.ScriptedModel.start(answer, { model: "gpt-5.5" });
const children: ChildProcess[] = [];
const env = {
  REDIS: `redis://127.0.0.1:${options.redis}`,
  DATA: data,
  SECRET: crypto.randomUUID() + crypto.randomUUID(),
  ...(model === null ? {} : { CODEX_CLIENT: JSON.stringify(model.clientConfig({ home })) }),
};

/** Starts a program; settles with the first line that it prints with this in it. */
function start(command: string, args: string[], sign: string): Promise<string> {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  let told = "";
  return new Promise((resolve, reject) => {
    child.stdout.on("data", (chunk) => {
      told += chunk;
      const line = told.split("\n").slice(0, -1).find((each) => each.includes(sign));
      if (line !== undefined) resolve(line);
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${command} ended: ${told}`)));
  });
}

const run = (script: string, ...args: string[]) => {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return start(process.execPath, ["run", "-A", path, ...args], "http://");
};

let code = 0;
try {
  const redis = process.env["REDIS_SERVER"] ?? "redis-server";
  const at = ["--port", options.redis, "--bind", "127.0.0.1", "--dir", join(data, "redis")];
  await start(redis, [...at, "--appendonly", "yes"], "Ready to accept connections");
  const nodes = await Promise.all([1, 2, 3].map(() => run("node.ts")));
  await writeFile(join(data, "nodes.json"), JSON.stringify(nodes));
  const proxy = await run("proxy.ts", join(data, "nodes.json"), options.port);
  const [, ...bridges] = children.slice(0, 4);
  console.log(`${proxy}/  (bridges: ${bridges.map(({ pid }) => pid).join(", ")})`);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
} catch (error) {
  console.error(error);
  code = 1;
}
// The bridges drain while Redis is there; it was started first and ends last.
const [redis, ...others] = children;
for (const child of [...others, redis]) {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}
await model?.close();
process.exit(code);
