/**
 * Thousands of prompts: a queue (BullMQ on Redis) and any number of worker processes, of which any may die at any time.
 *
 *     deno run -A examples/fleet/main.ts                          # a scripted model: no account, no network
 *     deno run -A examples/fleet/main.ts --live --workers 2       # your own account
 *
 * `queue.ts` adds, cancels and tells results: it is what a producer imports. `worker.ts` is one worker, and says why each
 * answer comes once. Here both meet on one machine: a Redis, workers, some jobs. Run it again and the answers are there at
 * once; kill one of the workers that it names, and the others go on with its jobs. Needs `redis-server` (or REDIS_SERVER) and
 * `codex` on PATH (or CODEX_PATH).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { testing } from "../../mod.ts";
import { type Answer, FLEET, Fleet, QueueEvents } from "./queue.ts";

const { values: options } = parseArgs({
  options: {
    live: { type: "boolean", default: false },
    jobs: { type: "string", default: "8" },
    workers: { type: "string", default: "2" },
    redis: { type: "string", default: "6391" },
    data: { type: "string", default: join(homedir(), ".cache", "codex-fleet") },
  },
});
const url = `redis://127.0.0.1:${options.redis}`;
const [home, cwd, store] = ["codex_home", "workspace", "redis"].map((each) =>
  join(options.data, each)
);
for (const path of [home, cwd, store]) await mkdir(path!, { recursive: true });
const model = options.live ? null : await testing.ScriptedModel.start(
  ({ text }) => testing.script.say([`A line about `, `${/\d+/.exec(text)}.`], { delayMs: 200 }),
);
const env = {
  ...process.env,
  REDIS: url,
  ...(model === null ? {} : { CODEX_CLIENT: JSON.stringify(model.clientConfig({ home: home! })) }),
};
const children: ChildProcess[] = [];

/** Starts a program; settles when it has printed this. */
function start(command: string, args: string[], sign: string): Promise<void> {
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  children.unshift(child);
  let told = "";
  return new Promise((resolve, reject) => {
    child.stdout.on("data", (chunk) => (told += chunk).includes(sign) && resolve());
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${command} ended: ${told}`)));
  });
}

const redis = ["--port", options.redis, "--bind", "127.0.0.1", "--dir", store!];
await start(
  process.env["REDIS_SERVER"] ?? "redis-server",
  [...redis, "--appendonly", "yes"],
  "Ready to accept",
);
const script = fileURLToPath(new URL("worker.ts", import.meta.url));
const run = process.versions["bun"] === undefined ? ["run", "-A", script] : [script];
await Promise.all(
  Array.from({ length: Number(options.workers) }, () => start(process.execPath, run, "is ready")),
);
console.log(`workers: ${children.slice(0, -1).map(({ pid }) => pid).join(", ")}`);

{
  await using fleet = new Fleet(url);
  const events = new QueueEvents(FLEET, { connection: fleet.redis });
  events.on("progress", ({ jobId, data }) => console.log(`${jobId}: ${JSON.stringify(data)}`));
  await events.waitUntilReady();
  const jobs = await Promise.all(
    Array.from(
      { length: Number(options.jobs) },
      (_, i) =>
        fleet.add(`line-${i}`, { cwd: cwd!, prompt: `Write one line about the number ${i}.` }),
    ),
  );
  for (const job of jobs) {
    const answer = await job.waitUntilFinished(events).catch(({ message }): Answer => ({
      threadId: "",
      text: `failed: ${message}`,
    }));
    console.log(`${job.id}: ${answer.text}`);
  }
  await events.close();
}
// The workers end while Redis is there; it was started first and ends last.
for (const child of children) {
  if (child.exitCode !== null || child.signalCode !== null) continue;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}
await model?.close();
