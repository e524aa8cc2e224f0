/**
 * This library's own processor time for one answer of the real codex, whose time is not counted: until the first byte is
 * sent, from the byte that ends the turn to the result, and all of it. And that of the same messages by hand: what the
 * runtime takes to start a process and to read its pipe is no library's. Prints one line of JSON.
 */
import process from "node:process";
import { configFlags } from "../../src/launch/settings.ts";
import { spawnProcess } from "../../src/platform/process_tree.ts";
import { measure } from "./_measure.ts";
import { watchPipes } from "./_pipe_watch.ts";

const { variant, byHand, config, cwd } = JSON.parse(process.argv[2]!);
let stop: ReturnType<typeof measure> | undefined;
let untilSent: number | undefined;
let untilReceived: number | undefined;

const END_OF_TURN = '"turn/completed"';
const decoder = new TextDecoder();
watchPipes({
  sent() {
    untilSent ??= stop?.().cpuMs;
  },
  received(chunk) {
    if (stop === undefined || !decoder.decode(chunk).includes(END_OF_TURN)) return;
    untilReceived = stop().cpuMs;
  },
});

/** As little as gets an answer: nothing is checked, and nobody is told of errors. */
async function handwritten(): Promise<void> {
  if (variant === "cold") stop = measure();
  const codex = await spawnProcess({
    command: config.codexPath,
    args: [...configFlags(config.configOverrides), "app-server"],
    env: config.env.set,
  });
  codex.onStderr(() => {});
  let rest = "";
  let nextId = 0;
  // deno-lint-ignore no-explicit-any
  const waiting = new Map<number, (result: any) => void>();
  const decoder = new TextDecoder();
  const say = (message: unknown) => codex.write(JSON.stringify(message) + "\n");
  // deno-lint-ignore no-explicit-any
  const ask = (method: string, params: unknown): Promise<any> => {
    const id = nextId++;
    say({ id, method, params });
    return new Promise((resolve) => waiting.set(id, resolve));
  };
  let answer = "";
  const completed = new Promise<void>((resolve) => {
    codex.onStdout((chunk) => {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const { id, method, params, result } = JSON.parse(line);
        if (method === undefined) waiting.get(id)?.(result);
        else if (method === "item/completed" && params.item.type === "agentMessage") {
          answer = params.item.text;
        } else if (method === "turn/completed") resolve();
      }
    });
  });
  const clientInfo = { name: "by-hand", title: null, version: "0" };
  await ask("initialize", { clientInfo });
  say({ method: "initialized" });
  if (variant === "warm") stop = measure();
  const { thread } = await ask("thread/start", {
    cwd,
    ephemeral: true,
    approvalPolicy: "never",
    sandbox: "read-only",
  });
  if (variant === "thread") stop = measure();
  const input = [{ type: "text", text: "hello" }];
  await ask("turn/start", { threadId: thread.id, input });
  await completed;
  if (!answer.includes("hello")) throw new Error("another answer");
  if (variant === "thread") return;
  // Whoever asks once ends the process as well.
  codex.closeStdin();
  await codex.exited;
}

async function withLibrary(): Promise<void> {
  const { Client, quickRun } = await import("../../mod.ts");
  if (variant === "thread") {
    const client = await Client.connect(config);
    const session = await client.startSession({ cwd });
    stop = measure();
    await session.ask("hello");
    return;
  }
  if (variant === "warm") await Client.prewarm(config);
  stop = measure();
  await quickRun(cwd, "hello", { client: config });
}

await (byHand ? handwritten() : withLibrary());
const { cpuMs, wallMs } = stop!();
if (untilSent === undefined || untilReceived === undefined) throw new Error("a pipe was not seen");
const halves = { sentMs: untilSent, resultMs: cpuMs - untilReceived };
console.log(JSON.stringify({ cpuMs, wallMs, ...halves }));
process.exit(0);
