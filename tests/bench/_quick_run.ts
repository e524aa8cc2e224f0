/** `quickRun` on the real codex, its import included, or the same calls written by hand. Prints one line of JSON. */
import { spawn } from "node:child_process";
import process from "node:process";
import { configFlags } from "../../src/launch/settings.ts";
import { treeCpuMs } from "./_tree.ts";

const { variant, config, cwd } = JSON.parse(process.argv[2]!);

async function withLibrary(): Promise<string> {
  const { quickRun } = await import("../../mod.ts");
  return (await quickRun(cwd, "hello", { client: config })).assistantText;
}

/** As little as gets an answer: nothing is checked, nobody is told of errors, and the process is trusted to end. */
async function byHand(): Promise<string> {
  const codex = spawn(config.codexPath, [...configFlags(config.configOverrides), "app-server"], {
    env: { ...process.env, ...config.env.set },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const say = (message: unknown) => codex.stdin.write(JSON.stringify(message) + "\n");
  const ended = new Promise((resolve) => codex.once("close", resolve));
  let answer = "";
  let rest = "";
  codex.stdout.on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const { id, method, params, result } = JSON.parse(line);
      if (id === 1) {
        const thread = { cwd, ephemeral: true, approvalPolicy: "never", sandbox: "read-only" };
        say({ method: "initialized" });
        say({ id: 2, method: "thread/start", params: thread });
      } else if (id === 2) {
        const input = [{ type: "text", text: "hello" }];
        say({ id: 3, method: "turn/start", params: { threadId: result.thread.id, input } });
      } else if (method === "item/completed" && params.item.type === "agentMessage") {
        answer = params.item.text;
      } else if (method === "turn/completed") codex.stdin.end();
    }
  });
  const clientInfo = { name: "by-hand", title: null, version: "0" };
  say({ id: 1, method: "initialize", params: { clientInfo } });
  await ended;
  return answer;
}

const cpu = process.cpuUsage();
const begun = performance.now();
const answer = await (variant === "by hand" ? byHand() : withLibrary());
if (!answer.includes("hello")) throw new Error("another answer");
const jobMs = performance.now() - begun;
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ jobMs, ownMs: (user + system) / 1000, cpuMs: treeCpuMs() }));
process.exit(0);
