/**
 * Sessions that are taken up again after a kill -9 of codex, or their threads resumed by hand on a codex that is started for
 * it. Prints one line of JSON.
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { Client } from "../../src/session/client/client.ts";
import { configFlags } from "../../src/launch/settings.ts";

const { variant, config, cwd, sessions, threadIds } = JSON.parse(process.argv[2]!);

/** Calls at once; of more codex refuses some. */
const WINDOW = 128;

/** Opens them, ends codex, and waits until the last one is there again. */
async function ours(): Promise<unknown> {
  const restart = { type: "onCrash" as const, baseDelayMs: 1 };
  const client = await Client.connect({ ...config, restart });
  const ids: string[] = [];
  for (let i = 0; i < sessions; i += 10) {
    const some = Array.from({ length: 10 }, async () => {
      const session = await client.startSession({ cwd });
      await session.ask("hello");
      return session.threadId;
    });
    ids.push(...await Promise.all(some));
  }
  const answers = client.runtime.events({ methods: ["thread/resume"] });
  const begun = performance.now();
  process.kill(client.runtime.pid!, "SIGKILL");
  let resumed = 0;
  for await (const { kind } of answers) {
    if (kind === "response" && ++resumed === sessions) break;
  }
  const ms = performance.now() - begun;
  await client.shutdown();
  return { ms, threadIds: ids };
}

/** The same calls with nothing checked. */
async function byHand(): Promise<unknown> {
  const begun = performance.now();
  const codex = spawn(config.codexPath, [...configFlags(config.configOverrides), "app-server"], {
    env: { ...process.env, ...config.env.set },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const say = (message: unknown) => codex.stdin.write(JSON.stringify(message) + "\n");
  const ended = new Promise((resolve) => codex.once("close", resolve));
  let ms = 0;
  let resumed = 0;
  let rest = "";
  const waiting: Iterator<[number, string]> = threadIds.entries();
  const resumeNext = () => {
    const { done, value } = waiting.next();
    if (done) return;
    const [index, threadId] = value;
    const policy = { approvalPolicy: "never", sandbox: "read-only" };
    say({ id: index + 1, method: "thread/resume", params: { threadId, cwd, ...policy } });
  };
  codex.stdout.on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const { id, error } = JSON.parse(line);
      if (error !== undefined) throw new Error(`a thread was not resumed: ${error.code}`);
      if (id === 0) {
        say({ method: "initialized" });
        for (let i = 0; i < WINDOW; i++) resumeNext();
      } else if (typeof id === "number") {
        resumeNext();
        if (++resumed < threadIds.length) continue;
        ms = performance.now() - begun;
        codex.stdin.end();
      }
    }
  });
  const clientInfo = { name: "by-hand", title: null, version: "0" };
  const capabilities = { experimentalApi: true };
  say({ id: 0, method: "initialize", params: { clientInfo, capabilities } });
  await ended;
  return { ms };
}

console.log(JSON.stringify(await (variant === "by hand" ? byHand() : ours())));
process.exit(0);
