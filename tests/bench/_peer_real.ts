/** `@openai/codex-sdk` on the real codex. Prints one line of JSON. */
import { readFileSync } from "node:fs";
import process from "node:process";
// @ts-ignore: a peer, installed for the benchmark only.
import { Codex } from "@openai/codex-sdk";

const task = JSON.parse(process.argv[2]!);
const { count, config, cwd } = task;

const turns: number[] = [];
const begun = performance.now();
const codex = new Codex({
  codexPathOverride: config.codexPath,
  env: { PATH: process.env["PATH"]!, ...config.env.set },
  configOverrides: Object.entries(config.configOverrides)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`),
});
const options = {
  workingDirectory: cwd,
  skipGitRepoCheck: true,
  sandboxMode: "read-only" as const,
};
if (task.variant === "parallel") {
  await Promise.all(
    Array.from({ length: count }, (_, n) => codex.startThread(options).run(`hello ${n}`)),
  );
} else {
  const thread = codex.startThread(options);
  for (let n = 0; n < count; n++) {
    const asked = performance.now();
    const { finalResponse } = await thread.run(`hello ${n}`);
    if (!finalResponse.includes(`hello ${n}`)) throw new Error("another answer");
    turns.push(performance.now() - asked);
  }
}
const jobMs = performance.now() - begun;
const fields = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /s, "").split(" ");
const cpuMs = fields.slice(11, 15).reduce((sum, field) => sum + Number(field) * 10, 0);
console.log(JSON.stringify({ jobMs, turns, cpuMs }));
process.exit(0);
