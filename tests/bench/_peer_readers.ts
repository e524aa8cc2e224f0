/** What is measured of other libraries, in a directory where they are installed. Prints one line of JSON. */
import { spawn } from "node:child_process";
import process from "node:process";
import { Readable, Writable } from "node:stream";

const task = JSON.parse(process.argv[2]!);
const codex = process.env["CODEX"]!;
const nothing = { env: { ...process.env } as Record<string, string> };

function measure(): () => { cpuMs: number; wallMs: number } {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { cpuMs: (user + system) / 1000, wallMs: performance.now() - begun };
  };
}

function percentile(values: number[], part: number): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length * part)]!;
}

/**
 * What a caller of codex has to write around a library that sends whatever it is given: of 1,000 requests at once codex 0.169
 * leaves 150 to 300 without any answer, and of 128 none.
 */
function windowed(call: () => Promise<unknown>): () => Promise<unknown> {
  const waiting: (() => void)[] = [];
  let head = 0;
  let free = 128;
  return async () => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await call();
    } finally {
      if (head < waiting.length) waiting[head++]!();
      else free++;
    }
  };
}

/** Round trips and a pipeline, for libraries that can call methods. */
async function requests(call: () => Promise<unknown>): Promise<unknown> {
  const ask = windowed(call);
  for (let i = 0; i < 300; i++) await ask();
  const times: number[] = [];
  for (let i = 0; i < task.sequential; i++) {
    const begun = performance.now();
    await ask();
    times.push(performance.now() - begun);
  }
  // A client that has been at work for a while: what compiles its code is not what is measured.
  for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: task.pipelined }, ask));
  const stop = measure();
  for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: task.pipelined }, ask));
  const cpuMs = stop().cpuMs / 4;
  return { cpuMs, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

async function acp(): Promise<unknown> {
  const home = new URL("./node_modules/@agentclientprotocol/sdk/dist/", import.meta.url).href;
  const { Connection } = await import(`${home}core/jsonrpc.js`);
  const { ndJsonStream } = await import("@agentclientprotocol/sdk");
  const child = spawn(codex, ["app-server"], { stdio: ["pipe", "pipe", "inherit"] });
  const stream = ndJsonStream(
    Writable.toWeb(child.stdin) as WritableStream<Uint8Array>,
    Readable.toWeb(child.stdout) as ReadableStream<Uint8Array>,
  );
  let events = 0;
  const threads = new Map<string, { characters: number }>();
  for (let i = 0; i < (task.threads ?? 1); i++) {
    const id = `01a20000-0000-7000-8000-${String(i).padStart(12, "0")}`;
    threads.set(id, { characters: 0 });
  }
  const connection = new Connection(
    () => Promise.resolve({}),
    // deno-lint-ignore no-explicit-any
    (_method: string, params: any) => {
      events++;
      const thread = threads.get(params?.threadId);
      if (thread === undefined) return;
      thread.characters += params.delta.length;
    },
    stream,
  );
  const call = (method: string) => connection.sendRequest(method, {});
  const result = task.variant === "requests" ? await requests(() => call("model/list")) : {};
  const stop = measure();
  if (task.variant === "flood") await call("bench/flood");
  const cost = stop();
  child.kill();
  return { ...cost, events, ...result as object };
}

async function vscode(): Promise<unknown> {
  const home = new URL("./node_modules/vscode-jsonrpc/lib/node/main.js", import.meta.url).href;
  const module = await import(home);
  const rpc = module.default ?? module;
  const child = spawn(codex, ["app-server"], { stdio: ["pipe", "pipe", "inherit"] });
  // Its own framing is not the server's: a reader and a writer for lines, in its own terms.
  class Reader extends rpc.AbstractMessageReader {
    listen(callback: (message: unknown) => void) {
      let rest = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        for (const line of lines) if (line !== "") callback(JSON.parse(line));
      });
      return { dispose() {} };
    }
  }
  class Writer extends rpc.AbstractMessageWriter {
    write(message: unknown): Promise<void> {
      child.stdin.write(JSON.stringify(message) + "\n");
      return Promise.resolve();
    }
    end() {}
  }
  const connection = rpc.createMessageConnection(new Reader(), new Writer());
  let events = 0;
  let characters = 0;
  connection.onNotification("item/agentMessage/delta", (params: { delta: string }) => {
    events++;
    characters += params.delta.length;
  });
  connection.listen();
  const call = (method: string) => connection.sendRequest(method, {});
  const result = task.variant === "requests" ? await requests(() => call("model/list")) : {};
  const stop = measure();
  if (task.variant === "flood") await call("bench/flood");
  const cost = stop();
  connection.dispose();
  child.kill();
  return { ...cost, events, characters, ...result as object };
}

async function codexSdk(): Promise<unknown> {
  const { Codex } = await import("@openai/codex-sdk");
  const thread = new Codex({ codexPathOverride: codex, ...nothing }).startThread({
    skipGitRepoCheck: true,
  });
  const stop = measure();
  const { events } = await thread.runStreamed("flood");
  let count = 0;
  for await (const event of events) if (event.type === "item.updated") count++;
  return { ...stop(), events: count };
}

async function aiSdk(): Promise<unknown> {
  const { createCodexAppServer } = await import("ai-sdk-provider-codex-cli");
  const provider = createCodexAppServer({
    defaultSettings: { codexPath: codex, ...nothing, minCodexVersion: "0.1.0", logger: false },
  });
  const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "flood" }] }];
  const stop = measure();
  // deno-lint-ignore no-explicit-any
  const { stream } = await (provider("bench") as any).doStream({ prompt });
  let events = 0;
  let characters = 0;
  for await (const part of stream) {
    if (part.type !== "text-delta") continue;
    events++;
    characters += part.delta.length;
  }
  const cost = stop();
  await provider.close();
  return { ...cost, events, characters };
}

const peers: Record<string, () => Promise<unknown>> = { acp, vscode, codexSdk, aiSdk };
console.log(JSON.stringify(await peers[task.peer]!()));
process.exit(0);
