/** This library on the real codex. Prints one line of JSON. */
import process from "node:process";
import { Client } from "../../src/session/client/client.ts";
import { treeCpuMs } from "./_tree.ts";

const task = JSON.parse(process.argv[2]!);
const { count, ephemeral = false } = task;
const config = task.config;
const cwd = task.cwd;
const session = (client: Client) => client.startSession({ cwd, ephemeral });

if (task.variant === "warm") await Client.prewarm(config);
const ready = task.variant === "thread" ? await Client.connect(config) : null;
const readySession = ready === null ? null : await session(ready);

const turns: number[] = [];
const begun = performance.now();
const client = ready ?? await Client.connect(config);
if (task.variant === "parallel") {
  await Promise.all(
    Array.from({ length: count }, async (_, n) => await (await session(client)).ask(`hello ${n}`)),
  );
} else {
  const one = readySession ?? await session(client);
  for (let n = 0; n < count; n++) {
    const asked = performance.now();
    const { assistantText } = await one.ask(`hello ${n}`);
    if (!assistantText.includes(`hello ${n}`)) throw new Error("another answer");
    turns.push(performance.now() - asked);
  }
}
const jobMs = performance.now() - begun;
await client.shutdown();
console.log(JSON.stringify({ jobMs, turns, cpuMs: treeCpuMs() }));
